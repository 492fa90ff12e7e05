// The writer's thread over a store that does what the test tells it to. No test waits for time to pass, but those
// that watch the writer try again wait as long as its own pauses are.
#include "agent/writer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

/// What the store did and what the writer said about it; outlives both.
class Record {
public:
    /// Nothing takes this long unless it is broken.
    static constexpr auto patience = 60s;

    void script(std::vector<std::optional<StoreFault>> outcomes) { outcomes_.assign(outcomes.begin(), outcomes.end()); }
    /// From now on apply() does not return before let_go().
    void hold() {
        const std::lock_guard lock(mutex_);
        held_ = true;
    }
    void let_go() {
        const std::lock_guard lock(mutex_);
        held_ = false;
        changed_.notify_all();
    }

    std::optional<StoreFault> on_apply(const Batch& batch) {
        std::unique_lock lock(mutex_);
        attempts_.push_back(batch);
        changed_.notify_all();
        changed_.wait(lock, [this] { return !held_; });
        if (outcomes_.empty()) return always_;
        const auto next = outcomes_.front();
        outcomes_.pop_front();
        return next;
    }
    void on_event(Writer::Event event) {
        const std::lock_guard lock(mutex_);
        events_.push_back(std::move(event));
        changed_.notify_all();
    }

    void fails_always(StoreFault fault) { always_ = fault; }

    [[nodiscard]] bool wait_for_attempts(std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [&] { return attempts_.size() >= count; });
    }
    [[nodiscard]] bool wait_for_events(std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [&] { return events_.size() >= count; });
    }
    [[nodiscard]] std::vector<std::uint64_t> attempts() {
        const std::lock_guard lock(mutex_);
        std::vector<std::uint64_t> numbers;
        for (const auto& batch : attempts_)
            numbers.push_back(batch.number);
        return numbers;
    }
    [[nodiscard]] std::vector<Batch> batches() {
        const std::lock_guard lock(mutex_);
        return attempts_;
    }
    /// "committed 1 of 0", "trouble unavailable", "over", "lost fenced", "swept 5".
    [[nodiscard]] std::vector<std::string> said() {
        const std::lock_guard lock(mutex_);
        std::vector<std::string> words;
        for (const auto& event : events_)
            words.push_back(std::visit([](const auto& e) { return word_of(e); }, event));
        return words;
    }

private:
    static std::string word_of(const Writer::Committed& e) {
        return "committed " + std::to_string(e.batch.number) + " of " + std::to_string(e.server) + ", stored " +
               std::to_string(e.applied.stored);
    }
    static std::string word_of(const Writer::Swept& e) { return "swept to " + std::to_string(e.expired.cursor); }
    static std::string word_of(const Writer::Trouble& e) { return e.text.empty() ? "over" : "trouble: " + e.text; }
    static std::string word_of(const Writer::Lost& e) { return "lost: " + e.text; }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::optional<StoreFault>> outcomes_;
    std::optional<StoreFault> always_;
    std::vector<Batch> attempts_;
    std::vector<Writer::Event> events_;
    bool held_ = false;
};

const char* text_of(StoreFault fault) {
    switch (fault) {
        case StoreFault::unavailable:
            return "unavailable";
        case StoreFault::in_doubt:
            return "in doubt";
        case StoreFault::fenced:
            return "fenced";
        case StoreFault::unusable:
            return "unusable";
        case StoreFault::refused:
            return "refused";
    }
    return "";
}

class ScriptedStore final : public Store {
public:
    explicit ScriptedStore(Record& record) : record_(record) {}

    std::vector<ResumePoint> open_servers(std::span<const ServerSpec>, const std::string&) override { return {}; }
    Applied apply(const Batch& batch) override {
        if (const auto fault = record_.on_apply(batch)) throw StoreError(*fault, text_of(*fault));
        return {batch.changes.size(), 0, 0, {}};
    }
    Expired expire_due(UtcSeconds, std::int64_t cursor, std::size_t rows) override {
        return {cursor + static_cast<std::int64_t>(rows), 1};
    }
    Bytes requestor_duid(ByteView) override { return {}; }

private:
    Record& record_;
};

struct Written {
    Record record;
    std::unique_ptr<Writer> writer = std::make_unique<Writer>(
        std::make_unique<ScriptedStore>(record), [this](Writer::Event e) { record.on_event(std::move(e)); });

    void commit(std::uint64_t number, std::size_t server = 0) const {
        Batch batch;
        batch.server = 1;
        batch.number = number;
        batch.base_time = server_time_from_unix(static_cast<std::int64_t>(1000 + number));
        batch.changes.append().binding.key.address = IpAddress::v4(static_cast<std::uint32_t>(number));
        writer->commit({server, std::move(batch)});
    }
};

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("batches come back committed, in the order in which they were given, with what the store said") {
    Written w;
    for (std::uint64_t i = 1; i <= 5; ++i)
        w.commit(i, i % 2);
    REQUIRE(w.record.wait_for_events(5));
    CHECK(w.record.said() == Words{"committed 1 of 1, stored 1", "committed 2 of 0, stored 1",
                                   "committed 3 of 1, stored 1", "committed 4 of 0, stored 1",
                                   "committed 5 of 1, stored 1"});
}

TEST_CASE("a sweep takes its turn between the batches") {
    Written w;
    w.record.hold();
    w.commit(1);
    w.writer->sweep({UtcSeconds{}, 5, 10});
    w.commit(2);
    w.record.let_go();
    REQUIRE(w.record.wait_for_events(3));
    CHECK(w.record.said() == Words{"committed 1 of 0, stored 1", "swept to 15", "committed 2 of 0, stored 1"});
}

TEST_CASE("a database that is away is tried again until it works, which is said once, and once when it is over") {
    Written w;
    w.record.hold();
    w.record.script({StoreFault::unavailable, StoreFault::unavailable, std::nullopt});
    w.commit(1);
    w.commit(2);
    w.record.let_go();
    REQUIRE(w.record.wait_for_events(4));
    CHECK(w.record.said() ==
          Words{"trouble: unavailable", "over", "committed 1 of 0, stored 1", "committed 2 of 0, stored 1"});
    CHECK(w.record.attempts() == std::vector<std::uint64_t>{1, 1, 1, 2});
}

TEST_CASE("another kind of trouble is said too") {
    Written w;
    w.record.hold();
    w.record.script({StoreFault::unavailable, StoreFault::in_doubt, std::nullopt});
    w.commit(1);
    w.record.let_go();
    REQUIRE(w.record.wait_for_events(4));
    CHECK(w.record.said() == Words{"trouble: unavailable", "trouble: in doubt", "over", "committed 1 of 0, stored 1"});
}

TEST_CASE("a commit in doubt is settled by giving the very same batch again") {
    Written w;
    w.record.hold();
    w.record.script({StoreFault::in_doubt, std::nullopt});
    w.commit(1);
    w.record.let_go();
    REQUIRE(w.record.wait_for_events(3));
    const auto given = w.record.batches();
    REQUIRE(given.size() == 2);
    CHECK(given[0].number == given[1].number);
    CHECK(given[0].base_time == given[1].base_time);
    REQUIRE(given[1].changes.size() == 1);
    CHECK(given[0].changes[0].binding == given[1].changes[0].binding);
}

TEST_CASE("when another agent has taken over, or the database is not ours, nothing more is written") {
    for (const auto fault : {StoreFault::fenced, StoreFault::unusable}) {
        Written w;
        w.record.hold();
        w.record.script({fault, std::nullopt});
        w.commit(1);
        w.commit(2);
        w.record.let_go();
        REQUIRE(w.record.wait_for_events(1));
        CHECK(w.record.said() == Words{std::string("lost: ") + text_of(fault)});
        w.commit(3);
        w.writer.reset();
        CHECK(w.record.attempts() == std::vector<std::uint64_t>{1});
    }
}

TEST_CASE("the end does not wait for a database that is away") {
    Written w;
    w.record.fails_always(StoreFault::unavailable);
    w.commit(1);
    REQUIRE(w.record.wait_for_attempts(5));  // the next pause would be 1.6 s
    const auto began = std::chrono::steady_clock::now();
    w.writer.reset();
    CHECK(std::chrono::steady_clock::now() - began < 1s);
    CHECK(w.record.said() == Words{"trouble: unavailable"});
}

TEST_CASE("the end finishes the step at hand, and begins no other") {
    Written w;
    w.record.hold();
    w.commit(1);
    w.commit(2);
    REQUIRE(w.record.wait_for_attempts(1));
    std::thread end([&] { w.writer.reset(); });
    w.record.let_go();
    end.join();
    const auto said = w.record.said();
    REQUIRE(!said.empty());
    CHECK(said[0] == "committed 1 of 0, stored 1");
    CHECK(said.size() <= 2);  // the second may have been begun before the end was told
}

TEST_CASE("a writer without work ends at once") {
    Written w;
    w.writer.reset();
    CHECK(w.record.said().empty());
}
