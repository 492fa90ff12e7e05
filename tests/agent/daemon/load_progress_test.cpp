// What is said of full reads that are under way, on virtual time.
#include "agent/daemon/load_progress.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr SteadyTime start{1000s};
using Lines = std::vector<std::string>;

LoadProgress::Read read(const std::string& server, std::uint64_t run, std::uint64_t bindings, std::size_t queries = 1,
                        std::size_t over = 0) {
    return {server, {run, bindings, queries, over, std::nullopt}};
}

}  // namespace

TEST_CASE("loading: so far and the rate; what is over within a second is never shown") {
    LoadProgress progress;
    progress.look({read("east", 1, 0)}, start);
    CHECK(progress.lines(80).empty());
    progress.look({read("east", 1, 24000)}, start + 2s);
    CHECK(progress.lines(80) == Lines{"east  24000 bindings, 12000 per second"});
    progress.look({}, start + 3s);
    CHECK(progress.lines(80).empty());
}

TEST_CASE("loading: what the read before had is what is expected, and gives the time left") {
    LoadProgress progress;
    const auto expecting = [](std::uint64_t run, std::uint64_t bindings) {
        auto out = read("east", run, bindings);
        out.progress.expected = 50000;
        return std::vector{out};
    };
    progress.look(expecting(1, 0), start);
    progress.look(expecting(1, 20000), start + 2s);
    CHECK(progress.lines(80) == Lines{"east  20000 of about 50000 bindings, 10000 per second, 4 s left"});
    progress.look(expecting(1, 60000), start + 6s);
    CHECK(progress.lines(80) == Lines{"east  60000 of about 50000 bindings, 10000 per second"});
    progress.look(expecting(2, 0), start + 7s);
    CHECK(progress.lines(80).empty());
}

TEST_CASE("loading: the rate is that of what was listed since it was seen first") {
    LoadProgress progress;
    progress.look({read("east", 1, 5000)}, start);
    progress.look({read("east", 1, 9000)}, start + 2s);
    CHECK(progress.lines(80) == Lines{"east  9000 bindings, 2000 per second"});
    progress.look({read("east", 1, 100)}, start + 3s);  // a query has begun again
    CHECK(progress.lines(80) == Lines{"east  100 bindings, 0 per second"});
}

TEST_CASE("loading: of several queries it is said how many are over") {
    LoadProgress progress;
    progress.look({read("east", 1, 0, 4)}, start);
    progress.look({read("east", 1, 500, 4, 2)}, start + 1s);
    CHECK(progress.lines(80) == Lines{"east  2 of 4 queries, 500 bindings, 500 per second"});
}

TEST_CASE("loading: a terminal has one line for each of a few servers, none longer than it is wide") {
    LoadProgress progress;
    std::vector<LoadProgress::Read> reads;
    for (char c = 'a'; c < 'a' + 10; ++c)
        reads.push_back(read(std::string(1, c), 1, 0));
    progress.look(reads, start);
    progress.look(reads, start + 1s);
    const auto lines = progress.lines(10);
    REQUIRE(lines.size() == LoadProgress::lines_max + 1);
    CHECK(lines.front() == "a  0 bindi");
    CHECK(lines.back() == "and 2 more");
}

TEST_CASE("loading: without a terminal each server has a line a minute") {
    LoadProgress progress;
    progress.look({read("east", 1, 0)}, start);
    CHECK(progress.due(start + 59s).empty());
    progress.look({read("east", 1, 6000), read("west", 1, 0)}, start + 60s);
    const auto due = progress.due(start + 60s);
    REQUIRE(due.size() == 1);
    CHECK(due[0].server == "east");
    CHECK(due[0].progress.bindings == 6000);
    CHECK(due[0].per_second == 100);
    CHECK(progress.due(start + 60s).empty());
    CHECK(progress.due(start + 120s).size() == 2);
}
