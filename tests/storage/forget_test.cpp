// One client's history is removed, what is in force stays, and nobody else's goes. Over every engine.
#include "tests/storage/test_store.hpp"

#include "storage/ledger/client_trail.hpp"
#include "storage/opening.hpp"
#include "storage/reader.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using namespace std::chrono_literals;
using Rows = std::vector<std::string>;

namespace {

const Bytes mac_1{2, 0, 0, 0, 0, 1};
const Bytes mac_2{2, 0, 0, 0, 0, 2};

Change told_of(const std::string& address, std::int64_t base, std::string_view client, const Bytes& mac,
               BindingState state = BindingState::active) {
    auto out = told(address, base, state);
    out.binding.client_id = id(client);
    out.binding.hw_addr = mac;
    return out;
}

Forgotten forget_id(const Fixture& f, std::string_view client) {
    return forget_client(f.settings, {id(client), {}});
}
Forgotten forget_mac(const Fixture& f, const Bytes& mac) {
    return forget_client(f.settings, {{}, mac});
}

struct Found {
    std::uint64_t bindings, changes, assignments, quarantined, in_force;
};
void check_forgotten(const Forgotten& forgotten, const Found& expected) {
    CHECK(forgotten.bindings == expected.bindings);
    CHECK(forgotten.changes == expected.changes);
    CHECK(forgotten.assignments == expected.assignments);
    CHECK(forgotten.quarantined == expected.quarantined);
    CHECK(forgotten.in_force == expected.in_force);
}

Rows feed(const Fixture& f) {
    return f.engine->rows("SELECT host(address) || ' ' || change FROM binding_change ORDER BY seq");
}
Rows assignments(const Fixture& f) {
    return f.engine->rows(
        "SELECT host(address), epoch(began_at) - 1700000000, epoch(ended_at) - 1700000000 FROM assignment "
        "ORDER BY sortable(address), began_at");
}
Rows counts(const Fixture& f) {
    return f.engine->rows("SELECT state, bindings FROM binding_count WHERE bindings <> 0 ORDER BY state");
}

/// Client 'aaaa' at mac_1, 'bbbb' at mac_2: .1 was aaaa's; .2 is; .3 was, and is bbbb's now; .4 is bbbb's.
struct TwoClients : Fixture {
    explicit TwoClients(const EngineFactory& factory) : Fixture(factory) {
        check.whole_feed = false;
        check.all_assignments = false;
        apply({told_of("10.0.0.1", 100, "aaaa", mac_1), told_of("10.0.0.2", 100, "aaaa", mac_1),
               told_of("10.0.0.3", 100, "aaaa", mac_1), told_of("10.0.0.4", 100, "bbbb", mac_2)});
        apply({told_of("10.0.0.1", 200, "aaaa", mac_1, BindingState::released)});
        apply({told_of("10.0.0.3", 300, "bbbb", mac_2)});
        auto batch = this->batch();
        batch.quarantine = {{utc(5), "broken", id("..aaaa..")},
                            {utc(6), "broken", id("..bbbb..")},
                            {utc(7), "broken", Bytes{9, 2, 0, 0, 0, 0, 1, 9}}};
        store->apply(batch);
    }
};

}  // namespace

TEST_CASE("forgetting a client-id leaves what is in force, and everything of the others") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        TwoClients f(factory);
        CHECK(feed(f) == Rows{"10.0.0.1 assigned", "10.0.0.2 assigned", "10.0.0.3 assigned", "10.0.0.4 assigned",
                              "10.0.0.1 ended", "10.0.0.3 ended", "10.0.0.3 assigned"});
        check_forgotten(forget_id(f, "aaaa"), {1, 5, 2, 1, 1});
        CHECK(f.states() == Rows{"10.0.0.2 active", "10.0.0.3 active", "10.0.0.4 active"});
        CHECK(feed(f) == Rows{"10.0.0.4 assigned", "10.0.0.3 assigned"});
        CHECK(assignments(f) == Rows{"10.0.0.2|100|-", "10.0.0.3|300|-", "10.0.0.4|100|-"});
        CHECK(f.engine->rows("SELECT epoch(at) - 1700000000 FROM quarantine ORDER BY at") == Rows{"6", "7"});
        CHECK(counts(f) == Rows{"active|3"});
        CHECK(f.counted() == 3);
        check_forgotten(forget_id(f, "aaaa"), {0, 0, 0, 0, 1});  // nothing is left to do
        check_forgotten(forget_id(f, "nobody"), {0, 0, 0, 0, 0});
    }
}

TEST_CASE("forgetting a hardware address finds the rows of the feed that do not name it") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        TwoClients f(factory);
        check_forgotten(forget_mac(f, mac_1), {1, 5, 2, 1, 1});
        CHECK(f.states() == Rows{"10.0.0.2 active", "10.0.0.3 active", "10.0.0.4 active"});
        CHECK(feed(f) == Rows{"10.0.0.4 assigned", "10.0.0.3 assigned"});
        CHECK(assignments(f) == Rows{"10.0.0.2|100|-", "10.0.0.3|300|-", "10.0.0.4|100|-"});
        CHECK(f.engine->rows("SELECT epoch(at) - 1700000000 FROM quarantine ORDER BY at") == Rows{"5", "6"});
    }
}

TEST_CASE("a client without client-id is found by its hardware address, also where the feed's beginning is gone") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.check.whole_feed = false;
        f.check.all_assignments = false;
        f.now = utc(150);
        f.apply({told_of("10.0.0.1", 100, "", mac_1), told_of("10.0.0.2", 100, "", mac_2)});
        f.now = utc(1000);
        f.apply({told_of("10.0.0.9", 900, "c", {})});  // the first row that is kept
        f.apply({told_of("10.0.0.1", 950, "", {}, BindingState::released),
                 told_of("10.0.0.2", 950, "", {}, BindingState::released)});
        f.settings.retention.changes = 500s;
        f.reopen();
        static_cast<void>(f.store->sweep(utc(1000), 100));
        REQUIRE(feed(f) == Rows{"10.0.0.9 assigned", "10.0.0.1 ended", "10.0.0.2 ended"});
        CHECK(forget_mac(f, mac_1).changes == 1);
        CHECK(feed(f) == Rows{"10.0.0.9 assigned", "10.0.0.2 ended"});
        CHECK(assignments(f) == Rows{"10.0.0.2|100|950", "10.0.0.9|900|-"});
    }
}

TEST_CASE("a client with much history is forgotten whole, in steps, and the feed's end stays where it was") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.check.whole_feed = false;
        f.check.all_assignments = false;
        std::vector<Change> changes;
        for (int i = 0; i < 700; ++i) {
            const auto address = "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250);
            changes.push_back(told_of(address, 100, "aaaa", mac_1));
            changes.push_back(told_of(address, 200, "aaaa", mac_1, BindingState::released));
        }
        f.apply(std::move(changes));
        const auto last = open_reader(f.settings)->feed_ends().last;
        check_forgotten(forget_id(f, "aaaa"), {700, 1400, 700, 0, 0});
        CHECK(f.engine->value("SELECT count(*) FROM binding") == "0");
        CHECK(counts(f).empty());
        // Whoever reads the feed goes on after what it saw last; a number never comes again.
        CHECK(open_reader(f.settings)->feed_ends().last == last);
        f.apply({told_of("10.0.0.1", 300, "bbbb", mac_2)});
        CHECK(open_reader(f.settings)->changes_after(last, std::nullopt, 10).rows.size() == 1);
    }
}

TEST_CASE("what was forgotten may come again") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        TwoClients f(factory);
        static_cast<void>(forget_id(f, "aaaa"));
        f.apply({told_of("10.0.0.1", 400, "aaaa", mac_1)});
        f.apply({told_of("10.0.0.2", 500, "aaaa", mac_1, BindingState::released)});
        CHECK(f.states() ==
              Rows{"10.0.0.1 active", "10.0.0.2 released reported", "10.0.0.3 active", "10.0.0.4 active"});
        CHECK(feed(f) == Rows{"10.0.0.4 assigned", "10.0.0.3 assigned", "10.0.0.1 assigned", "10.0.0.2 ended"});
        CHECK(assignments(f) == Rows{"10.0.0.1|400|-", "10.0.0.2|100|500", "10.0.0.3|300|-", "10.0.0.4|100|-"});
    }
}

TEST_CASE("whose a row of the feed is shows in it, or in what came before it on the same binding") {
    ClientTrail trail({{}, mac_1});
    const auto take = [&](const std::string& binding, bool assigned, std::optional<std::string> hw_addr) {
        TrailRow row;
        row.binding = binding;
        row.assigned = assigned;
        row.tells_hw_addr = hw_addr.has_value();
        row.hw_addr = hw_addr.value_or("");
        return trail.take(row);
    };
    const std::string mine = "02:00:00:00:00:01", other = "02:00:00:00:00:02";
    CHECK_FALSE(take("x", false, std::nullopt));  // it is not known whose this is
    CHECK(take("x", true, mine));
    CHECK_FALSE(take("y", false, std::nullopt));
    CHECK(take("x", false, std::nullopt));       // renewed
    CHECK(take("x", false, ""));                 // no longer told
    CHECK(take("x", false, std::nullopt));       // ended
    CHECK_FALSE(take("x", true, std::nullopt));  // somebody of whom no address is told
    CHECK_FALSE(take("x", false, std::nullopt));
    CHECK(take("x", false, mine));  // told later
    CHECK_FALSE(take("x", false, other));
    CHECK_FALSE(take("x", false, std::nullopt));
    trail.held_before("z");
    CHECK(take("z", false, std::nullopt));

    ClientTrail by_id({id("ab"), {}});
    TrailRow row;
    row.client_id = id("ab");
    CHECK(by_id.take(row));
    row.client_id = id("cd");
    CHECK_FALSE(by_id.take(row));
    row.other_client_id = "6162";  // the end of another's, which names it
    CHECK(by_id.take(row));
}
