// How far a server's clock is from ours, told from the base-times of its messages (agent/README.md, "Clocks"; RFC 7653 §8.5).
//
// A base-time B read at our time R says: the server's clock showed B, cut to a second, at some moment not after R. So
// the skew is at least B - R, and a message that was created just now gives at most B - R + 1 s. A message that waited
// in a queue, or on the way, gives a lower value and never a higher one. Hence the highest sample of a window is the
// good one, and the estimate moves only on evidence: up at once when a sample proves it too low, down by small
// steps when a whole window had no sample within a second of it. A server whose clock agrees with ours keeps exactly 0.
//
// A reply also has an upper bound: it was created after we had sent our query at Q, so the skew is at most B + 1 s - Q. For
// the first reply on a connection that is a narrow one, and no delay can fool it. It is kept, and widened as clocks drift.
//
// Steps. Three things cannot be if no clock was set: an estimate clearly above that bound; a sample clearly above the bound
// that was kept; a base-time clearly below one that the server had already sent when this message was asked for. One such
// message may be wrong by itself, so it is only doubtful, and nothing in it can be trusted, since all its times count from
// its base-time. When several in a row tell the same, the server's clock was set. A clock that went back while we were
// not listening shows also as two windows in a row whose samples are all below the estimate, by much and by the same:
// a queue that drains would come nearer.
#pragma once

#include "proto/time.hpp"
#include "storage/batch.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace leasemirror {

class ClockSkew {
public:
    /// Base-times may trail each other by this much without the clock having gone back: servers queue messages, build them in
    /// several threads, and have their clocks set by NTP.
    static constexpr std::chrono::seconds disorder_max = Change::disorder_window;
    /// Base-times are cut to whole seconds, so a sample may be this much too low without any delay.
    static constexpr std::chrono::milliseconds cut_off{999};
    /// A sample this far beyond a bound is no drift.
    static constexpr std::chrono::seconds step_min{2};
    /// So many doubtful messages in a row that tell the same make a step.
    static constexpr int step_witnesses = 3;
    /// They tell the same if they differ by less than this.
    static constexpr std::chrono::seconds step_settled{2};
    /// Windows of samples this far below the estimate are a clock set back, and no delay.
    static constexpr std::chrono::seconds window_step_min{10};
    static constexpr std::chrono::seconds window{60};
    static constexpr int window_samples_min = 3;
    static constexpr std::chrono::milliseconds drift_step{100};

    ClockSkew() = default;
    /// Goes on from what was stored.
    explicit ClockSkew(std::optional<Skew> stored);

    enum class Verdict : std::uint8_t {
        steady,
        doubtful,         ///< its base-time cannot be right: the message counts for nothing
        stepped_back,     ///< the server's clock was set; the estimate is that of the new clock
        stepped_forward,  ///< likewise
    };

    /// One message that was heard, with all that decides what its base-time proves.
    struct Sample {
        ServerTime base;
        /// The latest base-time that the server had sent before this connection's query was asked, or before this message
        /// on this connection: none can honestly be lower. None: messages that were built earlier may come here (RFC 7653
        /// §8.4.1, RFC 7724 §7.4.1: the catch-up phase), and that is no evidence.
        std::optional<ServerTime> fresh_from;
        SteadyTime asked_at{};  ///< when the query was sent that it answers
        /// It is not known to have waited, in a bulk answer or because we did not read. Others only count as the lower bound
        /// that they are.
        bool prompt = false;
        bool built_after_asked = true;  ///< false: in the catch-up phase

        /// The skew is at least this: no delay makes it higher.
        [[nodiscard]] Skew at_least(Now now) const;
        /// The skew is at most this, if the message was built after we asked.
        [[nodiscard]] Skew at_most(Now now) const;
    };
    [[nodiscard]] Verdict on_base_time(const Sample& told, Now now);

    /// The best guess; 0 as long as nothing was heard.
    [[nodiscard]] Skew estimate() const { return estimate_.value_or(Skew{0}); }
    /// Nothing as long as nothing was heard or stored.
    [[nodiscard]] std::optional<Skew> known() const { return estimate_; }
    /// What the server's clock shows now, as far as we can tell.
    [[nodiscard]] ServerTime server_now(UtcMillis utc) const { return to_server(utc, estimate()); }
    /// Likewise, as a base-time would have it: cut to the second, and so never later.
    [[nodiscard]] ServerTime server_second(UtcMillis utc) const {
        return ServerTime{std::chrono::floor<std::chrono::seconds>((utc + estimate()).time_since_epoch())};
    }

    /// The last message had a base-time that cannot be right, and it is not known yet whether the clock was set.
    [[nodiscard]] bool is_doubted() const { return doubted_.has_value(); }
    /// Whether this base-time lies further behind what the server's clock should show than drift explains: its message has
    /// waited, or that clock was set back.
    [[nodiscard]] bool lags(ServerTime base, Now now) const;

    /// Somebody set our own clock by so much; the server's has not changed by that.
    void on_our_clock_moved(std::chrono::milliseconds by);

private:
    [[nodiscard]] bool lags(Skew sample) const { return estimate_ && sample + cut_off + step_min < *estimate_; }
    [[nodiscard]] bool joins_doubt(const Sample& told, Skew sample) const;
    [[nodiscard]] Verdict doubt(Skew sample, Skew most, Now now);
    void begin_anew(Skew sample, Skew most, Now now);
    void narrow_bound(Skew most, Now now);
    [[nodiscard]] std::optional<Skew> bound(Now now) const;
    [[nodiscard]] Verdict close_window();
    [[nodiscard]] Verdict add_to_window(Skew sample, Now now);

    struct Doubted {
        Skew sample;
        int witnesses = 1;
    };
    struct Window {
        SteadyTime began{};
        Skew highest{};
        int samples = 0;
        std::optional<Skew> low_before;  // the highest sample of the last window, if that was a step's distance too low
    };

    std::optional<Skew> estimate_;
    std::optional<Skew> bound_;           // the skew was at most this, at bound_at_
    std::optional<SteadyTime> bound_at_;  // none: stored, and nothing heard since
    std::optional<Doubted> doubted_;
    Window window_;
};

}  // namespace leasemirror
