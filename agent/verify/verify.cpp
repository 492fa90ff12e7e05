#include "agent/verify/verify.hpp"

#include "agent/config/exit_codes.hpp"
#include "agent/config/full_read.hpp"
#include "agent/config/time_text.hpp"
#include "agent/net/host.hpp"
#include "agent/query/probe_connection.hpp"
#include "agent/verify/bulk_reading.hpp"
#include "storage/ledger/mirror_reader.hpp"
#include "storage/reader.hpp"

#include <poll.h>
#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace leasemirror {
namespace {

using std::chrono::milliseconds;

/// Rows that are looked up, or read, in one transaction: it is over in milliseconds.
constexpr std::size_t rows_per_look = 500;
constexpr std::size_t rows_per_page = 2000;
/// From so many candidates on, those that the mirror has caught up with are let go while the server is read.
constexpr std::size_t candidates_many = 1000;
/// Between two looks at how far the mirror has come.
constexpr milliseconds look_interval{500};
/// The skew that the mirror has may move by so much; by more, somebody has set a clock.
constexpr std::int64_t skew_move_max_ms = 2000;

UtcSeconds utc_now() {
    return std::chrono::floor<std::chrono::seconds>(host_now().utc);
}

bool is_polled(const ServerConfig& config, const ServerOverview& server) {
    return config.mode == SyncMode::bulk || server.support.active == false || server.phase == "polling";
}

MirrorMark mark_of(const ServerConfig& config, const ServerOverview& server) {
    MirrorMark out;
    out.right_up_to = server.fresh_as_of;
    out.moves =
        server.agent_alive && !is_polled(config, server) && server.phase != "down" && server.phase != "disabled";
    return out;
}

/// The work on one server; all that it has to remember.
class Verification {
public:
    Verification(const ServerConfig& config, const VerifyMeans& with) : config_(config), with_(with) {}

    VerifyReport run() {
        const auto began = host_now().steady;
        compare();
        if (with_.stop.asked()) {  // that a connection ended is then our doing
            report_.code = exit_found_wrong;
            fail("interrupted; nothing can be said", exit_found_wrong);
        }
        report_.took = std::chrono::round<milliseconds>(host_now().steady - began);
        return std::move(report_);
    }

private:
    void compare();
    [[nodiscard]] std::optional<ServerOverview> overview();
    [[nodiscard]] std::optional<BulkReading> read_server(Skew skew, const BulkReading::OnListed& on_listed);
    void look_at_listed(Comparison& comparison);
    void read_unlisted(Comparison& comparison);
    [[nodiscard]] bool look_again(Comparison& comparison);
    [[nodiscard]] bool settle(Comparison& comparison);
    [[nodiscard]] std::vector<BindingRow> rows_at(const std::vector<IpAddress>& addresses);
    void fail(std::string why, int code) {
        report_.fault = std::move(why);
        report_.code = std::max(report_.code, code);
        report_.whole = false;
    }

    struct Listed {
        BindingRow told;
        UtcSeconds heard_at;
    };

    const ServerConfig& config_;
    const VerifyMeans& with_;
    VerifyReport report_;
    std::vector<Listed> listed_;  // not looked up yet
    SteadyTime thinned_at_{};
};

void Verification::compare() {
    const auto server = overview();
    if (!server) return fail("it is not in the database yet: there is nothing to compare with", exit_found_wrong);
    report_.server_id = server->server_id;
    if (full_read_queries(config_).empty())
        return fail("DHCPv6 has no query for everything, and no bulk.queries are configured", exit_found_wrong);
    if (!server->fresh_as_of)
        return fail("the mirror has not read it in full yet: there is nothing to compare with", exit_found_wrong);
    const Skew skew{server->clock_skew_ms.value_or(0)};
    Comparison comparison(mark_of(config_, *server));

    const auto first = read_server(skew, [&](BindingRow told, UtcSeconds heard_at) {
        listed_.push_back({std::move(told), heard_at});
        if (listed_.size() >= rows_per_look) look_at_listed(comparison);
    });
    if (!first || with_.stop.asked()) return;
    look_at_listed(comparison);
    report_.listed = first->listed();
    auto whole = first->reading().whole;
    comparison.end_listing(first->reading());
    read_unlisted(comparison);
    whole = settle(comparison) && whole;
    if (comparison.candidates() > 0 && !with_.stop.asked()) {
        with_.progress.clear();
        const auto second =
            read_server(skew, [&](const BindingRow& told, UtcSeconds) { comparison.on_listed_again(told); });
        if (!second) return;
        comparison.conclude(rows_at(comparison.addresses()), second->reading(), utc_now());
        whole = whole && second->reading().whole;
    }
    const auto after = overview();
    if (!after || std::abs(after->clock_skew_ms.value_or(0) - skew.count()) > skew_move_max_ms)
        return fail("a clock was set meanwhile, its own or the agent's: nothing can be said; run it again",
                    exit_found_wrong);
    report_.compared = comparison.result();
    report_.whole = whole && report_.compared.left_out == 0 && report_.compared.unconfirmed == 0;
    report_.code = report_.whole && report_.compared.differences.empty() ? exit_fine : exit_found_wrong;
}

std::optional<ServerOverview> Verification::overview() {
    for (auto& server : with_.reader.servers())
        if (server.name == config_.name) return std::move(server);
    return std::nullopt;
}

/// Reads all that the queries list. Nothing if the server could not be connected to, which is then in the report.
std::optional<BulkReading> Verification::read_server(Skew skew, const BulkReading::OnListed& on_listed) {
    ProbeConnection connection;
    const Interrupt::Hook hook(with_.stop, [&connection] { connection.interrupt(); });
    if (const auto fault = connection.connect(config_)) {
        fail(*fault, exit_cannot_connect);
        return std::nullopt;
    }
    const auto settings =
        session_settings(config_, with_.requestor_duid, config_.request_options, config_.timeouts.data);
    BulkReading reading(config_, settings, skew, on_listed, with_.say);
    reading.start(host_session_now());
    while (!reading.over()) {
        const bool went_on =
            connection.drive(reading.session(), config_.timeouts.data, [&](const SessionAction& action) {
                reading.on_action(action, host_now(), host_session_now());
                return true;
            });
        if (!went_on) reading.fail("no reply for " + duration_text(config_.timeouts.data) + " (timeouts.data)");
        if (with_.stop.asked()) break;
        with_.progress.tick(reading.listed(), host_now().steady);
    }
    if (const auto& refusal = connection.refusal()) {  // TLS: our certificate, judged after connect() was through
        fail("cannot connect to " + connection.endpoint() + ": " + *refusal, exit_cannot_connect);
        return std::nullopt;
    }
    return reading;
}

/// The rows are read after the server has said what it has: that order is what the comparison relies on.
void Verification::look_at_listed(Comparison& comparison) {
    std::vector<IpAddress> addresses;
    addresses.reserve(listed_.size());
    for (const auto& listed : listed_)
        addresses.push_back(listed.told.key.address);
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    const auto rows = rows_at(addresses);
    std::map<BindingKey, const BindingRow*> found;
    for (const auto& row : rows)
        found.emplace(row.key, &row);
    const auto now = utc_now();
    for (const auto& listed : listed_) {
        const auto row = found.find(listed.told.key);
        comparison.on_listed(listed.told, listed.heard_at, row == found.end() ? nullptr : row->second, now);
    }
    listed_.clear();
    const auto steady = host_now().steady;
    if (comparison.candidates() < candidates_many || steady - thinned_at_ < std::chrono::seconds{2}) return;
    thinned_at_ = steady;
    (void)look_again(comparison);
}

void Verification::read_unlisted(Comparison& comparison) {
    for (std::int64_t after = 0;;) {
        const auto page = with_.mirror.in_force_after(report_.server_id, after, rows_per_page);
        const auto now = utc_now();
        for (const auto& row : page.rows)
            comparison.on_row(row, now);
        if (page.cursor == after || with_.stop.asked()) return;
        after = page.cursor;
    }
}

std::vector<BindingRow> Verification::rows_at(const std::vector<IpAddress>& addresses) {
    std::vector<BindingRow> out;
    for (auto left = std::span(addresses); !left.empty();) {
        const auto part = left.first(std::min(left.size(), rows_per_look));
        auto rows = with_.mirror.rows_at(report_.server_id, part);
        std::move(rows.begin(), rows.end(), std::back_inserter(out));
        left = left.subspan(part.size());
    }
    return out;
}

/// How far the mirror has come, and then the rows. Whether it will go on.
bool Verification::look_again(Comparison& comparison) {
    const auto server = overview();
    const auto mark = server ? mark_of(config_, *server) : MirrorMark{};
    report_.right_up_to = mark.right_up_to;
    comparison.look_again(rows_at(comparison.addresses()), mark, utc_now());
    return mark.moves;
}

/// Waits until the mirror is right up to after what the server said; false if it does not come so far though somebody is
/// at work. The agent itself closes a connection that is silent for longer than timeouts.receive.
bool Verification::settle(Comparison& comparison) {
    const auto until = host_now().steady + config_.timeouts.receive;
    while (comparison.candidates() > 0 && !with_.stop.asked()) {
        const bool moves = look_again(comparison);
        if (!comparison.waits()) break;
        const bool in_vain = host_now().steady >= until;
        if (moves && !in_vain) {
            with_.progress.show("waits for the mirror to catch up: " + std::to_string(comparison.candidates()) +
                                    " bindings not alike at first sight",
                                host_now().steady);
            ::poll(nullptr, 0, static_cast<int>(look_interval.count()));
            continue;
        }
        comparison.stop_waiting();
        if (in_vain)
            with_.say("the mirror has not come to the time of what was read within " +
                      duration_text(config_.timeouts.receive) + " (timeouts.receive); see 'leasemirror status'");
        return !in_vain;
    }
    return true;
}

}  // namespace

VerifyReport verify_server(const ServerConfig& server, const VerifyMeans& with) {
    return Verification(server, with).run();
}

}  // namespace leasemirror
