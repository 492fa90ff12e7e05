#include "storage/sqlite/bindings.hpp"

#include <array>

namespace leasemirror {
namespace {

using enum ColumnUse;

// Nearly all updates are renewals, which take this way and touch no index: SQLite writes to an index as soon as its
// column is named in an update, changed or not.
constexpr ColumnUses renewed_columns{told};
constexpr ColumnUses updated_columns{told, indexed};
constexpr ColumnUses inserted_columns{derived, told, indexed};  // behind those of KeyColumns

/// ?N for each, from `first` on.
std::string parameters(ColumnUses uses, std::size_t first) {
    return list_columns(uses,
                        [&](const BindingColumn&, std::size_t place) { return "?" + std::to_string(first + place); });
}

std::string insert_sql() {
    return std::string("INSERT INTO binding (") + KeyColumns::names + ", " + column_names(inserted_columns) +
           ") VALUES (" + KeyColumns::parameters + ", " + parameters(inserted_columns, KeyColumns::count + 1) + ")";
}

std::string update_sql(ColumnUses uses) {
    const auto assignments = list_columns(uses, [](const BindingColumn& column, std::size_t place) {
        return std::string(column.name) + " = ?" + std::to_string(place + 2);
    });
    return "UPDATE binding SET " + assignments + " WHERE binding_id = ?1";
}

constexpr const char* at_address = "INDEXED BY binding_key WHERE address = ?2 AND server_id = ?1";
// `+` keeps the planner off the index of that column: a client has few bindings, a server has many.
constexpr const char* of_client = "WHERE client_id = ?2 AND +server_id = ?1 AND vpn_id = ?3 AND state = 'active'";

// Both columns are those of an index of its own, which has nothing but what is in doubt.
constexpr const char* of_doubt =
    "INDEXED BY binding_doubt WHERE server_id = ?1 AND doubt IS NOT NULL ORDER BY binding_id LIMIT ?2 OFFSET ?3";

constexpr const char* mark_listed_sql = "UPDATE binding SET seen_run = ?2, scope = ?3 WHERE binding_id = ?1";

/// The parameters of one use of a statement, from `first` on.
class ParameterWriter final : public ColumnWriter {
public:
    ParameterWriter(Use& use, int first) : use_(use), at_(first) {}
    void word(std::string_view value) override { use_.word(at_++, value.empty() ? nullptr : value.data()); }
    void number(std::optional<std::int64_t> value) override { use_.number(at_++, value); }
    void time(std::optional<UtcSeconds> value) override { use_.time(at_++, value); }
    void text(const std::string& value) override { use_.text(at_++, value); }
    void text_or_null(const std::string& value) override { use_.text_or_null(at_++, value); }
    void bytes_or_null(ByteView value) override { use_.bytes_or_null(at_++, value); }
    void address(const std::optional<IpAddress>& value) override {
        auto& text = addresses_.at(printed_++);
        if (value) text = value->to_string();
        use_.text_or_null(at_++, text);
    }

private:
    Use& use_;
    int at_;
    std::array<std::string, 2> addresses_;  // the link's and the relay's: what is bound points into it
    std::size_t printed_ = 0;
};

/// The columns of the present row.
class ResultReader final : public ColumnReader {
public:
    explicit ResultReader(Use& use) : use_(use) {}
    std::string_view text() override { return use_.text(at_++); }
    std::int64_t number() override { return use_.number(at_++); }
    std::optional<std::int64_t> number_if_any() override { return use_.number_if_any(at_++); }
    std::optional<UtcSeconds> time() override { return use_.time(at_++); }
    Bytes bytes() override { return use_.bytes(at_++); }
    std::optional<IpAddress> address() override {
        const auto in = text();
        return in.empty() ? std::nullopt : IpAddress::parse(in);
    }
    std::string json() override { return std::string(text()); }

private:
    Use& use_;
    int at_ = 0;
};

void load_found(Use& use, Ledger& ledger) {
    while (use.step()) {
        ResultReader row(use);
        ledger.add_stored(take_row(row));
    }
}

}  // namespace

std::string select_bindings_sql(const std::string& from) {
    return "SELECT " + column_names(stored_columns) + " FROM binding " + from;
}

void read_bindings(Use& use, std::vector<BindingRow>& out) {
    while (use.step()) {
        ResultReader row(use);
        out.push_back(take_row(row));
    }
}

SqliteBindings::SqliteBindings(SQLite::Database& db)
    : db_(db),
      at_address_(db, select_bindings_sql(at_address)),
      of_client_(db, select_bindings_sql(of_client)),
      in_doubt_(db, select_bindings_sql(of_doubt)),
      insert_(db, insert_sql()),
      update_(db, update_sql(updated_columns)),
      renew_(db, update_sql(renewed_columns)),
      mark_listed_(db, mark_listed_sql) {}

void SqliteBindings::load(ServerId server, Ledger& ledger) {
    for (const auto& address : ledger.addresses()) {
        const auto text = address.to_string();
        Use use(at_address_);
        use.number(1, server);
        use.text(2, text);
        load_found(use, ledger);
    }
    for (const auto& client : ledger.clients()) {
        Use use(of_client_);
        use.number(1, server);
        use.bytes_or_null(2, client.client_id);
        use.text(3, client.vpn_id);
        load_found(use, ledger);
    }
}

std::vector<DoubtfulBinding> SqliteBindings::in_doubt(ServerId server, std::uint64_t after) {
    Use use(in_doubt_);
    use.number(1, server);
    use.number(2, static_cast<std::int64_t>(doubts_told_max));
    use.number(3, static_cast<std::int64_t>(after));
    std::vector<DoubtfulBinding> out;
    while (use.step()) {
        ResultReader row(use);
        out.push_back(doubtful(take_row(row)));
    }
    return out;
}

void SqliteBindings::write(ServerId server, Ledger::Entry& entry) {
    switch (entry.write) {
        case Ledger::Entry::Write::none:
            return;
        case Ledger::Entry::Write::listing:
            return mark_listed(entry.row);
        case Ledger::Entry::Write::renewal:
            return update(renew_, renewed_columns, entry.row);
        case Ledger::Entry::Write::whole:
            return update(update_, updated_columns, entry.row);
        case Ledger::Entry::Write::insert:
            return insert(server, entry.row);
    }
}

void SqliteBindings::insert(ServerId server, BindingRow& row) {
    Use use(insert_);
    key_.bind_new(use, server, row.key);
    ParameterWriter out(use, KeyColumns::count + 1);
    put_columns(out, row, inserted_columns);
    use.run();
    row.binding_id = db_.getLastInsertRowid();
}

void SqliteBindings::update(SQLite::Statement& statement, ColumnUses uses, const BindingRow& row) {
    Use use(statement);
    use.number(1, row.binding_id);
    ParameterWriter out(use, 2);
    put_columns(out, row, uses);
    use.run();
}

void SqliteBindings::mark_listed(const BindingRow& row) {
    Use use(mark_listed_);
    use.number(1, row.binding_id);
    use.number(2, row.seen_run);
    use.number(3, row.scope);
    use.run();
}

}  // namespace leasemirror
