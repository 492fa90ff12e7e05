#include "agent/query/probe.hpp"

#include "agent/query/probe_connection.hpp"
#include "agent/sync/clocks/skew.hpp"
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

/// What the replies to one probe have told of the server's clock.
struct Times {
    ClockSkew clock;
    SteadyTime asked_at{};  // the query under way
};

void note_time(const action::Heard& heard, Times& times, ProbeResult& result) {
    if (!heard.base_time) return;
    ClockSkew::Sample sample{*heard.base_time, std::nullopt, times.asked_at, true, true};
    (void)times.clock.on_base_time(sample,
                                   host_now());  // a clock that was set meanwhile is not what is looked for here
    result.base_time = heard.base_time;
    result.skew = times.clock.known();
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

/// `query`; none: everything that changed in this second. Whoever can answer the query for everything shows that, without
/// having to list it.
Support ask_bulk(const ServerConfig& server, const ProbeSettings& settings, const BulkQuery* query,
                 ProbeConnection& connection, Times& times, ProbeResult& result) {
    BulkSession session(probe_settings(server, settings));
    const auto now = host_session_now();
    times.asked_at = now.steady;
    if (query != nullptr)
        session.start(*query, {}, false, now);
    else
        session.start(BulkQuery{}, {now.server, now.server}, false, now);
    Support out{Answer::unclear, "no answer within " + std::to_string(settings.answer_timeout.count()) + " ms"};
    connection.drive(session, settings.answer_timeout, [&](const SessionAction& action) {
        if (const auto* const heard = std::get_if<action::Heard>(&action)) {
            note_time(*heard, times, result);
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

Support ask_active(const ServerConfig& server, const ProbeSettings& settings, ProbeConnection& connection, Times& times,
                   ProbeResult& result) {
    ActiveSession session(probe_settings(server, settings));
    const auto now = host_session_now();
    times.asked_at = now.steady;
    session.start(std::nullopt, now);
    std::optional<Support> closed;
    bool heard_of = false;
    connection.drive(session, settings.active_wait, [&](const SessionAction& action) {
        if (const auto* const heard = std::get_if<action::Heard>(&action)) {
            note_time(*heard, times, result);
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

/// Nothing of the protocol can be concluded from a server that does not want our certificate.
Support unless_refused(Support answer, const ProbeConnection& connection, ProbeResult& result) {
    if (!connection.refusal()) return answer;
    result.error = "cannot connect to " + connection.endpoint() + ": " + *connection.refusal();
    return {Answer::unclear, *connection.refusal()};
}

/// A further question, on a connection of its own: a refusal of the one before has closed that.
template <class Question>
Support ask_anew(const ServerConfig& server, ProbeResult& result, Question question) {
    ProbeConnection connection;
    if (const auto fault = connection.connect(server)) return {Answer::unclear, *fault};
    return unless_refused(question(connection), connection, result);
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
    Times times;
    {
        ProbeConnection connection;
        const auto fault = connection.connect(server);
        result.endpoint = connection.endpoint();
        result.error = fault.value_or("");
        result.first_end = connection.first_end();
        if (fault) return result;
        const auto& queries = server.bulk.queries;
        if (server.family == Family::v6 && queries.empty())
            result.bulk.why = "no bulk.queries";
        else
            result.bulk = unless_refused(
                ask_bulk(server, settings, queries.empty() ? nullptr : &queries.front(), connection, times, result),
                connection, result);
        if (!queries.empty()) result.queries.push_back(result.bulk);
    }
    for (std::size_t i = 1; i < server.bulk.queries.size() && result.reachable(); ++i)
        result.queries.push_back(ask_anew(server, result, [&](auto& connection) {
            return ask_bulk(server, settings, &server.bulk.queries[i], connection, times, result);
        }));
    if (!result.reachable()) return result;
    if (server.mode == SyncMode::bulk)
        result.active.why = "mode: bulk";
    else
        result.active = ask_anew(
            server, result, [&](auto& connection) { return ask_active(server, settings, connection, times, result); });
    return result;
}

}  // namespace leasemirror
