#include "proto/session/tls_upgrade.hpp"

#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"
#include "tests/proto/wire/wire.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

using namespace leasemirror;

namespace {

constexpr std::uint32_t xid = 0x800201;

template <class Encode>
Bytes framed(Encode encode) {
    Bytes room(4096);
    ByteWriter out(room);
    const auto length = out.reserve_u16();
    encode(out);
    out.patch_u16(length);
    return {out.written().begin(), out.written().end()};
}

Bytes reply_v4(std::optional<Status> status = std::nullopt, MessageTypeV4 type = MessageTypeV4::tls,
               std::uint32_t its_xid = xid) {
    MessageV4 m;
    m.op = 2;
    m.type = type;
    m.xid = its_xid;
    m.status = status;
    return framed([&](ByteWriter& out) { encode_v4(m, out); });
}

Bytes reply_v6(std::optional<Status> status = std::nullopt, MessageTypeV6 type = MessageTypeV6::reply,
               std::uint32_t its_xid = xid) {
    MessageV6 m;
    m.type = type;
    m.xid = its_xid;
    m.status = status;
    return framed([&](ByteWriter& out) { encode_v6(m, out); });
}

Bytes reply(Family family) {
    return family == Family::v4 ? reply_v4() : reply_v6();
}

/// The sentence with which this answer is refused; empty if it grants TLS.
std::string refusal(Family family, const Bytes& answer) {
    TlsUpgrade upgrade(family, xid);
    upgrade.on_bytes(answer);
    CHECK(upgrade.state() == (upgrade.why().empty() ? UpgradeState::granted : UpgradeState::refused));
    CHECK(upgrade.wants_bytes() == 0);
    return upgrade.why();
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("DHCPTLS carries nothing but its type and the end") {
    const TlsUpgrade upgrade(Family::v4, xid);
    const auto request = upgrade.request();
    REQUIRE(request.size() == 2 + 240 + 4);
    const Bytes begin{0, 244, 1, 0, 0, 0, 0x00, 0x80, 0x02, 0x01};
    CHECK(test::equal(request.first(begin.size()), begin));
    const Bytes cookie_and_options{0x63, 0x82, 0x53, 0x63, 53, 1, 18, 255};
    CHECK(test::equal(request.last(cookie_and_options.size()), cookie_and_options));
}

TEST_CASE("STARTTLS carries no options") {
    const TlsUpgrade upgrade(Family::v6, xid);
    CHECK(test::equal(upgrade.request(), Bytes{0, 4, 23, 0x80, 0x02, 0x01}));
}

TEST_CASE("an answer without a status grants TLS, whole or octet by octet") {
    for (const auto family : {Family::v4, Family::v6}) {
        CHECK(refusal(family, reply(family)) == "");
        TlsUpgrade upgrade(family, xid);
        for (const auto octet : reply(family)) {
            CHECK(upgrade.state() == UpgradeState::asked);
            CHECK(upgrade.wants_bytes() > 0);
            upgrade.on_bytes({&octet, 1});
        }
        CHECK(upgrade.state() == UpgradeState::granted);
    }
}

TEST_CASE("a status of success counts as none") {
    CHECK(refusal(Family::v4, reply_v4(make_status_v4(StatusCode::success, "fine"))) == "");
    CHECK(refusal(Family::v6, reply_v6(make_status_v6(StatusCode::success))) == "");
}

TEST_CASE("TLSConnectionRefused, and any other status, refuses, in the server's words") {
    CHECK(
        refusal(Family::v4, reply_v4(make_status_v4(StatusCode::tls_connection_refused, "no certificate"))) ==
        "the server refused TLS: TLSConnectionRefused: no certificate; enable TLS for leasequery there; if it expects "
        "TLS from the first octet, set tls.mode to direct; if it has no TLS at all, as ISC Kea, nothing but tls.mode "
        "off reaches it, for a path that is trusted");
    CHECK(contains(refusal(Family::v6, reply_v6(make_status_v6(StatusCode::tls_connection_refused))),
                   "refused TLS: TLSConnectionRefused;"));
    CHECK(contains(refusal(Family::v6, reply_v6(make_status_v6(StatusCode::not_allowed))), "NotAllowed"));
    CHECK(contains(refusal(Family::v6, reply_v6(Status{StatusCode::unknown, 999, {}})), "999"));
}

TEST_CASE("another message than the answer to the upgrade refuses") {
    CHECK(contains(refusal(Family::v4, reply_v4(std::nullopt, MessageTypeV4::lease_query_status)),
                   "answered DHCPTLS with message type 17;"));
    CHECK(contains(
        refusal(Family::v4, reply_v4(make_status_v4(StatusCode::not_allowed, "no"), MessageTypeV4::lease_query_done)),
        "answered DHCPTLS with message type 15 (NotAllowed: no);"));
    CHECK(contains(refusal(Family::v6, reply_v6(std::nullopt, MessageTypeV6::lease_query_reply)),
                   "answered STARTTLS with message type 15;"));
}

TEST_CASE("an answer to another transaction refuses") {
    CHECK(contains(refusal(Family::v4, reply_v4(std::nullopt, MessageTypeV4::tls, 7)), "transaction-id 7"));
    CHECK(contains(refusal(Family::v6, reply_v6(std::nullopt, MessageTypeV6::reply, 7)), "transaction-id 7"));
}

TEST_CASE("an answer that cannot be decoded refuses") {
    auto garbled = reply_v6(make_status_v6(StatusCode::success));
    garbled[garbled.size() - 3] = 9;  // the length of the status option
    CHECK(contains(refusal(Family::v6, garbled), "the answer to STARTTLS cannot be understood: option 13"));
    CHECK(contains(refusal(Family::v4, Bytes(242, 0)), "the answer to DHCPTLS is no DHCP message"));
    CHECK(contains(refusal(Family::v6, {0, 1}), "the answer to STARTTLS is no DHCP message"));
    const Bytes server_hello{0x16, 0x03, 0x03, 0x00, 0x7a};
    TlsUpgrade upgrade(Family::v4, xid);  // a server that speaks TLS at once: what looks like a length never fills up
    upgrade.on_bytes(server_hello);
    CHECK(upgrade.state() == UpgradeState::asked);
}

TEST_CASE("octets behind the answer are an attack, whether read with it or still unread") {
    for (const auto family : {Family::v4, Family::v6}) {
        auto answer = reply(family);
        const auto more = reply(family);
        answer.insert(answer.end(), more.begin(), more.end());
        CHECK(contains(refusal(family, answer), std::to_string(more.size()) + " octets in clear text came behind"));
        auto one_more = reply(family);
        one_more.push_back(0x16);
        CHECK(contains(refusal(family, one_more), "1 octets in clear text came behind"));

        TlsUpgrade upgrade(family, xid);
        upgrade.on_bytes(reply(family));
        REQUIRE(upgrade.state() == UpgradeState::granted);
        upgrade.on_octets_behind(3);
        CHECK(upgrade.state() == UpgradeState::refused);
        CHECK(contains(upgrade.why(), "3 octets in clear text"));
    }
}

TEST_CASE("a server that closes or says nothing is taken to have no TLS") {
    TlsUpgrade closed(Family::v6, xid);
    closed.on_disconnected("closed by the server");
    CHECK(closed.state() == UpgradeState::refused);
    CHECK(contains(closed.why(), "closed the connection on STARTTLS (closed by the server)"));
    TlsUpgrade silent(Family::v4, xid);
    silent.on_silence();
    CHECK(silent.state() == UpgradeState::refused);
    CHECK(contains(silent.why(), "did not answer DHCPTLS in time"));
}

TEST_CASE("what is refused stays refused, with its first reason") {
    TlsUpgrade upgrade(Family::v6, xid);
    upgrade.on_silence();
    const auto why = upgrade.why();
    upgrade.on_bytes(reply_v6());
    upgrade.on_disconnected("late");
    upgrade.on_octets_behind(1);
    CHECK(upgrade.state() == UpgradeState::refused);
    CHECK(upgrade.why() == why);
}

TEST_CASE("an upgrade takes any octets without a crash, and grants none of them but an answer") {
    for (const auto family : {Family::v4, Family::v6}) {
        const auto good = reply(family);
        for (std::size_t at = 0; at < good.size(); ++at) {
            for (const int flip : {0x01, 0x80, 0xff}) {
                auto bad = good;
                bad[at] = static_cast<std::uint8_t>(bad[at] ^ flip);
                TlsUpgrade upgrade(family, xid);
                upgrade.on_bytes(bad);
                // Length, type and transaction-id are what it goes by; the rest of a v4 header means nothing here.
                const bool decides = at < (family == Family::v4 ? 2U : 6U);
                if (decides) CHECK(upgrade.state() != UpgradeState::granted);
            }
        }
    }
}
