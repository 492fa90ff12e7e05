// `leasemirror schema`: the tables in the database.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

namespace leasemirror {

enum class SchemaAction : std::uint8_t { print, migrate, version };

struct SchemaCommand {
    std::string config;
    SchemaAction action = SchemaAction::print;

    friend bool operator==(const SchemaCommand&, const SchemaCommand&) = default;
};

int execute(const SchemaCommand& command, std::ostream& out, std::ostream& err);

}  // namespace leasemirror
