// What an exchange hands to the command: bindings as rows, and how it ended.
#pragma once

#include "proto/binding.hpp"
#include "storage/record.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace leasemirror {

/// A binding with the columns of table `binding` (storage/README.md) that a server's word alone can fill, and `server`
/// by name. Times are ours, by `skew`; `base_time` is the server's.
[[nodiscard]] Record query_record(const Binding& binding, const std::string& server, Skew skew);

/// Where the rows go.
class RowSink {
public:
    RowSink() = default;
    RowSink(const RowSink&) = delete;
    RowSink& operator=(const RowSink&) = delete;
    virtual ~RowSink() = default;

    /// False if this row is one too many: it is not taken, and no further one will be.
    [[nodiscard]] virtual bool add(const Record& row) = 0;
    /// Shows what has been added.
    virtual void flush() = 0;
    /// Nothing can be written any more: the reader of our output has gone, or the disk is full.
    [[nodiscard]] virtual bool broken() const = 0;
    [[nodiscard]] virtual std::uint64_t count() const = 0;
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

}  // namespace leasemirror
