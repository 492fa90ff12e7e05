// The open recoveries of one server and how far each has come.
//
//     window_due --windowed bulk begins--> window_running --it is over--> full_due
//         |                                                                  ^
//         +------------------- windows are of no use ------------------------+
//
//     any of them --full bulk begins--> full_running --it is reconciled--> closed
//                                            |
//                                            +-- it failed --> full_due
//
// A windowed bulk brings back quickly what began or changed. It never closes a gap: what ended, v6 windows do not show, and
// v4 ones only for addresses that are still configured (RFC 6926 §8.2). A full bulk with reconciliation closes all gaps that
// were open when it began, and have not grown since: what changes while it runs need not be in its listing.
#pragma once

#include "storage/batch.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

class GapBook {
public:
    /// More gaps than this are merged with their neighbour even if they do not touch: they would all end in the same
    /// full bulk anyway, and no list here grows without a bound.
    static constexpr std::size_t gaps_max = 16;

    GapBook(std::vector<Gap> open, std::uint64_t last_number);

    /// Records a gap, both ends inclusive, and returns what to write. One that touches a gap whose recovery has not
    /// begun widens it.
    [[nodiscard]] GapChange open(ServerTime from, ServerTime to, const std::string& cause);
    /// One that no window helps: a full bulk is due for it. Others like it that wait for theirs are widened.
    [[nodiscard]] GapChange open_for_full(ServerTime from, ServerTime to, const std::string& cause);
    /// Ends one; `number` must be open.
    [[nodiscard]] GapChange close(std::uint64_t number, std::string outcome, std::uint64_t recovered);

    [[nodiscard]] bool empty() const { return gaps_.empty(); }
    [[nodiscard]] std::size_t size() const { return gaps_.size(); }
    /// Where the oldest begins: the mirror is not known to be right past this.
    [[nodiscard]] std::optional<ServerTime> earliest() const;
    [[nodiscard]] std::vector<std::uint64_t> numbers() const;
    /// Ends all, since nothing can be asked that would bring back what is missing.
    [[nodiscard]] std::vector<GapChange> close_all(const std::string& outcome);

    /// The next gap to recover by a windowed bulk, oldest first.
    [[nodiscard]] std::optional<Gap> next_window() const;
    void on_window_begun(std::uint64_t number) { set_stage(number, Stage::window_running); }
    /// Only a full bulk closes it now; `number` must be open.
    void needs_full(std::uint64_t number) { set_stage(number, Stage::full_due); }
    void all_need_full() { set_all(Stage::full_due); }
    [[nodiscard]] bool full_due() const;
    /// A full bulk begins: what it closes is what is open now.
    void on_full_begun() { set_all(Stage::full_running); }
    /// One is under way for them.
    [[nodiscard]] bool full_running() const;
    /// It was answered: ends the gaps that were open when it began and have not grown since.
    [[nodiscard]] std::vector<GapChange> close_by_full(const std::string& outcome, std::uint64_t recovered);
    /// It is over: what it did not close waits for another one.
    void on_full_over();
    /// A windowed recovery waits or runs.
    [[nodiscard]] bool window_pending() const;

private:
    enum class Stage : std::uint8_t { window_due, window_running, full_due, full_running };
    struct Entry {
        Gap gap;
        Stage stage = Stage::window_due;
    };
    void set_stage(std::uint64_t number, Stage stage);
    void set_all(Stage stage);
    [[nodiscard]] Entry* mergeable(ServerTime from, ServerTime to);

    std::vector<Entry> gaps_;
    std::uint64_t last_number_;
};

}  // namespace leasemirror
