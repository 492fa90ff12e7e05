// The life of one active leasequery connection: RFC 7724 §7 (v4), RFC 7653 §8 (v6).
//
//                         +-- start time sent ---> catching_up --CatchUpComplete or DataMissing--+
//     idle --start()--> asked                                                                    v
//                         +-- no start time ---------------------------------------------------> live
//                         (each state) -- anything wrong, the query ended, the server closed --> closed
//
// `asked` lasts until the first message. Which of the two comes then depends on whether we sent a start time:
// nothing in the answer tells (v4 has no acknowledgement at all, REQUIREMENTS R4-47).
//
// Base-times. In `live` each message that carries one leads to Advance, keep-alives included (REQUIREMENTS RC-66), after
// all its bindings. In `catching_up` none does: replay and live updates are mixed and unordered then, and a base-time
// kept from them would skip what had not arrived yet (RFC 7653 §8.4.1, RFC 7724 §7.4.1).
//
// An error status ends the query, and so does DONE whatever its status. Such an end advances only if it is an orderly
// one, success or QueryTerminated.
//
// Timers. `asked`: BULK_LQ_DATA_TIMEOUT until the query is written, then ACTIVE_LQ_RCV_TIMEOUT between messages, in
// each later state too. The latter stands still while we do not read (set_reading).
//
// A message that cannot be decoded costs itself, and counts as what its v6 header says it was: LEASEQUERY-REPLY begins
// the answer, LEASEQUERY-DONE ends it.
#pragma once

#include "proto/reply_reader.hpp"
#include "proto/session.hpp"

#include <optional>

namespace leasemirror {

enum class ActiveState : std::uint8_t { idle, asked, catching_up, live, closed };

class ActiveSession {
public:
    explicit ActiveSession(SessionSettings settings);

    /// Sends the query, once. With a start time the server replays what changed since (inclusive).
    void start(std::optional<ServerTime> start_time, SessionNow now);
    void on_sent(SessionNow now);
    /// `in` must not exceed wants_bytes().
    void on_bytes(ByteView in, SessionNow now);
    void on_disconnected(const std::string& how, SessionNow now);
    void set_reading(bool reading, SessionNow now);
    void on_deadline(SessionNow now);

    [[nodiscard]] std::optional<SessionAction> poll_action();
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const { return deadline_; }
    [[nodiscard]] std::size_t wants_bytes() const { return reader_.space(); }
    /// A message has been begun, and not all that it says of bindings been polled.
    [[nodiscard]] bool inside_message() const { return reader_.inside_message(); }
    [[nodiscard]] ActiveState state() const { return state_; }
    /// What was asked for: a gap that DataMissing opens begins here.
    [[nodiscard]] std::optional<ServerTime> start_time() const { return start_time_; }

private:
    void on_message(const MessageV4& m);
    void on_message(const MessageV6& m);
    void on_garbled(const ReplyReader::Garbled& garbled);
    void on_reply(const MessageV6& m);
    [[nodiscard]] bool take_next_message();
    void close_after_disconnect();
    void begin_answers();
    void on_marker(const std::optional<Status>& status, std::optional<ServerTime> base_time);
    void end_query(const std::optional<Status>& status, std::optional<ServerTime> base_time);
    void advance(std::optional<ServerTime> base_time);
    void quarantine(std::string reason, bool lease_lost, std::optional<IpAddress> address = std::nullopt);
    void fail(CloseReason why, std::string text, StatusCode status = StatusCode::success);
    void enter(ActiveState next);
    void rearm();

    SessionSettings settings_;
    ReplyReader reader_;
    Bytes request_;
    ActionQueue before_;
    ActionQueue after_;
    ActiveState state_ = ActiveState::idle;
    std::uint32_t xid_;
    std::optional<ServerTime> start_time_;
    std::optional<std::string> disconnected_;  // how; acted on when what arrived before has been read out
    bool replied_ = false;                     // v6: the one LEASEQUERY-REPLY has come
    bool sent_ = false;                        // the query has been written: told, or proved by an answer
    bool reading_ = true;
    bool anything_received_ = false;
    SessionNow now_{};
    std::optional<SteadyTime> deadline_;
};

}  // namespace leasemirror
