#include "agent/sync/repeated_error.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

Now after(std::chrono::milliseconds span) {
    return {SteadyTime{1h} + span, UtcMillis{std::chrono::milliseconds{1'790'000'000'000}} + span};
}

/// How often it had come when it was said; 0: it was left out.
std::uint64_t times(RepeatedError& errors, const std::string& text, std::chrono::milliseconds at) {
    const auto said = errors.on_error(text, after(at));
    return said ? said->times : 0;
}

}  // namespace

TEST_CASE("an error that comes each minute is said at once, after a minute, ten and sixty, and then each hour") {
    RepeatedError errors;
    std::vector<std::pair<int, std::uint64_t>> said;
    for (int minute = 0; minute <= 300; ++minute)
        if (const auto n = times(errors, "refused", std::chrono::minutes{minute}); n > 0) said.emplace_back(minute, n);
    CHECK(said == std::vector<std::pair<int, std::uint64_t>>{
                      {0, 1}, {1, 2}, {10, 11}, {60, 61}, {120, 121}, {180, 181}, {240, 241}, {300, 301}});
}

TEST_CASE("an error that comes seldom is said each time") {
    RepeatedError errors;
    CHECK(times(errors, "refused", 0ms) == 1);
    CHECK(times(errors, "refused", 15min) == 2);
    CHECK(times(errors, "refused", 90min) == 3);
    CHECK(times(errors, "refused", 10h) == 4);
    CHECK(errors.on_error("refused", after(12h))->since == after(0ms).utc);
}

TEST_CASE("errors that take turns are counted apart, and those beyond the bound push out who was silent longest") {
    RepeatedError errors;
    for (int i = 0; i < 8; ++i)
        CHECK(times(errors, "e" + std::to_string(i), std::chrono::seconds{i}) == 1);
    for (int i = 0; i < 8; ++i)
        CHECK(times(errors, "e" + std::to_string(i), std::chrono::seconds{8 + i}) == 0);
    CHECK(times(errors, "one more", 20s) == 1);
    CHECK(times(errors, "e0", 21s) == 1);
    CHECK(times(errors, "e7", 22s) == 0);
}

TEST_CASE("when it is over, what came more than once is told with how often, and all begins anew") {
    RepeatedError errors;
    CHECK(errors.on_over(after(0ms).steady).empty());
    CHECK(times(errors, "refused", 0ms) == 1);
    CHECK(errors.on_over(after(0ms).steady).empty());
    for (int i = 1; i <= 3; ++i)
        (void)errors.on_error("refused", after(std::chrono::seconds{i}));
    (void)errors.on_error("once", after(5s));
    const auto over = errors.on_over(after(9s).steady);
    REQUIRE(over.size() == 1);
    CHECK(over[0].text == "refused");
    CHECK(over[0].times == 3);
    CHECK(over[0].since == after(1s).utc);
    CHECK(over[0].for_so_long == 8s);
    CHECK(times(errors, "refused", 60s) == 1);
}

TEST_CASE("how long it lasted does not depend on a clock that was set meanwhile") {
    RepeatedError errors;
    for (int i = 0; i < 2; ++i)
        (void)errors.on_error("refused", {after(0ms).steady, after(2h).utc});
    const auto over = errors.on_over(after(5s).steady);
    REQUIRE(over.size() == 1);
    CHECK(over[0].for_so_long == 5s);
}
