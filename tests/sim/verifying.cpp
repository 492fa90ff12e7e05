// `verify` in a simulated world: the whole of it but for the sockets and the clock (agent/verify/verify.cpp), beside an
// agent that follows its servers while they change. It comes last in a world, when all is right, so that whatever it
// reports is a false alarm, or planted.
#include "agent/verify/bulk_reading.hpp"
#include "agent/verify/comparison.hpp"
#include "storage/ledger/mirror_reader.hpp"
#include "tests/sim/world.hpp"

#include <algorithm>
#include <map>

namespace leasemirror::sim {

using namespace std::chrono_literals;

/// One comparison. The world goes on between any two of its steps.
struct World::Verifying {
    Verifying(World& w, std::size_t index)
        : world(w),
          server(index),
          reader(open_reader(w.database_->settings())),
          mirror(open_mirror_reader(w.database_->settings())) {
        const auto now = overview();
        id = now.server_id;
        skew = Skew{now.clock_skew_ms.value_or(0)};
        comparison.emplace(mark());
    }

    [[nodiscard]] ServerOverview overview() const {
        for (auto& found : reader->servers())
            if (found.name == world.config_.servers[server].name) return std::move(found);
        return {};
    }
    [[nodiscard]] MirrorMark mark() const {
        const bool polled = world.bulk_only_.contains(server);
        return {overview().fresh_as_of, !polled};
    }
    [[nodiscard]] UtcSeconds utc() const { return std::chrono::floor<std::chrono::seconds>(world.host_now()); }
    [[nodiscard]] SessionNow session_now() const { return {world.now().steady, ServerTime{utc().time_since_epoch()}}; }
    void pass(std::chrono::milliseconds most) { world.run_until(world.now_ + 1ms + world.up_to(most)); }

    [[nodiscard]] std::vector<BindingRow> rows_at(const std::vector<IpAddress>& addresses) const {
        return mirror->rows_at(id, addresses);
    }

    /// All queries on one connection, with octets that come when they come.
    template <class OnListed>
    Reading read(OnListed on_listed) {
        SessionSettings settings;
        settings.family = world.config_.servers[server].family;
        settings.requestor_duid = {0, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
        settings.request_options = world.config_.servers[server].request_options;
        BulkReading reading(world.config_.servers[server], settings, skew, on_listed,
                            [this](const std::string& note) { world.trace("verify: " + note); });
        const auto peer = world.servers_[server]->accept(world.now_);
        std::deque<std::uint8_t> on_the_way;
        reading.start(session_now());
        while (!reading.over() && !world.wrong_) {
            while (const auto action = reading.session().poll_action()) {
                if (const auto* const send = std::get_if<action::Send>(&*action)) {
                    peer->on_bytes(Bytes(send->bytes.begin(), send->bytes.end()), world.now_);
                    reading.session().on_sent(session_now());
                }
                reading.on_action(*action, world.now(), session_now());
            }
            take_from(*peer, on_the_way, reading.session());
            const auto most = std::min(reading.session().wants_bytes(), on_the_way.size());
            const Bytes piece(on_the_way.begin(), on_the_way.begin() + static_cast<std::ptrdiff_t>(most));
            on_the_way.erase(on_the_way.begin(), on_the_way.begin() + static_cast<std::ptrdiff_t>(most));
            if (!piece.empty()) reading.session().on_bytes(piece, session_now());
            pass(100ms);
            peer->on_deadline(world.now_);
        }
        peer->on_end_of_stream(world.now_);
        return reading.reading();
    }
    void take_from(leasesim::ModelConnection& peer, std::deque<std::uint8_t>& on_the_way, BulkSession& session) {
        constexpr std::size_t window = 8192;  // small, so that a bulk takes its time
        while (on_the_way.size() < window) {
            const auto output = peer.poll(world.now_);
            if (!output) return;
            if (std::holds_alternative<leasesim::Close>(*output)) {
                if (on_the_way.empty()) session.on_disconnected("closed by the server", session_now());
                return;
            }
            const auto bytes = std::get<leasesim::Send>(*output).bytes;
            on_the_way.insert(on_the_way.end(), bytes.begin(), bytes.end());
            peer.on_writable(world.now_);
        }
    }

    Compared run() {
        const auto first = read([this](const BindingRow& told, UtcSeconds heard_at) {
            const auto rows = rows_at({told.key.address});
            const auto row =
                std::find_if(rows.begin(), rows.end(), [&](const BindingRow& r) { return r.key == told.key; });
            comparison->on_listed(told, heard_at, row == rows.end() ? nullptr : &*row, utc());
        });
        comparison->end_listing(first);
        for (std::int64_t after = 0;;) {
            const auto page = mirror->in_force_after(id, after, 50);
            for (const auto& row : page.rows)
                comparison->on_row(row, utc());
            if (page.cursor == after) break;
            after = page.cursor;
            pass(50ms);
        }
        not_alike = comparison->candidates();
        const auto until = world.now_ + 3min;
        while (comparison->candidates() > 0 && !world.wrong_) {
            const auto before = mark();
            comparison->look_again(rows_at(comparison->addresses()), before, utc());
            if (!comparison->waits()) break;
            if (!before.moves || world.now_ > until) comparison->stop_waiting();
            pass(1s);
        }
        if (comparison->candidates() > 0) {
            const auto second = read([this](const BindingRow& told, UtcSeconds) { comparison->on_listed_again(told); });
            comparison->conclude(rows_at(comparison->addresses()), second, utc());
        }
        return comparison->result();
    }

    World& world;
    const std::size_t server;
    const std::unique_ptr<Reader> reader;
    const std::unique_ptr<MirrorReader> mirror;
    std::int64_t id = 0;
    Skew skew{0};
    std::optional<Comparison> comparison;
    std::size_t not_alike = 0;
};

std::optional<std::string> World::verify_all() {
    for (std::size_t i = 0; i < servers_.size() && !wrong_; ++i) {
        // Times that a server tells differently after a step of its clock, or of ours, differ here too.
        if (clock_stepped_.contains(i) || stepped_back_a_little_.contains(i) || host_offsets_.size() > 1) continue;
        if (auto wrong = verify(i)) return config_.servers[i].name + ": " + *wrong;
    }
    return wrong_;
}

/// First nothing is to be found, and then what has been damaged, if the agent has not been told of it anew.
std::optional<std::string> World::verify(std::size_t server) {
    constexpr std::size_t damages = 3;
    // Not all of them at once: some shall stay as they are.
    servers_[server]->set_churn(1 + static_cast<double>(servers_[server]->model().bindings()) / 200, now_);
    run_until(now_ + 10s + up_to(20s));
    Verifying clean(*this, server);
    const auto nothing = clean.run();
    ++stats_.compared;
    stats_.settled += clean.not_alike;
    const auto text = [](const Difference& difference) {
        auto out = std::string(to_string(difference.kind)) + " " + key_of(difference.key);
        for (const auto& column : difference.columns)
            out += " " + std::string(column.column);
        return out;
    };
    if (!nothing.differences.empty()) return "verify reports " + text(nothing.differences.front());

    const auto& tables = database_->engine();
    const auto where = " WHERE server_id = " + std::to_string(clean.id);
    // What was told live lately is not compared, nor what no query reaches. And a damaged row is a silent lie, of course.
    options_.without.insert(Oddity::silent_lie);
    const auto for_a_while = std::to_string(unix_seconds(clean.utc()) + 600);
    const auto lately = std::to_string(unix_seconds(clean.utc()) - 20);
    tables.execute("UPDATE binding SET hostname = 'damaged'" + where +
                   " AND binding_id IN (SELECT binding_id FROM binding" + where +
                   " AND state = 'active' AND doubt IS NULL AND vpn_id = '' AND epoch(updated_at) < " + lately +
                   " AND (expires_at IS NULL OR epoch(expires_at) > " + for_a_while + ") ORDER BY binding_id LIMIT " +
                   std::to_string(damages) + ")");
    Verifying damaged(*this, server);
    const auto found = damaged.run();
    servers_[server]->stop_churn(now_);
    for (const auto& difference : found.differences) {
        const bool planted = difference.columns.size() == 1 && difference.columns[0].column == "hostname" &&
                             difference.columns[0].mirror == Value(std::string("damaged"));
        if (!planted) return "verify reports " + text(difference);
    }
    stats_.damages_found += found.differences.size();
    const auto left =
        tables.table("SELECT count(*) FROM binding" + where + " AND hostname = 'damaged' AND state = 'active'");
    const auto known = found.differences.size() + found.changed + found.in_doubt + found.pending + found.unconfirmed;
    if (std::stoull(*left[0][0]) > known) return "verify does not find all that was damaged";
    return std::nullopt;
}

}  // namespace leasemirror::sim
