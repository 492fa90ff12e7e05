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
                     Column{"MAC"}, Column{.heading = "REMOTE ID", .optional = true}, Column{"SINCE"}, Column{"UNTIL"},
                     Column{"ENDED"}});
    for (const auto& row : rows) {
        const auto until = boundary_cell(row, "ended_at", "ended_inferred");
        table.add({address_cell(row), cell_of(row, "vpn_id"), cell_of(row, "server"), cell_of(row, "client_id"),
                   cell_of(row, "hw_addr"), cell_of(row, "remote_id"), boundary_cell(row, "began_at", "began_inferred"),
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

}  // namespace

void print_who(const WhoAnswer& answer, std::ostream& out) {
    if (!answer.rows.empty()) return answer.at ? print_holders(answer.rows, out) : print_leases(answer.rows, out);
    out << "nobody " << (answer.at ? "held " : "holds ") << to_string(answer.sought)
        << (answer.at ? " at " + iso_utc(*answer.at) : " now") << " as far as is known here\n";
    bool mirrored = false;
    for (const auto& server : answer.servers) {
        if (server.family != answer.sought.address.family()) continue;
        mirrored = true;
        if (const auto caveat = caveat_of(server, answer.at.value_or(answer.now), answer.at.has_value());
            !caveat.empty())
            out << "  " << caveat << '\n';
    }
    if (!mirrored) out << "  no " << to_string(answer.sought.address.family()) << " server is mirrored\n";
    if (answer.at && answer.retention.count() > 0 && *answer.at < answer.now - answer.retention)
        out << "  what ended more than " << duration_text(answer.retention)
            << " ago is removed (storage.retention.assignments)\n";
}

int execute(const WhoCommand& command, std::ostream& out, std::ostream& err) {
    const auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    WhoAnswer answer;
    answer.sought = command.sought;
    answer.now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    answer.retention = config->storage.retention.assignments;
    if (!command.at.empty()) answer.at = *parse_time(command.at, answer.now);  // the command line has checked it
    if (answer.at > answer.now) {
        err << "leasemirror who: " << iso_utc(*answer.at) << " is in the future\n";
        return exit_usage;
    }
    try {
        const auto reader = open_reader(store_settings(*config));
        answer.servers = reader->servers();
        answer.rows = answer.at ? reader->holders_of(command.sought, *answer.at) : reader->leases_of(command.sought);
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
