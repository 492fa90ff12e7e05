#include "proto/session/bulk.hpp"

#include "proto/session/requests.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace leasemirror {
namespace {

constexpr ExchangeKind bulk{
    Via::bulk,
    &SessionSettings::data_timeout,
    "bulk query",
    "no bulk leasequery there",
    "the connection ended inside a bulk query",
    "no reply to the bulk query",
    "when no query was outstanding",
};

bool is_error(const std::optional<Status>& status) {
    return status && status->code != StatusCode::success;
}

bool carries_client_data(const MessageV6& m) {
    constexpr auto code = static_cast<std::uint16_t>(OptionCodeV6::client_data);
    return std::any_of(m.options.begin(), m.options.end(), [](const RawOptionV6& o) { return o.code == code; });
}

}  // namespace

BulkSession::BulkSession(SessionSettings settings) : exchange_(std::move(settings), bulk) {}

void BulkSession::start(const BulkQuery& query, const QueryWindow& window, bool all_vpns, SessionNow now) {
    assert(state_ == BulkState::idle);
    const auto& settings = exchange_.settings();
    const auto xid = exchange_.next_xid(now);
    Bytes request;
    if (!append_bulk_request(request, settings, xid, query, window, all_vpns)) {
        return end_query(
            QueryOutcome::failed, StatusCode::malformed_query,
            "DHCP" + std::string(to_string(settings.family)) + " has no bulk query for " + to_string(query));
    }
    state_ = BulkState::asked;
    exchange_.ask(std::move(request));
}

void BulkSession::on_deadline(SessionNow now) {
    if (const auto broken = exchange_.on_deadline(now)) take(*broken);
}

std::optional<SessionAction> BulkSession::poll_action() {
    return exchange_.poll_action([this](const auto& arrival) { take(arrival); });
}

void BulkSession::take(const Exchange::Broken& broken) {
    fail(broken.why, broken.text);
}

void BulkSession::take(const ReplyReader::Garbled& garbled) {
    exchange_.quarantine(to_string(garbled.error), garbled.lease_lost(), garbled.address);
    if (garbled.is_done()) {
        end_query(QueryOutcome::failed, StatusCode::unknown,
                  "the message that ends the answer could not be understood: " + to_string(garbled.error));
    } else if (state_ == BulkState::asked && garbled.type_v6 == MessageTypeV6::lease_query_reply) {
        state_ = BulkState::listing;
    }
}

void BulkSession::take(const MessageV4* message) {
    const auto& m = *message;
    switch (m.type) {
        case MessageTypeV4::lease_active:
        case MessageTypeV4::lease_unassigned:
            exchange_.heard(m);
            state_ = BulkState::listing;
            return exchange_.read_bindings();
        case MessageTypeV4::lease_query_done:
            exchange_.heard(m);
            exchange_.read_faults();
            return on_done(m.status);
        case MessageTypeV4::lease_query_status:
            return on_status(m);
        case MessageTypeV4::lease_query:
        case MessageTypeV4::lease_unknown:  // RFC 6926 §5: UDP only
        case MessageTypeV4::bulk_lease_query:
        case MessageTypeV4::active_lease_query:
        case MessageTypeV4::tls:
            return exchange_.quarantine(unexpected_type_text(static_cast<int>(m.type)), false);
    }
}

/// RFC 7724 §5.2.1 made this message for active queries. In a bulk query it can be a keep-alive, or tell of an error.
void BulkSession::on_status(const MessageV4& m) {
    const auto code = m.status ? m.status->code : StatusCode::success;
    if (code == StatusCode::catch_up_complete) {
        return exchange_.quarantine("DHCPLEASEQUERYSTATUS " + status_in_words(*m.status) + " in answer to a bulk query",
                                    false);
    }
    exchange_.heard(m);
    exchange_.read_faults();
    if (code != StatusCode::success && code != StatusCode::connection_active) on_done(m.status);
}

void BulkSession::take(const MessageV6* message) {
    const auto& m = *message;
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
            exchange_.heard(m.base_time);
            // Without OPTION_CLIENT_DATA there is nothing to read: discarded, as RFC 5460 §6.3 wants.
            exchange_.read_bindings();
            if (is_error(m.status)) end_query(QueryOutcome::failed, m.status->code, status_in_words(*m.status));
            return;
        case MessageTypeV6::lease_query_done:
            if (state_ == BulkState::asked && !is_error(m.status)) {  // RFC 5460 §5.2: a REPLY comes first
                return fail(CloseReason::protocol_violation, "LEASEQUERY-DONE before any LEASEQUERY-REPLY");
            }
            exchange_.heard(m.base_time);
            exchange_.read_faults();
            return on_done(m.status);
        case MessageTypeV6::reply:
        case MessageTypeV6::relay_forward:
        case MessageTypeV6::lease_query:
        case MessageTypeV6::active_lease_query:
        case MessageTypeV6::start_tls:
            return exchange_.quarantine(unexpected_type_text(static_cast<int>(m.type)), false);
    }
}

void BulkSession::on_reply(const MessageV6& m) {
    if (state_ == BulkState::listing) {  // RFC 5460 §5.2: exactly one
        return fail(CloseReason::protocol_violation, "a second LEASEQUERY-REPLY to one query");
    }
    if (const auto wrong = wrong_identifiers(m, exchange_.settings().requestor_duid)) {
        return fail(CloseReason::protocol_violation, *wrong);
    }
    exchange_.heard(m.base_time, m.server_id);
    state_ = BulkState::listing;
    const auto data = carries_client_data(m);
    exchange_.read_bindings();
    if (is_error(m.status)) return end_query(QueryOutcome::failed, m.status->code, status_in_words(*m.status));
    // No OPTION_CLIENT_DATA: no bindings, and no LEASEQUERY-DONE will come (RFC 5460 §6.3.1).
    if (!data) end_query(QueryOutcome::complete, StatusCode::success, {});
}

void BulkSession::on_done(const std::optional<Status>& status) {
    if (is_error(status)) return end_query(QueryOutcome::failed, status->code, status_in_words(*status));
    end_query(QueryOutcome::complete, StatusCode::success, {});
}

void BulkSession::end_query(QueryOutcome outcome, StatusCode status, std::string text) {
    exchange_.then(action::QueryDone{outcome, status, std::move(text)});
    exchange_.end_query();
    state_ = BulkState::idle;
}

void BulkSession::fail(CloseReason why, std::string text) {
    exchange_.close(why, std::move(text));
    state_ = BulkState::closed;
}

}  // namespace leasemirror
