#include "storage/sqlite/reader_sql.hpp"

#include "storage/ledger/reader_columns.hpp"

#include <span>

namespace leasemirror {
namespace {

/// What the view gives as text for people is brought back to seconds.
std::string select_list(std::span<const ReaderColumn> columns) {
    std::string out;
    for (const auto& column : columns) {
        const bool readable_time = column.type == ColumnType::time && column.source.starts_with("l.");
        out.append(out.empty() ? "" : ", ").append(readable_time ? "unixepoch(" : "").append(column.source);
        out.append(readable_time ? ")" : "");
    }
    return out;
}

/// The lengths of the prefixes in a table, found by skipping through its index: see 0001_bindings.sql.
std::string with_lengths_in(const std::string& table) {
    return "WITH RECURSIVE len (n) AS (SELECT max(prefix_len) FROM " + table +
           " WHERE last_key IS NOT NULL UNION ALL SELECT (SELECT max(prefix_len) FROM " + table +
           " WHERE last_key IS NOT NULL AND prefix_len < n) FROM len WHERE n > 0 LIMIT 129) ";
}

std::string last_prefix_in(const std::string& table) {
    return "(SELECT max(address_key) FROM " + table +
           " WHERE last_key IS NOT NULL AND prefix_len = n AND address_key <= ?1)";
}

std::string lease_source() {
    return " lease AS l LEFT JOIN assignment AS a ON a.assignment_id = "
           "(SELECT b.assignment_id FROM binding AS b WHERE b.binding_id = l.binding_id) ";
}

const std::string held_within = "a.began_at < ?4 AND (a.ended_at IS NULL OR a.ended_at > ?3) ";

}  // namespace

std::string lease_at_sql() {
    return "SELECT " + select_list(lease_columns) + " FROM" + lease_source() +
           "WHERE l.address = ?1 AND (l.prefix_len = ?2 OR ?2 IS NULL AND l.kind = 'address') "
           "ORDER BY l.kind, l.vpn_id, l.server";
}

std::string leases_around_sql() {
    return with_lengths_in("binding") + "SELECT " + select_list(lease_columns) + " FROM len CROSS JOIN" +
           lease_source() + "WHERE l.prefix_len = n AND l.last_key >= ?1 AND l.family = ?2 AND l.address_key = " +
           last_prefix_in("binding") + " ORDER BY n DESC, l.vpn_id, l.server";
}

std::string leases_by_sql(std::string_view column) {
    return "SELECT " + select_list(lease_columns) + " FROM" + lease_source() + "WHERE l." + std::string(column) +
           " = ?1 ORDER BY l.address_key, l.prefix_len, l.vpn_id, l.server";
}

std::string holder_at_sql() {
    return "SELECT " + select_list(assignment_columns) +
           " FROM assignment AS a JOIN server AS s ON s.server_id = a.server_id WHERE a.address = ?1 AND "
           "(a.prefix_len = ?2 OR ?2 IS NULL AND a.kind = 'address') AND " +
           held_within + "ORDER BY a.kind, a.vpn_id, s.name, a.began_at";
}

std::string holders_around_sql() {
    return with_lengths_in("assignment") + "SELECT " + select_list(assignment_columns) +
           " FROM len CROSS JOIN assignment AS a JOIN server AS s ON s.server_id = a.server_id "
           "WHERE a.last_key IS NOT NULL AND a.prefix_len = n AND a.last_key >= ?1 AND s.family = ?2 "
           "AND a.address_key = " +
           last_prefix_in("assignment") + " AND " + held_within + "ORDER BY n DESC, a.vpn_id, s.name, a.began_at";
}

std::string holders_by_sql(std::string_view column) {
    return "SELECT " + select_list(assignment_columns) +
           " FROM assignment AS a JOIN server AS s ON s.server_id = a.server_id WHERE a." + std::string(column) +
           " = ?1 AND " + held_within + "ORDER BY a.began_at, a.assignment_id";
}

std::string changes_sql() {
    return "SELECT " + select_list(change_columns) +
           " FROM binding_change AS c JOIN server AS s ON s.server_id = c.server_id "
           "WHERE c.seq > ?1 AND c.seq <= ?2 AND (?3 IS NULL OR s.name = ?3) ORDER BY c.seq";
}

}  // namespace leasemirror
