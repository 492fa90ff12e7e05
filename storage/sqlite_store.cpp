#include "storage/sqlite_store.hpp"

#include "storage/file_lock.hpp"
#include "storage/sqlite_endings.hpp"
#include "storage/sqlite_error.hpp"
#include "storage/sqlite_gaps.hpp"
#include "storage/sqlite_servers.hpp"

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

class SqliteStore final : public Store {
public:
    SqliteStore(const std::string& path, const StoreSettings& settings, const SqliteTuning& tuning)
        : path_(path),
          settings_(settings),
          lock_(path),
          db_(open_for_writing(path, tuning)),
          file_(file_at_path()),
          wal_(db_, tuning),
          servers_(db_),
          bindings_(db_),
          endings_(db_),
          gaps_(db_),
          quarantine_(db_) {}

    std::vector<ResumePoint> open_servers(std::span<const ServerSpec> servers, const std::string& owner) override {
        return in_transaction("take over the servers", [&] { return servers_.take_over(servers, owner); });
    }

    Applied apply(const Batch& batch) override {
        return in_transaction("apply a batch", [&] { return apply_in_transaction(batch); });
    }

    void disable_servers_except(std::span<const std::string> names) override {
        in_transaction("disable the other servers", [&] {
            servers_.disable_except(names);
            return true;
        });
    }

    Swept sweep(UtcSeconds now, std::size_t rows) override {
        assert(rows > 0);
        return in_transaction("end what has expired", [&] {
            servers_.require_owned();
            const auto swept = endings_.expire(now, cursor_, rows);
            cursor_ = swept.cursor;
            Swept out;
            out.around = cursor_ == 0;
            for (const auto& [server, ended] : swept.ended) {
                servers_.count_in_force(server, -ended);
                out.ended += static_cast<std::uint64_t>(ended);
            }
            return out;
        });
    }

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

    Applied apply_in_transaction(const Batch& batch);
    void apply_change(const BatchContext& context, const Batch& batch, std::size_t at, Tally& tally);

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
        auto result = translated(path_, doing, [&] {
            // Immediate: to wait for another writer here, where nothing has been read yet, and not half-way.
            SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
            auto out = work();
            commit(transaction);
            return out;
        });
        wal_.after_commit();
        return result;
    }

    void commit(SQLite::Transaction& transaction) {
        try {
            transaction.commit();
        } catch (const SQLite::Exception& e) {
            // The frames may have reached the log before the failure, and then count. Any other code means: not done.
            if ((e.getErrorCode() & 0xff) != SQLITE_IOERR) throw;
            throw StoreError(StoreFault::in_doubt, store_error(e, path_, "tell whether a commit succeeded").what());
        }
    }

    const std::string path_;
    const StoreSettings settings_;
    const FileLock lock_;
    SQLite::Database db_;
    const FileIdentity file_;
    WalKeeper wal_;
    SqliteServers servers_;
    SqliteBindings bindings_;
    SqliteEndings endings_;
    SqliteGaps gaps_;
    SqliteQuarantine quarantine_;
    std::int64_t cursor_ = 0;  // where sweep() goes on
};

void SqliteStore::apply_change(const BatchContext& context, const Batch& batch, std::size_t at, Tally& tally) {
    const auto& change = batch.changes[at];
    switch (change.kind) {
        case Change::Kind::binding:
            return bindings_.store(context, change, tally);
        case Change::Kind::client_list_end:
            assert(change.listed <= at);
            return endings_.end_unlisted(context, change,
                                         std::span(batch.changes).subspan(at - change.listed, change.listed), tally);
        case Change::Kind::sighting:
            return bindings_.mark_sighted(context, change);
    }
}

Applied SqliteStore::apply_in_transaction(const Batch& batch) {
    const BatchContext context{batch.server, servers_.begin(batch), batch.now, batch.skew};
    Applied applied;
    Tally tally;
    std::vector<QuarantineEntry> refused;
    for (std::size_t at = 0; at < batch.changes.size(); ++at) {
        try {
            apply_change(context, batch, at, tally);
        } catch (const SQLite::Exception& e) {
            if (!refuses_values(e)) throw;
            const auto record = to_string(batch.changes[at].binding);
            applied.refused.push_back(std::string("the database refused a binding: ") + e.what() + ": " + record);
            refused.push_back(
                {batch.now, std::string("the database refused it: ") + e.what(), Bytes(record.begin(), record.end())});
        }
    }
    if (batch.reconcile) endings_.reconcile(context, *batch.reconcile, tally);
    for (const auto& change : batch.gaps)
        gaps_.apply(batch.server, batch.now, change, tally.reconciled);
    servers_.finish(batch, tally.in_force);
    quarantine_.add(batch.server, batch.quarantine);
    quarantine_.add(batch.server, refused);
    applied.stored = tally.stored;
    applied.ended = tally.ended;
    applied.reconciled = tally.reconciled;
    return applied;
}

}  // namespace

std::unique_ptr<Store> open_sqlite_store(const StoreSettings& settings, const SqliteTuning& tuning) {
    const auto path = sqlite_path(settings.url);
    refuse_foreign_file(path);
    // What fails here outside a statement of ours is a statement that does not fit the schema.
    return translated(path, "prepare the statements", [&] { return std::make_unique<SqliteStore>(path, settings, tuning); });
}

}  // namespace leasemirror
