#include "proto/bulk_session.hpp"

#include "proto/requests.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {
namespace {

bool is_error(const std::optional<Status>& status) {
    return status && status->code != StatusCode::success;
}

bool carries_client_data(const MessageV6& m) {
    constexpr auto code = static_cast<std::uint16_t>(OptionCodeV6::client_data);
    return std::any_of(m.options.begin(), m.options.end(), [](const RawOptionV6& o) { return o.code == code; });
}

}  // namespace

BulkSession::BulkSession(SessionSettings settings)
    : settings_(std::move(settings)),
      reader_(settings_.family, Via::bulk, settings_.request_options),
      xid_((settings_.first_xid - 1) & transaction_id_mask(settings_.family)) {}

void BulkSession::start(const BulkQuery& query, const QueryWindow& window, bool all_vpns, SessionNow now) {
    assert(state_ == BulkState::idle);
    now_ = now;
    xid_ = (xid_ + 1) & transaction_id_mask(settings_.family);
    request_.clear();
    sent_ = false;
    enter(BulkState::asked);
    if (!append_bulk_request(request_, settings_, xid_, query, window, all_vpns)) {
        return end_query(
            QueryOutcome::failed, StatusCode::malformed_query,
            "DHCP" + std::string(to_string(settings_.family)) + " has no bulk query for " + to_string(query));
    }
    before_.push(action::Send{request_});
}

void BulkSession::on_sent(SessionNow now) {
    now_ = now;
    sent_ = true;
    rearm();
}

void BulkSession::on_bytes(ByteView in, SessionNow now) {
    if (state_ == BulkState::closed || in.empty()) return;
    now_ = now;
    anything_received_ = true;
    reader_.feed(in);
}

void BulkSession::on_disconnected(const std::string& how, SessionNow now) {
    if (state_ == BulkState::closed) return;
    now_ = now;
    disconnected_ = how;
}

void BulkSession::close_after_disconnect() {
    if (!anything_received_) {
        return fail(CloseReason::refused_silently,
                    "the server closed the connection without an answer (" + *disconnected_ +
                        "): too many connections, a requestor it does not permit, or no bulk leasequery there");
    }
    if (state_ == BulkState::idle) return fail(CloseReason::peer_closed, "the server closed the idle connection");
    fail(CloseReason::peer_closed, "the connection ended inside a bulk query: " + *disconnected_);
}

void BulkSession::set_reading(bool reading, SessionNow now) {
    now_ = now;
    // Whether the query can be written does not depend on our reading.
    if (std::exchange(reading_, reading) != reading && sent_) rearm();
}

void BulkSession::on_deadline(SessionNow now) {
    if (!deadline_ || now.steady < *deadline_) return;
    now_ = now;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(settings_.data_timeout).count();
    switch (state_) {
        case BulkState::idle:
        case BulkState::closed:
            return;
        case BulkState::asked:  // RFC 6926 §7.2, RFC 5460 §6.2
            if (!sent_) return fail(CloseReason::query_blocked, "the bulk query could not be written");
            [[fallthrough]];
        case BulkState::listing:  // RFC 6926 §7.3, RFC 5460 §6.3
            return fail(CloseReason::peer_silent, "no reply to the bulk query for " + std::to_string(seconds) + " s");
    }
}

std::optional<SessionAction> BulkSession::poll_action() {
    for (;;) {
        if (auto next = before_.pop()) return next;
        if (auto record = reader_.next_record()) return record;
        if (auto next = after_.pop()) return next;
        if (state_ == BulkState::closed || !take_next_message()) return std::nullopt;
    }
}

/// False when nothing more can be done before the next event.
bool BulkSession::take_next_message() {
    const auto next = reader_.next_message();
    if (std::holds_alternative<ReplyReader::Nothing>(next)) {
        if (disconnected_) close_after_disconnect();
        return disconnected_.has_value();
    }
    if (const auto* lost = std::get_if<ReplyReader::FramingLost>(&next)) {
        fail(CloseReason::framing_lost, framing_lost_text(lost->length));
        return true;
    }
    if (state_ == BulkState::idle) {
        fail(CloseReason::unknown_transaction, "a message arrived when no query was outstanding");
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

void BulkSession::on_garbled(const ReplyReader::Garbled& garbled) {
    if (garbled.xid != xid_) {
        return fail(CloseReason::unknown_transaction, foreign_transaction_text(garbled.xid, xid_));
    }
    const auto is_done = garbled.type_v6 == MessageTypeV6::lease_query_done;
    quarantine(to_string(garbled.error), !is_done, garbled.address);
    if (is_done) {
        end_query(QueryOutcome::failed, StatusCode::unknown,
                  "the LEASEQUERY-DONE could not be understood: " + to_string(garbled.error));
    } else if (state_ == BulkState::asked && garbled.type_v6 == MessageTypeV6::lease_query_reply) {
        enter(BulkState::listing);
    }
}

void BulkSession::on_message(const MessageV4& m) {
    if (m.xid != xid_) {  // RFC 6926 §7.3: MUST close
        return fail(CloseReason::unknown_transaction, foreign_transaction_text(m.xid, xid_));
    }
    switch (m.type) {
        case MessageTypeV4::lease_active:
        case MessageTypeV4::lease_unassigned:
            heard(m.base_time, m.server_identifier ? m.server_identifier->bytes() : ByteView{});
            enter(BulkState::listing);
            return read_bindings();
        case MessageTypeV4::lease_query_done:
            heard(m.base_time, m.server_identifier ? m.server_identifier->bytes() : ByteView{});
            return on_done(m.status);
        case MessageTypeV4::lease_query_status:
            return on_status(m);
        case MessageTypeV4::lease_query:
        case MessageTypeV4::lease_unknown:  // RFC 6926 §5: UDP only
        case MessageTypeV4::bulk_lease_query:
        case MessageTypeV4::active_lease_query:
        case MessageTypeV4::tls:
            return quarantine(unexpected_type_text(static_cast<int>(m.type)), false);
    }
}

/// RFC 7724 §5.2.1 made this message for active queries. In a bulk query it can be a keep-alive, or tell of an error.
void BulkSession::on_status(const MessageV4& m) {
    const auto code = m.status ? m.status->code : StatusCode::success;
    if (code == StatusCode::catch_up_complete) {
        return quarantine("DHCPLEASEQUERYSTATUS " + words(*m.status) + " in answer to a bulk query", false);
    }
    heard(m.base_time, m.server_identifier ? m.server_identifier->bytes() : ByteView{});
    if (code != StatusCode::success && code != StatusCode::connection_active) on_done(m.status);
}

void BulkSession::on_message(const MessageV6& m) {
    if (m.xid != xid_) {  // RFC 5460 §6.3 for DONE; ours for the others (REQUIREMENTS R6-24)
        return fail(CloseReason::unknown_transaction, foreign_transaction_text(m.xid, xid_));
    }
    if (!m.client_link.empty()) {  // RFC 5460 §6.3. It says that there is more, and not what: no answer to build on.
        return fail(CloseReason::protocol_violation, "OPTION_CLIENT_LINK in answer to a bulk query");
    }
    switch (m.type) {
        case MessageTypeV6::lease_query_reply:
            return on_reply(m);
        case MessageTypeV6::lease_query_data:
            if (state_ == BulkState::asked) {  // RFC 5460 §5.2.1
                return fail(CloseReason::protocol_violation, "LEASEQUERY-DATA before any LEASEQUERY-REPLY");
            }
            heard(m.base_time, {});
            // Without OPTION_CLIENT_DATA there is nothing to read: discarded, as RFC 5460 §6.3 wants.
            read_bindings();
            if (is_error(m.status)) end_query(QueryOutcome::failed, m.status->code, words(*m.status));
            return;
        case MessageTypeV6::lease_query_done:
            heard(m.base_time, {});
            if (state_ == BulkState::asked && !is_error(m.status)) {  // RFC 5460 §5.2: a REPLY comes first
                return fail(CloseReason::protocol_violation, "LEASEQUERY-DONE before any LEASEQUERY-REPLY");
            }
            return on_done(m.status);
        case MessageTypeV6::reply:
        case MessageTypeV6::relay_forward:
        case MessageTypeV6::lease_query:
        case MessageTypeV6::active_lease_query:
        case MessageTypeV6::start_tls:
            return quarantine(unexpected_type_text(static_cast<int>(m.type)), false);
    }
}

void BulkSession::on_reply(const MessageV6& m) {
    if (state_ == BulkState::listing) {  // RFC 5460 §5.2: exactly one
        return fail(CloseReason::protocol_violation, "a second LEASEQUERY-REPLY to one query");
    }
    if (const auto wrong = wrong_identifiers(m, settings_.requestor_duid)) {
        return fail(CloseReason::protocol_violation, *wrong);
    }
    heard(m.base_time, m.server_id);
    enter(BulkState::listing);
    const auto data = carries_client_data(m);
    if (data) read_bindings();
    if (is_error(m.status)) return end_query(QueryOutcome::failed, m.status->code, words(*m.status));
    // No OPTION_CLIENT_DATA: no bindings, and no LEASEQUERY-DONE will come (RFC 5460 §6.3.1).
    if (!data) end_query(QueryOutcome::complete, StatusCode::success, {});
}

void BulkSession::on_done(const std::optional<Status>& status) {
    if (is_error(status)) return end_query(QueryOutcome::failed, status->code, words(*status));
    end_query(QueryOutcome::complete, StatusCode::success, {});
}

void BulkSession::heard(std::optional<ServerTime> base_time, ByteView identity) {
    before_.push(action::Heard{base_time, identity});
}

void BulkSession::read_bindings() {
    reader_.begin_records(now_.server);
}

void BulkSession::end_query(QueryOutcome outcome, StatusCode status, std::string text) {
    after_.push(action::QueryDone{outcome, status, std::move(text)});
    enter(BulkState::idle);
}

void BulkSession::quarantine(std::string reason, bool lease_lost, std::optional<IpAddress> address) {
    before_.push(action::Quarantine{reader_.message(), std::move(reason), lease_lost, address});
}

void BulkSession::fail(CloseReason why, std::string text, StatusCode status) {
    before_.clear();
    after_.push(action::Close{why, status, std::move(text)});
    enter(BulkState::closed);
}

void BulkSession::enter(BulkState next) {
    state_ = next;
    rearm();
}

void BulkSession::rearm() {
    const auto waiting = state_ == BulkState::asked || state_ == BulkState::listing;
    deadline_ = waiting && (reading_ || !sent_) ? std::optional(now_.steady + settings_.data_timeout) : std::nullopt;
}

}  // namespace leasemirror
