// What a batch does to the tables, decided once for both engines: an engine loads the rows that a batch can touch, the
// ledger goes through the changes in order, and the engine writes what has come of it: rows of `binding`, of
// `binding_change` and of `assignment`. Pure: it knows no database.
#pragma once

#include "storage/batch.hpp"
#include "storage/ledger/binding_row.hpp"
#include "storage/ledger/listing_marks.hpp"
#include "storage/ledger/new_servers.hpp"
#include "storage/ledger/state_counts.hpp"
#include "storage/settings.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace leasemirror {

/// What is the same for all changes of one batch.
struct BatchContext {
    ServerId server = 0;
    std::int64_t epoch = 0;
    UtcSeconds now{};
    Skew skew{};
    /// For what a full bulk lists unchanged; null: all of it is written.
    ListingMarks* marks = nullptr;
};

struct LedgerSettings {
    bool record_renewals = false;
    /// What is not in force, and is listed again as it is, is written after so long, so that retention keeps it.
    std::chrono::seconds refresh{std::chrono::hours{24}};
};
[[nodiscard]] LedgerSettings ledger_settings(const StoreSettings& settings);

/// The words of `binding_change.change` (storage/README.md, "Table `binding_change`").
///
///   assigned  a client holds it now, and did not before; after a change of client it follows that one's `ended`
///   renewed   the same client, and nothing changed but its times: only where renewals are recorded
///   updated   anything else that changed in the row; also the first word of a binding that is not in force
///   ended     no longer in force, or no longer that client's: then end_reason is 'replaced', and state 'ended'
///
/// What only moves the times of a binding that is not in force is `updated`, and like `renewed` written only where
/// renewals are recorded.
enum class FeedChange : std::uint8_t { assigned, renewed, updated, ended };
[[nodiscard]] std::string_view to_string(FeedChange change);

/// A row of `binding_change`, but for `seq`, and `at`, which is the batch's `now`; its key is that of its entry.
struct FeedRow {
    std::size_t entry = 0;  ///< index into Ledger::entries()
    FeedChange change = FeedChange::assigned;
    BindingState state = BindingState::active;
    Bytes client_id;  ///< who holds it, or held it until now
    std::optional<UtcSeconds> expires_at;
    /// JSON object: `client_id`, if the binding now names another than this row does; and the other columns of the row
    /// of `binding` that have another value now, each with its whole value, null if it has none any more (end_reason,
    /// hw_type, hw_addr, client_last_seen, state_since, preferred_until, renew_at, rebind_at, link_address,
    /// relay_address, relay_id, remote_id, circuit_id, subscriber_id, hostname, options, data_source). `assigned`
    /// begins with an empty row. Bytes as lower-case hex, times as ISO 8601 UTC. The columns of times are compared with
    /// nothing: whatever has a value is told, or null, in every row, since renewals that move them need not be
    /// recorded.
    std::string detail;
    bool inferred = false;
};

// When assignments begin and end, in our clock; `inferred` = a bound and no observation.
//
//   begins       at state_since (v4, start-time-of-state); else at client_last_seen, else at the message's base-time, and
//                these two are inferred unless the message was live (via active and not late)
//   'reported'   ends at state_since, else at the base-time of the message; inferred unless it was live, and spoke of the
//                holder or of nobody: another one's end says that the holder's time had ended before, and where something
//                may have been missed the holder may have left and come back
//   'unlisted'   ends at the base-time of the list, inferred unless it was live
//   'replaced'   by another client: ends when that one's begins, inferred, since no end was told. So does the time of a
//                client that had left and come back, which a later start-time-of-state tells (RFC 6926 §6.2.4)
//   'moved'      the same client at another hw_addr or remote_id: ends at the base-time of the message, where the next
//                one begins, inferred unless it was live. What was not told before, or is not any more, is no move.
//   'expired'    ends at expires_at, inferred; so does one whose end would be later by another cause that came without
//                state_since
//   'reconciled' ends now, inferred
//   'asked'      ends at the base-time of the answer, inferred
//
// The same client: the same client_id; where none had been told, the same hw_addr; where that had not been told either,
// whoever comes: the holder becomes known. One that was named and is not any more is another one.
//
// No boundary lies after the time when it was told, or before the boundary that came before it on the same address
// (BindingRow::boundary_at): then it is that one, and inferred.

/// Behind which port a holder is, and what it calls itself, as last told: it may change while an assignment goes on. What
/// is not told any more stays as it was. Empty: not told so far.
struct LineDetails {
    Bytes relay_id, circuit_id, subscriber_id;
    std::string hostname;  ///< as storable_host_name() writes it

    /// Takes over what the row names.
    void update(const BindingRow& row);
};

/// A row of `assignment` that is new; its key is that of its entry. At most one of an entry is open, its last.
struct NewAssignment {
    std::size_t entry = 0;
    Bytes client_id;
    std::string hw_addr;
    Bytes remote_id;
    UtcSeconds began_at{};
    std::optional<UtcSeconds> ended_at;  ///< none: open; Entry::row.assignment_id is to become its id
    EndReason end_reason = EndReason::none;
    bool began_inferred = false;
    bool ended_inferred = false;
    LineDetails line;
};

/// The end of an assignment that is in the table.
struct AssignmentEnd {
    std::size_t entry = 0;
    std::int64_t assignment_id = 0;
    UtcSeconds ended_at{};
    EndReason end_reason = EndReason::none;
    bool inferred = false;
};

/// What has become known of an open assignment that is in the table. client_id, hw_addr and remote_id fill a column that is
/// NULL, and change none that is not; `line` also replaces what was told before. Empty: nothing became known.
struct AssignmentFill {
    std::size_t entry = 0;
    std::int64_t assignment_id = 0;
    Bytes client_id;
    std::string hw_addr;
    Bytes remote_id;
    LineDetails line;
};

/// How many bindings there are more, or fewer, per state; and the sums that Applied tells.
struct Tally {
    StateCounts by_state;
    std::uint64_t stored = 0;
    std::uint64_t ended = 0;
    std::uint64_t reconciled = 0;
    std::int64_t refused = 0;
    std::int64_t lacking = 0;  ///< of these, no row is in doubt for it
    std::uint64_t doubts_told_live = 0;

    /// So many more ended, since a full bulk did not list them.
    void reconcile(std::uint64_t bindings) {
        by_state.end(static_cast<std::int64_t>(bindings));
        ended += bindings;
        reconciled += bindings;
    }
    void tell(Applied& applied) const {
        applied.stored = stored;
        applied.ended = ended;
        applied.reconciled = reconciled;
        applied.doubts_told_live = doubts_told_live;
    }
};

/// Entries of a ledger, from `first` up to `last`, which is no longer one of them.
struct EntryRange {
    std::size_t first = 0;
    std::size_t last = 0;
    [[nodiscard]] bool contains(std::size_t entry) const { return entry >= first && entry < last; }
    [[nodiscard]] std::size_t size() const { return last - first; }
};

class Ledger {
public:
    /// A row of `binding` that the batch touches, as it is after the changes so far.
    struct Entry {
        /// What there is to write. `listing`: seen_run and scope alone. `renewal`: all but doubt, client_id, hw_addr,
        /// relay_id, remote_id and circuit_id, which are as stored (and `renewal` never names the columns of the key). `ending`: state,
        /// end_reason, age, updated_at, assignment_id and boundary_at alone would do; an engine may write it as `renewal`.
        enum class Write : std::uint8_t { none, listing, renewal, whole, insert };
        BindingRow row;
        Write write = Write::none;
        std::optional<BindingState> before;  ///< its state in the table; none: it is not there
        Doubt doubt_before = Doubt::none;    ///< likewise
        bool doubted_live = false;           ///< by what a server tells live, if it was in doubt before or not
        std::uint32_t stored = 0;            ///< changes that were newer than what was there
        std::uint32_t ended = 0;             ///< times that it left force
        bool refused = false;                ///< set by the engine: none of its effects were written ...
        bool refusal_shown = false;          ///< ... but that its row is in doubt for `refused`
    };

    /// A client of whom the rows in force are to be loaded.
    struct Client {
        std::string vpn_id;  ///< as stored
        Bytes client_id;
    };

    explicit Ledger(const LedgerSettings& settings) : settings_(settings) {}

    // ---- 1. what to load ----

    /// These servers were taken over by the store.
    void opened(std::span<const ResumePoint> servers) { to_load_.new_servers.opened(servers); }
    /// Begins with a batch, which must stay where it is until the next begin(). Forgets the one before.
    void begin(const BatchContext& context, const Batch& batch);
    /// Of this server, every row at one of these addresses, of whatever kind, prefix length and VPN ...
    [[nodiscard]] std::span<const IpAddress> addresses() const;
    /// ... and every row in force of these clients ...
    [[nodiscard]] std::span<const Client> clients() const;
    /// ... are to be given here, in any order; a row given twice counts once.
    void add_stored(BindingRow row);
    /// Of keys of the batch that have no row, to be asked for after all add_stored(): the end of their last
    /// assignment is to be given here, if the table `assignment` has any.
    [[nodiscard]] std::vector<BindingKey> unknown_keys() const;
    void add_last_end(const BindingKey& key, UtcSeconds ended_at);

    // ---- 2. what it does ----

    /// Goes through the changes of the batch, in order (batch.hpp, Change).
    void run();

    // ---- 3. what to write ----

    /// In the order in which they were first touched. Engines set binding_id of inserted rows, assignment_id of open
    /// new assignments, and `refused`.
    [[nodiscard]] std::span<Entry> entries() { return entries_; }
    [[nodiscard]] std::span<Entry> entries(EntryRange range) { return entries().subspan(range.first, range.size()); }
    [[nodiscard]] EntryRange all() const { return {0, entries_.size()}; }
    [[nodiscard]] std::span<const FeedRow> feed() const;  ///< in order
    [[nodiscard]] std::span<const NewAssignment> new_assignments() const;
    [[nodiscard]] std::span<const AssignmentEnd> assignment_ends() const;
    [[nodiscard]] std::span<const AssignmentFill> assignment_fills() const;
    /// Without the entries that were refused, but for how many these are, and what came to be in doubt by it.
    [[nodiscard]] Tally tally() const;
    /// What came to be in doubt, or is so for another cause than before; doubts_told_max at most.
    [[nodiscard]] std::vector<DoubtfulBinding> new_doubts() const;

private:
    struct Moment {
        UtcSeconds at{};
        bool inferred = false;
    };
    /// What the ledger alone needs to know of an entry.
    struct Account {
        std::size_t next_at_address = none;  // further entries at the same address
        std::size_t open_assignment = none;  // index into new_assignments_ of the one that is open
    };
    static constexpr std::size_t none = ~std::size_t{0};
    struct ToLoad {
        std::vector<IpAddress> addresses;
        std::vector<Client> clients;
        NewServers new_servers;
        std::optional<IpAddress> up_to;  // above that nothing can be stored; only where `bounded`
        bool bounded = false;
    };

    struct AddressHash {
        std::size_t operator()(const IpAddress& a) const;
    };
    struct ClientHash {
        std::size_t operator()(const Client& c) const;
    };
    struct ClientEqual {
        bool operator()(const Client& a, const Client& b) const {
            return a.client_id == b.client_id && a.vpn_id == b.vpn_id;
        }
    };

    // Entries (ledger.cpp).
    [[nodiscard]] bool may_be_stored(const IpAddress& address) const;
    [[nodiscard]] std::size_t find(const BindingKey& key) const;
    std::size_t add_entry(const BindingKey& key);
    [[nodiscard]] bool exists(std::size_t at) const;
    void remember_client(std::size_t at);
    [[nodiscard]] BindingKey stored_key(const BindingKey& told);
    [[nodiscard]] bool is_newer(const Change& change, const BindingRow& row) const;
    [[nodiscard]] RecordAge age_of(const Change& change) const;
    void mark_listed(std::size_t at, const Change& change);

    // What the server said of a binding without telling how it is (doubts.cpp).
    void mark_sighted(const Change& sighting);
    void mark_doubtful(const Change& change);
    void doubt_row(std::size_t at, Doubt why, const Change& change);
    void end_absent(const Change& answer);
    void end_unlisted(const Change& list_end, std::span<const Change> listed);
    void end_in_force(std::size_t at, const Change& change, EndReason reason);
    [[nodiscard]] std::vector<std::size_t> held_by(const Binding& client) const;
    void rewrite(std::size_t at);

    // What one word of the server does (rules.cpp).
    void tell(const Change& change);
    [[nodiscard]] bool is_unchanged_listing(const Entry& entry, const Change& change) const;
    void fill_next(BindingRow& row, const Change& change, bool known);
    void fill_state(BindingRow& row, const Change& change, bool known) const;
    void become_active(std::size_t at, const Change& change, bool was_in_force);
    void become_inactive(std::size_t at, const Change& change, bool was_in_force);
    void note_inactive(std::size_t at, const Change& change);
    void arrive_expired(std::size_t at, const Change& change, bool was_in_force);
    void stay_with_client(std::size_t at, const Change& change);
    void move(std::size_t at, const Change& change);
    void pass_to_other_client(std::size_t at, const Change& change);
    Moment end_hold(std::size_t at, Moment end, EndReason reason);
    void begin_hold(std::size_t at, Moment begin);
    void write_assigned(std::size_t at);
    void write_updated(std::size_t at, FeedChange word, const Change& change);
    void write_ended(std::size_t at, Moment end);
    [[nodiscard]] bool was_known(std::size_t at) const;
    [[nodiscard]] bool has_come_back(const BindingRow& row, const Change& change) const;

    /// That a list of its client left a binding out concerns that client alone. With any other doubt the address may be
    /// another client's by now.
    [[nodiscard]] static bool concerns_client_alone(Doubt doubt);
    [[nodiscard]] bool is_seen_live(const Change& change) const;
    [[nodiscard]] Moment begin_of(const Change& change) const;
    [[nodiscard]] Moment told_at(const Change& change) const;
    [[nodiscard]] Moment bounded(Moment m, const std::optional<UtcSeconds>& boundary) const;
    [[nodiscard]] UtcSeconds ours(ServerTime t, const Change& change) const;

    const LedgerSettings settings_;
    BatchContext context_;
    const Batch* batch_ = nullptr;
    std::vector<Entry> entries_;
    std::vector<Account> accounts_;                                     // parallel to entries_
    std::unordered_map<IpAddress, std::size_t, AddressHash> first_at_;  // none: told of, nothing there yet
    std::unordered_map<Client, std::vector<std::size_t>, ClientHash, ClientEqual> held_by_;
    ToLoad to_load_;
    std::vector<FeedRow> feed_;
    std::vector<NewAssignment> new_assignments_;
    std::vector<AssignmentEnd> assignment_ends_;
    std::vector<AssignmentFill> assignment_fills_;
    BindingRow before_;  // the row at hand, as it was
    UtcSeconds now_{};   // when the change at hand was told
    std::string scratch_;
};

}  // namespace leasemirror
