#include "agent/cli/who.hpp"

#include "agent/cli/configuration.hpp"
#include "agent/cli/exit_code.hpp"
#include "agent/cli/table_text.hpp"
#include "agent/cli/values.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/store_settings.hpp"
#include "agent/config/time_text.hpp"
#include "agent/query/record_text.hpp"
#include "proto/status.hpp"
#include "storage/opening.hpp"

#include <algorithm>
#include <chrono>
#include <ostream>
#include <vector>

namespace leasemirror {
namespace {

/// From here on it is worth saying that a mirror lags: servers may be silent for as long when nothing happens.
constexpr std::chrono::seconds lag_worth_saying = std::chrono::minutes{2};

/// An inferred boundary is a bound: the thing happened at that time or before.
std::string boundary_cell(const Record& row, std::string_view column, std::string_view inferred) {
    const auto at = cell_of(row, column);
    return !at.empty() && flag_of(row, inferred) ? "by " + at : at;
}

/// What came that does not settle whether it is so (storage/README.md, "Table `binding`"); empty for a newer version's word.
std::string_view doubt_in_words(Doubt doubt) {
    switch (doubt) {
        case Doubt::none:
            return {};
        case Doubt::unlisted:
            return "a newer list of its client leaves it out";
        case Doubt::link_unknown:
            return "a newer list of its client, maybe of another link, leaves it out";
        case Doubt::other_client:
            return "the end of another client's lease was told";
        case Doubt::unreadable:
            return "something was told of it that could not be read";
        case Doubt::scope_unreadable:
            return "a full bulk did not list it, and had replies that could not be read";
        case Doubt::unlistable:
            return "changes may have been missed, and no bulk query can list it";
        case Doubt::refused:
            return "the database refused what was told of it last";
    }
    return {};
}

void print_doubts(const std::vector<Record>& rows, std::ostream& out) {
    for (const auto& row : rows) {
        const auto word = cell_of(row, "doubt");
        if (word.empty()) continue;
        const auto text = doubt_in_words(doubt_from_word(word));
        out << "  " << address_cell(row) << " on " << cell_of(row, "server") << " is in doubt";
        if (!text.empty()) out << ": " << text;
        out << " (" << word << ")\n";
    }
}

void print_leases(const std::vector<Record>& rows, std::ostream& out) {
    using Column = TextTable::Column;
    TextTable table({Column{"ADDRESS"}, Column{.heading = "VPN", .optional = true}, Column{"SERVER"},
                     Column{.heading = "ALSO ON", .optional = true}, Column{"CLIENT"}, Column{"MAC"},
                     Column{.heading = "HOSTNAME", .optional = true}, Column{"SINCE"}, Column{"UNTIL"},
                     Column{"AS OF"}});
    for (const auto& row : rows) {
        const auto until = cell_of(row, "expires_at");
        table.add({address_cell(row), cell_of(row, "vpn_id"), cell_of(row, "server"), cell_of(row, "also_on"),
                   cell_of(row, "client_id"), cell_of(row, "hw_addr"), cell_of(row, "hostname"),
                   boundary_cell(row, "began_at", "inferred"), until.empty() ? "for ever" : until,
                   cell_of(row, "fresh_as_of")});
    }
    table.print(out);
    print_doubts(rows, out);
}

void print_holders(const std::vector<Record>& rows, std::ostream& out) {
    using Column = TextTable::Column;
    TextTable table({Column{"ADDRESS"}, Column{.heading = "VPN", .optional = true}, Column{"SERVER"}, Column{"CLIENT"},
                     Column{"MAC"}, Column{.heading = "HOSTNAME", .optional = true},
                     Column{.heading = "REMOTE ID", .optional = true},
                     Column{.heading = "CIRCUIT ID", .optional = true}, Column{"SINCE"}, Column{"UNTIL"},
                     Column{"ENDED"}});
    for (const auto& row : rows) {
        const auto until = boundary_cell(row, "ended_at", "ended_inferred");
        table.add({address_cell(row), cell_of(row, "vpn_id"), cell_of(row, "server"), cell_of(row, "client_id"),
                   cell_of(row, "hw_addr"), cell_of(row, "hostname"), cell_of(row, "remote_id"),
                   cell_of(row, "circuit_id"), boundary_cell(row, "began_at", "began_inferred"),
                   until.empty() ? "now" : until, cell_of(row, "end_reason")});
    }
    table.print(out);
}

/// `in_the_past`: `at` is not now.
std::string caveat_of(const ServerOverview& server, UtcSeconds at, bool in_the_past) {
    const auto name = printable(server.name);
    if (in_the_past && server.known_since && at < *server.known_since)
        return name + ": its history begins " + iso_utc(*server.known_since) + "; who held what before is not known";
    if (!server.fresh_as_of) return name + ": nothing of it is mirrored yet";
    if (*server.fresh_as_of + lag_worth_saying < at)
        return name + ": its mirror is right up to " + iso_utc(*server.fresh_as_of) + " only (phase " + server.phase +
               ")";
    if (server.refused > 0)
        return name + ": the database refused bindings of it (" + std::to_string(server.refused) + "; see quarantine)";
    if (server.coverage != to_string(Coverage::full))
        return name + ": its coverage is partial: it may hold what the configured queries do not return";
    if (server.doubts > 0) return name + ": bindings of it are in doubt (" + std::to_string(server.doubts) + ")";
    return {};
}

/// "nobody holds 192.0.2.7 now", "MAC 02:00:00:00:00:01 held nothing from ... to ..."
std::string nothing_found(const WhoAnswer& answer) {
    const bool past = answer.at || answer.within;
    std::string when = " now";
    if (answer.at) when = " at " + iso_utc(*answer.at);
    if (answer.within) when = " from " + iso_utc(answer.within->from) + " to " + iso_utc(answer.within->to);
    if (answer.holder) return to_string(*answer.holder) + (past ? " held nothing" : " holds nothing") + when;
    return std::string("nobody ") + (past ? "held " : "holds ") + to_string(answer.sought) + when;
}

/// The latest moment that is asked about, and the earliest.
UtcSeconds last_moment(const WhoAnswer& answer) {
    return answer.within ? answer.within->to - std::chrono::seconds{1} : answer.at.value_or(answer.now);
}
UtcSeconds first_moment(const WhoAnswer& answer) {
    return answer.within ? answer.within->from : answer.at.value_or(answer.now);
}

void print_caveats(const WhoAnswer& answer, std::ostream& out) {
    const bool past = answer.at || answer.within;
    bool mirrored = false;
    for (const auto& server : answer.servers) {
        if (!answer.holder && server.family != answer.sought.address.family()) continue;
        mirrored = true;
        auto caveat = caveat_of(server, last_moment(answer), past);
        if (caveat.empty() && answer.within) caveat = caveat_of(server, first_moment(answer), past);
        if (!caveat.empty()) out << "  " << caveat << '\n';
    }
    if (!mirrored && answer.holder) out << "  no server is mirrored\n";
    if (!mirrored && !answer.holder)
        out << "  no " << to_string(answer.sought.address.family()) << " server is mirrored\n";
    if (past && answer.retention.count() > 0 && first_moment(answer) < answer.now - answer.retention)
        out << "  what ended more than " << duration_text(answer.retention)
            << " ago is removed (storage.retention.assignments)\n";
}

/// A mistake in the times, in words; empty if there is none.
std::string read_times(const WhoCommand& command, WhoAnswer& answer) {
    const auto in_the_future = [&](UtcSeconds t) { return t > answer.now; };
    const auto future = [](UtcSeconds t) { return iso_utc(t) + " is in the future"; };
    if (!command.at.empty()) answer.at = *parse_time(command.at, answer.now);  // the command line has checked it
    if (answer.at && in_the_future(*answer.at)) return future(*answer.at);
    if (command.from.empty()) return {};
    TimeSpan within{*parse_time(command.from, answer.now), answer.now};
    if (!command.to.empty()) within.to = *parse_time(command.to, answer.now);
    if (in_the_future(within.from)) return future(within.from);
    if (within.from >= within.to) return "--from " + iso_utc(within.from) + " is not before --to " + iso_utc(within.to);
    within.to = std::min(within.to, answer.now);  // this month, say, which is not over
    answer.within = within;
    return {};
}

std::vector<Record> rows_of(Reader& reader, const WhoAnswer& answer) {
    const auto find = [&](const auto& sought) {
        if (answer.within) return reader.holders_of(sought, *answer.within);
        if (answer.at) return reader.holders_of(sought, TimeSpan{*answer.at, *answer.at + std::chrono::seconds{1}});
        return reader.leases_of(sought);
    };
    return answer.holder ? find(*answer.holder) : find(answer.sought);
}

}  // namespace

void print_who(const WhoAnswer& answer, std::ostream& out) {
    if (!answer.rows.empty())
        return answer.at || answer.within ? print_holders(answer.rows, out) : print_leases(answer.rows, out);
    out << nothing_found(answer) << " as far as is known here\n";
    print_caveats(answer, out);
}

int execute(const WhoCommand& command, std::ostream& out, std::ostream& err) {
    const auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    WhoAnswer answer;
    answer.sought = command.sought;
    answer.holder = command.holder;
    answer.now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    answer.retention = config->storage.retention.assignments;
    if (const auto mistake = read_times(command, answer); !mistake.empty()) {
        err << "leasemirror who: " << mistake << '\n';
        return exit_usage;
    }
    try {
        const auto reader = open_reader(store_settings(*config));
        answer.servers = reader->servers();
        answer.rows = rows_of(*reader, answer);
    } catch (const StoreError& e) {
        err << "leasemirror who: " << e.what() << '\n';
        return exit_code_of(e);
    }
    if (command.json)
        for (const auto& row : answer.rows)
            out << json_line(row) << '\n';
    if (!command.json || answer.rows.empty()) print_who(answer, command.json ? err : out);
    return answer.rows.empty() ? exit_found_wrong : exit_fine;
}

}  // namespace leasemirror
