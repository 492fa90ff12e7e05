// RFC 5007 on virtual time: a client on several links (OPTION_LQ_CLIENT_LINK), each of which is asked for.
#include "tests/proto/udp/talk.hpp"
#include "tests/proto/wire/wire.hpp"

namespace leasemirror {
namespace {

using namespace test;

}  // namespace

TEST_CASE("v6: each link that a server names is asked for once, by a question of its own") {
    UdpTalk talk(udp_v6(), by_client_id());
    talk.answer(0, on_links({"2001:db8:1::", "2001:db8:2::", "2001:db8:1::", "::"}));
    REQUIRE(talk.sent.size() == 3);  // the repeated one and "any" are none
    ScratchV6 scratch;
    for (const auto i : {1U, 2U}) {
        const auto m = decoded(talk.sent[i].bytes, scratch);
        REQUIRE(m.query);
        CHECK(m.query->type == QueryTypeV6::by_client_id);
        CHECK(equal(m.query->client_id, client_duid));
        CHECK(m.query->link_address == address(i == 1 ? "2001:db8:1::" : "2001:db8:2::"));
        CHECK(talk.sent[i].to == endpoint("2001:db8::1"));
    }
    CHECK(xid_of(talk.sent[0].bytes) != xid_of(talk.sent[1].bytes));
    CHECK(xid_of(talk.sent[1].bytes) != xid_of(talk.sent[2].bytes));
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::several_links);

    talk.answer(2, holds({ia("2001:db8:2::5")}));
    talk.run_until(2);
    CHECK(talk.sent.size() == 4);  // the other one goes on, with its own timer
    CHECK(talk.sent[3].bytes == talk.sent[1].bytes);
    talk.answer(1, holds({ia("2001:db8:1::5")}));
    CHECK(talk.query.done());
    CHECK(talk.keys(0) == "2001:db8:2::5 2001:db8:1::5");
    CHECK(talk.outcomes(0) == std::vector<std::string>{"several links", "found", "found"});
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::found);
    CHECK(talk.reply_of(0).complete());
}

TEST_CASE("v6: of two records of one lease by one server the later counts, whichever comes first") {
    UdpTalk talk(udp_v6(), by_client_id());
    talk.answer(0, on_links({"2001:db8:1::", "2001:db8:2::", "2001:db8:3::"}));
    auto reply = holds({ia("2001:db8:1::5")});
    for (const auto age : {50U, 10U, 90U}) {
        reply.age = age;
        talk.answer(age == 50 ? 1 : age == 10 ? 2 : 3, reply);
    }
    REQUIRE(talk.query.done());
    CHECK(talk.keys(0) == "2001:db8:1::5");
    CHECK(talk.reply_of(0).bindings[0].binding.client_last_seen == at(-10));
}

TEST_CASE("v6: a link that is not answered leaves the answer incomplete, and the rest of it good") {
    UdpTalk talk(udp_v6(), by_client_id());
    talk.answer(0, on_links({"2001:db8:1::", "2001:db8:2::"}));
    talk.answer(1, holds({ia("2001:db8:1::5")}));
    talk.run_to_end();
    CHECK(talk.outcomes(0) == std::vector<std::string>{"several links", "found", "no answer"});
    CHECK(talk.reply_of(0).parts[2].about == address("2001:db8:2::"));
    CHECK(talk.reply_of(0).parts[2].sent == 5);
    CHECK_FALSE(talk.reply_of(0).complete());
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::found);
}

TEST_CASE("v6: links named in answer to one link are not followed: that could go on for ever") {
    UdpTalk talk(udp_v6(), by_client_id());
    talk.answer(0, on_links({"2001:db8:1::"}));
    talk.answer(1, on_links({"2001:db8:2::", "2001:db8:3::"}));
    CHECK(talk.sent.size() == 2);
    CHECK(talk.query.done());
    CHECK(talk.reply_of(0).notes.size() == 1);
}

TEST_CASE("v6: nor links named for an address, or on a link that we asked for") {
    UdpTalk by_address(udp_v6(), ask_for("2001:db8:1::5"));
    by_address.answer(0, on_links({"2001:db8:1::"}));
    CHECK(by_address.query.done());
    auto query = by_client_id();
    query.address = address("2001:db8:1::");
    UdpTalk on_one(udp_v6(), query);
    on_one.answer(0, on_links({"2001:db8:2::"}));
    CHECK(on_one.query.done());
    CHECK(on_one.sent.size() == 1);
}

TEST_CASE("v6: as many links as a datagram holds are followed up to a limit, and the others are said") {
    std::vector<std::string> links;
    for (int i = 1; i <= 4000; ++i)
        links.push_back("2001:db8:" + std::to_string(i) + "::");
    auto settings = udp_v6();
    settings.follow_ups_max = 7;
    UdpTalk talk(settings, by_client_id());
    talk.answer(0, on_links(links));
    CHECK(talk.sent.size() == 8);
    CHECK(talk.reply_of(0).not_followed == 3993);
    for (std::size_t i = 1; i <= 7; ++i)
        talk.answer(i, ReplyV6{});
    CHECK(talk.query.done());
    CHECK_FALSE(talk.reply_of(0).complete());
}

TEST_CASE("v6: the answers on the links must be those of the server that named them") {
    UdpTalk talk(udp_v6(), by_client_id());
    talk.answer(0, on_links({"2001:db8:1::"}));
    auto other = holds({ia("2001:db8:1::5")});
    other.server_id = duid_of_server(2);
    talk.answer(1, other);
    CHECK(talk.discarded(UdpDiscard::wrong_identifiers) == 1);
    CHECK_FALSE(talk.query.done());
}

}  // namespace leasemirror
