#include "storage/postgres/bindings.hpp"

#include "storage/ledger/binding_columns.hpp"
#include "storage/postgres/copy.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

using enum ColumnUse;

constexpr ColumnUses renewed_columns{id, told};  // nearly all updates are renewals: the others need not be sent then
constexpr ColumnUses updated_columns{id, told, indexed};
constexpr ColumnUses inserted_columns{key, derived, told, indexed};

/// "$2::text[], $3::bytea[], ...": behind the server, a parameter for each column.
std::string arrays(ColumnUses uses) {
    return list_columns(uses, [](const BindingColumn& column, std::size_t place) {
        return "$" + std::to_string(place + 2) + "::" + std::string(column.type) + "[]";
    });
}

// Plans are kept as long as the session, and tables grow under them: so each statement leaves the planner one way alone,
// whatever size it takes the table to have. `+ 0` keeps it off the index of the servers: an address is on few of them, a
// server has many. OFFSET 0 keeps a part of the query together: what is looked up, one by one, comes first.
const std::string at_addresses_text = select_bindings_text("WHERE address = ANY ($2::inet[]) AND server_id + 0 = $1");
const PostgresSql at_addresses_sql{"bindings_at_addresses", at_addresses_text};

const std::string of_clients_text = "SELECT " + column_names(stored_columns, "b.") + R"sql(
    FROM unnest($2::text[], $3::bytea[]) AS c (vpn_id, client_id)
         CROSS JOIN LATERAL
             (SELECT * FROM binding AS o
              WHERE o.client_id = c.client_id AND o.vpn_id = c.vpn_id AND o.server_id + 0 = $1 AND o.state = 'active'
              OFFSET 0) AS b)sql";
const PostgresSql of_clients_sql{"bindings_of_clients", of_clients_text};

// Both columns are those of an index of its own, which has nothing but what is in doubt.
const std::string in_doubt_text =
    "SELECT " + column_names(stored_columns) +
    " FROM binding WHERE server_id = $1 AND doubt IS NOT NULL ORDER BY binding_id LIMIT $2 OFFSET $3";
const PostgresSql in_doubt_sql{"bindings_in_doubt", in_doubt_text};

const std::string inserted_names = "server_id, " + column_names(inserted_columns);
const std::string insert_text = "INSERT INTO binding (" + inserted_names + ") SELECT $1::bigint, n.* FROM unnest(" +
                                arrays(inserted_columns) + ") AS n";
const PostgresSql insert_sql{"insert_bindings", insert_text};

// The planner is not to see that all server_id are the same one: with that it could go through all bindings of the server.
std::string update_text(ColumnUses found_and_set, ColumnUses set) {
    return "UPDATE binding AS b SET " +
           list_columns(set, [](const BindingColumn& column,
                                std::size_t) { return std::string(column.name).append(" = n.").append(column.name); }) +
           " FROM (SELECT $1::bigint, u.* FROM unnest(" + arrays(found_and_set) + ") AS u OFFSET 0) AS n (server_id, " +
           column_names(found_and_set) + ") WHERE b.server_id = n.server_id AND b.binding_id = n.binding_id";
}
const std::string renew_text = update_text(renewed_columns, {told});
const PostgresSql renew_sql{"renew_bindings", renew_text};
const std::string whole_text = update_text(updated_columns, {told, indexed});
const PostgresSql update_sql{"update_bindings", whole_text};

constexpr PostgresSql mark_listed_sql{"mark_listed", R"sql(
    UPDATE binding AS b SET seen_run = n.seen_run, scope = n.scope
    FROM (SELECT $1::bigint, u.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS u OFFSET 0)
        AS n (server_id, binding_id, seen_run, scope)
    WHERE b.server_id = n.server_id AND b.binding_id = n.binding_id)sql"};

/// A row of parameters that are arrays, or of COPY.
template <class Rows>
class RowWriter final : public ColumnWriter {
public:
    explicit RowWriter(Rows& rows) : rows_(rows) { rows.begin_row(); }
    void word(std::string_view value) override { rows_.next().word(value); }
    void number(std::optional<std::int64_t> value) override { rows_.next().number(value); }
    void time(std::optional<UtcSeconds> value) override { rows_.next().time(value); }
    void text(const std::string& value) override { rows_.next().text(value); }
    void text_or_null(const std::string& value) override { rows_.next().text_or_null(value); }
    void bytes_or_null(ByteView value) override { rows_.next().bytes_or_null(value); }
    void address(const std::optional<IpAddress>& value) override { rows_.next().address(value); }

private:
    Rows& rows_;
};

/// A row of a result.
class ResultReader final : public ColumnReader {
public:
    explicit ResultReader(const pqxx::row& row) : fields_(row) {}
    std::string_view text() override { return fields_.text(); }
    std::int64_t number() override { return fields_.number(); }
    std::optional<std::int64_t> number_if_any() override { return fields_.number_if_any(); }
    std::optional<UtcSeconds> time() override { return fields_.time(); }
    Bytes bytes() override { return fields_.bytes(); }
    std::optional<IpAddress> address() override { return fields_.address(); }
    /// jsonb puts a space after each colon and comma, and there is none within the values.
    std::string json() override {
        std::string out;
        for (const char c : fields_.text())
            if (c != ' ') out += c;
        return out;
    }

private:
    Fields fields_;
};

void add_rows(const pqxx::result& found, Ledger& ledger) {
    for (const auto& row : found) {
        ResultReader in(row);
        ledger.add_stored(take_row(in));
    }
}

pqxx::result run_at_addresses(PostgresTransaction& transaction, ServerId server, std::span<const IpAddress> wanted) {
    ArrayParameter addresses;
    for (const auto& address : wanted)
        addresses.address(address);
    return transaction.run(at_addresses_sql, Parameters().number(server).array(addresses));
}

/// The rows for one statement.
struct ArrayRows {
    explicit ArrayRows(ColumnUses of) : uses(of), values(count_columns(of)) {}
    void add(const BindingRow& row) {
        RowWriter out(values);
        put_columns(out, row, uses);
    }
    ColumnUses uses;
    ArrayParameters values;
};

void run_for(PostgresTransaction& transaction, const PostgresSql& sql, ServerId server, ArrayParameters& rows) {
    if (rows.rows() > 0) transaction.run(sql, Parameters().number(server).arrays(rows));
}

void insert(PostgresTransaction& transaction, ServerId server, std::span<const Ledger::Entry> entries) {
    const auto is_new = [](const Ledger::Entry& entry) { return entry.write == Ledger::Entry::Write::insert; };
    const auto fill = [&](auto& rows) {
        for (const auto& entry : entries) {
            if (!is_new(entry)) continue;
            RowWriter out(rows);
            put_columns(out, entry.row, inserted_columns);
        }
    };
    const auto count = static_cast<std::size_t>(std::count_if(entries.begin(), entries.end(), is_new));
    if (count >= copy_rows_min) {
        CopyRows rows(transaction, "binding", inserted_names, [&](CopyRow& row) { row.number(server); });
        fill(rows);
        rows.complete();
    } else if (count > 0) {
        ArrayParameters rows(count_columns(inserted_columns));
        fill(rows);
        transaction.run(insert_sql, Parameters().number(server).arrays(rows));
    }
}

}  // namespace

std::string select_bindings_text(const std::string& from) {
    return "SELECT " + column_names(stored_columns) + " FROM binding " + from;
}

std::vector<BindingRow> read_binding_rows(const pqxx::result& found) {
    std::vector<BindingRow> out;
    for (const auto& row : found) {
        ResultReader in(row);
        out.push_back(take_row(in));
    }
    return out;
}

std::vector<BindingRow> read_bindings_at(PostgresTransaction& transaction, ServerId server,
                                         std::span<const IpAddress> addresses) {
    return read_binding_rows(run_at_addresses(transaction, server, addresses));
}

std::string_view bindings_at_addresses_text() {
    return at_addresses_text;
}

void load_bindings(PostgresTransaction& transaction, ServerId server, Ledger& ledger) {
    if (!ledger.addresses().empty()) add_rows(run_at_addresses(transaction, server, ledger.addresses()), ledger);
    if (!ledger.clients().empty()) {
        ArrayParameters clients(2);
        for (const auto& client : ledger.clients()) {
            clients.begin_row();
            clients.next().text(client.vpn_id);
            clients.next().bytes(client.client_id);
        }
        add_rows(transaction.run(of_clients_sql, Parameters().number(server).arrays(clients)), ledger);
    }
}

std::vector<DoubtfulBinding> read_doubts(PostgresTransaction& transaction, ServerId server, std::uint64_t after) {
    std::vector<DoubtfulBinding> out;
    Parameters parameters;
    parameters.number(server)
        .number(static_cast<std::int64_t>(doubts_told_max))
        .number(static_cast<std::int64_t>(after));
    for (const auto& row : transaction.run(in_doubt_sql, parameters)) {
        ResultReader in(row);
        out.push_back(doubtful(take_row(in)));
    }
    return out;
}

void write_bindings(PostgresTransaction& transaction, ServerId server, Ledger& ledger, EntryRange entries) {
    ArrayRows renewed(renewed_columns), updated(updated_columns);
    ArrayParameters listed(3);
    for (const auto& entry : ledger.entries(entries)) {
        const auto& row = entry.row;
        switch (entry.write) {
            case Ledger::Entry::Write::none:
            case Ledger::Entry::Write::insert:
                break;
            case Ledger::Entry::Write::listing:
                listed.begin_row();
                listed.next().number(row.binding_id);
                listed.next().number(row.seen_run);
                listed.next().number(row.scope);
                break;
            case Ledger::Entry::Write::renewal:
                renewed.add(row);
                break;
            case Ledger::Entry::Write::whole:
                updated.add(row);
                break;
        }
    }
    run_for(transaction, mark_listed_sql, server, listed);
    run_for(transaction, renew_sql, server, renewed.values);
    run_for(transaction, update_sql, server, updated.values);
    insert(transaction, server, ledger.entries(entries));
}

}  // namespace leasemirror
