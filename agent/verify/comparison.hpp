// The mirror of one server compared with what the server lists, while both go on changing. Pure: it is shown what the
// server said and which rows there are, and in which order that was read decides everything (agent/README.md, "Verify").
//
//     first look    each binding that the server lists, and the row that the mirror had after that: on_listed()
//                   then the rows in force that it did not list: on_row()
//                   What is alike is done with. The rest are candidates: one of the two may only be ahead.
//     settling      the mirror goes on until it is right up to a moment after the server said so. The row is read again:
//                   look_again(). What is alike by now, or was told since, is done with.
//     second look   the server is read again: on_listed_again(); and then the rows: conclude(). What the server says as
//                   before, and the mirror has as before, and is still not alike, is a difference.
#pragma once

#include "agent/verify/absence.hpp"
#include "agent/verify/columns.hpp"
#include "storage/ledger/binding_row.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

/// How far the mirror is right, as it stood before the rows were read that it is used with.
struct MirrorMark {
    std::optional<UtcSeconds> right_up_to;  ///< server.fresh_as_of
    /// An agent is at work, and follows the server: waiting helps. Else the mirror stays as old as it is, and what the
    /// server's own word dates to after that is not compared.
    bool moves = false;
};

/// What was there to hear and how it ended, of one reading of all queries.
struct Reading {
    ServerTime began{};  ///< the base-time of the first reply ...
    UtcSeconds ended{};  ///< ... and of the last one, in our clock
    Absence absence;
    bool whole = false;  ///< every query was answered to its end, and every reply could be read
};

struct Difference {
    enum class Kind : std::uint8_t {
        missing,  ///< the server has it in force, the mirror does not
        extra,    ///< the other way round
        changed,  ///< both have it in force, and in `columns` they are not alike
    };
    Kind kind = Kind::changed;
    BindingKey key;
    std::vector<ColumnDifference> columns;
    // Who has it, for people: as the server says, or else the mirror. Empty: not told.
    Bytes client_id = {};
    std::string hw_addr = {};
};
[[nodiscard]] std::string_view to_string(Difference::Kind kind);  // "missing", "extra", "changed"

/// What a comparison came to.
struct Compared {
    std::vector<Difference> differences;
    std::uint64_t pending = 0;      ///< changed after the moment up to which the mirror is right: not compared
    std::uint64_t in_doubt = 0;     ///< not alike, and the mirror says itself that it is in doubt
    std::uint64_t changed = 0;      ///< not alike at first, and changed meanwhile at the server or in the mirror
    std::uint64_t unconfirmed = 0;  ///< not alike, and the second reading broke off before it could say so
    std::uint64_t left_out = 0;     ///< beyond candidates_max: not looked into

    [[nodiscard]] std::uint64_t count(Difference::Kind kind) const;
};

class Comparison {
public:
    /// Of so many bindings that are not alike at first sight it keeps both records: some 40 MB.
    static constexpr std::size_t candidates_max = 20000;
    /// What was told up to a moment has all arrived when what was told so much later has: base-times are cut to seconds,
    /// and those of one stream may be out of order by disorder_max (storage/batch.hpp, Change::disorder_window).
    static constexpr std::chrono::seconds order_slack{6};

    /// `mark`: when the first look begins.
    explicit Comparison(MirrorMark mark) : mark_(mark) {}

    // ---- first look. `now`: our clock ----

    /// The server lists `told` (ledger/told_row.hpp), by `heard_at` in our clock; `mirror` is the row that was there after
    /// that, null if there was none.
    void on_listed(const BindingRow& told, UtcSeconds heard_at, const BindingRow* mirror, UtcSeconds now);
    /// All queries are over: on_row() is next, for each row in force of the server.
    void end_listing(const Reading& first);
    void on_row(const BindingRow& mirror, UtcSeconds now);

    // ---- settling ----

    [[nodiscard]] std::size_t candidates() const { return candidates_.size(); }
    /// Of the candidates: at which addresses the rows are to be read again.
    [[nodiscard]] std::vector<IpAddress> addresses() const;
    /// All rows at these addresses, as they are now. `mark` was read before them.
    void look_again(const std::vector<BindingRow>& rows, const MirrorMark& mark, UtcSeconds now);
    /// Some candidates would be settled by a mirror that has gone on.
    [[nodiscard]] bool waits() const;
    /// It has not, in time, or will not.
    void stop_waiting();

    // ---- second look ----

    void on_listed_again(const BindingRow& told);
    /// All rows at addresses(), as they are now.
    void conclude(const std::vector<BindingRow>& rows, const Reading& second, UtcSeconds now);

    [[nodiscard]] const Compared& result() const { return result_; }

private:
    struct Candidate {
        std::optional<BindingRow> told, mirror;
        std::optional<BindingRow> told_again;
        UtcSeconds observed_at{};  // when the server had it so, by its own word
        bool covered = false;      // the mirror was right up to a later moment, and still not alike
    };
    using Rows = std::map<BindingKey, const BindingRow*>;

    void add(const BindingKey& key, Candidate candidate);
    [[nodiscard]] bool is_covered(const Candidate& candidate, const MirrorMark& mark) const;
    [[nodiscard]] bool is_settled(Candidate& candidate, const BindingRow* mirror, UtcSeconds now);
    void conclude_one(const BindingKey& key, const Candidate& candidate, const BindingRow* mirror,
                      const Reading& second, UtcSeconds now);

    MirrorMark mark_;
    std::map<BindingKey, Candidate> candidates_;
    std::vector<std::int64_t> seen_;  // binding_id of the rows that were listed
    Reading first_;
    Compared result_;
};

}  // namespace leasemirror
