// The database as the commands look at it (`status`, `who`, `watch`, `forget`): connections of their own, which need no
// running agent and never hold one up.
#pragma once

#include "storage/store.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace leasemirror {

/// One column of a row, as DESIGN section 4 prints it: bytes as hex, times as ISO 8601 UTC, `json` as it is.
struct JsonText {
    std::string text;
    friend bool operator==(const JsonText&, const JsonText&) = default;
};
using Value = std::variant<std::monostate, bool, std::int64_t, std::string, Bytes, UtcSeconds, JsonText>;

/// A row: its columns by name, in the order in which people want to see them.
using Record = std::vector<std::pair<std::string, Value>>;

/// What `who` is asked: an address and the delegated prefixes that contain it; or, with a length, that very prefix.
struct Sought {
    IpAddress address;
    std::optional<std::uint8_t> prefix_len;

    friend bool operator==(const Sought&, const Sought&) = default;
};

/// Not thread-safe. Every function throws StoreError, after which it may be called again: where the connection was
/// lost, that opens a new one.
class Reader {
public:
    Reader() = default;
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    virtual ~Reader() = default;

    /// A line of `status` for each server, in the order of their names.
    virtual std::vector<ServerOverview> servers() = 0;

    /// Rows of the view `lease` of what is sought, in all VPNs, the most specific first: its columns, and `began_at` and
    /// `inferred` of the open assignment.
    virtual std::vector<Record> leases_of(const Sought& sought) = 0;

    /// Rows of `assignment` that held what is sought at that moment (began_at <= at < ended_at), the most specific
    /// first: its columns, with `server` by name.
    virtual std::vector<Record> holders_of(const Sought& sought, UtcSeconds at) = 0;

    /// Where the change feed begins and ends: the lowest and highest `seq` there is, and the highest there ever was. All
    /// 0 while it has never had a row; `first` is last + 1 if retention has emptied it.
    struct FeedEnds {
        std::int64_t first = 0;
        std::int64_t last = 0;
    };
    virtual FeedEnds feed_ends() = 0;
    /// The next rows of `binding_change` after `seq`, at most `rows`, in order: its columns, with `server` by name.
    /// `server`: of this one alone. `cursor` is where to go on, also when no row of that server was among them. `ends` is
    /// of the same moment: rows between `seq` and `ends.first` have been removed, and a `seq` past `ends.last` is one
    /// that this database has not given out, or has lost.
    struct FeedPart {
        std::vector<Record> rows;
        std::int64_t cursor = 0;
        FeedEnds ends;
    };
    virtual FeedPart changes_after(std::int64_t seq, const std::optional<std::string>& server, std::size_t rows) = 0;
    /// Returns when the feed may have grown since the last changes_after(), or after `patience`, or when a signal came.
    virtual void wait_for_changes(std::chrono::milliseconds patience) = 0;
};

/// Opens for reading; writes nothing, and refuses a schema it does not know. Throws StoreError.
[[nodiscard]] std::unique_ptr<Reader> open_reader(const StoreSettings& settings);

/// What `check` tells of a database. Connects as an agent does, and changes nothing.
struct StoreReport {
    std::string engine;  ///< "PostgreSQL 15.8 on 127.0.0.1, database 'leases', schema 'public', role 'mirror'"
    SchemaVersion version;
    std::vector<std::string> lacks;  ///< what an agent could not do here, and what to do about it; empty: nothing
};
/// Throws StoreError if it cannot be reached or is not ours.
[[nodiscard]] StoreReport inspect_store(const StoreSettings& settings);

/// Whose history `forget` removes: by one of the two, the other is empty.
struct ClientIdentity {
    Bytes client_id;
    Bytes hw_addr;

    friend bool operator==(const ClientIdentity&, const ClientIdentity&) = default;
};

/// Removes what is past of a client, in small steps that never hold the agent up for long: ended assignments, bindings
/// that are not in force, all rows of the change feed that tell of it or name it, and messages in quarantine that
/// contain the identifier. What it holds now stays, it is the servers' word; so does the open assignment. A hw_addr is
/// not in every row of the feed: those that follow one that names it, of the same binding, up to the next client's, are
/// of the same client. Throws StoreError; what was removed until then stays removed.
struct Forgotten {
    std::uint64_t bindings = 0;
    std::uint64_t changes = 0;
    std::uint64_t assignments = 0;
    std::uint64_t quarantined = 0;
    std::uint64_t in_force = 0;  ///< bindings that the client holds now
};
[[nodiscard]] Forgotten forget_client(const StoreSettings& settings, const ClientIdentity& client);

}  // namespace leasemirror
