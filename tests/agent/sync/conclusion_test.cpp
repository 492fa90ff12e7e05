#include "agent/sync/conclusion.hpp"
#include "storage/scope.hpp"
#include "tests/agent/sync/words.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;

namespace {

using Answer = FullConclusion::Answer;

const std::vector<BulkQuery> two{relay_query({1}), relay_query({2})};

ConclusionContext context_v4() {
    return {Family::v4, true, true, false, false, 60s, 5min};
}
ConclusionContext context_v6() {
    return {Family::v6, true, false, false, false, 60s, 5min};
}
ConclusionContext polled(ConclusionContext c) {
    c.polling = true;
    return c;
}

void answer(BulkJob& job, std::size_t item, std::optional<ServerTime> base = at(1000)) {
    job.on_reply(item, base, at(2000));
    job.on_complete(item);
}
BulkJob& all_taken(BulkJob& job) {
    while (job.take())
        ;
    return job;
}
void cut_off(BulkJob& job, std::size_t item) {
    while (job.items()[item].state == BulkJob::ItemState::running || job.take())
        job.on_cut_off(item, "closed");
}

BulkJob full(const std::vector<BulkQuery>& queries = {BulkQuery{}}) {
    auto job = BulkJob::full(7, queries, "why");
    return all_taken(job);
}
BulkJob window(const std::vector<BulkQuery>& queries = {BulkQuery{}}) {
    auto job = BulkJob::window(7, {3, at(900), at(950), "DataMissing"}, queries);
    return all_taken(job);
}
BulkJob poll(const std::vector<BulkQuery>& queries = {BulkQuery{}}) {
    auto job = BulkJob::windowed_poll(7, at(900), queries);
    return all_taken(job);
}

/// One that last changed at this time.
Binding changed(std::int64_t seconds) {
    Binding out;
    out.client_last_seen = at(seconds);
    return out;
}

Binding in_vpn() {
    Binding b;
    b.key = {"ascii:red", BindingKind::address, address("192.0.2.9"), 32};
    return b;
}

}  // namespace

// ---- a full load --------------------------------------------------------------------------------------------------

TEST_CASE("a full load that was answered in full covers everything, and absence proves") {
    auto job = full(two);
    answer(job, 0, at(1005));
    answer(job, 1, at(1000));
    job.on_binding(1, in_vpn());
    const auto c = conclude_full(job, context_v4());
    CHECK(c.answer == Answer::some);
    CHECK(c.error.empty());
    CHECK(c.asked_to_the_end);
    CHECK(c.reaches_began_at);
    CHECK(c.coverage == Coverage::full);
    CHECK(c.gap_outcome == "recovered");
    CHECK_FALSE(c.again_after);
    CHECK(c.reconcile.run == 7);
    CHECK(c.reconcile.listed_from == at(1000));
    CHECK(c.reconcile.everything);
    CHECK(c.reconcile.all_vpns);
    REQUIRE(c.reconcile.scopes.size() == 2);
    CHECK(c.reconcile.scopes[1].id == scope_id(two[1]));
    CHECK(c.reconcile.scopes[1].relay_id == Bytes{2});
    CHECK(c.reconcile.scopes[1].remote_id.empty());
    CHECK(c.reconcile.scopes[1].run == 7);
}

TEST_CASE("queries that do not cover the whole server leave its coverage partial, without anything wrong") {
    auto context = context_v4();
    context.covers_everything = false;
    auto job = full(two);
    answer(job, 0);
    answer(job, 1);
    const auto c = conclude_full(job, context);
    CHECK(c.coverage == Coverage::partial);
    CHECK(c.lacks == "bulk.queries cover a part of the server (bulk.covers: partial)");
    CHECK(c.error.empty());
    CHECK_FALSE(c.reconcile.everything);
    CHECK(c.reconcile.scopes.size() == 2);
    CHECK_FALSE(c.again_after);
    CHECK(c.gap_outcome == "recovered");
}

TEST_CASE("a full load that did not ask for every VPN, or listed none, reconciles the default one alone") {
    auto context = context_v4();
    auto job = full();
    answer(job, 0);
    CHECK_FALSE(conclude_full(job, context).reconcile.all_vpns);  // the server may not know the option
    job.on_binding(0, in_vpn());
    CHECK(conclude_full(job, context).reconcile.all_vpns);
    context.all_vpns = false;
    CHECK_FALSE(conclude_full(job, context).reconcile.all_vpns);
}

TEST_CASE("what no query could list is in doubt where something may have been missed, and nowhere else") {
    auto context = context_v4();
    auto job = full();
    answer(job, 0);
    CHECK_FALSE(conclude_full(job, context).reconcile.doubt_unreached);
    context.something_missed = true;
    CHECK(conclude_full(job, context).reconcile.doubt_unreached);
}

TEST_CASE("a scope by remote-id is told as one") {
    BulkQuery query;
    query.kind = QueryKind::remote_id;
    query.id = {9};
    auto job = full({query});
    answer(job, 0);
    const auto c = conclude_full(job, context_v6());
    REQUIRE(c.reconcile.scopes.size() == 1);
    CHECK(c.reconcile.scopes[0].remote_id == Bytes{9});
    CHECK(c.reconcile.scopes[0].relay_id.empty());
}

TEST_CASE("a query that was asked again is reconciled by the run of the attempt that was complete") {
    auto job = full(two);
    answer(job, 0);
    job.on_cut_off(1, "closed");
    REQUIRE(job.take() == 1);
    job.renumber(1, 8);
    answer(job, 1);
    const auto c = conclude_full(job, context_v4());
    CHECK(c.reconcile.run == 7);
    CHECK(c.reconcile.scopes[0].run == 7);
    CHECK(c.reconcile.scopes[1].run == 8);
}

TEST_CASE("a full load of which no query was answered failed; it was refused only if none was cut off") {
    auto job = full(two);
    job.on_refused(0, "NotAllowed");
    SUBCASE("refused") {
        job.on_refused(1, "NotAllowed");
        const auto c = conclude_full(job, context_v4());
        CHECK(c.answer == Answer::refused);
        CHECK(c.asked_to_the_end);
        CHECK(c.error.find("full bulk failed: query for relay-id 01: NotAllowed") == 0);
    }
    SUBCASE("cut off") {
        cut_off(job, 1);
        const auto c = conclude_full(job, context_v4());
        CHECK(c.answer == Answer::none);
        CHECK_FALSE(c.asked_to_the_end);
        CHECK_FALSE(c.reaches_began_at);
    }
}

TEST_CASE("where a query was cut off, the others are reconciled, and all is asked again at the usual pace") {
    auto job = full(two);
    answer(job, 0);
    cut_off(job, 1);
    const auto c = conclude_full(job, context_v4());
    CHECK(c.answer == Answer::some);
    CHECK_FALSE(c.asked_to_the_end);
    CHECK_FALSE(c.reaches_began_at);
    CHECK(c.coverage == Coverage::partial);
    CHECK(c.error == "full bulk incomplete: 1 of 2 queries not answered: query for relay-id 02: closed");
    CHECK(c.gap_outcome == "recovered in part");
    CHECK_FALSE(c.reconcile.everything);
    REQUIRE(c.reconcile.scopes.size() == 1);
    CHECK(c.reconcile.scopes[0].id == scope_id(two[0]));
    CHECK(c.again_after == 60s);
}

TEST_CASE("a polled server of which a query was cut off is asked again by the next poll, or sooner") {
    auto job = full(two);
    answer(job, 0);
    cut_off(job, 1);
    auto context = polled(context_v4());
    CHECK(conclude_full(job, context).again_after == 5min);
    context.poll_interval = 1h;
    CHECK(conclude_full(job, context).again_after == 10min);
}

TEST_CASE("what was refused, or could not be read, is asked again not before long") {
    auto job = full(two);
    answer(job, 0);
    SUBCASE("refused") {
        job.on_refused(1, "NotAllowed");
        const auto c = conclude_full(job, context_v4());
        CHECK(c.asked_to_the_end);
        CHECK_FALSE(c.reaches_began_at);
        CHECK(c.error == "full bulk incomplete: 1 of 2 queries refused: query for relay-id 02: NotAllowed");
    }
    SUBCASE("unread") {
        job.on_lease_unread(1);
        answer(job, 1);
        const auto c = conclude_full(job, context_v4());
        CHECK(c.reaches_began_at);
        CHECK(c.error.find("full bulk: some replies could not be understood") == 0);
    }
    for (const auto& context : {context_v4(), polled(context_v4())}) {
        auto longer = context;
        longer.poll_interval = 1h;
        CHECK(conclude_full(job, context).again_after == 10min);
        CHECK(conclude_full(job, longer).again_after == 1h);
        CHECK(conclude_full(job, context).gap_outcome == "recovered in part");
    }
}

TEST_CASE("a reply that could not be read, of a lease that is known, leaves coverage and proof whole") {
    auto job = full(two);
    answer(job, 0);
    job.on_lease_unread(1);
    answer(job, 1);
    const auto c = conclude_full(job, context_v4());
    CHECK(c.coverage == Coverage::full);
    CHECK(c.reconcile.everything);
    CHECK_FALSE(c.reconcile.unread);
    CHECK(c.reconcile.scopes.size() == 2);
}

TEST_CASE("a reply that could not be read, not even whose lease it was, makes doubtful what its query did not list") {
    auto job = full(two);
    answer(job, 0);
    job.on_lease_lost(1);
    answer(job, 1);
    const auto c = conclude_full(job, context_v4());
    CHECK(c.coverage == Coverage::partial);
    CHECK(c.reconcile.everything);
    CHECK(c.reconcile.unread);
    REQUIRE(c.reconcile.scopes.size() == 2);
    CHECK_FALSE(c.reconcile.scopes[0].unread);
    CHECK(c.reconcile.scopes[1].unread);
    CHECK(c.again_after);
}

// ---- the window of a gap ------------------------------------------------------------------------------------------

TEST_CASE("a window that was answered needs no other help than the full bulk that closes the gap") {
    auto job = window(two);
    answer(job, 0);
    answer(job, 1);
    const auto c = conclude_window(job, context_v4());
    CHECK(c.no_help_because.empty());
    CHECK_FALSE(c.heeds_start);
}

TEST_CASE("a window that was not answered in full is left to a full bulk") {
    auto job = window(two);
    answer(job, 0);
    SUBCASE("refused") {
        job.on_refused(1, "NotAllowed");
    }
    SUBCASE("cut off") {
        cut_off(job, 1);
    }
    const auto c = conclude_window(job, context_v4());
    CHECK(c.no_help_because.find("windowed bulk failed: query for relay-id 02: ") == 0);
}

TEST_CASE("a window whose answer lists what had not changed is one of a server that knows none") {
    auto job = window();
    job.on_reply(0, at(1000), at(2000));
    job.on_binding(0, changed(100));
    job.on_complete(0);
    const auto c = conclude_window(job, context_v4());
    CHECK(c.heeds_start == false);
    CHECK(c.no_help_because == "the server knows no time windows");
}

TEST_CASE("v6: a window without a base-time in its replies is worth nothing, even if empty; v4 need not tell one") {
    auto job = window({link_query("2001:db8::1")});
    answer(job, 0, std::nullopt);
    CHECK(conclude_window(job, context_v6()).no_help_because == "the server knows no time windows");
    auto with_base = window({link_query("2001:db8::1")});
    answer(with_base, 0);
    CHECK(conclude_window(with_base, context_v6()).no_help_because.empty());
    CHECK(conclude_window(with_base, context_v6()).heeds_start == true);
    auto v4 = window();
    answer(v4, 0, std::nullopt);
    CHECK(conclude_window(v4, context_v4()).no_help_because.empty());
}

// ---- a windowed poll ----------------------------------------------------------------------------------------------

TEST_CASE("a poll that was answered moves the start of the next one to its first reply") {
    auto job = poll();
    answer(job, 0);
    const auto c = conclude_poll(job, context_v4(), std::nullopt);
    CHECK(c.error.empty());
    CHECK(c.next_from == at(1000));
    CHECK_FALSE(c.heeds_start);
}

TEST_CASE("a v6 poll with base-times shows that the server knows time windows") {
    auto job = poll({link_query("2001:db8::1")});
    answer(job, 0);
    const auto c = conclude_poll(job, context_v6(), std::nullopt);
    CHECK(c.next_from == at(1000));
    CHECK(c.heeds_start == true);
}

TEST_CASE("a poll with one query refused moves its start, and says what went wrong") {
    auto job = poll({BulkQuery{}, BulkQuery{}});
    answer(job, 0);
    job.on_refused(1, "NotAllowed");
    const auto c = conclude_poll(job, context_v4(), std::nullopt);
    CHECK(c.error == "windowed poll incomplete: query for everything: NotAllowed");
    CHECK(c.next_from == at(1000));
    CHECK_FALSE(c.heeds_start);
}

TEST_CASE("a poll of which a query was cut off is asked for as far back again") {
    auto job = poll(two);
    answer(job, 0);
    cut_off(job, 1);
    const auto c = conclude_poll(job, context_v4(), std::nullopt);
    CHECK_FALSE(c.error.empty());
    CHECK_FALSE(c.next_from);
}

TEST_CASE("a poll that was refused in all was refused for its start time; one that was cut off was not") {
    auto job = poll();
    SUBCASE("refused") {
        job.on_refused(0, "MalformedQuery");
        const auto c = conclude_poll(job, context_v4(), std::nullopt);
        CHECK(c.heeds_start == false);
        CHECK(c.told_by == "query for everything: MalformedQuery");
        CHECK_FALSE(c.next_from);
    }
    SUBCASE("cut off") {
        cut_off(job, 0);
        const auto c = conclude_poll(job, context_v4(), std::nullopt);
        CHECK_FALSE(c.heeds_start);
        CHECK_FALSE(c.next_from);
    }
}

TEST_CASE("an answer without a base-time proves nothing of how far the mirror is right") {
    auto job = poll();
    answer(job, 0, std::nullopt);
    const auto c = conclude_poll(job, context_v4(), std::nullopt);
    CHECK(c.error.empty());
    CHECK_FALSE(c.next_from);
}

TEST_CASE("a poll that lists what had not changed since its start shows that the start is not heeded") {
    auto job = poll();
    job.on_reply(0, at(1000), at(2000));
    job.on_binding(0, changed(100));
    job.on_complete(0);
    const auto c = conclude_poll(job, context_v4(), std::nullopt);
    CHECK(c.heeds_start == false);
    CHECK(c.told_by == "it lists what had not changed since");
}

TEST_CASE("a poll that leaves out what the full load had listed shows that the start is heeded") {
    auto job = poll();
    answer(job, 0);
    CHECK(conclude_poll(job, context_v4(), at(100)).heeds_start == true);
    CHECK_FALSE(conclude_poll(job, context_v4(), at(899)).heeds_start);  // too near to tell
}
