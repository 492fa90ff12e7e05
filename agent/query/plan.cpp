#include "agent/query/plan.hpp"

#include "agent/config/time_text.hpp"
#include "proto/numbers_v6.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace leasemirror {
namespace {

enum class Key : std::uint8_t { everything, address, prefix, client_id, mac, relay_id, remote_id, link };

/// Which protocol has a query by this key, and what to say where a family has none at all.
struct KeyRule {
    Key key;
    std::string_view option;
    bool v4_bulk, v4_udp, v6_bulk, v6_udp;
    std::string_view instead;
};

/// v4 bulk: RFC 6926 §7.2. v4 UDP: RFC 4388 §6.2, RFC 6148 §4.1. v6 bulk: RFC 5460 §5.4; UDP: RFC 5007 §4.1.2.1 alone,
/// types 3 to 5 MUST NOT go over UDP (RFC 5460 §3). A delegated prefix is found by an address in it.
constexpr std::array<KeyRule, 8> key_rules{{
    {Key::everything, "everything", true, false, true, false, ""},
    {Key::address, "--address", false, true, true, true, ""},
    {Key::prefix, "--prefix", false, false, true, true, "DHCPv4 delegates no prefixes; use --address"},
    {Key::client_id, "--client-id", true, true, true, true, ""},
    {Key::mac, "--mac", true, true, false, false,
     "DHCPv6 has no query by hardware address; use --client-id with the client's DUID"},
    {Key::relay_id, "--relay-id", true, false, true, false, ""},
    {Key::remote_id, "--remote-id", true, true, true, false, ""},
    {Key::link, "--link", false, false, true, false,
     "DHCPv4 has no query by link; use --relay-id or --remote-id, or no filter for everything"},
}};

const KeyRule& rule_of(Key key) {
    return key_rules[static_cast<std::size_t>(key)];
}

bool has_bulk(const KeyRule& rule, Family family) {
    return family == Family::v4 ? rule.v4_bulk : rule.v6_bulk;
}
bool has_udp(const KeyRule& rule, Family family) {
    return family == Family::v4 ? rule.v4_udp : rule.v6_udp;
}

/// What is asked by. A link beside another filter only narrows that.
Result<Key, std::string> primary_key(const QueryFilter& f) {
    std::vector<Key> given;
    if (f.address) given.push_back(Key::address);
    if (f.prefix) given.push_back(Key::prefix);
    if (!f.client_id.empty()) given.push_back(Key::client_id);
    if (!f.mac.empty()) given.push_back(Key::mac);
    if (!f.relay_id.empty()) given.push_back(Key::relay_id);
    if (!f.remote_id.empty()) given.push_back(Key::remote_id);
    if (given.size() > 1) {
        return Unexpected{"one query asks by one thing: either " + std::string(rule_of(given[0]).option) + " or " +
                          std::string(rule_of(given[1]).option)};
    }
    if (given.empty()) return f.link ? Key::link : Key::everything;
    if (f.link && (given[0] == Key::address || given[0] == Key::prefix))
        return Unexpected{"--link does not go with " + std::string(rule_of(given[0]).option) +
                          ": an address says by itself on which link it is"};
    return given[0];
}

/// Why this key cannot be asked for in this way; empty if it can.
std::string fault_of_key(Key key, QueryVia via, Family family) {
    const auto& rule = rule_of(key);
    const bool bulk = has_bulk(rule, family);
    const bool udp = has_udp(rule, family);
    if (!bulk && !udp) return std::string(rule.instead);
    if (via == QueryVia::bulk && !bulk)
        return "DHCP" + std::string(to_string(family)) + " has no bulk query by " + std::string(rule.option.substr(2)) +
               "; use --udp";
    if (via == QueryVia::udp && !udp) {
        if (key == Key::everything)
            return "over UDP one thing is asked for; give a filter such as --address, or --bulk";
        return "DHCP" + std::string(to_string(family)) + " has no query over UDP by " +
               std::string(rule.option.substr(2)) + "; use --bulk";
    }
    return {};
}

std::string fault_of_length(std::string_view option, const Bytes& id, std::size_t least, std::size_t most) {
    if (id.empty() || (id.size() >= least && id.size() <= most)) return {};
    return std::string(option) + ": expected " + std::to_string(least) + " to " + std::to_string(most) +
           " octets, not " + std::to_string(id.size());
}

/// The lengths that the options of the family allow: RFC 2132 §9.14, RFC 3046, RFC 8415 §11.1, RFC 4649 §3.
std::string fault_of_ids(const QueryFilter& f, Family family) {
    constexpr std::size_t remote_id_v6_bytes_max = 1024;  // as in bulk.queries
    const bool v6 = family == Family::v6;
    if (v6 && f.remote_id_as_text)
        return "--remote-id: expected hex, four octets of enterprise number and then the identifier, for a v6 server";
    for (const auto& fault :
         {fault_of_length("--client-id", f.client_id, v6 ? 3 : 2, v6 ? duid_bytes_max : 255),
          fault_of_length("--relay-id", f.relay_id, 1, v6 ? duid_bytes_max : 255),
          fault_of_length("--remote-id", f.remote_id, v6 ? 5 : 1, v6 ? remote_id_v6_bytes_max : 255)})
        if (!fault.empty()) return fault;
    return {};
}

/// An address of the other family, or a filter that the family does not know.
std::string fault_of_family(const QueryFilter& f, Family family) {
    if (f.link && family == Family::v4) return std::string(rule_of(Key::link).instead);
    const auto wrong = [&](const std::optional<IpAddress>& a) { return a && a->family() != family; };
    const auto prefix = f.prefix ? std::optional(f.prefix->address) : std::nullopt;
    for (const auto& [option, address] :
         {std::pair{"--address", f.address}, std::pair{"--prefix", prefix}, std::pair{"--link", f.link}})
        if (wrong(address))
            return std::string(option) + ": " + address->to_string() + " is not for a " +
                   std::string(to_string(family)) + " server";
    return {};
}

BulkQuery query_of(Key key, const QueryFilter& f, Family family) {
    BulkQuery out;
    // In a v6 query by identifier the link-address narrows, and :: is any link (RFC 5460 §5.4).
    if (family == Family::v6) out.address = f.link.value_or(IpAddress::from_bytes(std::array<std::uint8_t, 16>{}));
    switch (key) {
        case Key::everything:
            break;
        case Key::address:
            out.kind = QueryKind::address;
            out.address = *f.address;
            break;
        case Key::prefix:
            out.kind = QueryKind::address;
            out.address = f.prefix->address;
            break;
        case Key::client_id:
            out.kind = QueryKind::client_id;
            out.id = f.client_id;
            break;
        case Key::mac:
            out.kind = QueryKind::hw_addr;
            out.id = f.mac;
            break;
        case Key::relay_id:
            out.kind = QueryKind::relay_id;
            out.id = f.relay_id;
            break;
        case Key::remote_id:
            out.kind = QueryKind::remote_id;
            out.id = f.remote_id;
            break;
        case Key::link:
            out.kind = QueryKind::link;
            break;
    }
    return out;
}

/// Everything of a server whose configuration says what that takes, or of one that has a query for it.
std::string plan_everything(const ServerConfig& server, QueryPlan& plan) {
    plan.queries = server.bulk.queries;
    const auto count = plan.queries.size();
    if (count > 0) {
        plan.notes.push_back("asking for its configured bulk.queries, of which there " +
                             (count == 1 ? "is 1" : "are " + std::to_string(count) + ", one after the other"));
        if (count > 1) plan.notes.emplace_back("what several of them return is printed each time");
        return {};
    }
    if (server.family == Family::v4) {
        plan.queries = {BulkQuery{}};
        return {};
    }
    return in_quotes(server.name) +
           " (v6): DHCPv6 has no query for everything, and no bulk.queries are configured; give a filter such as "
           "--link";
}

std::string plan_window(const QueryFilter& f, UtcSeconds now, QueryPlan& plan) {
    if (f.since.empty() && f.until.empty()) return {};
    if (plan.over_udp) return "queries over UDP have no --since and --until; use --bulk";
    // The command line has checked both texts.
    if (!f.since.empty()) plan.window.start = ServerTime{parse_time(f.since, now)->time_since_epoch()};
    if (!f.until.empty()) plan.window.end = ServerTime{parse_time(f.until, now)->time_since_epoch()};
    if (plan.window.start && plan.window.start->time_since_epoch() > now.time_since_epoch())
        return "--since: " + iso_utc(*plan.window.start) + " is in the future";
    // Times of a v6 query are counted from 2000 on (RFC 7653 §6.3.1), those of a v4 query end in 2106.
    constexpr auto first = std::chrono::sys_days{std::chrono::year{2000} / 1 / 1};
    constexpr auto last = std::chrono::sys_days{std::chrono::year{2106} / 1 / 1};
    for (const auto& bound : {plan.window.start, plan.window.end})
        if (bound && (UtcSeconds{bound->time_since_epoch()} < first || UtcSeconds{bound->time_since_epoch()} >= last))
            return "--since and --until reach from 2000 to 2105, not to " + iso_utc(*bound);
    if (plan.window.start && plan.window.end && *plan.window.start > *plan.window.end)
        return "--since " + iso_utc(*plan.window.start) + " is after --until " + iso_utc(*plan.window.end);
    return {};
}

}  // namespace

bool QueryPlan::takes(const Binding& binding) const {
    if (!only) return true;
    return binding.key.kind == BindingKind::prefix && binding.key.address == only->address &&
           binding.key.prefix_len == only->prefix_len;
}

Result<QueryPlan, std::string> plan_query(const QueryFilter& filter, QueryVia via, const ServerConfig& server,
                                          UtcSeconds now) {
    const auto key = primary_key(filter);
    if (!key) return Unexpected{key.error()};
    const auto family = server.family;
    const std::string name = in_quotes(server.name) + " (" + std::string(to_string(family)) + "): ";
    for (const auto& fault :
         {fault_of_family(filter, family), fault_of_key(*key, via, family), fault_of_ids(filter, family)})
        if (!fault.empty()) return Unexpected{name + fault};

    QueryPlan plan;
    plan.over_udp = via == QueryVia::udp || !has_bulk(rule_of(*key), family);
    if (plan.over_udp && server.tls.mode != TlsMode::off) {
        // Never in clear text because nobody thought of it.
        const std::string clear = "this server is configured with tls, and a query over UDP goes in clear text";
        if (via != QueryVia::udp) return Unexpected{name + clear + "; say --udp if that is all right"};
        plan.notes.push_back(clear);
    }
    if (const auto literal = IpAddress::parse(server.address); plan.over_udp && literal && literal->family() != family)
        return Unexpected{name + "over UDP a server has an address of its own family, not " + server.address};
    if (*key == Key::everything) {
        if (const auto fault = plan_everything(server, plan); !fault.empty()) return Unexpected{fault};
    } else {
        plan.queries = {query_of(*key, filter, family)};
    }
    if (*key == Key::prefix) plan.only = filter.prefix;
    if (const auto fault = plan_window(filter, now, plan); !fault.empty()) return Unexpected{fault};
    return plan;
}

}  // namespace leasemirror
