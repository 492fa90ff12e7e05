#include "proto/session/active.hpp"

#include "proto/session/requests.hpp"

#include <cassert>
#include <utility>

namespace leasemirror {
namespace {

constexpr ExchangeKind active{
    Via::active,
    &SessionSettings::receive_timeout,
    "active query",
    "no active leasequery there",
    "the active connection ended",
    "nothing received on the active connection",
    "before the query was sent",
};

CloseReason reason_of(StatusCode code) {
    if (code == StatusCode::query_terminated) return CloseReason::query_terminated;
    if (code == StatusCode::not_supported) return CloseReason::not_supported;
    return CloseReason::refused;
}

}  // namespace

ActiveSession::ActiveSession(SessionSettings settings) : exchange_(std::move(settings), active) {}

void ActiveSession::start(std::optional<ServerTime> start_time, SessionNow now) {
    assert(state_ == ActiveState::idle);
    start_time_ = start_time;
    const auto xid = exchange_.next_xid(now);
    Bytes request;
    if (!append_active_request(request, exchange_.settings(), xid, start_time)) {
        return fail(CloseReason::refused, "the active query would be longer than a message can be",
                    StatusCode::malformed_query);
    }
    state_ = ActiveState::asked;
    exchange_.ask(std::move(request));
}

void ActiveSession::on_deadline(SessionNow now) {
    if (const auto broken = exchange_.on_deadline(now)) take(*broken);
}

std::optional<SessionAction> ActiveSession::poll_action() {
    return exchange_.poll_action([this](const auto& arrival) { take(arrival); });
}

void ActiveSession::take(const Exchange::Broken& broken) {
    fail(broken.why, broken.text);
}

void ActiveSession::take(const ReplyReader::Garbled& garbled) {
    exchange_.quarantine(to_string(garbled.error), garbled.lease_lost(), garbled.address);
    if (garbled.is_done()) {
        return fail(CloseReason::query_terminated,
                    "the server ended the active query with a message that could not be understood: " +
                        to_string(garbled.error));
    }
    if (garbled.type_v6 == MessageTypeV6::lease_query_reply) begin_answers();
}

void ActiveSession::take(const MessageV4* message) {
    const auto& m = *message;
    switch (m.type) {
        case MessageTypeV4::lease_active:
        case MessageTypeV4::lease_unassigned:
            exchange_.heard(m);
            begin_answers();
            exchange_.read_bindings();
            return advance(m.base_time);
        case MessageTypeV4::lease_query_status:
            exchange_.heard(m);
            exchange_.read_faults();
            return on_marker(m.status, m.base_time);
        case MessageTypeV4::lease_query_done:  // RFC 7724 §7.1 and §7.4.1 still speak of it
            exchange_.heard(m);
            exchange_.read_faults();
            return end_query(m.status, m.base_time);
        case MessageTypeV4::lease_query:
        case MessageTypeV4::lease_unknown:
        case MessageTypeV4::bulk_lease_query:
        case MessageTypeV4::active_lease_query:
        case MessageTypeV4::tls:
            return exchange_.quarantine(unexpected_type_text(static_cast<int>(m.type)), false);
    }
}

void ActiveSession::take(const MessageV6* message) {
    const auto& m = *message;
    switch (m.type) {
        case MessageTypeV6::lease_query_reply:
            return on_reply(m);
        case MessageTypeV6::lease_query_data:
            if (state_ == ActiveState::asked) {  // RFC 5460 §5.2.1
                return fail(CloseReason::protocol_violation, "LEASEQUERY-DATA before any LEASEQUERY-REPLY");
            }
            exchange_.heard(m.base_time);
            // Without OPTION_CLIENT_DATA it is a keep-alive, which may carry a marker (RFC 7653 §8.4).
            exchange_.read_bindings();
            return on_marker(m.status, m.base_time);
        case MessageTypeV6::lease_query_done:  // ends an active query whatever its status (RFC 7653 §8.4)
            exchange_.heard(m.base_time);
            exchange_.read_faults();
            return end_query(m.status, m.base_time);
        case MessageTypeV6::reply:
        case MessageTypeV6::relay_forward:
        case MessageTypeV6::lease_query:
        case MessageTypeV6::active_lease_query:
        case MessageTypeV6::start_tls:
            return exchange_.quarantine(unexpected_type_text(static_cast<int>(m.type)), false);
    }
}

void ActiveSession::on_reply(const MessageV6& m) {
    if (state_ != ActiveState::asked) {  // RFC 7653 §6.2.3
        return fail(CloseReason::protocol_violation, "a second LEASEQUERY-REPLY to one query");
    }
    if (const auto wrong = wrong_identifiers(m, exchange_.settings().requestor_duid)) {
        return fail(CloseReason::protocol_violation, *wrong);
    }
    exchange_.heard(m.base_time, m.server_id);
    exchange_.read_bindings();
    // DataMissing is no failure here: the query goes on (RFC 7653 §8.4.1).
    on_marker(m.status, m.base_time);
}

/// The first message: from now on the server is answering.
void ActiveSession::begin_answers() {
    if (state_ == ActiveState::asked) state_ = start_time_ ? ActiveState::catching_up : ActiveState::live;
}

/// What a status at message level means for the whole query.
void ActiveSession::on_marker(const std::optional<Status>& status, std::optional<ServerTime> base_time) {
    switch (status ? status->code : StatusCode::success) {
        case StatusCode::success:
        case StatusCode::connection_active:
            begin_answers();
            return advance(base_time);
        case StatusCode::catch_up_complete:
            begin_answers();
            if (state_ == ActiveState::catching_up) {
                state_ = ActiveState::live;
                exchange_.then(action::CaughtUp{});
            }
            return advance(base_time);
        case StatusCode::data_missing:
            // Whoever takes this records the gap before the base-time moves past it (agent/README.md, "Gaps").
            state_ = ActiveState::live;
            exchange_.then(action::DataMissing{base_time});
            return advance(base_time);
        case StatusCode::unspec_fail:
        case StatusCode::query_terminated:
        case StatusCode::malformed_query:
        case StatusCode::not_allowed:
        case StatusCode::tls_connection_refused:
        case StatusCode::not_supported:
        case StatusCode::unknown_query_type:
        case StatusCode::not_configured:
        case StatusCode::unknown:
            return end_query(status, base_time);
    }
}

void ActiveSession::end_query(const std::optional<Status>& status, std::optional<ServerTime> base_time) {
    const auto code = status ? status->code : StatusCode::success;
    // Only if catch-up was over may the last base-time be kept (RFC 7653 §8.4.1, RFC 7724 §7.4.1). A server that met an
    // error may not have told all that happened before it; asking again from where we were costs nothing but repetition.
    if (code == StatusCode::success || code == StatusCode::query_terminated) advance(base_time);
    if (code == StatusCode::success) {
        return fail(CloseReason::query_terminated, "the server ended the active query");
    }
    fail(reason_of(code), "the server ended the active query: " + status_in_words(*status), code);
}

void ActiveSession::advance(std::optional<ServerTime> base_time) {
    if (state_ == ActiveState::live && base_time) exchange_.then(action::Advance{*base_time});
}

void ActiveSession::fail(CloseReason why, std::string text, StatusCode status) {
    exchange_.close(why, std::move(text), status);
    state_ = ActiveState::closed;
}

}  // namespace leasemirror
