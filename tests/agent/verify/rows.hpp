// Short ways to write down rows of the mirror and what a server says.
#pragma once

#include "storage/ledger/binding_row.hpp"

#include <string>
#include <string_view>

namespace leasemirror::testing {

constexpr std::int64_t start = 1'700'000'000;

inline ServerTime at(std::int64_t seconds) {
    return server_time_from_unix(start + seconds);
}
inline UtcSeconds utc(std::int64_t seconds) {
    return UtcSeconds{std::chrono::seconds{start + seconds}};
}

/// In force, of a client named after it, told at `base`; binding_id is the last octet.
inline BindingRow row(std::string_view address, std::int64_t base) {
    BindingRow out;
    out.key.address = IpAddress::parse(address).value();
    out.key.prefix_len = out.key.address.family() == Family::v4 ? 32 : 128;
    out.binding_id = out.key.address.bytes().back();
    out.client_id = {1, out.key.address.bytes().back()};
    out.hostname = "host";
    out.age.base_time = start + base;
    return out;
}
/// Likewise, not in force.
inline BindingRow gone(std::string_view address, std::int64_t base, EndReason reason = EndReason::reported) {
    auto out = row(address, base);
    out.state = BindingState::available;
    out.end_reason = reason;
    return out;
}

}  // namespace leasemirror::testing
