#include "proto/session/session.hpp"

#include "proto/wire/message_v6.hpp"

#include <algorithm>

namespace leasemirror {

std::string_view to_string(CloseReason r) {
    switch (r) {
        case CloseReason::peer_closed:
            return "peer closed";
        case CloseReason::refused_silently:
            return "refused silently";
        case CloseReason::peer_silent:
            return "peer silent";
        case CloseReason::query_blocked:
            return "query blocked";
        case CloseReason::framing_lost:
            return "framing lost";
        case CloseReason::unknown_transaction:
            return "unknown transaction";
        case CloseReason::protocol_violation:
            return "protocol violation";
        case CloseReason::query_terminated:
            return "query terminated";
        case CloseReason::refused:
            return "refused";
        case CloseReason::not_supported:
            return "not supported";
    }
    return "";
}

std::string status_in_words(const Status& status) {
    const auto number = status.code == StatusCode::unknown ? " " + std::to_string(status.number) : "";
    const auto text = printable(status.text);
    return std::string(to_string(status.code)) + number + (text.empty() ? "" : ": " + text);
}

std::string framing_lost_text(std::size_t length) {
    return "a message of " + std::to_string(length) + " octets was announced, less than its header needs";
}

std::string foreign_transaction_text(std::uint32_t theirs, std::uint32_t ours) {
    return "a reply with transaction-id " + std::to_string(theirs) + ", not that of the query, " + std::to_string(ours);
}

std::string unexpected_type_text(int message_type) {
    return "message type " + std::to_string(message_type) + " is no reply to the query";
}

std::optional<std::string> wrong_identifiers(const MessageV6& reply, ByteView requestor_duid) {
    if (reply.server_id.empty()) return "LEASEQUERY-REPLY without a Server Identifier";
    if (!std::equal(reply.client_id.begin(), reply.client_id.end(), requestor_duid.begin(), requestor_duid.end())) {
        return "LEASEQUERY-REPLY for another requestor's Client Identifier";
    }
    return std::nullopt;
}

}  // namespace leasemirror
