// One server compared with its mirror: the sockets, the clock and the database around comparison.hpp and bulk_reading.hpp.
// Blocking, until all is settled or Ctrl-C.
#pragma once

#include "agent/config/config.hpp"
#include "agent/query/interrupt.hpp"
#include "agent/query/progress.hpp"
#include "agent/verify/comparison.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace leasemirror {

class MirrorReader;
class Reader;

/// References outlive the comparison.
struct VerifyMeans {
    Bytes requestor_duid;
    Reader& reader;
    MirrorReader& mirror;
    QueryProgress& progress;
    Interrupt& stop;
    std::function<void(const std::string& note)> say;
};

struct VerifyReport {
    std::int64_t server_id = 0;
    std::string fault;  ///< empty: it was compared
    int code = 0;       ///< of the command
    /// Every query was answered to its end and could be read, each time, and all that was not alike was looked into: the
    /// result is worth keeping.
    bool whole = false;
    Compared compared;
    std::optional<UtcSeconds> right_up_to;  ///< the mirror, when the last row was judged
    std::uint64_t listed = 0;               ///< bindings, as often as the queries listed them
    std::chrono::milliseconds took{0};
};

/// Throws StoreError.
[[nodiscard]] VerifyReport verify_server(const ServerConfig& server, const VerifyMeans& with);

}  // namespace leasemirror
