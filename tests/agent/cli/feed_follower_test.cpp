#include "agent/cli/feed_follower.hpp"
#include "agent/query/record_text.hpp"
#include "storage/store_error.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <string>
#include <vector>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

/// A feed in memory, whose looks can be made to fail, and which grows while it is waited for.
class FakeReader final : public Reader {
public:
    struct Row {
        std::int64_t seq;
        std::string server;
    };

    std::vector<ServerOverview> servers() override { return {}; }
    std::vector<Record> leases_of(const Sought&) override { return {}; }
    std::vector<Record> leases_of(const HolderSought&) override { return {}; }
    std::vector<Record> holders_of(const Sought&, const TimeSpan&) override { return {}; }
    std::vector<Record> holders_of(const HolderSought&, const TimeSpan&) override { return {}; }

    FeedEnds feed_ends() override {
        fail_if_told();
        return {rows.empty() ? last + (last > 0) : rows.front().seq, last, removed_to};
    }
    FeedPart changes_after(std::int64_t seq, const std::optional<std::string>& server, std::size_t count) override {
        FeedPart out;
        out.ends = feed_ends();
        out.cursor = seq;
        for (const auto& row : rows) {
            if (row.seq <= seq || count == 0) continue;
            --count;
            out.cursor = row.seq;
            if (!server || *server == row.server) out.rows.push_back({{"seq", row.seq}, {"server", row.server}});
        }
        return out;
    }
    void wait_for_changes(std::chrono::milliseconds) override {
        ++waits;
        fail_if_told();
        if (on_wait.empty()) return;
        on_wait.front()();
        on_wait.pop_front();
    }

    void remove(std::int64_t up_to) {
        while (!rows.empty() && rows.front().seq <= up_to)
            rows.pop_front();
        removed_to = up_to;
    }
    void grow(const std::string& server = "east") { rows.push_back({++last, server}); }
    void fail_if_told() {
        if (failures.empty()) return;
        const auto e = failures.front();
        failures.pop_front();
        if (e) throw *e;
    }

    std::deque<Row> rows;
    std::int64_t last = 0;
    std::int64_t removed_to = 0;
    std::deque<std::function<void()>> on_wait;
    std::deque<std::optional<StoreError>> failures;  // one for each look, wait or question for the ends
    int waits = 0;
};

/// What a follower gives and says, until it has nothing left to wait for.
struct Followed {
    std::vector<std::int64_t> seqs;
    std::vector<std::string> said, lost;
    std::vector<std::chrono::milliseconds> pauses;
    int flushes_left = 1'000'000;
    std::function<void()> on_flush;

    void follow(FakeReader& reader, const FeedRequest& request) {
        FeedHooks hooks;
        hooks.row = [&](const Record& row) { seqs.push_back(number_of(row, "seq")); };
        hooks.lost = [&](std::int64_t first, std::int64_t to) {
            lost.push_back(std::to_string(first) + " to " + std::to_string(to));
        };
        hooks.flush = [&] {
            if (on_flush) on_flush();
            return --flushes_left > 0;
        };
        hooks.say = [&](const std::string& text) { said.push_back(text); };
        hooks.stopping = [&] { return reader.waits > 0 && reader.on_wait.empty(); };
        hooks.pause = [&](std::chrono::milliseconds time) { pauses.push_back(time); };
        follow_feed(reader, request, hooks);
    }
};

using Seqs = std::vector<std::int64_t>;
using Lines = std::vector<std::string>;

const StoreError away(StoreFault::unavailable, "cannot connect");

void no_change() {}

}  // namespace

TEST_CASE("without a seq the feed is followed from its end on") {
    FakeReader reader;
    for (int i = 0; i < 3; ++i)
        reader.grow();
    reader.on_wait = {[&] { reader.grow(); }, [&] { reader.grow(), reader.grow(); }, no_change};
    Followed followed;
    followed.follow(reader, {});
    CHECK(followed.seqs == Seqs{4, 5, 6});
    CHECK(followed.said.empty());
}

TEST_CASE("a seq to go on after gives all that came after it, once, in however many looks") {
    FakeReader reader;
    for (int i = 0; i < 2500; ++i)
        reader.grow();
    reader.on_wait = {[&] { reader.grow(); }, no_change};
    Followed followed;
    followed.follow(reader, {std::nullopt, 10, std::nullopt});
    REQUIRE(followed.seqs.size() == 2491);
    for (std::size_t i = 0; i < followed.seqs.size(); ++i)
        CHECK(followed.seqs[i] == static_cast<std::int64_t>(i) + 11);
    CHECK(reader.waits == 2);  // looks that bring something are followed by the next at once
}

TEST_CASE("the rows of one server are given, and those of others passed over") {
    FakeReader reader;
    for (int i = 0; i < 1500; ++i)
        reader.grow("east");
    reader.grow("west");
    reader.on_wait = {[&] { reader.grow("east"), reader.grow("west"); }, no_change};
    Followed followed;
    followed.follow(reader, {"west", 0, std::nullopt});
    CHECK(followed.seqs == Seqs{1501, 1503});
}

TEST_CASE("a limit ends it after so many rows") {
    FakeReader reader;
    for (int i = 0; i < 10; ++i)
        reader.grow();
    Followed followed;
    followed.follow(reader, {std::nullopt, 0, 3});
    CHECK(followed.seqs == Seqs{1, 2, 3});
    CHECK(reader.waits == 0);
}

TEST_CASE("it ends when nobody reads what is written") {
    FakeReader reader;
    reader.grow();
    Followed followed;
    followed.flushes_left = 1;
    followed.follow(reader, {std::nullopt, 0, std::nullopt});
    CHECK(followed.seqs == Seqs{1});
}

TEST_CASE("while the database is away it tries again, ever more slowly, and then goes on where it was") {
    FakeReader reader;
    reader.grow();
    reader.on_wait = {[&] {
                          reader.grow();
                          reader.failures = {away, away, away, away, away, away, std::nullopt};
                      },
                      [&] { reader.grow(); }, no_change};
    Followed followed;
    followed.follow(reader, {std::nullopt, 0, std::nullopt});
    CHECK(followed.seqs == Seqs{1, 2, 3});
    CHECK(followed.said == Lines{"cannot connect; watch goes on when it is back", "the database is back"});
    CHECK(followed.pauses == std::vector<std::chrono::milliseconds>{1s, 2s, 4s, 8s, 10s, 10s});
}

TEST_CASE("a connection that is lost while waiting loses no row") {
    FakeReader reader;
    reader.grow();
    // The ends, a look; then the wait fails, and the rows that came meanwhile are there after it.
    reader.failures = {std::nullopt, away};
    reader.on_wait = {[&] { reader.grow(); }, no_change};
    Followed followed;
    followed.follow(reader, {std::nullopt, 0, std::nullopt});
    CHECK(followed.seqs == Seqs{1, 2});
    CHECK(followed.said.size() == 2);
}

TEST_CASE("a database that cannot be read at first is an error at once") {
    FakeReader reader;
    reader.failures = {away};
    Followed followed;
    CHECK_THROWS_AS(followed.follow(reader, {}), StoreError);
    reader.failures = {away};
    CHECK_THROWS_AS(followed.follow(reader, {std::nullopt, 0, std::nullopt}), StoreError);
    CHECK(followed.pauses.empty());
}

TEST_CASE("what no waiting heals ends it") {
    FakeReader reader;
    reader.grow();
    reader.on_wait = {[&] { reader.failures = {StoreError(StoreFault::unusable, "newer schema")}; }, no_change};
    Followed followed;
    CHECK_THROWS_AS(followed.follow(reader, {std::nullopt, 0, std::nullopt}), StoreError);
}

TEST_CASE(
    "rows that retention has removed end it, with what to do; or it says which, once, and goes on if it was told so") {
    FakeReader reader;
    for (int i = 0; i < 10; ++i)
        reader.grow();
    reader.remove(6);
    Followed followed;
    CHECK_THROWS_WITH_AS(
        followed.follow(reader, {std::nullopt, 4, std::nullopt}),
        "rows from seq 5 to 6 have been removed (storage.retention.changes): read the tables anew, and then go on with "
        "--since 10; or go on without them, with --skip-lost",
        StoreError);
    CHECK(followed.seqs.empty());
    followed.follow(reader, {std::nullopt, 4, std::nullopt, true});
    CHECK(followed.seqs == Seqs{7, 8, 9, 10});
    CHECK(followed.lost == Lines{"5 to 6"});
    // All of it, and nothing new: that is said as well.
    reader.remove(10);
    reader.waits = 0;
    reader.on_wait = {no_change, no_change};
    Followed again;
    again.follow(reader, {std::nullopt, 4, std::nullopt, true});
    CHECK(again.lost == Lines{"5 to 10"});
}

TEST_CASE("rows that retention removes before a slow reader has had them are lost too") {
    FakeReader reader;
    for (int i = 0; i < 2500; ++i)
        reader.grow();
    Followed followed;
    followed.on_flush = [&] { reader.remove(1500); };
    followed.follow(reader, {std::nullopt, 0, std::nullopt, true});
    CHECK(followed.seqs.size() == 2000);
    CHECK(followed.lost == Lines{"1001 to 1500"});
}

TEST_CASE("numbers that were never given out are no loss") {
    FakeReader reader;
    reader.last = 6;
    reader.grow();
    Followed followed;
    followed.follow(reader, {std::nullopt, 4, std::nullopt});
    CHECK(followed.seqs == Seqs{7});
}

TEST_CASE("a seq that stands right before the first row misses nothing") {
    FakeReader reader;
    for (int i = 0; i < 10; ++i)
        reader.grow();
    reader.remove(6);
    Followed followed;
    followed.follow(reader, {std::nullopt, 6, std::nullopt});
    CHECK(followed.seqs == Seqs{7, 8, 9, 10});
    CHECK(followed.said.empty());
}

TEST_CASE("a feed that ends before the seq is another one, or has lost what it had: that is an error") {
    FakeReader reader;
    for (int i = 0; i < 3; ++i)
        reader.grow();
    Followed followed;
    CHECK_THROWS_WITH_AS(followed.follow(reader, {std::nullopt, 4, std::nullopt}),
                         doctest::Contains("ends with seq 3, and not with 4 or later"), StoreError);
    // The same while it is followed: the database behind it was restored from a backup.
    reader.on_wait = {[&] { reader.rows.pop_back(), reader.last = 2; }, no_change};
    CHECK_THROWS_AS(followed.follow(reader, {std::nullopt, 3, std::nullopt}), StoreError);
}
