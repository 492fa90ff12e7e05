// The database of a simulated world, whichever engine it is of: made anew for each world, looked at by a program that
// follows the change feed, and judged by what its tables say.
#pragma once

#include "storage/opening.hpp"
#include "storage/reader.hpp"
#include "storage/store.hpp"
#include "tests/storage/test_engine.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace leasemirror::sim {

struct DatabaseOptions {
    std::string engine = "sqlite";  ///< name of one of testing::engines()
    bool record_renewals = false;
    Retention retention;
};

class Database {
public:
    /// Throws if there is no such engine here.
    explicit Database(const DatabaseOptions& options);

    [[nodiscard]] const testing::Engine& engine() const { return *engine_; }
    [[nodiscard]] bool is_sqlite() const { return options_.engine == "sqlite"; }
    [[nodiscard]] const StoreSettings& settings() const { return settings_; }
    [[nodiscard]] std::unique_ptr<Store> open() const { return open_store(settings_); }

    // ---- the program that follows the feed ----

    /// It asks for the next `rows`. The first thing that was wrong, in words.
    [[nodiscard]] std::optional<std::string> poll_feed(std::size_t rows);
    /// It reads to the end, and then must have seen all that there is.
    [[nodiscard]] std::optional<std::string> finish_feed();
    /// The highest seq in the feed.
    [[nodiscard]] std::string newest_seq() const;
    [[nodiscard]] std::uint64_t feed_rows_seen() const { return seen_; }

    // ---- judgement ----

    [[nodiscard]] bool keeps_assignments() const { return options_.retention.assignments.count() == 0; }
    /// The first fault in feed, assignments and counts (history_check.hpp). `whole`: also replay the feed from its
    /// beginning, unless retention has taken that.
    [[nodiscard]] std::optional<std::string> fault_of_history(bool whole, bool clock_was_set) const;

    // ---- faults ----

    /// SQLite: keeps a copy of the database; the other puts it back, as restoring a backup does, whoever has it open.
    void keep_copy();
    void put_back_copy();
    void forget_copy() { copy_.reset(); }
    [[nodiscard]] bool has_copy() const { return copy_.has_value(); }
    /// PostgreSQL: ends all sessions of the agent, as an administrator does.
    void terminate_sessions();

private:
    [[nodiscard]] std::string file() const;

    DatabaseOptions options_;
    std::unique_ptr<testing::Engine> engine_;
    StoreSettings settings_;
    std::string application_;
    testing::TempDir folder_;
    std::optional<std::string> copy_;
    std::unique_ptr<Reader> reader_;
    std::int64_t last_seq_ = 0;
    std::uint64_t seen_ = 0;
    std::int64_t sum_seen_ = 0;
};

}  // namespace leasemirror::sim
