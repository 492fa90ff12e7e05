// RFC 5007 §4.4.2, RFC 5460 §7.2, RFC 7653 §9.3: v6 replies.
#include "tests/leasesim/messages/reply.hpp"
#include "tests/leasesim/messages/reply_parts.hpp"

#include <algorithm>
#include <array>

namespace leasemirror::leasesim {

namespace {

using enum OptionCodeV6;
using namespace std::string_view_literals;

constexpr std::array<std::uint8_t, 10> foreign_duid{0, 3, 0, 1, 2, 0, 0, 0, 0xde, 0xad};

bool wants(const ReplyContext& c, OptionCodeV6 code) {
    return c.request.wanted.test(static_cast<std::size_t>(code));
}

MessageV6 begin(const ReplyContext& c, MessageTypeV6 type, bool always_base_time) {
    MessageV6 m;
    m.type = type;
    m.xid = c.request.xid ^ (c.faults.wrong_xid ? 0x5a5a5aU : 0U);
    if (type == MessageTypeV6::lease_query_reply) {
        m.client_id = c.faults.foreign_client_id ? ByteView(foreign_duid) : ByteView(c.request.requestor);
        if (!c.faults.missing_server_id) m.server_id = c.server_id;
    }
    // RFC 7653 §9.3: in every reply, once asked for.
    if (wants(c, lq_base_time) || (always_base_time && !c.personality.ignores_times))
        m.base_time = c.faults.base_time.value_or(c.model.server_now(c.at));
    return m;
}

std::uint32_t left(const ReplyContext& c, const std::optional<UtcMillis>& at) {
    if (!at) return infinite_seconds;
    const auto seconds = c.model.clock().shown(*at, c.at) - c.model.server_now(c.at);
    return seconds.count() < 0 ? 0 : static_cast<std::uint32_t>(seconds.count());
}

BindingStatusV6 binding_status_of(BindingState s) {
    switch (s) {
        case BindingState::released:
            return BindingStatusV6::released;
        case BindingState::abandoned:
            return BindingStatusV6::abandoned;
        case BindingState::reset:
            return BindingStatusV6::reset;
        case BindingState::active:  // the client has given back this lease alone
            return BindingStatusV6::released;
        case BindingState::expired:
        case BindingState::available:
        case BindingState::remote:
        case BindingState::transitioning:
        case BindingState::ended:
            break;
    }
    return BindingStatusV6::expired;
}

LeaseV6 lease_of(const ReplyContext& c, const UnitState& s, unsigned j, bool held) {
    const auto name = c.model.name(s.first_binding + j);
    LeaseV6 lease;
    lease.kind = name.kind;
    lease.address = name.address;
    lease.prefix_len = name.prefix_len;
    if (held) {
        lease.valid = left(c, s.expires);
        lease.preferred = std::min(left(c, s.preferred_until), lease.valid);
        // Kea: `if (elapsed < lft) lft -= elapsed`.
        if (lease.preferred == 0 && c.personality.preferred_unreduced && s.preferred_until && s.last_seen)
            lease.preferred = static_cast<std::uint32_t>((*s.preferred_until - *s.last_seen).count() / 1000);
    } else if (c.personality.end == EndEncoding::binding_status) {
        lease.valid = 0;
        lease.binding_status = static_cast<std::uint8_t>(binding_status_of(s.state));
    }
    return lease;
}

/// The leases of one CLIENT_DATA. Of the five ways to tell an end (EndEncoding) only two list the lease that ended.
std::size_t list_leases(const ReplyContext& c, const UnitState& s, std::uint8_t held, std::uint8_t ended,
                        std::array<LeaseV6, leases_per_unit_max>& out) {
    const bool shows_ended =
        c.personality.end == EndEncoding::valid_zero || c.personality.end == EndEncoding::binding_status;
    std::size_t n = 0;
    for (unsigned j = 0; j < s.size; ++j) {
        const bool is_held = (held >> j & 1U) != 0;
        if (is_held || (shows_ended && (ended >> j & 1U) != 0)) out[n++] = lease_of(c, s, j, is_held);
    }
    return n;
}

/// Leases inside IA_NA and IA_PD, as clients see them (RFC 8415 §21.4, §21.21) and no leasequery server should send them.
void write_ia(std::span<const LeaseV6> leases, BindingKind kind, ByteWriter& out) {
    constexpr std::uint32_t iaid = 1;
    out.u32(iaid);
    out.zeros(8);  // T1, T2
    for (const auto& lease : leases) {
        if (lease.kind != kind) continue;
        const bool prefix = kind == BindingKind::prefix;
        out.u16(static_cast<std::uint16_t>(prefix ? ia_prefix : ia_address));
        const auto length = out.reserve_u16();
        if (!prefix) out.bytes(lease.address.bytes());
        out.u32(lease.preferred);
        out.u32(lease.valid);
        if (prefix) out.u8(lease.prefix_len);
        if (prefix) out.bytes(lease.address.bytes());
        out.patch_u16(length);
    }
}

/// What the client sent and the requestor asked for, with the room that it takes; and its leases in their IAs.
class ClientOptions {
public:
    [[nodiscard]] std::span<const RawOptionV6> list(const ReplyContext& c, const UnitState& s,
                                                    std::span<const LeaseV6> in_ia) {
        std::size_t n = 0;
        if (wants(c, client_fqdn) && !s.hostname.empty()) {
            write_client_fqdn(s.hostname.chars(), name_);
            options_[n++] = {static_cast<std::uint16_t>(client_fqdn), name_.written()};
        }
        if (c.request.wanted.test(vendor_class_v6) && !s.vendor_class.empty()) {
            write_vendor_class(s, class_);
            options_[n++] = {vendor_class_v6, class_.written()};
        }
        for (const auto kind : {BindingKind::address, BindingKind::prefix}) {
            auto& ia = kind == BindingKind::address ? addresses_ : prefixes_;
            if (std::none_of(in_ia.begin(), in_ia.end(), [&](const LeaseV6& l) { return l.kind == kind; })) continue;
            write_ia(in_ia, kind, ia);
            options_[n++] = {static_cast<std::uint16_t>(kind == BindingKind::address ? ia_na : ia_pd), ia.written()};
        }
        return std::span(options_).first(n);
    }

private:
    std::array<std::uint8_t, 128> name_room_;
    std::array<std::uint8_t, 64> class_room_;
    ByteWriter name_{name_room_};
    ByteWriter class_{class_room_};
    std::array<std::uint8_t, 128> addresses_room_, prefixes_room_;
    ByteWriter addresses_{addresses_room_}, prefixes_{prefixes_room_};
    std::array<RawOptionV6, 4> options_;
};

}  // namespace

void write_client_v6(const ReplyContext& c, MessageTypeV6 type, const UnitState& s, std::uint8_t held,
                     std::uint8_t ended, ByteWriter& out) {
    auto m = begin(c, type, false);
    if (type == MessageTypeV6::lease_query_reply && c.personality.success == SuccessStatus::in_reply)
        m.status = make_status_v6(StatusCode::success, "active lease(s) found");

    ClientDataV6 client;
    client.client_id = s.client_id.view();
    if (!c.faults.no_client_time && s.last_seen) {
        const auto age = c.model.server_now(c.at) - c.model.clock().shown(*s.last_seen, c.at);
        client.client_last_transaction_age = static_cast<std::uint32_t>(std::max<std::int64_t>(0, age.count()));
    }
    std::array<LeaseV6, leases_per_unit_max> leases;
    const auto listed = std::span(leases).first(list_leases(c, s, held, ended, leases));
    if (!c.faults.lease_in_ia) client.leases = listed;

    std::array<std::uint8_t, 512> relay_room;
    ByteWriter relay(relay_room);
    if (s.relayed && wants(c, lq_relay_data)) {
        write_relay_data(s, c.faults.broken_relay_data, relay);
        (c.personality.relay_data_outside ? m.relay_data : client.relay_data) = relay.written();
    }
    ClientOptions options;
    client.options = options.list(c, s, c.faults.lease_in_ia ? listed : std::span<LeaseV6>());
    m.client_data = std::span(&client, 1);
    encode_v6(m, out);
}

void write_status_v6(const ReplyContext& c, MessageTypeV6 type, std::optional<StatusCode> status, std::string_view text,
                     bool always_base_time, ByteWriter& out) {
    auto m = begin(c, type, always_base_time);
    if (c.faults.nul_in_status) text = "status\0with NUL"sv;
    if (status) m.status = make_status_v6(*status, text);
    encode_v6(m, out);
}

void write_client_links_v6(const ReplyContext& c, ByteView links, ByteWriter& out) {
    auto m = begin(c, MessageTypeV6::lease_query_reply, false);
    if (c.personality.success == SuccessStatus::in_reply)
        m.status = make_status_v6(StatusCode::success, "active lease(s) found");
    m.client_link = links;
    encode_v6(m, out);
}

void write_upgrade_answer(Family family, std::uint32_t xid, const std::optional<Status>& status, ByteWriter& out) {
    if (family == Family::v4) {
        MessageV4 m;
        m.op = static_cast<std::uint8_t>(OpV4::boot_reply);
        m.type = MessageTypeV4::tls;
        m.xid = xid;
        m.status = status;
        return encode_v4(m, out);
    }
    MessageV6 m;
    m.type = MessageTypeV6::reply;
    m.xid = xid & 0xffffffU;
    m.status = status;
    encode_v6(m, out);
}

}  // namespace leasemirror::leasesim
