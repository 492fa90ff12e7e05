// Single values of the configuration: text in, typed value out, or a sentence part that says what was expected.
// Pure; the same parsers serve the command line.
#pragma once

#include "proto/bytes.hpp"
#include "proto/ip_address.hpp"
#include "proto/result.hpp"

#include <charconv>
#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

namespace leasemirror {

/// A value, or what was expected instead: "expected a whole number from 1 to 65535".
template <class T>
using Parsed = Result<T, std::string>;

[[nodiscard]] Parsed<std::uint64_t> parse_whole_number(std::string_view text, std::uint64_t least, std::uint64_t most);

/// `parse_whole_number` for a narrower type, whose own maximum is the default bound.
template <class T>
[[nodiscard]] Parsed<T> parse_number(std::string_view text, T least = 0, T most = std::numeric_limits<T>::max()) {
    auto parsed = parse_whole_number(text, static_cast<std::uint64_t>(least), static_cast<std::uint64_t>(most));
    if (!parsed) return Unexpected{parsed.error()};
    return static_cast<T>(*parsed);
}

[[nodiscard]] Parsed<bool> parse_bool(std::string_view text);

/// 500ms, 30s, 5m, 12h, 30d. A zero, bare or with a unit, is accepted where `least` is zero.
[[nodiscard]] Parsed<std::chrono::milliseconds> parse_duration(std::string_view text, std::chrono::milliseconds least);
/// The shortest form that parse_duration() reads back: "2m", "1500ms".
[[nodiscard]] std::string duration_text(std::chrono::milliseconds d);

/// A number of octets, bare or as B, KiB, MiB or GiB.
[[nodiscard]] Parsed<std::uint64_t> parse_size(std::string_view text, std::uint64_t least);

/// Hex with or without colons between octets, or `text:...` for the octets of a text.
[[nodiscard]] Parsed<Bytes> parse_identifier(std::string_view text, std::size_t bytes_min, std::size_t bytes_max);

/// A hardware address in hex, of a length that fits chaddr (RFC 2131 §2).
[[nodiscard]] Parsed<Bytes> parse_mac(std::string_view text);

[[nodiscard]] Parsed<IpAddress> parse_address(std::string_view text, Family family);

/// A host name or a literal address without a port. It is not resolved.
[[nodiscard]] Parsed<std::string> parse_host(std::string_view text);

/// `host:port` or `[v6]:port`.
struct Endpoint {
    std::string host;
    std::uint16_t port = 0;
};
[[nodiscard]] Parsed<Endpoint> parse_endpoint(std::string_view text);
/// Whether only this host can reach what listens there.
[[nodiscard]] bool is_loopback(const Endpoint& e);

/// The candidate that `word` most likely was meant to be (case and '-' for '_' do not count), or nothing if none
/// is near.
[[nodiscard]] std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

/// "a", "a or b", "a, b or c".
[[nodiscard]] std::string either_of(std::span<const std::string_view> words);

/// For a word that is none of `known`: "did you mean 'east'?", or if none is near, "expected east or west".
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

/// `text` in single quotes, shortened and with control characters replaced, for an error message.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace leasemirror
