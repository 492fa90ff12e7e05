// Walks the YAML tree, collects every error with its place, and knows which keys were asked for. Private to the
// configuration: no other header sees YAML.
#pragma once

#include "agent/config/environment.hpp"
#include "agent/config/error.hpp"
#include "agent/config/values.hpp"

#include <yaml-cpp/yaml.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace leasemirror {

/// A scalar with ${VAR} replaced.
struct ConfigScalar {
    std::string text;
    std::string shown;  ///< for error messages: as written in the file, since what the environment gave may be secret
    YAML::Mark at;
};

/// One file being read: its name, the environment, and what is wrong so far.
class ConfigSource {
public:
    ConfigSource(std::string file, const Environment& environment) : file_(std::move(file)), env_(environment) {}

    void error(const YAML::Mark& at, std::string what);
    /// An error of the file as a whole, without a line.
    void error(std::string what);
    /// Nothing if a variable is not set or a `${` is not closed; that is then reported.
    [[nodiscard]] std::optional<ConfigScalar> scalar(const YAML::Node& node);
    [[nodiscard]] const std::string& file() const { return file_; }
    /// In the order of the file, each once: a YAML alias is read as often as it is used.
    [[nodiscard]] std::vector<ConfigError> take_errors();

private:
    std::string file_;
    const Environment& env_;
    std::vector<ConfigError> errors_;
};

/// A choice of words: {{"v4", Family::v4}, {"v6", Family::v6}}.
template <class T>
using Words = std::initializer_list<std::pair<std::string_view, T>>;

template <class T>
[[nodiscard]] Parsed<T> parse_word(std::string_view text, Words<T> words) {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : words) {
        if (name == text) return value;
        names.push_back(name);
    }
    auto expected = "expected " + either_of(names);
    if (const auto meant = nearest(text, names); !meant.empty()) expected += " (nearest: " + std::string(meant) + ")";
    return Unexpected{expected};
}

/// One YAML map. Every key that a reader function names becomes a valid key; finish() reports the others.
/// A key that is absent leaves the default in place.
class MapReader {
public:
    /// `path` is how messages name the map: "storage.batch"; empty for the top level. A null node is an empty map.
    MapReader(ConfigSource& source, const YAML::Node& node, std::string path, const YAML::Mark& fallback);

    /// Whether the key is there with a value.
    [[nodiscard]] bool has(std::string_view key);
    /// Whether the key is there, and has nothing or an empty list for a value.
    [[nodiscard]] bool is_empty(std::string_view key);
    /// Reports the key's absence.
    void require(std::string_view key);
    [[nodiscard]] std::optional<ConfigScalar> scalar(std::string_view key);

    /// `parse` turns a string_view into a Parsed<T>.
    template <class T, class Parse>
    void read(std::string_view key, T& out, Parse parse) {
        const auto found = scalar(key);
        if (!found) return;
        auto parsed = parse(std::string_view(found->text));
        if (parsed)
            out = *std::move(parsed);
        else
            source_.error(found->at, name_of(key) + ": " + parsed.error() + ", not " + found->shown);
    }
    /// Like read(), for a key whose null is a meaning of its own and leaves the default.
    template <class T, class Parse>
    void read_or_null(std::string_view key, T& out, Parse parse) {
        allow_null(key);
        read(key, out, parse);
    }

    [[nodiscard]] MapReader section(std::string_view key);
    [[nodiscard]] std::vector<YAML::Node> list(std::string_view key);

    /// Reports an error at the key's value, or at the map if the key is absent.
    void error(std::string_view key, const std::string& what);
    [[nodiscard]] YAML::Mark at(std::string_view key) const;
    [[nodiscard]] std::string name_of(std::string_view key) const;
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] ConfigSource& source() { return source_; }
    /// Reports the keys that nobody asked for.
    void finish();

private:
    struct Entry {
        std::string key;
        YAML::Mark key_at;
        YAML::Node value;  // never assigned to: that would change the tree
        bool null_allowed;
    };
    [[nodiscard]] const Entry* find(std::string_view key) const;
    const Entry* ask(std::string_view key);
    void allow_null(std::string_view key);
    void add(const YAML::Node& key, const YAML::Node& value);

    ConfigSource& source_;
    std::string path_;
    YAML::Mark at_;
    bool is_map_ = true;
    std::vector<Entry> entries_;
    std::vector<std::string_view> known_;  // string literals of the callers
};

/// "expected X, not a list": how messages name what a node is.
[[nodiscard]] std::string kind_of(const YAML::Node& node);

}  // namespace leasemirror
