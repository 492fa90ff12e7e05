#include "tests/agent/config/text.hpp"

#include <doctest/doctest.h>

#include <utility>
#include <variant>

namespace leasemirror::test {

Environment environment_of(std::map<std::string, std::string> variables) {
    return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        if (found == variables.end()) return std::nullopt;
        return found->second;
    };
}

std::string errors_text(const LoadedConfig& loaded) {
    const auto* const errors = std::get_if<std::vector<ConfigError>>(&loaded);
    if (errors == nullptr) return "no errors";
    std::string out;
    for (const auto& e : *errors)
        out += to_string(e) + "\n";
    return out;
}

Config config_of(const std::string& yaml, const Environment& environment) {
    const auto loaded = parse_config(yaml, "f.yaml", environment);
    REQUIRE_MESSAGE(std::holds_alternative<Config>(loaded), errors_text(loaded));
    return std::get<Config>(loaded);
}

const std::string storage_only = "storage: { url: sqlite:///x.db }\n";

std::string with_server(const std::string& family, const std::string& lines) {
    return storage_only + "servers:\n  - name: s\n    family: " + family + "\n    address: host\n" + lines;
}

}  // namespace leasemirror::test
