// Messages as people read them, every field named: for `decode`.
#pragma once

#include "proto/bytes.hpp"
#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

/// Indented lines of "name: value".
class TextOutline {
public:
    void line(std::string_view name, std::string_view value);
    void heading(std::string_view text);
    void indent() { ++depth_; }
    void outdent() { --depth_; }
    [[nodiscard]] const std::string& text() const { return text_; }

private:
    void begin();

    std::string text_;
    std::size_t depth_ = 1;
};

/// "DHCPLEASEACTIVE", "LEASEQUERY-REPLY"; "type 99" for one that is not ours.
[[nodiscard]] std::string message_name(MessageTypeV4 type);
[[nodiscard]] std::string message_name(MessageTypeV6 type);

void describe(const MessageV4& m, TextOutline& out);
void describe(const MessageV6& m, TextOutline& out);

/// "00:01:02 ('text')": hex, and what it reads as where every octet is printable ASCII.
[[nodiscard]] std::string octets_text(ByteView octets);
/// "status 3 (MalformedQuery): text"
[[nodiscard]] std::string status_text(const Status& status);
/// "3600 s, until 2026-11-20T12:00:00Z"; "infinite".
[[nodiscard]] std::string remaining_text(std::uint32_t seconds, std::optional<ServerTime> base_time);
/// "300 s before, at 2026-11-20T12:00:00Z".
[[nodiscard]] std::string age_text(std::uint32_t seconds, std::optional<ServerTime> base_time);
/// "type 0 'vpn-a'"
[[nodiscard]] std::string vss_text(std::uint8_t type, ByteView info);

}  // namespace leasemirror
