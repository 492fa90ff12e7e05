#include "tests/leasesim/messages/wire_tricks.hpp"

#include "proto/numbers_v4.hpp"
#include "proto/numbers_v6.hpp"

#include <algorithm>
#include <array>

namespace leasemirror::leasesim {

namespace {

bool is_fixed_v4(std::uint8_t code) {
    using enum OptionCodeV4;
    constexpr std::array fixed{
        server_identifier, lease_time,          renewal_time, rebinding_time, client_last_transaction_time,
        base_time,         start_time_of_state, dhcp_state,   data_source};
    return std::any_of(fixed.begin(), fixed.end(), [&](auto f) { return static_cast<std::uint8_t>(f) == code; });
}

void twice_v4(ByteView message, ByteWriter& out) {
    out.bytes(message.first(header_bytes_v4));
    ByteReader in(message.subspan(header_bytes_v4));
    while (in.remaining() > 0) {
        const auto code = in.u8();
        if (code == static_cast<std::uint8_t>(OptionCodeV4::end)) return out.u8(code);
        const auto data = in.bytes(in.u8());
        for (int copies = is_fixed_v4(code) ? 2 : 1; copies > 0; --copies) {
            out.u8(code);
            out.u8(static_cast<std::uint8_t>(data.size()));
            out.bytes(data);
        }
    }
}

void options_twice_v6(ByteReader& in, ByteWriter& out) {
    while (in.remaining() > 0) {
        const auto code = in.u16();
        const auto data = in.bytes(in.u16());
        const bool fixed = code == static_cast<std::uint16_t>(OptionCodeV6::client_time) ||
                           code == static_cast<std::uint16_t>(OptionCodeV6::lq_base_time);
        for (int copies = fixed ? 2 : 1; copies > 0; --copies) {
            out.u16(code);
            const auto length = out.reserve_u16();
            if (code == static_cast<std::uint16_t>(OptionCodeV6::client_data)) {
                ByteReader inside(data);
                options_twice_v6(inside, out);
            } else {
                out.bytes(data);
            }
            out.patch_u16(length);
        }
    }
}

}  // namespace

void write_fixed_options_twice(Family family, ByteView message, ByteWriter& out) {
    if (family == Family::v4) return twice_v4(message, out);
    out.bytes(message.first(header_bytes_v6));
    ByteReader in(message.subspan(header_bytes_v6));
    options_twice_v6(in, out);
}

void write_stray_octet(Family family, ByteView message, ByteWriter& out) {
    const bool ends =
        family == Family::v4 && !message.empty() && message.back() == static_cast<std::uint8_t>(OptionCodeV4::end);
    out.bytes(message.first(message.size() - (ends ? 1 : 0)));
    // In v4 a code without a length, in v6 half a code.
    out.u8(family == Family::v4 ? static_cast<std::uint8_t>(OptionCodeV4::vendor_class) : 0);
}

}  // namespace leasemirror::leasesim
