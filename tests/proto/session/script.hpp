// Scripts for session tests: messages from a server that is told in one line, and every action of a session as words.
//
// Times are seconds after t0 in the server's clock. A Talk holds one session, feeds it events, and returns what the
// session asked for in answer, in order, joined by "; ":
//
//     send                                   heard @5 from c0000201       binding 192.0.2.1 active @5
//     listed 2 of 00030001aa                 quarantine lost 192.0.2.1    quarantine kept
//     advance @5                             caught-up                    data-missing @5
//     complete  |  failed NotAllowed         close peer silent  |  close refused NotAllowed
//
// The words come from the values of the actions; sentences for people are kept aside and are not compared.
#pragma once

#include "proto/session/active.hpp"
#include "proto/session/bulk.hpp"
#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror::test {

using namespace std::chrono_literals;

inline constexpr std::int64_t t0 = 1'700'000'000;

inline ServerTime at(std::int64_t seconds) {
    return server_time_from_unix(t0 + seconds);
}

inline IpAddress address(std::string_view text) {
    const auto parsed = IpAddress::parse(text);
    REQUIRE(parsed);
    return *parsed;
}

// ---- what servers send --------------------------------------------------------------------------------------------

constexpr std::uint32_t xid = 0x010203;
inline const Bytes our_duid{0, 3, 0, 1, 0xaa};
inline const Bytes server_duid{0, 3, 0, 1, 0xbb};
inline const Bytes some_duid{0, 3, 0, 1, 0xcc};

template <class Encode>
Bytes framed(Encode encode) {
    Bytes room(2 + 65535);
    ByteWriter out(room);
    const auto length = out.reserve_u16();
    encode(out);
    out.patch_u16(length);
    REQUIRE(out.ok());
    const auto written = out.written();
    return Bytes(written.begin(), written.end());
}

struct V4 {
    MessageTypeV4 type = MessageTypeV4::lease_active;
    std::string ip = "0.0.0.0";  ///< ciaddr
    std::optional<std::int64_t> base{};
    std::optional<StatusCode> status{};
    std::optional<std::uint8_t> status_number{};  ///< one that no RFC defines
    std::optional<std::uint8_t> state{};
    std::string server{};
    std::optional<std::uint32_t> lease_time{};
    Bytes option_82{};
    std::uint32_t id = xid;
    std::vector<RawOptionV4> raw{};
    std::optional<std::uint32_t> age{};  ///< since the client's last transaction

    [[nodiscard]] Bytes bytes() const {
        MessageV4 m;
        m.op = 2;
        m.type = type;
        m.xid = id;
        m.ciaddr = address(ip);
        if (base) m.base_time = at(*base);
        if (status) m.status = make_status_v4(*status, "why");
        if (status_number) m.status = Status{status_code_v4(*status_number), *status_number, "why"};
        m.dhcp_state = state;
        if (!server.empty()) m.server_identifier = address(server);
        m.lease_time = lease_time;
        m.relay_agent_information = option_82;
        m.options = raw;
        m.client_last_transaction_age = age;
        return framed([&](ByteWriter& out) { encode_v4(m, out); });
    }
};

/// What one OPTION_CLIENT_DATA holds.
struct Client {
    std::vector<LeaseV6> leases{};
    Bytes duid = some_duid;
    bool with_age = true;  ///< CLT_TIME, without which it must be discarded
    Bytes relay_data{};
    std::uint32_t age = 10;
    std::string vpn{};  ///< its name, as NVT ASCII
    std::uint8_t vpn_type = 0;
};

inline LeaseV6 ia(std::string_view text, std::uint32_t valid = 600, std::optional<StatusCode> status = std::nullopt) {
    LeaseV6 lease;
    lease.address = address(text);
    lease.preferred = lease.valid = valid;
    if (status) lease.status = make_status_v6(*status, "why");
    return lease;
}
inline LeaseV6 pd(std::string_view text, std::uint8_t length, std::optional<StatusCode> status = std::nullopt) {
    auto lease = ia(text, 600, status);
    lease.kind = BindingKind::prefix;
    lease.prefix_len = length;
    return lease;
}

struct V6 {
    MessageTypeV6 type = MessageTypeV6::lease_query_data;
    std::vector<Client> clients{};
    std::optional<std::int64_t> base{};
    std::optional<StatusCode> status{};
    std::optional<std::uint16_t> status_number{};  ///< one that no RFC defines
    Bytes client_id{};
    Bytes server_id{};
    Bytes client_link{};
    std::uint32_t id = xid;

    [[nodiscard]] Bytes bytes() const {
        std::vector<ClientDataV6> all;
        for (const auto& client : clients) {
            auto& data = all.emplace_back();
            data.client_id = client.duid;
            if (client.with_age) data.client_last_transaction_age = client.age;
            data.leases = client.leases;
            data.relay_data = client.relay_data;
            if (!client.vpn.empty())
                data.vss = VssV6{client.vpn_type,
                                 {reinterpret_cast<const std::uint8_t*>(client.vpn.data()), client.vpn.size()}};
        }
        MessageV6 m;
        m.type = type;
        m.xid = id;
        m.client_id = client_id;
        m.server_id = server_id;
        m.client_link = client_link;
        if (base) m.base_time = at(*base);
        if (status) m.status = make_status_v6(*status, "why");
        if (status_number) m.status = Status{status_code_v6(*status_number), *status_number, "why"};
        m.client_data = all;
        return framed([&](ByteWriter& out) { encode_v6(m, out); });
    }
};

/// A LEASEQUERY-REPLY with the two identifiers that it must have (RFC 5007 §4.2.2).
inline V6 reply6(V6 m = {}) {
    m.type = MessageTypeV6::lease_query_reply;
    m.client_id = our_duid;
    m.server_id = server_duid;
    return m;
}
inline V6 done6(V6 m = {}) {
    m.type = MessageTypeV6::lease_query_done;
    return m;
}

inline V4 active4(std::string ip, std::optional<std::int64_t> base = std::nullopt) {
    return {.type = MessageTypeV4::lease_active, .ip = std::move(ip), .base = base};
}
inline V4 unassigned4(std::string ip, std::optional<std::int64_t> base = std::nullopt) {
    return {.type = MessageTypeV4::lease_unassigned, .ip = std::move(ip), .base = base};
}
inline V4 done4(std::optional<StatusCode> status = std::nullopt, std::optional<std::int64_t> base = std::nullopt) {
    return {.type = MessageTypeV4::lease_query_done, .base = base, .status = status};
}
inline V4 status4(std::optional<StatusCode> status = std::nullopt, std::optional<std::int64_t> base = std::nullopt) {
    return {.type = MessageTypeV4::lease_query_status, .base = base, .status = status};
}

inline Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}
inline Bytes operator+(Bytes a, const V4& b) {
    return std::move(a) + b.bytes();
}
inline Bytes operator+(Bytes a, const V6& b) {
    return std::move(a) + b.bytes();
}

/// An option of a message, by number, whose length octet is made larger than what is left.
inline Bytes broken(const V4& m) {
    auto bytes = m.bytes();
    bytes.insert(bytes.end() - 1, {51, 200});  // lease-time of 200 octets, before the end option
    ByteWriter(bytes).u16(static_cast<std::uint16_t>(bytes.size() - 2));
    return bytes;
}
inline Bytes broken(const V6& m) {
    auto bytes = m.bytes();
    bytes.insert(bytes.end(), {0, 45, 0, 200});  // a CLIENT_DATA of 200 octets, none of them there
    ByteWriter(bytes).u16(static_cast<std::uint16_t>(bytes.size() - 2));
    return bytes;
}

// ---- what sessions ask for ----------------------------------------------------------------------------------------

inline std::string words_of(ServerTime t) {
    return "@" + std::to_string(unix_seconds(t) - t0);
}

/// Everything that a session asked for. Views are copied, since they live until the next event only.
struct Asked {
    std::string words;
    Bytes sent;
    std::vector<Binding> bindings;
    std::vector<Binding> lists;
    std::vector<action::Quarantine> quarantined;  // `message` is empty: see below
    std::vector<Bytes> quarantined_bytes;
    std::string text;  // of the last QueryDone or Close

    void add(const SessionAction& action) {
        const auto word = std::visit([this](const auto& a) { return word_of(a); }, action);
        words += (words.empty() ? "" : "; ") + word;
    }

private:
    std::string word_of(const action::Send& a) {
        sent.assign(a.bytes.begin(), a.bytes.end());
        return "send";
    }
    std::string word_of(const action::Heard& a) {
        return "heard" + (a.base_time ? " " + words_of(*a.base_time) : "") +
               (a.server_identity.empty() ? "" : " from " + to_hex(a.server_identity));
    }
    std::string word_of(const action::Deliver& a) {
        const auto& b = bindings.emplace_back(*a.binding);
        return "binding " + b.key.address.to_string() +
               (b.key.kind == BindingKind::prefix ? "/" + std::to_string(b.key.prefix_len) : "") + " " +
               std::string(to_string(b.state)) + " " + words_of(b.base_time);
    }
    std::string word_of(const action::ClientListed& a) {
        lists.push_back(*a.client);
        return "listed " + std::to_string(a.listed) + " of " + to_hex(a.client->client_id);
    }
    std::string word_of(const action::Quarantine& a) {
        quarantined.push_back(a);
        quarantined.back().message = {};
        quarantined_bytes.emplace_back(a.message.begin(), a.message.end());
        return std::string("quarantine ") + (a.lease_lost ? "lost" : "kept") +
               (a.address ? " " + a.address->to_string() : "");
    }
    std::string word_of(const action::Advance& a) { return "advance " + words_of(a.base_time); }
    std::string word_of(const action::CaughtUp&) { return "caught-up"; }
    std::string word_of(const action::DataMissing& a) {
        return "data-missing" + (a.base_time ? " " + words_of(*a.base_time) : "");
    }
    std::string word_of(const action::QueryDone& a) {
        text = a.text;
        return a.outcome == QueryOutcome::complete ? "complete" : "failed " + std::string(to_string(a.status));
    }
    std::string word_of(const action::Close& a) {
        text = a.text;
        return "close " + std::string(to_string(a.why)) +
               (a.status == StatusCode::success ? "" : " " + std::string(to_string(a.status)));
    }
};

inline SessionSettings settings_for(Family family) {
    SessionSettings settings;
    settings.family = family;
    settings.first_xid = xid;
    if (family == Family::v6) settings.requestor_duid = our_duid;
    return settings;
}

template <class Session>
class Talk {
public:
    explicit Talk(SessionSettings settings) : session(std::move(settings)) {}
    explicit Talk(Family family) : Talk(settings_for(family)) {}

    Session session;
    Asked all;  ///< since the beginning

    /// Polls until there is nothing more to do.
    std::string poll() {
        Asked now_asked;
        while (const auto action = session.poll_action()) {
            now_asked.add(*action);
            all.add(*action);
        }
        return now_asked.words;
    }

    /// The stream arrives, in pieces of at most `step` octets.
    std::string hears(ByteView stream, std::size_t step = 65536) {
        std::string words;
        while (!stream.empty()) {
            const auto room = std::min({session.wants_bytes(), stream.size(), step});
            REQUIRE(room > 0);
            session.on_bytes(stream.first(room), now());
            stream = stream.subspan(room);
            const auto more = poll();
            words += (words.empty() || more.empty() ? "" : "; ") + more;
        }
        return words;
    }
    std::string hears(const V4& m) { return hears(m.bytes()); }
    std::string hears(const V6& m) { return hears(m.bytes()); }

    std::string loses_its_peer() {
        session.on_disconnected("end of stream", now());
        return poll();
    }

    /// Time passes, and the timer that the session asked for fires if it is due.
    std::string waits(std::chrono::milliseconds for_) {
        passes(for_);
        session.on_deadline(now());
        return poll();
    }
    void passes(std::chrono::milliseconds for_) { since_start_ += for_; }
    void sets_reading(bool reading) { session.set_reading(reading, now()); }

    [[nodiscard]] SessionNow now() const {
        return {SteadyTime{} + since_start_, at(1000) + std::chrono::floor<std::chrono::seconds>(since_start_)};
    }
    /// How long until the timer fires.
    [[nodiscard]] std::optional<std::chrono::milliseconds> patience() const {
        const auto deadline = session.next_deadline();
        if (!deadline) return std::nullopt;
        return std::chrono::duration_cast<std::chrono::milliseconds>(*deadline - now().steady);
    }

private:
    std::chrono::milliseconds since_start_{0};
};

class BulkTalk : public Talk<BulkSession> {
public:
    using Talk<BulkSession>::Talk;

    static BulkQuery any_query(Family family) {
        BulkQuery query;
        if (family == Family::v6) {
            query.kind = QueryKind::link;
            query.address = address("2001:db8::1");
        }
        return query;
    }
    std::string begins(const BulkQuery& query, const QueryWindow& window = {}, bool all_vpns = false) {
        session.start(query, window, all_vpns, now());
        return poll();
    }
    /// A query that is written at once.
    std::string asks(Family family) {
        auto words = begins(any_query(family));
        session.on_sent(now());
        return words;
    }
    /// The same, as the beginning of a test whose subject comes after it.
    static BulkTalk asked(Family family) {
        BulkTalk talk(family);
        CHECK(talk.asks(family) == "send");
        return talk;
    }
};

class ActiveTalk : public Talk<ActiveSession> {
public:
    using Talk<ActiveSession>::Talk;

    std::string begins(std::optional<std::int64_t> start) {
        session.start(start ? std::optional(at(*start)) : std::nullopt, now());
        return poll();
    }
    std::string asks(std::optional<std::int64_t> start) {
        auto words = begins(start);
        session.on_sent(now());
        return words;
    }
    static ActiveTalk asked(Family family, std::optional<std::int64_t> start = std::nullopt) {
        ActiveTalk talk(family);
        CHECK(talk.asks(start) == "send");
        return talk;
    }
    /// With the answer begun: live, or catching up if a start time was given.
    static ActiveTalk answered(Family family, std::optional<std::int64_t> start = std::nullopt) {
        auto talk = asked(family, start);
        (void)(family == Family::v4 ? talk.hears(status4()) : talk.hears(reply6()));
        CHECK(talk.session.state() == (start ? ActiveState::catching_up : ActiveState::live));
        return talk;
    }
};

}  // namespace leasemirror::test
