// When assignments begin and end where messages come out of order, late, or after something was missed (ledger.hpp).
#include "tests/storage/ledger/tables.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;

namespace {
Change late(Change change) {
    change.late = true;
    return change;
}
Change told_when(Change change, std::int64_t when) {
    change.told_at = utc(when);
    return change;
}
}  // namespace

TEST_CASE("of two messages of one stream the later one counts, as long as its base-time is little behind") {
    Tables tables;
    tables.apply({told("alice", 100)}, 100);
    SUBCASE("within the window") {
        tables.apply({told("alice", 95, BindingState::released)}, 101);
        CHECK(tables.state() == BindingState::released);
    }
    SUBCASE("past it") {
        tables.apply({told("alice", 94, BindingState::released)}, 101);
        CHECK(tables.state() == BindingState::active);
    }
    SUBCASE("not what the catch-up phase tells") {
        tables.apply({late(told("alice", 99, BindingState::released))}, 101);
        CHECK(tables.state() == BindingState::active);
    }
    SUBCASE("not what a bulk tells") {
        tables.apply({listed(told("alice", 99, BindingState::released))}, 101);
        CHECK(tables.state() == BindingState::active);
    }
}

TEST_CASE("what a bulk has told is not undone by an older live message") {
    Tables tables;
    tables.apply({listed(told("alice", 100))}, 100);
    tables.apply({told("alice", 99, BindingState::released)}, 101);
    CHECK(tables.state() == BindingState::active);
}

TEST_CASE("what has expired is judged by when it was told, not by when it was written") {
    Tables tables;
    // The database was away from 0 to 60.
    tables.apply({told_when(until(told("alice", 0), 20), 0), told_when(told("alice", 10, BindingState::released), 10),
                  told_when(until(told("bob", 12), 32), 12), told_when(told("bob", 25, BindingState::released), 25),
                  told_when(until(told("carol", 55), 75), 55)},
                 60);
    CHECK(tables.history() == Words{"alice 0..10 reported", "bob 12..25 reported", "carol 55.."});
    CHECK(tables.words() == Words{"assigned alice", "ended alice", "assigned bob", "ended bob", "assigned carol"});
}

// The sweep ends what has expired, while batches that were closed before that still wait.
TEST_CASE("a lease whose time is over is not held anew by what was told before that") {
    Tables tables;
    tables.apply({until(told("alice", 0), 20)}, 0);
    auto& row = tables.rows.begin()->second;
    SUBCASE("the same lease, told again") {
        tables.apply({until(told("alice", 21), 20)}, 21);
        REQUIRE(row.end_reason == EndReason::expired);
        tables.apply({told_when(listed(until(told("alice", 22), 20)), 19)}, 22);
        CHECK(row.end_reason == EndReason::expired);
        CHECK(tables.history() == Words{"alice 0..20~ expired"});
    }
    SUBCASE("it was renewed after all") {
        tables.apply({until(told("alice", 21), 20)}, 21);
        tables.apply({until(told("alice", 22), 24)}, 22);
        CHECK(tables.state() == BindingState::active);
    }
    SUBCASE("our clock was set back since") {
        tables.apply({until(told("alice", 21), 20)}, 21);
        tables.apply({until(told("alice", 22), -100)}, -200);
        CHECK(tables.state() == BindingState::active);
    }
}

TEST_CASE("no boundary lies after the moment when it was told") {
    Tables tables;
    tables.apply({told_when(since(told("alice", 50), 100), 50)}, 200);
    CHECK(tables.history() == Words{"alice 50~.."});
}

TEST_CASE("an end that is told of another client than the one known here is a bound of that one's time") {
    Tables tables;
    tables.apply({told("alice", 0)}, 0);
    SUBCASE("with the moment") {
        tables.apply({since(told("bob", 100, BindingState::released), 90)}, 100);
        CHECK(tables.history() == Words{"alice 0..90~ reported"});
    }
    SUBCASE("live, and without") {
        tables.apply({told("bob", 100, BindingState::released)}, 100);
        CHECK(tables.history() == Words{"alice 0..100~ reported"});
    }
    SUBCASE("of nobody, after something may have been missed") {
        tables.apply({late(since(told("", 100, BindingState::available), 90))}, 100);
        CHECK(tables.history() == Words{"alice 0..90~ reported"});
    }
    SUBCASE("of nobody, live: that was the holder's") {
        tables.apply({since(told("", 100, BindingState::available), 90)}, 100);
        CHECK(tables.history() == Words{"alice 0..90 reported"});
    }
}

TEST_CASE("an end that is told after something was missed is a bound, since the client may have been away meanwhile") {
    Tables tables;
    tables.apply({until(since(told("alice", 0), 0), 60)}, 0);
    // Renewed meanwhile, which was not told: the moment is the server's, whatever was known of the time given.
    tables.apply({late(since(told("alice", 120, BindingState::released), 100))}, 120);
    CHECK(tables.history() == Words{"alice 0..100~ reported"});
}

TEST_CASE("the end of another client's lease does not lie after the time until which this one's was given") {
    Tables tables;
    tables.apply({until(told("alice", 0), 50)}, 0);
    tables.apply({since(told("bob", 100, BindingState::released), 90)}, 100);
    CHECK(tables.history() == Words{"alice 0..50~ reported"});
}

TEST_CASE("a lease that is first told of by a renewal after something was missed began at an unknown moment") {
    Tables tables;
    auto renewed = late(told("alice", 100));
    renewed.binding.client_last_seen = at(98);
    tables.apply({renewed}, 100);
    CHECK(tables.history() == Words{"alice 98~.."});
}

// The message that could not be read may have told the beginning, and this one is a renewal.
TEST_CASE("a boundary that is told live while the address is in doubt is a bound") {
    const auto in_doubt = [](Doubt why, std::int64_t base) {
        auto change = told("", base);
        change.kind = Change::Kind::doubt;
        change.doubt = why;
        return change;
    };
    for (const auto why : {Doubt::unreadable, Doubt::scope_unreadable, Doubt::unlistable, Doubt::refused}) {
        CAPTURE(to_string(why));
        Tables tables;
        tables.apply({told("alice", 0)}, 0);
        tables.apply({in_doubt(why, 20)}, 20);
        SUBCASE("another client's beginning") {
            auto renewed = told("bob", 50);
            renewed.binding.client_last_seen = at(50);
            tables.apply({renewed}, 50);
            CHECK(tables.history() == Words{"alice 0..50~ replaced", "bob 50~.."});
        }
        SUBCASE("the end") {
            tables.apply({told("alice", 50, BindingState::released)}, 50);
            CHECK(tables.history() == Words{"alice 0..50~ reported"});
        }
        SUBCASE("a beginning after an end that was in doubt") {
            tables.apply({told("alice", 30, BindingState::released), in_doubt(why, 40), told("bob", 50)}, 50);
            CHECK(tables.history() == Words{"alice 0..30~ reported", "bob 50~.."});
        }
    }
    Tables tables;
    tables.apply({told("alice", 0)}, 0);
    tables.apply({in_doubt(Doubt::unlisted, 20)}, 20);
    tables.apply({told("bob", 50)}, 50);
    CHECK(tables.history() == Words{"alice 0..50~ replaced", "bob 50.."});
}

TEST_CASE("a boundary that had to be moved by more than two seconds is a bound") {
    Tables tables;
    tables.apply({told("alice", 0), told("alice", 50, BindingState::released)}, 50);
    SUBCASE("by two") {
        tables.apply({since(told("bob", 60), 48)}, 60);
        CHECK(tables.history()[1] == "bob 50..");
    }
    SUBCASE("by three") {
        tables.apply({since(told("bob", 60), 47)}, 60);
        CHECK(tables.history()[1] == "bob 50~..");
    }
}

TEST_CASE("after a fresh start in what may be another clock of ours a hold ends, and another one begins") {
    for (const auto set_by : {-3600, 0, 3600}) {  // our clock, if it was
        CAPTURE(set_by);
        Tables tables;
        tables.apply({until(told("alice", 0), 9000)}, 0);
        auto again = listed(until(told("alice", 500 + set_by), 9500 + set_by));
        again.binding.client_last_seen = at(400 + set_by);
        tables.apply({again}, 500 + set_by, 1, {Skew{0}, true});
        tables.apply({again}, 500 + set_by, 1, {Skew{0}, true});
        CHECK(tables.state() == BindingState::active);
        const auto began = std::to_string(std::max(400 + set_by, 0)) + "~";
        CHECK(tables.history() == Words{"alice 0.." + began + " replaced", "alice " + began + ".."});
        // Where it is known that ours was not set, the hold goes on.
        auto later = listed(until(told("alice", 600 + set_by), 9600 + set_by));
        tables.apply({later}, 600 + set_by, 2, {Skew{0}, false});
        CHECK(tables.history().size() == 2);
    }
}

TEST_CASE("a client whose state began anew had left and come back") {
    Tables tables;
    tables.apply({since(until(told("alice", 0), 40), 0)}, 0);
    SUBCASE("after its time was over") {
        tables.apply({since(until(told("alice", 100), 140), 90)}, 100);
        CHECK(tables.history() == Words{"alice 0..40~ expired", "alice 90.."});
    }
    SUBCASE("before that") {
        tables.apply({since(until(told("alice", 35), 140), 30)}, 35);
        CHECK(tables.history() == Words{"alice 0..30~ replaced", "alice 30.."});
    }
    SUBCASE("not where it is the same moment by another estimate of the skew") {
        tables.apply({since(until(told("alice", 35), 140), 5)}, 35);
        CHECK(tables.history() == Words{"alice 0.."});
        return;
    }
    CHECK(tables.words() == Words{"assigned alice", "ended alice inferred", "assigned alice"});
}

TEST_CASE(
    "after a fresh start the client had left and come back if its state began anew since, and not with the clock") {
    constexpr std::int64_t next_epoch = 1;
    const auto step =
        std::chrono::seconds{-60};  // the server's clock; what it keeps of before is told 60 s later in ours
    Tables tables;
    tables.apply({since(until(told("alice", 10), 400), 0)}, 10);
    SUBCASE("it began after we had last heard of it") {
        tables.apply({since(until(told("alice", 100), 500), 90)}, 100, next_epoch, {Skew{step} * -1});
        CHECK(tables.history() == Words{"alice 0..90~ replaced", "alice 90.."});
    }
    SUBCASE("it is as much later as the clock was set back") {
        tables.apply({since(until(told("alice", 100), 460), 60)}, 100, next_epoch, {Skew{step} * -1});
        CHECK(tables.history() == Words{"alice 0.."});
    }
    SUBCASE("it began after we had last heard of it, and our clock was ahead then") {
        Tables ahead;
        ahead.apply({since(told("alice", 10), 0)}, 3610);
        ahead.apply({since(until(told("alice", 100), 500), 90)}, 100, next_epoch, {Skew{0}});
        CHECK(ahead.history() == Words{"alice 0..90~ replaced", "alice 90.."});
    }
    SUBCASE("it is the same, or began before we last heard of it") {
        tables.apply({since(until(told("alice", 100), 500), 0)}, 100, next_epoch);
        tables.apply({since(until(told("alice", 101), 500), 4)}, 101, next_epoch + 1);
        CHECK(tables.history() == Words{"alice 0.."});
    }
}
