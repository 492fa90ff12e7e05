// Identifiers that are too long for a B-tree. Only for this folder.
//
// relay_id, remote_id and circuit_id are the same in very many rows, so their indexes are B-trees. A value of more than some
// 2,700 octets, which no device of this world has, would be refused by one. So when a server tells one, the index of
// that column becomes a hash index first, and stays one: it is slower where many rows are the same, and takes anything.
#pragma once

#include "storage/batch.hpp"
#include "storage/postgres/connection.hpp"

#include <array>
#include <cstddef>

namespace leasemirror {

/// Shorter ones fit whatever else stands in an index.
constexpr std::size_t long_identifier_octets = 2000;

class LongIdentifiers {
public:
    /// Whether the batch has one in a column of which this session has not made sure yet.
    [[nodiscard]] bool any_new(const Batch& batch) const;
    /// Makes sure. To be called in a transaction of its own: it locks the table, and makes an index of all of it.
    /// pqxx::sql_error: somebody is at the table for long.
    void prepare(PostgresTransaction& transaction, const Batch& batch);
    /// That transaction is committed.
    void prepared(const Batch& batch);

private:
    static constexpr std::size_t columns = 3;
    [[nodiscard]] static std::array<bool, columns> told_in(const Batch& batch);
    std::array<bool, columns> prepared_{};
};

}  // namespace leasemirror
