#include "proto/session/reply_reader.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

bool is_error(const std::optional<Status>& status) {
    return status && status->code != StatusCode::success;
}

std::optional<IpAddress> if_specified(const IpAddress& address) {
    return address.is_unspecified() ? std::nullopt : std::optional(address);
}

}  // namespace

ReplyReader::ReplyReader(Family family, Via via, std::vector<std::uint16_t> keep_options)
    : family_(family),
      via_(via),
      keep_options_(std::move(keep_options)),
      frames_(family == Family::v4 ? header_bytes_v4 : header_bytes_v6) {}

ReplyReader::Next ReplyReader::next_message() {
    const auto message = frames_.next();
    if (!message) {
        if (frames_.bad_length()) return FramingLost{*frames_.bad_length()};
        return Nothing{};
    }
    message_ = *message;
    return decode(*message);
}

ReplyReader::Next ReplyReader::decode(ByteView message) {
    if (family_ == Family::v6) {
        auto decoded = decode_v6(message, scratch_v6_);
        if (!decoded) {
            ByteReader header(message);
            const auto type = MessageTypeV6{header.u8()};
            return Garbled{decoded.error(), header.u24(), type, std::nullopt, std::nullopt};
        }
        v6_ = *decoded;
        return &v6_;
    }
    auto decoded = decode_v4(message, scratch_v4_);
    if (decoded) {
        v4_ = *decoded;
        return &v4_;
    }
    // The framing says that the fixed header is all there; ciaddr (RFC 2131 §2) names the binding that is lost.
    const auto ciaddr = IpAddress::from_bytes(message.subspan(12, 4));
    return Garbled{decoded.error(), ByteReader(message.subspan(4)).u32(), std::nullopt, message_type_v4(message),
                   if_specified(ciaddr)};
}

void ReplyReader::begin_records(ServerTime server_now) {
    server_now_ = server_now;
    reading_ = true;
    place_ = {};
}

void ReplyReader::begin_faults() {
    reading_ = true;
    place_ = {};
    place_.faults_only = true;
}

std::optional<SessionAction> ReplyReader::next_record() {
    if (!reading_) return std::nullopt;
    if (place_.relay_fault) {
        // What cannot be read of relay data and names leaves its columns empty, keeps the lease, and goes to quarantine.
        return quarantine(to_string(*std::exchange(place_.relay_fault, std::nullopt)), false, {});
    }
    auto record = family_ == Family::v4 ? next_record_v4() : next_record_v6();
    reading_ = record.has_value();
    return record;
}

std::optional<SessionAction> ReplyReader::next_record_v4() {
    if (!std::exchange(place_.left_out_told, true) && v4_.left_out)
        return quarantine(to_string(*v4_.left_out), false, {});
    if (place_.faults_only || std::exchange(place_.record_read, true)) return std::nullopt;
    if (is_error(v4_.status)) {  // concerns this binding alone (RFC 6926 §6.2.2)
        return quarantine("for one binding, " + status_in_words(*v4_.status), true,
                          {if_specified(v4_.ciaddr), {}, leasemirror::vpn_id_of(v4_)});
    }
    if (const auto error = fill_binding(v4_, context(), binding_, place_.relay_fault)) {
        return quarantine(to_string(*error), true, {if_specified(v4_.ciaddr), {}, leasemirror::vpn_id_of(v4_)});
    }
    return action::Deliver{&binding_};
}

std::optional<SessionAction> ReplyReader::next_record_v6() {
    if (place_.fault < v6_.faults.size()) {
        const auto& fault = v6_.faults[place_.fault++];
        return quarantine(to_string(fault.error), fault.lease_lost,
                          {fault.address, fault.client_id, vpn_id_of(fault.vss, fault.vpn_unreadable)});
    }
    while (!place_.faults_only && place_.client < v6_.client_data.size()) {
        const auto& client = v6_.client_data[place_.client];
        if (place_.lease < client.leases.size()) return next_lease(client);
        const auto lost = std::exchange(place_.lost_in_client, false);
        ++place_.client;
        place_.lease = 0;
        // A list with a lease that we could not read is not the complete list.
        if (!lost && client.complete && lists_are_complete())
            if (auto listed = client_listed(client)) return listed;
        place_.listed = 0;
    }
    return std::nullopt;
}

/// A lease that is lost may be any client's of the message: some servers spread one client over several lists.
bool ReplyReader::lists_are_complete() const {
    return std::none_of(v6_.faults.begin(), v6_.faults.end(), [](const FaultV6& fault) { return fault.lease_lost; });
}

SessionAction ReplyReader::next_lease(const ClientDataV6& client) {
    const auto& lease = client.leases[place_.lease++];
    const auto address = lease.address.prefix(lease.prefix_len);  // as a binding's key has it
    if (is_error(lease.status)) {                                 // concerns this lease alone (RFC 8415 §21.13)
        place_.lost_in_client = true;
        return quarantine("for " + address.to_string() + ", " + status_in_words(*lease.status), true,
                          about(client, if_specified(address)));
    }
    if (const auto error = fill_binding(v6_, client, lease, context(), binding_, place_.relay_fault)) {
        place_.lost_in_client = true;
        return quarantine(to_string(*error), true, about(client, if_specified(address)));
    }
    ++place_.listed;
    return action::Deliver{&binding_};
}

/// Nothing for a client that cannot be told: such a list is nobody's.
std::optional<SessionAction> ReplyReader::client_listed(const ClientDataV6& client) {
    const auto listed = std::exchange(place_.listed, 0);
    if (listed == 0) {
        if (const auto error = fill_client_list(v6_, client, context(), binding_, place_.relay_fault))
            return quarantine(to_string(*error), true, about(client, {}));  // what it held has ended
    }
    if (binding_.client_id.empty()) return std::nullopt;
    return action::ClientListed{&binding_, listed};
}

ReplyReader::About ReplyReader::about(const ClientDataV6& client, std::optional<IpAddress> address) const {
    return {address, client.client_id, vpn_id_of(client.vss, client.vpn_unreadable)};
}

/// As fill_binding() has it: that of the client, else of the whole exchange.
std::optional<std::string> ReplyReader::vpn_id_of(const std::optional<VssV6>& of_client, bool unreadable) const {
    if (unreadable) return std::nullopt;
    const auto& vss = of_client ? of_client : v6_.vss;
    return vss ? vpn_id_from_vss(vss->type, vss->info) : std::string();
}

SessionAction ReplyReader::quarantine(const std::string& reason, bool lease_lost, About about) const {
    return action::Quarantine{message_, reason, lease_lost, about.address, about.client_id, std::move(about.vpn_id)};
}

}  // namespace leasemirror
