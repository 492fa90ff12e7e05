#include "agent/sync/doubt_book.hpp"
#include "tests/agent/sync/words.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using Answer = DoubtBook::Answer;

namespace {

constexpr SteadyTime t{1h};

DoubtfulBinding doubt6(int n = 1) {
    DoubtfulBinding out;
    out.key = {"", BindingKind::address, address("2001:db8::" + std::to_string(n)), 128};
    out.why = Doubt::unlisted;
    out.client_id = some_duid;
    return out;
}

DoubtfulBinding doubt4(Bytes client_id, Bytes hw_addr = {}) {
    DoubtfulBinding out;
    out.key = {"", BindingKind::address, address("192.0.2.1"), 32};
    out.why = Doubt::unlistable;
    out.client_id = std::move(client_id);
    out.hw_addr = std::move(hw_addr);
    return out;
}

Applied applied(std::vector<DoubtfulBinding> doubts) {
    Applied out;
    out.doubts_open = doubts.size();
    out.doubts = std::move(doubts);
    return out;
}

Binding held(const DoubtfulBinding& about, Bytes client_id) {
    Binding out;
    out.key = about.key;
    out.client_id = std::move(client_id);
    return out;
}

/// A book of doubts, and a server that answers as the test says.
struct World {
    explicit World(Family family = Family::v6) : book(family, ResumePoint{}) {}

    /// The database tells, a while ago.
    void learns(const Applied& told, std::optional<std::uint64_t> listed_after = {}) {
        book.learn(told, listed_after, now - 1min);
    }
    /// The question that is due now, in words; "" if none is.
    std::string asks() {
        if (!book.is_due(now)) return "";
        book.begin(++run);
        REQUIRE(book.question()->take() == 0);
        book.on_asked();
        return to_string(book.question()->items().front().query);
    }
    Answer answered(std::vector<Binding> bindings) {
        auto& job = *book.question();
        job.on_reply(0, at(5), at(5));
        for (const auto& binding : bindings)
            job.on_binding(0, binding);
        job.on_complete(0);
        return book.finish(now).answer;
    }

    DoubtBook book;
    std::uint64_t run = 0;
    SteadyTime now = t;
};

}  // namespace

TEST_CASE("something unreadable is asked about a second later: the answer is to be no older than the doubt") {
    DoubtBook book(Family::v6, {});
    auto about = doubt6();
    about.why = Doubt::unreadable;
    book.learn(applied({about}), std::nullopt, t);
    CHECK_FALSE(book.is_due(t));
    CHECK(book.next_deadline() == t + 1s);
    CHECK(book.is_due(t + 1s));
}

TEST_CASE("a v6 address is asked about by itself, a prefix by its client; v4 by client-id, else by hardware address") {
    World six;
    six.learns(applied({doubt6()}));
    CHECK(six.asks() == "address 2001:db8::1");
    World prefix;
    auto about = doubt6();
    about.key.kind = BindingKind::prefix;
    prefix.learns(applied({about}));
    CHECK(prefix.asks() == "client-id " + to_hex(some_duid));
    World four(Family::v4);
    four.learns(applied({doubt4({1, 2, 3})}));
    CHECK(four.asks() == "client-id 010203");
    World by_hardware(Family::v4);
    by_hardware.learns(applied({doubt4({}, {2, 0, 0x5e, 0x10, 0, 1})}));
    REQUIRE_FALSE(by_hardware.asks().empty());
    CHECK(by_hardware.book.question()->items().front().query.kind == QueryKind::hw_addr);
    CHECK(by_hardware.book.question()->items().front().query.id == Bytes{2, 0, 0x5e, 0x10, 0, 1});
}

TEST_CASE("what cannot be asked about is not, and stays in doubt") {
    World four(Family::v4);
    four.learns(applied({doubt4({1})}));  // RFC 2132 section 9.14: two octets at least
    CHECK(four.asks().empty());
    CHECK(four.book.open() == 1);
    World refused;
    auto about = doubt6();
    about.why = Doubt::refused;
    refused.learns(applied({about}));
    CHECK(refused.asks().empty());  // the server has told it: it is the database that does not take it
}

TEST_CASE("what could be asked about and cannot any more is not: its holder is not named now") {
    World w(Family::v4);
    w.learns(applied({doubt4({1, 2, 3})}));
    w.learns(applied({doubt4({})}));
    CHECK(w.asks() == "");
    w.learns(applied({doubt4({1, 2, 3})}));
    CHECK(w.asks() == "client-id 010203");
}

TEST_CASE("the answer settles it: there, another client's, or gone") {
    World w;
    w.learns(applied({doubt6()}));
    REQUIRE_FALSE(w.asks().empty());
    SUBCASE("there") {
        CHECK(w.answered({held(doubt6(), some_duid)}) == Answer::there);
    }
    SUBCASE("other") {
        CHECK(w.answered({held(doubt6(), {9, 9})}) == Answer::other);
    }
    SUBCASE("gone") {
        CHECK(w.answered({held(doubt6(2), some_duid)}) == Answer::gone);
    }
    SUBCASE("listed as ended") {
        auto ended = held(doubt6(), some_duid);
        ended.state = BindingState::released;
        CHECK(w.answered({ended}) == Answer::gone);
    }
    w.now += 2h;
    CHECK(w.asks().empty());
}

TEST_CASE("a question by client that is denied proves that this client has left, and not that nobody took over") {
    for (const auto why : {Doubt::unreadable, Doubt::scope_unreadable, Doubt::unlistable, Doubt::other_client}) {
        World four(Family::v4);
        auto about = doubt4({1, 2, 3});
        about.why = why;
        four.learns(applied({about}));
        REQUIRE_FALSE(four.asks().empty());
        CHECK(four.answered({}) == Answer::left);
        // No query of ours may reach it, or a full bulk tells who has it.
        CHECK(four.book.wants_full_bulk() == (why != Doubt::unlistable));
        CHECK_FALSE(four.book.knows(about.key.address, about.key.vpn_id));
        four.now += 2h;
        CHECK(four.asks().empty());
        four.book.on_full_bulk_begun();
        CHECK_FALSE(four.book.wants_full_bulk());
    }
    SUBCASE("a list of the client is about the client") {
        World six;
        auto prefix = doubt6();
        prefix.key.kind = BindingKind::prefix;
        six.learns(applied({prefix}));
        REQUIRE_FALSE(six.asks().empty());
        CHECK(six.answered({}) == Answer::gone);
    }
    SUBCASE("a question by address is about the address") {
        World six;
        auto about = doubt6();
        about.why = Doubt::unreadable;
        six.learns(applied({about}));
        REQUIRE_FALSE(six.asks().empty());
        CHECK(six.answered({}) == Answer::gone);
    }
}

TEST_CASE("v6: a binding in a VPN is not asked about, since no query of ours names one") {
    World six;
    auto about = doubt6();
    about.key.vpn_id = "blue";
    six.learns(applied({about}));
    CHECK(six.asks().empty());
    CHECK(six.book.open() == 1);
    CHECK_FALSE(six.book.knows(about.key.address, about.key.vpn_id));
}

TEST_CASE("v4: an answer without a binding in a VPN proves nothing, unless the server has shown that it lists VPNs") {
    World four(Family::v4);
    auto about = doubt4({1, 2, 3});
    about.key.vpn_id = "blue";
    auto elsewhere = held(about, {1, 2, 3});
    elsewhere.key.address = address("192.0.2.99");
    four.learns(applied({about}));
    REQUIRE_FALSE(four.asks().empty());
    CHECK(four.book.asks_all_vpns());
    SUBCASE("it has listed none") {
        elsewhere.key.vpn_id = "";
        CHECK(four.answered({elsewhere}) == Answer::none);
        CHECK_FALSE(four.book.wants_full_bulk());
    }
    SUBCASE("this answer lists one") {
        CHECK(four.answered({elsewhere}) == Answer::left);
    }
    SUBCASE("a full bulk has listed some") {
        four.book.on_vpns_listed();
        CHECK(four.answered({}) == Answer::left);
    }
    SUBCASE("another server, or another clock") {
        four.book.on_vpns_listed();
        four.book.start_afresh();
        REQUIRE_FALSE(four.asks().empty());
        CHECK(four.answered({}) == Answer::none);
    }
    SUBCASE("the answer that lists it proves itself") {
        CHECK(four.answered({held(about, {1, 2, 3})}) == Answer::there);
    }
}

TEST_CASE("what a client has left is settled by a full bulk that began later, was read whole, and lists it not") {
    World four(Family::v4);
    auto about = doubt4({1, 2, 3});
    about.why = Doubt::unreadable;
    four.learns(applied({about}));
    REQUIRE_FALSE(four.asks().empty());
    CHECK(four.answered({}) == Answer::left);
    CHECK(four.book.take_left_before(four.run, false).empty());
    const auto settled = four.book.take_left_before(four.run + 1, false);
    REQUIRE(settled.size() == 1);
    CHECK(settled[0].key == about.key);
    CHECK(four.book.take_left_before(four.run + 1, false).empty());
}

TEST_CASE("an answer that cannot be had, or not be read, settles nothing: asked again after a minute, then two, ...") {
    World w;
    w.learns(applied({doubt6()}));
    std::chrono::milliseconds again = 60s;
    for (int i = 0; i < 12; ++i) {
        REQUIRE_FALSE(w.asks().empty());
        if (i % 2 == 0) {
            w.book.question()->on_refused(0, "NotAllowed");
            CHECK(w.book.finish(w.now).answer == Answer::none);
        } else {
            w.book.question()->on_lease_unread(0);
            CHECK(w.answered({}) == Answer::none);
        }
        CHECK(w.book.next_deadline() == w.now + again);
        w.now += again - 1ms;
        CHECK(w.asks().empty());
        w.now += 1ms;
        again = std::min<std::chrono::milliseconds>(2 * again, 1h);
    }
}

TEST_CASE("one question at a time, and no more than so many in an hour, whatever comes to be in doubt") {
    World w;
    int asked = 0;
    for (const auto until = w.now + 1h; w.now < until; w.now += 1s) {
        w.learns(applied({doubt6(asked % 5000 + 1)}));
        if (w.asks().empty()) continue;
        CHECK_FALSE(w.book.is_due(w.now));
        (void)w.answered({});
        ++asked;
    }
    CHECK(asked <= DoubtBook::questions_at_once + 240);
    CHECK(asked >= 240);
}

TEST_CASE("a crash loop does not ask for more: a start may ask as much as the time away would have let it") {
    const auto asks_at_once = [](std::optional<std::chrono::milliseconds> away) {
        World w;
        if (away) w.book.start(*away);
        std::vector<DoubtfulBinding> doubts;
        for (int i = 1; i <= DoubtBook::questions_at_once + 1; ++i)
            doubts.push_back(doubt6(i));
        w.learns(applied(doubts));
        int asked = 0;
        for (; !w.asks().empty(); ++asked)
            (void)w.answered({});
        return asked;
    };
    CHECK(asks_at_once(std::nullopt) == DoubtBook::questions_at_once);  // it was never here before
    CHECK(asks_at_once(5s) == 1);                                       // a new doubt is not to wait
    CHECK(asks_at_once(60s) == 4);
    CHECK(asks_at_once(1h) == DoubtBook::questions_at_once);
    CHECK(asks_at_once(-1h) == 1);  // our clock was set back
}

TEST_CASE("more doubts than are told at once want a full bulk; none are left when the database has none") {
    World w;
    auto many = applied({doubt6()});
    many.doubts_open = doubts_told_max + 1;
    w.learns(many);
    CHECK(w.book.wants_full_bulk());
    w.learns(Applied{});
    CHECK_FALSE(w.book.wants_full_bulk());
    CHECK(w.asks().empty());
    CHECK_FALSE(w.book.next_deadline());
}

TEST_CASE("doubts that only the database knows are asked for, at a pace") {
    ResumePoint resume;
    resume.doubts_open = 3;
    DoubtBook book(Family::v6, resume);
    CHECK(book.wants_listing(t));
    CHECK(book.on_listing_asked(t) == 0);
    CHECK_FALSE(book.wants_listing(t + 59s));
    CHECK(book.wants_listing(t + 60s));
    book.learn(applied({doubt6()}), 0, t);
    CHECK_FALSE(book.wants_listing(t + 60s));
    CHECK(book.is_due(t));
}

TEST_CASE("the doubts of before a restart are asked about") {
    ResumePoint resume;
    resume.doubts_open = 1;
    resume.doubts = {doubt6()};
    DoubtBook book(Family::v6, resume);
    CHECK(book.is_due(t));
}

TEST_CASE("what is settled otherwise is not asked about: a listing shows it") {
    World w;
    w.learns(applied({doubt6(1), doubt6(2)}));
    CHECK_FALSE(w.book.wants_listing(w.now));
    Applied fewer;
    fewer.doubts_open = 1;
    w.learns(fewer);
    CHECK(w.book.wants_listing(w.now));
    CHECK(w.book.on_listing_asked(w.now) == 0);
    w.learns(applied({doubt6(2)}), 0);
    CHECK(w.asks() == "address 2001:db8::2");
    CHECK(w.answered({}) == Answer::gone);
    CHECK(w.asks().empty());
}

TEST_CASE("a doubt that no answer settles does not keep others in the database from being listed") {
    World w;
    w.learns(applied({doubt6(1)}));
    REQUIRE_FALSE(w.asks().empty());
    w.book.question()->on_refused(0, "NotAllowed");
    CHECK(w.book.finish(w.now).answer == Answer::none);
    Applied more;
    more.doubts_open = 3;
    w.learns(more);
    CHECK(w.book.wants_listing(w.now));
    CHECK(w.book.on_listing_asked(w.now) == 0);
    w.learns(applied({doubt6(1), doubt6(2), doubt6(3)}), 0);
    CHECK(w.asks() == "address 2001:db8::2");
}

TEST_CASE("however many cannot be settled by a question, those behind them in the database have their turn") {
    World w;
    std::vector<DoubtfulBinding> first;
    for (std::size_t i = 1; i <= doubts_told_max; ++i)
        first.push_back(doubt6(static_cast<int>(i)));
    auto told = applied(first);
    told.doubts_open = doubts_told_max + 1;
    w.learns(told, 0);
    CHECK_FALSE(w.book.wants_listing(w.now));  // none of these has been asked about yet
    REQUIRE_FALSE(w.asks().empty());
    w.book.question()->on_refused(0, "NotAllowed");
    CHECK(w.book.finish(w.now).answer == Answer::none);
    CHECK(w.book.wants_listing(w.now));
    CHECK(w.book.on_listing_asked(w.now) == doubts_told_max);
    told.doubts = {doubt6(900)};
    w.learns(told, doubts_told_max);
    CHECK(w.book.knows(doubt6(900).key.address, ""));
    CHECK(w.book.on_listing_asked(w.now) == 0);  // and then again from the beginning
}

TEST_CASE("doubts that a full bulk left want no other one, however many: more than so many new ones do") {
    World w;
    Applied many;
    many.doubts_open = 100;
    w.learns(many);
    CHECK(w.book.wants_full_bulk());
    w.book.on_full_bulk_begun();
    w.learns(many);
    w.book.on_full_bulk_written();
    CHECK_FALSE(w.book.wants_full_bulk());
    many.doubts_open = 100 + doubts_told_max;
    w.learns(many);
    CHECK_FALSE(w.book.wants_full_bulk());
    ++many.doubts_open;
    w.learns(many);
    CHECK(w.book.wants_full_bulk());
    many.doubts_open = 10;
    w.learns(many);
    many.doubts_open = 10 + doubts_told_max + 1;
    w.learns(many);
    CHECK(w.book.wants_full_bulk());
}

TEST_CASE("what comes to be in doubt while a full bulk runs is not left by it, and may want another one") {
    const auto wants_another = [](Doubt why, std::size_t arisen) {
        World w;
        Applied told;
        told.doubts_open = 100;
        w.learns(told);
        w.book.on_full_bulk_begun();
        for (std::size_t i = 1; i <= arisen; ++i) {
            auto about = doubt6(static_cast<int>(i));
            about.why = why;
            told.doubts = {about};
            told.doubts_told_live = is_told_live(why) ? 1 : 0;
            ++told.doubts_open;
            w.learns(told);
        }
        told = {};
        told.doubts_open = arisen;  // it settled those that were there before
        w.learns(told);
        w.book.on_full_bulk_written();
        return w.book.wants_full_bulk();
    };
    CHECK_FALSE(wants_another(Doubt::other_client, doubts_told_max));
    CHECK(wants_another(Doubt::other_client, doubts_told_max + 1));
    CHECK(wants_another(Doubt::unlisted, doubts_told_max + 1));
    // The full bulk itself told of these, and the next one may, too.
    CHECK_FALSE(wants_another(Doubt::unreadable, doubts_told_max + 1));
}

TEST_CASE("an address that its client has left makes room for one that can be asked about") {
    World four(Family::v4);
    std::vector<DoubtfulBinding> doubts;
    for (std::size_t i = 1; i <= doubts_told_max; ++i) {
        doubts.push_back(doubt4({1, static_cast<std::uint8_t>(i)}));
        doubts.back().key.address = address("192.0.2." + std::to_string(i));
    }
    four.learns(applied(doubts));
    REQUIRE_FALSE(four.asks().empty());
    CHECK(four.answered({}) == Answer::left);
    auto other = doubt4({9, 9});
    other.key.address = address("192.0.2.200");
    four.learns(applied({other}));
    CHECK(four.book.knows(other.key.address, other.key.vpn_id));
}

TEST_CASE("a question that is asked again over another connection counts again") {
    World w;
    std::vector<DoubtfulBinding> doubts;
    for (int i = 1; i <= DoubtBook::questions_at_once; ++i)
        doubts.push_back(doubt6(i));
    w.learns(applied(doubts));
    for (int i = 0; i < DoubtBook::questions_at_once / 2; ++i) {
        REQUIRE_FALSE(w.asks().empty());
        w.book.question()->on_cut_off(0, "closed");
        REQUIRE(w.book.may_ask(w.now));
        REQUIRE(w.book.question()->take() == 0);
        w.book.on_asked();
        w.book.question()->on_complete(0);
        (void)w.book.finish(w.now);
    }
    CHECK(w.asks().empty());
    CHECK_FALSE(w.book.may_ask(w.now));
    CHECK(w.book.next_deadline() == w.now + DoubtBook::question_interval);
    w.now += DoubtBook::question_interval;
    REQUIRE_FALSE(w.asks().empty());
    w.book.question()->on_cut_off(0, "closed");
    CHECK_FALSE(w.book.may_ask(w.now));
    CHECK(w.book.next_deadline() == w.now + DoubtBook::question_interval);
}

TEST_CASE("a question whose connection is gone waits for another one") {
    World w;
    w.learns(applied({doubt6()}));
    REQUIRE_FALSE(w.asks().empty());
    w.book.give_back();
    CHECK(w.book.question()->waiting() == 1);
}
