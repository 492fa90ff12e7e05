#include "agent/config/values.hpp"

#include "proto/numbers_v4.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace leasemirror {
namespace {

using std::chrono::milliseconds;

/// A century: long enough for any retention, short enough that no sum of durations overflows.
constexpr milliseconds duration_max = std::chrono::days{36500};

constexpr std::string_view duration_expected = "expected a duration such as 500ms, 30s, 5m, 12h or 30d";

constexpr std::array<std::pair<std::string_view, milliseconds>, 5> duration_units{{
    {"ms", milliseconds{1}},
    {"s", std::chrono::seconds{1}},
    {"m", std::chrono::minutes{1}},
    {"h", std::chrono::hours{1}},
    {"d", std::chrono::days{1}},
}};

constexpr std::array<std::pair<std::string_view, std::uint64_t>, 5> size_units{{
    {"", 1},
    {"B", 1},
    {"KiB", 1ULL << 10},
    {"MiB", 1ULL << 20},
    {"GiB", 1ULL << 30},
}};

/// The digits at the front as a number, and what follows them.
std::optional<std::pair<std::uint64_t, std::string_view>> leading_number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc{}) return std::nullopt;
    return std::pair{value, text.substr(static_cast<std::size_t>(end - text.data()))};
}

template <class Units>
auto find_unit(const Units& units, std::string_view name) -> decltype(&*units.begin()) {
    const auto* const found = std::find_if(units.begin(), units.end(), [&](const auto& u) { return u.first == name; });
    return found == units.end() ? nullptr : found;
}

std::optional<std::uint8_t> hex_digit(char c) {
    if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
    return std::nullopt;
}

/// Colons may stand between octets, and nowhere else.
std::optional<Bytes> parse_hex(std::string_view text) {
    Bytes out;
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] == ':' && !out.empty() && at + 1 < text.size()) ++at;
        if (at + 1 >= text.size()) return std::nullopt;
        const auto high = hex_digit(text[at]);
        const auto low = hex_digit(text[at + 1]);
        if (!high || !low) return std::nullopt;
        out.push_back(static_cast<std::uint8_t>(*high << 4 | *low));
        at += 2;
    }
    return out;
}

bool is_host_name(std::string_view text) {
    const bool allowed = std::all_of(text.begin(), text.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_';
    });
    return allowed && !text.empty() && text.size() <= 253 && text.front() != '.' && text.front() != '-';
}

std::string folded(std::string_view word) {
    std::string out;
    for (const char c : word)
        out += c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

/// Insertions, deletions, substitutions and swaps of neighbours that lead from `a` to `b`.
std::size_t edit_distance(const std::string& a, const std::string& b) {
    const auto width = b.size() + 1;
    std::vector<std::size_t> rows((a.size() + 1) * width);
    const auto cell = [&](std::size_t i, std::size_t j) -> std::size_t& { return rows[i * width + j]; };
    for (std::size_t i = 0; i <= a.size(); ++i)
        cell(i, 0) = i;
    for (std::size_t j = 0; j <= b.size(); ++j)
        cell(0, j) = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            cell(i, j) = std::min({cell(i - 1, j) + 1, cell(i, j - 1) + 1, cell(i - 1, j - 1) + change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cell(i, j) = std::min(cell(i, j), cell(i - 2, j - 2) + 1);
        }
    }
    return cell(a.size(), b.size());
}

}  // namespace

Parsed<std::uint64_t> parse_whole_number(std::string_view text, std::uint64_t least, std::uint64_t most) {
    const auto number = leading_number(text);
    if (number && number->second.empty() && number->first >= least && number->first <= most) return number->first;
    return Unexpected{"expected a whole number from " + std::to_string(least) + " to " + std::to_string(most)};
}

Parsed<bool> parse_bool(std::string_view text) {
    if (text == "true") return true;
    if (text == "false") return false;
    return Unexpected{std::string("expected true or false")};
}

Parsed<milliseconds> parse_duration(std::string_view text, milliseconds least) {
    const auto number = leading_number(text);
    if (!number) return Unexpected{std::string(duration_expected)};
    const auto [count, unit_name] = *number;
    if (count == 0 && unit_name.empty() && least.count() == 0) return milliseconds{0};
    const auto* const unit = find_unit(duration_units, unit_name);
    if (unit == nullptr) return Unexpected{std::string(duration_expected)};
    if (count > static_cast<std::uint64_t>(duration_max / unit->second))
        return Unexpected{"expected a duration of at most " + duration_text(duration_max)};
    const auto value = unit->second * static_cast<std::int64_t>(count);
    if (value < least) return Unexpected{"expected a duration of at least " + duration_text(least)};
    return value;
}

std::string duration_text(milliseconds d) {
    if (d.count() == 0) return "0";
    for (auto unit = duration_units.rbegin(); unit != duration_units.rend(); ++unit) {
        if (d % unit->second == milliseconds{0}) return std::to_string(d / unit->second) + std::string(unit->first);
    }
    return std::to_string(d.count()) + "ms";
}

Parsed<std::uint64_t> parse_size(std::string_view text, std::uint64_t least) {
    const auto number = leading_number(text);
    const auto* const unit = number ? find_unit(size_units, number->second) : nullptr;
    if (unit == nullptr || number->first > (1ULL << 50) / unit->second)
        return Unexpected{std::string("expected a size such as 65536, 512KiB, 64MiB or 2GiB")};
    const auto value = number->first * unit->second;
    if (value < least) return Unexpected{"expected a size of at least " + std::to_string(least >> 10) + "KiB"};
    return value;
}

Parsed<Bytes> parse_identifier(std::string_view text, std::size_t bytes_min, std::size_t bytes_max) {
    constexpr std::string_view text_prefix = "text:";
    std::optional<Bytes> value;
    if (text.starts_with(text_prefix)) {
        const auto octets = text.substr(text_prefix.size());
        value = Bytes(octets.begin(), octets.end());
    } else {
        value = parse_hex(text);
    }
    if (!value) return Unexpected{std::string("expected hex with or without colons (00:03:00:01), or text:...")};
    if (value->size() >= bytes_min && value->size() <= bytes_max) return *std::move(value);
    return Unexpected{"expected " + std::to_string(bytes_min) + " to " + std::to_string(bytes_max) + " octets"};
}

Parsed<Bytes> parse_mac(std::string_view text) {
    constexpr std::size_t octets_min = 6;  // of what DHCP runs on nothing has fewer
    auto mac = parse_identifier(text, 1, chaddr_bytes_v4);
    const bool is_hex = mac && !text.starts_with("text:");
    if (is_hex && mac->size() >= octets_min) return mac;
    std::string expected = "expected a hardware address such as 02:42:ac:11:00:02";
    if (is_hex) expected += ", which has 6 octets and not " + std::to_string(mac->size());
    return Unexpected{std::move(expected)};
}

Parsed<IpAddress> parse_address(std::string_view text, Family family) {
    const auto address = IpAddress::parse(text);
    if (address && address->family() == family) return *address;
    if (family == Family::v4) return Unexpected{std::string("expected an IPv4 address such as 192.0.2.1")};
    return Unexpected{std::string("expected an IPv6 address such as 2001:db8::1")};
}

Parsed<std::string> parse_host(std::string_view text) {
    constexpr std::string_view expected = "expected a host name or an address without brackets and port";
    // A link-local address needs its interface: fe80::1%eth0.
    const auto literal = text.substr(0, text.find('%'));
    const bool looks_literal =
        text.find(':') != std::string_view::npos || text.find_first_not_of("0123456789.") == std::string_view::npos;
    if (looks_literal ? IpAddress::parse(literal).has_value() : is_host_name(text)) return std::string(text);
    return Unexpected{std::string(expected)};
}

Parsed<Endpoint> parse_endpoint(std::string_view text) {
    const auto fail = [] {
        return Unexpected{std::string("expected ADDRESS:PORT such as 127.0.0.1:9547 or [::1]:9547")};
    };
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return fail();
    auto host = text.substr(0, colon);
    const auto port = parse_number<std::uint16_t>(text.substr(colon + 1), 1);
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    const bool has_colon = host.find(':') != std::string_view::npos;
    if (!port || has_colon != bracketed || !parse_host(host)) return fail();
    return Endpoint{std::string(host), *port};
}

bool is_loopback(const Endpoint& e) {
    const auto address = IpAddress::parse(e.host);
    if (!address) return e.host == "localhost";
    if (address->family() == Family::v4) return address->v4_value() >> 24 == 127;
    return address->to_string() == "::1";
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
    const auto wanted = folded(word.substr(0, 64));
    for (const auto candidate : candidates) {
        const auto distance = edit_distance(wanted, folded(candidate));
        // Replacing every letter is not a resemblance: 'x' is not near 'a'.
        if (distance < best_distance && distance < candidate.size()) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

std::string either_of(std::span<const std::string_view> words) {
    std::string out;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
        out += words[i];
    }
    return out;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
    const auto meant = nearest(word, known);
    return meant.empty() ? "expected " + either_of(known) : "did you mean " + in_quotes(meant) + "?";
}

std::string in_quotes(std::string_view text) {
    constexpr std::size_t shown_max = 60;
    std::string out = "'";
    for (const char c : text.substr(0, shown_max)) {
        const auto octet = static_cast<unsigned char>(c);
        out += octet < 0x20 || octet == 0x7f ? '?' : c;
    }
    return out + (text.size() > shown_max ? "...'" : "'");
}

}  // namespace leasemirror
