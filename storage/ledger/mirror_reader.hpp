// The rows of `binding` as `verify` reads them, to be compared with what the server says: a connection of its own, which
// needs no running agent and never holds one up.
#pragma once

#include "storage/ledger/binding_row.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace leasemirror {

/// Not thread-safe. Every function reads in one short transaction, and throws StoreError.
class MirrorReader {
public:
    MirrorReader() = default;
    MirrorReader(const MirrorReader&) = delete;
    MirrorReader& operator=(const MirrorReader&) = delete;
    virtual ~MirrorReader() = default;

    /// Every row of this server at one of these addresses, of whatever kind, prefix length, VPN and state; in any order.
    virtual std::vector<BindingRow> rows_at(ServerId server, std::span<const IpAddress> addresses) = 0;

    /// The next `rows` rows at most of this server, by binding_id, after this one: those in force. `cursor` is where to go
    /// on, also when none of the rows that were passed was in force; the one given: there are no more.
    struct Page {
        std::vector<BindingRow> rows;
        std::int64_t cursor = 0;
    };
    virtual Page in_force_after(ServerId server, std::int64_t binding_id, std::size_t rows) = 0;
};

}  // namespace leasemirror
