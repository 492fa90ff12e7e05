#include "storage/sqlite_endings.hpp"

#include "storage/record_order.hpp"
#include "storage/stored_text.hpp"

#include <algorithm>
#include <array>

namespace leasemirror {
namespace {

// `+` keeps the planner off the index of that column: a client has few bindings, a server has many.
constexpr const char* client_bindings_sql = R"sql(
    SELECT binding_id, kind, address_key, prefix_len, link_address, epoch, base_time, via
    FROM binding
    WHERE client_id = ?2 AND +server_id = ?1 AND vpn_id = ?3 AND state = 'active')sql";

// What ends a binding here also takes over its age, so that an older message that arrives later does not bring it back.
constexpr const char* end_unlisted_sql = R"sql(
    UPDATE binding SET state = 'ended', end_reason = 'unlisted', epoch = ?2, base_time = ?3, via = ?4, updated_at = ?5
    WHERE binding_id = ?1)sql";

// The rows that this run listed, nearly all, are passed over before any scope is looked at.
constexpr const char* reconcile_sql = R"sql(
    UPDATE binding INDEXED BY binding_server
    SET state = 'ended', end_reason = 'reconciled', epoch = ?2, base_time = ?3, via = 'bulk', updated_at = ?4
    WHERE server_id = ?1 AND state = 'active' AND seen_run < ?8 AND (epoch < ?2 OR base_time <= ?3)
      AND (?9 OR vpn_id = '')
      AND ((?6 AND seen_run < ?5)
           OR EXISTS (SELECT 1 FROM json_each(?7)
                      WHERE seen_run < value ->> 'run'
                        AND (scope = value ->> 'id' OR hex(relay_id) = value ->> 'relay_id'
                             OR hex(remote_id) = value ->> 'remote_id'))))sql";

constexpr const char* sweep_bound_sql = R"sql(
    SELECT max(binding_id), count(*) FROM
        (SELECT binding_id FROM binding WHERE binding_id > ?1 ORDER BY binding_id LIMIT ?2))sql";

constexpr const char* sweep_sql = R"sql(
    UPDATE binding SET state = 'ended', end_reason = 'expired', updated_at = ?3
    WHERE binding_id > ?1 AND binding_id <= ?2 AND state = 'active' AND expires_at <= ?3
    RETURNING server_id)sql";

using SortKey = std::array<std::uint8_t, 16>;

/// As hex() of SQLite writes it, in quotes; null for none.
std::string json_hex(ByteView id) {
    if (id.empty()) return "null";
    auto hex = to_hex(id);
    for (auto& c : hex)
        if (c >= 'a') c = static_cast<char>(c - 'a' + 'A');
    return std::string("\"").append(hex).append("\"");
}

/// The scopes as a JSON array: a parameter cannot be a list.
std::string json_scopes(const Reconcile& reconcile) {
    std::string out;
    for (const auto& scope : reconcile.scopes) {
        out.append(out.empty() ? "[" : ",").append("{\"id\":");
        out.append(scope.id == 0 ? "null" : std::to_string(scope.id));
        out.append(",\"run\":").append(std::to_string(scope.run == 0 ? reconcile.run : scope.run));
        out.append(",\"relay_id\":").append(json_hex(scope.relay_id));
        out.append(",\"remote_id\":").append(json_hex(scope.remote_id)).append("}");
    }
    return out.append(out.empty() ? "[]" : "]");
}

std::uint64_t latest_run(const Reconcile& reconcile) {
    auto latest = reconcile.run;
    for (const auto& scope : reconcile.scopes)
        latest = std::max(latest, scope.run);
    return latest;
}

}  // namespace

struct SqliteEndings::ClientBinding {
    std::int64_t binding_id = 0;
    BindingKind kind = BindingKind::address;
    SortKey address{};
    std::int64_t prefix_len = 0;
    std::string link;  // empty: unknown
    RecordAge age;

    [[nodiscard]] bool is_one_of(std::span<const Change> listed) const {
        return std::any_of(listed.begin(), listed.end(), [this](const Change& change) {
            const auto& key = change.binding.key;
            if (key.address.sortable() != address) return false;
            return change.kind == Change::Kind::sighting || (key.kind == kind && key.prefix_len == prefix_len);
        });
    }
};

SqliteEndings::SqliteEndings(SQLite::Database& db)
    : client_bindings_(db, client_bindings_sql),
      end_unlisted_(db, end_unlisted_sql),
      reconcile_(db, reconcile_sql),
      sweep_bound_(db, sweep_bound_sql),
      sweep_(db, sweep_sql) {}

std::vector<SqliteEndings::ClientBinding> SqliteEndings::bindings_of_client(const BatchContext& context,
                                                                            const Binding& list) {
    const auto vpn_id = storable_text(list.key.vpn_id);
    std::vector<ClientBinding> out;
    Use use(client_bindings_);
    use.number(1, context.server);
    use.bytes_or_null(2, list.client_id);
    use.text(3, vpn_id);
    while (use.step()) {
        auto& row = out.emplace_back();
        row.binding_id = use.number(0);
        row.kind = use.text(1) == to_string(BindingKind::prefix) ? BindingKind::prefix : BindingKind::address;
        const auto key = use.text(2);
        std::copy_n(key.begin(), std::min(key.size(), row.address.size()), row.address.begin());
        row.prefix_len = use.number(3);
        row.link = use.text(4);
        row.age = {use.number(5), use.number(6), via_from_word(use.text(7))};
    }
    return out;
}

void SqliteEndings::end_unlisted(const BatchContext& context, const Change& list_end, std::span<const Change> listed,
                                 Tally& tally) {
    const auto& list = list_end.binding;
    const auto rows = bindings_of_client(context, list);
    // A list from an unknown link speaks for the one link that all of the client's bindings have, if there is one.
    std::string link = list.link_address ? list.link_address->to_string() : std::string{};
    const bool one_link =
        std::all_of(rows.begin(), rows.end(), [&](const auto& row) { return row.link == rows[0].link; });
    if (!list.link_address && !rows.empty() && one_link) link = rows[0].link;

    const RecordAge age{context.epoch, unix_seconds(list.base_time), list.via};
    for (const auto& row : rows) {
        if (row.link != link || !replaces(age, row.age) || row.is_one_of(listed)) continue;
        Use use(end_unlisted_);
        use.number(1, row.binding_id);
        use.number(2, age.epoch);
        use.number(3, age.base_time);
        use.word(4, to_string(age.via).data());
        use.time(5, context.now);
        use.run();
        ++tally.ended;
        --tally.in_force;
    }
}

void SqliteEndings::reconcile(const BatchContext& context, const Reconcile& reconcile, Tally& tally) {
    const auto scopes = json_scopes(reconcile);
    Use use(reconcile_);
    use.number(1, context.server);
    use.number(2, context.epoch);
    use.number(3, unix_seconds(reconcile.listed_from));
    use.time(4, context.now);
    use.number(5, static_cast<std::int64_t>(reconcile.run));
    use.number(6, std::int64_t{reconcile.everything ? 1 : 0});
    use.text(7, scopes);
    use.number(8, static_cast<std::int64_t>(latest_run(reconcile)));
    use.number(9, std::int64_t{reconcile.all_vpns ? 1 : 0});
    const auto ended = use.run();
    tally.reconciled += static_cast<std::uint64_t>(ended);
    tally.ended += static_cast<std::uint64_t>(ended);
    tally.in_force -= ended;
}

SqliteEndings::Swept SqliteEndings::expire(UtcSeconds now, std::int64_t cursor, std::size_t rows) {
    Swept swept;
    std::int64_t last = 0;
    {
        Use use(sweep_bound_);
        use.number(1, cursor);
        use.number(2, static_cast<std::int64_t>(rows));
        use.step();
        last = use.number(0);
        if (static_cast<std::size_t>(use.number(1)) == rows) swept.cursor = last;
    }
    Use use(sweep_);
    use.number(1, cursor);
    use.number(2, last);
    use.time(3, now);
    while (use.step())
        ++swept.ended[use.number(0)];
    return swept;
}

}  // namespace leasemirror
