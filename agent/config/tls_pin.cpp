#include "agent/config/tls_pin.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cassert>

namespace leasemirror {
namespace {

constexpr std::string_view prefix = "sha256//";
constexpr std::size_t hash_bytes = 32;
constexpr std::size_t base64_chars = 44;  // of 32 octets, with one '=' at the end

Parsed<Bytes> parse_pin(std::string_view text) {
    const auto wrong =
        Unexpected{std::string("expected sha256//, then 44 characters of base64; several separated by ';'")};
    if (!text.starts_with(prefix)) return wrong;
    text.remove_prefix(prefix.size());
    if (text.size() != base64_chars) return wrong;
    std::array<std::uint8_t, base64_chars> room{};
    const auto* const in = reinterpret_cast<const std::uint8_t*>(text.data());
    // 33 octets, the last of which the '=' stands for.
    if (EVP_DecodeBlock(room.data(), in, base64_chars) != hash_bytes + 1) return wrong;
    Bytes hash(room.begin(), room.begin() + hash_bytes);
    if (pin_text(hash) != std::string(prefix) + std::string(text)) return wrong;  // blanks, or bits behind the end
    return hash;
}

}  // namespace

Parsed<std::vector<Bytes>> parse_pins(std::string_view text) {
    std::vector<Bytes> out;
    while (true) {
        const auto end = text.find(';');
        auto pin = parse_pin(text.substr(0, end));
        if (!pin) return Unexpected{pin.error()};
        out.push_back(*std::move(pin));
        if (end == std::string_view::npos) return out;
        text.remove_prefix(end + 1);
    }
}

std::string pin_text(const Bytes& hash) {
    assert(hash.size() == hash_bytes);
    std::array<std::uint8_t, base64_chars + 1> room{};
    EVP_EncodeBlock(room.data(), hash.data(), static_cast<int>(hash.size()));
    return std::string(prefix) + reinterpret_cast<const char*>(room.data());
}

}  // namespace leasemirror
