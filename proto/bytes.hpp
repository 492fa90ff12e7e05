// Bounded cursors over octets. Endianness and bounds checks live here and nowhere else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace leasemirror {

using ByteView = std::span<const std::uint8_t>;
using Bytes = std::vector<std::uint8_t>;

/// The octets as they are: what a peer sent may be no text at all. Lives as long as they do.
inline std::string_view as_text(ByteView octets) {
    return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

/// Reads big-endian fields from a span. The first read past the end sets a sticky failure: that read
/// and every later one give zero or an empty view and move nothing, so a decoder asks ok() once,
/// before its only good return. Views handed out live as long as the span given to the constructor.
class ByteReader {
public:
    explicit ByteReader(ByteView in, std::size_t base_offset = 0) : in_(in), base_(base_offset) {}

    [[nodiscard]] ByteView bytes(std::size_t n) {
        if (!ok_ || n > in_.size() - at_) {
            ok_ = false;
            return {};
        }
        const auto taken = in_.subspan(at_, n);
        at_ += n;
        return taken;
    }
    [[nodiscard]] std::uint8_t u8() {
        const auto b = bytes(1);
        return b.empty() ? std::uint8_t{0} : b[0];
    }
    [[nodiscard]] std::uint16_t u16() {
        const auto b = bytes(2);
        return b.empty() ? std::uint16_t{0} : static_cast<std::uint16_t>((b[0] << 8) | b[1]);
    }
    [[nodiscard]] std::uint32_t u24() {
        const auto b = bytes(3);
        return b.empty() ? 0U : (std::uint32_t{b[0]} << 16) | (std::uint32_t{b[1]} << 8) | b[2];
    }
    [[nodiscard]] std::uint32_t u32() {
        const auto b = bytes(4);
        return b.empty()
                   ? 0U
                   : (std::uint32_t{b[0]} << 24) | (std::uint32_t{b[1]} << 16) | (std::uint32_t{b[2]} << 8) | b[3];
    }
    /// A reader confined to the next n octets, so that no field can run past its container. If fewer
    /// remain, this reader fails and so does the one returned.
    [[nodiscard]] ByteReader sub(std::size_t n) {
        const auto start = offset();
        ByteReader inner(bytes(n), start);
        inner.ok_ = ok_;
        return inner;
    }
    [[nodiscard]] ByteView rest() { return bytes(remaining()); }
    [[nodiscard]] std::size_t remaining() const { return ok_ ? in_.size() - at_ : 0; }
    [[nodiscard]] bool empty() const { return remaining() == 0; }
    [[nodiscard]] bool ok() const { return ok_; }
    /// Where the cursor stands, counted from the start of the outermost message; for error reports.
    [[nodiscard]] std::size_t offset() const { return base_ + at_; }

private:
    ByteView in_;
    std::size_t base_ = 0;
    std::size_t at_ = 0;
    bool ok_ = true;
};

/// Writes big-endian fields into a caller's span. A write that does not fit sets a sticky failure and
/// writes nothing. Length prefixes are reserved with reserve_*() and filled in with patch_*().
class ByteWriter {
public:
    explicit ByteWriter(std::span<std::uint8_t> out) : out_(out) {}

    void u8(std::uint8_t v);
    void u16(std::uint16_t v);
    void u24(std::uint32_t v);
    void u32(std::uint32_t v);
    void bytes(ByteView v);
    void text(std::string_view v);
    void zeros(std::size_t n);
    /// Leaves room for a length of one (two) octets and returns its place, for patch_*().
    [[nodiscard]] std::size_t reserve_u8();
    [[nodiscard]] std::size_t reserve_u16();
    /// Stores at `place` the count of octets written since that room was reserved; fails if it is too large.
    void patch_u8(std::size_t place);
    void patch_u16(std::size_t place);
    /// Sets the failure by hand, for what the caller knows cannot be written.
    void fail() { ok_ = false; }

    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] std::size_t size() const { return at_; }
    [[nodiscard]] ByteView written() const { return ByteView(out_.data(), ok_ ? at_ : 0); }

private:
    [[nodiscard]] std::uint8_t* take(std::size_t n);

    std::span<std::uint8_t> out_;
    std::size_t at_ = 0;
    bool ok_ = true;
};

}  // namespace leasemirror
