// A requestor for the tests of the simulated server: asks in octets, drains on virtual time, keeps every frame.
#pragma once

#include "proto/wire/fill_binding.hpp"
#include "tests/leasesim/model_connection.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

namespace leasemirror::leasesim {

inline constexpr UtcMillis t0{std::chrono::seconds{1'760'000'000}};

[[nodiscard]] inline MessageV4 bulk_v4(std::uint32_t xid = 7) {
    static constexpr std::array<std::uint8_t, 13> wanted{51, 152, 153, 91, 156, 157, 82, 61, 60, 12, 54, 58, 59};
    MessageV4 m;
    m.op = 1;
    m.type = MessageTypeV4::bulk_lease_query;
    m.xid = xid;
    m.parameter_request_list = wanted;
    return m;
}
[[nodiscard]] inline MessageV4 active_v4(std::optional<ServerTime> start = {}) {
    auto m = bulk_v4();
    m.type = MessageTypeV4::active_lease_query;
    m.query_start_time = start;
    return m;
}
inline constexpr std::array<std::uint8_t, 8> wanted_v6{0, 100, 0, 47, 0, 39, 0, 16};
inline constexpr std::array<std::uint8_t, 10> requestor_duid{0, 3, 0, 1, 2, 9, 9, 9, 9, 9};

[[nodiscard]] inline MessageV6 query_v6(QueryTypeV6 type, const IpAddress& link, std::uint32_t xid = 7) {
    MessageV6 m;
    m.type = MessageTypeV6::lease_query;
    m.xid = xid;
    m.client_id = requestor_duid;
    m.option_request = wanted_v6;
    m.query = LqQueryV6{};
    m.query->type = type;
    m.query->link_address = link;
    return m;
}
[[nodiscard]] inline MessageV6 active_v6(std::optional<ServerTime> start = {}) {
    MessageV6 m;
    m.type = MessageTypeV6::active_lease_query;
    m.xid = 7;
    m.client_id = requestor_duid;
    m.option_request = wanted_v6;
    m.start_time = start;
    return m;
}

template <class Message>
[[nodiscard]] Bytes framed(const Message& m) {
    Bytes room(4096);
    ByteWriter w(room);
    const auto length = w.reserve_u16();
    if constexpr (std::is_same_v<Message, MessageV4>)
        encode_v4(m, w);
    else
        encode_v6(m, w);
    w.patch_u16(length);
    REQUIRE(w.ok());
    room.resize(w.size());
    return room;
}

class Peer {
public:
    Peer(ModelServer& server, UtcMillis now) : now_(now), connection_(server.accept(now)) {}

    template <class Message>
    void ask(const Message& m) {
        const auto frame = framed(m);
        send(frame);
    }
    void send(ByteView octets) {
        REQUIRE(connection_->space() >= octets.size());
        connection_->on_bytes(octets, now_);
        drain();
    }
    /// Everything there is to read now.
    void drain() {
        for (int idle = 0; idle < 3;) {
            const auto output = connection_->poll(now_);
            if (!output) {
                const auto next = connection_->next_deadline(now_);
                idle = next && *next <= now_ ? idle + 1 : 3;
                connection_->on_deadline(now_);
                continue;
            }
            idle = 0;
            if (const auto* s = std::get_if<Send>(&*output)) {
                writes.push_back(s->bytes.size());
                stream.insert(stream.end(), s->bytes.begin(), s->bytes.end());
                connection_->on_writable(now_);
            } else if (const auto* begin = std::get_if<BeginTls>(&*output)) {
                begun.push_back(begin->trouble);
            } else {
                closed = true;
                aborted = std::get<Close>(*output).abort;
                unannounced = std::get<Close>(*output).unannounced;
            }
        }
    }
    /// Virtual time goes on; the connection is woken when it asked to be.
    void run(std::chrono::milliseconds time) {
        const auto end = now_ + time;
        drain();
        while (const auto next = connection_->next_deadline(now_)) {
            if (*next > end) break;
            now_ = std::max(now_ + std::chrono::milliseconds{1}, *next);
            connection_->on_deadline(now_);
            drain();
        }
        now_ = end;
        drain();
    }

    /// Whole frames so far, without their lengths.
    [[nodiscard]] std::vector<ByteView> frames() const {
        std::vector<ByteView> out;
        for (std::size_t at = 0; at + 2 <= stream.size();) {
            const auto n = std::size_t{stream[at]} << 8U | stream[at + 1];
            if (at + 2 + n > stream.size()) break;
            out.push_back(ByteView(stream).subspan(at + 2, n));
            at += 2 + n;
        }
        return out;
    }
    void forget() {
        stream.clear();
        writes.clear();
    }
    [[nodiscard]] UtcMillis now() const { return now_; }
    void at(UtcMillis now) { now_ = now; }
    [[nodiscard]] ModelConnection& connection() { return *connection_; }

    Bytes stream;
    std::vector<std::size_t> writes;
    bool closed = false;
    bool aborted = false;
    bool unannounced = false;
    std::vector<TlsTrouble> begun;  ///< each BeginTls

private:
    UtcMillis now_;
    std::unique_ptr<ModelConnection> connection_;
};

/// Calls `see(const Message&)` for every frame; each must decode.
template <class See>
void for_each_v4(const Peer& peer, See see) {
    ScratchV4 scratch;
    for (const auto frame : peer.frames()) {
        const auto m = decode_v4(frame, scratch);
        REQUIRE(m);
        see(*m);
    }
}
template <class See>
void for_each_v6(const Peer& peer, See see) {
    ScratchV6 scratch;
    for (const auto frame : peer.frames()) {
        const auto m = decode_v6(frame, scratch);
        REQUIRE(m);
        see(*m);
    }
}

/// What a mirror would record, in the order of arrival.
[[nodiscard]] inline std::vector<Binding> bindings_of(const Peer& peer, Family family, ServerTime server_now = {}) {
    static constexpr std::array<std::uint16_t, 2> keep_v4{60, 12};
    static constexpr std::array<std::uint16_t, 1> keep_v6{16};
    std::vector<Binding> out;
    std::optional<DecodeError> fault;
    FillContext context;
    context.server_now = server_now;
    if (family == Family::v4) {
        context.keep_options = keep_v4;
        for_each_v4(peer, [&](const MessageV4& m) {
            if (m.type != MessageTypeV4::lease_active && m.type != MessageTypeV4::lease_unassigned) return;
            CHECK_FALSE(fill_binding(m, context, out.emplace_back(), fault));
        });
    } else {
        context.keep_options = keep_v6;
        for_each_v6(peer, [&](const MessageV6& m) {
            for (const auto& client : m.client_data)
                for (const auto& lease : client.leases) {
                    CHECK_FALSE(fill_binding(m, client, lease, context, out.emplace_back(), fault));
                    CHECK_FALSE(fault);
                }
        });
    }
    return out;
}

/// Equal in all that a mirror keeps: not `via`, nor base-time.
[[nodiscard]] inline bool same_record(Binding a, Binding b) {
    a.base_time = b.base_time = {};
    a.via = b.via = Via::bulk;
    return a == b;
}

}  // namespace leasemirror::leasesim
