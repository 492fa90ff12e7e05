// A set of bulk queries that together answer one need: a full load, the repair of a gap, or what is new since the last
// poll. It knows which query is still to be asked, what became of each, and what the answers show of the server; it opens
// no connection itself.
#pragma once

#include "proto/query.hpp"
#include "proto/status.hpp"
#include "storage/batch.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

/// How far a full read has come.
struct FullReadProgress {
    std::uint64_t run = 0;  ///< another one: another read
    std::uint64_t bindings = 0;
    std::size_t queries = 0, queries_over = 0;
    std::optional<std::uint64_t> expected = {};  ///< bindings of the full read before, where there was one

    friend bool operator==(const FullReadProgress&, const FullReadProgress&) = default;
};

class BulkJob {
public:
    /// A query that was cut off this often is given up for this job. Where a gap's window cannot be had, a full load
    /// brings the same; a full load tries harder, since nothing else would bring what it brings.
    static constexpr int window_attempts_max = 2;
    static constexpr int full_attempts_max = 5;
    /// What changed this much before the start of a window has no place in its answer; less may be cut seconds.
    static constexpr std::chrono::seconds window_slack{5};

    enum class ItemState : std::uint8_t { waiting, running, complete, cut_off, refused };
    struct Item {
        BulkQuery query;
        ItemState state = ItemState::waiting;
        int attempts = 0;
        std::uint64_t run = 0;     ///< of this attempt
        bool lease_lost = false;   ///< a reply could not be read, not even whose lease it was: absence proves nothing
        std::uint64_t unread = 0;  ///< so many replies said something that could not be read
        std::uint64_t bindings = 0;
        bool began = false;                    ///< a first reply has come
        std::optional<ServerTime> first_base;  ///< as of when the first reply of the attempt was built
        std::string trouble;                   ///< why it was cut off or refused
    };

    // `run` numbers a job in the database: above all that were begun before it.
    /// Everything in every scope.
    static BulkJob full(std::uint64_t run, const std::vector<BulkQuery>& queries, std::string cause);
    /// What changed in one gap.
    static BulkJob window(std::uint64_t run, const Gap& gap, const std::vector<BulkQuery>& queries);
    /// What has changed since `start`, between two full loads.
    static BulkJob windowed_poll(std::uint64_t run, ServerTime start, const std::vector<BulkQuery>& queries);

    /// Whether the server has one binding, and what it says of it.
    static BulkJob question(std::uint64_t run, const BulkQuery& query, const BindingKey& sought);

    enum class Kind : std::uint8_t { full, gap_window, windowed_poll, question };
    [[nodiscard]] Kind kind() const { return kind_; }
    [[nodiscard]] bool is_full() const { return kind_ == Kind::full; }
    [[nodiscard]] std::uint64_t run() const { return run_; }
    /// A query is asked again: what only its earlier attempt listed must not count as listed.
    void renumber(std::size_t item, std::uint64_t run) { items_[item].run = run; }
    [[nodiscard]] const QueryWindow& query_window() const { return window_; }
    /// The number of the gap whose window this is.
    [[nodiscard]] std::uint64_t gap() const { return gap_; }
    [[nodiscard]] const std::string& cause() const { return cause_; }
    [[nodiscard]] const std::vector<Item>& items() const { return items_; }

    /// The next query to ask, now running; nothing when none waits.
    [[nodiscard]] std::optional<std::size_t> take();
    [[nodiscard]] std::size_t waiting() const;
    [[nodiscard]] bool has_running() const;
    /// A query has gone out.
    [[nodiscard]] bool any_asked() const;
    /// No query waits or runs.
    [[nodiscard]] bool over() const { return waiting() == 0 && !has_running(); }

    /// `base` is that of the reply. Where it has none, it may have been built as early as its query was asked: `asked_at`.
    void on_reply(std::size_t item, std::optional<ServerTime> base, ServerTime asked_at);
    void on_binding(std::size_t item, const Binding& binding);
    void on_lease_lost(std::size_t item) { items_[item].lease_lost = true; }
    void on_lease_unread(std::size_t item) { ++items_[item].unread; }
    void on_complete(std::size_t item);
    void on_refused(std::size_t item, std::string why);
    /// The connection broke before the query ended; it waits again, or is given up.
    void on_cut_off(std::size_t item, std::string why);
    /// Put back without counting as an attempt: it has not been asked.
    void give_back(std::size_t item);
    void give_back_all();

    /// Every query ended well.
    [[nodiscard]] bool all_complete() const;
    [[nodiscard]] bool any_complete() const;
    [[nodiscard]] bool any_refused() const;
    /// Every query ended well, and every reply could be read: what was not listed is not there.
    [[nodiscard]] bool absence_proves() const;
    /// How many messages cost a binding.
    [[nodiscard]] std::uint64_t unread() const;
    /// All that was answered could be read.
    [[nodiscard]] bool all_read() const;
    /// Any query was cut off too often.
    [[nodiscard]] bool any_cut_off() const;
    /// What went wrong with which query, for people; empty if nothing did. The first few, and how many more.
    [[nodiscard]] std::string trouble() const;
    /// The queries that ended well, or also those that were cut off: all but the refused ones.
    [[nodiscard]] std::vector<BulkQuery> queries_complete() const;
    [[nodiscard]] std::vector<BulkQuery> queries_not_refused() const;
    /// The earliest first reply of all its queries, or where those carry no base-time, when the first was asked: what changed
    /// from then on is for the active query to tell (agent/README.md, "No hole between bulk and active"). Nothing before the
    /// first reply.
    [[nodiscard]] std::optional<ServerTime> began_at() const { return began_at_; }
    /// Whether the server put base-times into its replies; without them it cannot know time windows either
    /// (RFC 7653 §9.3, RFC 6926 §8.3).
    [[nodiscard]] bool base_times_seen() const { return base_times_seen_; }
    [[nodiscard]] std::uint64_t bindings() const;
    [[nodiscard]] FullReadProgress progress() const;
    /// Of a question: the binding that it is about, if the answer has it in force.
    [[nodiscard]] const std::optional<Binding>& sought() const { return found_; }
    /// A binding was listed that is in a VPN other than the default one.
    [[nodiscard]] bool vpns_seen() const { return vpns_seen_; }
    /// When the binding that has been still for longest last changed, as far as the bindings say.
    [[nodiscard]] std::optional<ServerTime> oldest_change() const { return oldest_change_; }
    /// Whether the server heeds the start time that this job's queries had; nothing as long as the answers fit both.
    /// `oldest` is the oldest_change() of the last full load: what a server that heeds no start time lists again.
    [[nodiscard]] std::optional<bool> heeds_start(Family family, std::optional<ServerTime> oldest) const;

private:
    BulkJob(Kind kind, std::uint64_t run, const std::vector<BulkQuery>& queries);

    Kind kind_;
    std::uint64_t run_;
    QueryWindow window_;
    std::uint64_t gap_ = 0;
    std::string cause_;
    std::vector<Item> items_;
    std::optional<ServerTime> began_at_;
    std::optional<ServerTime> oldest_change_;
    std::uint64_t dated_ = 0;  // bindings that tell when they last changed,
    std::uint64_t still_ = 0;  // and those of them that had been still since before the window
    bool base_times_seen_ = false;
    bool vpns_seen_ = false;
    BindingKey sought_;
    std::optional<Binding> found_;
};

}  // namespace leasemirror
