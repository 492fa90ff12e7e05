// The writer's thread over a store that does what the test tells it to. No test waits for time to pass, but those
// that watch the writer try again wait as long as its own pauses are.
#include "agent/daemon/writer.hpp"
#include "storage/store_error.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

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
    void on_call(const std::string& call) {
        const std::lock_guard lock(mutex_);
        calls_.push_back(call);
    }
    void on_event(Writer::Event event) {
        const std::lock_guard lock(mutex_);
        events_.push_back(std::move(event));
        changed_.notify_all();
    }

    void fails_always(StoreFault fault) { always_ = fault; }

    void forget() {
        const std::lock_guard lock(mutex_);
        events_.clear();
        calls_.clear();
    }
    [[nodiscard]] std::vector<std::string> calls() {
        const std::lock_guard lock(mutex_);
        return calls_;
    }
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
    static std::string word_of(const Writer::Opened& e) {
        return "opened " + std::to_string(e.resume.size()) +
               (e.requestor_duid.empty() ? "" : " as " + to_hex(e.requestor_duid));
    }
    static std::string word_of(const Writer::ServerOpened& e) {
        return "server " + std::to_string(e.server) + (e.resume ? " opened" : ": " + e.claimed);
    }
    static std::string word_of(const Writer::ServerReleased& e) {
        return "server " + std::to_string(e.server) + " released";
    }
    static std::string word_of(const Writer::Swept& e) { return "swept " + std::to_string(e.swept.ended); }
    static std::string word_of(const Writer::Beaten&) { return "beaten"; }
    static std::string word_of(const Writer::Trouble& e) { return e.text.empty() ? "over" : "trouble: " + e.text; }
    static std::string word_of(const Writer::Lost& e) { return (e.anew ? "anew: " : "lost: ") + e.text; }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::optional<StoreFault>> outcomes_;
    std::optional<StoreFault> always_;
    std::vector<Batch> attempts_;
    std::vector<Writer::Event> events_;
    std::vector<std::string> calls_;  // other than apply() and sweep()
    bool held_ = false;
};

const char* text_of(StoreFault fault) {
    switch (fault) {
        case StoreFault::claimed:
            return "claimed";
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
        case StoreFault::behind:
            return "behind";
    }
    return "";
}

class ScriptedStore final : public Store {
public:
    explicit ScriptedStore(Record& record) : record_(record) {}

    void beat(const Heartbeat& heartbeat) override {
        record_.on_call((heartbeat.stopping ? "last beat of " : "beat of ") + heartbeat.agent.name);
    }
    std::vector<ResumePoint> open_servers(std::span<const ServerSpec> servers, const std::string& owner) override {
        if (!servers.empty() && servers.front().name == "claimed")
            throw StoreError(StoreFault::claimed, "'claimed' is worked by another");
        record_.on_call("open " + std::to_string(servers.size()) + " for " + owner);
        return std::vector<ResumePoint>(servers.size());
    }
    void disable_servers_except(std::span<const std::string> names) override {
        record_.on_call("disable all but " + std::to_string(names.size()));
    }
    void release_servers(std::span<const std::string> names) override {
        for (const auto& name : names)
            record_.on_call("release " + name);
    }
    Applied apply(const Batch& batch) override {
        if (const auto fault = record_.on_apply(batch)) throw StoreError(*fault, text_of(*fault));
        return {batch.changes.size(), 0, 0, {}};
    }
    Swept sweep(UtcSeconds, std::size_t rows, std::span<const ServerId>) override {
        Swept swept;
        swept.ended = rows;
        return swept;
    }
    Bytes requestor_duid(ByteView proposal) override {
        record_.on_call("duid");
        return {proposal.begin(), proposal.end()};
    }

private:
    Record& record_;
};

/// A writer, opened with success unless told otherwise.
struct Written {
    explicit Written(std::deque<StoreFault> opening_faults = {}, bool first = false)
        : faults(std::move(opening_faults)) {
        const auto wait = faults.empty() && !first;
        Writer::Opening opening;
        opening.open = [this]() -> std::unique_ptr<Store> {
            if (faults.empty()) return std::make_unique<ScriptedStore>(record);
            const auto fault = faults.front();
            faults.pop_front();
            throw StoreError(fault, text_of(fault));
        };
        opening.servers.resize(2);
        opening.agent.name = "test";
        if (first) {
            opening.gives_signs = true;
            opening.not_others = {"one", "two", "another writer's"};
            opening.duid_proposal = {0, 4, 1};
        }
        writer =
            std::make_unique<Writer>(std::move(opening), [this](Writer::Event e) { record.on_event(std::move(e)); });
        if (!wait) return;
        REQUIRE(record.wait_for_events(1));
        record.forget();
    }

    std::deque<StoreFault> faults;  // the writer's thread's
    Record record;
    std::unique_ptr<Writer> writer;

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

// ---- opening ------------------------------------------------------------------------------------------------------

TEST_CASE("a writer opens its own servers, before anything is written") {
    Written w({}, false);
    CHECK(w.record.calls().empty());
    Written other({StoreFault::unavailable});
    other.commit(1);
    REQUIRE(other.record.wait_for_events(4));
    CHECK(other.record.said() == Words{"trouble: unavailable", "over", "opened 2", "committed 1 of 0, stored 1"});
    CHECK(other.record.calls() == Words{"open 2 for test"});
}

TEST_CASE(
    "the first of the writers does what is to be done once: a sign of life, other servers disabled, the DUID asked "
    "for") {
    Written w({}, true);
    REQUIRE(w.record.wait_for_events(1));
    CHECK(w.record.said() == Words{"opened 2 as 000401"});
    CHECK(w.record.calls() == Words{"beat of test", "disable all but 3", "open 2 for test", "duid"});
}

TEST_CASE("a database that cannot be opened is tried again, for whatever reason but that it is not ours") {
    Written w({StoreFault::unavailable, StoreFault::refused, StoreFault::in_doubt, StoreFault::fenced});
    REQUIRE(w.record.wait_for_events(6));
    CHECK(w.record.said() == Words{"trouble: unavailable", "trouble: refused", "trouble: in doubt", "trouble: fenced",
                                   "over", "opened 2"});
    Written other({StoreFault::unavailable, StoreFault::unusable});
    REQUIRE(other.record.wait_for_events(2));
    CHECK(other.record.said() == Words{"trouble: unavailable", "lost: unusable"});
}

// ---- writing ------------------------------------------------------------------------------------------------------

TEST_CASE("batches come back committed, in the order in which they were given, with what the store said") {
    Written w;
    for (std::uint64_t i = 1; i <= 5; ++i)
        w.commit(i, i % 2);
    REQUIRE(w.record.wait_for_events(5));
    CHECK(w.record.said() == Words{"committed 1 of 1, stored 1", "committed 2 of 0, stored 1",
                                   "committed 3 of 1, stored 1", "committed 4 of 0, stored 1",
                                   "committed 5 of 1, stored 1"});
}

TEST_CASE("a server is opened anew, and released, after the batches that were given before") {
    Written w;
    w.commit(1);
    w.writer->open_server(1, {"west", Family::v4, "192.0.2.1 port 67"});
    w.commit(2);
    w.writer->release_server(1, "west");
    REQUIRE(w.record.wait_for_events(4));
    CHECK(w.record.said() ==
          Words{"committed 1 of 0, stored 1", "server 1 opened", "committed 2 of 0, stored 1", "server 1 released"});
    CHECK(w.record.calls() == Words{"open 1 for test", "release west"});
}

TEST_CASE("a further server that another agent works holds up nothing, and the writer says who it is") {
    Written w;
    w.writer->open_server(2, {"claimed", Family::v4, "192.0.2.1 port 67"});
    w.commit(1);
    REQUIRE(w.record.wait_for_events(2));
    CHECK(w.record.said() == Words{"server 2: 'claimed' is worked by another", "committed 1 of 0, stored 1"});
}

TEST_CASE("a sweep takes its turn between the batches") {
    Written w;
    w.record.hold();
    w.commit(1);
    w.writer->sweep({UtcSeconds{}, 10});
    w.commit(2);
    w.record.let_go();
    REQUIRE(w.record.wait_for_events(3));
    CHECK(w.record.said() == Words{"committed 1 of 0, stored 1", "swept 10", "committed 2 of 0, stored 1"});
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

TEST_CASE("when the database is not ours, nothing more is written") {
    Written w;
    w.record.hold();
    w.record.script({StoreFault::unusable, std::nullopt});
    w.commit(1);
    w.commit(2);
    w.record.let_go();
    REQUIRE(w.record.wait_for_events(1));
    CHECK(w.record.said() == Words{"lost: unusable"});
    w.commit(3);
    w.writer.reset();
    CHECK(w.record.attempts() == std::vector<std::uint64_t>{1});
}

TEST_CASE("when another agent has taken over, or commits are lost, nothing more is written, and all must begin anew") {
    for (const auto fault : {StoreFault::fenced, StoreFault::behind}) {
        Written w;
        w.record.hold();
        w.record.script({StoreFault::unavailable, fault, std::nullopt});
        w.commit(1);
        w.commit(2);
        w.record.let_go();
        REQUIRE(w.record.wait_for_events(2));
        CHECK(w.record.said() == Words{"trouble: unavailable", std::string("anew: ") + text_of(fault)});
        w.writer.reset();
        CHECK(w.record.attempts() == std::vector<std::uint64_t>{1, 1});
    }
}

TEST_CASE("a sign of life waits for what is to be written before it") {
    Written w;
    w.record.hold();
    w.commit(1);
    w.writer->beat({{"test", "host", 7, "1.0", {}}, 2, 0.5, false});
    w.writer->beat({{"test", "host", 7, "1.0", {}}, 2, 0.5, true});
    REQUIRE(w.record.wait_for_attempts(1));
    CHECK(w.record.calls().empty());
    w.record.let_go();
    REQUIRE(w.record.wait_for_events(3));
    CHECK(w.record.said() == Words{"committed 1 of 0, stored 1", "beaten", "beaten"});
    CHECK(w.record.calls() == Words{"beat of test", "last beat of test"});
}

// ---- the end ------------------------------------------------------------------------------------------------------

TEST_CASE("the end leaves a database behind that hangs, and hears nothing of it any more") {
    // Outlives the writer's thread, which still has it after the test.
    static Record record;
    record.hold();
    Writer::Opening opening;
    opening.open = [] { return std::make_unique<ScriptedStore>(record); };
    auto writer = std::make_unique<Writer>(std::move(opening), [](Writer::Event e) { record.on_event(std::move(e)); });
    writer->commit({0, Batch{}});
    REQUIRE(record.wait_for_attempts(1));
    const auto said = record.said();
    const auto began = std::chrono::steady_clock::now();
    writer.reset();
    CHECK(std::chrono::steady_clock::now() - began >= Writer::end_patience);
    record.let_go();
    CHECK(record.said() == said);
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
