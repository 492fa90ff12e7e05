#include "agent/cli/verify.hpp"

#include "agent/cli/configuration.hpp"
#include "agent/cli/exit_code.hpp"
#include "agent/cli/health.hpp"
#include "agent/cli/output_pipe.hpp"
#include "agent/cli/table_text.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/store_settings.hpp"
#include "agent/config/time_text.hpp"
#include "agent/config/values.hpp"
#include "agent/daemon/identity.hpp"
#include "agent/daemon/stop_signal.hpp"
#include "agent/query/record_text.hpp"
#include "proto/status.hpp"
#include "storage/ledger/mirror_reader.hpp"
#include "storage/opening.hpp"
#include "storage/reader.hpp"

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <ostream>
#include <vector>

namespace leasemirror {
namespace {

std::string counted(std::uint64_t n, const std::string& one, const std::string& many) {
    return std::to_string(n) + " " + (n == 1 ? one : many);
}

std::string client_cell(const Difference& difference) {
    return difference.client_id.empty() ? difference.hw_addr : identifier_text(difference.client_id);
}

void print_table(const std::string& server, const std::vector<Difference>& differences, std::ostream& out) {
    TextTable table({{"ADDRESS"}, {.heading = "VPN", .optional = true}, {"DIFFERENCE"}, {"CLIENT"}, {"SERVER"}});
    for (const auto& difference : differences) {
        const auto row = difference_record(server, difference);
        table.add({address_cell(row), cell_of(row, "vpn_id"), cell_of(row, "difference"), client_cell(difference),
                   cell_of(row, "server")});
        if (difference.kind != Difference::Kind::changed) continue;
        for (const auto& column : difference.columns)
            table.add_note("  " + to_string(column));
    }
    if (!differences.empty()) table.print(out);
}

void print(const std::string& server, const std::vector<Difference>& differences, bool json, std::ostream& out) {
    if (!json) return print_table(server, differences, out);
    for (const auto& difference : differences)
        out << json_line(difference_record(server, difference)) << '\n';
}

/// The servers that are meant, or what is wrong with the name.
Result<std::vector<const ServerConfig*>, std::string> chosen_servers(const VerifyCommand& command,
                                                                     const Config& config) {
    std::vector<const ServerConfig*> out;
    if (command.server) {
        const auto server = find_server(*command.server, config);
        if (!server) return Unexpected{server.error()};
        return std::vector{*server};
    }
    for (const auto& server : config.servers)
        out.push_back(&server);
    return out;
}

/// 0, or the exit code where it could not be written: a role may be allowed to read alone.
int record(const StoreSettings& settings, const ServerConfig& server, const VerifyReport& report, std::ostream& err) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    try {
        record_verify(settings, report.server_id, now, report.compared.differences.size());
        return exit_fine;
    } catch (const StoreError& e) {
        err << printable(server.name) << ": the result could not be recorded: " << e.what() << std::endl;
        return exit_code_of(e);
    }
}

/// Of `verify`: one server after the other.
class Verification {
public:
    Verification(const VerifyCommand& command, const Config& config, std::ostream& out, std::ostream& err)
        : command_(command),
          config_(config),
          settings_(store_settings(config)),
          reader_(open_reader(settings_)),
          mirror_(open_mirror_reader(settings_)),
          out_(out),
          err_(err) {}

    [[nodiscard]] bool goes_on() const { return !stop_.asked() && out_; }

    /// Compares; prints and records what came of it, and repairs it if that is wanted. Returns the exit code: it is 1, too,
    /// where what was found has been repaired.
    [[nodiscard]] int verify(const ServerConfig& server) {
        const auto report = compare(server);
        if (!command_.repair || report.compared.differences.empty() || !goes_on()) return code_of(server, report);
        if (!repair(server)) return std::max(code_of(server, report), int{exit_found_wrong});
        say(server, "compared again after the repair");
        const auto after = compare(server);
        return std::max(code_of(server, after), int{exit_found_wrong});
    }

private:
    void say(const ServerConfig& server, const std::string& note) {
        err_ << printable(server.name) << ": " << printable(note) << std::endl;
    }

    [[nodiscard]] VerifyReport compare(const ServerConfig& server) {
        QueryProgress progress(err_, ::isatty(STDERR_FILENO) == 1, std::chrono::steady_clock::now());
        const auto note = [&](const std::string& text) {
            progress.clear();
            say(server, text);
        };
        auto report = verify_server(server, {asking_duid(config_), *reader_, *mirror_, progress, stop_, note});
        progress.clear();
        print(server.name, report.compared.differences, command_.json, out_);
        out_.flush();
        err_ << closing_text(server.name, report) << std::flush;
        return report;
    }

    [[nodiscard]] int code_of(const ServerConfig& server, const VerifyReport& report) {
        return report.whole ? std::max(report.code, record(settings_, server, report, err_)) : report.code;
    }

    /// By the way that all rows come: the agent reads the server in full. False: it has not done so.
    [[nodiscard]] bool repair(const ServerConfig& server) {
        const auto asked =
            give_order(settings_, {OrderKind::resync, server.name, "verify --repair, " + user_at_host()});
        if (asked != OrderAnswer::taken) {
            say(server, "no agent has opened it yet, so there is nobody to repair it");
            return false;
        }
        say(server, "the agent is asked to read it in full");
        while (goes_on()) {
            const auto servers = reader_->servers();
            const auto found =
                std::find_if(servers.begin(), servers.end(), [&](const auto& s) { return s.name == server.name; });
            if (found == servers.end() || !found->resync_asked_at) return found != servers.end();
            const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
            if (const auto nobody = missing_agent(*found, now); !nobody.empty()) {
                say(server, nobody + "; the order waits for one");
                return false;
            }
            if (found->paused_at) {
                say(server, paused_text(*found, now) + "; the order waits until it is resumed");
                return false;
            }
            reader_->wait_for_changes(std::chrono::milliseconds{300});
        }
        return false;
    }

    const VerifyCommand& command_;
    const Config& config_;
    const StoreSettings settings_;
    const std::unique_ptr<Reader> reader_;
    const std::unique_ptr<MirrorReader> mirror_;
    std::ostream& out_;
    std::ostream& err_;
    StopSignal stop_;
};

int verify_all(const std::vector<const ServerConfig*>& servers, const VerifyCommand& command, const Config& config,
               std::ostream& out, std::ostream& err) {
    Verification verification(command, config, out, err);
    int code = exit_fine;
    for (const auto* const server : servers)
        if (verification.goes_on()) code = std::max(code, verification.verify(*server));
    if (!out && !nobody_reads()) {
        err << "leasemirror verify: cannot write to the standard output\n";
        return exit_found_wrong;
    }
    return code;
}

}  // namespace

Record difference_record(const std::string& server, const Difference& difference) {
    std::string columns;
    for (const auto& column : difference.columns)
        columns += (columns.empty() ? "{\"" : ",\"") + std::string(column.column) + "\":[" + json_value(column.mirror) +
                   "," + json_value(column.server) + "]";
    columns += columns.empty() ? "{}" : "}";
    const auto& key = difference.key;
    return {{"server", server},
            {"vpn_id", key.vpn_id},
            {"kind", std::string(to_string(key.kind))},
            {"address", key.address.to_string()},
            {"prefix_len", std::int64_t{key.prefix_len}},
            {"difference", std::string(to_string(difference.kind))},
            {"columns", JsonText{std::move(columns)}}};
}

std::string closing_text(const std::string& server, const VerifyReport& report) {
    std::string out;
    const auto line = [&](const std::string& text) { out += printable(server) + ": " + text + "\n"; };
    const auto& compared = report.compared;
    if (!report.fault.empty()) {
        line(report.fault);
        return out;
    }
    const auto bindings = [](std::uint64_t n) { return counted(n, "binding", "bindings"); };
    if (compared.pending > 0) {
        const auto since = report.right_up_to ? iso_utc(*report.right_up_to) : std::string("an unknown time");
        line(bindings(compared.pending) + " not compared: changed or gone since " + since +
             ", up to which the mirror is right, as far as can be told");
    }
    if (compared.in_doubt > 0)
        line(bindings(compared.in_doubt) + " in doubt, which the mirror says itself: not counted as differences");
    if (compared.unconfirmed > 0) line(bindings(compared.unconfirmed) + " not alike, but could not be looked at twice");
    if (compared.left_out > 0)
        line(bindings(compared.left_out) + " more are not alike at first sight, and were not looked into");
    if (!report.whole) line("not all of it could be compared; the result is not recorded");
    const auto total = compared.differences.size();
    auto text =
        bindings(report.listed) + fmt::format(" read in {:.1f} s, ", static_cast<double>(report.took.count()) / 1000);
    text += total == 0 ? "no differences" : counted(total, "difference", "differences");
    if (total > 0)
        text += fmt::format(": {} missing, {} extra, {} changed", compared.count(Difference::Kind::missing),
                            compared.count(Difference::Kind::extra), compared.count(Difference::Kind::changed));
    line(text);
    return out;
}

int execute(const VerifyCommand& command, std::ostream& out, std::ostream& err) {
    const auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    const auto servers = chosen_servers(command, *config);
    if (!servers) {
        err << "leasemirror verify: " << servers.error() << '\n';
        return exit_usage;
    }
    try {
        return verify_all(*servers, command, *config, out, err);
    } catch (const StoreError& e) {
        err << "leasemirror verify: " << e.what() << '\n';
        return exit_code_of(e);
    }
}

}  // namespace leasemirror
