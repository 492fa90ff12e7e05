// What `query` prints: bindings on stdout as a table or as JSON, a line of progress on a terminal. Pure but for the
// streams that are handed in.
#pragma once

#include "agent/cli/table_text.hpp"
#include "proto/binding.hpp"
#include "storage/reader.hpp"

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

namespace leasemirror {

/// A binding with the columns of table `binding` (DESIGN section 6) that a server's word alone can fill, and `server`
/// by name. Times are ours, by `skew`; `base_time` is the server's.
[[nodiscard]] Record query_record(const Binding& binding, const std::string& server, Skew skew);

class QueryRows {
public:
    /// `limit`: rows that may be added.
    QueryRows(std::ostream& out, bool json, std::optional<std::uint64_t> limit);

    /// False if this row is one too many: it is not printed, and full() from then on.
    bool add(const Record& row);
    /// Writes what has been added. A table is printed in parts, so nothing is kept back until the end.
    void flush();
    [[nodiscard]] bool full() const { return full_; }
    /// Nothing can be written any more: the reader of our output has gone, or the disk is full.
    [[nodiscard]] bool broken() const;
    [[nodiscard]] std::uint64_t count() const { return count_; }

private:
    std::ostream& out_;
    TextTable table_;
    bool json_;
    std::optional<std::uint64_t> limit_;
    std::uint64_t count_ = 0;
    bool full_ = false;
};

/// One line on a terminal, written over itself a few times a second at most: "12000 bindings, 6100 per second".
class QueryProgress {
public:
    /// `shown`: `err` is a terminal.
    QueryProgress(std::ostream& err, bool shown, SteadyTime began) : err_(err), shown_(shown), began_(began) {}

    /// Nothing at first: most answers are there before anybody could read it.
    void tick(std::uint64_t bindings, SteadyTime now);
    void show(const std::string& text, SteadyTime now);
    /// Leaves the line empty, for what is said next.
    void clear();

private:
    static constexpr std::chrono::milliseconds interval{250};

    std::ostream& err_;
    bool shown_;
    SteadyTime began_;
    std::optional<SteadyTime> last_;
};

/// How the asking of one server, or of several by one exchange, ended.
struct QueryReport {
    std::string server;                ///< by name
    std::string fault;                 ///< empty: all was answered
    int code = 0;                      ///< of the command
    std::uint64_t bindings = 0;        ///< printed
    std::uint64_t not_understood = 0;  ///< messages, or parts of some
    std::uint64_t before_window = 0;   ///< bindings that say of themselves that nothing happened to them since --since
    std::optional<std::uint64_t> discarded;  ///< datagrams; over UDP only
    bool limited = false;                    ///< there was more than --limit
    bool interrupted = false;
    std::chrono::milliseconds took{0};
};

/// The lines for stderr: what went wrong, what is to be known about the answer, and "17 bindings from east-v6 in 0.2 s".
[[nodiscard]] std::string closing_text(const QueryReport& report);

}  // namespace leasemirror
