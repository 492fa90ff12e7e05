// Each rule of the comparison by itself. In all of them the first look is from second 100 to 110, and the second one from
// 130 on.
#include "agent/verify/comparison.hpp"
#include "tests/agent/verify/rows.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

using namespace leasemirror;
using namespace leasemirror::testing;
using Found = std::vector<std::string>;

namespace {

constexpr const char* address = "10.0.0.1";
const auto now = utc(111);

Reading reading(std::int64_t from, std::int64_t to) {
    Reading out;
    out.began = at(from);
    out.ended = utc(to);
    out.absence.everything = true;
    out.whole = true;
    return out;
}
MirrorMark live(std::int64_t right_up_to) {
    return {utc(right_up_to), true};
}
MirrorMark still(std::int64_t right_up_to) {
    return {utc(right_up_to), false};
}

/// A comparison of one binding, step by step; what the mirror has stays as it is unless a test says otherwise.
struct One {
    explicit One(MirrorMark begin = live(100)) : mark(begin), comparison(begin) {}

    void first(const std::optional<BindingRow>& told, const std::optional<BindingRow>& row) {
        mirror = row;
        if (told) comparison.on_listed(*told, UtcSeconds{std::chrono::seconds{told->age.base_time}}, pointer(row), now);
        comparison.end_listing(first_reading);
        if (row) comparison.on_row(*row, now);
    }
    void look_again(const MirrorMark& m) { comparison.look_again(rows(), m, now); }
    void second(const std::optional<BindingRow>& told) {
        if (told) comparison.on_listed_again(*told);
        comparison.conclude(rows(), second_reading, now);
    }
    /// All of it, where neither side changes.
    Found found(std::optional<BindingRow> told, const std::optional<BindingRow>& row) {
        first(told, row);
        look_again(live(120));
        if (comparison.waits()) return {"waits"};
        if (told) told->age.base_time += 30;
        second(told);
        return differences();
    }
    [[nodiscard]] Found differences() const {
        Found out;
        for (const auto& difference : comparison.result().differences) {
            std::string text(to_string(difference.kind));
            for (const auto& column : difference.columns)
                text += " " + std::string(column.column);
            out.push_back(text);
        }
        return out;
    }
    [[nodiscard]] std::vector<BindingRow> rows() const {
        return mirror ? std::vector{*mirror} : std::vector<BindingRow>{};
    }
    static const BindingRow* pointer(const std::optional<BindingRow>& row) { return row ? &*row : nullptr; }

    MirrorMark mark;
    std::optional<BindingRow> mirror;
    Reading first_reading = reading(100, 110);
    Reading second_reading = reading(130, 140);
    Comparison comparison;
};

BindingRow named(BindingRow row, const char* hostname) {
    row.hostname = hostname;
    return row;
}
BindingRow until(BindingRow row, std::int64_t seconds) {
    row.expires_at = utc(seconds);
    return row;
}

}  // namespace

TEST_CASE("what is the same in both looks, and not alike, is a difference") {
    CHECK(One().found(row(address, 105), row(address, 50)) == Found{});
    CHECK(One().found(row(address, 105), named(row(address, 50), "other")) == Found{"changed hostname"});
    CHECK(One().found(row(address, 105), std::nullopt) == Found{"missing state hostname data_source client_id"});
    CHECK(One().found(row(address, 105), gone(address, 50)) == Found{"missing state hostname data_source client_id"});
    CHECK(One().found(std::nullopt, row(address, 50)) == Found{"extra state hostname data_source client_id"});
    CHECK(One().found(gone(address, 105), row(address, 50)) == Found{"extra state hostname data_source client_id"});
}

TEST_CASE("what is in force on neither side is not compared") {
    CHECK(One().found(gone(address, 105), std::nullopt) == Found{});
    CHECK(One().found(gone(address, 105), gone(address, 50, EndReason::expired)) == Found{});
    CHECK(One().found(std::nullopt, gone(address, 50)) == Found{});
}

TEST_CASE("a lease whose time is up, or nearly, is missing on neither side") {
    CHECK(One().found(until(row(address, 105), 116), std::nullopt) == Found{});
    CHECK(One().found(until(row(address, 105), 117), std::nullopt).size() == 1);
    CHECK(One().found(std::nullopt, until(row(address, 50), 116)) == Found{});
    CHECK(One().found(gone(address, 105), until(row(address, 50), 116)) == Found{});
    CHECK(One().found(std::nullopt, until(row(address, 50), 117)).size() == 1);
}

TEST_CASE("what the mirror was told later than the server said it is not compared with that") {
    CHECK(One().found(row(address, 105), named(row(address, 106), "newer")) == Found{});
    CHECK(One().found(row(address, 105), gone(address, 106)) == Found{});
    // Within one second nobody knows; the second look does.
    CHECK(One().found(row(address, 105), named(row(address, 105), "other")) == Found{"changed hostname"});
    One newer;
    newer.first(row(address, 105), named(row(address, 106), "newer"));
    CHECK(newer.comparison.candidates() == 0);  // at once
    // Told after the server had begun to list.
    CHECK(One().found(std::nullopt, row(address, 101)) == Found{});
    CHECK(One().found(std::nullopt, row(address, 100)).size() == 1);
}

TEST_CASE(
    "nothing is judged before the mirror has gone past what the server said, by more than messages are out of order") {
    One one;
    one.first(row(address, 105), named(row(address, 50), "other"));
    one.look_again(live(110));
    CHECK(one.comparison.waits());
    one.look_again(live(111));
    CHECK_FALSE(one.comparison.waits());

    One extra;  // absence is as of when the server ended
    extra.first(std::nullopt, row(address, 50));
    extra.look_again(live(115));
    CHECK(extra.comparison.waits());
    extra.look_again(live(116));
    CHECK_FALSE(extra.comparison.waits());

    One unread(MirrorMark{std::nullopt, true});
    unread.first(row(address, 105), std::nullopt);
    unread.look_again({std::nullopt, true});
    CHECK(unread.comparison.waits());
}

TEST_CASE("what the mirror has caught up with is done with") {
    One one;
    one.first(row(address, 105), named(row(address, 50), "before"));
    CHECK(one.comparison.candidates() == 1);
    one.mirror = row(address, 104);
    one.look_again(live(105));
    CHECK(one.comparison.candidates() == 0);
    CHECK(one.comparison.result().changed == 0);

    One ended;
    ended.first(std::nullopt, row(address, 50));
    ended.mirror = gone(address, 107);
    ended.look_again(live(107));
    CHECK(ended.comparison.candidates() == 0);

    One later;  // something else came after it
    later.first(row(address, 105), named(row(address, 50), "before"));
    later.mirror = named(row(address, 107), "after");
    later.look_again(live(107));
    CHECK(later.comparison.candidates() == 0);
    CHECK(later.comparison.result().changed == 1);
}

TEST_CASE("a row that was written again, and still is older than what the server said, stays a candidate") {
    One one;
    one.first(row(address, 105), named(row(address, 50), "first"));
    one.mirror = named(row(address, 60), "second");
    one.look_again(live(120));
    CHECK(one.comparison.candidates() == 1);
    one.second(row(address, 135));
    CHECK(one.differences() == Found{"changed hostname"});
}

TEST_CASE("what changes between the two looks is no difference, on whichever side") {
    const auto begun = [] {
        One one;
        one.first(row(address, 105), named(row(address, 50), "other"));
        one.look_again(live(120));
        return one;
    };
    auto server = begun();
    server.second(named(row(address, 135), "new"));
    CHECK(server.differences() == Found{});
    CHECK(server.comparison.result().changed == 1);

    auto away = begun();
    away.second(std::nullopt);
    CHECK(away.differences() == Found{});

    auto mirror = begun();
    mirror.mirror->updated_at = utc(125);
    mirror.second(row(address, 135));
    CHECK(mirror.differences() == Found{});

    auto removed = begun();
    removed.mirror.reset();
    removed.second(row(address, 135));
    CHECK(removed.differences() == Found{});

    One extra;
    extra.first(std::nullopt, row(address, 50));
    extra.look_again(live(120));
    extra.second(row(address, 135));
    CHECK(extra.differences() == Found{});
}

TEST_CASE("what is in doubt says so itself and is counted apart") {
    One one;
    one.first(row(address, 105), named(row(address, 50), "other"));
    one.mirror->doubt = Doubt::unreadable;
    one.look_again(live(120));
    CHECK(one.comparison.candidates() == 0);
    CHECK(one.comparison.result().in_doubt == 1);
    One alike;
    alike.first(row(address, 105), row(address, 50));
    CHECK(alike.comparison.result().in_doubt == 0);
}

TEST_CASE("only what the queries prove is extra") {
    One one;
    one.first_reading.absence.everything = false;
    one.first(std::nullopt, row(address, 50));
    CHECK(one.comparison.candidates() == 0);

    One second;
    second.first(std::nullopt, row(address, 50));
    second.look_again(live(120));
    second.second_reading.absence.everything = false;
    second.second_reading.whole = false;
    second.second(std::nullopt);
    CHECK(second.differences() == Found{});
    CHECK(second.comparison.result().unconfirmed == 1);
}

TEST_CASE("what the second look did not come to is not confirmed") {
    One one;
    one.first(row(address, 105), std::nullopt);
    one.look_again(live(120));
    one.second_reading.whole = false;
    one.second(std::nullopt);
    CHECK(one.differences() == Found{});
    CHECK(one.comparison.result().unconfirmed == 1);
}

TEST_CASE("a mirror that stays behind is compared with what the server dates to before that") {
    auto told = row(address, 105);
    told.client_last_seen = utc(40);
    const auto result = [&](const MirrorMark& mark) {
        One one(mark);
        one.first(told, std::nullopt);
        one.look_again(mark);
        one.comparison.stop_waiting();
        one.second(told);
        return std::to_string(one.comparison.result().differences.size()) + " of " +
               std::to_string(one.comparison.result().pending + one.comparison.result().differences.size());
    };
    CHECK(result(still(46)) == "1 of 1");
    CHECK(result(still(45)) == "0 of 1");  // it may have come after the last poll
    told.state_since = utc(41);            // the later of the two counts
    CHECK(result(still(46)) == "0 of 1");
    CHECK(result(still(47)) == "1 of 1");
    told.client_last_seen.reset();
    told.state_since.reset();  // cannot be dated
    CHECK(result(still(99)) == "0 of 1");
    CHECK(result(still(111)) == "1 of 1");
}

TEST_CASE("what is gone from a server whose mirror stays behind may have ended since") {
    const auto result = [&](const MirrorMark& mark, std::int64_t told_at) {
        One one(mark);
        one.first(std::nullopt, row(address, told_at));
        one.look_again(mark);
        one.comparison.stop_waiting();
        one.second(std::nullopt);
        return std::to_string(one.comparison.result().differences.size()) + " of " +
               std::to_string(one.comparison.result().pending + one.comparison.result().differences.size());
    };
    CHECK(result(still(60), 10) == "0 of 1");
    CHECK(result(still(60), 60) == "0 of 1");
}

TEST_CASE("of several answers about one binding the latest counts") {
    One one;
    const auto mirror = row(address, 50);
    one.comparison.on_listed(named(row(address, 103), "old"), utc(103), &mirror, now);
    CHECK(one.comparison.candidates() == 1);
    one.comparison.on_listed(row(address, 105), utc(105), &mirror, now);
    CHECK(one.comparison.candidates() == 0);
    one.comparison.on_listed(named(row(address, 106), "new"), utc(106), &mirror, now);
    one.comparison.on_listed(row(address, 105), utc(105), &mirror, now);  // another query, and late
    CHECK(one.comparison.candidates() == 1);
    one.mirror = mirror;
    one.look_again(live(120));
    one.comparison.on_listed_again(named(row(address, 135), "new"));
    one.comparison.on_listed_again(row(address, 134));
    one.second(std::nullopt);
    CHECK(one.differences() == Found{"changed hostname"});
}

TEST_CASE("a row that was written after the server listed it is not taken for one that it did not list") {
    One one;
    one.comparison.on_listed(row(address, 105), utc(105), nullptr, now);
    one.comparison.end_listing(one.first_reading);
    one.comparison.on_row(row(address, 99), now);  // live, and late
    one.mirror = row(address, 99);
    one.look_again(live(120));
    CHECK(one.comparison.candidates() == 0);
}

TEST_CASE("of more than it can keep it says how many, and judges the others") {
    One one;
    for (std::uint32_t host = 1; host <= Comparison::candidates_max + 3; ++host) {
        auto told = row(address, 105);
        told.key.address = IpAddress::v4(0x0b000000 + host);
        one.comparison.on_listed(told, utc(105), nullptr, now);
    }
    CHECK(one.comparison.candidates() == Comparison::candidates_max);
    CHECK(one.comparison.result().left_out == 3);
    CHECK(one.comparison.addresses().size() == Comparison::candidates_max);
}
