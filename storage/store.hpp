// The database as the agent sees it: batches in, resume points out. These comments are the contract that every
// engine keeps and that tests/storage checks over each of them.
#pragma once

#include "proto/binding.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace leasemirror {

using ServerId = std::int64_t;

/// DESIGN section 6, table `server`.
enum class Phase : std::uint8_t { connecting, bulk, catch_up, live, gap, polling, waiting, down, disabled };
enum class Coverage : std::uint8_t { full, partial };
[[nodiscard]] std::string_view to_string(Phase p);
[[nodiscard]] std::string_view to_string(Coverage c);

/// What a caller acts on.
enum class StoreFault : std::uint8_t {
    unavailable,  ///< nothing was written; trying again can help (locked, full, read-only, no connection)
    in_doubt,     ///< the commit may or may not have happened; applying the same batch again settles it
    fenced,       ///< another agent has taken these servers over; this one must stop writing
    unusable,     ///< not our database, or a newer schema: no retry heals it
    refused,      ///< the database refused the values themselves
    behind,       ///< it has lost what it had committed (a failover, a restored backup): begin anew with open_servers()
};

/// `what()` says what happened, where, and what to do about it.
class StoreError : public std::runtime_error {
public:
    StoreError(StoreFault fault, const std::string& message) : std::runtime_error(message), fault_(fault) {}
    [[nodiscard]] StoreFault fault() const { return fault_; }

private:
    StoreFault fault_;
};

/// A recovery that is open: what changed at the server between `from` and `to` (its own clock, inclusive) may be
/// missing here.
struct Gap {
    std::uint64_t number = 0;  ///< counts up per server
    ServerTime from{};
    ServerTime to{};
    std::string cause;

    friend bool operator==(const Gap&, const Gap&) = default;
};

/// What a server has shown that it can do (DESIGN 3.5). Empty: not known yet.
struct ServerSupport {
    std::optional<bool> active;         ///< it answers an active query
    std::optional<bool> windows;        ///< it heeds the start time of a bulk query
    std::optional<UtcSeconds> seen_at;  ///< when either was last found out

    friend bool operator==(const ServerSupport&, const ServerSupport&) = default;
};

/// Where to go on with a server: all of it committed together with the data it stands for.
struct ResumePoint {
    ServerId id = 0;
    /// Which run of the server's clock and database the base-times belong to. A clock that stepped back, or another
    /// server behind the address, starts a new one: older records then lose whatever their base-time.
    std::uint32_t epoch = 0;
    std::optional<ServerTime> base_time;  ///< none: a full bulk is due
    Bytes server_identity;                ///< v6 DUID, v4 server-identifier; empty if never told
    std::optional<Skew> skew;
    std::uint64_t last_run = 0;  ///< number of the last bulk that was begun
    std::uint64_t last_gap = 0;  ///< highest gap number ever used
    std::vector<Gap> open_gaps;  ///< oldest first
    // What `status` said last, to be gone on with (ServerStatus).
    Coverage coverage = Coverage::partial;
    std::optional<UtcSeconds> last_full_sync_at;
    std::string last_error;
    std::optional<UtcSeconds> last_error_at;
    std::optional<UtcSeconds> certificate_expires_at;
    ServerSupport support;
};

struct ServerSpec {
    std::string name;
    Family family = Family::v4;
    std::string endpoint;  ///< "2001:db8::1 port 547": for people
};

/// One thing a server said, in the order it was said.
struct Change {
    enum class Kind : std::uint8_t {
        /// `binding` as told. It replaces what is stored unless that is newer by DESIGN 3.6: of an older epoch
        /// always; else if its base-time is later; at the same base-time, which is too coarse to order what happens
        /// within a second, if it was told in a later run (the server was asked after the other had come), or in the
        /// same and its `via` is not less trusted.
        binding,
        /// A client's complete list on one link ended (DESIGN 3.8, `client_data: snapshot`, or an empty list):
        /// `binding` carries client_id, vpn_id, link_address, base_time and via. Every binding in force of that
        /// client on that link that is not newer, and is not one of the `listed` changes right before this one,
        /// ends with reason 'unlisted'. An unknown link speaks for the link that all of the client's bindings
        /// share, if they do; else only for those of unknown link.
        client_list_end,
        /// The server listed `binding.key.address` in a message that could not be understood otherwise: in this full
        /// bulk the address, in any VPN, counts as seen and is not ended by reconciliation.
        sighting,
    };
    Kind kind = Kind::binding;
    std::uint32_t listed = 0;  ///< for client_list_end
    std::uint64_t run = 0;     ///< the bulk that listed it; for what is told otherwise the last one begun; 0 = none
    std::uint32_t scope = 0;   ///< BulkQuery::scope_id() of the query that listed it; 0 = none did
    /// Told in the catch-up phase: the message's base-time is not when it happened (RFC 7653 §8.4.1 and §9.3, RFC 7724
    /// §7.4.1), so that boundaries of assignments taken from it are `inferred`. For `via` other than active that goes
    /// without saying.
    bool late = false;
    /// Converts its times to ours: the skew when it was told. None: that of the batch.
    std::optional<Skew> skew;
    Binding binding;
};

/// Changes in order. Clearing keeps each one's buffers, so that filling a batch again allocates nothing.
class ChangeList {
public:
    /// Adds a change whose fields are those of a new one.
    [[nodiscard]] Change& append() {
        if (used_ == changes_.size()) changes_.emplace_back();
        auto& change = changes_[used_++];
        change.kind = Change::Kind::binding;
        change.listed = 0;
        change.run = 0;
        change.scope = 0;
        change.late = false;
        change.skew.reset();
        change.binding.clear();
        return change;
    }
    void push_back(Change change) { append() = std::move(change); }
    void clear() { used_ = 0; }
    [[nodiscard]] std::size_t size() const { return used_; }
    [[nodiscard]] bool empty() const { return used_ == 0; }
    [[nodiscard]] const Change& operator[](std::size_t i) const { return changes_[i]; }
    [[nodiscard]] const Change* begin() const { return changes_.data(); }
    [[nodiscard]] const Change* end() const { return changes_.data() + used_; }

private:
    std::vector<Change> changes_;
    std::size_t used_ = 0;
};

/// Ends what a full bulk did not return (DESIGN 3.4): every binding in force of this server, in one of the scopes, that
/// no change of the scope's run touched, unless a message with a base-time after `listed_from` did. Changes of a run are
/// those that one of its queries listed, and those that were told otherwise after it had begun: a base-time is too
/// coarse to say what was told before and what after, within one second. Bindings of an older epoch end whatever their
/// base-time.
struct Reconcile {
    struct Scope {
        std::uint32_t id = 0;   ///< bindings last listed by this query ...
        Bytes relay_id;         ///< ... or, if not empty, whose relay-id is this ...
        Bytes remote_id;        ///< ... or whose remote-id is this
        std::uint64_t run = 0;  ///< of the attempt that was complete, where an earlier one was cut off; 0: as below
    };
    std::uint64_t run = 0;
    ServerTime listed_from{};  ///< base-time of the first reply of the bulk
    bool everything = false;   ///< all of the server, and what is in one of the scopes by the run of that
    bool all_vpns = false;     ///< the bulk asked for every VPN; without it only the default VPN ('') is touched
    std::vector<Scope> scopes;
};

struct GapChange {
    enum class Kind : std::uint8_t { open, widen, close };
    Kind kind = Kind::open;
    Gap gap;                      ///< `close` needs the number alone
    std::string outcome;          ///< `close`: 'recovered', 'unrecoverable', ...
    std::uint64_t recovered = 0;  ///< `close`: bindings brought by the recovery; ends by a Reconcile in the same
                                  ///< batch are added by the store
};

struct QuarantineEntry {
    UtcSeconds at{};
    std::string reason;
    Bytes message;
};

/// What `server` shows of the connection side (promise P5). Replaces the stored values, null where empty.
struct ServerStatus {
    Phase phase = Phase::connecting;
    Coverage coverage = Coverage::partial;
    Bytes server_identity;
    std::optional<Skew> skew;
    std::optional<UtcSeconds> connected_since;
    std::optional<UtcSeconds> last_message_at;
    std::optional<UtcSeconds> last_full_sync_at;
    std::string last_error;  ///< kept after recovery, with its time, until the next one
    std::optional<UtcSeconds> last_error_at;
    /// The earlier end of the two certificates, the server's and our own, as of the last handshake; none without TLS.
    /// The whole days that are left until then at Batch::now are stored beside it.
    std::optional<UtcSeconds> certificate_expires_at;
    ServerSupport support;
};

/// Everything of one server that becomes visible at once. Fields apply in the order they stand here.
struct Batch {
    ServerId server = 0;
    /// Per server, counting up from 1 since open_servers(). The store keeps it with the data: a batch whose number is
    /// not above the last one committed is a repeated one, and does nothing. 0: not numbered, always applied.
    std::uint64_t number = 0;
    UtcSeconds now{};                        ///< our time when the batch was closed: updated_at, and what has expired
    Skew skew{};                             ///< converts the server's times to ours where a change has none
    std::optional<std::uint64_t> begin_run;  ///< a bulk with this number has begun
    bool fresh_start = false;  ///< begin a new epoch; forget the base-time; later changes belong to the new one
    ChangeList changes;
    std::optional<Reconcile> reconcile;
    std::vector<GapChange> gaps;
    std::optional<ServerTime> base_time;  ///< the new resume point
    std::optional<UtcSeconds> fresh_as_of;
    std::optional<ServerStatus> status;
    std::vector<QuarantineEntry> quarantine;
};

struct Applied {
    std::uint64_t stored = 0;  ///< changes that were newer than what was there
    std::uint64_t ended = 0;   ///< bindings that left force, by whatever cause
    std::uint64_t reconciled = 0;
    std::vector<std::string> refused;  ///< one line for each change that went to quarantine alone
};

/// One connection to the database. Not thread-safe: one thread at a time owns it.
class Store {
public:
    Store() = default;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    virtual ~Store() = default;

    /// Creates the rows of servers that are new, takes all of them over from whatever agent had them (its later
    /// batches are fenced), and returns where to go on, in the order of `servers`. Several stores of one agent may
    /// each open a part of the servers.
    virtual std::vector<ResumePoint> open_servers(std::span<const ServerSpec> servers, const std::string& owner) = 0;

    /// Marks servers that are in the database but not named here 'disabled': no agent is at work on them. Their old
    /// owner's later batches are fenced.
    virtual void disable_servers_except(std::span<const std::string> names) = 0;

    /// Applies a batch in one transaction: all of it is visible and durable, or nothing is (durable: against a crash
    /// of this process always; against loss of power all that a checkpoint stands for is lost or kept together with
    /// it). A batch applied twice leaves the same rows as once, in the feed too. An active binding whose expiry has
    /// passed on arrival is stored ended, with reason 'expired'. The same key may occur many times in a batch; every
    /// change of state or client takes effect in order. A change whose values the database refuses goes to
    /// quarantine alone. Throws StoreError; the batch may then be given again, and after `in_doubt` that settles it.
    virtual Applied apply(const Batch& batch) = 0;

    /// One bounded step of housekeeping, each step going on where the last one ended, round and round. Looks at the
    /// next `rows` bindings of the servers that this store has opened: those in force whose expiry is at or before
    /// `now` end, with reason 'expired' (DESIGN 3.8), and those that ended longer ago than StoreSettings::retention says
    /// are removed. Of the change feed and of ended assignments at most `rows` each that are older than it says are
    /// removed.
    struct Swept {
        std::uint64_t ended = 0;
        std::uint64_t removed_bindings = 0;
        std::uint64_t removed_changes = 0;
        std::uint64_t removed_assignments = 0;
        bool around = false;  ///< this step came to the end of the table
    };
    virtual Swept sweep(UtcSeconds now, std::size_t rows) = 0;

    /// The DUID that this installation presents to DHCPv6 servers: the stored one, or `proposal` stored now.
    virtual Bytes requestor_duid(ByteView proposal) = 0;
};

/// One line of `status`: a row of `server` and what is derived from it, times in UTC.
struct ServerOverview {
    ServerId server_id = 0;
    std::string name;
    Family family = Family::v4;
    std::string endpoint;
    Bytes server_identity;
    std::string phase;
    std::optional<ServerTime> base_time;
    std::optional<UtcSeconds> fresh_as_of;
    std::string coverage;
    std::optional<std::int64_t> clock_skew_ms;
    std::int64_t bindings = 0;
    std::optional<UtcSeconds> connected_since, last_message_at, last_full_sync_at;
    std::int64_t gaps_open = 0;
    std::string last_error;
    std::optional<UtcSeconds> last_error_at;
    std::string owner;
    std::int64_t owner_epoch = 0;
    std::optional<UtcSeconds> certificate_expires_at;
    std::optional<std::int64_t> certificate_days;
    ServerSupport support;
    std::vector<Gap> open_gaps;
    /// How many bindings in which state, by the words of `binding.state`; only states that occur.
    std::map<std::string, std::int64_t> states;
};

/// How long what is past is kept. 0 = for ever.
struct Retention {
    std::chrono::seconds ended{0};        ///< bindings that are not in force, since they were last told or ended
    std::chrono::seconds changes{0};      ///< rows of the change feed, since they were written
    std::chrono::seconds assignments{0};  ///< assignments, since they ended
};

struct StoreSettings {
    std::string url;               ///< sqlite:///absolute/path, sqlite://relative/path, postgresql://...
    std::string password;          ///< postgresql only; never logged
    std::string schema;            ///< postgresql only; empty: the first one in the role's search_path, mostly `public`
    bool record_renewals = false;  ///< also write 'renewed' rows to the change feed
    Retention retention;
};

/// Opens for writing, creating and migrating the schema as needed. Throws StoreError: `unusable` if the file is not
/// a database, or has a newer schema; `unavailable` otherwise. A database that another agent on this host has open
/// for writing is `unavailable`, with its process id in the message where that can be had.
[[nodiscard]] std::unique_ptr<Store> open_store(const StoreSettings& settings);

/// For `schema`: the migrations as SQL text; the version in the database (0 = none yet) and the one we know; and the
/// migration itself, which returns the version reached.
[[nodiscard]] std::string schema_sql(const StoreSettings& settings);
struct SchemaVersion {
    int found = 0;
    int known = 0;
};
[[nodiscard]] SchemaVersion schema_version(const StoreSettings& settings);
int migrate_schema(const StoreSettings& settings);

}  // namespace leasemirror
