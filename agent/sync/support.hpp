// What a server supports, as far as it has shown it, and so whether it is followed by an active query or polled.
//
//     active   yes: an active query was answered. no: NotSupported, or closed without a word several times while bulk
//              queries were answered in between.
//     lists    yes: what a list of a client's leases leaves out has ended. no: it lists one lease at a time.
//     disorder by how much its live messages have been out of order.
//     windows  yes: a bulk query leaves out what changed before its start time. no: it does not, or replies carry no
//              base-time.
//
// It is remembered in the database. A 'no' is good for a day, or until another server answers at the address.
#pragma once

#include "agent/config/config.hpp"
#include "agent/sync/pacing.hpp"
#include "agent/sync/timers.hpp"
#include "storage/batch.hpp"

#include <chrono>
#include <optional>

namespace leasemirror {

class Support {
public:
    /// How long it is taken for granted that a server does not support something.
    static constexpr std::chrono::milliseconds lasts = std::chrono::hours{24};

    /// `can_poll`: bulk queries are configured, so that polling can stand in for an active query. `stored`: what an earlier
    /// life of the agent has found out.
    Support(const ServerConfig& config, bool can_poll, const ServerSupport& stored);
    /// How long what was stored is still good for.
    void start(Now now);

    [[nodiscard]] const ServerSupport& known() const { return known_; }
    /// Another server answers: nothing is known of it, but attempts keep their distance.
    void on_other_server(bool can_poll, const ServerConfig& config);
    /// Polled instead of followed.
    [[nodiscard]] bool is_polling() const { return polling_; }
    [[nodiscard]] bool has_no_windows() const { return known_.windows == false; }

    /// True if polling has ended with this: the active query is to be asked again.
    [[nodiscard]] bool on_deadline(Now now);
    [[nodiscard]] std::optional<SteadyTime> next_deadline(SteadyTime after) const;

    /// When the active query may be asked next.
    [[nodiscard]] Pacing& active_pacing() { return active_pacing_; }
    [[nodiscard]] const Pacing& active_pacing() const { return active_pacing_; }
    /// An active query has been answered.
    void on_active_answered(Now now);
    void on_bulk_answered() { bulk_answered_ = true; }
    /// NotSupported (RFC 7653 §9.2). True: polled from now on.
    [[nodiscard]] bool on_active_not_supported(Now now);
    /// Refused by another status that would be the same again, for example NotAllowed: what bulk queries tell is better
    /// than nothing. True: polled from now on, until the active query is tried again, as `active_pacing` does.
    [[nodiscard]] bool on_active_refused(Now now);
    /// An active query was closed, or left, without a word. v4 has no other way to say that it does not know the message
    /// type (RFC 7724 §8.1.1).
    enum class Refusal : std::uint8_t {
        borne,      ///< it has answered one before: asked again at the usual pace
        put_off,    ///< asked again, but not soon
        now_polled  ///< and polled until then
    };
    [[nodiscard]] Refusal on_active_refused_silently(Now now);
    /// True if that is news.
    [[nodiscard]] bool on_windows(bool supported, Now now);
    /// A live message with a base-time of so much before one that came earlier. The server is taken to do so again.
    void on_disorder(std::chrono::seconds late);
    /// How far before the base-times that were heard the server may not have told all yet (RFC 7653 §8.4, RFC 7724 §7.4.1
    /// promise no order).
    [[nodiscard]] std::chrono::seconds disorder() const { return known_.disorder; }
    /// A lease that a list of its client left out had ended, or had not. True: so many in a row have shown by now whether
    /// what lists leave out has ended (RFC 5007 §4.1.2.2 says that they leave out nothing).
    [[nodiscard]] bool on_unlisted_lease(bool ended);

private:
    void learn(std::optional<bool>& ability, const std::optional<bool>& other, bool supported, Now now);
    /// After how long what was refused may be asked again.
    [[nodiscard]] std::chrono::milliseconds not_soon() const { return 10 * retry_; }
    void put_off_active(Now now);
    [[nodiscard]] bool poll_instead(std::chrono::milliseconds ask_again, Now now);
    void ask_anew(Now now);

    SyncMode mode_;
    bool can_poll_;
    std::chrono::milliseconds retry_;
    ServerSupport known_;
    bool polling_;
    int silent_refusals_ = 0;     // of active queries, in a row
    bool bulk_answered_ = false;  // since the last of them
    int ended_in_a_row_ = 0;      // of leases that lists left out; below 0: had not ended
    Timers timers_;               // active_again, support_again
    Pacing active_pacing_;
};

}  // namespace leasemirror
