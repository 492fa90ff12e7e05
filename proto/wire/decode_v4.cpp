// Bytes -> MessageV4. Three steps: walk the option areas into pieces, join the pieces by code (RFC 3396 §7),
// then give every known option its type and check its length.
//
// An option that cannot be read, for its length or because it runs past its area, costs itself. It costs the message only
// where something that decides depends on it: address, VPN, client, state, time. Tolerated without a word: a missing
// end option, anything after it, unknown options, an option of fixed length that comes more than once, each time whole
// (the first counts). Options 12, 61, 81 and a hardware address of more than 16 octets repeat what a client once sent,
// and are not judged.
#include "proto/wire/message_v4.hpp"
#include "proto/wire/options_v4.hpp"
#include "proto/wire/unread.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace leasemirror {

/// One option as it stands in the message, before joining.
struct PieceV4 {
    std::uint8_t code = 0;
    ByteView data;
    std::size_t offset = 0;
};

/// Octets at the end of an area that are no whole option.
struct UnreadV4 {
    ByteView octets;
    std::size_t offset = 0;
};

struct ScratchV4::Impl {
    std::vector<PieceV4> pieces;
    std::vector<UnreadV4> unread;
    std::vector<RawOptionV4> options;
    std::vector<std::size_t> offsets;  // of the first piece of each of `options`
    Bytes joined;                      // the data of those that came in several pieces
};

ScratchV4::ScratchV4() : impl_(std::make_unique<Impl>()) {}
ScratchV4::~ScratchV4() = default;
ScratchV4::ScratchV4(ScratchV4&&) noexcept = default;
ScratchV4& ScratchV4::operator=(ScratchV4&&) noexcept = default;

namespace {

using Fault = std::optional<DecodeError>;

constexpr std::uint16_t code_of(OptionCodeV4 c) {
    return static_cast<std::uint16_t>(c);
}

constexpr std::size_t sname_offset = 44;
constexpr std::size_t file_offset = sname_offset + sname_bytes_v4;
constexpr std::size_t cookie_offset = file_offset + file_bytes_v4;

/// The fixed header (RFC 2131 §2) and the cookie.
Fault read_header(ByteReader& in, MessageV4& m) {
    m.op = in.u8();
    m.htype = in.u8();
    m.hlen = in.u8();
    m.hops = in.u8();
    m.xid = in.u32();
    (void)in.bytes(4);  // secs, flags: they mean nothing in leasequery
    m.ciaddr = IpAddress::v4(in.u32());
    m.yiaddr = IpAddress::v4(in.u32());
    m.siaddr = IpAddress::v4(in.u32());
    m.giaddr = IpAddress::v4(in.u32());
    const auto chaddr = in.bytes(chaddr_bytes_v4);
    (void)in.bytes(sname_bytes_v4 + file_bytes_v4);
    const auto cookie = in.u32();
    if (!in.ok()) return DecodeError{DecodeFault::truncated, 0, in.offset()};
    if (cookie != magic_cookie_v4) return DecodeError{DecodeFault::bad_value, 0, cookie_offset};
    if (m.hlen <= chaddr_bytes_v4) m.chaddr = chaddr.first(m.hlen);  // 20 octets of InfiniBand do not fit
    return std::nullopt;
}

/// One of the three areas that may hold options, up to its end option or its last octet.
void read_area(ByteReader in, ScratchV4::Impl& s) {
    while (!in.empty()) {
        const auto offset = in.offset();
        auto left = in;
        const auto code = in.u8();
        if (OptionCodeV4{code} == OptionCodeV4::pad) continue;
        if (OptionCodeV4{code} == OptionCodeV4::end) break;
        const auto data = in.bytes(in.u8());
        if (!in.ok()) return s.unread.push_back({left.rest(), offset});
        s.pieces.push_back({code, data, offset});
    }
}

/// Option 52 counts only in the options field itself (RFC 2131 §4.1).
Fault find_overload(const std::vector<PieceV4>& pieces, bool& file, bool& sname) {
    const auto overload = std::find_if(pieces.begin(), pieces.end(),
                                       [](const PieceV4& p) { return OptionCodeV4{p.code} == OptionCodeV4::overload; });
    if (overload == pieces.end()) return std::nullopt;
    if (overload->data.size() != 1) return DecodeError{DecodeFault::bad_length, overload->code, overload->offset};
    switch (OverloadV4{overload->data[0]}) {
        case OverloadV4::file:
            file = true;
            return std::nullopt;
        case OverloadV4::sname:
            sname = true;
            return std::nullopt;
        case OverloadV4::both:
            file = sname = true;
            return std::nullopt;
    }
    return DecodeError{DecodeFault::bad_value, overload->code, overload->offset};
}

/// All pieces in the order options, file, sname (RFC 3396 §5).
Fault read_areas(ByteReader options, ByteView message, ScratchV4::Impl& s) {
    s.pieces.clear();
    s.unread.clear();
    bool file = false;
    bool sname = false;
    read_area(options, s);
    if (auto fault = find_overload(s.pieces, file, sname)) return fault;
    if (file) read_area(ByteReader(message.subspan(file_offset, file_bytes_v4), file_offset), s);
    if (sname) read_area(ByteReader(message.subspan(sname_offset, sname_bytes_v4), sname_offset), s);
    return std::nullopt;
}

/// The length of an option that can have one length only; 0 for all others.
std::size_t fixed_length(std::uint8_t code) {
    switch (OptionCodeV4{code}) {
        case OptionCodeV4::overload:
        case OptionCodeV4::message_type:
        case OptionCodeV4::dhcp_state:
        case OptionCodeV4::data_source:
            return 1;
        case OptionCodeV4::lease_time:
        case OptionCodeV4::server_identifier:
        case OptionCodeV4::renewal_time:
        case OptionCodeV4::rebinding_time:
        case OptionCodeV4::client_last_transaction_time:
        case OptionCodeV4::base_time:
        case OptionCodeV4::start_time_of_state:
        case OptionCodeV4::query_start_time:
        case OptionCodeV4::query_end_time:
            return 4;
        default:
            return 0;
    }
}

/// RFC 3396 §7. An option in one piece stays where it is in the message; the others are copied together. An option of
/// fixed length whose first piece is whole is no split one: servers are known that send it twice, and the first counts.
/// Two passes whatever the number of pieces, so that a hostile message costs no more than its length.
void join_pieces(ScratchV4::Impl& s) {
    s.options.clear();
    s.offsets.clear();
    std::array<std::uint16_t, 256> slot{};  // index in s.options, plus one
    std::array<std::size_t, 256> size{};
    bool split = false;
    for (const auto& piece : s.pieces) {
        const auto fixed = fixed_length(piece.code);
        if (slot[piece.code] != 0 && fixed != 0 && size[piece.code] == fixed) continue;  // whole already
        size[piece.code] += piece.data.size();
        if (slot[piece.code] != 0) {
            split = true;
            s.options[slot[piece.code] - 1U].data = {};  // marks it as one to be joined below
            continue;
        }
        s.options.push_back({piece.code, piece.data});
        s.offsets.push_back(piece.offset);
        slot[piece.code] = static_cast<std::uint16_t>(s.options.size());
    }
    if (!split) return;

    std::size_t total = 0;
    std::array<std::size_t, 256> cursor{};
    const auto in_pieces = [&](std::uint8_t code) { return s.options[slot[code] - 1U].data.size() != size[code]; };
    for (const auto& option : s.options) {
        cursor[option.code] = total;
        if (in_pieces(option.code)) total += size[option.code];
    }
    s.joined.resize(total);
    for (const auto& piece : s.pieces) {
        if (!in_pieces(piece.code)) continue;
        std::copy(piece.data.begin(), piece.data.end(),
                  s.joined.begin() + static_cast<std::ptrdiff_t>(cursor[piece.code]));
        cursor[piece.code] += piece.data.size();
    }
    for (auto& option : s.options)
        if (in_pieces(option.code))
            option.data = ByteView(s.joined).subspan(cursor[option.code] - size[option.code], size[option.code]);
}

/// Gives one option its typed field; false for a length that its definition does not allow.
bool read_option(const RawOptionV4& option, MessageV4& m) {
    const auto data = option.data;
    switch (OptionCodeV4{option.code}) {
        case OptionCodeV4::host_name:
            m.host_name = as_text(data);
            return true;
        case OptionCodeV4::lease_time:
            return read_u32(data, m.lease_time);
        case OptionCodeV4::overload:
        case OptionCodeV4::message_type:  // see read_type()
            return data.size() == 1;
        case OptionCodeV4::server_identifier:
            return read_address(data, m.server_identifier);
        case OptionCodeV4::parameter_request_list:
            return read_at_least(1, data, m.parameter_request_list);
        case OptionCodeV4::renewal_time:
            return read_u32(data, m.renewal_time);
        case OptionCodeV4::rebinding_time:
            return read_u32(data, m.rebinding_time);
        case OptionCodeV4::client_identifier:
            m.client_id = data;  // two octets at least (RFC 2132 §9.14), but clients send what they like
            return true;
        case OptionCodeV4::client_fqdn:
            m.client_fqdn = data;
            return true;
        case OptionCodeV4::relay_agent_information:
            m.relay_agent_information = data;
            return true;
        case OptionCodeV4::client_last_transaction_time:
            return read_u32(data, m.client_last_transaction_age);
        case OptionCodeV4::associated_ip:
            return read_at_least(4, data, m.associated_ip) && data.size() % 4 == 0;
        case OptionCodeV4::status_code:
            return read_status(data, m.status);
        case OptionCodeV4::base_time:
            return read_time(data, m.base_time);
        case OptionCodeV4::start_time_of_state:
            return read_u32(data, m.start_time_of_state_age);
        case OptionCodeV4::query_start_time:
            return read_time(data, m.query_start_time);
        case OptionCodeV4::query_end_time:
            return read_time(data, m.query_end_time);
        case OptionCodeV4::dhcp_state:
            return read_u8(data, m.dhcp_state);
        case OptionCodeV4::data_source:
            return read_u8(data, m.data_source);
        case OptionCodeV4::virtual_subnet_selection:
            return read_vss(data, m.vss);
        case OptionCodeV4::requested_ip_address:
        case OptionCodeV4::vendor_class:
        case OptionCodeV4::vendor_identifying_specific:
        case OptionCodeV4::pad:
        case OptionCodeV4::end:
            return true;
    }
    return true;  // unknown: kept in `options` only
}

/// Whether the option decides what a message of this type says. What cannot be read of the others is left out.
bool decides(std::uint8_t code, MessageTypeV4 type) {
    if (type != MessageTypeV4::lease_active && type != MessageTypeV4::lease_unassigned &&
        type != MessageTypeV4::lease_query_done && type != MessageTypeV4::lease_query_status)
        return true;  // a query, or a message that is not for us: whole, or not at all
    switch (OptionCodeV4{code}) {
        case OptionCodeV4::overload:
        case OptionCodeV4::message_type:
        case OptionCodeV4::status_code:
        case OptionCodeV4::base_time:
            return true;
        case OptionCodeV4::lease_time:
        case OptionCodeV4::client_identifier:
        case OptionCodeV4::dhcp_state:
        case OptionCodeV4::virtual_subnet_selection:
            return type == MessageTypeV4::lease_active || type == MessageTypeV4::lease_unassigned;
        default:
            return false;
    }
}

/// Whether an option that decides may be among the unread octets. One that was read whole is not missing, but a further
/// piece of it may be (RFC 3396 §7).
bool may_hide_a_decision(ByteView unread, const ScratchV4::Impl& s, MessageTypeV4 type) {
    const auto read = [&](OptionCodeV4 code) {
        return std::any_of(s.options.begin(), s.options.end(),
                           [&](const RawOptionV4& option) { return OptionCodeV4{option.code} == code; });
    };
    if (decides(unread[0], type) && (fixed_length(unread[0]) == 0 || !read(OptionCodeV4{unread[0]}))) return true;
    using Code = OptionCodeV4;
    for (const auto code : {Code::lease_time, Code::overload, Code::client_identifier, Code::status_code,
                            Code::base_time, Code::dhcp_state, Code::virtual_subnet_selection}) {
        const auto number = static_cast<std::uint8_t>(code);
        if (decides(number, type) && !read(code) && may_hold_v4(unread, number)) return true;
    }
    // Where option 221 does not name the VPN, option 82 may (RFC 6607 §3.2).
    return decides(static_cast<std::uint8_t>(Code::client_identifier), type) && !read(Code::virtual_subnet_selection) &&
           !read(Code::relay_agent_information) &&
           may_hold_v4(unread, static_cast<std::uint8_t>(Code::relay_agent_information));
}

/// Types all options. What cannot be read is an error where it decides, and is left out where it does not.
Fault read_options(const ScratchV4::Impl& s, MessageV4& m) {
    const auto leave_out = [&](const DecodeError& fault) {
        if (!m.left_out) m.left_out = fault;
    };
    for (std::size_t i = 0; i < s.options.size(); ++i) {
        if (read_option(s.options[i], m)) continue;
        const DecodeError fault{DecodeFault::bad_length, s.options[i].code, s.offsets[i]};
        if (decides(s.options[i].code, m.type)) return fault;
        leave_out(fault);
    }
    for (const auto& [octets, offset] : s.unread) {
        const DecodeError fault{DecodeFault::truncated, octets[0], offset};
        if (may_hide_a_decision(octets, s, m.type)) return fault;
        leave_out(fault);
    }
    return std::nullopt;
}

/// Option 53 must be there and name a message of leasequery.
Fault read_type(const ScratchV4::Impl& s, std::size_t end, MessageV4& m) {
    constexpr auto code = code_of(OptionCodeV4::message_type);
    for (std::size_t i = 0; i < s.options.size(); ++i) {
        if (s.options[i].code != code) continue;
        if (s.options[i].data.size() != 1) return DecodeError{DecodeFault::bad_length, code, s.offsets[i]};
        m.type = MessageTypeV4{s.options[i].data[0]};
        if (m.type < MessageTypeV4::lease_query || m.type > MessageTypeV4::tls)
            return DecodeError{DecodeFault::wrong_message_type, code, s.offsets[i]};
        return std::nullopt;
    }
    return DecodeError{DecodeFault::missing_option, code, end};
}

}  // namespace

Result<MessageV4, DecodeError> decode_v4(ByteView message, ScratchV4& scratch) {
    auto& s = scratch.impl();
    MessageV4 m;
    ByteReader in(message);
    if (auto fault = read_header(in, m)) return Unexpected{*fault};
    if (auto fault = read_areas(in, message, s)) return Unexpected{*fault};
    join_pieces(s);
    if (auto fault = read_type(s, message.size(), m)) {
        // Option 53 may be what could not be read.
        if (!s.unread.empty() && fault->fault == DecodeFault::missing_option)
            return Unexpected{DecodeError{DecodeFault::truncated, s.unread[0].octets[0], s.unread[0].offset}};
        return Unexpected{*fault};
    }
    if (auto fault = read_options(s, m)) return Unexpected{*fault};
    m.options = s.options;
    return m;
}

std::optional<MessageTypeV4> message_type_v4(ByteView message) {
    if (message.size() < header_bytes_v4) return std::nullopt;
    for (ByteReader in(message.subspan(header_bytes_v4)); !in.empty();) {
        const auto code = OptionCodeV4{in.u8()};
        if (code == OptionCodeV4::pad) continue;
        if (code == OptionCodeV4::end) break;
        const auto data = in.bytes(in.u8());
        if (code == OptionCodeV4::message_type && in.ok() && data.size() == 1) return MessageTypeV4{data[0]};
    }
    return std::nullopt;
}

}  // namespace leasemirror
