// Which of several records of one address counts: RFC 5007 §4.3.4, RFC 4388 §6.8, RFC 6926 §7.6.
#pragma once

#include "proto/udp/answer.hpp"

namespace leasemirror {

/// Whether `a` counts and not `b`, two records of one key; see merge(). False both ways: nothing tells.
[[nodiscard]] bool supersedes(const UdpBinding& a, const UdpBinding& b);

}  // namespace leasemirror
