#include "storage/postgres/bindings.hpp"

namespace leasemirror {
namespace {

// Plans are kept as long as the session, and tables grow under them: so each statement leaves the planner one way alone,
// whatever size it takes the table to have. `+ 0` keeps it off the index of the servers: an address is on few of them, a
// server has many. OFFSET 0 keeps a part of the query together: what is looked up, one by one, comes first.
constexpr PostgresSql at_addresses_sql{"bindings_at_addresses", R"sql(
    SELECT binding_id, vpn_id, kind, address, prefix_len, state, end_reason, client_id, hw_type, hw_addr,
           client_last_seen, state_since, expires_at, preferred_until, renew_at, rebind_at, link_address,
           relay_address, relay_id, remote_id, circuit_id, subscriber_id, hostname, options, data_source,
           epoch, base_time, via, updated_at, seen_run, scope, assignment_id, boundary_at
    FROM binding WHERE address = ANY ($2::inet[]) AND server_id + 0 = $1)sql"};

constexpr PostgresSql of_clients_sql{"bindings_of_clients", R"sql(
    SELECT b.binding_id, b.vpn_id, b.kind, b.address, b.prefix_len, b.state, b.end_reason, b.client_id, b.hw_type,
           b.hw_addr, b.client_last_seen, b.state_since, b.expires_at, b.preferred_until, b.renew_at, b.rebind_at,
           b.link_address, b.relay_address, b.relay_id, b.remote_id, b.circuit_id, b.subscriber_id, b.hostname,
           b.options, b.data_source, b.epoch, b.base_time, b.via, b.updated_at, b.seen_run, b.scope, b.assignment_id,
           b.boundary_at
    FROM unnest($2::text[], $3::bytea[]) AS c (vpn_id, client_id)
         CROSS JOIN LATERAL
             (SELECT * FROM binding AS o
              WHERE o.client_id = c.client_id AND o.vpn_id = c.vpn_id AND o.server_id + 0 = $1 AND o.state = 'active'
              OFFSET 0) AS b)sql"};

constexpr PostgresSql insert_sql{"insert_bindings", R"sql(
    INSERT INTO binding (server_id, state, end_reason, hw_type, client_last_seen, state_since, expires_at,
        preferred_until, renew_at, rebind_at, link_address, relay_address, circuit_id, subscriber_id, hostname, options,
        data_source, epoch, base_time, via, updated_at, seen_run, scope, assignment_id, boundary_at,
        client_id, hw_addr, relay_id, remote_id, vpn_id, kind, address, prefix_len, family)
    SELECT $1::bigint, n.*
    FROM unnest($2::text[], $3::text[], $4::integer[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
        $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::inet[], $12::inet[], $13::bytea[], $14::bytea[],
        $15::text[], $16::jsonb[], $17::text[], $18::bigint[], $19::timestamptz[], $20::text[], $21::timestamptz[],
        $22::bigint[], $23::bigint[], $24::bigint[], $25::timestamptz[], $26::bytea[], $27::text[], $28::bytea[],
        $29::bytea[], $30::text[], $31::text[], $32::inet[], $33::smallint[], $34::text[]) AS n)sql"};

// Without the indexed columns: nearly all updates are renewals, and these need not be sent then. The planner is not to see
// that all server_id are the same one: with that it could go through all bindings of the server.
constexpr PostgresSql renew_sql{"renew_bindings", R"sql(
    UPDATE binding AS b SET state = n.state, end_reason = n.end_reason, hw_type = n.hw_type,
        client_last_seen = n.client_last_seen, state_since = n.state_since, expires_at = n.expires_at,
        preferred_until = n.preferred_until, renew_at = n.renew_at, rebind_at = n.rebind_at,
        link_address = n.link_address, relay_address = n.relay_address, circuit_id = n.circuit_id,
        subscriber_id = n.subscriber_id, hostname = n.hostname, options = n.options, data_source = n.data_source,
        epoch = n.epoch, base_time = n.base_time, via = n.via, updated_at = n.updated_at, seen_run = n.seen_run,
        scope = n.scope, assignment_id = n.assignment_id, boundary_at = n.boundary_at
    FROM (SELECT $1::bigint, u.* FROM unnest($2::text[], $3::text[], $4::integer[], $5::timestamptz[], $6::timestamptz[],
            $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::inet[], $12::inet[],
            $13::bytea[], $14::bytea[], $15::text[], $16::jsonb[], $17::text[], $18::bigint[], $19::timestamptz[],
            $20::text[], $21::timestamptz[], $22::bigint[], $23::bigint[], $24::bigint[], $25::timestamptz[],
            $26::bigint[]) AS u OFFSET 0)
        AS n (server_id, state, end_reason, hw_type, client_last_seen, state_since, expires_at, preferred_until, renew_at,
              rebind_at, link_address, relay_address, circuit_id, subscriber_id, hostname, options, data_source, epoch,
              base_time, via, updated_at, seen_run, scope, assignment_id, boundary_at, binding_id)
    WHERE b.server_id = n.server_id AND b.binding_id = n.binding_id)sql"};
constexpr std::size_t row_columns = 24;  // of the three statements, those that put_row() fills

constexpr PostgresSql update_sql{"update_bindings", R"sql(
    UPDATE binding AS b SET state = n.state, end_reason = n.end_reason, hw_type = n.hw_type,
        client_last_seen = n.client_last_seen, state_since = n.state_since, expires_at = n.expires_at,
        preferred_until = n.preferred_until, renew_at = n.renew_at, rebind_at = n.rebind_at,
        link_address = n.link_address, relay_address = n.relay_address, circuit_id = n.circuit_id,
        subscriber_id = n.subscriber_id, hostname = n.hostname, options = n.options, data_source = n.data_source,
        epoch = n.epoch, base_time = n.base_time, via = n.via, updated_at = n.updated_at, seen_run = n.seen_run,
        scope = n.scope, assignment_id = n.assignment_id, boundary_at = n.boundary_at,
        client_id = n.client_id, hw_addr = n.hw_addr, relay_id = n.relay_id, remote_id = n.remote_id
    FROM (SELECT $1::bigint, u.* FROM unnest($2::text[], $3::text[], $4::integer[], $5::timestamptz[], $6::timestamptz[],
            $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::inet[], $12::inet[],
            $13::bytea[], $14::bytea[], $15::text[], $16::jsonb[], $17::text[], $18::bigint[], $19::timestamptz[],
            $20::text[], $21::timestamptz[], $22::bigint[], $23::bigint[], $24::bigint[], $25::timestamptz[],
            $26::bytea[], $27::text[], $28::bytea[], $29::bytea[], $30::bigint[]) AS u OFFSET 0)
        AS n (server_id, state, end_reason, hw_type, client_last_seen, state_since, expires_at, preferred_until, renew_at,
              rebind_at, link_address, relay_address, circuit_id, subscriber_id, hostname, options, data_source, epoch,
              base_time, via, updated_at, seen_run, scope, assignment_id, boundary_at, client_id, hw_addr, relay_id,
              remote_id, binding_id)
    WHERE b.server_id = n.server_id AND b.binding_id = n.binding_id)sql"};
constexpr std::size_t indexed_columns = 4;

constexpr PostgresSql mark_listed_sql{"mark_listed", R"sql(
    UPDATE binding AS b SET seen_run = n.seen_run, scope = n.scope
    FROM (SELECT $1::bigint, u.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS u OFFSET 0)
        AS n (server_id, binding_id, seen_run, scope)
    WHERE b.server_id = n.server_id AND b.binding_id = n.binding_id)sql"};

/// As options_json() writes it: jsonb puts a space after each colon and comma, and there is none within the values.
std::string without_spaces(std::string_view json) {
    std::string out;
    for (const char c : json)
        if (c != ' ') out += c;
    return out;
}

BindingRow read_row(Fields& in) {
    BindingRow row;
    row.binding_id = in.number();
    row.key.vpn_id = in.text();
    row.key.kind = in.text() == to_string(BindingKind::prefix) ? BindingKind::prefix : BindingKind::address;
    row.key.address = in.address().value_or(IpAddress{});
    row.key.prefix_len = static_cast<std::uint8_t>(in.number());
    row.state = state_from_word(in.text());
    row.end_reason = end_reason_from_word(in.text());
    row.client_id = in.bytes();
    row.hw_type = in.number_if_any();
    row.hw_addr = in.text();
    row.client_last_seen = in.time();
    row.state_since = in.time();
    row.expires_at = in.time();
    row.preferred_until = in.time();
    row.renew_at = in.time();
    row.rebind_at = in.time();
    row.link_address = in.address();
    row.relay_address = in.address();
    row.relay_id = in.bytes();
    row.remote_id = in.bytes();
    row.circuit_id = in.bytes();
    row.subscriber_id = in.bytes();
    row.hostname = in.text();
    row.options = without_spaces(in.text());
    row.data_source = in.text() == to_string(DataSource::remote) ? DataSource::remote : DataSource::local;
    row.age.epoch = in.number();
    row.age.base_time = unix_seconds(in.server_time().value_or(ServerTime{}));
    row.age.via = via_from_word(in.text());
    row.updated_at = in.time().value_or(UtcSeconds{});
    row.seen_run = in.number();
    row.scope = in.number();
    row.assignment_id = in.number();
    row.boundary_at = in.time();
    return row;
}

void add_rows(const pqxx::result& found, Ledger& ledger) {
    for (const auto& row : found) {
        Fields fields(row);
        ledger.add_stored(read_row(fields));
    }
}

void put_row(ArrayParameters& rows, const BindingRow& row) {
    rows.next().word(to_string(row.state));
    rows.next().word(to_string(row.end_reason));
    rows.next().number(row.hw_type);
    rows.next().time(row.client_last_seen);
    rows.next().time(row.state_since);
    rows.next().time(row.expires_at);
    rows.next().time(row.preferred_until);
    rows.next().time(row.renew_at);
    rows.next().time(row.rebind_at);
    rows.next().address(row.link_address);
    rows.next().address(row.relay_address);
    rows.next().bytes_or_null(row.circuit_id);
    rows.next().bytes_or_null(row.subscriber_id);
    rows.next().text_or_null(row.hostname);
    rows.next().text_or_null(row.options);
    rows.next().word(to_string(row.data_source));
    rows.next().number(row.age.epoch);
    rows.next().time(UtcSeconds{std::chrono::seconds{row.age.base_time}});
    rows.next().word(to_string(row.age.via));
    rows.next().time(row.updated_at);
    rows.next().number(row.seen_run);
    rows.next().number(row.scope);
    rows.next().number(row.assignment_id == 0 ? std::nullopt : std::optional(row.assignment_id));
    rows.next().time(row.boundary_at);
}

void put_indexed(ArrayParameters& rows, const BindingRow& row) {
    rows.next().bytes_or_null(row.client_id);
    rows.next().text_or_null(row.hw_addr);
    rows.next().bytes_or_null(row.relay_id);
    rows.next().bytes_or_null(row.remote_id);
}

void put_key(ArrayParameters& rows, const BindingKey& key) {
    rows.next().text(key.vpn_id);
    rows.next().word(to_string(key.kind));
    rows.next().address(key.address);
    rows.next().number(std::int64_t{key.prefix_len});
    rows.next().word(to_string(key.address.family()));
}
constexpr std::size_t key_columns = 5;

void run_for(PostgresTransaction& transaction, const PostgresSql& sql, ServerId server, ArrayParameters& rows) {
    if (rows.rows() > 0) transaction.run(sql, Parameters().number(server).arrays(rows));
}

}  // namespace

void load_bindings(PostgresTransaction& transaction, ServerId server, Ledger& ledger) {
    if (!ledger.addresses().empty()) {
        ArrayParameter addresses;
        for (const auto& address : ledger.addresses())
            addresses.address(address);
        add_rows(transaction.run(at_addresses_sql, Parameters().number(server).array(addresses)), ledger);
    }
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

void write_bindings(PostgresTransaction& transaction, ServerId server, Ledger& ledger, EntryRange entries) {
    ArrayParameters inserted(row_columns + indexed_columns + key_columns), renewed(row_columns + 1),
        updated(row_columns + indexed_columns + 1), listed(3);
    for (const auto& entry : ledger.entries(entries)) {
        const auto& row = entry.row;
        switch (entry.write) {
            case Ledger::Entry::Write::none:
                break;
            case Ledger::Entry::Write::listing:
                listed.begin_row();
                listed.next().number(row.binding_id);
                listed.next().number(row.seen_run);
                listed.next().number(row.scope);
                break;
            case Ledger::Entry::Write::renewal:
                renewed.begin_row();
                put_row(renewed, row);
                renewed.next().number(row.binding_id);
                break;
            case Ledger::Entry::Write::whole:
                updated.begin_row();
                put_row(updated, row);
                put_indexed(updated, row);
                updated.next().number(row.binding_id);
                break;
            case Ledger::Entry::Write::insert:
                inserted.begin_row();
                put_row(inserted, row);
                put_indexed(inserted, row);
                put_key(inserted, row.key);
                break;
        }
    }
    run_for(transaction, mark_listed_sql, server, listed);
    run_for(transaction, renew_sql, server, renewed);
    run_for(transaction, update_sql, server, updated);
    run_for(transaction, insert_sql, server, inserted);
}

}  // namespace leasemirror
