#include "tests/leasesim/program/command_line.hpp"
#include "tests/leasesim/program/shell.hpp"

#include <iostream>

int main(int argc, char** argv) {
    using namespace leasemirror::leasesim;
    const auto parsed = parse_command_line(argc, argv);
    if (const auto* leave = std::get_if<Exit>(&parsed)) {
        (leave->code == 0 ? std::cout : std::cerr) << leave->text;
        return leave->code;
    }
    return serve(std::get<Run>(parsed));
}
