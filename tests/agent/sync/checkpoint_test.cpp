#include "agent/sync/checkpoint.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

ServerTime at(std::int64_t seconds) {
    return server_time_from_unix(seconds);
}

}  // namespace

TEST_CASE("a new server has nothing to resume from") {
    const Checkpoint checkpoint;
    CHECK_FALSE(checkpoint.reached());
    CHECK_FALSE(checkpoint.committed());
    CHECK_FALSE(checkpoint.highest_heard());
    CHECK_FALSE(checkpoint.is_resumable());
}

TEST_CASE("what was stored is in the database, and nothing earlier can honestly be told") {
    const Checkpoint checkpoint(at(100));
    CHECK(checkpoint.reached() == at(100));
    CHECK(checkpoint.committed() == at(100));
    CHECK(checkpoint.highest_heard() == at(100));
    CHECK(checkpoint.is_resumable());
}

TEST_CASE("what has been told moves with the stream, back too, and does not count as committed") {
    Checkpoint checkpoint(at(100));
    CHECK(checkpoint.advance(at(110), 0s) == 0s);
    CHECK(checkpoint.reached() == at(110));
    CHECK(checkpoint.advance(at(105), 0s) == 5s);
    CHECK(checkpoint.reached() == at(105));
    CHECK(checkpoint.committed() == at(100));
}

TEST_CASE("the first that is told is a beginning, and an active query may start there once it is committed") {
    Checkpoint checkpoint;
    (void)checkpoint.advance(at(100), 0s);
    CHECK(checkpoint.reached() == at(100));
    CHECK_FALSE(checkpoint.is_resumable());
    checkpoint.on_committed(1, at(100));
    CHECK(checkpoint.is_resumable());
    CHECK(checkpoint.committed() == at(100));
}

TEST_CASE("a batch without a base-time moves nothing") {
    Checkpoint checkpoint(at(100));
    checkpoint.on_committed(1, std::nullopt);
    CHECK(checkpoint.committed() == at(100));
}

TEST_CASE("a full bulk begins where it began, also before what had been reached") {
    Checkpoint checkpoint(at(100));
    checkpoint.begin_at(at(90));
    CHECK(checkpoint.reached() == at(90));
}

TEST_CASE("a commit is no base-time to resume from while nothing has been reached") {
    auto checkpoint = Checkpoint::afresh(1);
    checkpoint.on_committed(1, at(100));
    CHECK(checkpoint.committed() == at(100));
    CHECK_FALSE(checkpoint.is_resumable());
}

TEST_CASE("the highest base-time heard stays, whatever is heard later") {
    Checkpoint checkpoint;
    CHECK(checkpoint.on_heard(at(100)));
    CHECK(checkpoint.highest_heard() == at(100));
    CHECK(checkpoint.on_heard(at(120)));
    CHECK(checkpoint.on_heard(at(110)));
    CHECK(checkpoint.highest_heard() == at(120));
    CHECK_FALSE(checkpoint.reached());  // heard is not yet told in full
}

// ---- a fresh start ------------------------------------------------------------------------------------------------

TEST_CASE("after a fresh start nothing is known") {
    const auto checkpoint = Checkpoint::afresh(7);
    CHECK_FALSE(checkpoint.reached());
    CHECK_FALSE(checkpoint.committed());
    CHECK_FALSE(checkpoint.highest_heard());
}

TEST_CASE("a commit from before a fresh start says nothing, one from after it does") {
    auto checkpoint = Checkpoint::afresh(7);
    checkpoint.on_committed(5, at(100));
    checkpoint.on_committed(6, at(200));
    CHECK_FALSE(checkpoint.committed());
    checkpoint.on_committed(7, at(50));
    CHECK(checkpoint.committed() == at(50));
    checkpoint.on_committed(8, at(60));
    CHECK(checkpoint.committed() == at(60));
}

// ---- guesses ------------------------------------------------------------------------------------------------------

TEST_CASE("a guess lies as far before the server's clock as a server may be late with a change") {
    Checkpoint checkpoint;
    checkpoint.guess(at(100));
    CHECK(checkpoint.reached() == at(90));
}

TEST_CASE("a guess that is ahead of the first base-time heard is disproved, and that base-time is not kept") {
    Checkpoint checkpoint;
    checkpoint.guess(at(100));
    CHECK_FALSE(checkpoint.on_heard(at(89)));
    CHECK_FALSE(checkpoint.highest_heard());
}

TEST_CASE("a guess that is not ahead of the first base-time heard stands, and is no guess any more") {
    Checkpoint checkpoint;
    checkpoint.guess(at(100));
    CHECK(checkpoint.on_heard(at(90)));
    CHECK(checkpoint.on_heard(at(80)));  // disorder, or a clock set back: that is for ClockSkew to tell
    CHECK(checkpoint.highest_heard() == at(90));
}

TEST_CASE("a guess is disproved once: the next message is heard like any other") {
    Checkpoint checkpoint;
    checkpoint.guess(at(100));
    CHECK_FALSE(checkpoint.on_heard(at(80)));
    CHECK(checkpoint.on_heard(at(80)));
}

TEST_CASE("a base-time that the server told replaces a guess") {
    Checkpoint checkpoint;
    checkpoint.guess(at(100));
    checkpoint.begin_at(at(95));
    CHECK(checkpoint.on_heard(at(94)));
}

TEST_CASE("a message may be earlier than what was told by the server itself") {
    Checkpoint checkpoint(at(100));
    CHECK(checkpoint.on_heard(at(50)));
    CHECK(checkpoint.highest_heard() == at(100));
}

TEST_CASE("what a server may tell late is asked for again: the resume point keeps that distance") {
    Checkpoint checkpoint;
    checkpoint.begin_at(at(90));
    CHECK(checkpoint.advance(at(100), 2s) == 0s);
    CHECK(checkpoint.reached() == at(98));
    CHECK(checkpoint.advance(at(99), 2s) == 1s);
    CHECK(checkpoint.reached() == at(98));
    CHECK(checkpoint.advance(at(95), 2s) == 5s);
    CHECK(checkpoint.reached() == at(95));
    CHECK(checkpoint.advance(at(103), 2s) == 0s);
    CHECK(checkpoint.reached() == at(101));
}
