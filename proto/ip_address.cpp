#include "proto/ip_address.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {
namespace {

constexpr std::size_t v4_bytes = 4;
constexpr std::size_t v6_bytes = 16;
constexpr int v6_groups = 8;

using Groups = std::array<std::uint16_t, v6_groups>;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Four decimal octets. A leading zero is refused: half the world reads such an octet as octal.
std::optional<std::uint32_t> parse_v4(std::string_view text) {
    std::uint32_t value = 0;
    for (int octets = 0; octets < 4; ++octets) {
        if (octets > 0) {
            if (text.empty() || text.front() != '.') return std::nullopt;
            text.remove_prefix(1);
        }
        std::uint32_t octet = 0;
        std::size_t digits = 0;
        while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
            if (digits == 3 || (digits == 1 && text[0] == '0')) return std::nullopt;
            octet = octet * 10 + static_cast<std::uint32_t>(text[digits] - '0');
            ++digits;
        }
        if (digits == 0 || octet > 255) return std::nullopt;
        value = (value << 8) | octet;
        text.remove_prefix(digits);
    }
    if (!text.empty()) return std::nullopt;
    return value;
}

/// One side of a "::", or a whole address: groups divided by single colons, the last of them perhaps a dotted
/// quad. Gives the number of groups, or -1.
int parse_groups(std::string_view text, bool quad_allowed, Groups& out) {
    if (text.empty()) return 0;
    int count = 0;
    for (;;) {
        const auto colon = text.find(':');
        const auto word = text.substr(0, colon);
        if (quad_allowed && colon == std::string_view::npos && word.find('.') != std::string_view::npos) {
            const auto quad = parse_v4(word);
            if (!quad || count > v6_groups - 2) return -1;
            out[static_cast<std::size_t>(count)] = static_cast<std::uint16_t>(*quad >> 16);
            out[static_cast<std::size_t>(count) + 1] = static_cast<std::uint16_t>(*quad);
            return count + 2;
        }
        if (word.empty() || word.size() > 4 || count == v6_groups) return -1;
        unsigned value = 0;
        for (const char c : word) {
            const int digit = hex_digit(c);
            if (digit < 0) return -1;
            value = value * 16 + static_cast<unsigned>(digit);
        }
        out[static_cast<std::size_t>(count++)] = static_cast<std::uint16_t>(value);
        if (colon == std::string_view::npos) return count;
        text.remove_prefix(colon + 1);
    }
}

/// RFC 4291 §2.2.
std::optional<Groups> parse_v6(std::string_view text) {
    Groups groups{};
    const auto gap = text.find("::");
    if (gap == std::string_view::npos) {
        if (parse_groups(text, true, groups) != v6_groups) return std::nullopt;
        return groups;
    }
    Groups tail{};
    const int before = parse_groups(text.substr(0, gap), false, groups);
    const int after = parse_groups(text.substr(gap + 2), true, tail);
    if (before < 0 || after < 0 || before + after >= v6_groups) return std::nullopt;
    std::copy(tail.begin(), tail.begin() + after, groups.end() - after);
    return groups;
}

void append_decimal(std::string& out, unsigned value) {
    out += std::to_string(value);
}

void append_quad(std::string& out, ByteView octets) {
    for (std::size_t i = 0; i < v4_bytes; ++i) {
        if (i > 0) out += '.';
        append_decimal(out, octets[i]);
    }
}

/// RFC 5952 §4.1, §4.3: no leading zeros, lower case.
void append_group(std::string& out, unsigned value) {
    constexpr std::string_view digits = "0123456789abcdef";
    bool started = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        const auto digit = (value >> shift) & 0xfU;
        if (digit == 0 && !started && shift > 0) continue;
        started = true;
        out += digits[digit];
    }
}

/// RFC 5952 §4.2: the longest run of zero groups, the first of equals, and never a single group.
struct ZeroRun {
    int start = -1;
    int length = 0;
};
ZeroRun longest_zero_run(const Groups& groups) {
    ZeroRun best, here;
    for (int i = 0; i < v6_groups; ++i) {
        if (groups[static_cast<std::size_t>(i)] != 0) {
            here = {};
            continue;
        }
        if (here.length++ == 0) here.start = i;
        if (here.length > best.length) best = here;
    }
    return best.length >= 2 ? best : ZeroRun{};
}

std::string format_v6(ByteView octets) {
    Groups groups{};
    for (std::size_t i = 0; i < groups.size(); ++i)
        groups[i] = static_cast<std::uint16_t>((octets[2 * i] << 8) | octets[2 * i + 1]);
    const auto run = longest_zero_run(groups);
    // RFC 5952 §5: mixed notation for the well-known prefix ::ffff:0:0/96.
    const bool mapped = run.start == 0 && run.length == 5 && groups[5] == 0xffff;
    std::string out;
    out.reserve(39);
    const int last = mapped ? v6_groups - 2 : v6_groups;
    for (int i = 0; i < last; ++i) {
        if (i == run.start) {
            out += "::";
            i += run.length - 1;
            continue;
        }
        if (!out.empty() && out.back() != ':') out += ':';
        append_group(out, groups[static_cast<std::size_t>(i)]);
    }
    if (mapped) {
        out += ':';
        append_quad(out, octets.subspan(v6_bytes - v4_bytes));
    }
    return out;
}

}  // namespace

std::string_view to_string(Family f) {
    switch (f) {
        case Family::v4:
            return "v4";
        case Family::v6:
            return "v6";
    }
    return "?";
}

IpAddress IpAddress::v4(std::uint32_t host_order) {
    IpAddress a;
    for (std::size_t i = 0; i < v4_bytes; ++i)
        a.octets_[i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
    return a;
}

IpAddress IpAddress::from_bytes(ByteView in) {
    assert(in.size() == v4_bytes || in.size() == v6_bytes);
    IpAddress a;
    a.family_ = in.size() == v4_bytes ? Family::v4 : Family::v6;
    std::copy_n(in.begin(), std::min(in.size(), v6_bytes), a.octets_.begin());
    return a;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    if (text.find(':') == std::string_view::npos) {
        const auto quad = parse_v4(text);
        if (!quad) return std::nullopt;
        return v4(*quad);
    }
    const auto groups = parse_v6(text);
    if (!groups) return std::nullopt;
    IpAddress a;
    a.family_ = Family::v6;
    for (std::size_t i = 0; i < groups->size(); ++i) {
        a.octets_[2 * i] = static_cast<std::uint8_t>((*groups)[i] >> 8);
        a.octets_[2 * i + 1] = static_cast<std::uint8_t>((*groups)[i]);
    }
    return a;
}

bool IpAddress::is_unspecified() const {
    return std::all_of(octets_.begin(), octets_.end(), [](std::uint8_t o) { return o == 0; });
}

ByteView IpAddress::bytes() const {
    return ByteView(octets_).first(family_ == Family::v4 ? v4_bytes : v6_bytes);
}

std::uint32_t IpAddress::v4_value() const {
    assert(family_ == Family::v4);
    return ByteReader(bytes()).u32();
}

std::array<std::uint8_t, 16> IpAddress::sortable() const {
    if (family_ == Family::v6) return octets_;
    std::array<std::uint8_t, 16> mapped{};
    mapped[10] = mapped[11] = 0xff;
    std::copy_n(octets_.begin(), v4_bytes, mapped.begin() + 12);
    return mapped;
}

std::string IpAddress::to_string() const {
    if (family_ == Family::v6) return format_v6(bytes());
    std::string out;
    append_quad(out, bytes());
    return out;
}

IpAddress IpAddress::prefix(std::uint8_t len) const {
    IpAddress cut = *this;
    for (std::size_t i = 0; i < bytes().size(); ++i) {
        const std::size_t first_bit = i * 8;
        if (len >= first_bit + 8) continue;
        const unsigned kept = len > first_bit ? static_cast<unsigned>(len - first_bit) : 0U;
        cut.octets_[i] = static_cast<std::uint8_t>(cut.octets_[i] & (0xff00U >> kept));
    }
    return cut;
}

}  // namespace leasemirror
