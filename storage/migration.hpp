// The numbered schema migrations, embedded at build time by schema/embed.cmake.
#pragma once

#include <span>
#include <string_view>

namespace leasemirror {

/// Brings a database from version N to N + 1, where N is its place in the table.
struct Migration {
    std::string_view file;
    std::string_view sql;
};

extern const std::span<const Migration> sqlite_migrations;
extern const std::span<const Migration> postgresql_migrations;

}  // namespace leasemirror
