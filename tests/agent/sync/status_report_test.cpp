#include "agent/sync/status_report.hpp"

#include "agent/config/time_text.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

#include <functional>

using namespace leasemirror;
using namespace leasemirror::test;

namespace {

Now after(std::chrono::milliseconds span) {
    return {SteadyTime{1h} + span, UtcMillis{std::chrono::milliseconds{t0 * 1000 + 999}} + span};
}
UtcSeconds utc(std::chrono::seconds span) {
    return UtcSeconds{std::chrono::seconds{t0}} + span;
}

using Scope = StatusReport::Scope;

struct World {
    explicit World(const ResumePoint& resume = {}) : report("four", resume, actions) {}

    [[nodiscard]] ServerStatus status() const { return report.snapshot(std::nullopt, {}); }
    /// The log lines since the last call: name, and each field but the server's name.
    std::string lines() {
        std::string all;
        for (; !actions.empty(); actions.pop_front()) {
            const auto& event = std::get<LogEvent>(actions.front());
            CHECK(event.fields.at(0) == std::pair<std::string, std::string>{"server", "four"});
            all += (all.empty() ? "" : "; ") + event.name;
            for (std::size_t i = 1; i < event.fields.size(); ++i)
                all += " " + event.fields[i].first + "=" + event.fields[i].second;
        }
        return all;
    }

    SyncActions actions;
    StatusReport report;
};

}  // namespace

// ---- the phase ----------------------------------------------------------------------------------------------------

TEST_CASE("the phase says in one word what connections, jobs and gaps are there") {
    using Bulk = Activity::Bulk;
    const std::pair<Activity, Phase> table[] = {
        {{}, Phase::connecting},
        // An active query says most.
        {{.active = ActiveState::asked}, Phase::catch_up},
        {{.active = ActiveState::catching_up}, Phase::catch_up},
        {{.active = ActiveState::live}, Phase::live},
        {{.active = ActiveState::live, .recovering = true}, Phase::gap},
        {{.active = ActiveState::live, .clock_unsure = true}, Phase::catch_up},
        {{.active = ActiveState::live, .clock_unsure = true, .recovering = true}, Phase::catch_up},
        {{.active = ActiveState::catching_up, .bulk = Bulk::other, .recovering = true}, Phase::catch_up},
        {{.active = ActiveState::live, .connecting = true, .waits_for_slot = true, .failing = true}, Phase::live},
        {{.active = ActiveState::idle, .connecting = true}, Phase::connecting},
        {{.active = ActiveState::closed, .connecting = true}, Phase::connecting},
        // Then an open bulk connection.
        {{.bulk = Bulk::windowed_poll, .connecting = true, .polling = true}, Phase::polling},
        {{.bulk = Bulk::other, .connecting = true}, Phase::bulk},
        {{.bulk = Bulk::other, .connecting = true, .resumable = true}, Phase::gap},
        {{.bulk = Bulk::other, .connecting = true, .resumable = true, .polling = true}, Phase::bulk},
        // Then what is tried, what is waited for, and what is wrong.
        {{.connecting = true, .waits_for_slot = true, .failing = true}, Phase::connecting},
        {{.polling = true, .poll_planned = true, .waits_for_slot = true, .failing = true}, Phase::waiting},
        {{.polling = true, .poll_planned = true, .failing = true}, Phase::down},
        {{.failing = true}, Phase::down},
        // A server that is polled is at rest between two polls.
        {{.polling = true, .poll_planned = true}, Phase::polling},
        {{.polling = true}, Phase::connecting},
        {{.poll_planned = true}, Phase::connecting},
        // Once we stop nothing else counts.
        {{.stopping = true, .active = ActiveState::live, .connecting = true}, Phase::down},
    };
    for (std::size_t i = 0; i < std::size(table); ++i) {
        CAPTURE(i);
        CHECK(phase_of(table[i].first) == table[i].second);
    }
}

TEST_CASE("a new phase is a line of the log, the same one again is not") {
    World w;
    w.report.enter(Phase::connecting);
    CHECK(w.lines().empty());
    w.report.enter(Phase::live);
    CHECK(w.lines() == "phase from=connecting to=live");
    CHECK(w.report.phase() == Phase::live);
    w.report.enter(Phase::live);
    CHECK(w.lines().empty());
}

// ---- what changes the status reaches the next batch ---------------------------------------------------------------

TEST_CASE("whatever changes the status is noticed, once, so that the next batch carries it") {
    const std::pair<const char*, std::function<void(StatusReport&)>> mutators[] = {
        {"error", [](auto& r) { r.error("why", after(0s), Scope::bulk); }},
        {"on_heard", [](auto& r) { r.on_heard(after(0s)); }},
        {"on_connected", [](auto& r) { r.on_connected(true, std::nullopt, after(0s)); }},
        {"on_dropped", [](auto& r) { r.on_dropped(true); }},
        {"on_dropped, not the last", [](auto& r) { r.on_dropped(false); }},
        {"set_identity", [](auto& r) { (void)r.set_identity(server_duid); }},
        {"set_coverage", [](auto& r) { r.set_coverage(Coverage::full); }},
        {"on_read_in_full", [](auto& r) { r.on_read_in_full(after(0s), 0, 0); }},
        {"enter", [](auto& r) { r.enter(Phase::live); }},
        {"touch", [](auto& r) { r.touch(); }},
    };
    for (const auto& mutator : mutators) {
        CAPTURE(mutator.first);
        World w;
        CHECK_FALSE(w.report.take_changed());
        mutator.second(w.report);
        CHECK(w.report.take_changed());
        CHECK_FALSE(w.report.take_changed());
    }
}

TEST_CASE("a line of the log alone is no change of the status") {
    World w;
    w.report.log(LogLevel::info, "word", {{"key", "value"}});
    w.report.on_quarantined("why", after(0s).steady);
    w.report.on_quarantine_dropped(1);
    w.report.on_gap({1, at(0), at(1), "x"}, "why", after(0s).steady);
    w.report.warn_of_certificate(after(0s));
    w.report.on_recovered();
    w.report.enter(Phase::connecting);
    CHECK_FALSE(w.report.take_changed());
}

TEST_CASE("a report goes on with what was stored, but for the phase and the connection") {
    ResumePoint resume;
    resume.coverage = Coverage::full;
    resume.server_identity = server_duid;
    resume.last_full_sync_at = utc(-5s);
    resume.last_error = "old";
    resume.last_error_at = utc(-4s);
    resume.certificate_expires_at = utc(9s);
    const World w(resume);
    const auto status = w.status();
    CHECK(status.phase == Phase::connecting);
    CHECK(status.coverage == Coverage::full);
    CHECK(status.server_identity == server_duid);
    CHECK(status.last_full_sync_at == utc(-5s));
    CHECK(status.last_error == "old");
    CHECK(status.last_error_at == utc(-4s));
    CHECK(status.certificate_expires_at == utc(9s));
    CHECK_FALSE(status.connected_since);
    CHECK(w.report.was_read_in_full());
    CHECK(w.report.coverage() == Coverage::full);
    CHECK_FALSE(w.report.is_failing());
}

TEST_CASE("a snapshot carries the skew and the support that other parts know") {
    const World w;
    const auto status = w.report.snapshot(Skew{7}, {true, false, utc(1s)});
    CHECK(status.skew == Skew{7});
    CHECK(status.support == ServerSupport{true, false, utc(1s)});
}

// ---- what it says -------------------------------------------------------------------------------------------------

TEST_CASE("an error is the last error with its time, and a line; a message heard ends the failing, not the error") {
    World w;
    w.report.error("first", after(0s), Scope::bulk);
    w.report.error("why", after(10s), Scope::bulk);
    CHECK(w.lines() == "error error=first; error error=why");
    CHECK(w.report.is_failing());
    w.report.on_heard(after(20s));
    CHECK_FALSE(w.report.is_failing());
    CHECK(w.status().last_error == "why");
    CHECK(w.status().last_error_at == utc(10s));
    CHECK(w.status().last_message_at == utc(20s));
}

TEST_CASE("what the server told stays the last error while it says nothing else, and until it answers") {
    using Source = StatusReport::Source;
    World w;
    w.report.error("a guess", after(0s), Scope::bulk, Source::guess);
    CHECK(w.status().last_error == "a guess");
    w.report.error("NotAllowed", after(10s), Scope::bulk, Source::told);
    w.report.error("a guess", after(20s), Scope::bulk, Source::guess);
    CHECK(w.status().last_error == "NotAllowed");
    CHECK(w.status().last_error_at == utc(10s));
    w.report.error("NotAllowed", after(30s), Scope::bulk, Source::told);
    CHECK(w.status().last_error_at == utc(30s));
    w.report.error("cannot connect", after(40s), Scope::bulk);
    CHECK(w.status().last_error == "cannot connect");
    w.report.error("a guess", after(50s), Scope::bulk, Source::guess);
    CHECK(w.status().last_error == "a guess");
    w.report.error("NotAllowed", after(60s), Scope::bulk, Source::told);
    w.report.on_heard(after(70s));  // the refusal itself, perhaps
    w.report.error("another guess", after(80s), Scope::bulk, Source::guess);
    CHECK(w.status().last_error == "NotAllowed");
    w.report.on_answered(after(90s));
    w.report.error("another guess", after(100s), Scope::bulk, Source::guess);
    CHECK(w.status().last_error == "another guess");
}

TEST_CASE("an error that repeats is counted, said again with the count, and once more when it is over") {
    World w;
    for (int i = 0; i < 5; ++i)
        w.report.error("why", after(std::chrono::seconds{20 * i}), Scope::bulk);
    CHECK(w.lines() == "error error=why; error error=why times=4 since=" + iso_utc(utc(0s)));
    CHECK(w.status().last_error_at == utc(80s));
    w.report.on_answered(after(85s));  // another query
    w.report.on_over(Scope::active, after(85s));
    CHECK(w.lines().empty());
    w.report.on_over(Scope::bulk, after(90s));
    CHECK(w.lines() == "error-over error=why times=5 after_seconds=90");
    w.report.error("why", after(100s), Scope::bulk);
    CHECK(w.lines() == "error error=why");
}

TEST_CASE("a server that is polled instead has recovered without a message") {
    World w;
    w.report.error("why", after(0s), Scope::bulk);
    w.report.on_recovered();
    CHECK_FALSE(w.report.is_failing());
    CHECK(w.status().last_error == "why");
    CHECK_FALSE(w.status().last_message_at);
}

TEST_CASE("connected since the first connection, or the active one, until the last is gone") {
    World w;
    w.report.on_connected(false, std::nullopt, after(1s));
    CHECK(w.status().connected_since == utc(1s));
    w.report.on_connected(false, std::nullopt, after(2s));
    CHECK(w.status().connected_since == utc(1s));
    w.report.on_connected(true, std::nullopt, after(3s));
    CHECK(w.status().connected_since == utc(3s));
    w.report.on_dropped(false);
    CHECK(w.status().connected_since == utc(3s));
    w.report.on_dropped(true);
    CHECK_FALSE(w.status().connected_since);
}

TEST_CASE("an identity replaces the one before, which is told") {
    World w;
    CHECK(w.report.set_identity({1}).empty());
    CHECK(w.report.set_identity({2}) == Bytes{1});
    CHECK(w.status().server_identity == Bytes{2});
}

TEST_CASE("coverage and the time of the last full sync are what was set last") {
    World w;
    CHECK_FALSE(w.report.was_read_in_full());
    w.report.set_coverage(Coverage::full);
    CHECK_FALSE(w.report.last_listed());
    w.report.on_read_in_full(after(5s), 0, 7);
    CHECK(w.report.last_listed() == 7);
    CHECK(w.status().coverage == Coverage::full);
    CHECK(w.report.coverage() == Coverage::full);
    CHECK(w.status().last_full_sync_at == utc(5s));
    CHECK(w.report.was_read_in_full());
}

TEST_CASE("after a restart what is in force is as many as the last full read listed, if there was one") {
    ResumePoint resume;
    resume.bindings = 5;
    CHECK_FALSE(World(resume).report.last_listed());
    resume.last_full_sync_at = utc(0s);
    CHECK(World(resume).report.last_listed() == 5);
}

TEST_CASE("a certificate that is about to end is warned of at once, and each day; without TLS there is none") {
    World w;
    const CertificateEnd soon{utc(5 * 24h), CertificateEnd::Whose::ours};
    w.report.on_connected(true, soon, after(0s));
    CHECK(w.status().certificate_expires_at == soon.at);
    CHECK(w.lines().find("certificate text=our certificate") == 0);
    REQUIRE(w.report.next_deadline());
    CHECK(*w.report.next_deadline() == after(24h).steady);
    w.report.warn_of_certificate(after(24h - 1ms));
    CHECK(w.lines().empty());
    w.report.warn_of_certificate(after(24h));
    CHECK_FALSE(w.lines().empty());
    w.report.on_connected(true, std::nullopt, after(25h));
    CHECK_FALSE(w.status().certificate_expires_at);
}

// ---- lines that a peer could make many of -------------------------------------------------------------------------

TEST_CASE("lines about quarantine are limited, and the next one says how many were left out before it") {
    World w;
    for (int i = 0; i < LogLimit::lines_per_minute; ++i)
        w.report.on_quarantined("why", after(0s).steady);
    (void)w.lines();
    for (int i = 0; i < 5; ++i)
        w.report.on_quarantined("why", after(59s).steady);
    CHECK(w.lines().empty());
    w.report.on_quarantined("why", after(60s).steady);
    CHECK(w.lines() == "quarantined reason=why left_out_before=5");
}

TEST_CASE("lines about gaps are limited likewise, by a limit of their own") {
    World w;
    const Gap gap{1, at(0), at(1), "first cause"};
    for (int i = 0; i < LogLimit::lines_per_minute + 1; ++i)
        w.report.on_quarantined("why", after(0s).steady);
    (void)w.lines();
    w.report.on_gap(gap, "cause", after(0s).steady);
    CHECK(w.lines() == "gap from=2023-11-14T22:13:20Z to=2023-11-14T22:13:21Z cause=cause left_out_before=0");
    for (int i = 0; i < LogLimit::lines_per_minute + 1; ++i)
        w.report.on_gap(gap, "cause", after(0s).steady);
    (void)w.lines();
    w.report.on_gap(gap, "cause", after(60s).steady);
    CHECK(w.lines().find("left_out_before=2") != std::string::npos);
}

TEST_CASE("messages that were counted without being kept are a line each time there are more") {
    World w;
    w.report.on_quarantine_dropped(0);
    CHECK(w.lines().empty());
    w.report.on_quarantine_dropped(3);
    CHECK(w.lines() == "quarantine-full messages_only_counted=3");
    w.report.on_quarantine_dropped(3);
    CHECK(w.lines().empty());
    w.report.on_quarantine_dropped(4);
    CHECK(w.lines() == "quarantine-full messages_only_counted=4");
}
