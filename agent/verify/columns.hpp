// In which columns a row of the mirror and what the server says are not alike. Pure.
#pragma once

#include "storage/ledger/binding_row.hpp"
#include "storage/record.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

/// Two times that are the same: servers tell them in whole seconds counted from a base-time in whole seconds, and the skew
/// that both went through is an estimate, which moves by up to a second.
constexpr std::chrono::seconds same_time{5};

struct ColumnDifference {
    std::string_view column;  ///< by its name in the table `binding`
    Value mirror, server;     ///< as storage/record.hpp has them; nothing where it has none

    friend bool operator==(const ColumnDifference&, const ColumnDifference&) = default;
};
/// "hostname  mirror: printer-7  server: nothing"
[[nodiscard]] std::string to_string(const ColumnDifference& difference);

/// Of all columns that a server tells; of a row that is null there is nothing in any of them. Left out are the key, what
/// the mirror decides for itself, and client_last_seen: a server need not tell live that it heard a client of which nothing
/// else changed. Not different are
///
/// - times that are as good as the same (same_time);
/// - renew_at and rebind_at that the server does not tell and that are past: some tell them only while they are to come;
/// - a preferred_until that is told as the same time from now on as it was then: ISC Kea 3 gives a preferred lifetime whole
///   again once it is over.
///
/// `now`: in the clock that the times are in.
[[nodiscard]] std::vector<ColumnDifference> column_differences(const BindingRow* mirror, const BindingRow* server,
                                                               UtcSeconds now);

}  // namespace leasemirror
