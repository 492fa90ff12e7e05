// What `query` prints: bindings on stdout as a table or as JSON, and closing lines on stderr. Pure but for the streams
// that are handed in.
#pragma once

#include "agent/cli/table_text.hpp"
#include "agent/query/rows.hpp"

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

namespace leasemirror {

class QueryRows final : public RowSink {
public:
    /// `limit`: rows that may be added since begin().
    QueryRows(std::ostream& out, bool json, std::optional<std::uint64_t> limit);

    /// Also full() from the row that is one too many on.
    [[nodiscard]] bool add(const Record& row) override;
    /// A table is printed in parts, so nothing is kept back until the end.
    void flush() override;
    /// The rows of what is asked next: the limit is its own.
    void begin();
    [[nodiscard]] bool full() const { return full_; }
    [[nodiscard]] bool broken() const override;
    [[nodiscard]] std::uint64_t count() const override { return count_; }

private:
    std::ostream& out_;
    TextTable table_;
    bool json_;
    std::optional<std::uint64_t> limit_;
    std::uint64_t count_ = 0;
    bool full_ = false;
};

/// The lines for stderr: what went wrong, what is to be known about the answer, and "17 bindings from east-v6 in 0.2 s".
[[nodiscard]] std::string closing_text(const QueryReport& report);

}  // namespace leasemirror
