// RFC 5007 and RFC 8415 section 15 on virtual time.
#include "tests/proto/udp/talk.hpp"
#include "tests/proto/wire/wire.hpp"

namespace leasemirror {
namespace {

using namespace test;

}  // namespace

TEST_CASE("v6: a server that is silent is asked five times, the same octets each time, within the bounds of RFC 8415") {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        auto settings = udp_v6();
        settings.seed = seed;
        UdpTalk talk(settings, ask_for("2001:db8:1::5"));
        talk.run_to_end();
        REQUIRE(talk.sent.size() == 5);
        for (const auto& sent : talk.sent)
            REQUIRE(sent.bytes == talk.sent.front().bytes);
        CHECK(talk.sent[0].at == 0);
        CHECK(talk.sent[1].at == doctest::Approx(1).epsilon(0.1001));
        for (std::size_t i = 2; i < 4; ++i) {
            const auto previous = talk.sent[i - 1].at - talk.sent[i - 2].at, rt = talk.sent[i].at - talk.sent[i - 1].at;
            CHECK(rt / previous == doctest::Approx(2).epsilon(0.0501));
        }
        CHECK(talk.sent[4].attempt == 5);
    }
}

TEST_CASE("v6: it is given up when the time of the fifth transmission is up, and not before") {
    UdpTalk talk(udp_v6(), by_client_id());
    talk.run_until(20);
    CHECK(talk.sent.size() == 5);
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::waiting);
    CHECK_FALSE(talk.query.done());
    talk.run_to_end();
    CHECK(talk.clock() >= talk.sent[4].at + 9);
    CHECK(talk.clock() <= talk.sent[4].at + 12);
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::silent);
    CHECK(talk.reply_of(0).parts[0].sent == 5);
    CHECK_FALSE(talk.reply_of(0).complete());
    CHECK(talk.learned == std::vector<std::size_t>{0});
    CHECK_FALSE(talk.query.next_deadline());
}

TEST_CASE("v6: an answer to a retransmission ends the question") {
    UdpTalk talk(udp_v6(), ask_for("2001:db8:1::5"));
    talk.run_until(2);
    REQUIRE(talk.sent.size() == 2);
    talk.answer(1, holds({ia("2001:db8:1::5")}));
    CHECK(talk.query.done());
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::found);
    CHECK(talk.reply_of(0).complete());
    CHECK(talk.reply_of(0).server_id == server_duid);
    talk.answer(0, holds({ia("2001:db8:1::5")}));  // to the first, at last
    CHECK(talk.discarded(UdpDiscard::repeated) == 1);
    CHECK(talk.keys(0) == "2001:db8:1::5");
    talk.run_until(60);
    CHECK(talk.sent.size() == 2);
}

TEST_CASE("v6: the query by address, with its link-address, and the query by client-id, with its own") {
    ScratchV6 scratch;
    auto settings = udp_v6();
    settings.link_address = address("2001:db8:1::");
    settings.request_options = {16};
    const UdpTalk by_address(settings, ask_for("2001:db8:1::5"));
    auto m = decoded(by_address.sent.at(0).bytes, scratch);
    CHECK(m.type == MessageTypeV6::lease_query);
    CHECK(equal(m.client_id, our_duid));
    CHECK(m.server_id.empty());
    REQUIRE(m.query);
    CHECK(m.query->type == QueryTypeV6::by_address);
    CHECK(m.query->link_address == address("2001:db8:1::"));
    REQUIRE(m.query->address);
    CHECK(m.query->address->address == address("2001:db8:1::5"));
    CHECK(m.query->client_id.empty());
    const Bytes relay_data_and_16{0, 100, 0, 47, 0, 37, 0, 39, 0, 114, 0, 68, 0, 16};
    CHECK(equal(m.query->option_request, relay_data_and_16));
    CHECK(by_address.sent[0].to == endpoint("2001:db8::1"));

    auto query = by_client_id();
    query.address = address("2001:db8:2::");
    const UdpTalk by_client(udp_v6(), query);
    m = decoded(by_client.sent.at(0).bytes, scratch);
    REQUIRE(m.query);
    CHECK(m.query->type == QueryTypeV6::by_client_id);
    CHECK(m.query->link_address == address("2001:db8:2::"));
    CHECK(equal(m.query->client_id, client_duid));
    CHECK_FALSE(m.query->address);
}

TEST_CASE(
    "v6: addresses and prefixes of the client, with via query, and times on our clock where there is no base-time") {
    UdpTalk talk(udp_v6(), ask_for("2001:db8:8000:1ff::1"));
    talk.run_until(0.5);
    talk.answer(0, holds({ia("2001:db8:1::5"), pd("2001:db8:8000:100::", 56)}));
    CHECK(talk.keys(0) == "2001:db8:1::5 2001:db8:8000:100::/56");
    const auto& told = talk.reply_of(0).bindings[0];
    CHECK(told.binding.via == Via::query);
    CHECK(told.binding.base_time == at(0));
    CHECK(told.binding.client_last_seen == at(-10));
    CHECK(told.binding.expires_at == at(600));
    CHECK(told.server_ahead.count() == 0);
}

TEST_CASE("v6: a base-time tells how far ahead the server's clock is") {
    UdpTalk talk(udp_v6(), ask_for("2001:db8:1::5"));
    auto reply = holds({ia("2001:db8:1::5")});
    reply.base = 100;
    talk.answer(0, reply);
    CHECK(talk.reply_of(0).bindings.at(0).server_ahead == 100s);
    CHECK(talk.reply_of(0).bindings.at(0).binding.expires_at == at(700));
}

TEST_CASE("v6: success without data is no binding") {
    UdpTalk talk(udp_v6(), by_client_id());
    SUBCASE("without a status") {
        talk.answer(0, ReplyV6{});
    }
    SUBCASE("with Success, as Kea sends it") {
        ReplyV6 reply;
        reply.status = StatusCode::success;
        talk.answer(0, reply);
    }
    SUBCASE("or a lease that has ended") {
        talk.answer(0, holds({ia("2001:db8:1::5", 0)}));
        CHECK(talk.keys(0) == "2001:db8:1::5");
    }
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::no_binding);
    CHECK(talk.reply_of(0).complete());
    CHECK(talk.query.done());
}

TEST_CASE("v6: each error status ends the question there, with the server's words, and not with the other servers") {
    for (const auto code : {StatusCode::unspec_fail, StatusCode::unknown_query_type, StatusCode::malformed_query,
                            StatusCode::not_configured, StatusCode::not_allowed}) {
        CAPTURE(to_string(code));
        UdpTalk talk(udp_v6({endpoint("2001:db8::1"), endpoint("2001:db8::2")}), ask_for("2001:db8:1::5"));
        ReplyV6 refusal;
        refusal.status = code;
        talk.answer(0, refusal);
        CHECK(talk.reply_of(0).outcome() == UdpOutcome::refused);
        CHECK(talk.reply_of(0).parts[0].status == code);
        CHECK(talk.reply_of(0).parts[0].text == std::string(to_string(code)) + ": why");
        CHECK_FALSE(talk.query.done());
        talk.answer(1, holds({ia("2001:db8:1::5")}));
        CHECK(talk.reply_of(1).outcome() == UdpOutcome::found);
        CHECK(talk.query.done());
    }
}

TEST_CASE("v6: what RFC 5007 section 4.2 says to discard, and other forgeries, change nothing and are counted") {
    UdpTalk talk(udp_v6(), by_client_id());
    const auto good = holds({ia("2001:db8:1::5")});
    const auto server = endpoint("2001:db8::1");
    std::uint64_t expected = 0;
    const auto is_discarded = [&](UdpDiscard why) {
        CHECK(talk.discarded(why) == 1);
        CHECK(talk.query.discards().total() == ++expected);
        CHECK(talk.reply_of(0).outcome() == UdpOutcome::waiting);
        CHECK_FALSE(talk.query.done());
    };
    auto forged = good;
    SUBCASE("LEASEQUERY") {
        talk.hear(talk.sent[0].bytes, server);
        is_discarded(UdpDiscard::wrong_type);
    }
    SUBCASE("LEASEQUERY-DATA") {
        forged.type = MessageTypeV6::lease_query_data;
        talk.answer(0, forged);
        is_discarded(UdpDiscard::wrong_type);
    }
    SUBCASE("no server identifier") {
        forged.server_id.clear();
        talk.answer(0, forged);
        is_discarded(UdpDiscard::wrong_identifiers);
    }
    SUBCASE("no client identifier") {
        forged.client_id.clear();
        talk.answer(0, forged);
        is_discarded(UdpDiscard::wrong_identifiers);
    }
    SUBCASE("another requestor's") {
        forged.client_id.push_back(1);
        talk.answer(0, forged);
        is_discarded(UdpDiscard::wrong_identifiers);
    }
    SUBCASE("another transaction-id") {
        forged.xid_change = 1;
        talk.answer(0, forged);
        is_discarded(UdpDiscard::wrong_xid);
    }
    SUBCASE("another source") {
        talk.answer(0, forged, endpoint("2001:db8::66"));
        is_discarded(UdpDiscard::unexpected_source);
        CHECK(talk.query.discards().unexpected_source == endpoint("2001:db8::66"));
    }
    SUBCASE("another client") {
        forged.clients[0].duid.push_back(1);
        talk.answer(0, forged);
        is_discarded(UdpDiscard::not_asked);
    }
    SUBCASE("cut off") {
        auto bytes = forged.to(talk.sent[0].bytes);
        bytes.pop_back();
        talk.hear(bytes, server);
        is_discarded(UdpDiscard::undecodable);
    }
    SUBCASE("hardly anything") {
        talk.hear(Bytes{15, 0, 0}, server);
        is_discarded(UdpDiscard::undecodable);
        talk.hear({}, server);
        CHECK(talk.discarded(UdpDiscard::undecodable) == 2);
        ++expected;
    }
    SUBCASE("larger than any datagram") {
        auto bytes = forged.to(talk.sent[0].bytes);
        bytes.resize(70000);
        talk.hear(bytes, server);
        is_discarded(UdpDiscard::undecodable);
    }
    SUBCASE("client data without CLT_TIME, and no other") {
        forged.clients[0].with_age = false;
        talk.answer(0, forged);
        is_discarded(UdpDiscard::undecodable);
    }
    talk.answer(0, good);  // the true one still counts, whatever came before
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::found);
    CHECK(talk.query.done());
    CHECK(talk.query.discards().total() == expected);
}

TEST_CASE("v6: a server of whose answers none can be used was heard: it is not silent, and others may be") {
    UdpTalk talk(udp_v6({endpoint("2001:db8::1"), endpoint("2001:db8::2")}), by_client_id());
    auto reply = holds({ia("2001:db8:1::5")});
    reply.clients[0].with_age = false;
    talk.answer(0, reply);
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::waiting);  // the next one may be better
    talk.run_to_end();
    CHECK(talk.sent.size() == 10);
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::unusable);
    CHECK(talk.reply_of(0).parts[0].sent == 5);
    CHECK_FALSE(talk.reply_of(0).complete());
    CHECK(talk.reply_of(1).outcome() == UdpOutcome::silent);

    UdpTalk stranger(udp_v6(), by_client_id());  // what is not from the server says nothing of it
    stranger.answer(0, reply, endpoint("2001:db8::66"));
    reply.server_id.clear();
    stranger.answer(0, reply);
    stranger.run_to_end();
    CHECK(stranger.reply_of(0).outcome() == UdpOutcome::silent);
}

TEST_CASE("v6: a stray octet behind an answer without client data does not make it unusable") {
    UdpTalk talk(udp_v6(), by_client_id());
    auto nothing = holds({});
    nothing.clients.clear();
    auto bytes = nothing.to(talk.sent[0].bytes);
    bytes.push_back(0);
    talk.hear(bytes, endpoint("2001:db8::1"));
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::no_binding);
    CHECK(talk.discarded(UdpDiscard::undecodable) == 0);
}

TEST_CASE("v6: a port is not what tells a server: none is prescribed for what it sends from") {
    UdpTalk talk(udp_v6(), ask_for("2001:db8:1::5"));
    talk.answer(0, holds({ia("2001:db8:1::5")}), endpoint("2001:db8::1", 40000));
    CHECK(talk.query.done());
}

TEST_CASE("v6: by address, an answer must hold that address, or a prefix around it") {
    UdpTalk talk(udp_v6(), ask_for("2001:db8:1::5"));
    talk.answer(0, holds({ia("2001:db8:1::6")}));
    talk.answer(0, holds({pd("2001:db8:2::", 48)}));
    talk.answer(0, holds({pd("::", 0), ia("2001:db8:1::6")}));  // a prefix around everything is none
    CHECK(talk.discarded(UdpDiscard::not_asked) == 3);
    talk.answer(0, holds({ia("2001:db8:1::6"), ia("2001:db8:1::5")}));
    CHECK(talk.keys(0) == "2001:db8:1::6 2001:db8:1::5");
}

TEST_CASE("v6: one lease that cannot be told leaves the others, and a note") {
    UdpTalk talk(udp_v6(), by_client_id());
    talk.answer(0, holds({ia("2001:db8:1::5"), ia("2001:db8:1::6", 600, StatusCode::unspec_fail)}));
    CHECK(talk.keys(0) == "2001:db8:1::5");
    REQUIRE(talk.reply_of(0).notes.size() == 1);
    CHECK(talk.reply_of(0).notes[0].find("2001:db8:1::6") != std::string::npos);
    CHECK(talk.reply_of(0).left_out == 1);
    CHECK_FALSE(talk.reply_of(0).complete());
}

// ---- sending -------------------------------------------------------------------------------------------------------

TEST_CASE("v6: the first datagram that cannot be sent ends the question; a later one is as good as lost") {
    UdpTalk talk(udp_v6({endpoint("2001:db8::1"), endpoint("2001:db8::2")}), ask_for("2001:db8:1::5"));
    talk.fail_to_send(0, "Network is unreachable");
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::unsendable);
    CHECK(talk.reply_of(0).parts[0].text == "Network is unreachable");
    talk.run_until(1.5);
    REQUIRE(talk.sent.size() == 3);
    talk.fail_to_send(2, "Operation not permitted");
    CHECK(talk.reply_of(1).outcome() == UdpOutcome::waiting);
    talk.run_to_end();
    CHECK(talk.sent.size() == 6);
    CHECK(talk.reply_of(1).outcome() == UdpOutcome::silent);
    CHECK(talk.reply_of(1).parts[0].text == "Operation not permitted");
}

TEST_CASE("v6: what was answered while its retransmission waited to be sent is not sent again") {
    UdpQuery query(udp_v6(), ask_for("2001:db8:1::5"));
    query.start(SteadyTime{});
    const auto first = query.poll_action();
    REQUIRE(first);
    const auto octets = std::get<udp_action::Send>(*first).bytes;
    const auto reply = holds({ia("2001:db8:1::5")}).to(octets);
    query.on_deadline(SteadyTime{} + 2s);
    query.on_datagram(endpoint("2001:db8::1"), reply, {SteadyTime{} + 2s, at(2)});
    REQUIRE(query.done());
    const auto next = query.poll_action();
    REQUIRE(next);
    CHECK(std::holds_alternative<udp_action::Learned>(*next));
    CHECK_FALSE(query.poll_action());
}

TEST_CASE("v6: what a server does not have is remembered from one query to the next") {
    UdpMemory memory;
    ReplyV6 not_configured;
    not_configured.status = StatusCode::not_configured;
    UdpTalk first(udp_v6(), ask_for("2001:db8:1::5"), &memory);
    first.answer(0, not_configured);
    UdpTalk second(udp_v6({endpoint("2001:db8::1"), endpoint("2001:db8::2")}), ask_for("2001:db8:1::5"), &memory, 200);
    REQUIRE(second.sent.size() == 1);
    CHECK(second.sent[0].server == 1);
    CHECK(second.reply_of(0).outcome() == UdpOutcome::refused);
    CHECK(second.reply_of(0).parts[0].status == StatusCode::not_configured);
    CHECK(second.reply_of(0).parts[0].remembered);
    CHECK(second.reply_of(0).parts[0].sent == 0);
    CHECK(second.learned == std::vector<std::size_t>{0});
    const UdpTalk later(udp_v6(), ask_for("2001:db8:1::5"), &memory, 301);
    CHECK(later.sent.size() == 1);
    auto confined = udp_v6();  // what was said of any link does not hold for one
    confined.link_address = address("2001:db8:1::");
    UdpTalk on_link(confined, ask_for("2001:db8:1::5"), &memory, 200);
    CHECK(on_link.sent.size() == 1);
    UdpMemory fresh;  // and what was said of one link does not hold for any
    UdpTalk first_on_link(confined, ask_for("2001:db8:1::5"), &fresh);
    first_on_link.answer(0, not_configured);
    const UdpTalk any_link(udp_v6(), ask_for("2001:db8:1::5"), &fresh, 1);
    CHECK(any_link.sent.size() == 1);
}

}  // namespace leasemirror
