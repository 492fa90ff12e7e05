// One connection, one query on it at a time: what bulk_session.hpp and active_session.hpp have in common. It sends the
// query, keeps the timer, puts the actions of a message in order, and reads messages. What a message means is the
// session's business, and so is the end: an Exchange tells what broke it, and the session closes it.
//
//     idle --ask()--> asking --on_sent(), or a reply--> waiting --end_query()--> idle
//                       |                                  |
//                       +--------------- close() ----------+--> closed
//
// One timer. `asking`: BULK_LQ_DATA_TIMEOUT for the query to be written, whether we read or not. `waiting`: the kind's
// answer_timeout between whole messages; it stands still while we do not read (set_reading), since silence that we cause
// ourselves is not the server's. `idle` and `closed`: none.
//
// Order. poll_action() gives the query to send, then what the current message says before its bindings, its bindings,
// and what comes after them; only then is the next message decoded. A peer that disconnects is told last.
//
// close() takes nothing back that a whole message said: such results stay valid (RFC 6926 §7.8). But it does take back a
// query that has not been polled: nobody sends on a connection that is to be closed (RFC 6926 §7.2).
#pragma once

#include "proto/session/reply_reader.hpp"
#include "proto/session/session.hpp"

#include <array>
#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace leasemirror {

/// In what the exchanges differ besides their messages: how patient they are, and their sentences for people.
struct ExchangeKind {
    Via via;
    std::chrono::milliseconds SessionSettings::*answer_timeout;
    std::string_view query;          ///< "bulk query": it could not be written
    std::string_view unknown_there;  ///< "no bulk leasequery there", as one guess why it closes without an octet
    std::string_view broken_off;     ///< what broke off when the server closed later: "the connection ended ..."
    std::string_view silence;        ///< what did not come in time: "no reply to ..."
    std::string_view nothing_asked;  ///< when the message that nobody asked for arrived: "before ..."
};

/// The few actions that one event or message leads to besides its bindings, first in first out. A ring, so that a
/// steady stream of messages allocates nothing.
class ActionQueue {
public:
    static constexpr std::size_t actions_max = 8;

    void push(SessionAction a) {
        assert(count_ < actions_max);
        ring_[(first_ + count_++) % actions_max] = std::move(a);
    }
    [[nodiscard]] std::optional<SessionAction> pop() {
        if (count_ == 0) return std::nullopt;
        auto& front = ring_[first_];
        first_ = (first_ + 1) % actions_max;
        --count_;
        return std::move(front);
    }

private:
    std::array<SessionAction, actions_max> ring_;
    std::size_t first_ = 0;
    std::size_t count_ = 0;
};

enum class ExchangeState : std::uint8_t { idle, asking, waiting, closed };

class Exchange {
public:
    /// Why the exchange cannot go on. The session is to close() it.
    struct Broken {
        CloseReason why;
        std::string text;
    };
    /// What comes in between actions: a message of the outstanding query, understood or not, or the end.
    using Arrival = std::variant<Broken, ReplyReader::Garbled, const MessageV4*, const MessageV6*>;

    Exchange(SessionSettings settings, const ExchangeKind& kind);

    // Events: what the sessions say of theirs holds.
    void on_sent(SessionNow now);
    void on_bytes(ByteView in, SessionNow now);
    void on_disconnected(const std::string& how, SessionNow now);
    void set_reading(bool reading, SessionNow now);
    [[nodiscard]] std::optional<Broken> on_deadline(SessionNow now);

    /// The next action. Whatever arrives before it is given to `take`, which tells the exchange what follows from it.
    template <class Take>
    [[nodiscard]] std::optional<SessionAction> poll_action(Take take) {
        for (;;) {
            if (auto action = next_action()) return action;
            const auto arrival = next_arrival();
            if (!arrival) return std::nullopt;
            std::visit(take, *arrival);
        }
    }

    /// Begins a query, in `idle`: gives it the next transaction-id of the connection (RFC 5460 §6.5, RFC 6926 §7.7).
    [[nodiscard]] std::uint32_t next_xid(SessionNow now);
    /// Sends it.
    void ask(Bytes request);
    /// A reply to it arrived. Comes first of what is said of a message.
    void heard(std::optional<ServerTime> base_time, ByteView identity = {});
    void heard(const MessageV4& m);
    /// The current message, or something in it, is not understood.
    void quarantine(std::string reason, bool lease_lost, std::optional<IpAddress> address = std::nullopt);
    /// The bindings of the current message are to be polled.
    void read_bindings() { reader_.begin_records(now_.server); }
    /// The current message tells of no bindings: only what could not be read of it is to be polled.
    void read_faults() { reader_.begin_faults(); }
    /// To be polled after them.
    void then(SessionAction action) { after_.push(std::move(action)); }
    void end_query();
    void close(CloseReason why, std::string text, StatusCode status = StatusCode::success);

    [[nodiscard]] const SessionSettings& settings() const { return settings_; }
    [[nodiscard]] ExchangeState state() const { return state_; }
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const { return deadline_; }
    [[nodiscard]] std::size_t wants_bytes() const { return reader_.space(); }
    [[nodiscard]] bool inside_message() const { return reader_.inside_message(); }
    [[nodiscard]] bool disconnected() const { return disconnected_.has_value(); }

private:
    [[nodiscard]] std::optional<SessionAction> next_action();
    [[nodiscard]] std::optional<Arrival> next_arrival();
    [[nodiscard]] Arrival reply_with(std::uint32_t xid, Arrival message);
    [[nodiscard]] std::string likely_causes() const;
    [[nodiscard]] Broken after_disconnect() const;
    void enter(ExchangeState next);

    SessionSettings settings_;
    ExchangeKind kind_;
    ReplyReader reader_;
    ExchangeState state_ = ExchangeState::idle;
    std::uint32_t xid_;
    Bytes request_;
    bool request_waits_ = false;               // to be polled
    ActionQueue before_;                       // what comes before the bindings of the current message,
    ActionQueue after_;                        // and what comes after them
    std::optional<std::string> disconnected_;  // how; acted on when what arrived before has been read out
    bool reading_ = true;
    bool anything_received_ = false;
    SessionNow now_{};
    std::optional<SteadyTime> deadline_;
};

}  // namespace leasemirror
