#include "proto/reply_reader.hpp"

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
            return Garbled{decoded.error(), header.u24(), type, std::nullopt};
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
    return Garbled{decoded.error(), ByteReader(message.subspan(4)).u32(), std::nullopt, if_specified(ciaddr)};
}

void ReplyReader::begin_records(ServerTime server_now) {
    server_now_ = server_now;
    reading_ = true;
    record_read_ = false;
    fault_ = client_ = lease_ = 0;
    listed_ = 0;
    lost_in_client_ = false;
    relay_fault_.reset();
}

std::optional<SessionAction> ReplyReader::next_record() {
    if (!reading_) return std::nullopt;
    if (relay_fault_) {
        // Relay data that cannot be decoded leaves its columns empty, keeps the lease, and goes to quarantine
        // (DESIGN section 6).
        const auto error = *std::exchange(relay_fault_, std::nullopt);
        return quarantine("relay data: " + to_string(error), false);
    }
    auto record = family_ == Family::v4 ? next_record_v4() : next_record_v6();
    reading_ = record.has_value();
    return record;
}

std::optional<SessionAction> ReplyReader::next_record_v4() {
    if (std::exchange(record_read_, true)) return std::nullopt;
    if (is_error(v4_.status)) {  // concerns this binding alone (RFC 6926 §6.2.2)
        return quarantine("for one binding, " + words(*v4_.status), true, if_specified(v4_.ciaddr));
    }
    if (const auto error = fill_binding(v4_, context(), binding_, relay_fault_)) {
        return quarantine(to_string(*error), true, if_specified(v4_.ciaddr));
    }
    return action::Deliver{&binding_};
}

std::optional<SessionAction> ReplyReader::next_record_v6() {
    if (fault_ < v6_.faults.size()) {
        const auto& fault = v6_.faults[fault_++];
        return quarantine(to_string(fault.error), fault.lease_lost);
    }
    while (client_ < v6_.client_data.size()) {
        const auto& client = v6_.client_data[client_];
        if (lease_ < client.leases.size()) return next_lease(client);
        const auto lost = std::exchange(lost_in_client_, false);
        ++client_;
        lease_ = 0;
        // A list with a lease that we could not read is not the complete list.
        if (!lost && v6_.faults.empty()) return client_listed(client);
        listed_ = 0;
    }
    return std::nullopt;
}

SessionAction ReplyReader::next_lease(const ClientDataV6& client) {
    const auto& lease = client.leases[lease_++];
    const auto address = lease.address.prefix(lease.prefix_len);  // as a binding's key has it
    if (is_error(lease.status)) {                                 // concerns this lease alone (REQUIREMENTS 2.5)
        lost_in_client_ = true;
        return quarantine("for " + address.to_string() + ", " + words(*lease.status), true, if_specified(address));
    }
    if (const auto error = fill_binding(v6_, client, lease, context(), binding_, relay_fault_)) {
        lost_in_client_ = true;
        return quarantine(to_string(*error), true, if_specified(address));
    }
    ++listed_;
    return action::Deliver{&binding_};
}

SessionAction ReplyReader::client_listed(const ClientDataV6& client) {
    const auto listed = std::exchange(listed_, 0);
    if (listed > 0) return action::ClientListed{&binding_, listed};
    if (const auto error = fill_client_list(v6_, client, context(), binding_, relay_fault_)) {
        return quarantine(to_string(*error), true);  // what this client held has ended, and cannot be told
    }
    return action::ClientListed{&binding_, 0};
}

SessionAction ReplyReader::quarantine(const std::string& reason, bool lease_lost,
                                      std::optional<IpAddress> address) const {
    return action::Quarantine{message_, reason, lease_lost, address};
}

}  // namespace leasemirror
