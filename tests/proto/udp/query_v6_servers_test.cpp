// RFC 5007 on virtual time: several servers at once, and all of them by multicast.
#include "tests/proto/udp/talk.hpp"
#include "tests/proto/wire/wire.hpp"

namespace leasemirror {
namespace {

using namespace test;

UdpSettings multicast_only() {
    auto settings = udp_v6(std::vector<UdpEndpoint>{});
    settings.multicast = all_dhcp_servers();
    return settings;
}

}  // namespace

TEST_CASE("v6: all servers are asked at once, each with a transaction-id that only it can answer") {
    const auto east = endpoint("2001:db8::1"), west = endpoint("2001:db8::2");
    UdpTalk talk(udp_v6({east, west}), ask_for("2001:db8:1::5"));
    REQUIRE(talk.sent.size() == 2);
    CHECK(talk.sent[0].to == east);
    CHECK(talk.sent[1].to == west);
    CHECK(xid_of(talk.sent[0].bytes) != xid_of(talk.sent[1].bytes));
    talk.answer(0, holds({ia("2001:db8:1::5")}), west);
    CHECK(talk.discarded(UdpDiscard::unexpected_source) == 1);
    talk.answer(1, holds({ia("2001:db8:1::5")}));
    talk.run_to_end();
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::silent);
    CHECK(talk.reply_of(1).outcome() == UdpOutcome::found);
    CHECK(talk.reply_of(1).server == 1);
}

TEST_CASE("v6: a multicast is answered by many, until the time of its last transmission is up") {
    UdpTalk talk(multicast_only(), ask_for("2001:db8:1::5"));
    REQUIRE(talk.sent.size() == 1);
    CHECK(talk.sent[0].to == endpoint("ff05::1:3"));
    CHECK_FALSE(talk.sent[0].server);
    CHECK(talk.query.answers().empty());
    auto first = holds({ia("2001:db8:1::5")}), second = first;
    first.server_id = duid_of_server(1);
    second.server_id = duid_of_server(2);
    talk.run_until(0.2);
    talk.answer(0, first, endpoint("2001:db8::1"));
    CHECK_FALSE(talk.query.done());
    talk.run_until(0.4);
    talk.answer(0, second, endpoint("2001:db8::2"));
    talk.answer(0, second, endpoint("2001:db8::2"));
    CHECK(talk.discarded(UdpDiscard::repeated) == 1);
    talk.run_until(0.85);
    CHECK_FALSE(talk.query.done());
    talk.run_until(1.15);
    CHECK(talk.query.done());
    CHECK(talk.sent.size() == 1);  // not again
    REQUIRE(talk.query.answers().size() == 2);
    CHECK(talk.reply_of(0).endpoint == endpoint("2001:db8::1"));
    CHECK(talk.reply_of(1).server_id == duid_of_server(2));
    CHECK_FALSE(talk.reply_of(1).server);
    auto late = first;
    late.server_id = duid_of_server(3);
    talk.answer(0, late, endpoint("2001:db8::3"));
    CHECK(talk.discarded(UdpDiscard::repeated) == 2);
    CHECK(talk.query.answers().size() == 2);
}

TEST_CASE("v6: a multicast that nobody answers is sent five times, and says so") {
    UdpTalk talk(multicast_only(), ask_for("2001:db8:1::5"));
    talk.run_to_end();
    CHECK(talk.sent.size() == 5);
    REQUIRE(talk.query.answers().size() == 1);
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::silent);
    CHECK(talk.reply_of(0).endpoint == all_dhcp_servers());
    CHECK(talk.reply_of(0).parts[0].sent == 5);
}

TEST_CASE("v6: an answer to a later transmission of a multicast still leaves others their time") {
    UdpTalk talk(multicast_only(), ask_for("2001:db8:1::5"));
    talk.run_until(1.2);
    REQUIRE(talk.sent.size() == 2);
    talk.answer(1, holds({ia("2001:db8:1::5")}), endpoint("2001:db8::1"));
    talk.run_until(2.5);
    CHECK_FALSE(talk.query.done());
    talk.run_until(3.5);
    CHECK(talk.query.done());
    CHECK(talk.sent.size() == 2);
}

TEST_CASE("v6: links named in answer to a multicast are asked for by multicast, of that server alone") {
    UdpTalk talk(multicast_only(), by_client_id());
    talk.answer(0, on_links({"2001:db8:1::"}), endpoint("2001:db8::1"));
    REQUIRE(talk.sent.size() == 2);
    ScratchV6 scratch;
    const auto m = decoded(talk.sent[1].bytes, scratch);
    CHECK(equal(m.server_id, server_duid));
    CHECK(talk.sent[1].to == all_dhcp_servers());
    auto other = holds({ia("2001:db8:1::5")});
    other.server_id = duid_of_server(2);
    talk.answer(1, other, endpoint("2001:db8::2"));
    CHECK(talk.discarded(UdpDiscard::wrong_identifiers) == 1);
    talk.answer(1, holds({ia("2001:db8:1::5")}), endpoint("2001:db8::1"));
    talk.run_to_end();
    CHECK(talk.keys(0) == "2001:db8:1::5");
    CHECK(talk.reply_of(0).complete());
}

TEST_CASE("v6: all who answer a multicast share one budget of links") {
    auto settings = multicast_only();
    settings.follow_ups_max = 5;
    UdpTalk talk(settings, by_client_id());
    auto reply = on_links({"2001:db8:1::", "2001:db8:2::", "2001:db8:3::"});
    for (std::uint8_t i = 0; i < 4; ++i) {
        reply.server_id = duid_of_server(i);
        talk.answer(0, reply, endpoint("2001:db8::66"));
    }
    CHECK(talk.sent.size() == 1 + 5);
    CHECK(talk.reply_of(0).not_followed == 0);
    CHECK(talk.reply_of(1).not_followed == 1);
    CHECK(talk.reply_of(3).not_followed == 3);
}

TEST_CASE("v6: a flood of servers that answer a multicast is bounded") {
    UdpTalk talk(multicast_only(), ask_for("2001:db8:1::5"));
    auto reply = holds({ia("2001:db8:1::5")});
    for (std::uint8_t i = 0; i < 200; ++i) {
        reply.server_id = duid_of_server(i);
        talk.answer(0, reply, endpoint("2001:db8::66"));
    }
    CHECK(talk.query.answers().size() == UdpLimits::responders_max);
    CHECK(talk.discarded(UdpDiscard::too_many) == 200 - UdpLimits::responders_max);
}

TEST_CASE("v6: bindings of one answer are bounded") {
    UdpTalk talk(udp_v6(), by_client_id());
    std::vector<std::string> links;
    for (int i = 1; i <= 3; ++i)
        links.push_back("2001:db8:" + std::to_string(i) + "::");
    talk.answer(0, on_links(links));
    for (std::uint32_t link = 1; link <= 3; ++link) {
        std::vector<LeaseV6> leases;
        for (int i = 1; i <= 1500; ++i)
            leases.push_back(ia("2001:db8:" + std::to_string(link) + "::" + std::to_string(i)));
        talk.answer(link, holds(std::move(leases)));
    }
    CHECK(talk.query.done());
    CHECK(talk.reply_of(0).bindings.size() == UdpLimits::bindings_max);
    CHECK(talk.reply_of(0).left_out == 4500 - UdpLimits::bindings_max);
    CHECK_FALSE(talk.reply_of(0).complete());
    CHECK(talk.reply_of(0).notes.size() == 1);
}

}  // namespace leasemirror
