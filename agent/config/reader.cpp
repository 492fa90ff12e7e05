#include "agent/config/reader.hpp"

#include <algorithm>
#include <tuple>

namespace leasemirror {
namespace {

bool is_variable_name(std::string_view name) {
    return !name.empty() && name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
                                std::string_view::npos;
}

struct Substituted {
    std::string text;
    bool changed = false;
    std::vector<std::string> faults;
};

/// Replaces each ${NAME}; `$${` stands for a plain `${`.
Substituted substitute(std::string_view in, const Environment& environment) {
    Substituted out;
    while (!in.empty()) {
        const auto start = in.find("${");
        if (start == std::string_view::npos) break;
        if (start > 0 && in[start - 1] == '$') {
            out.text += in.substr(0, start - 1);
            out.text += "${";
            in.remove_prefix(start + 2);
            continue;
        }
        out.text += in.substr(0, start);
        const auto end = in.find('}', start);
        const auto name = in.substr(start + 2, end == std::string_view::npos ? end : end - start - 2);
        if (end == std::string_view::npos || !is_variable_name(name)) {
            out.faults.push_back("expected ${NAME} of an environment variable, not " + in_quotes(in.substr(start)) +
                                 "; write $${ for a plain ${");
            return out;
        }
        out.changed = true;
        if (const auto value = environment(std::string(name)))
            out.text += *value;
        else
            out.faults.push_back("environment variable " + in_quotes(name) +
                                 " is not set; set it, or write $${ for a plain ${");
        in.remove_prefix(end + 1);
    }
    out.text += in;
    return out;
}

}  // namespace

void ConfigSource::error(const YAML::Mark& at, std::string what) {
    errors_.push_back({file_, at.line + 1, at.column + 1, std::move(what)});
}

void ConfigSource::error(std::string what) {
    errors_.push_back({file_, 0, 0, std::move(what)});
}

std::optional<ConfigScalar> ConfigSource::scalar(const YAML::Node& node) {
    auto result = substitute(node.Scalar(), env_);
    for (auto& fault : result.faults)
        error(node.Mark(), std::move(fault));
    if (!result.faults.empty()) return std::nullopt;
    return ConfigScalar{std::move(result.text), in_quotes(node.Scalar()), node.Mark()};
}

std::vector<ConfigError> ConfigSource::take_errors() {
    std::stable_sort(errors_.begin(), errors_.end(), [](const ConfigError& a, const ConfigError& b) {
        return std::tie(a.line, a.column) < std::tie(b.line, b.column);
    });
    const auto repeated = [this](const ConfigError& e) {
        return std::find(errors_.begin(), errors_.begin() + (&e - errors_.data()), e) !=
               errors_.begin() + (&e - errors_.data());
    };
    std::vector<ConfigError> out;
    for (const auto& e : errors_)
        if (!repeated(e)) out.push_back(e);
    errors_.clear();
    return out;
}

std::string kind_of(const YAML::Node& node) {
    if (node.IsMap()) return "a map";
    if (node.IsSequence()) return "a list";
    if (node.IsScalar()) return in_quotes(node.Scalar());
    return "nothing";
}

MapReader::MapReader(ConfigSource& source, const YAML::Node& node, std::string path, const YAML::Mark& fallback)
    : source_(source), path_(std::move(path)), at_(fallback) {
    if (!node.IsDefined() || node.IsNull()) return;
    at_ = node.Mark();
    is_map_ = node.IsMap();
    if (!is_map_) {
        source_.error(at_, (path_.empty() ? "the configuration" : path_) + ": expected a map of keys and values, not " +
                               kind_of(node));
        return;
    }
    for (const auto& pair : node)
        add(pair.first, pair.second);
}

void MapReader::add(const YAML::Node& key, const YAML::Node& value) {
    if (!key.IsScalar()) {
        source_.error(key.Mark(), "expected a word as key, not " + kind_of(key));
        return;
    }
    if (const auto* const first = find(key.Scalar())) {
        source_.error(key.Mark(), "key " + in_quotes(key.Scalar()) + " is given twice; the first is in line " +
                                      std::to_string(first->key_at.line + 1));
        return;
    }
    entries_.push_back({key.Scalar(), key.Mark(), value, false});
}

const MapReader::Entry* MapReader::find(std::string_view key) const {
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
    return found == entries_.end() ? nullptr : &*found;
}

const MapReader::Entry* MapReader::ask(std::string_view key) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.push_back(key);
    return find(key);
}

void MapReader::allow_null(std::string_view key) {
    (void)ask(key);
    for (auto& entry : entries_)
        if (entry.key == key) entry.null_allowed = true;
}

bool MapReader::has(std::string_view key) {
    const auto* const entry = ask(key);
    return entry != nullptr && !entry->value.IsNull();
}

bool MapReader::is_empty(std::string_view key) {
    const auto* const entry = ask(key);
    return entry != nullptr && (entry->value.IsNull() || (entry->value.IsSequence() && entry->value.size() == 0));
}

void MapReader::require(std::string_view key) {
    if (ask(key) == nullptr && is_map_)
        source_.error(at_, "missing key " + in_quotes(key) + (path_.empty() ? "" : " in " + path_));
}

std::optional<ConfigScalar> MapReader::scalar(std::string_view key) {
    const auto* const entry = ask(key);
    if (entry == nullptr) return std::nullopt;
    if (entry->value.IsScalar()) return source_.scalar(entry->value);
    if (entry->value.IsNull() && entry->null_allowed) return std::nullopt;
    if (entry->value.IsNull())
        source_.error(entry->key_at, name_of(key) + " has no value; leave the key out to get its default");
    else
        source_.error(entry->value.Mark(), name_of(key) + ": expected a single value, not " + kind_of(entry->value));
    return std::nullopt;
}

MapReader MapReader::section(std::string_view key) {
    const auto* const entry = ask(key);
    return MapReader(source_, entry == nullptr ? YAML::Node() : entry->value, name_of(key), at(key));
}

std::vector<YAML::Node> MapReader::list(std::string_view key) {
    const auto* const entry = ask(key);
    if (entry == nullptr || entry->value.IsNull()) return {};
    if (entry->value.IsSequence()) return {entry->value.begin(), entry->value.end()};
    source_.error(entry->value.Mark(), name_of(key) + ": expected a list, not " + kind_of(entry->value));
    return {};
}

void MapReader::error(std::string_view key, const std::string& what) {
    source_.error(at(key), name_of(key) + ": " + what);
}

YAML::Mark MapReader::at(std::string_view key) const {
    const auto* const entry = find(key);
    if (entry == nullptr) return at_;
    // An empty value has the place of whatever comes after it.
    return entry->value.IsNull() ? entry->key_at : entry->value.Mark();
}

std::string MapReader::name_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

void MapReader::finish() {
    for (const auto& entry : entries_) {
        if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
        source_.error(entry.key_at, "unknown key " + in_quotes(entry.key) + "; " + did_you_mean(entry.key, known_));
    }
}

}  // namespace leasemirror
