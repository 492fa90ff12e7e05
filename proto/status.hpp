// Status codes of both families under one set of names: the same name has different numbers in v4 and v6
// (RFC 7724 §5.2.2, RFC 7653 §11), so the numbers stay in the codecs and only these travel further.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace leasemirror {

enum class StatusCode : std::uint8_t {
    success,
    unspec_fail,
    query_terminated,
    malformed_query,
    not_allowed,
    data_missing,
    connection_active,
    catch_up_complete,
    tls_connection_refused,
    not_supported,
    unknown_query_type,
    not_configured,
    unknown  ///< a number that no RFC we know defines; treated as unspec_fail
};

[[nodiscard]] std::string_view to_string(StatusCode c);  // "QueryTerminated", ...: the RFCs' spelling

/// A status as it arrived. `text` is UTF-8 from the server, points into the message, and may be hostile:
/// it may hold NULs, control characters or invalid UTF-8 (see printable()).
struct Status {
    StatusCode code = StatusCode::success;
    std::uint16_t number = 0;  ///< as on the wire
    std::string_view text;

    friend bool operator==(const Status&, const Status&) = default;
};

/// From the number on the wire; `unknown` for one that this family does not define.
[[nodiscard]] StatusCode status_code_v4(std::uint16_t number);
[[nodiscard]] StatusCode status_code_v6(std::uint16_t number);

/// The number on the wire; nothing where this family has no such status.
[[nodiscard]] std::optional<std::uint8_t> status_number_v4(StatusCode c);
[[nodiscard]] std::optional<std::uint16_t> status_number_v6(StatusCode c);

/// A status to send, with its number in that family. The family must have it.
[[nodiscard]] Status make_status_v4(StatusCode c, std::string_view text = {});
[[nodiscard]] Status make_status_v6(StatusCode c, std::string_view text = {});

/// Text from a peer, made safe to log and to store: always valid UTF-8 of at most `bytes_max` octets and whole
/// characters. NULs and spaces at its end are dropped; every other control character, mark that turns the
/// direction of text, and octet that is not UTF-8 becomes '?'.
[[nodiscard]] std::string printable(std::string_view text, std::size_t bytes_max = 512);
/// The same, appended to `out`.
void append_printable(std::string& out, std::string_view text, std::size_t bytes_max);

/// Text from a peer of which nothing may be lost, appended to `out`: what printable() keeps stays as it is, each octet of
/// the rest becomes \xHH, a backslash \\. So does `also`, with a backslash before it, unless it is '\0'.
void append_lossless(std::string& out, std::string_view text, char also = '\0');

}  // namespace leasemirror
