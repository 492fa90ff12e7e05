// The text forms of what servers say, the same in every engine.
#pragma once

#include "proto/bytes.hpp"

#include <string>
#include <string_view>

namespace leasemirror {

/// `in` as valid UTF-8 that every SQL engine and reader takes: octets that are no part of a well-formed sequence and
/// control characters become \xHH, a backslash becomes \\. Nothing is lost. Returns `in` itself where nothing had to
/// change (the rule), else a view of `scratch`.
[[nodiscard]] std::string_view storable_text(std::string_view in, std::string& scratch);
[[nodiscard]] std::string storable_text(std::string_view in);

/// The same for Binding::hostname, where the decoder has escaped what it must already: a backslash stays one.
[[nodiscard]] std::string_view storable_host_name(std::string_view in, std::string& scratch);
[[nodiscard]] std::string storable_host_name(std::string_view in);

/// "00:1a:2b...": lower-case hex with colons, written over `out`.
void colon_hex(ByteView in, std::string& out);

/// Binding::options as JSON, {"39":"0001"}: code -> lower-case hex; the codes in ascending order, which is also
/// the order in which jsonb gives them back. A code that came more than once (v6 allows that) gives an array of hex
/// strings. Written over `out`; empty for no options.
void options_json(ByteView options, std::string& out);

}  // namespace leasemirror
