#include "agent/query/probe.hpp"

#include "agent/query/probe_connection.hpp"
#include "proto/numbers_v4.hpp"
#include "proto/session/active.hpp"
#include "proto/session/bulk.hpp"
#include "proto/status.hpp"

namespace leasemirror {
namespace {

/// It asks for no more than it takes to see how the server answers.
SessionSettings probe_settings(const ServerConfig& server, const ProbeSettings& settings) {
    return session_settings(server, settings.requestor_duid, {}, bulk_lq_data_timeout);
}

void note_time(const action::Heard& heard, ProbeResult& result) {
    if (!heard.base_time) return;
    const auto ours = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
    result.base_time = heard.base_time;
    result.skew = std::chrono::milliseconds{heard.base_time->time_since_epoch()} - ours.time_since_epoch();
}

/// A server that answers with an error status knows the protocol; one that closes does not, or does not know us.
Support support_of(const action::Close& close) {
    switch (close.why) {
        case CloseReason::refused:
        case CloseReason::query_terminated:
            return {Answer::refused, close.text};
        case CloseReason::peer_silent:
        case CloseReason::query_blocked:
            return {Answer::unclear, close.text};
        case CloseReason::peer_closed:
        case CloseReason::refused_silently:
        case CloseReason::framing_lost:
        case CloseReason::unknown_transaction:
        case CloseReason::protocol_violation:
        case CloseReason::not_supported:
            return {Answer::no, close.text};
    }
    return {Answer::unclear, close.text};
}

/// The first configured query. Else everything that changed in this second: whoever can answer the query for
/// everything shows that, without having to list it.
void start_bulk(const ServerConfig& server, BulkSession& session) {
    const auto now = host_session_now();
    if (!server.bulk.queries.empty()) return session.start(server.bulk.queries.front(), {}, false, now);
    session.start(BulkQuery{}, {now.server, now.server}, false, now);
}

Support ask_bulk(const ServerConfig& server, const ProbeSettings& settings, ProbeConnection& connection,
                 ProbeResult& result) {
    BulkSession session(probe_settings(server, settings));
    start_bulk(server, session);
    Support out{Answer::unclear, "no answer within " + std::to_string(settings.answer_timeout.count()) + " ms"};
    connection.drive(session, settings.answer_timeout, [&](const SessionAction& action) {
        if (const auto* const heard = std::get_if<action::Heard>(&action)) {
            note_time(*heard, result);
            return false;
        }
        if (const auto* const done = std::get_if<action::QueryDone>(&action))
            out = done->outcome == QueryOutcome::complete ? Support{Answer::yes, ""}
                                                          : Support{Answer::refused, done->text};
        else if (const auto* const close = std::get_if<action::Close>(&action))
            out = support_of(*close);
        else
            out = {Answer::yes, ""};  // a binding, or something else that only a query that is being answered brings
        return true;
    });
    return out;
}

Support ask_active(const ServerConfig& server, const ProbeSettings& settings, ProbeConnection& connection,
                   ProbeResult& result) {
    ActiveSession session(probe_settings(server, settings));
    session.start(std::nullopt, host_session_now());
    std::optional<Support> closed;
    bool heard_of = false;
    connection.drive(session, settings.active_wait, [&](const SessionAction& action) {
        if (const auto* const heard = std::get_if<action::Heard>(&action)) {
            note_time(*heard, result);
            heard_of = true;
        }
        // A refusal comes as a message too, and its Close is the last of what that message leads to.
        if (const auto* const close = std::get_if<action::Close>(&action)) closed = support_of(*close);
        return true;
    });
    if (closed) return *closed;
    if (heard_of) return {Answer::yes, ""};
    // v4 has no acknowledgement: silence is all that a quiet server says (RFC 7724 §8.2). v6 owes us a REPLY.
    if (server.family == Family::v4) return {Answer::yes, "not refused so far"};
    return {Answer::unclear, "no answer within " + std::to_string(settings.active_wait.count()) + " ms"};
}

using Ask = Support (*)(const ServerConfig&, const ProbeSettings&, ProbeConnection&, ProbeResult&);

/// Nothing of the protocol can be concluded from a server that does not want our certificate.
Support ask(Ask question, const ServerConfig& server, const ProbeSettings& settings, ProbeConnection& connection,
            ProbeResult& result) {
    auto answer = question(server, settings, connection, result);
    if (!connection.refusal()) return answer;
    result.error = "cannot connect to " + connection.endpoint() + ": " + *connection.refusal();
    return {Answer::unclear, *connection.refusal()};
}

/// A connection of its own for the second question: a refusal of the first has closed it.
Support ask_anew(Ask question, const ServerConfig& server, const ProbeSettings& settings, ProbeResult& result) {
    ProbeConnection connection;
    if (const auto fault = connection.connect(server)) return {Answer::unclear, *fault};
    return ask(question, server, settings, connection, result);
}

}  // namespace

std::string to_string(const Support& s) {
    const auto why = s.why.empty() ? "" : " (" + printable(s.why) + ")";
    switch (s.answer) {
        case Answer::not_asked:
            return "not asked" + why;
        case Answer::yes:
            return "yes" + why;
        case Answer::refused:
            return "refused" + why;
        case Answer::no:
            return "no" + why;
        case Answer::unclear:
            return "unclear" + why;
    }
    return "unclear" + why;
}

ProbeResult probe_server(const ServerConfig& server, const ProbeSettings& settings) {
    ProbeResult result;
    {
        ProbeConnection connection;
        const auto fault = connection.connect(server);
        result.endpoint = connection.endpoint();
        result.error = fault.value_or("");
        result.first_end = connection.first_end();
        if (fault) return result;
        if (server.family == Family::v6 && server.bulk.queries.empty())
            result.bulk.why = "no bulk.queries";
        else
            result.bulk = ask(ask_bulk, server, settings, connection, result);
    }
    if (!result.reachable()) return result;
    if (server.mode == SyncMode::bulk)
        result.active.why = "mode: bulk";
    else
        result.active = ask_anew(ask_active, server, settings, result);
    return result;
}

}  // namespace leasemirror
