#include "tests/sim/mirror.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdlib>
#include <map>

namespace leasemirror::sim {
namespace {

/// What expires this soon may already have been ended by one side and not by the other.
constexpr auto about_to_expire = std::chrono::seconds{4};

constexpr const char* rows_sql = R"sql(
    SELECT vpn_id, kind, address, prefix_len, client_id, hw_type, hw_addr, client_last_seen, state_since, expires_at,
           preferred_until, link_address, relay_address, relay_id, remote_id, circuit_id, subscriber_id, hostname,
           data_source
    FROM binding JOIN server USING (server_id)
    WHERE name = ? AND state = 'active' AND (expires_at IS NULL OR expires_at > ?))sql";

constexpr const char* promises_sql = R"sql(
    SELECT bindings, (SELECT count(*) FROM binding b WHERE b.server_id = s.server_id AND b.state = 'active'), gaps_open
    FROM server s WHERE name = ?)sql";

/// A row, or a truth, in one form: columns as text, times as numbers of our clock.
struct Row {
    std::map<std::string, std::string> words;
    std::map<std::string, std::optional<std::int64_t>> times;
};

std::string hex(const SQLite::Column& column) {
    const auto* data = static_cast<const std::uint8_t*>(column.getBlob());
    return to_hex(ByteView(data, static_cast<std::size_t>(column.getBytes())));
}

std::string key_of(const std::string& vpn, std::string_view kind, const std::string& address, int prefix_len) {
    return vpn + " " + std::string(kind) + " " + address + "/" + std::to_string(prefix_len);
}

Row row_of(SQLite::Statement& q) {
    Row row;
    for (const auto* name : {"client_id", "relay_id", "remote_id", "circuit_id", "subscriber_id"}) {
        row.words[name] = hex(q.getColumn(name));
    }
    for (const auto* name : {"hw_type", "hw_addr", "link_address", "relay_address", "hostname", "data_source"}) {
        row.words[name] = q.getColumn(name).getString();
    }
    for (const auto* name : {"client_last_seen", "state_since", "expires_at", "preferred_until"}) {
        const auto column = q.getColumn(name);
        row.times[name] = column.isNull() ? std::nullopt : std::optional(column.getInt64());
    }
    return row;
}

Row truth_row(const Binding& b, Skew offset) {
    const auto text = [](const std::optional<IpAddress>& a) { return a ? a->to_string() : std::string(); };
    const auto ours = [offset](std::optional<ServerTime> t) {
        return t ? std::optional(unix_seconds(to_utc(*t, offset))) : std::nullopt;
    };
    Row row;
    row.words = {{"client_id", to_hex(b.client_id)},
                 {"relay_id", to_hex(b.relay_id)},
                 {"remote_id", to_hex(b.remote_id)},
                 {"circuit_id", to_hex(b.circuit_id)},
                 {"subscriber_id", to_hex(b.subscriber_id)},
                 {"hw_type", b.hw_type ? std::to_string(*b.hw_type) : ""},
                 {"hw_addr", to_hex(b.hw_addr, ':')},
                 {"link_address", text(b.link_address)},
                 {"relay_address", text(b.relay_address)},
                 {"hostname", b.hostname},
                 {"data_source", std::string(to_string(b.data_source))}};
    row.times = {{"client_last_seen", ours(b.client_last_seen)},
                 {"state_since", ours(b.state_since)},
                 {"expires_at", ours(b.expires_at)},
                 {"preferred_until", ours(b.preferred_until)}};
    return row;
}

bool close_enough(const std::optional<std::int64_t>& a, const std::optional<std::int64_t>& b,
                  std::chrono::seconds tolerance) {
    if (!a || !b) return a.has_value() == b.has_value();
    return std::llabs(*a - *b) <= tolerance.count();
}

std::optional<std::string> compare(const std::string& key, const Row& row, const Row& truth,
                                   std::chrono::seconds tolerance) {
    const auto shown = [](const std::optional<std::int64_t>& t) {
        return t ? std::to_string(*t) : std::string("none");
    };
    for (const auto& [name, value] : truth.words) {
        const auto& found = row.words.at(name);
        if (found != value) return key + ": " + name + " is '" + found + "', the server says '" + value + "'";
    }
    for (const auto& [name, value] : truth.times) {
        const auto& found = row.times.at(name);
        if (!close_enough(found, value, tolerance))
            return key + ": " + name + " is " + shown(found) + ", the server says " + shown(value);
    }
    return std::nullopt;
}

bool expires_soon(const Row& row, std::int64_t now) {
    const auto& expiry = row.times.at("expires_at");
    return expiry && *expiry <= now + about_to_expire.count();
}

}  // namespace

std::optional<std::string> compare_mirror(const std::string& database, const std::string& name,
                                          const leasesim::LeaseModel& model, UtcMillis now,
                                          std::chrono::seconds tolerance) {
    const auto ours = unix_seconds(std::chrono::floor<std::chrono::seconds>(now));
    SQLite::Database db(database, SQLite::OPEN_READONLY);
    std::map<std::string, Row> rows;
    SQLite::Statement q(db, rows_sql);
    q.bind(1, name);
    q.bind(2, ours);
    while (q.executeStep()) {
        rows[key_of(q.getColumn(0).getString(), q.getColumn(1).getString(), q.getColumn(2).getString(),
                    q.getColumn(3).getInt())] = row_of(q);
    }
    std::optional<std::string> wrong;
    model.for_each_in_force(now, [&](const Binding& b) {
        const auto key = key_of(b.key.vpn_id, to_string(b.key.kind), b.key.address.to_string(), b.key.prefix_len);
        const auto truth = truth_row(b, model.clock().offset(now));
        const auto found = rows.extract(key);
        if (wrong || expires_soon(truth, ours)) return;
        wrong = found ? compare(key, found.mapped(), truth, tolerance) : key + " is missing";
    });
    if (wrong) return wrong;
    for (const auto& [key, row] : rows) {
        if (!expires_soon(row, ours)) return key + " is in force here, but not at the server";
    }
    SQLite::Statement promises(db, promises_sql);
    promises.bind(1, name);
    if (!promises.executeStep()) return "there is no such server in the database";
    const auto counted = promises.getColumn(1).getInt64();
    if (promises.getColumn(0).getInt64() != counted) {
        return "server.bindings is " + promises.getColumn(0).getString() +
               ", rows in force: " + std::to_string(counted);
    }
    if (promises.getColumn(2).getInt64() != 0) return promises.getColumn(2).getString() + " gaps are open";
    return std::nullopt;
}

}  // namespace leasemirror::sim
