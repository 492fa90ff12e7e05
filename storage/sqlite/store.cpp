#include "storage/sqlite/store.hpp"

#include "storage/sqlite/changes.hpp"
#include "storage/sqlite/clock.hpp"
#include "storage/sqlite/endings.hpp"
#include "storage/sqlite/error.hpp"
#include "storage/sqlite/file_lock.hpp"
#include "storage/sqlite/gaps.hpp"
#include "storage/sqlite/heartbeat.hpp"
#include "storage/sqlite/loading.hpp"
#include "storage/sqlite/orders.hpp"
#include "storage/sqlite/retention.hpp"
#include "storage/sqlite/servers.hpp"

#include <SQLiteCpp/Transaction.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <cassert>
#include <type_traits>

namespace leasemirror {
namespace {

constexpr const char* duid_sql = "SELECT value FROM meta WHERE name = 'requestor_duid'";
constexpr const char* keep_duid_sql =
    "INSERT INTO meta (name, value) VALUES ('requestor_duid', ?1) ON CONFLICT DO NOTHING";

constexpr const char* sweep_bound_sql = R"sql(
    SELECT max(binding_id), count(*) FROM
        (SELECT binding_id FROM binding WHERE binding_id > ?1 ORDER BY binding_id LIMIT ?2))sql";

class SqliteStore final : public Store {
public:
    SqliteStore(const std::string& path, const StoreSettings& settings, const SqliteTuning& tuning)
        : path_(path),
          lock_(path),
          db_(open_for_writing(path, tuning)),
          file_(file_at_path()),
          wal_(db_, tuning),
          servers_(db_),
          first_load_(db_),
          changes_(db_, ledger_settings(settings)),
          clock_(db_),
          endings_(db_),
          retention_(db_, settings.retention),
          gaps_(db_),
          quarantine_(db_),
          sweep_bound_(db_, sweep_bound_sql) {}

    std::vector<ResumePoint> open_servers(std::span<const ServerSpec> servers, const std::string& owner) override {
        auto opened = in_transaction("take over the servers", [&] {
            auto out = servers_.take_over(servers, owner);
            for (auto& resume : out)
                if (resume.doubts_open > 0) resume.doubts = changes_.in_doubt(resume.id);
            return out;
        });
        changes_.opened(opened);
        return opened;
    }

    void beat(const Heartbeat& heartbeat) override {
        in_transaction("give a sign of life", [&] { write_heartbeat(db_, heartbeat); });
    }

    void release_servers(std::span<const std::string> names) override {
        const auto given_up = in_transaction("give up servers", [&] { return servers_.release(names); });
        servers_.released(given_up);
        for (const auto server : given_up)
            endings_.marks().forget(server);
    }

    void disable_servers_except(std::span<const std::string> names) override {
        in_transaction("disable the other servers", [&] { servers_.disable_except(names); });
    }

    Applied apply(const Batch& batch) override {
        auto applied = apply_with_care([&](Care care) {
            return in_transaction("apply a batch", [&] { return apply_in_transaction(batch, care); });
        });
        servers_.committed(batch);
        endings_.marks().committed(batch);
        return applied;
    }

    using Store::sweep;
    Swept sweep(UtcSeconds now, std::size_t rows, std::span<const ServerId> held) override;

    Bytes requestor_duid(ByteView proposal) override {
        return in_transaction("keep the requestor's DUID", [&] {
            SQLite::Statement keep(db_, keep_duid_sql);
            Use kept(keep);
            kept.bytes(1, proposal);
            kept.run();
            SQLite::Statement read(db_, duid_sql);
            Use use(read);
            use.step();
            return use.bytes(0);
        });
    }

private:
    struct FileIdentity {
        dev_t device = 0;
        ino_t inode = 0;
        bool operator==(const FileIdentity&) const = default;
    };

    Applied apply_in_transaction(const Batch& batch, Care care);
    Tally apply_changes(const BatchContext& context, const Batch& batch, Care care, Applied& applied);
    void sweep_bindings(UtcSeconds now, std::size_t rows, std::span<const ServerId> held, Swept& out);

    [[nodiscard]] FileIdentity file_at_path() const {
        struct stat info {};
        return ::stat(path_.c_str(), &info) == 0 ? FileIdentity{info.st_dev, info.st_ino} : FileIdentity{};
    }

    /// On Linux we could go on writing for days to a file that no path leads to any more.
    void require_same_file() const {
        if (file_at_path() == file_) return;
        throw StoreError(StoreFault::unusable, path_ +
                                                   " was removed or replaced while it was in use here; restart "
                                                   "leasemirror to go on with the file that is there now");
    }

    template <class Work>
    std::invoke_result_t<Work> in_transaction(std::string_view doing, Work&& work) {
        require_same_file();
        return translated(path_, doing, [&]() -> std::invoke_result_t<Work> {
            // Immediate: to wait for another writer here, where nothing has been read yet, and not half-way.
            SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
            if constexpr (std::is_void_v<std::invoke_result_t<Work>>) {
                work();
                commit(transaction);
            } else {
                auto out = work();
                commit(transaction);
                return out;
            }
        });
    }

    void commit(SQLite::Transaction& transaction) {
        try {
            transaction.commit();
        } catch (const SQLite::Exception& e) {
            // The frames may have reached the log before the failure, and then count. Any other code means: not done.
            if ((e.getErrorCode() & 0xff) != SQLITE_IOERR) throw;
            throw StoreError(StoreFault::in_doubt, store_error(e, path_, "tell whether a commit succeeded").what());
        }
        wal_.after_commit();
    }

    const std::string path_;
    const FileLock lock_;
    SQLite::Database db_;
    const FileIdentity file_;
    WalKeeper wal_;
    SqliteServers servers_;
    SqliteFirstLoad first_load_;
    SqliteChanges changes_;
    SqliteClock clock_;
    SqliteEndings endings_;
    SqliteRetention retention_;
    SqliteGaps gaps_;
    SqliteQuarantine quarantine_;
    SQLite::Statement sweep_bound_;
    std::int64_t swept_to_ = 0;  // the last binding that sweep() has looked at
};

Applied SqliteStore::apply_in_transaction(const Batch& batch, Care care) {
    Applied applied;
    const auto epoch = servers_.begin(batch);
    if (!epoch) return applied;
    auto& marks = endings_.marks();
    marks.begin(batch);
    const BatchContext context{batch.server, *epoch, batch.now, batch.skew, &marks.marks()};
    if (batch.our_clock_moved) clock_.move(batch.server, *batch.our_clock_moved);
    if (batch.fresh_start && batch.before.ours_unsure) clock_.doubt(batch.server);
    first_load_.begin(batch);
    auto tally = apply_changes(context, batch, care, applied);
    marks.keep(batch.server);
    SqliteEndings::Reconciled reconciled;
    if (batch.reconcile) reconciled = endings_.reconcile(context, *batch.reconcile);
    tally.reconcile(reconciled.ended);
    tally.by_state.doubts += reconciled.doubted - reconciled.settled;
    for (const auto& change : batch.gaps)
        gaps_.apply(batch.server, batch.now, change, tally.reconciled);
    servers_.finish(batch, tally, applied);
    const bool list_all = batch.list_doubts || reconciled.doubted > 0;
    applied.doubts = list_all ? changes_.in_doubt(batch.server, batch.doubts_after) : changes_.new_doubts();
    quarantine_.add(batch.server, batch.quarantine);
    first_load_.finish(batch);
    tally.tell(applied);
    return applied;
}

Tally SqliteStore::apply_changes(const BatchContext& context, const Batch& batch, Care care, Applied& applied) {
    if (care == Care::none) return changes_.apply(context, batch);
    Refusals refusals;
    const auto tally = changes_.apply_piecewise(context, batch, refusals);
    quarantine_.add(batch.server, refusals.quarantine);
    applied.refused = std::move(refusals.lines);
    return tally;
}

Swept SqliteStore::sweep(UtcSeconds now, std::size_t rows, std::span<const ServerId> held) {
    assert(rows > 0);
    Swept out;
    in_transaction("end what has expired", [&] { sweep_bindings(now, rows, held, out); });
    // Each in a transaction of its own: others may write in between.
    if (translated(path_, "look for old changes", [&] { return retention_.changes_due(now); }))
        out.removed_changes =
            in_transaction("remove old changes", [&] { return retention_.remove_changes(now, rows); });
    if (translated(path_, "look for forgotten servers", [&] { return retention_.servers_due(); }))
        in_transaction("remove forgotten servers", [&] { retention_.remove_servers(); });
    if (translated(path_, "look for old assignments", [&] { return retention_.assignments_due(now); }))
        out.removed_assignments =
            in_transaction("remove old assignments", [&] { return retention_.remove_assignments(now, rows); });
    return out;
}

void SqliteStore::sweep_bindings(UtcSeconds now, std::size_t rows, std::span<const ServerId> held, Swept& out) {
    servers_.require_owned();
    first_load_.on_time(now);
    BindingRange range{swept_to_, 0};
    {
        Use use(sweep_bound_);
        use.number(1, range.after);
        use.number(2, static_cast<std::int64_t>(rows));
        use.step();
        range.last = use.number(0);
        out.around = static_cast<std::size_t>(use.number(1)) < rows;
    }
    out.orders = read_sqlite_orders(db_, servers_.owned_json_without({}));
    const auto ours = servers_.owned_json_without(held);
    const auto removed = retention_.remove_bindings(now, range.after, range.last, ours);
    out.around = out.around && removed.reached == range.last;
    range.last = removed.reached;
    out.removed_bindings = removed.rows;
    for (const auto& [server, counts] : removed.counts)
        servers_.count(server, counts);
    for (const auto& [server, ended] : endings_.expire(now, range, ours)) {
        StateCounts counts;
        counts.end(ended);
        servers_.count(server, counts);
        out.ended += static_cast<std::uint64_t>(ended);
    }
    swept_to_ = out.around ? 0 : range.last;
}

}  // namespace

std::unique_ptr<Store> open_sqlite_store(const StoreSettings& settings, const SqliteTuning& tuning) {
    const auto path = sqlite_path(settings.url);
    refuse_foreign_file(path);
    // What fails here outside a statement of ours is a statement that does not fit the schema.
    return translated(path, "prepare the statements",
                      [&] { return std::make_unique<SqliteStore>(path, settings, tuning); });
}

}  // namespace leasemirror
