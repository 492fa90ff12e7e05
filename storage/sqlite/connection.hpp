// Opening a leasemirror database file, to write and to read, with the settings each needs.
#pragma once

#include "storage/schema_report.hpp"

#include <SQLiteCpp/Database.h>
#include <chrono>
#include <string>
#include <string_view>

namespace leasemirror {

/// What tests set differently.
struct SqliteTuning {
    /// How long a statement waits for another writer. Readers never make the writer wait, nor wait for it (WAL).
    std::chrono::milliseconds busy_timeout{5000};
    int pages_max = 0;                    ///< refuse to grow past this many pages; 0 = no limit of ours
    int checkpoint_frames = 16384;        ///< 64 MiB of log: the distance between two checkpoints
    int checkpoint_force_frames = 65536;  ///< 256 MiB: from here a checkpoint waits a moment for readers to finish
    std::chrono::milliseconds checkpoint_wait{500};  ///< that moment
};

/// sqlite:///absolute/path, sqlite://relative/path -> the path. Throws StoreError `unusable` for anything else.
[[nodiscard]] std::string sqlite_path(std::string_view url);

/// Throws StoreError `unusable` if there is a file that must not be touched. Leaves nothing behind.
void refuse_foreign_file(const std::string& path);
/// Throws StoreError `unusable` if the path is that of a directory, or of a file in one that is not there.
void refuse_misplaced(const std::string& path);

/// Creates and migrates as needed; throws StoreError. The caller holds the FileLock.
[[nodiscard]] SQLite::Database open_for_writing(const std::string& path, const SqliteTuning& tuning,
                                                const OnMigration& before_each = {});

/// Writes nothing, waits for no writer, and works while one is busy. Throws StoreError, `unavailable` if there is no
/// file. The schema may be an older one: see sqlite_version_found().
[[nodiscard]] SQLite::Database open_for_reading(const std::string& path);

/// Keeps the write-ahead log bounded, in the time of the writer, between two of its transactions.
class WalKeeper {
public:
    WalKeeper(SQLite::Database& db, const SqliteTuning& tuning);
    WalKeeper(const WalKeeper&) = delete;
    WalKeeper& operator=(const WalKeeper&) = delete;
    /// To be called after a commit. Never throws: what it could not do now it does later.
    void after_commit();

private:
    SQLite::Database& db_;
    const SqliteTuning tuning_;
    int frames_ = 0;        // in the log after the last commit
    int frames_tried_ = 0;  // when the last checkpoint was tried
};

/// For a command that writes beside an agent at work: waits for the lock of a writer, and takes none for itself. Refuses a
/// schema that it does not know, and creates nothing.
[[nodiscard]] SQLite::Database open_beside_agent(const std::string& path);

}  // namespace leasemirror
