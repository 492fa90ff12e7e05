#include "tests/sim/mirror.hpp"

#include "storage/resume_point.hpp"

#include <algorithm>
#include <cstdlib>
#include <tuple>

namespace leasemirror::sim {
namespace {

constexpr auto about_to_expire = std::chrono::seconds{4};

constexpr std::size_t identifiers = 5;
constexpr std::array words{"client_id", "relay_id",     "remote_id",     "circuit_id", "subscriber_id", "hw_type",
                           "hw_addr",   "link_address", "relay_address", "hostname",   "data_source"};
constexpr std::array times{"client_last_seen", "state_since", "expires_at", "preferred_until"};
constexpr std::size_t past_times = 2;  // the first of them

std::int64_t seconds_of(UtcMillis at) {
    return unix_seconds(std::chrono::floor<std::chrono::seconds>(at));
}

std::string rows_sql(const std::string& server, std::int64_t now, bool doubts) {
    return std::string(
               "SELECT vpn_id, kind, host(address), prefix_len, hex(client_id), hex(relay_id), hex(remote_id), ") +
           "hex(circuit_id), hex(subscriber_id), hw_type, hw_addr, host(link_address), host(relay_address), hostname, "
           "data_source, epoch(client_last_seen), epoch(state_since), epoch(expires_at), epoch(preferred_until)" +
           (doubts ? ", doubt" : "") + " FROM binding JOIN server USING (server_id) WHERE name = '" + server +
           "' AND state = 'active' AND (expires_at IS NULL OR epoch(expires_at) > " + std::to_string(now) + ")";
}

std::string promises_sql(const std::string& server) {
    return "SELECT bindings, (SELECT count(*) FROM binding b WHERE b.server_id = s.server_id AND b.state = 'active'), "
           "gaps_open FROM server s WHERE name = '" +
           server + "'";
}

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
    for (std::size_t i = 0; i < words.size(); ++i, ++cell)
        row.words[i] = i < identifiers ? lower(cell->value_or("")) : cell->value_or("");
    for (auto& time : row.times) {
        if (*cell) time = std::stoll(**cell);
        ++cell;
    }
    if (cell != cells.end()) row.doubt = cell->value_or("");
    return row;
}

bool close_enough(const std::optional<std::int64_t>& a, const std::optional<std::int64_t>& b,
                  std::chrono::seconds tolerance) {
    if (!a || !b) return a.has_value() == b.has_value();
    return std::llabs(*a - *b) <= tolerance.count();
}

bool is_default_vpn(const std::string& key) {
    return key.front() == ' ';
}

/// Keys that are in doubt, in force or not.
std::set<std::string> keys_in_doubt(const testing::Engine& database, const std::string& server, bool doubts) {
    std::set<std::string> keys;
    if (!doubts) return keys;
    for (const auto& cells : database.table("SELECT vpn_id, kind, host(address), prefix_len FROM binding JOIN server "
                                            "USING (server_id) WHERE doubt IS NOT NULL AND name = '" +
                                            server + "'"))
        keys.insert(key_of(*cells[0], *cells[1], *cells[2], std::stoi(*cells[3])));
    return keys;
}

/// All moments between the two at which a binding may have begun to be otherwise: `since`, each visit and each step of the
/// server's clock, the moments before these, `now`.
std::vector<UtcMillis> moments_of(const leasesim::LeaseModel& model, std::uint64_t unit, UtcMillis since,
                                  UtcMillis now) {
    std::vector<UtcMillis> out{since};
    const auto& churn = model.churn();
    for (auto visit = churn.visits(unit, since); visit < churn.visits(unit, now); ++visit) {
        out.push_back(churn.visit_time(unit, visit + 1) - std::chrono::milliseconds{1});
        out.push_back(churn.visit_time(unit, visit + 1));
    }
    for (const auto step : model.clock().steps()) {  // a lease may have been over before its server's clock went back
        if (step <= since || step > now) continue;
        out.push_back(step - std::chrono::milliseconds{1});
        out.push_back(step);
    }
    out.push_back(now);
    return out;
}

/// What is wrong with `row`, or with there being none, if it never was so between the two.
std::optional<std::string> lie_about(std::uint64_t binding, const std::string& key, const Row* row,
                                     const Witness& witness, UtcMillis since, UtcMillis now) {
    const auto& model = witness.model;
    std::optional<std::string> wrong;
    for (const auto at : moments_of(model, model.unit_of(binding), since, now)) {
        const auto b = model.truth(binding, at);
        const auto truth = truth_row(b, witness, at);
        if (!row && (!b.in_force() || expires_soon(truth, witness.host_time(at)))) return std::nullopt;
        if (row && !b.in_force()) wrong = key + " is in force here, but not at the server";
        if (!row) wrong = key + " is not in force here, but at the server, for " + truth.words[0];
        if (row && b.in_force()) wrong = compare(key, *row, truth, witness);
        if (!wrong) return std::nullopt;
    }
    leasesim::UnitState s;
    model.state_of(model.unit_of(binding), now, s);
    return *wrong + "; so since " + std::to_string(seconds_of(s.changed)) + " in true time";
}

}  // namespace

bool Witness::may_be_unknown(const std::string& key) const {
    return unreadable.contains(key) || (vpns_unreached && !is_default_vpn(key));
}

std::optional<std::uint64_t> number_of(const leasesim::LeaseModel& model, const std::string& key) {
    const auto at = key.find(' ', key.find(' ') + 1) + 1;
    const auto address = IpAddress::parse(key.substr(at, key.rfind('/') - at));
    const auto first = address ? model.find(*address) : std::nullopt;
    for (unsigned vpn = 0; first && vpn <= model.options().vpns; ++vpn)
        if (leasesim::vpn_name(vpn) == key.substr(0, key.find(' '))) return *first + vpn;
    return std::nullopt;
}

std::string key_of(const BindingKey& key) {
    return key_of(key.vpn_id, to_string(key.kind), key.address.to_string(), key.prefix_len);
}

Rows rows_in_force(const testing::Engine& database, const std::string& server, UtcMillis host_now, bool doubts) {
    Rows rows;
    for (const auto& cells : database.table(rows_sql(server, seconds_of(host_now), doubts)))
        rows[key_of(*cells[0], *cells[1], *cells[2], std::stoi(*cells[3]))] = row_of(cells);
    return rows;
}

Row truth_row(const Binding& b, const Witness& witness, UtcMillis at) {
    const auto text = [](const std::optional<IpAddress>& a) { return a ? a->to_string() : std::string(); };
    const auto skew = witness.model.clock().offset(at) - witness.host;
    const auto ours = [skew](std::optional<ServerTime> t) {
        return t ? std::optional(unix_seconds(to_utc(*t, skew))) : std::nullopt;
    };
    Row row;
    row.words = {to_hex(b.client_id),
                 to_hex(b.relay_id),
                 to_hex(b.remote_id),
                 to_hex(b.circuit_id),
                 to_hex(b.subscriber_id),
                 b.hw_type ? std::to_string(*b.hw_type) : "",
                 to_hex(b.hw_addr, ':'),
                 text(b.link_address),
                 text(b.relay_address),
                 b.hostname,
                 std::string(to_string(b.data_source))};
    row.times = {ours(b.client_last_seen), ours(b.state_since), ours(b.expires_at), ours(b.preferred_until)};
    return row;
}

std::optional<std::string> compare(const std::string& key, const Row& row, const Row& truth, const Witness& witness) {
    const auto shown = [](const std::optional<std::int64_t>& t) {
        return t ? std::to_string(*t) : std::string("none");
    };
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (row.words[i] != truth.words[i])
            return key + ": " + words[i] + " is '" + row.words[i] + "', the server says '" + truth.words[i] + "'";
    }
    for (std::size_t i = witness.past_is_moot ? past_times : 0; i < times.size(); ++i) {
        if (!close_enough(row.times[i], truth.times[i], witness.tolerance))
            return key + ": " + times[i] + " is " + shown(row.times[i]) + ", the server says " + shown(truth.times[i]);
    }
    return std::nullopt;
}

bool may_stay_in_doubt(const Row& row, const Witness& witness) {
    return witness.more_than_may_be_asked && row.doubt == to_string(Doubt::scope_unreadable);
}

bool expires_soon(const Row& row, UtcMillis host_now) {
    return row.expires_at() && *row.expires_at() <= seconds_of(host_now) + about_to_expire.count();
}

std::optional<std::string> compare_mirror(const testing::Engine& database, const Witness& witness, UtcMillis now,
                                          bool doubts) {
    const auto host_now = witness.host_time(now);
    auto rows = rows_in_force(database, witness.name, host_now, doubts);
    std::optional<std::string> wrong;
    witness.model.for_each_in_force(now, [&](const Binding& b) {
        const auto key = key_of(b.key);
        const auto truth = truth_row(b, witness, now);
        const auto found = rows.extract(key);
        if (wrong || expires_soon(truth, host_now)) return;
        if (witness.may_be_unknown(key) && (!found || !found.mapped().doubt.empty())) return;
        if (found && may_stay_in_doubt(found.mapped(), witness)) return;
        wrong = found ? compare(key, found.mapped(), truth, witness) : key + " is missing";
        if (!wrong && found && !found.mapped().doubt.empty())
            wrong = key + " is right, and still in doubt: " + found.mapped().doubt;
    });
    if (wrong) return wrong;
    for (const auto& [key, row] : rows) {
        const auto unknown = witness.may_be_unknown(key) || witness.unreadable_clients.contains(row.words[0]);
        if ((unknown && !row.doubt.empty()) || may_stay_in_doubt(row, witness)) continue;
        if (!expires_soon(row, host_now))
            return key + " is in force here, but not at the server" +
                   (row.doubt.empty() ? "" : "; in doubt: " + row.doubt);
    }
    const auto promises = database.table(promises_sql(witness.name));
    if (promises.size() != 1) return "there is no such server in the database";
    const auto& [bindings, counted, gaps] = std::tie(*promises[0][0], *promises[0][1], *promises[0][2]);
    if (bindings != counted) return "server.bindings is " + bindings + ", rows in force: " + counted;
    if (gaps != "0") return gaps + " gaps are open";
    return std::nullopt;
}

std::optional<std::string> find_silent_lie(const testing::Engine& database, const Witness& witness, UtcMillis since,
                                           UtcMillis now, bool doubts) {
    const auto host_now = witness.host_time(now);
    auto rows = rows_in_force(database, witness.name, host_now, doubts);
    const auto doubtful = keys_in_doubt(database, witness.name, doubts);
    std::optional<std::string> lie;
    const auto look = [&](const std::string& key, const Row* row) {
        if (lie || doubtful.contains(key) || (row && expires_soon(*row, host_now))) return;
        if (!row && witness.may_be_unknown(key)) return;
        const auto number = number_of(witness.model, key);
        lie = number ? lie_about(*number, key, row, witness, since, now) : key + " is no address of the server";
    };
    // Most are as they were at the end: only the others are looked at more closely.
    witness.model.for_each_in_force(now, [&](const Binding& b) {
        const auto key = key_of(b.key);
        const auto found = rows.extract(key);
        if (!found) return look(key, nullptr);
        if (compare(key, found.mapped(), truth_row(b, witness, now), witness)) look(key, &found.mapped());
    });
    for (const auto& [key, row] : rows)
        look(key, &row);
    return lie;
}

}  // namespace leasemirror::sim
