// One server asked over bulk for all that a plan holds, one query after the other on one connection. Pure: it is shown
// what the session says, and prints bindings as they come.
//
//     start() -> asking -- QueryDone, another query is planned --> asking
//                   |
//                   +-- QueryDone of the last, Close, --limit, nobody reads our output --> over
#pragma once

#include "agent/query/plan.hpp"
#include "agent/query/rows.hpp"
#include "agent/sync/clocks/skew.hpp"
#include "proto/session/bulk.hpp"

#include <functional>
#include <string>

namespace leasemirror {

class QueryBulk {
public:
    using Say = std::function<void(const std::string& note)>;

    /// `rows` outlives it. `say` is called with what is worth knowing while the answer comes.
    QueryBulk(const ServerConfig& server, const QueryPlan& plan, const SessionSettings& settings, RowSink& rows,
              Say say);

    void start(SessionNow now);
    /// Every action of session() but Send.
    void on_action(const SessionAction& action, Now now, SessionNow session_now);
    /// The answer did not go on for so long.
    void on_silence(std::chrono::milliseconds time);

    /// Close the connection: nothing that still comes is wanted.
    [[nodiscard]] bool over() const { return over_; }
    [[nodiscard]] BulkSession& session() { return session_; }
    /// Complete when over().
    [[nodiscard]] const QueryReport& report() const { return report_; }

private:
    void ask(SessionNow now);
    void on_binding(const Binding& binding);
    void on_done(const action::QueryDone& done, SessionNow now);
    void on_quarantine(const action::Quarantine& quarantine);
    void fail(const std::string& why);
    [[nodiscard]] bool asks_all_vpns() const;
    [[nodiscard]] bool is_before_window(const Binding& binding) const;

    const ServerConfig& server_;
    const QueryPlan& plan_;
    RowSink& rows_;
    Say say_;
    BulkSession session_;
    ClockSkew skew_;
    Skew current_skew_{0};  // of the message at hand: without base-time its times were built on our clock
    SteadyTime asked_at_{};
    std::size_t next_ = 0;  // of plan_.queries, the one that is being asked
    bool all_vpns_ = true;  // the server has not yet refused a query for all VPNs
    std::uint64_t quarantined_said_ = 0;
    bool over_ = false;
    QueryReport report_;
};

}  // namespace leasemirror
