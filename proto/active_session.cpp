#include "proto/active_session.hpp"

#include "proto/requests.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {
namespace {

CloseReason reason_of(StatusCode code) {
    if (code == StatusCode::query_terminated) return CloseReason::query_terminated;
    if (code == StatusCode::not_supported) return CloseReason::not_supported;
    return CloseReason::refused;
}

}  // namespace

ActiveSession::ActiveSession(SessionSettings settings)
    : settings_(std::move(settings)),
      reader_(settings_.family, Via::active, settings_.request_options),
      xid_(settings_.first_xid & transaction_id_mask(settings_.family)) {}

void ActiveSession::start(std::optional<ServerTime> start_time, SessionNow now) {
    assert(state_ == ActiveState::idle);
    now_ = now;
    start_time_ = start_time;
    enter(ActiveState::asked);
    if (!append_active_request(request_, settings_, xid_, start_time)) {
        return fail(CloseReason::refused, "the active query would be longer than a message can be",
                    StatusCode::malformed_query);
    }
    before_.push(action::Send{request_});
}

void ActiveSession::on_sent(SessionNow now) {
    now_ = now;
    sent_ = true;
    rearm();
}

void ActiveSession::on_bytes(ByteView in, SessionNow now) {
    if (state_ == ActiveState::closed || in.empty()) return;
    now_ = now;
    anything_received_ = true;
    reader_.feed(in);
}

void ActiveSession::on_disconnected(const std::string& how, SessionNow now) {
    if (state_ == ActiveState::closed) return;
    now_ = now;
    disconnected_ = how;
}

void ActiveSession::close_after_disconnect() {
    if (!anything_received_) {
        return fail(CloseReason::refused_silently,
                    "the server closed the connection without an answer (" + *disconnected_ +
                        "): no active leasequery there, too many connections, or a requestor it does not permit");
    }
    const auto cut = reader_.broken_off_bytes() > 0 ? ", in the middle of a message" : "";
    fail(CloseReason::peer_closed, "the active connection ended: " + *disconnected_ + cut);
}

void ActiveSession::set_reading(bool reading, SessionNow now) {
    now_ = now;
    // Whether the query can be written does not depend on our reading.
    if (std::exchange(reading_, reading) != reading && sent_) rearm();
}

void ActiveSession::on_deadline(SessionNow now) {
    if (!deadline_ || now.steady < *deadline_) return;
    now_ = now;
    switch (state_) {
        case ActiveState::idle:
        case ActiveState::closed:
            return;
        case ActiveState::asked:
            if (!sent_) return fail(CloseReason::query_blocked, "the active query could not be written");
            [[fallthrough]];
        case ActiveState::catching_up:
        case ActiveState::live: {  // RFC 7653 §8.4, RFC 7724 §7.4
            const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(settings_.receive_timeout).count();
            return fail(CloseReason::peer_silent,
                        "nothing received on the active connection for " + std::to_string(seconds) + " s");
        }
    }
}

std::optional<SessionAction> ActiveSession::poll_action() {
    for (;;) {
        if (auto next = before_.pop()) return next;
        if (auto record = reader_.next_record()) return record;
        if (auto next = after_.pop()) return next;
        if (state_ == ActiveState::closed || !take_next_message()) return std::nullopt;
    }
}

/// False when nothing more can be done before the next event.
bool ActiveSession::take_next_message() {
    const auto next = reader_.next_message();
    if (std::holds_alternative<ReplyReader::Nothing>(next)) {
        if (disconnected_) close_after_disconnect();
        return disconnected_.has_value();
    }
    if (const auto* lost = std::get_if<ReplyReader::FramingLost>(&next)) {
        fail(CloseReason::framing_lost, framing_lost_text(lost->length));
        return true;
    }
    if (state_ == ActiveState::idle) {
        fail(CloseReason::unknown_transaction, "a message arrived before the query was sent");
        return true;
    }
    sent_ = true;
    rearm();
    if (const auto* garbled = std::get_if<ReplyReader::Garbled>(&next)) {
        on_garbled(*garbled);
    } else if (const auto* v4 = std::get_if<const MessageV4*>(&next)) {
        on_message(**v4);
    } else if (const auto* v6 = std::get_if<const MessageV6*>(&next)) {
        on_message(**v6);
    }
    return true;
}

void ActiveSession::on_garbled(const ReplyReader::Garbled& garbled) {
    if (garbled.xid != xid_) {
        return fail(CloseReason::unknown_transaction, foreign_transaction_text(garbled.xid, xid_));
    }
    const auto is_done = garbled.type_v6 == MessageTypeV6::lease_query_done;
    quarantine(to_string(garbled.error), !is_done, garbled.address);
    if (is_done) {
        return fail(CloseReason::query_terminated,
                    "the server ended the active query with a LEASEQUERY-DONE that could not be understood: " +
                        to_string(garbled.error));
    }
    if (garbled.type_v6 != MessageTypeV6::lease_query_reply || replied_) return;
    replied_ = true;
    begin_answers();
}

void ActiveSession::on_message(const MessageV4& m) {
    if (m.xid != xid_) return fail(CloseReason::unknown_transaction, foreign_transaction_text(m.xid, xid_));
    const auto identity = m.server_identifier ? m.server_identifier->bytes() : ByteView{};
    switch (m.type) {
        case MessageTypeV4::lease_active:
        case MessageTypeV4::lease_unassigned:
            before_.push(action::Heard{m.base_time, identity});
            begin_answers();
            reader_.begin_records(now_.server);
            return advance(m.base_time);
        case MessageTypeV4::lease_query_status:
            before_.push(action::Heard{m.base_time, identity});
            return on_marker(m.status, m.base_time);
        case MessageTypeV4::lease_query_done:  // RFC 7724 §7.1 and §7.4.1 still speak of it (REQUIREMENTS R4-45)
            before_.push(action::Heard{m.base_time, identity});
            return end_query(m.status, m.base_time);
        case MessageTypeV4::lease_query:
        case MessageTypeV4::lease_unknown:
        case MessageTypeV4::bulk_lease_query:
        case MessageTypeV4::active_lease_query:
        case MessageTypeV4::tls:
            return quarantine(unexpected_type_text(static_cast<int>(m.type)), false);
    }
}

void ActiveSession::on_message(const MessageV6& m) {
    if (m.xid != xid_) return fail(CloseReason::unknown_transaction, foreign_transaction_text(m.xid, xid_));
    switch (m.type) {
        case MessageTypeV6::lease_query_reply:
            return on_reply(m);
        case MessageTypeV6::lease_query_data:
            if (!replied_) {  // RFC 5460 §5.2.1
                return fail(CloseReason::protocol_violation, "LEASEQUERY-DATA before any LEASEQUERY-REPLY");
            }
            before_.push(action::Heard{m.base_time, {}});
            // Without OPTION_CLIENT_DATA it is a keep-alive, which may carry a marker (RFC 7653 §8.4, R6-34).
            reader_.begin_records(now_.server);
            return on_marker(m.status, m.base_time);
        case MessageTypeV6::lease_query_done:  // ends an active query whatever its status (RFC 7653 §8.4, R6-37)
            before_.push(action::Heard{m.base_time, {}});
            return end_query(m.status, m.base_time);
        case MessageTypeV6::reply:
        case MessageTypeV6::relay_forward:
        case MessageTypeV6::lease_query:
        case MessageTypeV6::active_lease_query:
        case MessageTypeV6::start_tls:
            return quarantine(unexpected_type_text(static_cast<int>(m.type)), false);
    }
}

void ActiveSession::on_reply(const MessageV6& m) {
    if (replied_) {  // RFC 7653 §6.2.3
        return fail(CloseReason::protocol_violation, "a second LEASEQUERY-REPLY to one query");
    }
    if (const auto wrong = wrong_identifiers(m, settings_.requestor_duid)) {
        return fail(CloseReason::protocol_violation, *wrong);
    }
    replied_ = true;
    before_.push(action::Heard{m.base_time, m.server_id});
    reader_.begin_records(now_.server);
    // DataMissing is no failure here: the query goes on (RFC 7653 §8.4.1, R6-35).
    on_marker(m.status, m.base_time);
}

/// The first message: from now on the server is answering.
void ActiveSession::begin_answers() {
    if (state_ == ActiveState::asked) enter(start_time_ ? ActiveState::catching_up : ActiveState::live);
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
                enter(ActiveState::live);
                after_.push(action::CaughtUp{});
            }
            return advance(base_time);
        case StatusCode::data_missing:
            // Whoever takes this records the gap before the base-time moves past it (DESIGN section 3.2).
            enter(ActiveState::live);
            after_.push(action::DataMissing{base_time});
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
    fail(reason_of(code), "the server ended the active query: " + words(*status), code);
}

void ActiveSession::advance(std::optional<ServerTime> base_time) {
    if (state_ == ActiveState::live && base_time) after_.push(action::Advance{*base_time});
}

void ActiveSession::quarantine(std::string reason, bool lease_lost, std::optional<IpAddress> address) {
    before_.push(action::Quarantine{reader_.message(), std::move(reason), lease_lost, address});
}

void ActiveSession::fail(CloseReason why, std::string text, StatusCode status) {
    after_.push(action::Close{why, status, std::move(text)});
    enter(ActiveState::closed);
}

void ActiveSession::enter(ActiveState next) {
    state_ = next;
    rearm();
}

void ActiveSession::rearm() {
    const auto waiting = state_ != ActiveState::idle && state_ != ActiveState::closed;
    const auto patience = sent_ ? settings_.receive_timeout : settings_.data_timeout;
    deadline_ = waiting && (reading_ || !sent_) ? std::optional(now_.steady + patience) : std::nullopt;
}

}  // namespace leasemirror
