// What the agent hands to a Store, and what comes back: plain values, which know no database.
#pragma once

#include "storage/resume_point.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace leasemirror {

/// What the agent is doing about a server (agent/README.md, "Phases").
enum class Phase : std::uint8_t { connecting, bulk, catch_up, live, gap, polling, waiting, down, disabled };
[[nodiscard]] std::string_view to_string(Phase p);

/// One thing a server said, in the order it was said.
struct Change {
    enum class Kind : std::uint8_t {
        /// `binding` as told. It replaces what is stored unless that is newer (storage/README.md, "Which record is
        /// newer"): of an older epoch always; else if its base-time is later; or, where both were told live by an active
        /// query, earlier by no more than disorder_window; likewise one told live of another client than the one that a question
        /// has ended (`asked`); at the same base-time, which is too coarse to order what
        /// happens within a second, if it was told in a later run (the server was asked after the other had come), or in
        /// the same and its `via` is not less trusted. It settles a doubt; within the second of that, only if it was told
        /// live or in a later run. A v6 end that names another client than the one in force ends nothing (RFC 5007
        /// §4.1.2.2): the row is in doubt for `other_client`.
        binding,
        /// A client's list on one link ended (agent/README.md, "Ended bindings"): `binding` carries client_id, vpn_id,
        /// link_address, base_time and via. Of the bindings in force of that client that are not newer, and are none of
        /// the `listed` changes right before this one, those on that link end with reason 'unlisted', or, where `doubt`
        /// is not none, are in doubt for that. Where either link is not known, the binding is in doubt for
        /// `link_unknown`, or for `unreadable` where that is `doubt`. A doubt about more than the client stays as it is.
        client_list_end,
        /// The server listed `binding.key.address` in a message that could not be understood otherwise: in this full
        /// bulk the address, in any VPN, counts as seen and is not ended by reconciliation. What the mirror has there is
        /// in doubt for `doubt`.
        sighting,
        /// What the mirror has under `binding.key`, in force or not, is in doubt for `doubt`, unless it is newer than
        /// base_time, via and run (no base_time: whatever its age).
        doubt,
        /// The server was asked for `binding.key`, and what it answered does not hold it: if it is in force, and in doubt,
        /// and no newer than this, it ends with reason 'asked'; if it is not in force, the doubt is settled.
        absent,
    };
    /// Two base-times of one stream may be out of order by this much: servers queue messages, and clocks are set.
    static constexpr std::chrono::seconds disorder_window{5};
    Kind kind = Kind::binding;
    Doubt doubt = Doubt::none;  ///< for client_list_end, sighting and doubt
    std::uint32_t listed = 0;   ///< for client_list_end
    std::uint64_t run = 0;      ///< the bulk that listed it; for what is told otherwise the last one begun; 0 = none
    std::uint32_t scope = 0;    ///< names the bulk query that listed it; 0 = none did
    /// Told in the catch-up phase, or while something told before may be missing: the message's base-time is not when it
    /// happened (RFC 7653 §8.4.1 and §9.3, RFC 7724 §7.4.1), so that boundaries of assignments taken from it are
    /// `inferred`. For `via` other than active that goes without saying.
    bool late = false;
    /// Its base-time lies further behind than the skew says: the message has waited, or the server's clock was set back, and
    /// nothing tells which yet. Boundaries taken from it are bounds: when it was told, by our clock.
    bool clock_unsure = false;
    /// When it was told, by our clock: what has expired is judged by that, since the database may have been away. None:
    /// when the batch was closed.
    std::optional<UtcSeconds> told_at;
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
        change.clock_unsure = false;
        change.doubt = Doubt::none;
        change.told_at.reset();
        change.skew.reset();
        change.binding.clear();
        return change;
    }
    void push_back(Change change) { append() = std::move(change); }
    void clear() { used_ = 0; }
    [[nodiscard]] std::size_t size() const { return used_; }
    [[nodiscard]] bool empty() const { return used_ == 0; }
    [[nodiscard]] const Change& operator[](std::size_t i) const { return changes_[i]; }
    [[nodiscard]] Change* begin() { return changes_.data(); }
    [[nodiscard]] Change* end() { return changes_.data() + used_; }
    [[nodiscard]] const Change* begin() const { return changes_.data(); }
    [[nodiscard]] const Change* end() const { return changes_.data() + used_; }

private:
    std::vector<Change> changes_;
    std::size_t used_ = 0;
};

/// Ends what a full bulk did not return (agent/README.md, "Reconciliation"): every binding in force of this server, in
/// one of the scopes, that no change of the scope's run touched, unless a message with a base-time after `listed_from`
/// did. Changes of a run are those that one of its queries listed, and those that were told otherwise after it had begun:
/// a base-time is too coarse to say what was told before and what after, within one second. Bindings of an older epoch
/// end whatever their base-time.
struct Reconcile {
    struct Scope {
        std::uint32_t id = 0;   ///< bindings last listed by this query ...
        Bytes relay_id;         ///< ... or, if not empty, whose relay-id is this ...
        Bytes remote_id;        ///< ... or whose remote-id is this
        std::uint64_t run = 0;  ///< of the attempt that was complete, where an earlier one was cut off; 0: as below
        bool unread = false;    ///< a reply could not be read: what it did not list is in doubt, and does not end
    };
    std::uint64_t run = 0;
    ServerTime listed_from{};  ///< base-time of the first reply of the bulk
    bool everything = false;   ///< all of the server, and what is in one of the scopes by the run of that
    bool all_vpns = false;     ///< the bulk asked for every VPN; without it only the default VPN ('') is touched
    bool unread = false;       ///< as of a scope, for `everything`: cause `scope_unreadable`
    /// Bindings in force that no query of this bulk could have listed (of other VPNs, or of no scope) and that nothing
    /// told after its beginning are in doubt for `unlistable`: something may have been missed.
    bool doubt_unreached = false;
    /// Every query was answered or refused: what the database had refused before this bulk began has been told again.
    bool asked_to_the_end = false;
    std::vector<Scope> scopes = {};

    [[nodiscard]] std::uint64_t run_of(const Scope& scope) const { return scope.run == 0 ? run : scope.run; }
    [[nodiscard]] std::uint64_t latest_run() const;
    [[nodiscard]] bool any_unread() const;
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

/// What the table `server` shows of the connections. Replaces the stored values, null where empty.
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
    std::uint64_t unreadable = 0;                    ///< messages of the last full read and since that cost a binding
    std::optional<UtcSeconds> known_since;           ///< the end of the first full read; none: there was none yet
    std::optional<UtcSeconds> next_attempt_at = {};  ///< while no connection is open: when the next one is tried
};

/// What is known of the clocks before the last fresh start.
struct ClocksBefore {
    /// A server that keeps absolute times tells all of them moved by the difference, and not because something has happened.
    std::optional<Skew> skew;
    /// Ours may have been another one: when a hold that is still open began cannot be told in the clock of now. With the fresh
    /// start its beginning becomes inferred, and `fresh_as_of` NULL. When its client is told of again it ends, and another one begins.
    bool ours_unsure = false;
};

/// Everything of one server that becomes visible at once. Fields apply in the order they stand here.
struct Batch {
    ServerId server = 0;
    /// Per server, counting up from 1 since open_servers(). The store keeps it with the data: a batch whose number is
    /// not above the last one committed is a repeated one, and does nothing. 0: not numbered, always applied.
    std::uint64_t number = 0;
    UtcSeconds now{};  ///< our time when the batch was closed: updated_at, and what has expired
    Skew skew{};       ///< converts the server's times to ours where a change has none
    /// Our own clock was set by so much (positive: forward). All times of this server that are stored in our clock move
    /// with it: those of bindings in force, of the assignments that are open, and `fresh_as_of`. What has ended stays as it
    /// was told.
    std::optional<std::chrono::seconds> our_clock_moved;
    std::optional<std::uint64_t> begin_run;   ///< a bulk with this number has begun
    std::optional<std::uint64_t> begin_full;  ///< a full one with this number has
    bool fresh_start = false;  ///< begin a new epoch; forget the base-time; later changes belong to the new one
    ClocksBefore before;
    ChangeList changes;
    std::optional<Reconcile> reconcile;
    std::vector<GapChange> gaps;
    std::optional<ServerTime> base_time;  ///< the new resume point
    std::optional<UtcSeconds> fresh_as_of;
    std::optional<ServerStatus> status;
    std::vector<QuarantineEntry> quarantine;
    bool list_doubts = false;        ///< Applied::doubts tells what is in doubt, and not only what came to be so
    std::uint64_t doubts_after = 0;  ///< that list leaves out so many of them, those known longest
    std::optional<std::uint64_t> resync_done;  ///< the full read that was asked for by this number has ended

    /// A full bulk is over that was asked to the end ...
    [[nodiscard]] bool full_is_over() const { return reconcile && reconcile->asked_to_the_end; }
    /// ... and had begun in this very batch.
    [[nodiscard]] bool begun_full_is_over() const { return full_is_over() && begin_full == reconcile->run; }
    /// The highest number of a gap in it; 0: none.
    [[nodiscard]] std::uint64_t last_gap() const;
};

struct Applied {
    std::uint64_t stored = 0;  ///< changes that were newer than what was there
    std::uint64_t ended = 0;   ///< bindings that left force, by whatever cause
    std::uint64_t reconciled = 0;
    std::vector<std::string> refused;  ///< one line for each change that went to quarantine alone
    /// So many that the database refused in the last full bulk and since have no row that is in doubt for it. Until a full
    /// bulk that was asked to the end has done without, the store leaves `fresh_as_of` where it was, and `coverage` partial,
    /// whatever a batch says: some are on their way before anybody knows.
    std::uint64_t lacking = 0;
    /// What came to be in doubt, oldest first: doubts_told_max of them at most. All that is in doubt, those known longest
    /// first, where Batch::list_doubts asks for it, or a reconciliation put something in doubt.
    std::vector<DoubtfulBinding> doubts = {};
    std::uint64_t doubts_open = 0;  ///< how many bindings of the server are in doubt now
    /// How many came to be in doubt, or anew for something later, for what a server tells live (is_told_live()).
    std::uint64_t doubts_told_live = 0;
};

struct ServerOrders {
    ServerId server = 0;
    Orders orders;
};

/// What one step of housekeeping did (Store::sweep()), and what is asked of the agent.
struct Swept {
    std::uint64_t ended = 0;
    std::uint64_t removed_bindings = 0;
    std::uint64_t removed_changes = 0;
    std::uint64_t removed_assignments = 0;
    bool around = false;                    ///< this step came to the end of the table
    std::vector<ServerOrders> orders = {};  ///< of those servers of the store of which anything is asked
};

}  // namespace leasemirror
