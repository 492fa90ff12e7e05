#include "agent/query/exchange.hpp"

#include "agent/config/exit_codes.hpp"
#include "agent/net/host.hpp"
#include "agent/net/udp_client.hpp"
#include "agent/query/bulk.hpp"
#include "agent/query/probe_connection.hpp"
#include "agent/query/udp.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace leasemirror {
namespace {

using std::chrono::milliseconds;

/// Feeds the connection until the answer is over, in steps of what arrives at one time: after each, rows go out.
void read_answer(const ServerConfig& server, ProbeConnection& connection, QueryBulk& bulk, const QueryExchange& with) {
    bulk.start(host_session_now());
    while (!bulk.over()) {
        const bool went_on = connection.drive(bulk.session(), server.timeouts.data, [&](const SessionAction& action) {
            bulk.on_action(action, host_now(), host_session_now());
            return true;
        });
        if (!went_on) bulk.on_silence(server.timeouts.data);
        with.rows.flush();
        if (with.rows.broken() || with.stop.asked()) break;
        with.progress.tick(with.rows.count(), host_now().steady);
    }
}

std::string joined(const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names)
        out += (out.empty() ? "" : ", ") + name;
    return out;
}

/// Says how each server answered, and keeps the worst of their exit codes. A single answer that is complete is not told.
void report_answers(const UdpQuery& query, const ServerNames& names, const BulkQuery& asked, const QueryExchange& with,
                    QueryReport& report) {
    const bool several = query.answers().size() > 1;
    for (const auto& answer : query.answers()) {
        const auto name = answer.server ? names[*answer.server] : to_string(answer.endpoint);
        for (const auto& line : udp_answer_lines(answer, asked, several))
            with.say(name, line);
        report.code = std::max(report.code, udp_exit_code(answer));
    }
    if (const auto discards = udp_discards_text(query.discards()); !discards.empty())
        with.say(report.server, "datagrams that were discarded: " + discards);
    report.discarded = query.discards().total();
}

UdpSettings udp_settings(const std::vector<const ServerConfig*>& servers, const QueryExchange& with) {
    UdpSettings out;
    out.family = servers.front()->family;
    out.requestor_duid = with.requestor_duid;
    out.seed = host_seed();
    for (const auto* const server : servers)
        out.request_options.insert(out.request_options.end(), server->request_options.begin(),
                                   server->request_options.end());
    return out;
}

QueryReport finished(QueryReport report, SteadyTime began, const QueryExchange& with) {
    report.took = std::chrono::round<milliseconds>(host_now().steady - began);
    if (!with.stop.asked()) return report;
    report.interrupted = true;
    report.fault.clear();  // that the connection ended is then our doing
    report.code = exit_found_wrong;
    return report;
}

}  // namespace

QueryReport ask_over_bulk(const ServerConfig& server, const QueryPlan& plan, const QueryExchange& with) {
    const auto began = host_now().steady;
    QueryReport report;
    report.server = server.name;
    ProbeConnection connection;
    const Interrupt::Hook hook(with.stop, [&connection] { connection.interrupt(); });
    if (const auto fault = connection.connect(server)) {
        report.fault = *fault;
        report.code = exit_cannot_connect;
    } else {
        const auto settings =
            session_settings(server, with.requestor_duid, server.request_options, server.timeouts.data);
        QueryBulk bulk(server, plan, settings, with.rows,
                       [&](const std::string& note) { with.say(server.name, note); });
        read_answer(server, connection, bulk, with);
        report = bulk.report();
        if (const auto& refusal = connection.refusal()) {  // TLS: our certificate, judged after connect() was through
            report.fault = "cannot connect to " + connection.endpoint() + ": " + *refusal;
            report.code = exit_cannot_connect;
        }
    }
    return finished(std::move(report), began, with);
}

QueryReport ask_over_udp(const std::vector<const ServerConfig*>& servers, const QueryPlan& plan,
                         std::optional<std::uint32_t> tries, bool multicast, const QueryExchange& with) {
    const auto began = host_now().steady;
    auto settings = udp_settings(servers, with);
    settings.transmissions_max = tries.value_or(settings.transmissions_max);
    if (multicast) settings.multicast = all_dhcp_servers();
    ServerNames names;
    for (const auto* const server : servers)
        names.push_back(server->name);
    QueryReport report;
    report.server = joined(names);
    UdpClient client;
    const Interrupt::Hook hook(with.stop, [&client] { client.interrupt(); });
    const auto& asked = plan.queries.front();
    if (const auto objection = udp_query_objection(settings, asked, plan.window)) {
        report.fault = *objection;
        report.code = exit_usage;
    } else if (const auto fault = client.open(servers, with.requestor, settings)) {
        report.fault = *fault;
        report.code = exit_cannot_connect;
    } else if (const auto unfit = udp_objection(settings, asked, plan.window)) {
        report.fault = *unfit;
        report.code = exit_usage;
    } else {
        UdpQuery query(settings, asked);
        client.run(query, [&] { with.progress.show(udp_progress_text(query.answers()), host_now().steady); });
        with.progress.clear();
        add_udp_rows(query.answers(), names, plan, with.rows, report);
        with.rows.flush();
        report_answers(query, names, asked, with, report);
    }
    return finished(std::move(report), began, with);
}

}  // namespace leasemirror
