#include "agent/cli/watch.hpp"

#include "agent/cli/configuration.hpp"
#include "agent/cli/exit_code.hpp"
#include "agent/cli/feed_follower.hpp"
#include "agent/cli/output_pipe.hpp"
#include "agent/cli/table_text.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/store_settings.hpp"
#include "agent/config/values.hpp"
#include "agent/query/record_text.hpp"
#include "storage/opening.hpp"
#include "storage/reader.hpp"

#include <poll.h>
#include <algorithm>
#include <csignal>
#include <ostream>
#include <vector>

namespace leasemirror {
namespace {

volatile std::sig_atomic_t stop_was_asked_for = 0;  // a signal handler can reach nothing else

extern "C" void ask_to_stop(int) {
    stop_was_asked_for = 1;
}

/// SIGINT and SIGTERM end the watch, and interrupt its waiting; a reader that has gone is no signal but a failed write.
void take_signals() {
    struct sigaction action {};
    action.sa_handler = ask_to_stop;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, nullptr);
}

void print_heading(std::ostream& out) {
    out << watch_line({"SEQ", "AT", "CHANGE", "ADDRESS", "SERVER", "STATE", "UNTIL", "CLIENT"});
}

void print_row(const Record& row, std::ostream& out) {
    out << watch_line({cell_of(row, "seq"), cell_of(row, "at"), cell_of(row, "change"), address_cell(row),
                       cell_of(row, "server"), cell_of(row, "state"), cell_of(row, "expires_at"),
                       cell_of(row, "client_id") + (flag_of(row, "inferred") ? "  (inferred)" : "")});
}

/// What is wrong with the name, or nothing.
std::string fault_of_name(const std::string& name, const Config& config, Reader& reader) {
    std::vector<std::string> known;
    for (const auto& server : config.servers)
        known.push_back(server.name);
    for (const auto& server : reader.servers())
        if (std::find(known.begin(), known.end(), server.name) == known.end()) known.push_back(server.name);
    if (std::find(known.begin(), known.end(), name) != known.end()) return {};
    return "unknown server " + in_quotes(name) + "; " +
           did_you_mean(name, std::vector<std::string_view>(known.begin(), known.end()));
}

}  // namespace

std::string watch_line(const std::array<std::string, 8>& cells) {
    constexpr std::array<std::size_t, 8> widths{8, 20, 8, 18, 12, 9, 20, 0};
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const std::string shown = cells[i].empty() ? "-" : cells[i];
        const auto width = width_of(shown);
        line += i > 0 ? "  " : "";
        line += shown + std::string(widths[i] > width ? widths[i] - width : 0, ' ');
    }
    return line + "\n";
}

int execute(const WatchCommand& command, std::ostream& out, std::ostream& err) {
    const auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    take_signals();
    FeedHooks hooks;
    hooks.row = [&](const Record& row) {
        if (command.json)
            out << json_line(row) << '\n';
        else
            print_row(row, out);
    };
    hooks.lost = [&](std::int64_t first, std::int64_t last) {
        if (command.json) out << R"({"lost_from":)" << first << R"(,"lost_to":)" << last << "}\n";
        hooks.say("rows from seq " + std::to_string(first) + " to " + std::to_string(last) +
                  " have been removed (storage.retention.changes)");
    };
    hooks.flush = [&] { return static_cast<bool>(out.flush()); };
    hooks.say = [&](const std::string& text) { err << "leasemirror watch: " << text << std::endl; };
    hooks.stopping = [] { return stop_was_asked_for != 0 || nobody_reads(); };
    hooks.pause = [](std::chrono::milliseconds time) { ::poll(nullptr, 0, static_cast<int>(time.count())); };
    try {
        const auto reader = open_reader(store_settings(*config));
        if (command.server) {
            if (const auto fault = fault_of_name(*command.server, *config, *reader); !fault.empty()) {
                hooks.say(fault);
                return exit_usage;
            }
        }
        if (!command.json) print_heading(out);
        follow_feed(*reader, {command.server, command.since, command.limit, command.skip_lost}, hooks);
        if (out || nobody_reads()) return exit_fine;
        hooks.say("cannot write to the standard output");
        return exit_found_wrong;
    } catch (const StoreError& e) {
        hooks.say(e.what());
        return exit_code_of(e);
    }
}

}  // namespace leasemirror
