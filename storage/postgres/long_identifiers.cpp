#include "storage/postgres/long_identifiers.hpp"

namespace leasemirror {
namespace {

struct Column {
    const char* name;
    Bytes Binding::*value;
};
constexpr std::array indexed{Column{"relay_id", &Binding::relay_id}, Column{"remote_id", &Binding::remote_id},
                             Column{"circuit_id", &Binding::circuit_id}};

// Long enough for whoever reads a row, and no queue behind whoever reads the table.
constexpr const char* patience_sql = "SET LOCAL lock_timeout TO '2s'; SET LOCAL statement_timeout TO 0";
constexpr PostgresSql hash_sql{"hash_identifier_index", "SELECT hash_identifier_index($1)"};

}  // namespace

std::array<bool, LongIdentifiers::columns> LongIdentifiers::told_in(const Batch& batch) {
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
    transaction.execute(patience_sql);
    for (std::size_t i = 0; i < columns; ++i)
        if (told[i]) transaction.run(hash_sql, Parameters().text(indexed[i].name));
}

void LongIdentifiers::prepared(const Batch& batch) {
    const auto told = told_in(batch);
    for (std::size_t i = 0; i < columns; ++i)
        prepared_[i] = prepared_[i] || told[i];
}

}  // namespace leasemirror
