#include "proto/bytes.hpp"

#include <algorithm>

namespace leasemirror {

std::uint8_t* ByteWriter::take(std::size_t n) {
    if (!ok_ || n > out_.size() - at_) {
        ok_ = false;
        return nullptr;
    }
    auto* place = out_.data() + at_;
    at_ += n;
    return place;
}

void ByteWriter::u8(std::uint8_t v) {
    if (auto* p = take(1)) p[0] = v;
}

void ByteWriter::u16(std::uint16_t v) {
    if (auto* p = take(2)) {
        p[0] = static_cast<std::uint8_t>(v >> 8);
        p[1] = static_cast<std::uint8_t>(v);
    }
}

void ByteWriter::u24(std::uint32_t v) {
    if (auto* p = take(3)) {
        p[0] = static_cast<std::uint8_t>(v >> 16);
        p[1] = static_cast<std::uint8_t>(v >> 8);
        p[2] = static_cast<std::uint8_t>(v);
    }
}

void ByteWriter::u32(std::uint32_t v) {
    if (auto* p = take(4)) {
        p[0] = static_cast<std::uint8_t>(v >> 24);
        p[1] = static_cast<std::uint8_t>(v >> 16);
        p[2] = static_cast<std::uint8_t>(v >> 8);
        p[3] = static_cast<std::uint8_t>(v);
    }
}

void ByteWriter::bytes(ByteView v) {
    if (auto* p = take(v.size())) std::copy(v.begin(), v.end(), p);
}

void ByteWriter::text(std::string_view v) {
    if (auto* p = take(v.size()))
        std::transform(v.begin(), v.end(), p, [](char c) { return static_cast<std::uint8_t>(c); });
}

void ByteWriter::zeros(std::size_t n) {
    if (auto* p = take(n)) std::fill_n(p, n, std::uint8_t{0});
}

std::size_t ByteWriter::reserve_u8() {
    const auto place = at_;
    zeros(1);
    return place;
}

std::size_t ByteWriter::reserve_u16() {
    const auto place = at_;
    zeros(2);
    return place;
}

void ByteWriter::patch_u8(std::size_t place) {
    if (!ok_) return;
    const auto count = at_ - place - 1;
    if (count > 0xff) {
        ok_ = false;
        return;
    }
    out_[place] = static_cast<std::uint8_t>(count);
}

void ByteWriter::patch_u16(std::size_t place) {
    if (!ok_) return;
    const auto count = at_ - place - 2;
    if (count > 0xffff) {
        ok_ = false;
        return;
    }
    out_[place] = static_cast<std::uint8_t>(count >> 8);
    out_[place + 1] = static_cast<std::uint8_t>(count);
}

}  // namespace leasemirror
