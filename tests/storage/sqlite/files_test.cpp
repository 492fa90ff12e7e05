// What can be wrong with a SQLite file, and who may open it beside whom.
#include "storage/opening.hpp"
#include "storage/reader.hpp"
#include "storage/sqlite/store.hpp"
#include "storage/store.hpp"
#include "storage/store_error.hpp"

#include "tests/storage/test_store.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <doctest/doctest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fstream>
#include <functional>

using namespace leasemirror;
using namespace leasemirror::testing;

namespace {

const EngineFactory& sqlite() {
    return engines().at(0);
}

struct Fault {
    StoreFault fault;
    std::string what;
};
Fault fault_of(const std::function<void()>& work) {
    try {
        work();
    } catch (const StoreError& e) {
        return {e.fault(), e.what()};
    }
    FAIL("no StoreError");
    return {};
}

bool says(const Fault& fault, std::string_view text) {
    return fault.what.find(text) != std::string::npos;
}

std::string contents(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Without the rights of root for as long as it lives: permissions are not checked for root.
class Unprivileged {
public:
    Unprivileged() {
        if (::geteuid() == 0) dropped_ = ::seteuid(65534) == 0;
    }
    ~Unprivileged() {
        if (dropped_) static_cast<void>(::seteuid(0));
    }

private:
    bool dropped_ = false;
};

StoreSettings at_path(const std::string& path) {
    StoreSettings out;
    out.url = "sqlite://" + path;
    return out;
}

std::vector<ServerOverview> overview_of(const std::string& path) {
    return open_reader(at_path(path))->servers();
}

constexpr SqliteTuning impatient{.busy_timeout = std::chrono::milliseconds{1}};

std::vector<ResumePoint> open_one(Store& store) {
    const ServerSpec spec{"east", Family::v4, "x"};
    return store.open_servers(std::span(&spec, 1), "test");
}

}  // namespace

TEST_CASE("a file that is not a database is refused and left as it is") {
    const TempDir dir;
    const auto path = dir.path() / "x.db";
    std::ofstream(path) << std::string(5000, 'x');
    const auto before = contents(path);
    const auto fault = fault_of([&] { static_cast<void>(open_sqlite_store(at_path(path))); });
    CHECK(fault.fault == StoreFault::unusable);
    CHECK(says(fault, path.string()));
    CHECK(fault_of([&] { overview_of(path); }).fault == StoreFault::unusable);
    CHECK(contents(path) == before);
}

TEST_CASE("a database of somebody else is refused and never touched") {
    const TempDir dir;
    const auto path = (dir.path() / "x.db").string();
    { SQLite::Database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec("CREATE TABLE mine (a)"); }
    const auto before = contents(path);
    for (const auto& fault :
         {fault_of([&] { static_cast<void>(open_sqlite_store(at_path(path))); }), fault_of([&] { overview_of(path); }),
          fault_of([&] { static_cast<void>(sqlite_schema_version(path)); }),
          fault_of([&] { migrate_sqlite_schema(path); })}) {
        CHECK(fault.fault == StoreFault::unusable);
        CHECK(says(fault, "not a leasemirror database"));
    }
    CHECK(contents(path) == before);
    CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("a database of a newer leasemirror is refused, and says of which version it is") {
    const TempDir dir;
    const auto path = (dir.path() / "x.db").string();
    open_sqlite_store(at_path(path)).reset();
    { SQLite::Database(path, SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 99"); }
    for (const auto& fault : {fault_of([&] { static_cast<void>(open_sqlite_store(at_path(path))); }),
                              fault_of([&] { overview_of(path); })}) {
        CHECK(fault.fault == StoreFault::unusable);
        CHECK(says(fault, "99"));
    }
}

TEST_CASE("migrating creates the schema once, and the version tells") {
    const TempDir dir;
    const auto settings = at_path((dir.path() / "x.db").string());
    CHECK(schema_version(settings).found == 0);
    CHECK(fault_of([&] { overview_of((dir.path() / "x.db").string()); }).fault == StoreFault::unavailable);
    const int known = schema_version(settings).known;
    CHECK(known >= 1);
    CHECK(migrate_schema(settings) == known);
    CHECK(schema_version(settings).found == known);
    const auto store = open_store(settings);
    CHECK(migrate_schema(settings) == known);  // nothing to do: works beside a running agent
    CHECK(schema_sql(settings).find("CREATE TABLE binding (") != std::string::npos);
}

TEST_CASE("the schema as it is printed makes a database that is accepted") {
    const TempDir dir;
    const auto path = (dir.path() / "x.db").string();
    { SQLite::Database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec(schema_sql(at_path("/x"))); }
    CHECK(open_one(*open_sqlite_store(at_path(path))).size() == 1);
}

TEST_CASE("a new database is for its owner, and for a group to read; one that is there keeps its mode") {
    using std::filesystem::perms;
    const TempDir dir;
    const auto path = dir.path() / "leases.db";
    const auto settings = at_path(path.string());
    const auto mode = [&](const char* suffix) {
        return std::filesystem::status(path.string() + suffix).permissions() & perms::all;
    };
    auto store = open_store(settings);
    open_one(*store);
    const auto others = perms::others_all | perms::group_write | perms::group_exec;
    for (const char* suffix : {"", "-wal", "-shm"})
        CHECK((mode(suffix) & others) == perms::none);
    CHECK((mode("") & (perms::owner_read | perms::owner_write)) == (perms::owner_read | perms::owner_write));
    store.reset();
    const auto wide = perms::owner_read | perms::owner_write | perms::group_read | perms::others_read;
    std::filesystem::permissions(path, wide);
    store = open_store(settings);
    CHECK(mode("") == wide);
}

TEST_CASE("a directory is no database, whoever opens it, and nothing is made beside it") {
    const TempDir dir;
    const auto path = (dir.path() / "leases").string();
    std::filesystem::create_directory(path);
    for (const auto& open : std::vector<std::function<void()>>{
             [&] { (void)open_store(at_path(path)); }, [&] { (void)open_reader(at_path(path)); },
             [&] { (void)inspect_store(at_path(path)); }, [&] { (void)migrate_schema(at_path(path)); }}) {
        const auto fault = fault_of(open);
        CHECK(fault.fault == StoreFault::unusable);
        CHECK(says(fault,
                   path + " is a directory; storage.url must name a file, such as sqlite://" + path + "/leases.db"));
    }
    CHECK_FALSE(std::filesystem::exists(path + ".lock"));
}

TEST_CASE("a database in a directory that is missing cannot be used, whoever opens it, and the directory is named") {
    const auto settings = at_path("/nonexistent/leases.db");
    for (const auto& open : std::vector<std::function<void()>>{
             [&] { (void)open_store(settings); }, [&] { (void)open_reader(settings); },
             [&] { (void)inspect_store(settings); }, [&] { (void)migrate_schema(settings); }}) {
        const auto fault = fault_of(open);
        CHECK(fault.fault == StoreFault::unusable);
        CHECK(says(fault, "there is no directory /nonexistent for the database; create it, or correct storage.url"));
    }
}

TEST_CASE("a URL of no engine is unusable and does not show a password") {
    for (const char* url : {"mysql://u:secret@h/db", "sqlite://", "leases.db"}) {
        StoreSettings settings;
        settings.url = url;
        settings.password = "secret";
        const auto fault = fault_of([&] { static_cast<void>(open_store(settings)); });
        CHECK(fault.fault == StoreFault::unusable);
        CHECK_FALSE(says(fault, "secret"));
    }
}

TEST_CASE("a second agent on the same host is refused, with the process that has it") {
    const TempDir dir;
    const auto path = (dir.path() / "x.db").string();
    auto first = open_sqlite_store(at_path(path));
    const auto fault = fault_of([&] { static_cast<void>(open_sqlite_store(at_path(path))); });
    CHECK(fault.fault == StoreFault::unavailable);
    CHECK(says(fault, "process " + std::to_string(::getpid())));
    first.reset();
    CHECK(open_sqlite_store(at_path(path)) != nullptr);
}

TEST_CASE("a database that another program writes to is unavailable, and the same batch goes in later") {
    const TempDir dir;
    const auto path = (dir.path() / "x.db").string();
    const auto store = open_sqlite_store(at_path(path), impatient);
    Batch batch;
    batch.server = open_one(*store)[0].id;
    batch.changes.push_back(told("10.0.0.1", 20));
    {
        SQLite::Database other(path, SQLite::OPEN_READWRITE);
        SQLite::Transaction writing(other, SQLite::TransactionBehavior::IMMEDIATE);
        const auto fault = fault_of([&] { store->apply(batch); });
        CHECK(fault.fault == StoreFault::unavailable);
        CHECK(says(fault, "locked"));
    }
    CHECK(store->apply(batch).stored == 1);
}

TEST_CASE("a full database is unavailable, keeps what it had, and takes nothing of the batch") {
    const TempDir dir;
    const auto path = (dir.path() / "x.db").string();
    const auto store = open_sqlite_store(at_path(path), {.pages_max = 40});
    Batch batch;
    batch.server = open_one(*store)[0].id;
    batch.changes.push_back(told("10.0.0.1", 20));
    store->apply(batch);
    batch.changes.clear();
    batch.base_time = at(30);
    for (int i = 0; i < 5000; ++i)
        batch.changes.push_back(told("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250), 30));
    const auto fault = fault_of([&] { store->apply(batch); });
    CHECK(fault.fault == StoreFault::unavailable);
    CHECK(says(fault, "full"));
    const auto overview = overview_of(path);
    CHECK(overview[0].bindings == 1);
    CHECK_FALSE(overview[0].base_time);
    batch.changes.clear();
    CHECK(store->apply(batch).stored == 0);
    CHECK(overview_of(path)[0].base_time == at(30));
}

TEST_CASE("a database that this user may not write to is unavailable, but can be read") {
    const TempDir dir;
    const auto path = (dir.path() / "x.db").string();
    open_one(*open_sqlite_store(at_path(path)));
    for (const auto& file : std::filesystem::directory_iterator(dir.path()))
        std::filesystem::permissions(file.path(), std::filesystem::perms{0444});
    std::filesystem::permissions(dir.path(), std::filesystem::perms{0555});
    {
        const Unprivileged nobody;
        const auto fault = fault_of([&] { static_cast<void>(open_sqlite_store(at_path(path))); });
        CHECK(fault.fault == StoreFault::unavailable);
        CHECK(says(fault, "ermi"));
        CHECK(overview_of(path).size() == 1);
    }
    std::filesystem::permissions(dir.path(), std::filesystem::perms{0755});
}

TEST_CASE("a file that was removed or replaced under the agent is noticed") {
    Fixture f(sqlite());
    f.check.skip = true;
    const auto path = f.engine->settings().url.substr(9);
    std::filesystem::rename(path, path + ".old");
    CHECK(fault_of([&] { f.apply({told("10.0.0.1", 20)}); }).fault == StoreFault::unusable);
}

TEST_CASE("a reader with an open transaction holds up no writer, and sees one moment") {
    Fixture f(sqlite());
    f.apply({told("10.0.0.1", 20)});
    SQLite::Database reader(f.engine->settings().url.substr(9), SQLite::OPEN_READONLY);
    SQLite::Transaction snapshot(reader);
    const auto count = [&] { return reader.execAndGet("SELECT count(*) FROM lease").getInt(); };
    CHECK(count() == 1);
    for (int i = 2; i < 10; ++i)
        f.apply({told("10.0.0." + std::to_string(i), 20)});
    CHECK(count() == 1);
    snapshot.commit();
    CHECK(count() == 9);
}

TEST_CASE("a reader in another process does not wait for a writer in the middle of a transaction") {
    Fixture f(sqlite());
    f.apply({told("10.0.0.1", 20)});
    const auto path = f.engine->settings().url.substr(9);
    SQLite::Database writer(path, SQLite::OPEN_READWRITE);
    SQLite::Transaction writing(writer, SQLite::TransactionBehavior::IMMEDIATE);
    writer.exec("UPDATE binding SET state = 'released', end_reason = 'reported'");
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int found = -1;
        try {
            SQLite::Database reader(path, SQLite::OPEN_READONLY);  // no busy timeout: it would fail, not wait
            found = reader.execAndGet("SELECT count(*) FROM lease").getInt();
        } catch (const std::exception&) {
        }
        ::_exit(found == 1 ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("the log beside the database shrinks again once a reader that held it up has ended") {
    const TempDir dir;
    const auto path = (dir.path() / "x.db").string();
    const auto store = open_sqlite_store(
        at_path(path),
        {.checkpoint_frames = 50, .checkpoint_force_frames = 200, .checkpoint_wait = std::chrono::milliseconds{1}});
    Batch batch;
    batch.server = open_one(*store)[0].id;
    const auto log_bytes = [&] { return std::filesystem::file_size(path + "-wal"); };
    const auto write = [&](int from, int to) {
        for (int i = from; i < to; ++i) {
            batch.changes.clear();
            batch.changes.push_back(told("10.0.0." + std::to_string(i % 200), 20 + i));
            store->apply(batch);
        }
    };
    constexpr std::uintmax_t few = 300U * 4096U;
    write(0, 200);
    CHECK(log_bytes() < few);
    {
        SQLite::Database db(path, SQLite::OPEN_READONLY);
        SQLite::Statement reading(db, "SELECT * FROM binding");
        reading.executeStep();
        write(200, 600);
        CHECK(log_bytes() > few);
    }
    write(600, 700);
    CHECK(log_bytes() < few);
}
