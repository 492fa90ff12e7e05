#include "tests/sim/mirror.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <tuple>

namespace leasemirror::sim {
namespace {

/// What expires this soon may already have been ended by one side and not by the other.
constexpr auto about_to_expire = std::chrono::seconds{4};

constexpr const char* identifiers[] = {"client_id", "relay_id", "remote_id", "circuit_id", "subscriber_id"};
constexpr const char* words[] = {"hw_type", "hw_addr", "link_address", "relay_address", "hostname", "data_source"};
constexpr const char* times[] = {"client_last_seen", "state_since", "expires_at", "preferred_until"};

std::string rows_sql(const std::string& server, std::int64_t now) {
    return "SELECT vpn_id, kind, host(address), prefix_len, hex(client_id), hex(relay_id), hex(remote_id), "
           "hex(circuit_id), hex(subscriber_id), hw_type, hw_addr, host(link_address), host(relay_address), hostname, "
           "data_source, epoch(client_last_seen), epoch(state_since), epoch(expires_at), epoch(preferred_until) "
           "FROM binding JOIN server USING (server_id) WHERE name = '" +
           server + "' AND state = 'active' AND (expires_at IS NULL OR epoch(expires_at) > " + std::to_string(now) +
           ")";
}

std::string promises_sql(const std::string& server) {
    return "SELECT bindings, (SELECT count(*) FROM binding b WHERE b.server_id = s.server_id AND b.state = 'active'), "
           "gaps_open FROM server s WHERE name = '" +
           server + "'";
}

/// A row, or a truth, in one form: columns as text, times as numbers of our clock.
struct Row {
    std::map<std::string, std::string> words;
    std::map<std::string, std::optional<std::int64_t>> times;
};

std::string lower(std::string hex) {
    std::transform(hex.begin(), hex.end(), hex.begin(),
                   [](char c) { return c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c; });
    return hex;
}

std::string key_of(const std::string& vpn, std::string_view kind, const std::string& address, int prefix_len) {
    return vpn + " " + std::string(kind) + " " + address + "/" + std::to_string(prefix_len);
}

/// The columns after those of the key, in the order of rows_sql().
Row row_of(const std::vector<testing::Cell>& cells) {
    Row row;
    auto cell = cells.begin() + 4;
    for (const auto* name : identifiers)
        row.words[name] = lower((cell++)->value_or(""));
    for (const auto* name : words)
        row.words[name] = (cell++)->value_or("");
    for (const auto* name : times) {
        row.times[name] = *cell ? std::optional<std::int64_t>(std::stoll(**cell)) : std::nullopt;
        ++cell;
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

std::optional<std::string> compare_mirror(const testing::Engine& database, const std::string& name,
                                          const leasesim::LeaseModel& model, UtcMillis now,
                                          std::chrono::seconds tolerance) {
    const auto ours = unix_seconds(std::chrono::floor<std::chrono::seconds>(now));
    std::map<std::string, Row> rows;
    for (const auto& cells : database.table(rows_sql(name, ours)))
        rows[key_of(*cells[0], *cells[1], *cells[2], std::stoi(*cells[3]))] = row_of(cells);
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
    const auto promises = database.table(promises_sql(name));
    if (promises.size() != 1) return "there is no such server in the database";
    const auto& [bindings, counted, gaps] = std::tie(*promises[0][0], *promises[0][1], *promises[0][2]);
    if (bindings != counted) return "server.bindings is " + bindings + ", rows in force: " + counted;
    if (gaps != "0") return gaps + " gaps are open";
    return std::nullopt;
}

}  // namespace leasemirror::sim
