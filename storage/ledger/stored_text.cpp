#include "storage/ledger/stored_text.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace leasemirror {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

void append_hex(std::string& out, std::uint8_t octet) {
    out += hex_digits[octet >> 4];
    out += hex_digits[octet & 0xf];
}

bool plain(char c) {
    return c >= ' ' && c <= '~' && c != '\\';
}

/// Length of the well-formed UTF-8 sequence of two octets or more at `at` (Unicode table 3-7), 0 if there is none.
std::size_t sequence_length(std::string_view in, std::size_t at) {
    const auto octet = [&](std::size_t i) { return at + i < in.size() ? static_cast<std::uint8_t>(in[at + i]) : 0U; };
    const unsigned lead = octet(0);
    const std::size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                               : (lead & 0xf0) == 0xe0        ? 3
                               : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                              : 0;
    if (length == 0) return 0;
    unsigned low = 0x80, high = 0xbf;
    if (lead == 0xe0) low = 0xa0;   // overlong
    if (lead == 0xed) high = 0x9f;  // surrogates
    if (lead == 0xf0) low = 0x90;   // overlong
    if (lead == 0xf4) high = 0x8f;  // past U+10FFFF
    if (lead == 0xc2) low = 0xa0;   // C1 controls
    if (octet(1) < low || octet(1) > high) return 0;
    for (std::size_t i = 2; i < length; ++i)
        if (octet(i) < 0x80 || octet(i) > 0xbf) return 0;
    return length;
}

std::string_view escaped(std::string_view in, std::string_view backslash, std::string& scratch) {
    if (std::all_of(in.begin(), in.end(), plain)) return in;
    scratch.clear();
    for (std::size_t at = 0; at < in.size();) {
        const char c = in[at];
        const auto length = plain(c) ? 1 : sequence_length(in, at);
        if (length > 0) {
            scratch += in.substr(at, length);
        } else if (c == '\\') {
            scratch += backslash;
        } else {
            scratch += "\\x";
            append_hex(scratch, static_cast<std::uint8_t>(c));
        }
        at += std::max<std::size_t>(length, 1);
    }
    return scratch;
}

}  // namespace

std::string_view storable_text(std::string_view in, std::string& scratch) {
    return escaped(in, "\\\\", scratch);
}

std::string storable_text(std::string_view in) {
    std::string scratch;
    return std::string(storable_text(in, scratch));
}

std::string_view storable_host_name(std::string_view in, std::string& scratch) {
    return escaped(in, "\\", scratch);
}

std::string storable_host_name(std::string_view in) {
    std::string scratch;
    return std::string(storable_host_name(in, scratch));
}

void colon_hex(ByteView in, std::string& out) {
    out.clear();
    for (const auto octet : in) {
        if (!out.empty()) out += ':';
        append_hex(out, octet);
    }
}

void options_json(ByteView options, std::string& out) {
    out.clear();
    std::vector<std::pair<std::uint16_t, std::vector<ByteView>>> by_code;
    for (ByteReader in(options); !in.empty();) {
        const auto code = in.u16();
        const auto data = in.bytes(in.u16());
        if (!in.ok()) break;  // cannot be: the decoder writes whole options
        auto at = std::lower_bound(by_code.begin(), by_code.end(), code,
                                   [](const auto& entry, std::uint16_t wanted) { return entry.first < wanted; });
        if (at == by_code.end() || at->first != code) at = by_code.insert(at, {code, {}});
        at->second.push_back(data);
    }
    for (const auto& [code, values] : by_code) {
        out += (out.empty() ? "{\"" : ",\"") + std::to_string(code) + "\":";
        if (values.size() > 1) out += '[';
        for (std::size_t i = 0; i < values.size(); ++i) {
            out += i > 0 ? ",\"" : "\"";
            for (const auto octet : values[i])
                append_hex(out, octet);
            out += '"';
        }
        if (values.size() > 1) out += ']';
    }
    if (!out.empty()) out += '}';
}

}  // namespace leasemirror
