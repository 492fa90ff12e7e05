#include "agent/cli/command_line.hpp"

#include <exception>
#include <iostream>
#include <span>
#include <variant>

int main(int argc, char** argv) {
    try {
        const std::span<const char* const> arguments(argv + (argc > 0 ? 1 : 0),
                                                     static_cast<std::size_t>(argc > 0 ? argc - 1 : 0));
        const auto command = leasemirror::parse_command_line(arguments);
        const int code =
            std::visit([](const auto& c) { return leasemirror::execute(c, std::cout, std::cerr); }, command);
        std::cout.flush();
        return code;
    } catch (const std::exception& e) {
        std::cerr << "leasemirror: " << e.what() << '\n';
        return leasemirror::exit_found_wrong;
    }
}
