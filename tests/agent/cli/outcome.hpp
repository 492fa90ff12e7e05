// What a command printed and returned.
#pragma once

#include "agent/cli/commands.hpp"

#include <nlohmann/json.hpp>

#include <sstream>
#include <string>
#include <vector>

namespace leasemirror::test {

struct Outcome {
    int code;
    std::string out;
    std::string err;

    /// Its output with --json.
    [[nodiscard]] std::vector<nlohmann::json> rows() const {
        std::vector<nlohmann::json> parsed;
        std::istringstream in(out);
        for (std::string line; std::getline(in, line);)
            parsed.push_back(nlohmann::json::parse(line));
        return parsed;
    }
};

template <class C>
Outcome outcome_of(const C& command) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = execute(command, out, err);
    return {code, out.str(), err.str()};
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace leasemirror::test
