#include "agent/sync/recorder.hpp"
#include "storage/scope.hpp"
#include "tests/agent/sync/words.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;

namespace {

constexpr Now now{SteadyTime{1h}, UtcMillis{std::chrono::milliseconds{t0 * 1000 + 999}}};

SyncConnection active_connection() {
    return {{0, 1}, ActiveSession(SessionSettings{}), now.steady};
}
SyncConnection bulk_connection() {
    return {{0, 2}, BulkSession(SessionSettings{}), now.steady};
}

Binding lease(std::string_view text = "192.0.2.1") {
    Binding out;
    out.key.address = address(text);
    out.base_time = at(5);
    return out;
}

struct World {
    [[nodiscard]] Telling told(const SyncConnection& connection, BulkJob* job = nullptr) const {
        return {connection, job, 3, false, Skew{250}, false, at(0), now};
    }
    [[nodiscard]] const Batch& batch() const { return outbox.pending(); }

    Outbox outbox{1, BatchConfig{}, 1'000'000};
    Recorder recorder{outbox};
};

/// Its second query runs, as run 9: it was cut off before.
struct Job {
    Job() {
        (void)job.take();
        (void)job.take();
        job.renumber(1, 9);
        connection.item = 1;
    }
    BulkJob job = BulkJob::full(7, {relay_query({1}), relay_query({2})}, "why");
    SyncConnection connection = bulk_connection();
};

}  // namespace

// ---- bindings -----------------------------------------------------------------------------------------------------

TEST_CASE("a binding becomes a change with the skew of now and the run that was begun last; no query listed it") {
    World w;
    w.recorder.on_binding(w.told(active_connection()), lease());
    REQUIRE(w.batch().changes.size() == 1);
    const auto& change = w.batch().changes[0];
    CHECK(change.kind == Change::Kind::binding);
    CHECK(change.binding == lease());
    CHECK(change.skew == Skew{250});
    CHECK(change.run == 3);
    CHECK(change.scope == 0);
    CHECK_FALSE(change.late);
}

TEST_CASE("what is told in the catch-up phase is late, and what is told after it is not") {
    World w;
    auto connection = active_connection();
    connection.catch_up_alarm = now.steady + 10min;
    w.recorder.on_binding(w.told(connection), lease());
    connection.catch_up_alarm.reset();
    w.recorder.on_binding(w.told(connection), lease());
    CHECK(w.batch().changes[0].late);
    CHECK_FALSE(w.batch().changes[1].late);
}

TEST_CASE("what a bulk query lists carries the run of that attempt and the scope of that query, and counts for it") {
    World w;
    Job j;
    w.recorder.on_binding(w.told(j.connection, &j.job), lease());
    const auto& change = w.batch().changes[0];
    CHECK(change.run == 9);
    CHECK(change.scope == scope_id(relay_query({2})));
    CHECK_FALSE(change.late);
    CHECK(j.job.items()[0].bindings == 0);
    CHECK(j.job.items()[1].bindings == 1);
}

TEST_CASE("a change counts in the outbox with all that its binding holds") {
    World w;
    w.recorder.on_binding(w.told(active_connection()), lease());
    const auto small = w.outbox.held_bytes();
    auto large = lease();
    large.options.assign(10'000, 0);
    w.recorder.on_binding(w.told(active_connection()), large);
    CHECK(w.outbox.held_bytes() >= 2 * small + 10'000);
}

// ---- lists of a client --------------------------------------------------------------------------------------------

TEST_CASE("where a client's data is a snapshot, the end of its list is a change after what it held") {
    World w;
    auto client = lease();
    client.client_id = some_duid;
    auto connection = active_connection();
    SUBCASE("live") {}
    SUBCASE("late") {
        connection.catch_up_alarm = now.steady + 10min;
    }
    w.recorder.on_client_listed(w.told(connection), {&client, 2}, true);
    REQUIRE(w.batch().changes.size() == 1);
    const auto& change = w.batch().changes[0];
    CHECK(change.kind == Change::Kind::client_list_end);
    CHECK(change.listed == 2);
    CHECK(change.run == 3);
    CHECK(change.late == connection.is_catching_up());
    CHECK(change.doubt == Doubt::none);
    CHECK(change.told_at == UtcSeconds{std::chrono::seconds{t0}});
    CHECK(change.binding == client);
}

TEST_CASE("where it is not known which of the two a client's data is, what a list leaves out is in doubt") {
    World w;
    const auto client = lease();
    w.recorder.on_client_listed(w.told(active_connection()), {&client, 2}, std::nullopt);
    w.recorder.on_client_listed(w.told(active_connection()), {&client, 0}, std::nullopt);
    REQUIRE(w.batch().changes.size() == 2);
    CHECK(w.batch().changes[0].doubt == Doubt::unlisted);
    CHECK(w.batch().changes[1].doubt == Doubt::none);  // an empty one cannot be one of several
}

TEST_CASE("what is told while a gap is open, or in the catch-up phase, is late") {
    World w;
    const auto live = active_connection();
    auto told = w.told(live);
    CHECK_FALSE(told.late());
    told.gap_open = true;
    CHECK(told.late());
    auto connection = active_connection();
    connection.catch_up_alarm = now.steady + 10min;
    CHECK(w.told(connection).late());
}

TEST_CASE("an answer to a question belongs to no scope, and what it does not hold is absent") {
    World w;
    auto job = BulkJob::question(9, BulkQuery{QueryKind::client_id, {}, {1, 2}, 1}, lease().key);
    (void)job.take();
    auto connection = bulk_connection();
    connection.item = 0;
    connection.for_question = true;
    w.recorder.on_binding(w.told(connection, &job), lease());
    DoubtBook::Settled settled;
    settled.answer = DoubtBook::Answer::gone;
    settled.about.key = lease().key;
    settled.answered_at = at(7);
    settled.run = 9;
    w.recorder.on_absent(settled, Skew{250}, now);
    REQUIRE(w.batch().changes.size() == 2);
    const auto& told = w.batch().changes[0];
    CHECK(told.binding.via == Via::query);
    CHECK(told.scope == 0);
    CHECK(told.run == 9);
    const auto& absent = w.batch().changes[1];
    CHECK(absent.kind == Change::Kind::absent);
    CHECK(absent.binding.key == lease().key);
    CHECK(absent.binding.base_time == at(7));
    CHECK(absent.run == 9);
}

TEST_CASE("where a client's data is a delta, a list ends nothing, unless it is empty") {
    World w;
    const auto client = lease();
    w.recorder.on_client_listed(w.told(active_connection()), {&client, 2}, false);
    w.recorder.on_client_listed(w.told(active_connection()), {&client, 1}, false);
    CHECK(w.batch().changes.empty());
    w.recorder.on_client_listed(w.told(active_connection()), {&client, 0}, false);
    REQUIRE(w.batch().changes.size() == 1);
    CHECK(w.batch().changes[0].listed == 0);
}

TEST_CASE("a list in a bulk answer ends nothing, not even an empty one: servers spread a client over many") {
    World w;
    Job j;
    const auto client = lease();
    for (const auto complete : {std::optional<bool>{}, std::optional(true), std::optional(false)}) {
        w.recorder.on_client_listed(w.told(j.connection, &j.job), {&client, 0}, complete);
        w.recorder.on_client_listed(w.told(j.connection, &j.job), {&client, 2}, complete);
        w.recorder.on_client_listed(w.told(j.connection), {&client, 0}, complete);
    }
    CHECK(w.batch().changes.empty());
    CHECK_FALSE(w.outbox.dirty());
}

TEST_CASE("the client of a list counts in the outbox with all that it holds") {
    World w;
    auto client = lease();
    client.options.assign(10'000, 0);
    w.recorder.on_client_listed(w.told(active_connection()), {&client, 0}, false);
    CHECK(w.outbox.held_bytes() >= 10'000);
}

// ---- what could not be understood ---------------------------------------------------------------------------------

TEST_CASE("a sighting names the address and the run of the attempt in which it was listed") {
    World w;
    Job j;
    w.recorder.on_sighting(w.told(j.connection, &j.job), address("192.0.2.9"), "");
    const auto& change = w.batch().changes[0];
    CHECK(change.kind == Change::Kind::sighting);
    CHECK(change.binding.key.address == address("192.0.2.9"));
    CHECK(change.run == 9);
    CHECK(j.job.items()[1].bindings == 0);
}

TEST_CASE("what could not be read was told by the second after its base-time, or after what the server's clock shows") {
    World w;
    auto connection = active_connection();
    connection.base_time = at(40);
    w.recorder.on_sighting(w.told(connection), address("192.0.2.9"), "");
    CHECK(w.batch().changes[0].binding.base_time == at(41));
    w.recorder.on_list_unread(w.told(connection), some_duid, "ascii:blue");
    CHECK(w.batch().changes[1].binding.key.vpn_id == "ascii:blue");
    CHECK(w.batch().changes[1].binding.base_time == at(41));
    connection.base_time.reset();
    w.recorder.on_sighting(w.told(connection), address("192.0.2.9"), "");
    CHECK(w.batch().changes[2].binding.base_time == at(1));
}

TEST_CASE("a quarantined message is kept with its octets, the reason and the second in which it came") {
    World w;
    const Bytes octets{1, 2, 3};
    w.recorder.on_quarantine(w.told(active_connection()), {octets, "why", true, std::nullopt});
    REQUIRE(w.batch().quarantine.size() == 1);
    const auto& entry = w.batch().quarantine[0];
    CHECK(entry.at == UtcSeconds{std::chrono::seconds{t0}});
    CHECK(entry.reason == "why");
    CHECK(entry.message == octets);
}
