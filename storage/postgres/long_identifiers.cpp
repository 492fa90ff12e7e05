#include "storage/postgres/long_identifiers.hpp"

#include "storage/postgres/loading.hpp"

#include <algorithm>
#include <string>

namespace leasemirror {
namespace {

struct Column {
    const char* name;
    Bytes Binding::*value;
};
constexpr std::array indexed{Column{"relay_id", &Binding::relay_id}, Column{"remote_id", &Binding::remote_id},
                             Column{"circuit_id", &Binding::circuit_id}};

constexpr PostgresSql is_btree_sql{"is_btree", R"sql(
    SELECT EXISTS (
        SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_am AS a ON a.oid = c.relam
        WHERE n.nspname = current_schema() AND c.relname = 'binding_' || $1 AND a.amname = 'btree'))sql"};

constexpr const char* lock_sql =
    "SET LOCAL lock_timeout TO 0; SET LOCAL statement_timeout TO 0; LOCK TABLE binding IN ACCESS EXCLUSIVE MODE";

}  // namespace

std::array<bool, LongIdentifiers::columns> LongIdentifiers::told_in(const Batch& batch) const {
    std::array<bool, columns> out{};
    for (const auto& change : batch.changes)
        for (std::size_t i = 0; i < columns; ++i)
            out[i] = out[i] || (change.binding.*indexed[i].value).size() > long_identifier_octets;
    return out;
}

bool LongIdentifiers::any_new(const Batch& batch) const {
    const auto told = told_in(batch);
    for (std::size_t i = 0; i < columns; ++i)
        if (told[i] && !prepared_[i]) return true;
    return false;
}

void LongIdentifiers::prepare(PostgresTransaction& transaction, const Batch& batch) {
    const auto told = told_in(batch);
    restore_left_out_indexes(transaction);
    transaction.execute(lock_sql);
    for (std::size_t i = 0; i < columns; ++i) {
        if (!told[i]) continue;
        prepared_[i] = true;
        const std::string name = indexed[i].name;
        if (!Fields(transaction.run(is_btree_sql, Parameters().text(name))[0]).flag()) continue;
        transaction.execute("DROP INDEX binding_" + name);
        transaction.execute("CREATE INDEX binding_" + name + " ON binding USING hash (" + name + ") WHERE " + name +
                            " IS NOT NULL");
    }
}

}  // namespace leasemirror
