// What a database that is slower than the server does to the reading: it stops while the outbox is full and goes on when
// there is room again, so that TCP makes the server wait. The log says when it first stopped and when nothing waits any
// more, not each of the stops between, of which there is one for each commit.
#pragma once

#include "agent/sync/log_limit.hpp"
#include "agent/sync/outbox.hpp"
#include "agent/sync/status_report.hpp"

#include <optional>

namespace leasemirror {

class Backpressure {
public:
    /// Looks at the outbox. Says whether to read from now on, where that has changed.
    [[nodiscard]] std::optional<bool> follow(const Outbox& outbox, SteadyTime now, StatusReport& report);
    [[nodiscard]] bool is_reading() const { return !blocked_; }
    /// Nothing was read for another reason.
    void on_not_read(SteadyTime now) { last_blocked_ = now; }
    /// A message read now has not waited for us, so that its base-time tells the skew of the clocks.
    [[nodiscard]] bool reads_promptly(SteadyTime now) const;

private:
    /// A stretch in which batches waited for the database.
    struct Waiting {
        SteadyTime since;
        bool said;  ///< its beginning is in the log, so its end will be
    };
    void report_change(const Outbox& outbox, SteadyTime now, StatusReport& report);

    bool blocked_ = false;
    std::optional<SteadyTime> last_blocked_;
    std::optional<Waiting> waiting_;
    LogLimit log_limit_;
};

}  // namespace leasemirror
