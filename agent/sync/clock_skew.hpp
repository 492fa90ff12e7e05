// How far a server's clock is from ours, told from the base-times of its messages (agent/README.md, "Clocks"; RFC 7653 §8.5).
//
// A base-time B read at our time R says: the server's clock showed B, cut to a second, at some moment not after R. So
// the skew is at least B - R, and a message that was created just now gives at most B - R + 1 s. A message that waited
// in a queue, or on the way, gives a lower value and never a higher one. Hence the highest sample of a window is the
// good one, and the estimate moves only on evidence: up at once when a sample proves it too low, down by small
// steps when a whole window had no sample within a second of it. A server whose clock agrees with ours keeps exactly 0.
//
// A reply also has an upper bound: it was created after we had sent our query at Q, so the skew is at most B + 1 s - Q. For
// the first reply on a connection that is a narrow one, and no delay can fool it.
//
// Steps. An estimate clearly above that bound, or a base-time clearly below one that the server had already sent when
// this message was asked for can only mean that its clock went back: that is told at once. A clock that went back while
// we were not listening shows as two windows in a row whose samples are all below the estimate, by much and by the
// same: a queue that drains would come nearer. Forward, a step is a sample far above the estimate, and harmless: we
// follow it.
#pragma once

#include "proto/time.hpp"

#include <cstdint>
#include <optional>

namespace leasemirror {

class ClockSkew {
public:
    /// Base-times may trail each other by this much without the clock having gone back: cut seconds, and servers that
    /// build replies in several threads.
    static constexpr std::chrono::seconds disorder_max{2};
    /// A window of samples this far below the estimate is a clock set back, not drift or delay.
    static constexpr std::chrono::seconds step_min{2};
    /// Two such windows are the same step if they differ by less than this.
    static constexpr std::chrono::seconds step_settled{1};
    static constexpr std::chrono::seconds window{60};
    static constexpr int window_samples_min = 3;
    static constexpr std::chrono::milliseconds drift_step{100};

    ClockSkew() = default;
    /// Goes on from what was stored.
    explicit ClockSkew(std::optional<Skew> stored) : estimate_(stored) {}

    enum class Verdict : std::uint8_t { steady, stepped_forward, stepped_back };

    /// One message that was heard. `fresh_from` is the highest base-time that the server had sent before this
    /// connection's query was asked, or before this message on this connection: none can honestly be lower.
    /// `prompt`: the message is not known to have waited, in a bulk answer or because we did not read. Others only count
    /// as the lower bound that they are. `asked_at` is when the query was sent that this message answers.
    [[nodiscard]] Verdict on_base_time(ServerTime base, std::optional<ServerTime> fresh_from, SteadyTime asked_at,
                                       Now now, bool prompt);

    /// The best guess; 0 as long as nothing was heard.
    [[nodiscard]] Skew estimate() const { return estimate_.value_or(Skew{0}); }
    /// Nothing as long as nothing was heard or stored.
    [[nodiscard]] std::optional<Skew> known() const { return estimate_; }
    /// What the server's clock shows now, as far as we can tell.
    [[nodiscard]] ServerTime server_now(UtcMillis utc) const { return to_server(utc, estimate()); }

    /// Forget everything: the clock was set, or another server answers.
    void reset() { *this = ClockSkew{}; }

private:
    void follow_our_own_clock(Now now);
    [[nodiscard]] Verdict close_window();
    [[nodiscard]] Verdict add_to_window(Skew sample, Now now);

    std::optional<Skew> estimate_;
    std::optional<UtcMillis> our_epoch_;  // UTC at steady time zero: changes when somebody sets our own clock
    SteadyTime window_began_{};
    Skew window_highest_{};
    int window_samples_ = 0;
    std::optional<Skew> low_window_;  // the highest sample of the last window, if that was a step's distance too low
};

}  // namespace leasemirror
