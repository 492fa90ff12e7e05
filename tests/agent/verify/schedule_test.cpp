// Which server is compared when, on virtual time.
#include "agent/verify/schedule.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

const Now start{SteadyTime{1000s}, UtcMillis{std::chrono::sys_seconds{1'790'000'000s}}};

Now at(std::chrono::milliseconds after) {
    return {start.steady + after, start.utc + after};
}

UtcSeconds utc(std::chrono::seconds after) {
    return std::chrono::floor<std::chrono::seconds>(start.utc) + after;
}

ServerConfig server(const std::string& name, std::chrono::milliseconds interval) {
    ServerConfig out;
    out.name = name;
    out.verify_interval = interval;
    return out;
}

ServerOverview ready(const std::string& name, std::optional<UtcSeconds> verified = std::nullopt) {
    ServerOverview out;
    out.name = name;
    out.owner = "us";
    out.phase = "live";
    out.fresh_as_of = utc(0s);
    out.last_verify_at = verified;
    return out;
}

std::string taken(VerifySchedule& schedule, const std::vector<ServerOverview>& servers, Now now) {
    const auto one = schedule.take(servers, now);
    return one ? one->name : "";
}

}  // namespace

TEST_CASE("verify: where no server has an interval there is never a look") {
    VerifySchedule schedule("us");
    schedule.want(std::vector{server("a", 0ms)});
    CHECK_FALSE(schedule.next_look(start.steady));
    CHECK(taken(schedule, {ready("a")}, start).empty());
}

TEST_CASE("verify: a server that never was compared is taken at once, and then each interval") {
    VerifySchedule schedule("us");
    schedule.want(std::vector{server("a", 1h)});
    CHECK(schedule.next_look(start.steady) == start.steady);
    CHECK(taken(schedule, {ready("a")}, start) == "a");
    schedule.on_done("a", true, 4s, at(4s).steady);
    CHECK(schedule.next_look(at(4s).steady) == at(4s + 1h).steady);
    CHECK(taken(schedule, {ready("a")}, at(1h)).empty());
    CHECK(taken(schedule, {ready("a")}, at(4s + 1h)) == "a");
}

TEST_CASE("verify: a restart goes by when the database says that it was compared") {
    VerifySchedule schedule("us");
    schedule.want(std::vector{server("a", 1h)});
    CHECK(taken(schedule, {ready("a", utc(-50min))}, start).empty());
    CHECK(schedule.next_look(start.steady) == at(10min).steady);
    CHECK(taken(schedule, {ready("a", utc(-50min))}, at(10min)) == "a");
}

TEST_CASE("verify: a clock of ours that was set back puts off for one interval at most") {
    VerifySchedule schedule("us");
    schedule.want(std::vector{server("a", 1h)});
    CHECK(taken(schedule, {ready("a", utc(240h))}, start).empty());
    CHECK(schedule.next_look(start.steady) == at(1h).steady);
}

TEST_CASE("verify: a server that cannot be compared now is looked at again soon") {
    const auto refused = [](const ServerOverview& as_it_is) {
        VerifySchedule schedule("us");
        schedule.want(std::vector{server("a", 1h)});
        const bool none = taken(schedule, {as_it_is}, start).empty();
        return none && schedule.next_look(start.steady) == at(VerifySchedule::look_again).steady;
    };
    auto one = ready("a");
    one.owner = "them";
    CHECK(refused(one));
    one = ready("a");
    one.fresh_as_of.reset();
    CHECK(refused(one));
    for (const char* const phase : {"connecting", "bulk", "catch_up", "gap", "waiting", "down", "disabled"}) {
        one = ready("a");
        one.phase = phase;
        CHECK(refused(one));
    }
    CHECK(refused(ready("not a")));
    one = ready("a");
    one.phase = "polling";
    CHECK_FALSE(refused(one));
}

TEST_CASE("verify: one that came to nothing is tried again sooner, and not in a hurry") {
    VerifySchedule schedule("us");
    schedule.want(std::vector{server("a", 24h), server("b", 2s), server("c", 4min)});
    for (const char* const name : {"a", "b", "c"})
        schedule.on_done(name, false, 0ms, start.steady);
    const std::vector servers{ready("a"), ready("b"), ready("c")};
    CHECK(taken(schedule, servers, at(1999ms)).empty());
    CHECK(taken(schedule, servers, at(2s)) == "b");
    schedule.want(std::vector{server("a", 24h), server("c", 4min)});
    CHECK(schedule.next_look(start.steady) == at(1min).steady);
    CHECK(taken(schedule, servers, at(1min)) == "c");
    schedule.want(std::vector{server("a", 24h)});
    CHECK(schedule.next_look(start.steady) == at(3h).steady);
}

TEST_CASE("verify: it rests for as long as the last one took, and who waited longest is next") {
    VerifySchedule schedule("us");
    schedule.want(std::vector{server("a", 1min), server("b", 1min)});
    const std::vector servers{ready("a"), ready("b")};
    CHECK(taken(schedule, servers, start) == "a");
    schedule.on_done("a", true, 5min, at(5min).steady);
    CHECK(schedule.next_look(at(5min).steady) == at(10min).steady);
    CHECK(taken(schedule, servers, at(10min)) == "b");
}

TEST_CASE("verify: what is configured anew keeps its turn as long as it is as it was") {
    VerifySchedule schedule("us");
    schedule.want(std::vector{server("a", 1h), server("b", 1h)});
    const std::vector servers{ready("a"), ready("b")};
    CHECK(taken(schedule, servers, start) == "a");
    schedule.on_done("a", true, 0ms, start.steady);
    schedule.want(std::vector{server("a", 1h)});
    CHECK(schedule.wants(server("a", 1h)));
    CHECK_FALSE(schedule.wants(server("a", 2h)));
    CHECK(schedule.next_look(start.steady) == at(1h).steady);
    schedule.want(std::vector{server("a", 2h)});
    CHECK(schedule.next_look(start.steady) == start.steady);
    schedule.put_off("a", start.steady);
    CHECK(schedule.next_look(start.steady) == at(VerifySchedule::look_again).steady);
}
