// What `watch` does: follows the change feed through whatever happens to the database, so that no row is lost and none
// comes twice. Pure but for the Reader and the hooks it is given.
#pragma once

#include "storage/reader.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace leasemirror {

struct FeedRequest {
    std::optional<std::string> server;
    std::optional<std::int64_t> since;  ///< none: from the end of the feed on
    std::optional<std::int64_t> limit;
    bool skip_lost = false;  ///< go on where rows that were asked for have been removed
};

struct FeedHooks {
    std::function<void(const Record&)> row;
    /// Rows from the first `seq` to the last have been removed before they were read. Only with `skip_lost`.
    std::function<void(std::int64_t first, std::int64_t last)> lost;
    /// All rows of one look at the database were given: the time to flush. False: nobody reads them.
    std::function<bool()> flush;
    /// A line for people: the database is away, rows are missing.
    std::function<void(const std::string&)> say;
    /// Whether it is to end. Asked often.
    std::function<bool()> stopping;
    /// Waits before another try; less if it is to end.
    std::function<void(std::chrono::milliseconds)> pause;
};

/// Returns when it is to end, at the limit, or when nobody reads. Throws StoreError if the feed cannot be read at its
/// first look, or if no waiting heals what is wrong: a schema that is not ours; a feed that ends before the `seq` it is to
/// go on after, because the database has lost what it had, or is another one; or, without `skip_lost`, one that begins
/// after the next row, because retention has removed it.
void follow_feed(Reader& reader, const FeedRequest& request, const FeedHooks& hooks);

}  // namespace leasemirror
