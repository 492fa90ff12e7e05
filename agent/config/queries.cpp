// One entry of `bulk.queries`: which bindings one bulk query asks a server for.
#include "agent/config/sections.hpp"
#include "proto/numbers_v4.hpp"
#include "proto/numbers_v6.hpp"

#include <algorithm>
#include <array>

namespace leasemirror {
namespace {

struct QueryKey {
    std::string_view key;
    bool v4;
    bool v6;
};

/// RFC 6926 §7.2 and RFC 5007 §4.1.2.1 with RFC 5460 §5.4.
constexpr std::array<QueryKey, 7> query_keys{{
    {"all", true, false},
    {"link", false, true},
    {"relay_id", true, true},
    {"remote_id", true, true},
    {"client_id", true, true},
    {"address", false, true},
    {"mac", true, false},
}};

std::vector<std::string_view> keys_of(Family family) {
    std::vector<std::string_view> out;
    for (const auto& k : query_keys)
        if (family == Family::v4 ? k.v4 : k.v6) out.push_back(k.key);
    return out;
}

/// The key that says what is asked for, if there is exactly one and the family knows it.
std::optional<std::string_view> primary_key(MapReader& entry, std::optional<Family> family) {
    std::vector<std::string_view> given;
    for (const auto& k : query_keys)
        if (entry.has(k.key)) given.push_back(k.key);
    if (given.size() != 1) {
        std::vector<std::string_view> valid;
        valid.reserve(query_keys.size());
        for (const auto& k : query_keys)
            valid.push_back(k.key);
        const auto expected = either_of(family ? keys_of(*family) : valid);
        entry.source().error(entry.at(given.size() > 1 ? given[1] : ""),
                             entry.path() + ": expected exactly one of " + expected + ", not " +
                                 (given.empty() ? std::string("none") : std::to_string(given.size())));
        return std::nullopt;
    }
    const auto& known =
        *std::find_if(query_keys.begin(), query_keys.end(), [&](const QueryKey& k) { return k.key == given[0]; });
    if (!family || (*family == Family::v4 ? known.v4 : known.v6)) return given[0];
    entry.error(given[0], std::string(to_string(*family)) + " servers cannot be asked for this; expected " +
                              either_of(keys_of(*family)));
    return std::nullopt;
}

/// More than any relay says, and small enough for one query.
constexpr std::size_t remote_id_bytes_max = 1024;

/// A v6 remote-id is an enterprise number and an identifier (RFC 4649 §3); `text:` has no room for the number.
Parsed<Bytes> parse_remote_id_v6(std::string_view text) {
    auto id = parse_identifier(text, 5, remote_id_bytes_max);
    if (id && !text.starts_with("text:")) return id;
    return Unexpected{std::string("expected hex: four octets of enterprise number, then the identifier")};
}

void read_id(MapReader& entry, std::string_view key, std::size_t bytes_min, std::size_t bytes_max, BulkQuery& out) {
    entry.read(key, out.id, [&](std::string_view t) { return parse_identifier(t, bytes_min, bytes_max); });
}

void read_address(MapReader& entry, std::string_view key, BulkQuery& out) {
    entry.read(key, out.address, [](std::string_view t) -> Parsed<IpAddress> {
        auto address = parse_address(t, Family::v6);
        if (address && address->is_unspecified()) return Unexpected{std::string("expected an address other than ::")};
        return address;
    });
}

/// In a v6 query by identifier the link-address field is a filter, and :: is any link (RFC 5460 §5.4).
void set_any_link(std::optional<Family> family, BulkQuery& out) {
    if (family == Family::v6) out.address = IpAddress::from_bytes(std::array<std::uint8_t, 16>{});
}

void read_value(MapReader& entry, std::string_view key, std::optional<Family> family, BulkQuery& out) {
    const bool v6 = family == Family::v6;
    if (key == "all") {
        bool all = true;
        entry.read(key, all, parse_bool);
        if (!all) entry.error(key, "expected true; leave the entry out instead");
    } else if (key == "link" || key == "address") {
        out.kind = key == "link" ? QueryKind::link : QueryKind::address;
        read_address(entry, key, out);
    } else if (key == "mac") {
        out.kind = QueryKind::hw_addr;
        entry.read(key, out.id, parse_mac);
    } else if (key == "relay_id") {
        out.kind = QueryKind::relay_id;
        set_any_link(family, out);
        read_id(entry, key, 1, v6 ? duid_bytes_max : 255, out);
    } else if (key == "client_id") {
        out.kind = QueryKind::client_id;
        set_any_link(family, out);
        // RFC 2132 §9.14: at least two octets; a DUID is a two-octet type and something.
        read_id(entry, key, v6 ? 3 : 2, v6 ? duid_bytes_max : 255, out);
    } else if (key == "remote_id") {
        out.kind = QueryKind::remote_id;
        set_any_link(family, out);
        if (v6)
            entry.read(key, out.id, parse_remote_id_v6);
        else
            read_id(entry, key, 1, 255, out);
    }
}

}  // namespace

std::optional<BulkQuery> read_query(MapReader& entry, std::optional<Family> family) {
    BulkQuery out;
    const auto key = primary_key(entry, family);
    if (key) read_value(entry, *key, family, out);
    entry.read("hw_type", out.hw_type, [](auto t) { return parse_number<std::uint8_t>(t, 1); });
    if (key && *key != "mac" && entry.has("hw_type")) entry.error("hw_type", "goes with mac only");
    entry.finish();
    if (!key) return std::nullopt;
    return out;
}

}  // namespace leasemirror
