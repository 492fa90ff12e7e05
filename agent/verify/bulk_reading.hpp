// One server read over bulk on one connection, for a comparison: all queries that the agent's own full bulk would ask, one
// after the other. Pure: it is shown what the session says, and hands on what the server lists.
//
//     start() -> asking -- QueryDone, another query is left --> asking
//                   |
//                   +-- QueryDone of the last, Close --> over
#pragma once

#include "agent/config/config.hpp"
#include "agent/verify/comparison.hpp"
#include "proto/session/bulk.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

class BulkReading {
public:
    /// A first base-time further than this from what the mirror's skew makes of our clock: a clock was set. A later one so
    /// far ahead cannot be right. A server may have one base-time for a whole answer, so none is too old by our clock.
    static constexpr std::chrono::minutes clock_slack{1};

    /// What is listed, as a row, and when, in our clock.
    using OnListed = std::function<void(BindingRow told, UtcSeconds heard_at)>;
    using Say = std::function<void(const std::string& note)>;

    /// `server` outlives it. `skew`: as the mirror has it, so that both convert times alike.
    BulkReading(const ServerConfig& server, const SessionSettings& settings, Skew skew, OnListed on_listed, Say say);

    void start(SessionNow now);
    /// Every action of session() but Send.
    void on_action(const SessionAction& action, Now now, SessionNow session_now);
    /// The answer did not go on for so long, or the connection could not be had.
    void fail(const std::string& why);

    [[nodiscard]] bool over() const { return over_; }
    [[nodiscard]] BulkSession& session() { return session_; }
    [[nodiscard]] std::uint64_t listed() const { return seen_.listed; }
    /// When over().
    [[nodiscard]] Reading reading() const;

private:
    enum class State : std::uint8_t { waiting, complete, failed };
    struct Asked {
        BulkQuery query;
        State state = State::waiting;
        bool lease_lost = false;  // a reply could not be read, not even whose lease it was
    };

    /// The one at hand.
    struct Message {
        Skew skew{0};  // without base-time its times were built on our clock
        UtcSeconds heard_at{};
        bool distrusted = false;  // it has a base-time that cannot be right
    };
    /// In all answers.
    struct Seen {
        bool any = false;
        bool vpns = false;
        std::optional<ServerTime> first_base;
        ServerTime asked_at{};  // the first query, by our clock and the skew
        UtcSeconds ended{};
        std::set<IpAddress> unreadable;
        std::uint64_t listed = 0;
        std::uint64_t not_understood = 0;
    };

    void ask(SessionNow now);
    void on_heard(const action::Heard& heard, Now now);
    void on_binding(const Binding& binding);
    void on_quarantine(const action::Quarantine& quarantine);
    void on_done(const action::QueryDone& done, SessionNow now);
    [[nodiscard]] bool asks_all_vpns() const;

    const ServerConfig& server_;
    const Skew skew_;
    OnListed on_listed_;
    Say say_;
    BulkSession session_;
    std::vector<Asked> asked_;
    std::size_t next_ = 0;
    bool all_vpns_ = true;  // the server has not refused a query for all VPNs
    Message message_;
    Seen seen_;
    bool over_ = false;
    std::string scratch_;
};

}  // namespace leasemirror
