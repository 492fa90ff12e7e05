// What the tests of ServerSync begin with, and what they read: servers and resume points; queries and batches as words.
//
//     active | active from @1000              bulk everything in every VPN | bulk everything [@5, @9]
//     begin 1                                 192.0.2.1 active @1000 run 2 (that of the last bulk)
//     192.0.2.1 active @1000 late             (in the catch-up phase)
//     list of 2                               reconcile 1 everything from @1000
//     gap 1 opens [@5, @9]: DataMissing       gap 1 closes recovered, 3
//     base @1000                              fresh start
#pragma once

#include "agent/config/config.hpp"
#include "storage/batch.hpp"
#include "storage/scope.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

namespace leasemirror::test {

inline ServerConfig server_v4(std::string name = "four") {
    ServerConfig config;
    config.name = std::move(name);
    config.family = Family::v4;
    config.address = "192.0.2.254";
    config.port = 67;
    return config;
}

inline BulkQuery link_query(std::string_view text) {
    BulkQuery query;
    query.kind = QueryKind::link;
    query.address = address(text);
    return query;
}

inline BulkQuery relay_query(Bytes id) {
    BulkQuery query;
    query.kind = QueryKind::relay_id;
    query.id = std::move(id);
    return query;
}

/// One link that is the whole server.
inline ServerConfig server_v6(std::vector<BulkQuery> queries = {link_query("2001:db8:1::1")}) {
    ServerConfig config;
    config.name = "six";
    config.family = Family::v6;
    config.address = "2001:db8::547";
    config.port = 547;
    config.bulk.queries = std::move(queries);
    config.bulk.covers = BulkCovers::all;
    config.client_data = ClientData::delta;
    return config;
}

/// Synchronised once, and then left at this base-time.
inline ResumePoint resume_at(std::int64_t base) {
    ResumePoint point;
    point.base_time = at(base);
    point.last_run = 1;
    point.coverage = Coverage::full;
    point.last_full_sync_at = UtcSeconds{std::chrono::seconds{t0 + base}};
    return point;
}

inline Config config_of(std::vector<ServerConfig> servers) {
    Config config;
    config.servers = std::move(servers);
    return config;
}

inline std::string words_of_window(std::optional<ServerTime> start, std::optional<ServerTime> end) {
    if (!start && !end) return "";
    return " [" + (start ? words_of(*start) : "") + ", " + (end ? words_of(*end) : "") + "]";
}

inline std::string words_of_query(const MessageV4& m) {
    if (m.type == MessageTypeV4::active_lease_query) {
        CHECK_FALSE(m.query_end_time);  // RFC 7724 §8.2
        return "active" + (m.query_start_time ? " from " + words_of(*m.query_start_time) : "");
    }
    CHECK(m.type == MessageTypeV4::bulk_lease_query);
    std::string what = "everything";
    if (!m.relay_agent_information.empty()) {
        const auto option_82 = decode_relay_agent_information(m.relay_agent_information);
        REQUIRE_FALSE(option_82.fault);
        what = "relay-id " + to_hex(option_82.relay_id);
    } else if (!m.client_id.empty()) {
        what = "client-id " + to_hex(m.client_id);
    } else if (m.hlen > 0) {
        what = "hw-addr " + to_hex(m.chaddr);
    }
    const auto every_vpn = m.vss && m.vss->type == static_cast<std::uint8_t>(VssType::all_vpns);
    return "bulk " + what + (every_vpn ? " in every VPN" : "") + words_of_window(m.query_start_time, m.query_end_time);
}

inline std::string words_of_query(const MessageV6& m) {
    CHECK(std::equal(m.client_id.begin(), m.client_id.end(), our_duid.begin(), our_duid.end()));
    if (m.type == MessageTypeV6::active_lease_query) {
        CHECK_FALSE(m.end_time);  // RFC 7653 §6.3.3
        return "active" + (m.start_time ? " from " + words_of(*m.start_time) : "");
    }
    CHECK(m.type == MessageTypeV6::lease_query);
    REQUIRE(m.query);
    const auto what = [&]() -> std::string {
        switch (m.query->type) {
            case QueryTypeV6::by_address:
                return "address " + (m.query->address ? m.query->address->address.to_string() : "none");
            case QueryTypeV6::by_client_id:
                return "client-id " + to_hex(m.query->client_id);
            case QueryTypeV6::by_link_address:
                return "link " + m.query->link_address.to_string();
            case QueryTypeV6::by_relay_id:
            case QueryTypeV6::by_remote_id:
                return "relay-id " + to_hex(m.query->relay_id);
        }
        return "?";
    }();
    return "bulk " + what + words_of_window(m.start_time, m.end_time);
}

inline std::string words_of(const Change& change) {
    // Whatever is told carries the last run begun; that of a mirror which was resumed, 1, is left out.
    const bool shown = change.scope != 0 || change.run > 1;
    const auto run = shown ? " run " + std::to_string(change.run) : std::string();
    const auto& b = change.binding;
    switch (change.kind) {
        case Change::Kind::binding:
            return b.key.address.to_string() + " " + std::string(to_string(b.state)) + " " + words_of(b.base_time) +
                   (change.late ? " late" : "") + run;
        case Change::Kind::client_list_end:
            return "list of " + std::to_string(change.listed) + (change.late ? " late" : "") +
                   (change.doubt == Doubt::none ? "" : " (doubts)");
        case Change::Kind::sighting:
            return b.key.address.to_string() + " sighted run " + std::to_string(change.run);
        case Change::Kind::doubt:
            return b.key.address.to_string() + " in doubt: " + std::string(to_string(change.doubt));
        case Change::Kind::absent:
            return b.key.address.to_string() + " absent " + words_of(b.base_time);
    }
    return {};
}

inline std::string words_of(const GapChange& change) {
    const auto& gap = change.gap;
    const auto span = "[" + words_of(gap.from) + ", " + words_of(gap.to) + "]";
    const auto which = "gap " + std::to_string(gap.number);
    switch (change.kind) {
        case GapChange::Kind::open:
            return which + " opens " + span + ": " + gap.cause;
        case GapChange::Kind::widen:
            return which + " widens " + span;
        case GapChange::Kind::close:
            return which + " closes " + change.outcome + ", " + std::to_string(change.recovered);
    }
    return {};
}

inline std::string words_of(const Reconcile& r, const ServerConfig& server) {
    std::string scopes = r.everything ? " everything" : "";
    if (!r.everything) {
        for (const auto& scope : r.scopes) {
            for (const auto& query : server.bulk.queries) {
                if (scope_id(query) == scope.id) scopes += " (" + to_string(query) + ")";
            }
            if (scope.id == scope_id(BulkQuery{})) scopes += " (everything)";
        }
    }
    return "reconcile " + std::to_string(r.run) + (scopes.empty() ? " nothing" : scopes) +
           (r.all_vpns ? " in every VPN" : "") + " from " + words_of(r.listed_from) + (r.unread ? " unread" : "");
}

inline std::string words_of(const Batch& batch, const ServerConfig& server) {
    std::string all;
    const auto add = [&all](const std::string& words) { all += (all.empty() ? "" : "; ") + words; };
    if (batch.begin_run) add("begin " + std::to_string(*batch.begin_run));
    if (batch.fresh_start) add("fresh start");
    for (const auto& change : batch.changes)
        add(words_of(change));
    if (batch.reconcile) add(words_of(*batch.reconcile, server));
    for (const auto& gap : batch.gaps)
        add(words_of(gap));
    if (batch.base_time) add("base " + words_of(*batch.base_time));
    if (!batch.quarantine.empty()) add(std::to_string(batch.quarantine.size()) + " quarantined");
    return all;
}

}  // namespace leasemirror::test
