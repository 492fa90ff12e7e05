// MessageV4 -> bytes: the header, then option 53, the others ascending by code and option 82 last of all (RFC 3046
// §2.1 wants it there), then the end option.
#include "proto/wire/message_v4.hpp"

#include <algorithm>
#include <array>
#include <bitset>

namespace leasemirror {
namespace {

constexpr std::size_t message_bytes_max = 65535;  // what a frame can carry (RFC 6926 §6.1)

ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// What an option holds: up to four octets of ours, then the caller's.
class OptionValue {
public:
    explicit OptionValue(ByteView tail) : tail_(tail) {}
    OptionValue(std::uint8_t first, ByteView tail) : head_{first}, head_size_(1), tail_(tail) {}
    explicit OptionValue(std::uint32_t v) : head_size_(4) { ByteWriter(head_).u32(v); }

    [[nodiscard]] std::size_t size() const { return head_size_ + tail_.size(); }
    void write(ByteWriter& out, std::size_t from, std::size_t to) const {
        const auto in_head = [&](std::size_t at) { return std::min(at, head_size_); };
        const auto in_tail = [&](std::size_t at) { return std::max(at, head_size_) - head_size_; };
        out.bytes(ByteView(head_).subspan(in_head(from), in_head(to) - in_head(from)));
        out.bytes(tail_.subspan(in_tail(from), in_tail(to) - in_tail(from)));
    }

private:
    std::array<std::uint8_t, 4> head_{};
    std::size_t head_size_ = 0;
    ByteView tail_;
};

using MaybeValue = std::optional<OptionValue>;

MaybeValue octet(const std::optional<std::uint8_t>& v) {
    return v ? MaybeValue(OptionValue(*v, ByteView{})) : std::nullopt;
}
MaybeValue seconds(const std::optional<std::uint32_t>& v) {
    return v ? MaybeValue(OptionValue(*v)) : std::nullopt;
}
MaybeValue absolute(const std::optional<ServerTime>& v) {
    return v ? MaybeValue(OptionValue(static_cast<std::uint32_t>(unix_seconds(*v)))) : std::nullopt;
}
MaybeValue address(const std::optional<IpAddress>& v) {
    return v ? MaybeValue(OptionValue(v->v4_value())) : std::nullopt;
}
MaybeValue opaque(ByteView v) {
    return v.empty() ? std::nullopt : MaybeValue(OptionValue(v));
}
MaybeValue status(const std::optional<Status>& v) {
    return v ? MaybeValue(OptionValue(static_cast<std::uint8_t>(v->number), as_bytes(v->text))) : std::nullopt;
}
MaybeValue vss(const std::optional<VssV4>& v) {
    return v ? MaybeValue(OptionValue(v->type, v->info)) : std::nullopt;
}

/// The value of a typed field that is set.
MaybeValue typed_value(const MessageV4& m, OptionCodeV4 code) {
    switch (code) {
        case OptionCodeV4::host_name:
            return opaque(as_bytes(m.host_name));
        case OptionCodeV4::lease_time:
            return seconds(m.lease_time);
        case OptionCodeV4::message_type:
            return octet(static_cast<std::uint8_t>(m.type));
        case OptionCodeV4::server_identifier:
            return address(m.server_identifier);
        case OptionCodeV4::parameter_request_list:
            return opaque(m.parameter_request_list);
        case OptionCodeV4::renewal_time:
            return seconds(m.renewal_time);
        case OptionCodeV4::rebinding_time:
            return seconds(m.rebinding_time);
        case OptionCodeV4::client_identifier:
            return opaque(m.client_id);
        case OptionCodeV4::client_fqdn:
            return opaque(m.client_fqdn);
        case OptionCodeV4::relay_agent_information:
            return opaque(m.relay_agent_information);
        case OptionCodeV4::client_last_transaction_time:
            return seconds(m.client_last_transaction_age);
        case OptionCodeV4::associated_ip:
            return opaque(m.associated_ip);
        case OptionCodeV4::status_code:
            return status(m.status);
        case OptionCodeV4::base_time:
            return absolute(m.base_time);
        case OptionCodeV4::start_time_of_state:
            return seconds(m.start_time_of_state_age);
        case OptionCodeV4::query_start_time:
            return absolute(m.query_start_time);
        case OptionCodeV4::query_end_time:
            return absolute(m.query_end_time);
        case OptionCodeV4::dhcp_state:
            return octet(m.dhcp_state);
        case OptionCodeV4::data_source:
            return octet(m.data_source);
        case OptionCodeV4::virtual_subnet_selection:
            return vss(m.vss);
        case OptionCodeV4::overload:  // the layout decides it, not the message
        case OptionCodeV4::requested_ip_address:
        case OptionCodeV4::vendor_class:
        case OptionCodeV4::vendor_identifying_specific:
        case OptionCodeV4::pad:
        case OptionCodeV4::end:
            return std::nullopt;
    }
    return std::nullopt;
}

/// In pieces of at most `split_at` octets (RFC 3396 §6); one piece of none for an empty value.
void write_option(ByteWriter& out, OptionCodeV4 code, const OptionValue& value, std::size_t split_at) {
    std::size_t from = 0;
    do {
        const auto to = std::min(value.size(), from + split_at);
        out.u8(static_cast<std::uint8_t>(code));
        out.u8(static_cast<std::uint8_t>(to - from));
        value.write(out, from, to);
        from = to;
    } while (from < value.size());
}

/// The typed field if it is set, else what `options` has under that code, repetitions included.
void write_code(ByteWriter& out, const MessageV4& m, OptionCodeV4 code, std::size_t split_at) {
    if (const auto value = typed_value(m, code)) return write_option(out, code, *value, split_at);
    for (const auto& raw : m.options)
        if (OptionCodeV4{raw.code} == code) write_option(out, code, OptionValue(raw.data), split_at);
}

/// Codes that may have something to write: so that a message is not asked for each of 254.
std::bitset<256> codes_of(const MessageV4& m) {
    constexpr OptionCodeV4 typed[] = {OptionCodeV4::host_name,
                                      OptionCodeV4::lease_time,
                                      OptionCodeV4::server_identifier,
                                      OptionCodeV4::parameter_request_list,
                                      OptionCodeV4::renewal_time,
                                      OptionCodeV4::rebinding_time,
                                      OptionCodeV4::client_identifier,
                                      OptionCodeV4::client_fqdn,
                                      OptionCodeV4::client_last_transaction_time,
                                      OptionCodeV4::associated_ip,
                                      OptionCodeV4::status_code,
                                      OptionCodeV4::base_time,
                                      OptionCodeV4::start_time_of_state,
                                      OptionCodeV4::query_start_time,
                                      OptionCodeV4::query_end_time,
                                      OptionCodeV4::dhcp_state,
                                      OptionCodeV4::data_source,
                                      OptionCodeV4::virtual_subnet_selection};
    std::bitset<256> codes;
    for (const auto code : typed)
        codes.set(static_cast<std::size_t>(code));
    for (const auto& raw : m.options)
        codes.set(raw.code);
    for (const auto elsewhere : {OptionCodeV4::pad, OptionCodeV4::message_type, OptionCodeV4::overload,
                                 OptionCodeV4::relay_agent_information, OptionCodeV4::end})
        codes.reset(static_cast<std::size_t>(elsewhere));
    return codes;
}

/// Everything but option 53, option 52 and the end.
void write_options(ByteWriter& out, const MessageV4& m, std::size_t split_at) {
    const auto codes = codes_of(m);
    for (std::size_t n = 0; n < codes.size(); ++n)
        if (codes[n]) write_code(out, m, OptionCodeV4{static_cast<std::uint8_t>(n)}, split_at);
    write_code(out, m, OptionCodeV4::relay_agent_information, split_at);
}

void write_header(ByteWriter& out, const MessageV4& m) {
    out.u8(m.op);
    out.u8(m.htype);
    out.u8(m.hlen);
    out.u8(m.hops);
    out.u32(m.xid);
    out.zeros(4);  // secs, flags
    for (const auto& a : {m.ciaddr, m.yiaddr, m.siaddr, m.giaddr})
        out.u32(a.v4_value());
    const auto hw = m.chaddr.first(std::min(m.chaddr.size(), chaddr_bytes_v4));
    out.bytes(hw);
    out.zeros(chaddr_bytes_v4 - hw.size());
}

void write_message_type(ByteWriter& out, const MessageV4& m, std::size_t split_at) {
    write_code(out, m, OptionCodeV4::message_type, split_at);
}

/// An area of fixed size: whole options, the end option, padding.
void write_area(ByteWriter& out, ByteView options, std::size_t area_bytes) {
    out.bytes(options);
    out.u8(static_cast<std::uint8_t>(OptionCodeV4::end));
    out.zeros(area_bytes - options.size() - 1);
}

/// Where the last whole options that fit into `room` octets begin.
std::size_t suffix_that_fits(ByteView options, std::size_t room) {
    std::size_t at = 0;
    while (options.size() - at > room)
        at += 2U + options[at + 1];
    return at;
}

/// The last pieces go into sname, those before them into file, the rest into options: so the pieces of one option
/// stand in the order in which they are joined (RFC 3396 §5).
void encode_overloaded(const MessageV4& m, ByteWriter& out, std::size_t split_at) {
    Bytes room(message_bytes_max);
    ByteWriter all(room);
    write_options(all, m, std::min(split_at, sname_bytes_v4 - 3));  // short enough for either field
    const auto options = all.written();
    const auto sname_at = suffix_that_fits(options, sname_bytes_v4 - 1);
    const auto file_at = suffix_that_fits(options.first(sname_at), file_bytes_v4 - 1);

    write_header(out, m);
    write_area(out, options.subspan(sname_at), sname_bytes_v4);
    write_area(out, options.subspan(file_at, sname_at - file_at), file_bytes_v4);
    out.u32(magic_cookie_v4);
    write_message_type(out, m, split_at);
    out.u8(static_cast<std::uint8_t>(OptionCodeV4::overload));
    out.u8(1);
    out.u8(static_cast<std::uint8_t>(OverloadV4::both));
    out.bytes(options.first(file_at));
    out.u8(static_cast<std::uint8_t>(OptionCodeV4::end));
    if (!all.ok()) out.fail();
}

}  // namespace

void encode_v4(const MessageV4& m, ByteWriter& out, const LayoutV4& layout) {
    const auto split_at = std::clamp<std::size_t>(layout.split_at, 1, 255);
    if (layout.overload) return encode_overloaded(m, out, split_at);
    write_header(out, m);
    out.zeros(sname_bytes_v4 + file_bytes_v4);
    out.u32(magic_cookie_v4);
    write_message_type(out, m, split_at);
    write_options(out, m, split_at);
    out.u8(static_cast<std::uint8_t>(OptionCodeV4::end));
}

}  // namespace leasemirror
