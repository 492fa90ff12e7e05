// Options of DHCPv6 (RFC 8415 §21.1) one by one, and what each of them holds: the floor that decode_v6 and client_data_v6
// stand on. A reader fills `out` with the first instance of an option and leaves it alone with further ones; what it
// returns says why the option cannot be read. Views are of the message.
#pragma once

#include "proto/wire/message_v6.hpp"
#include "proto/wire/unread.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace leasemirror {

using Fault = std::optional<DecodeError>;

constexpr std::uint16_t code_of(OptionCodeV6 c) {
    return static_cast<std::uint16_t>(c);
}

/// One option and where it stands. `data` reads within the option only.
struct OptionV6 {
    std::uint16_t code = 0;
    std::size_t offset = 0;
    ByteReader data;

    [[nodiscard]] OptionCodeV6 known_code() const { return OptionCodeV6{code}; }
    [[nodiscard]] Fault bad_length() const { return DecodeError{DecodeFault::bad_length, code, offset}; }
    [[nodiscard]] Fault bad_value() const { return DecodeError{DecodeFault::bad_value, code, offset}; }
};

/// Octets at the end of a list of options that are no whole option.
struct UnreadV6 {
    ByteView octets;
    std::size_t offset = 0;

    [[nodiscard]] bool may_hold(OptionCodeV6 code, std::size_t least_data = 0) const {
        return may_hold_v6(octets, code_of(code), least_data);
    }
    [[nodiscard]] DecodeError fault(DecodeFault overrun) const { return {overrun, ByteReader(octets).u16(), offset}; }
};

/// Calls `visit` for every whole option of `in`, until one returns a fault. `unread` is what stands behind them.
template <class Visit>
Fault for_each_option(ByteReader in, UnreadV6& unread, Visit visit) {
    while (!in.empty()) {
        const auto offset = in.offset();
        auto left = in;
        const auto code = in.u16();
        const auto data = in.sub(in.u16());
        if (!in.ok()) {
            unread = {left.rest(), offset};
            return std::nullopt;
        }
        if (auto fault = visit(OptionV6{code, offset, data})) return fault;
    }
    return std::nullopt;
}

/// The same where nothing may be left unread.
template <class Visit>
Fault for_all_options(ByteReader in, Visit visit) {
    UnreadV6 unread;
    if (auto fault = for_each_option(in, unread, visit)) return fault;
    if (!unread.octets.empty()) return unread.fault(DecodeFault::runs_past_parent);
    return std::nullopt;
}

ByteView view(ByteReader data);

/// In a query. RFC 8415 §11.1 for the length; what is in it is opaque.
Fault read_duid(const OptionV6& option, ByteView& out);
/// Octets that mean something to others only, `least` or more of them.
Fault read_opaque(const OptionV6& option, std::size_t least, ByteView& out);
Fault read_option_request(const OptionV6& option, ByteView& out);
Fault read_status(const OptionV6& option, std::optional<Status>& out);
Fault read_vss(const OptionV6& option, std::optional<VssV6>& out);
Fault read_u32(const OptionV6& option, std::optional<std::uint32_t>& out);
/// Absolute times count from 2000 in v6 (RFC 7653 §6.3.1).
Fault read_time(const OptionV6& option, std::optional<ServerTime>& out);
/// OPTION_IAADDR has the address first (RFC 8415 §21.6), OPTION_IAPREFIX the lifetimes (§21.22). The address is there
/// after a fault too, if it could be read. `unread` is what stands behind the sub-options.
Fault read_lease(const OptionV6& option, LeaseV6& lease, UnreadV6& unread);
/// RFC 5007 §4.1.2.1: the type comes before the link-address.
Fault read_query(const OptionV6& option, std::optional<LqQueryV6>& out);

}  // namespace leasemirror
