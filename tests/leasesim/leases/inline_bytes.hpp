// A short octet string without allocation: the simulated server makes several 100k messages a second.
#pragma once

#include "proto/bytes.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <string_view>

namespace leasemirror::leasesim {

template <std::size_t N>
class InlineBytes {
public:
    void clear() { size_ = 0; }
    void u8(std::uint64_t v) {
        assert(size_ < N);
        octets_[size_++] = static_cast<std::uint8_t>(v);
    }
    /// The lowest `octets` octets of `v`, big-endian.
    void number(std::uint64_t v, unsigned octets) {
        while (octets-- > 0)
            u8(v >> (8U * octets));
    }
    void bytes(ByteView v) {
        assert(v.size() <= N - size_);
        std::copy(v.begin(), v.end(), octets_.begin() + static_cast<std::ptrdiff_t>(size_));
        size_ += v.size();
    }
    void text(std::string_view v) {
        for (const char c : v)
            u8(static_cast<std::uint8_t>(c));
    }
    void decimal(std::uint64_t v) {
        if (v >= 10) decimal(v / 10);
        u8('0' + v % 10);
    }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] ByteView view() const { return ByteView(octets_.data(), size_); }
    [[nodiscard]] std::string_view chars() const {
        return std::string_view(reinterpret_cast<const char*>(octets_.data()), size_);
    }

private:
    std::array<std::uint8_t, N> octets_{};
    std::size_t size_ = 0;
};

}  // namespace leasemirror::leasesim
