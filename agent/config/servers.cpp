// The `servers` list.
#include "agent/config/sections.hpp"
#include "proto/numbers_v4.hpp"
#include "proto/numbers_v6.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t name_bytes_max = 128;

/// Names appear in tables, log lines and on the command line.
Parsed<std::string> parse_name(std::string_view text) {
    const bool printable = std::all_of(text.begin(), text.end(), [](char c) {
        const auto octet = static_cast<unsigned char>(c);
        return octet >= 0x20 && octet != 0x7f;
    });
    const bool trimmed = !text.empty() && text.front() != ' ' && text.back() != ' ';
    if (printable && trimmed && text.size() <= name_bytes_max) return std::string(text);
    return Unexpected{"expected a name of 1 to " + std::to_string(name_bytes_max) + " printable characters"};
}

std::optional<Family> read_family(MapReader& server) {
    server.require("family");
    std::optional<Family> family;
    server.read("family", family, [](auto t) {
        return parse_word<std::optional<Family>>(t, {{"v4", Family::v4}, {"v6", Family::v6}});
    });
    return family;
}

void read_queries(MapReader& bulk, std::optional<Family> family, std::vector<BulkQuery>& out) {
    const auto nodes = bulk.list("queries");
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const auto path = bulk.name_of("queries") + "[" + std::to_string(i) + "]";
        MapReader entry(bulk.source(), nodes[i], path, bulk.at("queries"));
        auto query = read_query(entry, family);
        if (!query) continue;
        // An identifier that could not be read is empty, and reported already.
        const bool readable = query->kind == QueryKind::all || !query->id.empty() || !query->address.is_unspecified();
        if (readable && std::find(out.begin(), out.end(), *query) != out.end())
            bulk.source().error(nodes[i].Mark(), path + ": the same query is listed before");
        out.push_back(*std::move(query));
    }
}

/// Only the v4 query for everything covers the server without the operator's word.
BulkCovers default_covers(std::optional<Family> family, const std::vector<BulkQuery>& queries) {
    const bool everything =
        std::any_of(queries.begin(), queries.end(), [](const BulkQuery& q) { return q.kind == QueryKind::all; });
    return family == Family::v4 && (queries.empty() || everything) ? BulkCovers::all : BulkCovers::partial;
}

void read_bulk(MapReader bulk, std::optional<Family> family, BulkConfig& out) {
    read_queries(bulk, family, out.queries);
    out.covers = default_covers(family, out.queries);
    bulk.read("covers", out.covers, [](auto t) {
        return parse_word<BulkCovers>(t, {{"all", BulkCovers::all}, {"partial", BulkCovers::partial}});
    });
    if (family == Family::v6 && out.covers == BulkCovers::all && bulk.list("queries").empty())
        bulk.error("covers",
                   "no query is configured that could cover the server; list its links, relay-ids or "
                   "remote-ids in queries, or set it to partial");
    bulk.read("max_connections", out.max_connections, [](auto t) { return parse_number<std::uint32_t>(t, 1, 100); });
    bulk.read("poll_interval", out.poll_interval, [](auto t) { return parse_duration(t, milliseconds{1}); });
    bulk.read_or_null("window_interval", out.window_interval, [](auto t) -> Parsed<std::optional<milliseconds>> {
        auto interval = parse_duration(t, milliseconds{1});
        if (!interval) return Unexpected{interval.error()};
        return std::optional{*interval};
    });
    bulk.finish();
}

void read_client_data(MapReader& server, std::optional<Family> family, ClientData& out) {
    server.read("client_data", out, [](auto t) {
        return parse_word<ClientData>(
            t, {{"auto", ClientData::automatic}, {"delta", ClientData::delta}, {"snapshot", ClientData::snapshot}});
    });
    if (family == Family::v4 && out == ClientData::snapshot)
        server.error("client_data", "snapshot is for v6 servers; a v4 message speaks of one address");
}

void read_request_options(MapReader& server, std::optional<Family> family, std::vector<std::uint16_t>& out) {
    // 0 and 255 are pad and end in v4 (RFC 2132 §3.1, §3.2).
    const std::uint16_t most = family == Family::v4 ? 254 : 65535;
    const auto nodes = server.list("request_options");
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const auto name = server.name_of("request_options") + "[" + std::to_string(i) + "]: ";
        auto& source = server.source();
        if (!nodes[i].IsScalar()) {
            source.error(nodes[i].IsNull() ? server.at("request_options") : nodes[i].Mark(),
                         name + "expected an option code, not " + kind_of(nodes[i]));
            continue;
        }
        const auto found = source.scalar(nodes[i]);
        if (!found) continue;
        const auto code = parse_number<std::uint16_t>(found->text, 1, most);
        if (!code)
            source.error(found->at, name + code.error() + ", not " + found->shown);
        else if (std::find(out.begin(), out.end(), *code) != out.end())
            source.error(found->at, name + "option " + std::to_string(*code) + " is listed before");
        else
            out.push_back(*code);
    }
}

void read_timeouts(MapReader timeouts, TimeoutsConfig& out) {
    const auto positive = [](std::string_view t) { return parse_duration(t, milliseconds{1}); };
    timeouts.read("connect", out.connect, positive);
    timeouts.read("receive", out.receive, positive);
    timeouts.read("data", out.data, positive);
    timeouts.read("retry", out.retry, positive);
    timeouts.finish();
}

ServerConfig read_server(MapReader& server) {
    ServerConfig out;
    server.require("name");
    server.read("name", out.name, parse_name);
    const auto family = read_family(server);
    out.family = family.value_or(Family::v4);
    out.port = out.family == Family::v4 ? server_port_v4 : server_port_v6;
    server.require("address");
    server.read("address", out.address, parse_host);
    server.read("port", out.port, [](auto t) { return parse_number<std::uint16_t>(t, 1); });
    server.read("mode", out.mode, [](auto t) {
        return parse_word<SyncMode>(
            t, {{"auto", SyncMode::automatic}, {"active", SyncMode::active}, {"bulk", SyncMode::bulk}});
    });
    read_tls(server.section("tls"), out.tls);
    auto bulk = server.section("bulk");
    const bool queries_given = !bulk.list("queries").empty();
    read_bulk(bulk, family, out.bulk);
    if (family == Family::v6 && out.mode == SyncMode::bulk && !queries_given)
        server.error("mode",
                     "bulk needs bulk.queries: DHCPv6 has no query for everything; list the server's links, "
                     "relay-ids or remote-ids");
    read_client_data(server, family, out.client_data);
    server.read("verify_interval", out.verify_interval, [](auto t) { return parse_duration(t, milliseconds{0}); });
    read_request_options(server, family, out.request_options);
    read_timeouts(server.section("timeouts"), out.timeouts);
    server.finish();
    return out;
}

}  // namespace

void read_servers(MapReader& top, std::vector<ServerConfig>& out) {
    top.require("servers");
    const auto nodes = top.list("servers");
    if (nodes.empty() && top.is_empty("servers")) top.error("servers", "expected at least one server");
    std::vector<std::pair<std::string, int>> names;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        MapReader server(top.source(), nodes[i], "servers[" + std::to_string(i) + "]", top.at("servers"));
        out.push_back(read_server(server));
        const auto& name = out.back().name;
        const auto same = std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.first == name; });
        if (same != names.end())
            server.error("name",
                         "name " + in_quotes(name) + " is taken by the server in line " + std::to_string(same->second));
        else if (!name.empty())
            names.emplace_back(name, server.at("name").line + 1);
    }
}

}  // namespace leasemirror
