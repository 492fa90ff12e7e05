#include "agent/sync/backpressure.hpp"

#include <doctest/doctest.h>

#include <deque>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

/// An outbox that is full with one row behind the batches at the database.
class World {
public:
    World() { (void)follow(); }

    std::optional<bool> follow() { return backpressure.follow(outbox, now, report); }
    void adds_row() { (void)outbox.add_change(now); }
    void closes() {
        outbox.close({});
        hands_over();
    }
    void hands_over() {
        while (auto batch = outbox.next())
            at_database_.push_back(std::move(*batch));
    }
    void fills() {
        for (std::size_t i = at_database_.size(); i < Outbox::batches_in_flight_max; ++i) {
            adds_row();
            closes();
        }
        adds_row();
        REQUIRE(outbox.full());
    }
    void commits() {
        auto done = std::move(at_database_.front());
        at_database_.pop_front();
        outbox.on_committed(std::move(done));
    }
    /// Full, and then not any more: what waited is at the database.
    void blocks_once() {
        fills();
        (void)follow();
        empties();
        (void)follow();
    }
    void empties() {
        closes();
        while (!at_database_.empty()) {
            commits();
            hands_over();
        }
    }

    /// The log lines since the last call: names and last fields.
    std::string lines() {
        std::string all;
        for (; !actions.empty(); actions.pop_front()) {
            const auto& event = std::get<LogEvent>(actions.front());
            all += (all.empty() ? "" : "; ") + event.name + " " + event.fields.back().second;
        }
        return all;
    }

    SyncActions actions;
    StatusReport report{"four", ResumePoint{}, actions};
    Outbox outbox{1, BatchConfig{.rows = 1}, 1};
    Backpressure backpressure;
    SteadyTime now{1h};

private:
    std::deque<Batch> at_database_;
};

}  // namespace

TEST_CASE("while the outbox has room we read, and nothing is said") {
    World w;
    CHECK_FALSE(w.follow());
    CHECK(w.backpressure.is_reading());
    CHECK(w.backpressure.reads_promptly(w.now));
    CHECK(w.lines().empty());
}

TEST_CASE("a full outbox stops the reading, room lets it go on; each is said once") {
    World w;
    w.fills();
    CHECK(w.follow() == false);
    CHECK_FALSE(w.backpressure.is_reading());
    CHECK_FALSE(w.follow());
    w.commits();
    CHECK(w.follow() == true);
    CHECK(w.backpressure.is_reading());
    CHECK_FALSE(w.follow());
}

TEST_CASE("the log says when reading first stopped and when nothing waits any more, not each stop between") {
    World w;
    w.fills();
    for (int i = 0; i < 20; ++i) {
        w.closes();
        w.adds_row();
    }
    (void)w.follow();
    CHECK(w.lines() == "reading-waits 0");
    for (int i = 0; i < 19; ++i) {
        w.commits();
        CHECK(w.follow() == true);
        w.hands_over();
        CHECK(w.follow() == false);
    }
    CHECK(w.lines().empty());
    w.now += 90s;
    w.empties();
    (void)w.follow();
    CHECK(w.lines() == "reading-goes-on 90");
    (void)w.follow();
    CHECK(w.lines().empty());
}

TEST_CASE("the stretch is not over while a batch waits behind those at the database") {
    World w;
    w.fills();
    w.closes();
    w.adds_row();
    (void)w.follow();
    CHECK(w.lines() == "reading-waits 0");
    w.commits();  // the closed one waits for somebody to give it to the writer
    CHECK(w.follow() == true);
    CHECK(w.lines().empty());
}

TEST_CASE("what the log says of the waiting: why, and how much is held") {
    World w;
    w.fills();
    (void)w.follow();
    REQUIRE(w.actions.size() == 1);
    const auto& event = std::get<LogEvent>(w.actions.front());
    CHECK(event.level == LogLevel::warn);
    CHECK(event.fields[1].first == "reason");
    CHECK(event.fields[2] == std::pair<std::string, std::string>{"held_bytes", std::to_string(w.outbox.held_bytes())});
}

TEST_CASE("a database that is slow again and again does not fill the log, and an end is said where its begin was") {
    World w;
    for (int i = 0; i < LogLimit::lines_per_minute; ++i) {
        w.blocks_once();
        CHECK(w.lines() == "reading-waits 0; reading-goes-on 0");
    }
    for (int i = 0; i < 3; ++i) {
        w.blocks_once();
        CHECK(w.lines().empty());
    }
    w.now += 1min;
    w.blocks_once();
    CHECK(w.lines() == "reading-waits 3; reading-goes-on 0");
}

TEST_CASE("what is read within 30 s after a stop may have waited for us") {
    World w;
    w.fills();
    (void)w.follow();
    CHECK_FALSE(w.backpressure.reads_promptly(w.now));
    w.now += 1h;
    w.empties();
    (void)w.follow();  // it was blocked up to this moment
    CHECK_FALSE(w.backpressure.reads_promptly(w.now));
    CHECK_FALSE(w.backpressure.reads_promptly(w.now + 30s - 1ms));
    CHECK(w.backpressure.reads_promptly(w.now + 30s));
}

TEST_CASE("each look at a full outbox begins the 30 s anew") {
    World w;
    w.fills();
    (void)w.follow();
    w.now += 29s;
    (void)w.follow();
    CHECK_FALSE(w.backpressure.reads_promptly(w.now + 29s));
}
