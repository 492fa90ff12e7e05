// How the PostgreSQL store writes: in place where it can, and so that whoever follows the change feed sees each row once.
#include "tests/storage/history_check.hpp"
#include "tests/storage/postgres_engine.hpp"
#include "tests/storage/test_store.hpp"

#include "storage/opening.hpp"

#include <doctest/doctest.h>
#include <atomic>
#include <pqxx/pqxx>
#include <random>
#include <set>
#include <thread>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

const EngineFactory postgres{"postgresql", make_postgres_engine};

/// A binding with all that is indexed, as a server tells it again and again.
Change lease(int n, std::int64_t base) {
    auto out = told("10.0." + std::to_string(n / 250) + "." + std::to_string(n % 250), base);
    out.binding.hw_addr = {0, 1, 2, 3, static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)};
    out.binding.relay_id = id("relay " + std::to_string(n / 100));
    out.binding.remote_id = id("line " + std::to_string(n));
    out.binding.hostname = "host-" + std::to_string(n);
    out.binding.client_last_seen = at(base);
    out.binding.state_since = at(1);
    out.binding.expires_at = at(base + 100'000);
    out.binding.renew_at = at(base + 50'000);
    return out;
}

struct Updates {
    std::int64_t all = 0;
    std::int64_t heap_only = 0;
};
/// Of the store's session, which sends its figures before it is gone.
Updates updates(Fixture& f, const std::string& table = "binding") {
    f.store.reset();
    while (f.engine->value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leasemirror' AND datname = "
                           "current_database()") != "0") {
    }
    f.reopen();
    const auto row = f.engine->table("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = '" +
                                     table + "'::regclass");
    return {std::stoll(row.at(0).at(0).value()), std::stoll(row.at(0).at(1).value())};
}

}  // namespace

TEST_CASE("an end touches no index of assignment where its page has room" * doctest::skip(without_postgres())) {
    Fixture f({"postgresql", make_postgres_engine_alone});
    std::vector<Change> begun, ended;
    for (int n = 0; n < 1000; ++n) {
        begun.push_back(lease(n, 10));
        if (n % 20 == 0)
            ended.push_back(told(begun.back().binding.key.address.to_string(), 20, BindingState::released));
    }
    f.apply(begun);
    f.apply(ended);
    const auto done = updates(f, "assignment");
    CHECK(done.all == 50);
    CHECK(done.heap_only == 50);
}

TEST_CASE("renewals touch no index, whether they come one by one or as a full bulk" *
          doctest::skip(without_postgres())) {
    // Alone: a snapshot of somebody else's would keep what is dead from making room.
    Fixture f({"postgresql", make_postgres_engine_alone});
    constexpr int bindings = 3000;
    const auto bulk = [&](std::int64_t base, std::uint64_t run) {
        for (int n = 0; n < bindings;) {
            auto batch = f.batch();
            for (const int end = n + 500; n < end; ++n) {
                batch.changes.push_back(lease(n, base));
                auto& change = const_cast<Change&>(batch.changes[batch.changes.size() - 1]);
                change.binding.via = Via::bulk;
                change.run = run;
                change.scope = 7;
            }
            if (n == bindings) batch.reconcile = everything(run, base);
            CHECK(f.store->apply(batch).stored == 500);
        }
    };
    bulk(10, 1);
    auto before = updates(f);
    CHECK(before.all == 0);

    std::mt19937 die(7);
    for (int i = 0; i < 60; ++i) {
        std::vector<Change> changes;
        for (int k = 0; k < 100; ++k)
            changes.push_back(lease(static_cast<int>(die() % bindings), 20 + i));
        f.apply(std::move(changes));
    }
    auto after = updates(f);
    CHECK(after.all - before.all > 5000);
    CHECK(after.heap_only - before.heap_only > (after.all - before.all) * 99 / 100);

    before = after;
    for (std::uint64_t run = 2; run <= 4; ++run)
        bulk(100 + static_cast<std::int64_t>(run), run);
    after = updates(f);
    CHECK(after.all - before.all == 3 * bindings);
    CHECK(after.heap_only - before.heap_only > 3 * bindings * 95 / 100);
    CHECK(f.counted() == bindings);
}

TEST_CASE("a transaction that wrote to the feed wakes its listeners once" * doctest::skip(without_postgres())) {
    class Listener : public pqxx::notification_receiver {
    public:
        explicit Listener(pqxx::connection& session) : pqxx::notification_receiver(session, "leasemirror") {}
        void operator()(const std::string& payload, int backend) override { heard[backend].push_back(payload); }
        std::map<int, Rows> heard;  // other tests have writers too
    };
    Fixture f(postgres);
    f.settings = with_named_sessions(f.settings);
    f.reopen();
    const auto writer = std::stoi(f.engine->value("SELECT pid FROM pg_stat_activity WHERE application_name = '" +
                                                  f.engine->settings().schema + "'"));
    pqxx::connection session(f.engine->settings().url);
    Listener listener(session);
    const auto heard = [&] {
        pqxx::nontransaction(session).exec("SELECT 1");  // what was notified before comes with the answer
        session.get_notifs();
        return std::exchange(listener.heard[writer], {});
    };
    pqxx::nontransaction(session).exec("LISTEN leasemirror");
    static_cast<void>(heard());
    const auto last_seq = [&] { return f.engine->value("SELECT max(seq) FROM binding_change"); };

    std::vector<Change> changes;
    for (int n = 0; n < 50; ++n)
        changes.push_back(lease(n, 10));
    f.apply(changes);
    CHECK(heard() == Rows{last_seq()});

    for (auto& change : changes)
        change.binding.base_time = at(20);
    f.apply(changes);  // renewals, not recorded
    auto status = f.batch();
    status.status = ServerStatus{};
    f.store->apply(status);
    CHECK(f.store->sweep(f.now, 100).ended == 0);
    CHECK(heard().empty());

    auto batch = f.batch({lease(1, 30), lease(60, 30)});
    const_cast<Change&>(batch.changes[0]).binding.client_id = id("other");
    batch.reconcile = everything(5, 25);
    CHECK(f.store->apply(batch).reconciled == 49);
    CHECK(heard() == Rows{last_seq()});
    CHECK(f.store->sweep(utc(1'000'000), 100).ended == 2);
    CHECK(heard() == Rows{last_seq()});

    auto bad = lease(61, 40);
    bad.binding.key.prefix_len = 200;
    f.apply({bad, lease(62, 40)});
    CHECK(heard() == Rows{last_seq()});
}

TEST_CASE("what a full bulk did not list ends in any number, and is told in the order of its bindings" *
          doctest::skip(without_postgres())) {
    Fixture f(postgres);
    f.check.skip = true;
    f.engine->execute(
        "INSERT INTO binding (server_id, vpn_id, kind, address, prefix_len, family, state, data_source, base_time, "
        "via, "
        "updated_at, epoch, seen_run, scope) SELECT server_id, '', 'address', inet '10.0.0.0' + n, 32, 'v4', 'active', "
        "'local', to_timestamp(1700000010), 'bulk', to_timestamp(1700000010), 0, 0, 0 FROM server, "
        "generate_series(1, 25000) AS n; UPDATE server SET bindings = 25000; INSERT INTO binding_count SELECT "
        "server_id, "
        "'active', 25000 FROM server");
    auto batch = f.batch({told("10.0.0.5", 100)});
    batch.number = 1;
    batch.reconcile = everything(1, 50);
    batch.gaps = {open_gap(1, 1, 5), close_gap(1, 1)};
    const auto applied = f.store->apply(batch);
    CHECK(applied.reconciled == 24'999);
    CHECK(f.counted() == 1);
    CHECK(f.engine->value("SELECT bindings FROM binding_count WHERE state = 'ended'") == "24999");
    CHECK(f.engine->value("SELECT bindings_recovered FROM gap") == "25000");
    CHECK(f.engine->value("SELECT count(*) FROM (SELECT b.binding_id, lag(b.binding_id) OVER (ORDER BY seq) AS before "
                          "FROM binding_change JOIN binding AS b USING (address) WHERE change = 'ended') AS o WHERE "
                          "binding_id < before") == "0");
    CHECK(f.engine->value("SELECT count(*), count(DISTINCT address), min(seq) FROM binding_change WHERE change = "
                          "'ended'") == "24999|24999|2");
}

TEST_CASE("parallel writers: whoever polls the feed sees every row once, in the order of its numbers" *
          doctest::skip(without_postgres())) {
    constexpr std::size_t stores = 4, servers_each = 3;
    std::vector<std::string> names;
    for (std::size_t s = 0; s < stores * servers_each; ++s)
        names.push_back("server " + std::to_string(s));
    Fixture f(postgres, names);
    f.check.skip = true;  // the stores below take the servers over; checked at the end
    f.store.reset();
    f.settings.record_renewals = true;
    std::atomic<std::size_t> at_work = stores;
    std::vector<std::thread> writers;
    for (std::size_t s = 0; s < stores; ++s)
        writers.emplace_back([&, s] {
            const auto store = open_store(f.settings);
            const auto own = std::span(f.specs).subspan(s * servers_each, servers_each);
            const auto resume = store->open_servers(own, "writer " + std::to_string(s));
            std::mt19937 die(static_cast<unsigned>(s));
            std::vector<std::uint64_t> numbers(servers_each, 0);
            for (int i = 0; i < 80; ++i) {
                const auto which = die() % servers_each;
                auto batch = f.batch();
                batch.server = resume[which].id;
                batch.number = ++numbers[which];
                batch.now = utc(1000 + i);
                for (auto left = die() % 20; left > 0; --left) {
                    auto change = lease(static_cast<int>(die() % 30), 100 + i);
                    change.binding.client_id = id("client " + std::to_string(die() % 3));
                    change.binding.expires_at = at(1000 + i + static_cast<int>(die() % 5));
                    batch.changes.push_back(std::move(change));
                }
                if (die() % 5 == 0) batch.reconcile = everything(static_cast<std::uint64_t>(i), 90 + i);
                store->apply(batch);
                if (die() % 3 == 0) store->sweep(batch.now, 50);
            }
            --at_work;
        });

    pqxx::connection session(f.engine->settings().url);
    pqxx::nontransaction look(session);
    look.exec("SET search_path TO " + f.engine->settings().schema);
    std::vector<std::int64_t> seen;
    std::int64_t cursor = 0;
    int looks = 0;
    for (bool last_look = false;; ++looks) {
        const bool done = at_work == 0;  // asked before the look: what it does not see is not there
        const auto part =
            look.exec("SELECT seq FROM binding_change WHERE seq > " + std::to_string(cursor) + " ORDER BY seq");
        for (const auto& row : part)
            seen.push_back(cursor = row[0].as<std::int64_t>());
        if (last_look) break;
        last_look = done;
    }
    for (auto& writer : writers)
        writer.join();
    std::vector<std::int64_t> all;
    for (const auto& row : look.exec("SELECT seq FROM binding_change ORDER BY seq"))
        all.push_back(row[0].as<std::int64_t>());
    CHECK(all.size() > 3000);
    CHECK(seen == all);
    CHECK(looks > 10);
    HistoryCheck check;
    CHECK(faults_of_history(*f.engine, check) == Rows{});
}
