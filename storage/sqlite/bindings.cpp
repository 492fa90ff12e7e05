#include "storage/sqlite/bindings.hpp"

namespace leasemirror {
namespace {

// The columns of both as load_found() reads them.
constexpr const char* at_address_sql = R"sql(
    SELECT binding_id, vpn_id, kind, address, prefix_len, state, end_reason, client_id, hw_type, hw_addr,
           client_last_seen, state_since, expires_at, preferred_until, renew_at, rebind_at, link_address,
           relay_address, relay_id, remote_id, circuit_id, subscriber_id, hostname, options, data_source,
           epoch, base_time, via, updated_at, seen_run, scope, assignment_id, boundary_at
    FROM binding INDEXED BY binding_key WHERE address = ?2 AND server_id = ?1)sql";

// `+` keeps the planner off the index of that column: a client has few bindings, a server has many.
constexpr const char* of_client_sql = R"sql(
    SELECT binding_id, vpn_id, kind, address, prefix_len, state, end_reason, client_id, hw_type, hw_addr,
           client_last_seen, state_since, expires_at, preferred_until, renew_at, rebind_at, link_address,
           relay_address, relay_id, remote_id, circuit_id, subscriber_id, hostname, options, data_source,
           epoch, base_time, via, updated_at, seen_run, scope, assignment_id, boundary_at
    FROM binding WHERE client_id = ?2 AND +server_id = ?1 AND vpn_id = ?3 AND state = 'active')sql";

// The three statements that write a row number their parameters alike: one function binds them.
constexpr const char* insert_sql = R"sql(
    INSERT INTO binding (server_id, vpn_id, kind, address, prefix_len, address_key, last_key, family,
        state, hw_type, client_last_seen, state_since, expires_at, preferred_until, renew_at, rebind_at,
        link_address, relay_address, circuit_id, subscriber_id, hostname, options, data_source, end_reason,
        base_time, via, updated_at, epoch, seen_run, scope, assignment_id, boundary_at,
        client_id, hw_addr, relay_id, remote_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
        ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36))sql";

// Without the four indexed columns: SQLite writes to an index as soon as its column is named here, changed or not.
// Nearly all updates are renewals, which take this way and touch no index.
constexpr const char* update_unindexed_sql = R"sql(
    UPDATE binding SET state = ?9, hw_type = ?10, client_last_seen = ?11, state_since = ?12, expires_at = ?13,
        preferred_until = ?14, renew_at = ?15, rebind_at = ?16, link_address = ?17, relay_address = ?18,
        circuit_id = ?19, subscriber_id = ?20, hostname = ?21, options = ?22, data_source = ?23, end_reason = ?24,
        base_time = ?25, via = ?26, updated_at = ?27, epoch = ?28, seen_run = ?29, scope = ?30, assignment_id = ?31,
        boundary_at = ?32
    WHERE binding_id = ?37)sql";
constexpr const char* update_sql = R"sql(
    UPDATE binding SET state = ?9, hw_type = ?10, client_last_seen = ?11, state_since = ?12, expires_at = ?13,
        preferred_until = ?14, renew_at = ?15, rebind_at = ?16, link_address = ?17, relay_address = ?18,
        circuit_id = ?19, subscriber_id = ?20, hostname = ?21, options = ?22, data_source = ?23, end_reason = ?24,
        base_time = ?25, via = ?26, updated_at = ?27, epoch = ?28, seen_run = ?29, scope = ?30, assignment_id = ?31,
        boundary_at = ?32, client_id = ?33, hw_addr = ?34, relay_id = ?35, remote_id = ?36
    WHERE binding_id = ?37)sql";
constexpr int at_binding_id = 37;

constexpr const char* mark_listed_sql = "UPDATE binding SET seen_run = ?2, scope = ?3 WHERE binding_id = ?1";

std::optional<IpAddress> address_if_any(std::string_view text) {
    return text.empty() ? std::nullopt : IpAddress::parse(text);
}

void print(const std::optional<IpAddress>& address, std::string& out) {
    if (address)
        out = address->to_string();
    else
        out.clear();
}

}  // namespace

SqliteBindings::SqliteBindings(SQLite::Database& db)
    : db_(db),
      at_address_(db, at_address_sql),
      of_client_(db, of_client_sql),
      insert_(db, insert_sql),
      update_(db, update_sql),
      update_unindexed_(db, update_unindexed_sql),
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

void SqliteBindings::load_found(Use& use, Ledger& ledger) {
    while (use.step()) {
        BindingRow row;
        row.binding_id = use.number(0);
        row.key.vpn_id = use.text(1);
        row.key.kind = use.text(2) == to_string(BindingKind::prefix) ? BindingKind::prefix : BindingKind::address;
        row.key.address = IpAddress::parse(use.text(3)).value_or(IpAddress{});
        row.key.prefix_len = static_cast<std::uint8_t>(use.number(4));
        row.state = state_from_word(use.text(5));
        row.end_reason = end_reason_from_word(use.text(6));
        row.client_id = use.bytes(7);
        row.hw_type = use.number_if_any(8);
        row.hw_addr = use.text(9);
        row.client_last_seen = use.time(10);
        row.state_since = use.time(11);
        row.expires_at = use.time(12);
        row.preferred_until = use.time(13);
        row.renew_at = use.time(14);
        row.rebind_at = use.time(15);
        row.link_address = address_if_any(use.text(16));
        row.relay_address = address_if_any(use.text(17));
        row.relay_id = use.bytes(18);
        row.remote_id = use.bytes(19);
        row.circuit_id = use.bytes(20);
        row.subscriber_id = use.bytes(21);
        row.hostname = use.text(22);
        row.options = use.text(23);
        row.data_source = use.text(24) == to_string(DataSource::remote) ? DataSource::remote : DataSource::local;
        row.age = {use.number(25), use.number(26), via_from_word(use.text(27))};
        row.updated_at = use.time(28).value_or(UtcSeconds{});
        row.seen_run = use.number(29);
        row.scope = use.number(30);
        row.assignment_id = use.number(31);
        row.boundary_at = use.time(32);
        ledger.add_stored(std::move(row));
    }
}

void SqliteBindings::write(ServerId server, Ledger::Entry& entry) {
    switch (entry.write) {
        case Ledger::Entry::Write::none:
            return;
        case Ledger::Entry::Write::listing:
            return mark_listed(entry.row);
        case Ledger::Entry::Write::renewal:
            return update(entry.row, false);
        case Ledger::Entry::Write::whole:
            return update(entry.row, true);
        case Ledger::Entry::Write::insert:
            return insert(server, entry.row);
    }
}

void SqliteBindings::bind_row(Use& use, const BindingRow& row) {
    print(row.link_address, link_address_);
    print(row.relay_address, relay_address_);
    use.word(9, to_string(row.state).data());
    use.number(10, row.hw_type);
    use.time(11, row.client_last_seen);
    use.time(12, row.state_since);
    use.time(13, row.expires_at);
    use.time(14, row.preferred_until);
    use.time(15, row.renew_at);
    use.time(16, row.rebind_at);
    use.text_or_null(17, link_address_);
    use.text_or_null(18, relay_address_);
    use.bytes_or_null(19, row.circuit_id);
    use.bytes_or_null(20, row.subscriber_id);
    use.text_or_null(21, row.hostname);
    use.text_or_null(22, row.options);
    use.word(23, to_string(row.data_source).data());
    use.word(24, row.in_force() ? nullptr : to_string(row.end_reason).data());
    use.number(25, row.age.base_time);
    use.word(26, to_string(row.age.via).data());
    use.time(27, row.updated_at);
    use.number(28, row.age.epoch);
    use.number(29, row.seen_run);
    use.number(30, row.scope);
    use.number(31, row.assignment_id == 0 ? std::nullopt : std::optional(row.assignment_id));
    use.time(32, row.boundary_at);
}

void SqliteBindings::bind_indexed(Use& use, const BindingRow& row) {
    use.bytes_or_null(33, row.client_id);
    use.text_or_null(34, row.hw_addr);
    use.bytes_or_null(35, row.relay_id);
    use.bytes_or_null(36, row.remote_id);
}

void SqliteBindings::insert(ServerId server, BindingRow& row) {
    Use use(insert_);
    key_.bind_new(use, server, row.key);
    use.word(8, to_string(row.key.address.family()).data());
    bind_row(use, row);
    bind_indexed(use, row);
    use.run();
    row.binding_id = db_.getLastInsertRowid();
}

void SqliteBindings::update(const BindingRow& row, bool indexed) {
    Use use(indexed ? update_ : update_unindexed_);
    bind_row(use, row);
    if (indexed) bind_indexed(use, row);
    use.number(at_binding_id, row.binding_id);
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
