#include "agent/config/error.hpp"

namespace leasemirror {

std::string to_string(const ConfigError& e) {
    if (e.line == 0) return e.file + ": " + e.what;
    return e.file + ":" + std::to_string(e.line) + ":" + std::to_string(e.column) + ": " + e.what;
}

}  // namespace leasemirror
