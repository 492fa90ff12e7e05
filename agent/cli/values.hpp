// Single values of the command line: text in, typed value out, or a sentence part that says what was expected. Pure.
#pragma once

#include "agent/config/values.hpp"
#include "storage/record.hpp"

namespace leasemirror {

/// 192.0.2.7, 2001:db8::1, 2001:db8:100::/56.
[[nodiscard]] Parsed<Sought> parse_sought(std::string_view text);
/// The other way round.
[[nodiscard]] std::string to_string(const Sought& sought);

/// "client-id 01:02:00:00:00:00:01", "MAC 02:00:00:00:00:01"
[[nodiscard]] std::string to_string(const HolderSought& sought);

/// As a client gives it to its server; of a length that is not found in just any message.
[[nodiscard]] Parsed<Bytes> parse_client_id(std::string_view text);

/// 2001:db8:100::/56: with its length.
[[nodiscard]] Parsed<Sought> parse_prefix(std::string_view text);

/// Any identifier that a query can ask for; which lengths a family allows is for plan_query() to say.
[[nodiscard]] Parsed<Bytes> parse_query_id(std::string_view text);

/// A `seq` of the change feed; 0 is before the first.
[[nodiscard]] Parsed<std::int64_t> parse_seq(std::string_view text);

}  // namespace leasemirror
