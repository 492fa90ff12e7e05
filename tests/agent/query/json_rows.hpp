// Rows of a query as lines of JSON, for tests that look at what came out.
#pragma once

#include "agent/query/record_text.hpp"
#include "agent/query/rows.hpp"

#include <cstdint>
#include <optional>
#include <ostream>

namespace leasemirror {

class JsonRows final : public RowSink {
public:
    /// `limit`: rows that are taken.
    explicit JsonRows(std::ostream& out, std::optional<std::uint64_t> limit = std::nullopt)
        : out_(out), limit_(limit) {}

    bool add(const Record& row) override {
        if (limit_ && count_ >= *limit_) return false;
        ++count_;
        out_ << json_line(row) << '\n';
        return true;
    }
    void flush() override { out_.flush(); }
    [[nodiscard]] bool broken() const override { return !out_; }
    [[nodiscard]] std::uint64_t count() const override { return count_; }

private:
    std::ostream& out_;
    std::optional<std::uint64_t> limit_;
    std::uint64_t count_ = 0;
};

}  // namespace leasemirror
