// The command line as values: parsing it runs nothing and prints nothing.
#pragma once

#include "agent/config/exit_codes.hpp"
#include "agent/query/filter.hpp"
#include "proto/ip_address.hpp"
#include "storage/forgetting.hpp"
#include "storage/record.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace leasemirror {

struct RunCommand {
    std::string config;

    friend bool operator==(const RunCommand&, const RunCommand&) = default;
};

struct CheckCommand {
    std::string config;
    bool connect = false;

    friend bool operator==(const CheckCommand&, const CheckCommand&) = default;
};

struct StatusCommand {
    std::string config;
    bool json = false;

    friend bool operator==(const StatusCommand&, const StatusCommand&) = default;
};

struct DecodeCommand {
    std::string file;              ///< "-" = stdin
    std::optional<Family> family;  ///< none: told by the first message

    friend bool operator==(const DecodeCommand&, const DecodeCommand&) = default;
};

struct WhoCommand {
    std::string config;
    Sought sought;
    std::string at;  ///< a time as parse_time() reads it; empty: now, as the view `lease` has it
    bool json = false;

    friend bool operator==(const WhoCommand&, const WhoCommand&) = default;
};

struct WatchCommand {
    std::string config;
    std::optional<std::string> server;  ///< none: all
    std::optional<std::int64_t> since;  ///< none: what comes from now on
    std::optional<std::int64_t> limit;  ///< leave after so many rows
    bool json = false;

    friend bool operator==(const WatchCommand&, const WatchCommand&) = default;
};

struct QueryCommand {
    std::string config;
    std::vector<std::string> servers;  ///< at least one
    QueryFilter filter;
    QueryVia via = QueryVia::automatic;
    std::optional<std::uint32_t> tries;  ///< transmissions of each question over UDP
    std::optional<std::uint64_t> limit;  ///< leave after so many bindings
    bool json = false;
    bool multicast = false;  ///< over UDP, v6: All_DHCP_Servers too

    friend bool operator==(const QueryCommand&, const QueryCommand&) = default;
};

struct ForgetCommand {
    std::string config;
    ClientIdentity client;
    bool yes = false;  ///< without asking

    friend bool operator==(const ForgetCommand&, const ForgetCommand&) = default;
};

enum class SchemaAction : std::uint8_t { print, migrate, version };

struct SchemaCommand {
    std::string config;
    SchemaAction action = SchemaAction::print;

    friend bool operator==(const SchemaCommand&, const SchemaCommand&) = default;
};

/// Nothing to run: print `text` (to stdout if the code is 0, else to stderr) and leave.
struct Exit {
    int code = exit_fine;
    std::string text;

    friend bool operator==(const Exit&, const Exit&) = default;
};

using Command = std::variant<RunCommand, CheckCommand, StatusCommand, WhoCommand, WatchCommand, QueryCommand,
                             ForgetCommand, DecodeCommand, SchemaCommand, Exit>;

/// `arguments` without the program's name.
[[nodiscard]] Command parse_command_line(std::span<const char* const> arguments);

}  // namespace leasemirror
