#include "proto/status.hpp"

#include "proto/numbers_v4.hpp"
#include "proto/numbers_v6.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {
namespace {

/// One character at the start of `text`: its length and value, or length 0 if it is not UTF-8 (RFC 3629 §4, which
/// rules out overlong forms, surrogates and values past U+10FFFF).
struct Utf8Character {
    std::size_t length = 0;
    char32_t value = 0;
};

Utf8Character next_character(std::string_view text) {
    const auto octet = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = octet(0);
    if (first < 0x80) return {1, first};
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length) return {};
    char32_t value = first & (0xffU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        if ((octet(i) & 0xc0U) != 0x80) return {};
        value = (value << 6) | (octet(i) & 0x3fU);
    }
    constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
    return {length, value};
}

bool is_unsafe(char32_t c) {
    const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    const bool line_break = c == 0x2028 || c == 0x2029;
    // Unicode's bidirectional controls: with them a line of a log can be made to show what it does not say.
    const bool direction =
        c == 0x200e || c == 0x200f || c == 0x061c || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
    return control || line_break || direction;
}

}  // namespace

std::string_view to_string(StatusCode c) {
    switch (c) {
        case StatusCode::success:
            return "Success";
        case StatusCode::unspec_fail:
            return "UnspecFail";
        case StatusCode::query_terminated:
            return "QueryTerminated";
        case StatusCode::malformed_query:
            return "MalformedQuery";
        case StatusCode::not_allowed:
            return "NotAllowed";
        case StatusCode::data_missing:
            return "DataMissing";
        case StatusCode::connection_active:
            return "ConnectionActive";
        case StatusCode::catch_up_complete:
            return "CatchUpComplete";
        case StatusCode::tls_connection_refused:
            return "TLSConnectionRefused";
        case StatusCode::not_supported:
            return "NotSupported";
        case StatusCode::unknown_query_type:
            return "UnknownQueryType";
        case StatusCode::not_configured:
            return "NotConfigured";
        case StatusCode::unknown:
            return "unknown status";
    }
    return "?";
}

StatusCode status_code_v4(std::uint16_t number) {
    if (number > 0xff) return StatusCode::unknown;
    switch (StatusCodeV4{static_cast<std::uint8_t>(number)}) {
        case StatusCodeV4::success:
            return StatusCode::success;
        case StatusCodeV4::unspec_fail:
            return StatusCode::unspec_fail;
        case StatusCodeV4::query_terminated:
            return StatusCode::query_terminated;
        case StatusCodeV4::malformed_query:
            return StatusCode::malformed_query;
        case StatusCodeV4::not_allowed:
            return StatusCode::not_allowed;
        case StatusCodeV4::data_missing:
            return StatusCode::data_missing;
        case StatusCodeV4::connection_active:
            return StatusCode::connection_active;
        case StatusCodeV4::catch_up_complete:
            return StatusCode::catch_up_complete;
        case StatusCodeV4::tls_connection_refused:
            return StatusCode::tls_connection_refused;
    }
    return StatusCode::unknown;
}

StatusCode status_code_v6(std::uint16_t number) {
    switch (StatusCodeV6{number}) {
        case StatusCodeV6::success:
            return StatusCode::success;
        case StatusCodeV6::unspec_fail:
            return StatusCode::unspec_fail;
        case StatusCodeV6::unknown_query_type:
            return StatusCode::unknown_query_type;
        case StatusCodeV6::malformed_query:
            return StatusCode::malformed_query;
        case StatusCodeV6::not_configured:
            return StatusCode::not_configured;
        case StatusCodeV6::not_allowed:
            return StatusCode::not_allowed;
        case StatusCodeV6::query_terminated:
            return StatusCode::query_terminated;
        case StatusCodeV6::data_missing:
            return StatusCode::data_missing;
        case StatusCodeV6::catch_up_complete:
            return StatusCode::catch_up_complete;
        case StatusCodeV6::not_supported:
            return StatusCode::not_supported;
        case StatusCodeV6::tls_connection_refused:
            return StatusCode::tls_connection_refused;
    }
    return StatusCode::unknown;
}

std::optional<std::uint8_t> status_number_v4(StatusCode c) {
    constexpr auto last = static_cast<std::uint8_t>(StatusCodeV4::tls_connection_refused);
    for (std::uint8_t n = 0; n <= last; ++n)
        if (status_code_v4(n) == c && c != StatusCode::unknown) return n;
    return std::nullopt;
}

std::optional<std::uint16_t> status_number_v6(StatusCode c) {
    constexpr auto last = static_cast<std::uint16_t>(StatusCodeV6::tls_connection_refused);
    for (std::uint16_t n = 0; n <= last; ++n)
        if (status_code_v6(n) == c && c != StatusCode::unknown) return n;
    return std::nullopt;
}

Status make_status_v4(StatusCode c, std::string_view text) {
    const auto number = status_number_v4(c);
    assert(number);
    return {c, *number, text};
}

Status make_status_v6(StatusCode c, std::string_view text) {
    const auto number = status_number_v6(c);
    assert(number);
    return {c, *number, text};
}

void append_printable(std::string& out, std::string_view text, std::size_t bytes_max) {
    // Servers that send a C string with its terminator are common enough (RFC 6926 §6.2.2 forbids it).
    while (!text.empty() && (text.back() == '\0' || text.back() == ' '))
        text.remove_suffix(1);
    std::size_t room = bytes_max;
    while (!text.empty()) {
        const auto character = next_character(text);
        const bool keep = character.length != 0 && !is_unsafe(character.value);
        const std::size_t bytes = keep ? character.length : 1;
        if (bytes > room) return;
        if (keep)
            out += text.substr(0, bytes);
        else
            out += '?';
        room -= bytes;
        text.remove_prefix(character.length == 0 ? 1 : character.length);
    }
}

void append_lossless(std::string& out, std::string_view text, char also) {
    constexpr std::string_view digits = "0123456789abcdef";
    while (!text.empty()) {
        const auto character = next_character(text);
        const auto length = std::max<std::size_t>(character.length, 1);
        if (character.length == 0 || is_unsafe(character.value)) {
            for (const char c : text.substr(0, length)) {
                const auto octet = static_cast<unsigned char>(c);
                out += "\\x";
                out += digits[octet >> 4];
                out += digits[octet & 0xf];
            }
        } else {
            if (text[0] == '\\' || (also != '\0' && text[0] == also)) out += '\\';
            out += text.substr(0, length);
        }
        text.remove_prefix(length);
    }
}

std::string printable(std::string_view text, std::size_t bytes_max) {
    std::string out;
    append_printable(out, text, bytes_max);
    return out;
}

}  // namespace leasemirror
