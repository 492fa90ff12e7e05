// How fast the SQLite store takes changes, against a bare baseline in the same run: the same rows INSERTed by a
// prepared statement into a table without any index, in transactions of the same size.
//
//   store_bench [rows = 200000] [directory = /tmp]
#include "storage/sqlite/store.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

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

double cpu_seconds = 0;  // of what seconds_of() measured last: says more than the time where the machine is not idle

double seconds_of(const auto& work) {
    const auto began = std::chrono::steady_clock::now();
    const auto cpu = std::clock();
    work();
    cpu_seconds = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

double report(const char* what, std::size_t rows, double seconds) {
    const double rate = static_cast<double>(rows) / seconds;
    std::printf("%-34s %9.0f changes/s  (%zu in %.2f s, CPU %.2f s)\n", what, rate, rows, seconds, cpu_seconds);
    std::fflush(stdout);
    return rate;
}

/// The baseline: everything that the store would write, ready to be bound.
double run_bare(const std::string& path, std::size_t rows) {
    SQLite::Database db(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE | SQLite::OPEN_NOMUTEX);
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384");
    db.exec("PRAGMA wal_autocheckpoint = 8192; PRAGMA secure_delete = FAST");
    std::string columns = "c1", marks = "?1";
    for (int i = 2; i <= 34; ++i) {
        columns += ", c" + std::to_string(i);
        marks += ", ?" + std::to_string(i);
    }
    db.exec("CREATE TABLE bare (id INTEGER PRIMARY KEY, " + columns + ")");
    SQLite::Statement insert(db, "INSERT INTO bare (" + columns + ") VALUES (" + marks + ")");
    Binding row;
    const auto blob = [&](int at, const Bytes& value) {
        insert.bindNoCopy(at, value.data(), static_cast<int>(value.size()));
    };
    return seconds_of([&] {
        for (std::size_t n = 0; n < rows;) {
            SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
            for (std::size_t end = std::min(rows, n + batch_rows); n < end; ++n) {
                fill(row, n, start_time);
                const auto address = row.key.address.to_string(), relay = row.relay_address->to_string();
                const auto sortable = row.key.address.sortable();
                const auto hw_addr = to_hex(row.hw_addr, ':');
                int at = 0;
                for (const std::int64_t number :
                     {std::int64_t{1}, std::int64_t{32}, std::int64_t{1}, unix_seconds(*row.client_last_seen),
                      unix_seconds(*row.state_since), unix_seconds(*row.expires_at), unix_seconds(*row.renew_at),
                      unix_seconds(row.base_time), start_time})
                    insert.bind(++at, number);
                for (const char* word : {"", "address", "v4", "active", "local", "bulk"})
                    insert.bindNoCopy(++at, word);
                insert.bindNoCopy(++at, address);
                insert.bindNoCopy(++at, sortable.data(), 16);
                insert.bindNoCopy(++at, relay);
                insert.bindNoCopy(++at, hw_addr);
                insert.bindNoCopy(++at, row.hostname);
                blob(++at, row.client_id);
                blob(++at, row.relay_id);
                blob(++at, row.remote_id);
                blob(++at, row.circuit_id);
                insert.exec();
                insert.reset();
            }
            transaction.commit();
        }
    });
}

/// All rows once: as a full bulk lists them, from its beginning to its reconciliation, or (run 0) as live updates.
double run_store(Store& store, ServerId server, std::size_t rows, std::int64_t at, Via via, std::uint64_t run) {
    Batch batch;
    batch.server = server;
    if (run != 0) batch.begin_run = run;
    return seconds_of([&] {
        for (std::size_t n = 0; n < rows;) {
            const auto end = std::min(rows, n + batch_rows);
            batch.changes.clear();
            for (; n < end; ++n) {
                auto& change = batch.changes.append();
                fill(change.binding, via == Via::active ? mixed(n) % rows : n, at);
                change.binding.via = via;
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
    });
}

long resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:")) return std::strtol(line.c_str() + 6, nullptr, 10);
    return 0;
}

double query_seconds(const std::string& path, const char* sql) {
    SQLite::Database db(path, SQLite::OPEN_READONLY);
    SQLite::Statement statement(db, sql);
    return seconds_of([&] {
        while (statement.executeStep()) {
        }
    });
}

}  // namespace

int main(int argc, char** argv) {
    const auto rows = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200'000ULL;
    std::string pattern = std::string(argc > 2 ? argv[2] : "/tmp") + "/store_bench.XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) return 1;
    const std::string bare_path = pattern + "/bare.db", path = pattern + "/store.db";

    const double bare = report("bare: INSERT without indexes", rows, run_bare(bare_path, rows));
    {
        StoreSettings settings;
        settings.url = "sqlite://" + path;
        auto store = open_sqlite_store(settings);
        const ServerSpec spec{"bench", Family::v4, "nowhere"};
        const auto server = store->open_servers(std::span(&spec, 1), "bench").at(0).id;
        const double fresh =
            report("store: fresh, full bulk", rows, run_store(*store, server, rows, start_time, Via::bulk, 1));
        std::printf("%-34s %9.2f\n", "ratio fresh / bare", fresh / bare);
        report("store: listed again", rows, run_store(*store, server, rows, start_time + 300, Via::bulk, 2));
        const double renewed = report("store: renewals in random order", rows,
                                      run_store(*store, server, rows, start_time + 600, Via::active, 0));
        std::printf("%-34s %9.2f\n", "ratio renewals / bare", renewed / bare);

        Batch end;
        end.server = server;
        end.now = UtcSeconds{std::chrono::seconds{start_time + 900}};
        end.reconcile = Reconcile{
            .run = 2, .listed_from = server_time_from_unix(start_time + 300), .everything = true, .scopes = {}};
        std::printf("%-34s %9.3f s\n", "reconcile, nothing to end", seconds_of([&] { store->apply(end); }));
        std::size_t steps = 0;
        const double sweep = seconds_of([&] {
            do
                ++steps;
            while (!store->sweep(end.now, 10'000).around);
        });
        std::printf("%-34s %9.3f s in %zu steps\n", "expiry sweep, nothing due", sweep, steps);
        std::printf("%-34s %9ld KiB\n", "largest resident size", resident_kib());
        std::printf("%-34s %9ju KiB\n", "log beside the database",
                    static_cast<std::uintmax_t>(std::filesystem::file_size(path + "-wal") / 1024));
        end.reconcile = Reconcile{
            .run = 3, .listed_from = server_time_from_unix(start_time + 900), .everything = true, .scopes = {}};
        end.now = UtcSeconds{std::chrono::seconds{start_time + 1000}};
        std::printf("%-34s %9.3f s\n", "all columns of all rows, as text",
                    query_seconds(path, "SELECT * FROM binding_overview"));
        std::printf("%-34s %9.3f s\n", "reconcile, everything ends", seconds_of([&] { store->apply(end); }));
    }
    std::filesystem::remove_all(pattern);
}
