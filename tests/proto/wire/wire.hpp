// Small comparisons that the codec tests share.
#pragma once

#include "proto/bytes.hpp"

#include <algorithm>
#include <string_view>

namespace leasemirror::test {

inline bool equal(ByteView a, ByteView b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

inline std::string_view text(ByteView data) {
    return {reinterpret_cast<const char*>(data.data()), data.size()};
}

}  // namespace leasemirror::test
