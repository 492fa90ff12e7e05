// How fast the PostgreSQL store takes changes, against bare baselines in the same run and the same server, in
// transactions of the same size: the same rows by COPY into a table without any index, and into one with the indexes of
// `binding`; the same renewals by COPY into a temporary table and one UPDATE from there.
//
//   postgres_bench URL [rows = 200000] [fillfactor of binding]
//
// in a schema of its own, which it removes. A server to try it on: tests/postgres/server.sh start DIR.
#include "storage/opening.hpp"
#include "storage/store.hpp"

#include <unistd.h>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <pqxx/pqxx>
#include <string>
#include <thread>
#include <vector>

using namespace leasemirror;

namespace {

constexpr std::size_t batch_rows = 2000;
constexpr std::int64_t start_time = 1'700'000'000;

/// Odd constants spread the identifiers: clients do not come in the order of their addresses.
std::uint64_t mixed(std::uint64_t n) {
    n = (n ^ (n >> 31)) * 0x7fb5d329728ea185ULL;
    return (n ^ (n >> 27)) * 0x81dadef4bc2dd44dULL;
}

Bytes octets(std::uint64_t value, std::size_t n, std::initializer_list<std::uint8_t> head = {}) {
    Bytes out(head);
    for (std::size_t i = 0; i < n; ++i)
        out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    return out;
}

void fill(Binding& out, std::uint64_t n, std::int64_t at) {
    const auto client = mixed(n);
    out.key.address = IpAddress::v4(0x0a000000U + static_cast<std::uint32_t>(n));
    out.key.prefix_len = 32;
    out.client_id = octets(client, 6, {1});
    out.hw_type = 1;
    out.hw_addr = octets(client, 6);
    out.client_last_seen = server_time_from_unix(at - 5);
    out.state_since = server_time_from_unix(start_time - 100);
    out.expires_at = server_time_from_unix(at + 86400);
    out.renew_at = server_time_from_unix(at + 43200);
    out.relay_address = IpAddress::v4(0x0aff0000U + static_cast<std::uint32_t>(n / 1000));
    out.relay_id = octets(n / 1000, 6, {0, 3, 0, 1});
    out.remote_id = octets(mixed(n / 2), 8);
    out.circuit_id = octets(n % 48, 4);
    out.hostname = "host-" + std::to_string(n);
    out.base_time = server_time_from_unix(at);
    out.via = Via::bulk;
}

/// Processor time of the sessions of this program in the server, where that is on this host: says more than the time
/// that went by where the machine is not idle.
double server_cpu_seconds(pqxx::connection& session) {
    pqxx::work transaction(session);
    const auto pids = transaction.exec("SELECT pid FROM pg_stat_activity WHERE datname = current_database()");
    double ticks = 0;
    for (const auto& row : pids) {
        std::ifstream file(std::string("/proc/") + row[0].c_str() + "/stat");
        std::string field;
        for (int i = 1; file >> field; ++i)
            if (i == 14 || i == 15) ticks += std::atof(field.c_str());
    }
    return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

struct Cost {
    double seconds = 0, client_cpu = 0, server_cpu = 0;
};

class Meter {
public:
    explicit Meter(pqxx::connection& session) : session_(session) {}
    Cost of(const auto& work) {
        const auto server = server_cpu_seconds(session_);
        const auto cpu = std::clock();
        const auto began = std::chrono::steady_clock::now();
        work();
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began;
        return {passed.count(), static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC,
                server_cpu_seconds(session_) - server};
    }

private:
    pqxx::connection& session_;
};

Cost report(const char* what, std::size_t rows, const Cost& cost) {
    std::printf("%-42s %8.0f rows/s  (%zu in %.2f s; CPU here %.2f s, of the server %.2f s)\n", what,
                static_cast<double>(rows) / cost.seconds, rows, cost.seconds, cost.client_cpu, cost.server_cpu);
    std::fflush(stdout);
    return cost;
}

void report_ratio(const char* what, const Cost& bare, const Cost& store) {
    std::printf("%-42s %8.2f  by all processor time %.2f\n", what, bare.seconds / store.seconds,
                (bare.client_cpu + bare.server_cpu) / (store.client_cpu + store.server_cpu));
}

using Line = std::array<std::string, 27>;

const std::vector<std::string> columns{
    "binding_id", "server_id",     "vpn_id",     "kind",      "address",          "prefix_len",  "family",
    "state",      "client_id",     "hw_type",    "hw_addr",   "client_last_seen", "state_since", "expires_at",
    "renew_at",   "relay_address", "relay_id",   "remote_id", "circuit_id",       "hostname",    "data_source",
    "base_time",  "via",           "updated_at", "epoch",     "seen_run",         "scope"};

std::string time_text(std::int64_t at) {
    const auto time = static_cast<std::time_t>(at);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S+00", std::gmtime(&time));
    return text;
}

Line line_of(std::uint64_t n, std::int64_t at) {
    Binding b;
    fill(b, n, at);
    const auto hex = [](const Bytes& bytes) { return "\\x" + to_hex(bytes); };
    return {std::to_string(n + 1),
            "1",
            "",
            "address",
            b.key.address.to_string(),
            "32",
            "v4",
            "active",
            hex(b.client_id),
            "1",
            to_hex(b.hw_addr, ':'),
            time_text(at - 5),
            time_text(start_time - 100),
            time_text(at + 86400),
            time_text(at + 43200),
            b.relay_address->to_string(),
            hex(b.relay_id),
            hex(b.remote_id),
            hex(b.circuit_id),
            b.hostname,
            "local",
            time_text(at),
            "bulk",
            time_text(at),
            "0",
            "1",
            "7"};
}

void copy(pqxx::work& transaction, const std::string& table, const std::vector<Line>& lines) {
#if PQXX_VERSION_MAJOR < 7
    pqxx::stream_to stream(transaction, table, columns);
#else
    std::string names;
    for (const auto& column : columns)
        names += (names.empty() ? "" : ",") + column;
    auto stream = pqxx::stream_to::raw_table(transaction, table, names);
#endif
    for (const auto& line : lines)
        stream << line;
    stream.complete();
}

void bare_copy(pqxx::connection& session, const std::string& table, std::size_t rows) {
    for (std::size_t n = 0; n < rows;) {
        std::vector<Line> lines;
        for (const auto end = std::min(rows, n + batch_rows); n < end; ++n)
            lines.push_back(line_of(n, start_time));
        pqxx::work transaction(session);
        copy(transaction, table, lines);
        transaction.commit();
    }
}

std::string value(pqxx::connection& session, const std::string& sql) {
    pqxx::work transaction(session);
    const auto answer = transaction.exec(sql);
    transaction.commit();
    return answer[0][0].c_str();
}

/// The columns that a renewal changes, and no other.
void bare_update(pqxx::connection& session, const std::string& table, std::size_t rows, std::int64_t at) {
    value(session, "CREATE TEMP TABLE staging (LIKE " + table + ") ON COMMIT DELETE ROWS; SELECT 1");
    for (std::size_t n = 0; n < rows;) {
        std::vector<Line> lines;
        for (const auto end = std::min(rows, n + batch_rows); n < end; ++n)
            lines.push_back(line_of(mixed(n) % rows, at));
        pqxx::work transaction(session);
        copy(transaction, "staging", lines);
        transaction.exec("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; UPDATE " + table +
                         " AS b SET client_last_seen = s.client_last_seen, expires_at = s.expires_at, renew_at = "
                         "s.renew_at, base_time = s.base_time, updated_at = s.updated_at, via = 'active' "
                         "FROM staging AS s WHERE b.server_id = s.server_id AND b.binding_id = s.binding_id");
        transaction.commit();
    }
}

/// All rows once: as a full bulk lists them, from its beginning to its reconciliation, or (run 0) as live updates.
void run_store(Store& store, ServerId server, std::size_t rows, std::int64_t at, std::uint64_t run,
               std::size_t offset = 0) {
    Batch batch;
    batch.server = server;
    if (run != 0) batch.begin_run = run;
    for (std::size_t n = 0; n < rows;) {
        batch.changes.clear();
        for (const auto end = std::min(rows, n + batch_rows); n < end; ++n) {
            auto& change = batch.changes.append();
            fill(change.binding, offset + (run == 0 ? mixed(n) % rows : n), at);
            change.binding.via = run == 0 ? Via::active : Via::bulk;
            change.run = run;
            change.scope = run != 0 ? 7 : 0;
        }
        batch.now = UtcSeconds{std::chrono::seconds{at}};
        batch.base_time = server_time_from_unix(at);
        if (n == rows && run != 0)
            batch.reconcile =
                Reconcile{.run = run, .listed_from = server_time_from_unix(at), .everything = true, .scopes = {}};
        store.apply(batch);
        batch.begin_run.reset();
    }
}

/// The share of updates that touched no index, since the last time.
void report_hot(pqxx::connection& session) {
    static double updates = 0, hot = 0;
    value(session,
          "SELECT pg_sleep(1.5)::text");  // another session's figures arrive when it has been idle for a moment
    pqxx::work look(session);
    const auto answer = look.exec(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables "
        "WHERE relname = 'binding' AND schemaname = current_schema()");
    const double updates_now = std::atof(answer[0][0].c_str()), hot_now = std::atof(answer[0][1].c_str());
    if (updates_now > updates)
        std::printf("%-42s %8.1f %%\n", "    heap-only updates", 100 * (hot_now - hot) / (updates_now - updates));
    updates = updates_now;
    hot = hot_now;
}

void run_parallel(const StoreSettings& settings, std::size_t rows) {
    constexpr std::size_t writers = 4;
    std::vector<std::thread> threads;
    for (std::size_t w = 0; w < writers; ++w)
        threads.emplace_back([&, w] {
            const auto store = open_store(settings);
            const ServerSpec spec{"parallel " + std::to_string(w), Family::v4, "nowhere"};
            const auto server = store->open_servers(std::span(&spec, 1), "bench").at(0).id;
            run_store(*store, server, rows / writers, start_time, 1, w * rows);
        });
    for (auto& thread : threads)
        thread.join();
}

void run(const StoreSettings& settings, pqxx::connection& session, std::size_t rows, const std::string& fillfactor) {
    auto store = open_store(settings);
    value(session, "SELECT set_config('search_path', '" + settings.schema + "', false)");
    if (!fillfactor.empty()) value(session, "ALTER TABLE binding SET (fillfactor = " + fillfactor + "); SELECT 1");
    value(session,
          "CREATE TABLE bare (LIKE binding INCLUDING GENERATED); CREATE TABLE indexed (LIKE binding INCLUDING ALL); "
          "SELECT 1");
    Meter cost(session);
    const auto bare = report("bare: COPY, no index", rows, cost.of([&] { bare_copy(session, "bare", rows); }));
    const auto indexed =
        report("bare: COPY, the indexes of binding", rows, cost.of([&] { bare_copy(session, "indexed", rows); }));
    const ServerSpec spec{"bench", Family::v4, "nowhere"};
    const auto server = store->open_servers(std::span(&spec, 1), "bench").at(0).id;
    const auto fresh =
        report("store: first load, full bulk", rows, cost.of([&] { run_store(*store, server, rows, start_time, 1); }));
    report_ratio("    ratio to bare COPY", bare, fresh);
    report_ratio("    ratio to bare COPY with indexes", indexed, fresh);
    const auto updated = report("bare: COPY and UPDATE, random order", rows,
                                cost.of([&] { bare_update(session, "indexed", rows, start_time + 300); }));
    report_hot(session);
    const auto renewed = report("store: renewals, random order", rows,
                                cost.of([&] { run_store(*store, server, rows, start_time + 300, 0); }));
    report_ratio("    ratio to bare COPY and UPDATE", updated, renewed);
    report_hot(session);
    for (std::uint64_t round = 2; round <= 3; ++round) {
        const auto at = start_time + 300 * static_cast<std::int64_t>(round);
        report("store: listed again by a full bulk", rows,
               cost.of([&] { run_store(*store, server, rows, at, round); }));
        report_hot(session);
    }
    report("expiry sweep, nothing due", rows, cost.of([&] {
        while (!store->sweep(UtcSeconds{std::chrono::seconds{start_time + 3000}}, 10'000).around) {
        }
    }));
    Batch end;
    end.server = server;
    end.now = UtcSeconds{std::chrono::seconds{start_time + 4000}};
    end.reconcile =
        Reconcile{.run = 9, .listed_from = server_time_from_unix(start_time + 4000), .everything = true, .scopes = {}};
    report("reconcile, everything ends", rows, cost.of([&] { store->apply(end); }));
    store.reset();
    report("store: first load, 4 writers", rows, cost.of([&] { run_parallel(settings, rows); }));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: postgres_bench URL [rows] [fillfactor]\n");
        return 2;
    }
    StoreSettings settings;
    settings.url = argv[1];
    settings.schema = "bench_" + std::to_string(::getpid());
    pqxx::connection session(settings.url);
    run(settings, session, argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 200'000ULL, argc > 3 ? argv[3] : "");
    value(session, "DROP SCHEMA " + settings.schema + " CASCADE; SELECT 1");
}
