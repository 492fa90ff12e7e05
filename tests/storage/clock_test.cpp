// A step of our own clock: what was stored in the wrong one moves, in one server, once. Over every engine.
#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

Change timed(const std::string& address, std::int64_t base) {
    auto out = told(address, base);
    auto& binding = out.binding;
    binding.client_last_seen = at(base + 1);
    binding.state_since = at(base - 5);
    binding.expires_at = at(base + 5000);
    binding.preferred_until = at(base + 4000);
    binding.renew_at = at(base + 2000);
    binding.rebind_at = at(base + 3000);
    return out;
}

Rows times(const Fixture& f) {
    return f.engine->rows(
        "SELECT epoch(client_last_seen) - 1700000000, epoch(state_since) - 1700000000, epoch(expires_at) - 1700000000, "
        "epoch(preferred_until) - 1700000000, epoch(renew_at) - 1700000000, epoch(rebind_at) - 1700000000, "
        "epoch(boundary_at) - 1700000000, epoch(base_time) - 1700000000 FROM binding "
        "ORDER BY server_id, sortable(address)");
}

Rows holds(const Fixture& f) {
    return f.engine->rows(
        "SELECT host(address), epoch(began_at) - 1700000000, epoch(ended_at) - 1700000000, "
        "CAST(began_inferred AS INTEGER) FROM assignment ORDER BY server_id, sortable(address), assignment_id");
}

}  // namespace

TEST_CASE("when our clock was set, all times in it move, once, and those of the server's clock stay") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        f.check.times = false;
        f.apply({timed("10.0.0.1", 100), told("10.0.0.2", 100)});
        f.store->apply(f.batch({timed("10.0.0.1", 100)}, 1));
        auto batch = f.batch();
        batch.fresh_as_of = utc(150);
        f.store->apply(batch);
        batch = f.batch();
        batch.number = 1;
        batch.our_clock_moved = std::chrono::seconds{3600};
        f.store->apply(batch);
        f.store->apply(batch);
        CHECK(f.engine->rows("SELECT epoch(fresh_as_of) - 1700000000 FROM server ORDER BY server_id") ==
              Rows{"3750", "-"});
        CHECK(times(f) == Rows{"3701|3695|8700|7700|5700|6700|3695|100", "-|-|-|-|-|-|3700|100",
                               "101|95|5100|4100|2100|3100|95|100"});
        CHECK(holds(f) == Rows{"10.0.0.1|3695|-|0", "10.0.0.2|3700|-|0", "10.0.0.1|95|-|0"});
        // Changes of the same batch are told in the clock as it is now.
        batch = f.batch({timed("10.0.0.3", 200)});
        batch.our_clock_moved = std::chrono::seconds{-3600};
        f.store->apply(batch);
        CHECK(times(f)[0] == "101|95|5100|4100|2100|3100|95|100");
        CHECK(times(f)[2] == "201|195|5200|4200|2200|3200|195|200");
    }
}

TEST_CASE("what has ended stays where it is written down, and no hold moves to before its end") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.check.times = false;
        auto over = timed("10.0.0.2", 400);
        over.binding.state = BindingState::released;
        f.apply({told("10.0.0.1", 100), told("10.0.0.1", 200, BindingState::released), told("10.0.0.1", 300),
                 told("10.0.0.2", 100), over});
        auto batch = f.batch();
        batch.our_clock_moved = std::chrono::seconds{-150};
        f.store->apply(batch);
        CHECK(holds(f) == Rows{"10.0.0.1|100|200|0", "10.0.0.1|200|-|1", "10.0.0.2|100|395|0"});
        CHECK(f.engine->rows("SELECT epoch(boundary_at) - 1700000000 FROM binding ORDER BY sortable(address)") ==
              Rows{"200", "395"});
        CHECK(times(f)[1] == "401|395|5400|4400|2400|3400|395|400");
    }
}

TEST_CASE("a fresh start in what may be another clock of ours makes open beginnings inferred, whatever comes after") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        for (const bool unsure : {true, false}) {
            CAPTURE(unsure);
            Fixture f(factory, {"east", "west"});
            f.check.times = false;
            f.apply({timed("10.0.0.1", 100), timed("10.0.0.2", 100), timed("10.0.0.3", 100)});
            f.store->apply(f.batch({timed("10.0.0.1", 100)}, 1));
            auto batch = f.batch();
            batch.fresh_as_of = utc(150);
            f.store->apply(batch);
            batch = f.batch();
            batch.fresh_start = true;
            batch.before.ours_unsure = unsure;
            f.store->apply(batch);
            CHECK(f.engine->value("SELECT epoch(fresh_as_of) - 1700000000 FROM server WHERE server_id = 1") ==
                  (unsure ? "-" : "150"));
            // One is in doubt and then told of again, one is not listed, one is not told of at all.
            auto doubt = timed("10.0.0.1", 200);
            doubt.kind = Change::Kind::doubt;
            doubt.doubt = Doubt::unreadable;
            batch = f.batch({doubt});
            batch.before.ours_unsure = unsure;
            f.store->apply(batch);
            auto again = timed("10.0.0.1", 100);
            again.binding.base_time = server_time_from_unix(unix_seconds(doubt.binding.base_time) + 1);
            batch = f.batch({again});
            batch.before.ours_unsure = unsure;
            f.store->apply(batch);
            const std::string of_east = "SELECT CAST(began_inferred AS INTEGER) FROM assignment WHERE server_id = 1";
            const std::string of_west = "SELECT CAST(began_inferred AS INTEGER) FROM assignment WHERE server_id = 2";
            CHECK(f.engine->rows(of_east) == Rows(3, unsure ? "1" : "0"));
            CHECK(f.engine->rows(of_west) == Rows{"0"});
            if (factory.name == std::string("sqlite"))
                CHECK(f.engine->rows("SELECT inferred FROM assignment WHERE server_id = 1") ==
                      Rows(3, unsure ? "1" : "0"));
        }
    }
}
