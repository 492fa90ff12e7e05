#include "proto/udp/backoff.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace leasemirror {
namespace {

constexpr int seeds = 2000;

std::vector<double> waits(Family family, std::uint64_t seed, std::uint32_t transmissions = 5) {
    UdpRandom random(seed);
    UdpBackoff backoff(family, transmissions);
    std::vector<double> out;
    while (const auto wait = backoff.transmit(random))
        out.push_back(std::chrono::duration<double>(*wait).count());
    return out;
}

struct Range {
    double least = 1e9, most = -1e9;
    void take(double value) {
        least = std::min(least, value);
        most = std::max(most, value);
    }
};

}  // namespace

TEST_CASE("v6: RT of RFC 8415 section 15 with LQ_TIMEOUT, LQ_MAX_RT and LQ_MAX_RC, jitter both ways") {
    Range first, second, doubled, capped;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        const auto rt = waits(Family::v6, seed);
        REQUIRE(rt.size() == 5);
        first.take(rt[0]);
        second.take(rt[1]);
        for (const auto i : {1U, 2U, 3U})
            doubled.take(rt[i] / rt[i - 1]);
        capped.take(rt[4]);
        REQUIRE(std::all_of(rt.begin(), rt.end(), [](double wait) { return wait <= 11.0; }));
    }
    // IRT + RAND*IRT with RAND in [-0.1, 0.1], and both ends of it come near.
    CHECK(first.least >= 0.9);
    CHECK(first.least < 0.905);
    CHECK(first.most <= 1.1);
    CHECK(first.most > 1.095);
    // 2*RTprev + RAND*RTprev: not 2*(RTprev + RAND*RTprev).
    CHECK(doubled.least >= 1.9);
    CHECK(doubled.least < 1.905);
    CHECK(doubled.most <= 2.1);
    CHECK(doubled.most > 2.095);
    CHECK(second.least < 1.75);  // 0.9 * 1.9 = 1.71: the jitter adds up
    CHECK(second.most > 2.25);
    // The fifth would be about 16 s: MRT + RAND*MRT instead.
    CHECK(capped.least >= 9.0);
    CHECK(capped.least < 9.05);
    CHECK(capped.most <= 11.0);
    CHECK(capped.most > 10.95);
}

TEST_CASE("v4: 4, 8, 16, 32 and 64 seconds, each a second more or less, and then always 64") {
    const std::vector<double> nominal = {4, 8, 16, 32, 64, 64, 64};
    std::vector<Range> ranges(nominal.size());
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        const auto rt = waits(Family::v4, seed, 7);
        REQUIRE(rt.size() == nominal.size());
        for (std::size_t i = 0; i < rt.size(); ++i)
            ranges[i].take(rt[i] - nominal[i]);
    }
    for (const auto& range : ranges) {
        CHECK(range.least >= -1.0);
        CHECK(range.least < -0.99);
        CHECK(range.most <= 1.0);
        CHECK(range.most > 0.99);
    }
}

TEST_CASE("the maximum counts transmissions, and at least one is made") {
    CHECK(waits(Family::v6, 1, 1).size() == 1);
    CHECK(waits(Family::v6, 1, 0).size() == 1);
    CHECK(waits(Family::v4, 1, 3).size() == 3);
}

TEST_CASE("another seed, another sequence; the same seed, the same") {
    CHECK(waits(Family::v6, 7) == waits(Family::v6, 7));
    CHECK(waits(Family::v6, 7) != waits(Family::v6, 8));
    CHECK(waits(Family::v4, 7) != waits(Family::v4, 8));
}

}  // namespace leasemirror
