#include "agent/config/load.hpp"

#include "agent/config/sections.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace leasemirror {
namespace {

/// What yaml-cpp says is terse; these two catch nearly everyone.
constexpr std::string_view syntax_hint =
    "; inside { } and [ ], values that contain { } [ ] or end in ':' need quotes, and indentation is spaces only";

void read_document(const std::vector<YAML::Node>& documents, ConfigSource& source, Config& out) {
    if (documents.empty() || documents[0].IsNull())
        return source.error("is empty; expected at least storage and servers");
    if (documents.size() > 1) source.error(documents[1].Mark(), "a second YAML document begins here; expected one");
    MapReader top(source, documents[0], "", documents[0].Mark());
    if (documents[0].IsMap()) read_config(top, out);
}

LoadedConfig file_error(const std::string& path, const std::string& what) {
    return std::vector<ConfigError>{{path, 0, 0, what}};
}

}  // namespace

LoadedConfig parse_config(std::string_view yaml, const std::string& file_name, const Environment& environment) {
    Config config;
    ConfigSource source(file_name, environment);
    try {
        read_document(YAML::LoadAll(std::string(yaml)), source, config);
    } catch (const YAML::Exception& e) {
        // The document is read as a whole, so nothing else is known of a file that is not YAML.
        source.error(e.mark.is_null() ? YAML::Mark() : e.mark, "not valid YAML: " + e.msg + std::string(syntax_hint));
    }
    if (auto errors = source.take_errors(); !errors.empty()) return errors;
    return config;
}

LoadedConfig load_config_file(const std::string& path, const Environment& environment) {
    std::error_code fault;
    if (std::filesystem::is_directory(path, fault)) return file_error(path, "is a directory; expected a YAML file");
    std::ifstream in(path, std::ios::binary);
    if (!in) return file_error(path, "cannot be read: " + std::generic_category().message(errno));
    const std::string text(std::istreambuf_iterator<char>(in), {});
    if (in.bad()) return file_error(path, "cannot be read: " + std::generic_category().message(errno));
    return parse_config(text, path, environment);
}

}  // namespace leasemirror
