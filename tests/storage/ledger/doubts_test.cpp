// What puts a binding in doubt, and what settles it (batch.hpp, Change::Kind), over tables in memory.
#include "tests/storage/ledger/tables.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;

namespace {

Change told6(const std::string& client, std::int64_t base, BindingState state = BindingState::active) {
    auto change = told(client, base, state);
    change.binding.key = {"", BindingKind::address, *IpAddress::parse("2001:db8::1"), 128};
    return change;
}
Change on_link(Change change, const std::string& link) {
    change.binding.link_address = IpAddress::parse(link);
    return change;
}
Change as(Change change, Change::Kind kind, Doubt doubt = Doubt::none) {
    change.kind = kind;
    change.doubt = doubt;
    return change;
}
Change list_end(const std::string& client, std::int64_t base, const std::string& link, Doubt doubt = Doubt::none) {
    auto change = as(told(client, base), Change::Kind::client_list_end, doubt);
    if (!link.empty()) change = on_link(change, link);
    return change;
}
Change in_run(std::uint64_t run, Change change) {
    change.run = run;
    return change;
}
constexpr auto doubt_kind = Change::Kind::doubt;
constexpr auto absent = Change::Kind::absent;

}  // namespace

TEST_CASE("a binding of which something unreadable was told stays, in doubt, until it is told of again") {
    Tables tables;
    tables.apply({told6("alice", 0)}, 0);
    tables.apply({as(told6("", 10), doubt_kind, Doubt::unreadable)}, 10);
    CHECK(tables.doubt() == Doubt::unreadable);
    CHECK(tables.state() == BindingState::active);
    REQUIRE(tables.new_doubts.size() == 1);
    CHECK(tables.new_doubts[0].client_id == id("alice"));
    CHECK(tables.new_doubts[0].why == Doubt::unreadable);
    CHECK(tables.doubts_told_live == 0);  // a full bulk may tell of it, too
    SUBCASE("in the same second, live") {
        tables.apply({told6("alice", 10)}, 11);
    }
    SUBCASE("in the same second, when asked after that") {
        tables.apply({in_run(1, listed(told6("alice", 10)))}, 11);
    }
    SUBCASE("later") {
        tables.apply({told6("alice", 20)}, 20);
    }
    SUBCASE("as ended") {
        tables.apply({told6("alice", 20, BindingState::released)}, 20);
    }
    CHECK(tables.doubt() == Doubt::none);
    CHECK(tables.new_doubts.empty());
}

TEST_CASE("what had been told before a doubt does not settle it") {
    Tables tables;
    tables.apply({told6("alice", 0)}, 0);
    tables.apply({as(told6("", 20), doubt_kind, Doubt::unreadable)}, 20);
    tables.apply({listed(told6("alice", 10))}, 21);
    CHECK(tables.doubt() == Doubt::unreadable);
    tables.apply({as(told6("", 10), absent)}, 22);
    CHECK(tables.doubt() == Doubt::unreadable);
}

// Two connections: what a bulk had listed before the client left may come after that, and both within a second.
TEST_CASE("a bulk that was under way when something came to be in doubt does not settle it within the second") {
    Tables tables;
    auto first = in_run(1, listed(on_link(told6("alice", 0), "2001:db8::")));
    tables.apply({first}, 0);
    auto late = in_run(2, listed(on_link(told6("alice", 20), "2001:db8::")));
    late.binding.hostname = "old";
    SUBCASE("for something unreadable") {
        tables.apply({in_run(2, as(told6("", 20), doubt_kind, Doubt::unreadable)), late}, 20);
    }
    SUBCASE("for a list") {
        tables.apply({in_run(2, list_end("alice", 20, "2001:db8::", Doubt::unlisted)), late}, 20);
    }
    SUBCASE("for a list, right after it was told anew") {
        tables.apply({in_run(2, on_link(told6("alice", 20), "2001:db8::")),
                      in_run(2, list_end("alice", 20, "2001:db8::", Doubt::unlisted)), late},
                     20);
    }
    SUBCASE("for another client's end") {
        tables.apply({in_run(2, told6("bob", 20, BindingState::released)), late}, 20);
    }
    CHECK(tables.doubt() != Doubt::none);
    CHECK(tables.rows.begin()->second.hostname.empty());
    CHECK(tables.rows.begin()->second.seen_run == 2);
    tables.apply({in_run(3, listed(told6("alice", 20)))}, 21);
    CHECK(tables.doubt() == Doubt::none);
}

TEST_CASE("a bulk that was under way when a list ended a lease does not bring it back within the second") {
    Tables tables;
    tables.apply({in_run(1, listed(on_link(told6("alice", 0), "2001:db8::")))}, 0);
    tables.apply(
        {in_run(2, list_end("alice", 20, "2001:db8::")), in_run(2, listed(on_link(told6("alice", 20), "2001:db8::")))},
        20);
    CHECK(tables.rows.begin()->second.end_reason == EndReason::unlisted);
}

TEST_CASE("a doubt that is older than what is known is none, and of what is not known there is none") {
    Tables tables;
    tables.apply({told6("alice", 100)}, 100);
    tables.apply({as(told6("", 90), doubt_kind, Doubt::unreadable)}, 100);
    CHECK(tables.doubt() == Doubt::none);
    Tables empty;
    empty.apply({as(told6("", 90), doubt_kind, Doubt::unreadable)}, 100);
    CHECK(empty.rows.empty());
}

TEST_CASE("a doubt without a base-time is one whatever was told before") {
    Tables tables;
    tables.apply({told6("alice", 100)}, 100);
    auto doubt = as(told6("", 0), doubt_kind, Doubt::unreadable);
    doubt.binding.base_time = {};
    tables.apply({doubt}, 101);
    CHECK(tables.doubt() == Doubt::unreadable);
    tables.apply({told6("alice", 101)}, 102);
    CHECK(tables.doubt() == Doubt::none);
}

TEST_CASE("what is not in force can be in doubt, and an answer without it settles that") {
    Tables tables;
    tables.apply({told6("alice", 0), told6("alice", 5, BindingState::released)}, 5);
    tables.apply({as(told6("", 10), doubt_kind, Doubt::unreadable)}, 10);
    CHECK(tables.doubt() == Doubt::unreadable);
    tables.apply({as(told6("", 11), absent)}, 11);
    CHECK(tables.doubt() == Doubt::none);
    CHECK(tables.state() == BindingState::released);
    CHECK(tables.words() == Words{"assigned alice", "ended alice"});
}

TEST_CASE("an answer without a binding in doubt ends it, at a bound; one without doubt stays") {
    Tables tables;
    tables.apply({told6("alice", 0)}, 0);
    tables.apply({as(told6("", 10), absent)}, 10);
    CHECK(tables.state() == BindingState::active);
    tables.apply({as(told6("", 20), doubt_kind, Doubt::unlisted)}, 20);
    tables.apply({as(told6("", 30), absent)}, 31);
    CHECK(tables.rows.begin()->second.end_reason == EndReason::asked);
    CHECK(tables.doubt() == Doubt::none);
    CHECK(tables.history() == Words{"alice 0..30~ asked"});
    // And what was told before the answer does not bring it back.
    tables.apply({listed(told6("alice", 29))}, 32);
    CHECK(tables.state() == BindingState::ended);
}

TEST_CASE("v6: the end of a client's time settles no doubt about what was told of its address after that") {
    Tables tables;
    tables.apply({told6("alice", 0)}, 0);
    tables.apply({as(told6("", 10), doubt_kind, Doubt::unreadable)}, 10);  // that bob has it now
    tables.apply({told6("alice", 9, BindingState::released)}, 11);
    CHECK(tables.state() == BindingState::released);
    CHECK(tables.doubt() == Doubt::unreadable);
    SUBCASE("the answer does") {
        tables.apply({as(told6("", 12), absent)}, 12);
    }
    SUBCASE("so does who has it now") {
        tables.apply({told6("bob", 12)}, 12);
    }
    CHECK(tables.doubt() == Doubt::none);
}

TEST_CASE("an answer about a client says nothing of the next one, who was told of a little late") {
    Tables tables;
    tables.apply({told6("alice", 0)}, 0);
    tables.apply({as(told6("", 20), doubt_kind, Doubt::unlisted)}, 20);
    auto answer = as(told6("", 30), absent);
    answer.binding.via = Via::query;
    tables.apply({answer}, 31);
    SUBCASE("live, from before the answer") {
        tables.apply({told6("bob", 29)}, 32);
        CHECK(tables.state() == BindingState::active);
        CHECK(tables.history() == Words{"alice 0..30~ asked", "bob 30.."});
    }
    SUBCASE("the same client is older than the answer") {
        tables.apply({told6("alice", 29)}, 32);
        CHECK(tables.state() == BindingState::ended);
    }
    SUBCASE("longer ago than messages are out of order") {
        tables.apply({told6("bob", 24)}, 32);
        CHECK(tables.state() == BindingState::ended);
    }
}

TEST_CASE("a sighting puts in doubt what is at the address, in every VPN") {
    Tables tables;
    auto red = told6("alice", 0);
    red.binding.key.vpn_id = "ascii:red";
    tables.apply({told6("alice", 0), red}, 0);
    tables.apply({as(told6("", 10), Change::Kind::sighting, Doubt::unreadable)}, 10);
    CHECK(tables.doubts == 2);
}

TEST_CASE("the client has left, and who has the address is not known: the binding has ended, and stays in doubt") {
    Tables tables;
    tables.apply({told("alice", 0)}, 0);
    tables.apply({as(told("", 10), Change::Kind::sighting, Doubt::unreadable)}, 10);
    auto left = as(told("", 12), absent);
    auto still = as(told("", 12), doubt_kind, Doubt::unreadable);
    for (auto* change : {&left, &still}) {
        change->run = 5;
        change->binding.via = Via::query;
    }
    tables.apply({left, still}, 12);
    CHECK(tables.rows.begin()->second.end_reason == EndReason::asked);
    CHECK(tables.doubt() == Doubt::unreadable);
    CHECK(tables.history() == Words{"alice 0..12~ asked"});
    // Asked again, after a restart: likewise. A later read without it settles the doubt.
    tables.apply({left, still}, 13);
    CHECK(tables.doubt() == Doubt::unreadable);
    left.run = 6;
    left.binding.base_time = at(14);
    tables.apply({left}, 14);
    CHECK(tables.doubt() == Doubt::none);
}

TEST_CASE(
    "what is in doubt already counts as told live again, if by something later: no full bulk of before settles that") {
    Tables tables;
    tables.apply({told6("bob", 10)}, 10);
    tables.apply({told6("alice", 11, BindingState::released)}, 11);
    CHECK(tables.doubts_told_live == 1);
    tables.apply({told6("alice", 11, BindingState::released)}, 11);
    CHECK(tables.doubts_told_live == 0);
    tables.apply({told6("alice", 12, BindingState::released)}, 12);
    CHECK(tables.doubt() == Doubt::other_client);
    CHECK(tables.doubts_told_live == 1);
}

TEST_CASE("an end that DHCPv6 tells of the former client does not end the present one's") {
    Tables tables;
    tables.apply({told6("alice", 0)}, 0);
    tables.apply({told6("bob", 10)}, 10);
    tables.apply({told6("alice", 11, BindingState::released)}, 11);
    CHECK(tables.state() == BindingState::active);
    CHECK(tables.doubt() == Doubt::other_client);
    CHECK(tables.doubts_told_live == 1);
    CHECK(tables.rows.begin()->second.client_id == id("bob"));
    CHECK(tables.history() == Words{"alice 0..10~ replaced", "bob 10.."});
    tables.apply({told6("bob", 12, BindingState::released)}, 12);
    CHECK(tables.doubt() == Doubt::none);
    CHECK(tables.history() == Words{"alice 0..10~ replaced", "bob 10..12 reported"});
}

TEST_CASE("a lease of another client that had expired when it was told ends nothing in DHCPv6") {
    Tables tables;
    tables.apply({told6("bob", 10)}, 10);
    tables.apply({until(told6("alice", 30), 20)}, 30);
    CHECK(tables.rows.begin()->second.client_id == id("bob"));
    CHECK(tables.doubt() == Doubt::other_client);
}

TEST_CASE("a list ends what it leaves out on its link, or puts it in doubt") {
    Tables tables;
    tables.apply({on_link(told("alice", 0), "10.0.0.0")}, 0);
    SUBCASE("of a server whose lists are complete") {
        tables.apply({list_end("alice", 5, "10.0.0.0")}, 5);
        CHECK(tables.rows.begin()->second.end_reason == EndReason::unlisted);
        CHECK(tables.doubts == 0);
    }
    SUBCASE("of one of which that is not known") {
        tables.apply({list_end("alice", 5, "10.0.0.0", Doubt::unlisted)}, 5);
        CHECK(tables.state() == BindingState::active);
        CHECK(tables.doubt() == Doubt::unlisted);
    }
    SUBCASE("on another link not at all") {
        tables.apply({list_end("alice", 5, "10.1.0.0")}, 5);
        CHECK(tables.state() == BindingState::active);
        CHECK(tables.doubts == 0);
    }
    SUBCASE("of one that could not be read whole: that is the cause, whatever its link") {
        tables.apply({list_end("alice", 5, "", Doubt::unreadable)}, 5);
        CHECK(tables.state() == BindingState::active);
        CHECK(tables.doubt() == Doubt::unreadable);
    }
    SUBCASE("of no known link it cannot be told") {
        tables.apply({list_end("alice", 5, "")}, 5);
        CHECK(tables.state() == BindingState::active);
        CHECK(tables.doubt() == Doubt::link_unknown);
    }
}

TEST_CASE("a list of a known link leaves what is on an unknown one in doubt") {
    Tables tables;
    tables.apply({told("alice", 0)}, 0);
    tables.apply({list_end("alice", 5, "10.0.0.0")}, 5);
    CHECK(tables.doubt() == Doubt::link_unknown);
}

TEST_CASE("what comes to be in doubt and is told of again in one batch is not in doubt") {
    Tables tables;
    tables.apply({told6("alice", 0), as(told6("", 10), doubt_kind, Doubt::unreadable), told6("alice", 11)}, 11);
    CHECK(tables.doubts == 0);
    CHECK(tables.new_doubts.empty());
    tables.apply({as(told6("", 20), doubt_kind, Doubt::unreadable), told6("alice", 21)}, 21);
    CHECK(tables.doubts == 0);
}

TEST_CASE("a list of its client does not weaken a doubt, and a stronger one takes its place") {
    for (const auto strong : {Doubt::unreadable, Doubt::other_client, Doubt::scope_unreadable, Doubt::refused}) {
        CAPTURE(to_string(strong));
        for (const std::string link : {"10.0.0.0", ""}) {
            Tables tables;
            tables.apply({on_link(told("alice", 0), "10.0.0.0")}, 0);
            tables.apply({as(told("", 5), doubt_kind, strong)}, 5);
            tables.apply({list_end("alice", 9, link, Doubt::unlisted)}, 9);
            CHECK(tables.doubt() == strong);
            CHECK(tables.doubts == 1);
            // And yet what was told before the list does not settle it.
            tables.apply({on_link(told("alice", 3), "10.0.0.0")}, 10);
            CHECK(tables.doubt() == strong);
        }
        Tables tables;
        tables.apply({on_link(told("alice", 0), "10.0.0.0")}, 0);
        tables.apply({list_end("alice", 5, "10.0.0.0", Doubt::unlisted)}, 5);
        tables.apply({as(told("", 9), doubt_kind, strong)}, 9);
        CHECK(tables.doubt() == strong);
    }
}

TEST_CASE("a list that ends a lease does not tell who has the address by now, if that was in doubt") {
    Tables tables;
    tables.apply({on_link(told("alice", 0), "10.0.0.0")}, 0);
    SUBCASE("of the address something could not be read: it may have been of another client") {
        tables.apply({as(told("", 5), doubt_kind, Doubt::unreadable)}, 5);
        tables.apply({list_end("alice", 9, "10.0.0.0")}, 9);
        CHECK(tables.rows.begin()->second.end_reason == EndReason::unlisted);
        CHECK(tables.doubt() == Doubt::unreadable);
    }
    SUBCASE("only a list had left it open") {
        tables.apply({list_end("alice", 5, "10.0.0.0", Doubt::unlisted)}, 5);
        tables.apply({list_end("alice", 9, "10.0.0.0")}, 9);
        CHECK(tables.doubts == 0);
    }
}
