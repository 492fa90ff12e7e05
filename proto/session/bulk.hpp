// The life of one bulk leasequery connection: RFC 6926 §7 (v4), RFC 5460 §6 (v6), with the times of RFC 7653.
//
//     idle --start()--> asked --first reply--> listing --last reply--> idle      (QueryDone, then start() again)
//                         |                       |
//                         +-------- anything wrong, or the server closes --------> closed   (Close)
//
// Timers, kept by the exchange. `asked` and `listing`: BULK_LQ_DATA_TIMEOUT, for the query to be written and then between
// replies; between replies it stands still while we do not read. `idle` and `closed`: none.
//
// One query at a time, which RFC 6926 §7.7 wants of those who cannot tell interleaved replies apart. Besides, Kea loses a
// query whose transaction-id is still in use. A query that breaks off must be asked again from its start; whole replies that
// arrived stay valid (RFC 6926 §4, §7.8).
//
// A message that cannot be decoded costs itself, and counts as what it says it was, where that can be read: a first reply
// begins the answer, LEASEQUERY-DONE and DHCPLEASEQUERYDONE end it, as failed. A query whose end is lost ends by the timer.
#pragma once

#include "proto/query.hpp"
#include "proto/session/exchange.hpp"
#include "proto/session/session.hpp"

#include <optional>

namespace leasemirror {

enum class BulkState : std::uint8_t { idle, asked, listing, closed };

class BulkSession {
public:
    explicit BulkSession(SessionSettings settings);

    /// Asks a query; only in `idle`. A query that the family cannot express ends at once, with MalformedQuery.
    void start(const BulkQuery& query, const QueryWindow& window, bool all_vpns, SessionNow now);
    /// The octets of the last Send are on their way.
    void on_sent(SessionNow now) { exchange_.on_sent(now); }
    /// `in` must not exceed wants_bytes().
    void on_bytes(ByteView in, SessionNow now) { exchange_.on_bytes(in, now); }
    /// The peer closed, or the connection broke; `how` is for people.
    void on_disconnected(const std::string& how, SessionNow now) { exchange_.on_disconnected(how, now); }
    /// We stop reading, or go on: silence that we cause ourselves is not the server's (agent/README.md, "Backpressure").
    void set_reading(bool reading, SessionNow now) { exchange_.set_reading(reading, now); }
    /// Early or spurious calls are no-ops.
    void on_deadline(SessionNow now);

    /// The next thing to do; nothing when all that arrived has been worked off.
    [[nodiscard]] std::optional<SessionAction> poll_action();
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const { return exchange_.next_deadline(); }
    /// How many octets on_bytes() takes now.
    [[nodiscard]] std::size_t wants_bytes() const { return exchange_.wants_bytes(); }
    /// A message has been begun, and not all that it says of bindings been polled.
    [[nodiscard]] bool inside_message() const { return exchange_.inside_message(); }
    [[nodiscard]] BulkState state() const { return state_; }
    /// The peer is gone: no further query can be asked on this connection.
    [[nodiscard]] bool disconnected() const { return exchange_.disconnected(); }

private:
    void take(const Exchange::Broken& broken);
    void take(const ReplyReader::Garbled& garbled);
    void take(const MessageV4* message);
    void take(const MessageV6* message);
    void on_status(const MessageV4& m);
    void on_reply(const MessageV6& m);
    void on_done(const std::optional<Status>& status);
    void end_query(QueryOutcome outcome, StatusCode status, std::string text);
    void fail(CloseReason why, std::string text);

    Exchange exchange_;
    BulkState state_ = BulkState::idle;
};

}  // namespace leasemirror
