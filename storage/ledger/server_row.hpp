// Columns of `server` that are the same values in every engine.
#pragma once

#include "proto/time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace leasemirror {

/// 'yes', 'no', or nothing for what is not known: server.active_support and window_support.
[[nodiscard]] constexpr std::string_view support_text(std::optional<bool> supported) {
    if (!supported) return {};
    return *supported ? "yes" : "no";
}
[[nodiscard]] constexpr std::optional<bool> support_of(std::string_view text) {
    if (text.empty()) return std::nullopt;
    return text == "yes";
}

/// 'snapshot', 'delta', or nothing: server.client_data.
[[nodiscard]] constexpr std::string_view client_data_text(std::optional<bool> complete_lists) {
    if (!complete_lists) return {};
    return *complete_lists ? "snapshot" : "delta";
}
[[nodiscard]] constexpr std::optional<bool> complete_lists_of(std::string_view text) {
    if (text.empty()) return std::nullopt;
    return text == "snapshot";
}

/// Whole days left, negative after the end: server.certificate_days.
[[nodiscard]] constexpr std::optional<std::int64_t> days_until(std::optional<UtcSeconds> end, UtcSeconds now) {
    if (!end) return std::nullopt;
    return std::chrono::floor<std::chrono::days>(*end - now).count();
}

}  // namespace leasemirror
