// What is wrong with a configuration file.
#pragma once

#include <string>

namespace leasemirror {

/// One thing wrong, where, and what was expected instead. Lines and columns count from 1.
struct ConfigError {
    std::string file;
    int line = 0;
    int column = 0;
    std::string what;  ///< "unknown key 'adress'; did you mean 'address'?"

    friend bool operator==(const ConfigError&, const ConfigError&) = default;
};
[[nodiscard]] std::string to_string(const ConfigError& e);  // "leasemirror.yaml:12:5: unknown key ..."

}  // namespace leasemirror
