// storage.url, before anything is opened: which engine it names, whether it can be right, and what may be shown of it.
#pragma once

#include "proto/result.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

enum class StoreEngine : std::uint8_t { sqlite, postgresql };

/// By its scheme; nothing if that is of neither engine.
[[nodiscard]] std::optional<StoreEngine> engine_named_by(std::string_view url);

/// `url` with *** for each password in it: what logs, errors and tables show. Where a password that is not
/// percent-encoded makes the URL ambiguous, it hides too much rather than too little.
[[nodiscard]] std::string redacted_url(std::string_view url);

/// A postgresql:// URL in its parts, percent-decoded. libpq reads the URL itself and has the last word.
struct PostgresUrl {
    std::string user;
    bool has_password = false;
    std::vector<std::string> hosts;  ///< names, addresses, or directories of a socket; empty: libpq's default
    std::string database;
    std::map<std::string, std::string> parameters;
};

/// The error is a sentence part such as "expected a port from 1 to 65535 after the host", which repeats no value.
[[nodiscard]] Result<PostgresUrl, std::string> parse_postgres_url(std::string_view url);

}  // namespace leasemirror
