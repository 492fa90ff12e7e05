#include "agent/config/environment.hpp"

#include <cstdlib>

namespace leasemirror {

Environment process_environment() {
    return [](const std::string& name) -> std::optional<std::string> {
        const char* const value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return std::string(value);
    };
}

}  // namespace leasemirror
