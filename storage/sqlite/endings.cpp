#include "storage/sqlite/endings.hpp"

namespace leasemirror {
namespace {

// What is to end is chosen once and then ended in each table: one pass over the bindings of a server, where there may
// be millions and mostly nothing to end. `ended_at` by the rules in ledger/ledger.hpp.
constexpr const char* chosen_table_sql = R"sql(
    CREATE TEMP TABLE chosen (
        binding_id    INTEGER PRIMARY KEY,
        server_id     INTEGER NOT NULL,
        assignment_id INTEGER,
        ended_at      INTEGER NOT NULL
    ))sql";

// The rows that this run listed, nearly all, are passed over before any scope is looked at. What may have been in a reply
// that could not be read does not end. min(): of all the scopes that it belongs to; NULL where it belongs to none.
constexpr const char* choose_unlisted_sql = R"sql(
    INSERT INTO temp.chosen
    SELECT binding_id, server_id, assignment_id,
           max(coalesce(boundary_at, 0), min(?4, coalesce(expires_at, ?4)))
    FROM binding INDEXED BY binding_server
    WHERE server_id = ?1 AND state = 'active' AND max(seen_run, marked_run(server_id, binding_id)) < ?8 AND (epoch < ?2 OR base_time <= ?3)
      AND (?9 OR vpn_id = '') AND NOT (?6 AND ?10 AND max(seen_run, marked_run(server_id, binding_id)) < ?5)
      AND coalesce((SELECT min(value ->> 'read') FROM json_each(?7)
                    WHERE max(seen_run, marked_run(server_id, binding_id)) < value ->> 'run'
                      AND (scope = value ->> 'id' OR hex(relay_id) = value ->> 'relay_id'
                           OR hex(remote_id) = value ->> 'remote_id')),
                   ?6 AND max(seen_run, marked_run(server_id, binding_id)) < ?5))sql";

// Only what is not in doubt yet.
constexpr const char* doubt_unread_sql = R"sql(
    UPDATE binding INDEXED BY binding_server SET doubt = 'scope_unreadable', epoch = ?2, base_time = ?3
    WHERE server_id = ?1 AND state = 'active' AND max(seen_run, marked_run(server_id, binding_id)) < ?8 AND (epoch < ?2 OR base_time <= ?3)
      AND (?9 OR vpn_id = '') AND doubt IS NULL
      AND ((?6 AND ?10 AND max(seen_run, marked_run(server_id, binding_id)) < ?5)
           OR EXISTS (SELECT 1 FROM json_each(?7)
                      WHERE NOT value ->> 'read' AND max(seen_run, marked_run(server_id, binding_id)) < value ->> 'run'
                        AND (scope = value ->> 'id' OR hex(relay_id) = value ->> 'relay_id'
                             OR hex(remote_id) = value ->> 'remote_id'))))sql";
constexpr const char* doubt_unreached_sql = R"sql(
    UPDATE binding INDEXED BY binding_server SET doubt = 'unlistable', epoch = ?2, base_time = ?3
    WHERE server_id = ?1 AND state = 'active' AND max(seen_run, marked_run(server_id, binding_id)) < min(?8, ?5) AND (epoch < ?2 OR base_time <= ?3)
      AND doubt IS NULL
      AND NOT ((?9 OR vpn_id = '')
               AND (?6 OR EXISTS (SELECT 1 FROM json_each(?7)
                                  WHERE scope = value ->> 'id' OR hex(relay_id) = value ->> 'relay_id'
                                        OR hex(remote_id) = value ->> 'remote_id'))))sql";

constexpr const char* choose_expired_sql = R"sql(
    INSERT INTO temp.chosen
    SELECT binding_id, server_id, assignment_id, max(coalesce(boundary_at, 0), expires_at)
    FROM binding
    WHERE binding_id > ?1 AND binding_id <= ?2 AND state = 'active' AND expires_at <= ?3
      AND server_id IN (SELECT value FROM json_each(?4)))sql";

constexpr const char* count_doubts_sql = R"sql(
    SELECT count(*) FROM temp.chosen AS c CROSS JOIN binding AS b ON b.binding_id = c.binding_id
    WHERE b.doubt IS NOT NULL)sql";
constexpr const char* count_chosen_sql = "SELECT server_id, count(*) FROM temp.chosen GROUP BY server_id";
constexpr const char* forget_chosen_sql = "DELETE FROM temp.chosen";

// As the ledger tells an end: what changed, and all times.
constexpr const char* tell_sql = R"sql(
    INSERT INTO binding_change (at, server_id, vpn_id, kind, address, prefix_len, change, state, client_id, expires_at,
        detail, inferred)
    SELECT ?2, b.server_id, b.vpn_id, b.kind, b.address, b.prefix_len, 'ended', 'ended', b.client_id, b.expires_at,
        json_object('end_reason', ?1,
            'client_last_seen', strftime('%Y-%m-%dT%H:%M:%SZ', b.client_last_seen, 'unixepoch'),
            'state_since', strftime('%Y-%m-%dT%H:%M:%SZ', b.state_since, 'unixepoch'),
            'preferred_until', strftime('%Y-%m-%dT%H:%M:%SZ', b.preferred_until, 'unixepoch'),
            'renew_at', strftime('%Y-%m-%dT%H:%M:%SZ', b.renew_at, 'unixepoch'),
            'rebind_at', strftime('%Y-%m-%dT%H:%M:%SZ', b.rebind_at, 'unixepoch')), 1
    FROM temp.chosen AS c CROSS JOIN binding AS b ON b.binding_id = c.binding_id
    ORDER BY c.binding_id)sql";

constexpr const char* end_assignments_sql = R"sql(
    UPDATE assignment SET ended_at = c.ended_at, end_reason = ?1, ended_inferred = 1, inferred = 1
    FROM temp.chosen AS c WHERE assignment.assignment_id = c.assignment_id)sql";

// What ends a binding here also takes over its age, so that an older message that arrives later does not bring it back,
// and it settles the doubt. What expires stays in doubt.
constexpr const char* end_unlisted_sql = R"sql(
    UPDATE binding SET state = 'ended', end_reason = 'reconciled', doubt = NULL, epoch = ?1, base_time = ?2, via = 'bulk',
        updated_at = ?3, assignment_id = NULL, boundary_at = c.ended_at
    FROM temp.chosen AS c WHERE binding.binding_id = c.binding_id)sql";

constexpr const char* end_expired_sql = R"sql(
    UPDATE binding SET state = 'ended', end_reason = 'expired', updated_at = ?1, assignment_id = NULL,
        boundary_at = c.ended_at
    FROM temp.chosen AS c WHERE binding.binding_id = c.binding_id)sql";

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
        out.append(",\"run\":").append(std::to_string(reconcile.run_of(scope)));
        out.append(",\"read\":").append(scope.unread ? "0" : "1");
        out.append(",\"relay_id\":").append(json_hex(scope.relay_id));
        out.append(",\"remote_id\":").append(json_hex(scope.remote_id)).append("}");
    }
    return out.append(out.empty() ? "[]" : "]");
}

SQLite::Database& with_chosen_table(SQLite::Database& db) {
    db.exec(chosen_table_sql);
    return db;
}

}  // namespace

SqliteEndings::SqliteEndings(SQLite::Database& db)
    : marks_(db),
      choose_unlisted_(with_chosen_table(db), choose_unlisted_sql),
      choose_expired_(db, choose_expired_sql),
      doubt_unread_(db, doubt_unread_sql),
      doubt_unreached_(db, doubt_unreached_sql),
      count_doubts_(db, count_doubts_sql),
      count_chosen_(db, count_chosen_sql),
      forget_chosen_(db, forget_chosen_sql),
      tell_(db, tell_sql),
      end_assignments_(db, end_assignments_sql),
      end_unlisted_(db, end_unlisted_sql),
      end_expired_(db, end_expired_sql) {}

/// One of the statements that look for what a full bulk did not list. The number of rows.
std::int64_t SqliteEndings::look(SQLite::Statement& statement, const BatchContext& context, const Reconcile& reconcile,
                                 const std::string& scopes) {
    Use use(statement);
    use.number(1, context.server);
    use.number(2, context.epoch);
    use.number(3, unix_seconds(reconcile.listed_from));
    if (&statement == &choose_unlisted_) use.time(4, context.now);
    use.number(5, static_cast<std::int64_t>(reconcile.run));
    use.number(6, std::int64_t{reconcile.everything ? 1 : 0});
    use.text(7, scopes);
    use.number(8, static_cast<std::int64_t>(reconcile.latest_run()));
    use.number(9, std::int64_t{reconcile.all_vpns ? 1 : 0});
    if (&statement != &doubt_unreached_) use.number(10, std::int64_t{reconcile.unread ? 1 : 0});
    return use.run();
}

SqliteEndings::Reconciled SqliteEndings::reconcile(const BatchContext& context, const Reconcile& reconcile) {
    const auto scopes = json_scopes(reconcile);
    Reconciled out;
    if (reconcile.any_unread()) out.doubted += look(doubt_unread_, context, reconcile, scopes);
    if (reconcile.doubt_unreached) out.doubted += look(doubt_unreached_, context, reconcile, scopes);
    out.ended = static_cast<std::uint64_t>(look(choose_unlisted_, context, reconcile, scopes));
    if (out.ended == 0) return out;
    {
        Use use(count_doubts_);
        use.step();
        out.settled = use.number(0);
    }
    end_chosen(EndReason::reconciled, context.now);
    Use use(end_unlisted_);
    use.number(1, context.epoch);
    use.number(2, unix_seconds(reconcile.listed_from));
    use.time(3, context.now);
    use.run();
    forget_chosen();
    return out;
}

std::map<ServerId, std::int64_t> SqliteEndings::expire(UtcSeconds now, BindingRange range, const std::string& servers) {
    {
        Use use(choose_expired_);
        use.number(1, range.after);
        use.number(2, range.last);
        use.time(3, now);
        use.text(4, servers);
        if (use.run() == 0) return {};
    }
    std::map<ServerId, std::int64_t> ended;
    for (Use use(count_chosen_); use.step();)
        ended[use.number(0)] = use.number(1);
    end_chosen(EndReason::expired, now);
    Use use(end_expired_);
    use.time(1, now);
    use.run();
    forget_chosen();
    return ended;
}

/// In the feed and in `assignment`; before the rows of `binding` themselves, of which the feed tells.
void SqliteEndings::end_chosen(EndReason reason, UtcSeconds now) {
    {
        Use use(tell_);
        use.word(1, to_string(reason).data());
        use.time(2, now);
        use.run();
    }
    Use use(end_assignments_);
    use.word(1, to_string(reason).data());
    use.run();
}

void SqliteEndings::forget_chosen() {
    Use use(forget_chosen_);
    use.run();
}

}  // namespace leasemirror
