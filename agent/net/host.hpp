// Time and chance, as this host has them: for the shell, which hands them to everything that decides.
#pragma once

#include "proto/session/session.hpp"

#include <cstdint>

namespace leasemirror {

[[nodiscard]] Now host_now();
/// Where nothing better is known of a server's clock: it is taken to agree with ours.
[[nodiscard]] SessionNow host_session_now();
[[nodiscard]] std::uint64_t host_seed();
/// A DUID-UUID (RFC 6355 §4): needs no hardware address and no clock.
[[nodiscard]] Bytes new_duid();

}  // namespace leasemirror
