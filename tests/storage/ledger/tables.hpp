// The ledger over tables in memory: no database, so that thousands of random histories are cheap.
#pragma once

#include "storage/ledger/ledger.hpp"
#include "storage/ledger/stored_text.hpp"

#include <doctest/doctest.h>

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace leasemirror::testing {

constexpr std::int64_t start = 1'700'000'000;

inline ServerTime at(std::int64_t seconds) {
    return server_time_from_unix(start + seconds);
}
inline UtcSeconds utc(std::int64_t seconds) {
    return UtcSeconds{std::chrono::seconds{start + seconds}};
}
inline Bytes id(std::string_view text) {
    return {text.begin(), text.end()};
}

struct Hold {
    std::int64_t id = 0;
    BindingKey key;
    NewAssignment what;
};

/// The three tables, and what an engine does with a ledger's results.
class Tables {
public:
    explicit Tables(bool record_renewals = false) : ledger_({record_renewals, std::chrono::hours{24}}) {}

    void apply(std::vector<Change> changes, std::int64_t now, std::int64_t epoch = 0, const ClocksBefore& before = {}) {
        Batch batch;
        batch.before = before;
        for (auto& change : changes)
            batch.changes.push_back(std::move(change));
        ledger_.begin({1, epoch, utc(now), Skew{0}}, batch);
        for (const auto& [key, row] : rows) {
            bool wanted = false;
            for (const auto& address : ledger_.addresses())
                wanted = wanted || address == key.address;
            for (const auto& client : ledger_.clients())
                wanted = wanted || (row.in_force() && row.client_id == client.client_id && key.vpn_id == client.vpn_id);
            if (wanted) ledger_.add_stored(row);
        }
        for (const auto& key : ledger_.unknown_keys())
            for (const auto& hold : holds)
                if (hold.key == key && hold.what.ended_at) ledger_.add_last_end(key, *hold.what.ended_at);
        ledger_.run();
        take_results();
        check();
    }

    void take_results() {
        auto entries = ledger_.entries();
        for (const auto& end : ledger_.assignment_ends()) {
            auto& hold = holds.at(static_cast<std::size_t>(end.assignment_id - 1)).what;
            REQUIRE_FALSE(hold.ended_at);
            hold.ended_at = end.ended_at;
            hold.end_reason = end.end_reason;
            hold.ended_inferred = end.inferred;
        }
        for (const auto& fill : ledger_.assignment_fills()) {
            auto& hold = holds.at(static_cast<std::size_t>(fill.assignment_id - 1)).what;
            if (hold.client_id.empty()) hold.client_id = fill.client_id;
            if (hold.hw_addr.empty()) hold.hw_addr = fill.hw_addr;
            if (hold.remote_id.empty()) hold.remote_id = fill.remote_id;
            const auto told = [](auto& held, const auto& now) {
                if (!now.empty()) held = now;
            };
            told(hold.line.relay_id, fill.line.relay_id);
            told(hold.line.circuit_id, fill.line.circuit_id);
            told(hold.line.subscriber_id, fill.line.subscriber_id);
            told(hold.line.hostname, fill.line.hostname);
        }
        for (const auto& assignment : ledger_.new_assignments()) {
            auto& row = entries[assignment.entry].row;
            holds.push_back({static_cast<std::int64_t>(holds.size() + 1), row.key, assignment});
            if (!assignment.ended_at) row.assignment_id = holds.back().id;
        }
        for (const auto& row : ledger_.feed())
            feed.emplace_back(entries[row.entry].row.key, row);
        for (auto& entry : entries) {
            if (entry.write == Ledger::Entry::Write::none) continue;
            REQUIRE((entry.write == Ledger::Entry::Write::insert) == !rows.contains(entry.row.key));
            if (entry.row.binding_id == 0) entry.row.binding_id = static_cast<std::int64_t>(rows.size() + 1);
            rows[entry.row.key] = entry.row;
        }
        new_doubts = ledger_.new_doubts();
        doubts_told_live = ledger_.tally().doubts_told_live;
        doubts += ledger_.tally().by_state.doubts;
        ledger_.tally().by_state.for_each(
            [this](BindingState state, std::int64_t more) { counts[static_cast<std::size_t>(state)] += more; });
    }

    /// What always holds, whatever a server says.
    void check() const {
        std::map<BindingKey, const Hold*> last;
        for (const auto& hold : holds) {
            auto& before = last[hold.key];
            if (before) {
                REQUIRE(before->what.ended_at);
                REQUIRE(*before->what.ended_at <= hold.what.began_at);
            }
            before = &hold;
            if (hold.what.ended_at) REQUIRE(hold.what.began_at <= *hold.what.ended_at);
        }
        std::array<std::int64_t, 9> counted{};
        for (const auto& [key, row] : rows) {
            ++counted[static_cast<std::size_t>(row.state)];
            REQUIRE(row.in_force() == (row.state == BindingState::active));
            const auto open = last.find(key);
            const bool is_open = open != last.end() && open->second && !open->second->what.ended_at;
            REQUIRE(is_open == row.in_force());
            REQUIRE(row.assignment_id == (is_open ? open->second->id : 0));
        }
        REQUIRE(counted == counts);
        std::int64_t in_doubt = 0;
        for (const auto& [key, row] : rows)
            in_doubt += row.doubt == Doubt::none ? 0 : 1;
        REQUIRE(in_doubt == doubts);
    }

    /// The doubt of the one row there is.
    [[nodiscard]] Doubt doubt() const { return rows.begin()->second.doubt; }
    [[nodiscard]] BindingState state() const { return rows.begin()->second.state; }

    /// "assigned alice", "ended alice", in order.
    [[nodiscard]] std::vector<std::string> words() const {
        std::vector<std::string> out;
        for (const auto& [key, row] : feed)
            out.push_back(std::string(to_string(row.change)) + ' ' +
                          std::string(row.client_id.begin(), row.client_id.end()) + (row.inferred ? " inferred" : ""));
        return out;
    }
    /// "alice 0..10 reported", "bob 10.."; ~ marks an inferred boundary.
    [[nodiscard]] std::vector<std::string> history() const {
        std::vector<std::string> out;
        for (const auto& [number, key, what] : holds) {
            auto text = std::string(what.client_id.begin(), what.client_id.end()) + ' ';
            text += std::to_string(unix_seconds(what.began_at) - start) + (what.began_inferred ? "~" : "") + "..";
            if (what.ended_at)
                text += std::to_string(unix_seconds(*what.ended_at) - start) + (what.ended_inferred ? "~ " : " ") +
                        std::string(to_string(what.end_reason));
            out.push_back(text);
        }
        return out;
    }

    std::map<BindingKey, BindingRow> rows;
    std::vector<Hold> holds;
    std::vector<std::pair<BindingKey, FeedRow>> feed;
    std::array<std::int64_t, 9> counts{};
    std::int64_t doubts = 0;
    std::vector<DoubtfulBinding> new_doubts;  // of the last batch
    std::uint64_t doubts_told_live = 0;       // likewise

private:
    Ledger ledger_;
};

inline Change told(const std::string& client, std::int64_t base, BindingState state = BindingState::active) {
    Change change;
    change.binding.key = {"", BindingKind::address, *IpAddress::parse("192.0.2.1"), 32};
    change.binding.state = state;
    change.binding.client_id = id(client);
    change.binding.base_time = at(base);
    change.binding.via = Via::active;
    return change;
}

inline Change until(Change change, std::int64_t expires) {
    change.binding.expires_at = at(expires);
    return change;
}
inline Change since(Change change, std::int64_t state_since) {
    change.binding.state_since = at(state_since);
    return change;
}
inline Change listed(Change change) {
    change.binding.via = Via::bulk;
    change.run = 1;
    return change;
}

using Words = std::vector<std::string>;

}  // namespace leasemirror::testing
