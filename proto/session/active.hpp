// The life of one active leasequery connection: RFC 7724 §7 (v4), RFC 7653 §8 (v6).
//
//                         +-- start time sent ---> catching_up --CatchUpComplete or DataMissing--+
//     idle --start()--> asked                                                                    v
//                         +-- no start time ---------------------------------------------------> live
//                         (each state) -- anything wrong, the query ended, the server closed --> closed
//
// `asked` lasts until the first message. Which of the two comes then depends on whether we sent a start time: nothing in
// the answer tells. RFC 7724 has no acknowledgement at all: the first message may be a keep-alive.
//
// Base-times. In `live` each message that carries one leads to Advance, after all its bindings; keep-alives too, or a
// quiet server would forget what happened since the time that we kept. In `catching_up` none does: replay and live
// updates are mixed and unordered then, and a base-time kept from them would skip what had not arrived yet (RFC 7653
// §8.4.1, RFC 7724 §7.4.1).
//
// An error status ends the query, and so does DONE whatever its status. Such an end advances only if it is an orderly
// one, success or QueryTerminated.
//
// Timers, kept by the exchange. `asked`: BULK_LQ_DATA_TIMEOUT until the query is written, then, and in `catching_up` and
// `live`, ACTIVE_LQ_RCV_TIMEOUT between messages; that one stands still while we do not read. `idle`, `closed`: none.
//
// A message that cannot be decoded costs itself, and counts as what it says it was, where that can be read:
// LEASEQUERY-REPLY begins the answer, LEASEQUERY-DONE and DHCPLEASEQUERYDONE end it.
#pragma once

#include "proto/session/exchange.hpp"
#include "proto/session/session.hpp"

#include <optional>

namespace leasemirror {

enum class ActiveState : std::uint8_t { idle, asked, catching_up, live, closed };

class ActiveSession {
public:
    explicit ActiveSession(SessionSettings settings);

    /// Sends the query, once. With a start time the server replays what changed since (inclusive).
    void start(std::optional<ServerTime> start_time, SessionNow now);
    void on_sent(SessionNow now) { exchange_.on_sent(now); }
    /// `in` must not exceed wants_bytes().
    void on_bytes(ByteView in, SessionNow now) { exchange_.on_bytes(in, now); }
    void on_disconnected(const std::string& how, SessionNow now) { exchange_.on_disconnected(how, now); }
    void set_reading(bool reading, SessionNow now) { exchange_.set_reading(reading, now); }
    void on_deadline(SessionNow now);

    [[nodiscard]] std::optional<SessionAction> poll_action();
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const { return exchange_.next_deadline(); }
    [[nodiscard]] std::size_t wants_bytes() const { return exchange_.wants_bytes(); }
    /// A message has been begun, and not all that it says of bindings been polled.
    [[nodiscard]] bool inside_message() const { return exchange_.inside_message(); }
    [[nodiscard]] ActiveState state() const { return state_; }
    /// What was asked for: a gap that DataMissing opens begins here.
    [[nodiscard]] std::optional<ServerTime> start_time() const { return start_time_; }

private:
    void take(const Exchange::Broken& broken);
    void take(const ReplyReader::Garbled& garbled);
    void take(const MessageV4* message);
    void take(const MessageV6* message);
    void on_reply(const MessageV6& m);
    void begin_answers();
    void on_marker(const std::optional<Status>& status, std::optional<ServerTime> base_time);
    void end_query(const std::optional<Status>& status, std::optional<ServerTime> base_time);
    void advance(std::optional<ServerTime> base_time);
    void fail(CloseReason why, std::string text, StatusCode status = StatusCode::success);

    Exchange exchange_;
    ActiveState state_ = ActiveState::idle;
    std::optional<ServerTime> start_time_;
};

}  // namespace leasemirror
