// A UdpQuery on virtual time, and servers that answer its datagrams as they are told to.
//
// Times are seconds since the query began. A reply takes its transaction-id out of the datagram that it answers.
#pragma once

#include "proto/udp/query.hpp"
#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

#include <functional>

namespace leasemirror::test {

inline UdpEndpoint endpoint(std::string_view text, std::uint16_t port = 0) {
    const auto a = address(text);
    return {a, port != 0 ? port : (a.family() == Family::v4 ? std::uint16_t{67} : std::uint16_t{547})};
}

inline BulkQuery ask_for(std::string_view text) {
    BulkQuery query;
    query.kind = QueryKind::address;
    query.address = address(text);
    return query;
}

inline BulkQuery ask_by(QueryKind kind, Bytes id) {
    BulkQuery query;
    query.kind = kind;
    query.id = std::move(id);
    return query;
}

inline const Bytes client_duid{0, 3, 0, 1, 2, 0, 0, 0, 0, 1};
inline const Bytes mac{2, 0, 0, 0, 0, 1};

inline UdpSettings udp_v4(std::vector<UdpEndpoint> servers) {
    UdpSettings settings;
    settings.family = Family::v4;
    settings.giaddr = address("192.0.2.99");
    settings.servers = std::move(servers);
    settings.seed = 4388;
    return settings;
}
// Not a default argument: g++ 12 takes one function's for the other's.
inline UdpSettings udp_v4() {
    return udp_v4({endpoint("192.0.2.1")});
}

inline UdpSettings udp_v6(std::vector<UdpEndpoint> servers) {
    UdpSettings settings;
    settings.family = Family::v6;
    settings.requestor_duid = our_duid;
    settings.servers = std::move(servers);
    settings.seed = 5007;
    return settings;
}
inline UdpSettings udp_v6() {
    return udp_v6({endpoint("2001:db8::1")});
}

template <class Encode>
Bytes unframed(Encode encode) {
    const auto frame = framed(encode);
    return Bytes(frame.begin() + 2, frame.end());
}

/// What a v4 server sends. Every field can be made wrong.
struct ReplyV4 {
    MessageTypeV4 type = MessageTypeV4::lease_active;
    std::string ip = "10.0.0.5";
    Bytes hw_addr = mac;
    Bytes client_id{};
    Bytes remote_id{};
    std::vector<std::string> associated{};
    std::string server{};
    std::optional<std::uint32_t> age = 10;  ///< client-last-transaction-time
    std::optional<std::uint32_t> lease_time = 600;
    std::optional<std::int64_t> base{};
    std::optional<std::uint8_t> state{};
    std::optional<StatusCode> status{};
    std::string giaddr = "192.0.2.99";
    std::uint32_t xid_change = 0;
    std::uint8_t op = 2;

    [[nodiscard]] Bytes to(ByteView request) const {
        MessageV4 m;
        m.op = op;
        m.xid = ByteReader(request.subspan(4)).u32() ^ xid_change;
        m.type = type;
        m.ciaddr = address(ip);
        m.giaddr = address(giaddr);
        m.htype = 1;
        m.hlen = static_cast<std::uint8_t>(hw_addr.size());
        m.chaddr = hw_addr;
        m.client_id = client_id;
        if (!server.empty()) m.server_identifier = address(server);
        if (base) m.base_time = at(*base);
        m.dhcp_state = state;
        if (status) m.status = make_status_v4(*status, "why");
        if (type == MessageTypeV4::lease_active) {
            m.client_last_transaction_age = age;
            m.lease_time = lease_time;
        }
        Bytes list, option_82;
        for (const auto& text : associated) {
            const auto a = address(text);
            list.insert(list.end(), a.bytes().begin(), a.bytes().end());
        }
        m.associated_ip = list;
        if (!remote_id.empty()) {
            option_82 = {2, static_cast<std::uint8_t>(remote_id.size())};
            option_82.insert(option_82.end(), remote_id.begin(), remote_id.end());
            m.relay_agent_information = option_82;
        }
        return unframed([&](ByteWriter& out) { encode_v4(m, out); });
    }
};

inline ReplyV4 unassigned(std::string ip) {
    ReplyV4 reply;
    reply.type = MessageTypeV4::lease_unassigned;
    reply.ip = std::move(ip);
    reply.hw_addr.clear();
    return reply;
}
inline ReplyV4 unknown(std::string ip = "0.0.0.0") {
    auto reply = unassigned(std::move(ip));
    reply.type = MessageTypeV4::lease_unknown;
    return reply;
}

/// What a v6 server sends.
struct ReplyV6 {
    std::vector<Client> clients{};
    std::vector<std::string> links{};
    std::optional<StatusCode> status{};
    std::optional<std::int64_t> base{};
    Bytes server_id = server_duid;
    Bytes client_id = our_duid;
    std::uint32_t age = 10;
    std::uint32_t xid_change = 0;
    MessageTypeV6 type = MessageTypeV6::lease_query_reply;

    [[nodiscard]] Bytes to(ByteView request) const {
        std::vector<ClientDataV6> all;
        for (const auto& client : clients) {
            auto& data = all.emplace_back();
            data.client_id = client.duid;
            if (client.with_age) data.client_last_transaction_age = age;
            data.leases = client.leases;
            data.relay_data = client.relay_data;
        }
        Bytes list;
        for (const auto& text : links) {
            const auto a = address(text);
            list.insert(list.end(), a.bytes().begin(), a.bytes().end());
        }
        MessageV6 m;
        m.type = type;
        m.xid = ByteReader(request.subspan(1)).u24() ^ xid_change;
        m.client_id = client_id;
        m.server_id = server_id;
        m.client_link = list;
        if (status) m.status = make_status_v6(*status, "why");
        if (base) m.base_time = at(*base);
        m.client_data = all;
        return unframed([&](ByteWriter& out) { encode_v6(m, out); });
    }
};

inline ReplyV6 holds(std::vector<LeaseV6> leases) {
    ReplyV6 reply;
    reply.clients = {Client{std::move(leases), client_duid}};
    return reply;
}
inline ReplyV6 on_links(std::vector<std::string> links) {
    ReplyV6 reply;
    reply.links = std::move(links);
    return reply;
}

/// The query by the client-id that holds() answers.
inline BulkQuery by_client_id() {
    return ask_by(QueryKind::client_id, client_duid);
}
inline Bytes duid_of_server(std::uint8_t n) {
    return {0, 3, 0, 1, 0x5e, n};
}

/// What was sent to a v6 server.
inline MessageV6 decoded(const Bytes& bytes, ScratchV6& scratch) {
    const auto m = decode_v6(bytes, scratch);
    REQUIRE(m);
    return *m;
}
inline std::uint32_t xid_of(const Bytes& bytes) {
    return ByteReader(ByteView(bytes).subspan(1)).u24();
}

class UdpTalk {
public:
    struct Sent {
        double at;
        std::size_t question;
        std::optional<std::size_t> server;
        UdpEndpoint to;
        Bytes bytes;
        std::uint32_t attempt;
    };

    UdpTalk(UdpSettings settings, BulkQuery asked, UdpMemory* memory = nullptr, double began = 0)
        : began_(SteadyTime{std::chrono::hours{1}} + seconds(began)),
          query(std::move(settings), std::move(asked), memory) {
        query.start(now());
        poll();
    }

    /// `from` answers the datagram `sent[index]`.
    template <class Reply>
    void answer(std::size_t index, const Reply& reply, const UdpEndpoint& from) {
        hear(reply.to(sent.at(index).bytes), from);
    }
    /// The server it was sent to does.
    template <class Reply>
    void answer(std::size_t index, const Reply& reply) {
        answer(index, reply, sent.at(index).to);
    }
    void hear(ByteView bytes, const UdpEndpoint& from) {
        query.on_datagram(from, bytes, {now(), at(static_cast<std::int64_t>(clock_))});
        poll();
    }
    void fail_to_send(std::size_t index, std::string_view why) {
        query.on_send_failed(sent.at(index).question, why, now());
        poll();
    }
    /// Lets time pass, as a shell would: awake at the deadlines and at the end only.
    void run_until(double end) {
        for (auto next = query.next_deadline(); next && *next <= began_ + seconds(end); next = query.next_deadline()) {
            const auto before = clock_;
            clock_ = std::chrono::duration<double>(*next - began_).count();
            // A deadline that does not move on would be a shell that spins.
            stuck_ = clock_ > before ? 0 : stuck_ + 1;
            REQUIRE(stuck_ < 3);
            exact_ = *next;
            query.on_deadline(*next);
            poll();
        }
        clock_ = end;
        exact_ = began_ + seconds(end);
        query.on_deadline(exact_);
        poll();
    }
    /// Time passes, and the shell does not wake up for its deadlines.
    void oversleep(double end) {
        clock_ = end;
        exact_ = began_ + seconds(end);
    }
    void run_to_end() {
        while (!query.done())
            run_until(clock_ + 1);
    }

    [[nodiscard]] double clock() const { return clock_; }
    [[nodiscard]] const UdpAnswer& reply_of(std::size_t index) const { return query.answers().at(index); }
    /// "10.0.0.5 2001:db8::1/64": the keys of one answer's bindings.
    [[nodiscard]] std::string keys(std::size_t index) const {
        std::string out;
        for (const auto& told : reply_of(index).bindings)
            out += (out.empty() ? "" : " ") + key_text(told.binding.key);
        return out;
    }
    [[nodiscard]] static std::string key_text(const BindingKey& key) {
        const auto length = key.kind == BindingKind::prefix ? "/" + std::to_string(key.prefix_len) : "";
        return key.address.to_string() + length;
    }
    /// "found no answer": the outcomes of one answer's parts.
    [[nodiscard]] std::vector<std::string> outcomes(std::size_t index) const {
        std::vector<std::string> out;
        for (const auto& part : reply_of(index).parts)
            out.emplace_back(to_string(part.outcome));
        return out;
    }
    [[nodiscard]] std::uint64_t discarded(UdpDiscard why) const { return query.discards().of(why); }

private:
    static SteadyTime::duration seconds(double s) {
        return std::chrono::duration_cast<SteadyTime::duration>(std::chrono::duration<double>(s));
    }
    [[nodiscard]] SteadyTime now() const { return exact_ == SteadyTime{} ? began_ : exact_; }
    void poll() {
        while (const auto action = query.poll_action()) {
            if (const auto* send = std::get_if<udp_action::Send>(&*action))
                sent.push_back({clock_, send->question, send->server, send->to,
                                Bytes(send->bytes.begin(), send->bytes.end()), send->attempt});
            else {
                learned.push_back(std::get<udp_action::Learned>(*action).answer);
                learned_at.push_back(clock_);
            }
        }
    }

    SteadyTime began_;
    SteadyTime exact_{};
    double clock_ = 0;
    int stuck_ = 0;

public:
    UdpQuery query;
    std::vector<Sent> sent;
    std::vector<std::size_t> learned;
    std::vector<double> learned_at;
};

}  // namespace leasemirror::test
