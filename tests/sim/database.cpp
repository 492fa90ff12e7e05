#include "tests/sim/database.hpp"

#include "storage/store_error.hpp"
#include "tests/storage/history_check.hpp"

#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/Database.h>

#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <variant>

namespace leasemirror::sim {
namespace {

std::unique_ptr<testing::Engine> make_engine(const std::string& name) {
    for (const auto& factory : testing::engines()) {
        if (factory.name == name) return factory.make();
    }
    throw std::runtime_error("no engine '" + name + "' here; PostgreSQL needs LEASEMIRROR_TEST_POSTGRES");
}

constexpr std::string_view sqlite_scheme = "sqlite://";

std::int64_t seq_of(const Record& row) {
    const auto found = std::find_if(row.begin(), row.end(), [](const auto& column) { return column.first == "seq"; });
    return std::get<std::int64_t>(found->second);
}

}  // namespace

Database::Database(const DatabaseOptions& options)
    : options_(options), engine_(make_engine(options.engine)), settings_(engine_->settings()) {
    settings_.record_renewals = options.record_renewals;
    settings_.retention = options.retention;
    if (is_sqlite()) return;
    static std::uint64_t databases = 0;
    application_ = "sim " + std::to_string(getpid()) + " " + std::to_string(++databases);
    settings_.url += settings_.url.find('?') == std::string::npos ? '?' : '&';
    settings_.url += "application_name=sim%20" + std::to_string(getpid()) + "%20" + std::to_string(databases);
}

// ---- the program that follows the feed ----------------------------------------------------------------------------

std::optional<std::string> Database::poll_feed(std::size_t rows) {
    Reader::FeedPart part;
    try {
        if (!reader_) reader_ = open_reader(settings_);
        part = reader_->changes_after(last_seq_, std::nullopt, rows);
    } catch (const StoreError& error) {
        if (error.fault() == StoreFault::unavailable) return std::nullopt;  // it asks again another time
        return std::string("feed: ") + error.what();
    }
    if (part.rows.size() > rows) return "feed: more rows than were asked for";
    for (const auto& row : part.rows) {
        const auto seq = seq_of(row);
        if (seq <= last_seq_) return "feed: seq " + std::to_string(seq) + " after " + std::to_string(last_seq_);
        last_seq_ = seq;
        sum_seen_ += seq;
        ++seen_;
    }
    if (part.cursor < last_seq_) return "feed: the cursor goes back to " + std::to_string(part.cursor);
    last_seq_ = part.cursor;
    return std::nullopt;
}

std::optional<std::string> Database::finish_feed() {
    for (std::int64_t before = -1; before != last_seq_;) {
        before = last_seq_;
        if (auto wrong = poll_feed(1000)) return wrong;
    }
    const auto newest = newest_seq();
    if (std::stoll(newest) > last_seq_)
        return "feed: the reader stays at " + std::to_string(last_seq_) + " of " + newest;
    if (options_.retention.changes.count() > 0) return std::nullopt;
    const auto seen = std::to_string(seen_) + "|" + std::to_string(sum_seen_);
    const auto there = engine_->value("SELECT count(*), coalesce(sum(seq), 0) FROM binding_change");
    if (seen != there) return "feed: rows and sum of seq that were read: " + seen + ", that there are: " + there;
    return std::nullopt;
}

std::string Database::newest_seq() const {
    return engine_->value("SELECT coalesce(max(seq), 0) FROM binding_change");
}

// ---- judgement ----------------------------------------------------------------------------------------------------

std::optional<std::string> Database::fault_of_history(bool whole, bool clock_was_set) const {
    testing::HistoryCheck check;
    check.whole_feed = whole && options_.retention.changes.count() == 0;
    check.times = check.whole_feed && options_.record_renewals;
    check.clock_was_set = clock_was_set;
    check.all_assignments = keeps_assignments();
    const auto faults = testing::faults_of_history(*engine_, check);
    if (faults.empty()) return std::nullopt;
    return "history: " + faults.front() + " (" + std::to_string(faults.size()) + " faults)";
}

// ---- faults -------------------------------------------------------------------------------------------------------

std::string Database::file() const {
    return settings_.url.substr(sqlite_scheme.size());
}

void Database::keep_copy() {
    copy_ = (folder_.path() / "copy.db").string();
    SQLite::Database from(file(), SQLite::OPEN_READONLY);
    SQLite::Database to(*copy_, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    SQLite::Backup(to, from).executeStep();
}

void Database::put_back_copy() {
    SQLite::Database from(*copy_, SQLite::OPEN_READONLY);
    SQLite::Database to(file(), SQLite::OPEN_READWRITE);
    SQLite::Backup(to, from).executeStep();
    // Whoever follows the feed cannot go on from where it was.
    reader_.reset();
    last_seq_ = 0;
    seen_ = 0;
    sum_seen_ = 0;
}

void Database::terminate_sessions() {
    // Not only asked for: the session is gone when this returns, so that what follows is the same each time.
    (void)engine_->table("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = '" +
                         application_ + "'");
}

}  // namespace leasemirror::sim
