// A server that changes at random, its live stream with all its delays, and a comparison in between, on virtual time. The
// mirror is the real ledger. Nothing may be reported that is not planted, and what is planted must be found.
#include "agent/verify/comparison.hpp"
#include "storage/ledger/told_row.hpp"
#include "tests/storage/ledger/tables.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace leasemirror;
using leasemirror::testing::at;
using leasemirror::testing::Tables;
using leasemirror::testing::utc;

namespace {

constexpr std::int64_t addresses = 60;
constexpr std::int64_t ticks_per_second = 10;

/// How unkind a world is.
struct Weather {
    int changes_per_tick_in_100 = 60;
    int stream_delay_max = 30;  // ticks
    int stall_in_1000 = 5;      // per tick: the stream stands still for a while
    int late_base_max = 4;      // seconds by which a live message's base-time may be too low
    int bulk_per_tick_max = 4;
    int bulk_delay_max = 20;  // ticks that a listed binding waits before it is compared
    bool lists_free = true;   // as DHCPv4 servers do
};

class World {
public:
    World(std::uint64_t seed, const Weather& weather) : dice_(seed), weather_(weather) {
        for (std::int64_t i = 0; i < addresses; ++i) {
            auto& lease = leases_[i];
            lease.key.address = weather.lists_free ? IpAddress::v4(0x0a000000U + static_cast<std::uint32_t>(i + 1))
                                                   : IpAddress::parse("2001:db8::" + std::to_string(i + 1)).value();
            lease.key.prefix_len = weather.lists_free ? 32 : 128;
            lease.state = BindingState::available;
        }
        pass_seconds(20);
    }

    // ---- the mirror ----

    [[nodiscard]] MirrorMark mark() const { return {utc(reached_), true}; }
    /// The rows of the mirror as a reader sees them, with what was planted.
    [[nodiscard]] std::vector<BindingRow> rows() const {
        std::vector<BindingRow> out;
        for (const auto& [key, row] : mirror_.rows) {
            const auto damage = planted_.find(key);
            if (damage == planted_.end() || is_healed(damage->second, row)) {
                out.push_back(row);
            } else if (damage->second.kind != Difference::Kind::missing) {
                out.push_back(row);
                out.back().hostname = "planted";
            }
        }
        for (const auto& [key, damage] : planted_)
            if (damage.kind == Difference::Kind::extra) out.push_back(damage.row);
        return out;
    }
    /// Damages a row that is there, or adds one.
    void plant(Difference::Kind kind) {
        Damage damage{kind, {}};
        if (kind == Difference::Kind::extra) {
            damage.row.key.address = IpAddress::parse(weather_.lists_free ? "10.9.9.9" : "2001:db8:9::9").value();
            damage.row.key.prefix_len = weather_.lists_free ? 32 : 128;
            damage.row.binding_id = 9999;
            damage.row.age.base_time = unix_seconds(at(1));
        } else {
            std::vector<const BindingRow*> candidates;
            for (const auto& [key, row] : mirror_.rows)
                if (row.in_force() && !planted_.contains(key) && !is_told_lately(row)) candidates.push_back(&row);
            if (candidates.empty()) return;
            damage.row = *candidates[roll(candidates.size())];
        }
        planted_.emplace(damage.row.key, damage);
    }
    [[nodiscard]] bool is_planted(const BindingKey& key) const { return planted_.contains(key); }
    /// What is still as it was planted, and of what the server has not changed anything since.
    [[nodiscard]] std::set<BindingKey> still_planted() const {
        std::set<BindingKey> out;
        for (const auto& [key, damage] : planted_) {
            const auto row = mirror_.rows.find(key);
            // What is about to expire is not compared.
            const bool there = damage.kind == Difference::Kind::extra ||
                               (row != mirror_.rows.end() && !is_healed(damage, row->second) &&
                                *row->second.expires_at > our_now() + same_time);
            if (there && !changed_.contains(key)) out.insert(key);
        }
        return out;
    }
    void forget_changes() { changed_.clear(); }

    // ---- the comparison ----

    Compared compare() {
        Comparison comparison(mark());
        const auto first = read([&](const BindingRow& told, const BindingRow* row) {
            comparison.on_listed(told, utc_of(told.age.base_time), row, our_now());
        });
        comparison.end_listing(first);
        for (const auto& row : rows()) {
            comparison.on_row(row, our_now());
            if (roll(20) == 0) tick();
        }
        for (int looks = 0; comparison.candidates() > 0; ++looks) {
            const auto before = mark();
            tick();
            comparison.look_again(rows(), before, our_now());
            if (!comparison.waits()) break;
            REQUIRE(looks < 1000);
            for (int i = 0; i < 5; ++i)
                tick();
        }
        const auto second = read([&](const BindingRow& told, const BindingRow*) { comparison.on_listed_again(told); });
        comparison.conclude(rows(), second, our_now());
        return comparison.result();
    }

private:
    struct Message {
        std::int64_t arrives;
        Change change;
        bool keep_alive = false;
    };
    struct Listed {
        std::int64_t arrives;
        BindingRow told;
    };
    struct Damage {
        Difference::Kind kind;
        BindingRow row;  // as it was when it was planted
    };

    static bool is_healed(const Damage& damage, const BindingRow& row) {
        return row.age.base_time != damage.row.age.base_time || row.updated_at != damage.row.updated_at ||
               row.state != damage.row.state;
    }
    /// What was told live just before the comparison is not compared with what the server lists at its beginning.
    [[nodiscard]] bool is_told_lately(const BindingRow& row) const {
        return server_time_from_unix(row.age.base_time) + Comparison::order_slack > at(second());
    }
    std::size_t roll(std::size_t sides) { return std::uniform_int_distribution<std::size_t>(0, sides - 1)(dice_); }
    bool happens(int in, int of) { return roll(static_cast<std::size_t>(of)) < static_cast<std::size_t>(in); }
    std::int64_t delay(int most) { return static_cast<std::int64_t>(roll(static_cast<std::size_t>(most) + 1)); }
    [[nodiscard]] std::int64_t second() const { return tick_ / ticks_per_second; }
    [[nodiscard]] UtcSeconds our_now() const { return utc(second()); }
    static UtcSeconds utc_of(std::int64_t server_seconds) { return UtcSeconds{std::chrono::seconds{server_seconds}}; }

    void pass_seconds(std::int64_t seconds) {
        for (std::int64_t i = 0; i < seconds * ticks_per_second; ++i)
            tick();
    }

    void tick() {
        ++tick_;
        if (happens(weather_.changes_per_tick_in_100, 100)) change_one();
        expire();
        if (tick_ % ticks_per_second == 0) send({}, true);
        if (happens(weather_.stall_in_1000, 1000)) stalled_until_ = tick_ + delay(60);
        deliver();
    }

    void change_one() {
        auto& lease = leases_[static_cast<std::int64_t>(roll(addresses))];
        const bool held = lease.in_force();
        const auto what = roll(5);
        if (!held || what == 0) {  // a client, or another one
            lease.state = BindingState::active;
            lease.client_id = {1, 2, static_cast<std::uint8_t>(roll(20))};
            lease.hostname = "host" + std::to_string(roll(5));
            lease.relay_id = {static_cast<std::uint8_t>(1 + roll(3))};
        } else if (what == 1) {
            lease.state = weather_.lists_free ? BindingState::released : BindingState::ended;
        } else if (what == 2) {
            lease.hostname = "host" + std::to_string(roll(5));
        }
        if (lease.in_force()) lease.expires_at = at(second() + 15 + static_cast<std::int64_t>(roll(60)));
        lease.client_last_seen = at(second());
        if (weather_.lists_free) lease.state_since = at(second());
        tell(lease);
    }

    void expire() {
        for (auto& [number, lease] : leases_) {
            if (!lease.in_force() || *lease.expires_at > at(second())) continue;
            lease.state = weather_.lists_free ? BindingState::expired : BindingState::ended;
            if (weather_.lists_free) lease.state_since = at(second());
            tell(lease);
        }
    }

    void tell(const Binding& lease) {
        changed_.insert(lease.key);
        send(lease, false);
    }

    void send(const Binding& lease, bool keep_alive) {
        Message message;
        message.keep_alive = keep_alive;
        message.change.binding = lease;
        message.change.binding.via = Via::active;
        message.change.binding.base_time = at(second() - delay(weather_.late_base_max));
        const auto earliest = stream_.empty() ? tick_ : stream_.back().arrives;  // in its order
        message.arrives = std::max(earliest, tick_ + delay(weather_.stream_delay_max));
        stream_.push_back(std::move(message));
    }

    void deliver() {
        if (tick_ < stalled_until_) return;
        std::vector<Change> changes;
        for (; !stream_.empty() && stream_.front().arrives <= tick_; stream_.pop_front()) {
            auto& message = stream_.front();
            reached_ = unix_seconds(message.change.binding.base_time) - unix_seconds(at(0));
            if (!message.keep_alive) changes.push_back(std::move(message.change));
        }
        if (!changes.empty()) mirror_.apply(std::move(changes), second());
    }

    /// All bindings, a few in each tick, while everything goes on. The row of each is looked up when it has arrived.
    template <class Take>
    Reading read(Take take) {
        Reading out;
        out.began = at(second());
        std::deque<Listed> waiting;
        std::string scratch;
        const auto arrive = [&] {
            while (!waiting.empty() && waiting.front().arrives <= tick_) {
                const auto all = rows();
                const auto& told = waiting.front().told;
                const auto row =
                    std::find_if(all.begin(), all.end(), [&](const BindingRow& r) { return r.key == told.key; });
                take(told, row == all.end() ? nullptr : &*row);
                waiting.pop_front();
            }
        };
        for (std::int64_t next = 0; next < addresses;) {
            for (auto count = roll(static_cast<std::size_t>(weather_.bulk_per_tick_max) + 1);
                 count > 0 && next < addresses; --count, ++next) {
                auto lease = leases_[next];
                if (!lease.in_force() && !weather_.lists_free) continue;
                lease.base_time = at(second());
                lease.via = Via::bulk;
                const auto earliest = waiting.empty() ? tick_ : waiting.back().arrives;
                waiting.push_back(
                    {std::max(earliest, tick_ + delay(weather_.bulk_delay_max)), told_row(lease, Skew{0}, scratch)});
            }
            tick();
            arrive();
        }
        out.ended = utc(second());
        while (!waiting.empty()) {
            tick();
            arrive();
        }
        out.absence.everything = true;
        out.whole = true;
        return out;
    }

    std::mt19937_64 dice_;
    const Weather weather_;
    std::int64_t tick_ = 0;
    std::map<std::int64_t, Binding> leases_;
    std::deque<Message> stream_;
    std::int64_t stalled_until_ = 0;
    std::int64_t reached_ = 0;
    Tables mirror_;
    std::map<BindingKey, Damage> planted_;
    std::set<BindingKey> changed_;  // at the server, since forget_changes()
};

const std::vector<Weather>& weathers() {
    static const std::vector<Weather> all = [] {
        Weather fair;
        fair.changes_per_tick_in_100 = 5;
        Weather busy;
        Weather slow;  // the mirror is many seconds behind
        slow.stream_delay_max = 80;
        slow.stall_in_1000 = 20;
        Weather quick;  // the server is read within a second
        quick.bulk_per_tick_max = 40;
        quick.bulk_delay_max = 0;
        std::vector<Weather> out{fair, busy, slow, quick};
        for (std::size_t i = 0; i < 4; ++i) {
            out.push_back(out[i]);
            out.back().lists_free = false;
        }
        return out;
    }();
    return all;
}

std::string text(const Difference& difference) {
    auto out = difference.key.address.to_string() + " " + std::string(to_string(difference.kind));
    for (const auto& column : difference.columns)
        out += " " + std::string(column.column);
    return out;
}

}  // namespace

TEST_CASE("changes during the comparison are no differences, however late the mirror hears of them") {
    std::uint64_t settled = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        for (std::size_t weather = 0; weather < weathers().size(); ++weather) {
            CAPTURE(weather);
            World world(seed, weathers()[weather]);
            const auto found = world.compare();
            settled += found.changed;
            for (const auto& difference : found.differences)
                FAIL_CHECK(text(difference));
        }
    }
    CHECK(settled > 100);  // it was not for lack of temptation
}

TEST_CASE("what is planted is found, and nothing else") {
    std::size_t found_in_all = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        for (std::size_t weather = 0; weather < weathers().size(); ++weather) {
            CAPTURE(weather);
            World world(seed, weathers()[weather]);
            for (const auto kind : {Difference::Kind::missing, Difference::Kind::extra, Difference::Kind::changed,
                                    Difference::Kind::changed})
                world.plant(kind);
            world.forget_changes();
            const auto found = world.compare();
            std::set<BindingKey> keys;
            for (const auto& difference : found.differences) {
                CAPTURE(text(difference));
                keys.insert(difference.key);
                CHECK(world.is_planted(difference.key));
            }
            for (const auto& key : world.still_planted()) {
                CAPTURE(key.address.to_string());
                CHECK(keys.contains(key));
            }
            found_in_all += keys.size();
        }
    }
    CHECK(found_in_all > 300);
}
