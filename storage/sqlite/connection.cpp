#include "storage/sqlite/connection.hpp"

#include "storage/sqlite/error.hpp"
#include "storage/sqlite/loading.hpp"
#include "storage/sqlite/schema.hpp"
#include "storage/store_error.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>
#include <filesystem>

namespace leasemirror {
namespace {

constexpr std::string_view scheme = "sqlite://";
constexpr int reader_busy_timeout_ms = 5000;

bool has_content(const std::string& path) {
    std::error_code none;
    const auto size = std::filesystem::file_size(path, none);
    return !none && size > 0;
}

/// Settings that belong to the file must be made while it is empty, or outside a transaction.
void prepare_file(SQLite::Database& db, const std::string& path, const OnMigration& before_each) {
    const int found = sqlite_version_found(db, path);
    if (found == 0) db.exec("PRAGMA auto_vacuum = NONE");  // freed pages are used again; Debian's default moves them
    if (found >= 1) restore_left_out_indexes(db);
    // Before the switch to WAL: so the file's own header, and not only a log beside it, says that it is ours.
    migrate_sqlite(db, found, before_each);
    const std::string mode = db.execAndGet("PRAGMA journal_mode = WAL").getString();
    if (mode != "wal")
        throw StoreError(StoreFault::unusable, path + " cannot use a write-ahead log (journal mode stays '" + mode +
                                                   "'): the database must be on a local file system");
}

void tune_writer(SQLite::Database& db, const SqliteTuning& tuning) {
    // NORMAL syncs at checkpoints and not at each commit. A loss of power may take the last commits with it, but
    // always whole and from the end: data and the base-time that stands for them go together, and the agent asks the
    // DHCP server again from there. The server is the log; nothing here needs to be safer than it.
    db.exec("PRAGMA synchronous = NORMAL");
    // The whole agent stays below 64 MiB: 16 for pages, and none of the file mapped into memory.
    db.exec("PRAGMA cache_size = -16384");
    db.exec("PRAGMA mmap_size = 0");
    // Debian builds SQLite to overwrite all that is deleted; FAST does so only where it costs no more writing.
    db.exec("PRAGMA secure_delete = FAST");
    db.exec("PRAGMA journal_size_limit = 67108864");  // what the log's file shrinks to when it starts over
    db.exec("PRAGMA foreign_keys = OFF");             // see the head of 0001_bindings.sql
    if (tuning.pages_max > 0) db.exec("PRAGMA max_page_count = " + std::to_string(tuning.pages_max));
}

}  // namespace

std::string sqlite_path(std::string_view url) {
    if (!url.starts_with(scheme) || url.size() == scheme.size())
        throw StoreError(StoreFault::unusable, "storage.url '" + std::string(url) +
                                                   "' names no file: write sqlite:///absolute/path or "
                                                   "sqlite://relative/path");
    return std::string(url.substr(scheme.size()));
}

void refuse_misplaced(const std::string& path) {
    std::error_code none;
    if (std::filesystem::is_directory(path, none))
        throw StoreError(
            StoreFault::unusable,
            path + " is a directory; storage.url must name a file, such as sqlite://" + path + "/leases.db");
    const auto directory = std::filesystem::absolute(path).parent_path();
    if (!std::filesystem::exists(directory, none) && !none)
        throw StoreError(StoreFault::unusable, "there is no directory " + directory.string() +
                                                   " for the database; create it, or correct storage.url");
}

void refuse_foreign_file(const std::string& path) {
    refuse_misplaced(path);
    if (!has_content(path)) return;
    try {
        auto db = open_for_reading(path);
        translated(path, "read the schema version", [&] { return sqlite_version_found(db, path); });
    } catch (const StoreError& e) {
        // That it cannot be read now says nothing of whose it is: opening it for writing will tell what is wrong.
        if (e.fault() == StoreFault::unusable) throw;
    }
}

namespace {

/// A new one is for its owner and, to read, a group: it says who uses which address. Its log gets the same mode. What
/// is there already stays as somebody has set it.
void make_file(const std::string& path) {
    const int file = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR | S_IRGRP);
    if (file >= 0) ::close(file);  // else it is there, or cannot be made: then SQLite says why
}

}  // namespace

SQLite::Database open_for_writing(const std::string& path, const SqliteTuning& tuning, const OnMigration& before_each) {
    return translated(path, "open the database", [&] {
        make_file(path);
        const int flags = SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE | SQLite::OPEN_NOMUTEX;
        SQLite::Database db(path, flags, static_cast<int>(tuning.busy_timeout.count()));
        prepare_file(db, path, before_each);
        tune_writer(db, tuning);
        // A reader without write permission can open a WAL database only if log and index are there already.
        int keep = 1;
        sqlite3_file_control(db.getHandle(), "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
        return db;
    });
}

SQLite::Database open_for_reading(const std::string& path) {
    refuse_misplaced(path);
    std::error_code none;
    if (!std::filesystem::exists(path, none))
        throw StoreError(StoreFault::unavailable, "there is no database " + path +
                                                      " yet: 'leasemirror run' or 'leasemirror schema migrate' "
                                                      "creates it; or check storage.url");
    return translated(path, "open the database to read", [&] {
        SQLite::Database db(path, SQLite::OPEN_READONLY | SQLite::OPEN_NOMUTEX, reader_busy_timeout_ms);
        return db;
    });
}

WalKeeper::WalKeeper(SQLite::Database& db, const SqliteTuning& tuning) : db_(db), tuning_(tuning) {
    const auto remember = [](void* frames, sqlite3*, const char*, int count) {
        *static_cast<int*>(frames) = count;
        return SQLITE_OK;
    };
    sqlite3_wal_hook(db_.getHandle(), remember, &frames_);  // takes the place of wal_autocheckpoint
}

void WalKeeper::after_commit() {
    if (frames_ < frames_tried_) frames_tried_ = 0;  // the log has started over
    if (frames_ - frames_tried_ < tuning_.checkpoint_frames) return;
    frames_tried_ = frames_;
    // A passive checkpoint copies what no reader still needs, and waits for nobody. But the log starts over only at a
    // moment without readers in it, and where many overlap there is none: then, now and again, wait a little for the
    // present ones. New readers are not held up by that, the writer is. A reader that stays for hours still pins it.
    const bool force = frames_ >= tuning_.checkpoint_force_frames;
    auto* handle = db_.getHandle();
    if (force) sqlite3_busy_timeout(handle, static_cast<int>(tuning_.checkpoint_wait.count()));
    sqlite3_wal_checkpoint_v2(handle, nullptr, force ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, nullptr,
                              nullptr);
    if (force) sqlite3_busy_timeout(handle, static_cast<int>(tuning_.busy_timeout.count()));
}

SQLite::Database open_beside_agent(const std::string& path) {
    constexpr int busy_timeout_ms = 10000;
    {
        auto look = open_for_reading(path);  // says what to do where there is none
        require_known_sqlite_version(look, path);
    }
    return {path, SQLite::OPEN_READWRITE | SQLite::OPEN_NOMUTEX, busy_timeout_ms};
}

}  // namespace leasemirror
