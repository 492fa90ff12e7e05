// `leasemirror who`: who holds an address, or held it at a time; and what a client or a line held.
#pragma once

#include "storage/reader.hpp"

#include <chrono>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

struct WhoCommand {
    std::string config;
    Sought sought;
    std::string at;  ///< a time as parse_time() reads it; empty: now, as the view `lease` has it
    bool json = false;
    std::optional<HolderSought> holder = {};  ///< if there is one: instead of `sought`
    std::string from = {}, to = {};           ///< likewise times; empty: none. Not together with `at`

    friend bool operator==(const WhoCommand&, const WhoCommand&) = default;
};

int execute(const WhoCommand& command, std::ostream& out, std::ostream& err);

/// What `who` found, and what it takes to say how far an empty answer is to be trusted.
struct WhoAnswer {
    Sought sought;
    std::optional<HolderSought> holder;  ///< if there is one: instead of `sought`
    UtcSeconds now{};
    std::optional<UtcSeconds> at;       ///< a moment ...
    std::optional<TimeSpan> within;     ///< ... or a time; neither: who holds it now
    std::chrono::seconds retention{0};  ///< of assignments, after they ended; 0: for ever
    std::vector<Record> rows;
    std::vector<ServerOverview> servers;
};
/// For people. An inferred boundary is shown as "by TIME": then, or before.
void print_who(const WhoAnswer& answer, std::ostream& out);

}  // namespace leasemirror
