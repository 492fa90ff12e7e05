// Inside of ModelConnection; see there for the states.
#pragma once

#include "tests/leasesim/messages/reply.hpp"
#include "tests/leasesim/messages/reply_parts.hpp"
#include "tests/leasesim/messages/wire_tricks.hpp"
#include "tests/leasesim/model_connection.hpp"

#include <deque>

namespace leasemirror::leasesim {

enum class ConnectionState : std::uint8_t { securing, awaiting, bulk, active, closing, closed };

/// Replies that wait to be written. The octets never move once they are in, until all have been taken: a Send may
/// point to them while more are appended.
class ReplyBuffer {
public:
    static constexpr std::size_t message_bytes_max = 4096;

    explicit ReplyBuffer(std::size_t chunk_bytes)
        : octets_(chunk_bytes + 16 * message_bytes_max), chunk_(chunk_bytes) {}

    [[nodiscard]] bool full() const { return end_ >= chunk_; }
    [[nodiscard]] bool empty() const { return at_ == end_; }
    [[nodiscard]] std::size_t room() const { return octets_.size() - end_; }
    [[nodiscard]] ByteWriter writer() { return ByteWriter(std::span(octets_).subspan(end_)); }
    void commit(std::size_t octets) { end_ += octets; }
    void cut(std::size_t octets) { end_ -= octets; }
    [[nodiscard]] ByteView take(std::size_t octets_max) {
        const auto n = std::min(octets_max, end_ - at_);
        at_ += n;
        return ByteView(octets_).subspan(at_ - n, n);
    }
    void reuse() {
        if (at_ == end_) at_ = end_ = 0;
    }

private:
    Bytes octets_;
    std::size_t chunk_;
    std::size_t at_ = 0;
    std::size_t end_ = 0;
};

struct ModelConnection::Impl {
    Impl(ModelServer& s, ModelConnection* self_, bool refused, UtcMillis now);

    enum class Step : std::uint8_t { made, idle, more };  ///< more: nothing made yet, there is more to look through

    struct BulkQueryState {
        std::uint64_t next_unit = 0, end_unit = 0, stride = 1;
        UtcMillis began;
        std::uint64_t sent = 0;
    };
    struct Replay {
        ChurnCursor cursor;
        UtcMillis until;  ///< what happens later is live
        ServerTime start;
        bool by_unit = false;  ///< more events than units: look at each unit once instead
        std::uint64_t next_unit = 0;
        UtcMillis began;
        std::uint64_t sent = 0;
    };

    // model_connection.cpp: reading, writing, time
    void read_request(ByteView frame, UtcMillis now);
    [[nodiscard]] Step read_next(UtcMillis now);
    void produce(UtcMillis now);
    void close(bool abort);
    [[nodiscard]] bool blocked_too_long(UtcMillis now) const;
    [[nodiscard]] std::optional<UtcMillis> active_deadline(UtcMillis now) const;
    [[nodiscard]] UtcMillis allowed_at(UtcMillis began, std::uint64_t sent) const;

    // connection_tls.cpp
    void on_upgrade(std::uint32_t xid, UtcMillis now);
    void answer_upgrade(std::uint32_t xid, std::optional<Status> status, UtcMillis now);
    void begin_securing(UtcMillis now);
    [[nodiscard]] bool in_clear() const { return server.options().tls != TlsMode::off && !secured; }

    // connection_bulk.cpp
    void refuse(const Refusal& refusal, UtcMillis now);
    void start_bulk(Request q, UtcMillis now);
    [[nodiscard]] Step produce_bulk(UtcMillis now);
    [[nodiscard]] std::uint8_t matching(const UnitState& s) const;  ///< the leases of the unit that the query asks for
    void finish_bulk(std::optional<StatusCode> status, std::string_view text, bool always_base_time, UtcMillis now);

    // connection_active.cpp
    void start_active(Request q, UtcMillis now);
    [[nodiscard]] Step produce_active(UtcMillis now);
    [[nodiscard]] bool send_live(UtcMillis now);
    [[nodiscard]] Step send_replayed(UtcMillis now);
    [[nodiscard]] bool was_told_since(std::uint64_t number, UtcMillis at, UtcMillis now) const;
    void end_former_clients(std::uint64_t number, UtcMillis at, UtcMillis now);
    void finish_replay(StatusCode marker, UtcMillis now);
    void delay(const ChurnEvent& event);
    void tell(const ChurnEvent& event, UtcMillis now);
    void end_former_client(const ChurnEvent& event, UtcMillis now);
    void send_change(const UnitState& s, std::uint8_t ended, UtcMillis at, UtcMillis now);
    void send_old_ends(std::uint8_t gone, UtcMillis at, UtcMillis now);
    void send_marker(std::optional<StatusCode> status, std::string_view text, bool always_base_time, UtcMillis now);
    void end_active(StatusCode status, std::string_view text, UtcMillis now);
    /// Base-time of what is made now: no later than the oldest change that has not been told.
    [[nodiscard]] UtcMillis stream_time(UtcMillis now) const;

    // connection_faults.cpp
    [[nodiscard]] std::optional<Fault> strike(FaultKind kind, bool sending, UtcMillis now);
    [[nodiscard]] MessageFaults message_faults(bool has_client, bool is_status, bool unassigned, UtcMillis now);
    [[nodiscard]] bool flow_faults(UtcMillis now);  ///< false: nothing more may be made now
    [[nodiscard]] bool end_faults(bool sending, UtcMillis now);
    void stray_messages(UtcMillis now);
    void frame_faults(std::size_t frame_bytes, UtcMillis now);
    void lose_changes(const Fault& fault, UtcMillis now);
    [[nodiscard]] bool is_sending(UtcMillis now) const;

    [[nodiscard]] ReplyContext context(UtcMillis at, const MessageFaults& faults);
    [[nodiscard]] bool v4() const { return server.model().family() == Family::v4; }
    /// What about messages that concern these leases of `s` cannot be read, if anything.
    [[nodiscard]] std::optional<Unreadable> unreadable(const UnitState& s, std::uint8_t leases) const;
    void distort(ByteView message, ByteWriter& to) const;
    /// A message about these leases of `s`, which may be one that nobody can read.
    template <class Write>
    void emit_about(const UnitState& s, std::uint8_t leases, UtcMillis now, Write write) {
        spoiled = unreadable(s, leases);
        emit(now, write);
        spoiled.reset();
    }
    /// Makes one framed message with `write(ByteWriter&)`.
    template <class Write>
    void emit(UtcMillis now, Write write) {
        assert(out.room() >= ReplyBuffer::message_bytes_max);
        auto writer = out.writer();
        const auto length = writer.reserve_u16();
        if (spoiled || server.options().personality.options_twice) {
            Bytes room(ReplyBuffer::message_bytes_max / 2);
            ByteWriter plain(room);
            write(plain);
            assert(plain.ok());
            distort(plain.written(), writer);
        } else {
            write(writer);
        }
        writer.patch_u16(length);
        assert(writer.ok());
        out.commit(writer.size());
        first = false;
        ++replies;
        last_made = now;
        ++messages;
        ++frames_waiting;
        ++server.stats_.messages;
        server.stats_.octets += writer.size();
        if (has_faults()) frame_faults(writer.size(), now);
    }
    [[nodiscard]] bool has_faults() const { return !server.faults_.empty() || !own_faults.empty(); }

    ModelServer& server;
    ModelConnection* self;
    ConnectionState state = ConnectionState::awaiting;
    bool abort = false;
    bool unannounced = false;
    bool end_of_stream = false;
    bool secured = false;
    std::optional<TlsTrouble> handshake;  ///< securing: BeginTls is due
    std::uint64_t requests = 0;           ///< messages read
    FrameBuffer in;
    ReplyBuffer out;
    ScratchV4 scratch_v4;
    ScratchV6 scratch_v6;
    Request request;
    UnitState unit;
    bool first = true;          ///< no reply to this request yet
    std::uint64_t replies = 0;  ///< to this request
    BulkQueryState bulk;
    ChurnCursor live;
    std::optional<Replay> replay;
    bool turn_of_replay = false;
    /// With the fault `reorder`: changes whose turn has not come, by when it comes.
    struct Delayed {
        UtcMillis due;
        ChurnEvent event;
    };
    std::deque<Delayed> delayed;
    std::optional<Unreadable> spoiled;  ///< of the message that is made just now
    std::uint64_t messages = 0;
    UtcMillis last_activity;
    UtcMillis last_made;
    std::optional<UtcMillis> written_at;  ///< a Send is out and not taken yet
    bool scan_goes_on = false;

    // Faults.
    std::vector<Fault> own_faults;
    std::vector<std::size_t> struck;
    std::size_t tiny_octets = 0;
    std::uint64_t frames_to_hold = 0;
    std::uint64_t frames_waiting = 0;
    std::optional<UtcMillis> hold_until, silent_until, losing_until;
    bool never_complete = false;
};

}  // namespace leasemirror::leasesim
