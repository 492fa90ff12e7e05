#include "agent/cli/values.hpp"

#include "agent/query/record_text.hpp"
#include "proto/binding.hpp"

namespace leasemirror {
namespace {

constexpr std::size_t client_id_bytes_min = 2;  // RFC 2132 §9.14; a DUID has more
constexpr std::size_t client_id_bytes_max = 1024;

}  // namespace

Parsed<Sought> parse_sought(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address)
        return Unexpected{std::string("expected an address such as 192.0.2.7, or a prefix such as 2001:db8::/56")};
    if (slash == std::string_view::npos) return Sought{*address, std::nullopt};
    const std::uint8_t most = address->family() == Family::v4 ? 32 : 128;
    const auto len = parse_number<std::uint8_t>(text.substr(slash + 1), 0, most);
    if (!len) return Unexpected{"after the /, " + len.error()};
    const Sought sought{address->prefix(*len), *len};
    if (sought.address != *address)
        return Unexpected{"expected no bits set behind the prefix; did you mean " + to_string(sought) + "?"};
    return sought;
}

std::string to_string(const Sought& sought) {
    auto out = sought.address.to_string();
    if (sought.prefix_len) out += "/" + std::to_string(*sought.prefix_len);
    return out;
}

std::string to_string(const HolderSought& sought) {
    switch (sought.by) {
        case HolderSought::By::hw_addr:
            return "MAC " + to_hex(sought.value, ':');
        case HolderSought::By::client_id:
            return "client-id " + identifier_text(sought.value);
        case HolderSought::By::remote_id:
            return "remote-id " + identifier_text(sought.value);
        case HolderSought::By::circuit_id:
            break;
    }
    return "circuit-id " + identifier_text(sought.value);
}

Parsed<Bytes> parse_client_id(std::string_view text) {
    return parse_identifier(text, client_id_bytes_min, client_id_bytes_max);
}

Parsed<Sought> parse_prefix(std::string_view text) {
    const auto sought = parse_sought(text);
    if (sought && sought->prefix_len) return *sought;
    if (!sought && text.find('/') != std::string_view::npos && IpAddress::parse(text.substr(0, text.find('/'))))
        return Unexpected{sought.error()};
    return Unexpected{std::string("expected a prefix with its length, such as 2001:db8:100::/56")};
}

Parsed<Bytes> parse_query_id(std::string_view text) {
    return parse_identifier(text, 1, client_id_bytes_max);
}

Parsed<std::int64_t> parse_seq(std::string_view text) {
    return parse_number<std::int64_t>(text, 0);
}

}  // namespace leasemirror
