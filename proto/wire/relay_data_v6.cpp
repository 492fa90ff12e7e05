// OPTION_LQ_RELAY_DATA (RFC 5007 §4.1.2.4): sixteen octets of peer-address, then the RELAY-FORW message in which the
// client's message came, without that message; each relay's RELAY-FORW sits in the RELAY_MSG of the next one.
//
// An option that cannot be read is left out, and the others count. Where a RELAY_MSG may be among what cannot be read,
// nothing counts: the relay nearest to the client would be missing, and it is the one that names the link.
#include "proto/wire/message_v6.hpp"
#include "proto/wire/unread.hpp"

namespace leasemirror {
namespace {

using Fault = std::optional<DecodeError>;

constexpr std::size_t address_bytes = 16;
constexpr std::size_t remote_id_bytes_min = 5;   // enterprise number and at least one octet (RFC 4649 §3)
constexpr std::size_t link_layer_bytes_min = 2;  // hardware type (RFC 6939 §4)

/// How to take the length of a RELAY_MSG: at its word, or as "all that is left".
enum class Nesting { as_told, to_the_end };

/// What one relay said.
struct LevelV6 {
    IpAddress link_address;
    ByteView interface_id, remote_id, subscriber_id, relay_id, client_link_layer;
    ByteReader nested{ByteView{}};
    Fault odd;  // the first option that was left out
};

bool read_option(OptionCodeV6 code, ByteReader data, LevelV6& level) {
    const auto take = [&](ByteView& out, std::size_t least) {
        if (data.remaining() < least) return false;
        if (out.empty()) out = data.rest();
        return true;
    };
    switch (code) {
        case OptionCodeV6::relay_message:
            if (level.nested.empty()) level.nested = data;
            return true;
        case OptionCodeV6::interface_id:
            return take(level.interface_id, 0);
        case OptionCodeV6::remote_id:
            return take(level.remote_id, remote_id_bytes_min);
        case OptionCodeV6::subscriber_id:
            return take(level.subscriber_id, 0);
        case OptionCodeV6::relay_id:
            return take(level.relay_id, 1);
        case OptionCodeV6::client_link_layer_address:
            return take(level.client_link_layer, link_layer_bytes_min);
        default:
            return true;
    }
}

/// One RELAY-FORW (RFC 8415 §9), type octet included.
Fault read_level(ByteReader in, Nesting nesting, LevelV6& level) {
    const auto start = in.offset();
    (void)in.u8();  // type, looked at by the caller
    (void)in.u8();  // hop-count
    const auto link_address = in.bytes(address_bytes);
    (void)in.bytes(address_bytes);  // peer-address as this relay saw it
    if (!in.ok()) return DecodeError{DecodeFault::runs_past_parent, 0, start};
    level.link_address = IpAddress::from_bytes(link_address);
    while (!in.empty()) {
        const auto offset = in.offset();
        auto left = in;
        const auto code = in.u16();
        auto length = std::size_t{in.u16()};
        if (nesting == Nesting::to_the_end && OptionCodeV6{code} == OptionCodeV6::relay_message)
            length = in.remaining();
        const auto data = in.sub(length);
        const auto note = [&](DecodeFault fault) {
            if (!level.odd) level.odd = DecodeError{fault, code, offset};
        };
        if (!in.ok()) {
            if (may_hold_v6(left.rest(), static_cast<std::uint16_t>(OptionCodeV6::relay_message)))
                return DecodeError{DecodeFault::runs_past_parent, code, offset};
            note(DecodeFault::runs_past_parent);
        } else if (!read_option(OptionCodeV6{code}, data, level)) {
            note(DecodeFault::bad_length);
        }
    }
    return std::nullopt;
}

/// Keeps of every option the one of the innermost relay so far: it stands nearest to the client.
void merge(const LevelV6& level, RelayDataV6& out) {
    const auto nearer = [](ByteView from, ByteView& to) {
        if (!from.empty()) to = from;
    };
    if (!out.fault) out.fault = level.odd;
    if (!level.link_address.is_unspecified()) out.link_address = level.link_address;
    nearer(level.interface_id, out.interface_id);
    nearer(level.remote_id, out.remote_id);
    nearer(level.subscriber_id, out.subscriber_id);
    nearer(level.relay_id, out.relay_id);
    nearer(level.client_link_layer, out.client_link_layer);
}

bool is_relay_forward(ByteReader in) {
    return MessageTypeV6{in.u8()} == MessageTypeV6::relay_forward;
}

Result<RelayDataV6, DecodeError> read_nest(ByteView option_47, Nesting nesting) {
    constexpr auto code = static_cast<std::uint16_t>(OptionCodeV6::lq_relay_data);
    RelayDataV6 out;
    ByteReader in(option_47);
    const auto peer_address = in.bytes(address_bytes);
    if (!in.ok()) return Unexpected{DecodeError{DecodeFault::bad_length, code, 0}};
    out.peer_address = IpAddress::from_bytes(peer_address);
    if (!is_relay_forward(in)) return Unexpected{DecodeError{DecodeFault::bad_value, code, in.offset()}};
    // What is nested and not a RELAY-FORW is the client's own message, which should not be here; it ends the nest.
    for (int depth = 0; is_relay_forward(in); ++depth) {
        if (depth == relay_depth_max_v6) return Unexpected{DecodeError{DecodeFault::too_many, code, in.offset()}};
        LevelV6 level;
        if (auto fault = read_level(in, nesting, level)) return Unexpected{*fault};
        merge(level, out);
        in = level.nested;
    }
    return out;
}

}  // namespace

Result<RelayDataV6, DecodeError> decode_relay_data(ByteView option_47) {
    auto as_told = read_nest(option_47, Nesting::as_told);
    if (as_told && !as_told->fault) return as_told;
    auto to_the_end = read_nest(option_47, Nesting::to_the_end);
    const bool better = to_the_end && (!as_told || !to_the_end->fault);
    return better ? to_the_end : as_told;
}

}  // namespace leasemirror
