// How a connection in clear text asks to become one over TLS: DHCPTLS (RFC 7724 §7.2), STARTTLS (RFC 7653 §8.2).
//
//     asked --reply without a status--> granted        begin the TLS handshake, on this very connection
//       |
//       +--TLSConnectionRefused, any other reply, the server closes, silence--> refused        close, and say why
//
// One message goes out, as the first on the connection, and one comes back. In TLS the client speaks first, so any
// octet behind that reply was put there by somebody else, to be taken for part of the protected stream later:
// that too is `refused`. There is no way from `refused` to clear text.
#pragma once

#include "proto/bytes.hpp"
#include "proto/ip_address.hpp"
#include "proto/status.hpp"
#include "proto/wire/frame_buffer.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace leasemirror {

struct MessageV4;
struct MessageV6;

/// What each advice to try another tls.mode ends with, lest two of them send people in a circle.
inline constexpr std::string_view no_tls_hint =
    "if it has no TLS at all, as ISC Kea, nothing but tls.mode off reaches it, for a path that is trusted";

enum class UpgradeState : std::uint8_t { asked, granted, refused };

class TlsUpgrade {
public:
    /// `xid` must be of no query that follows on the connection (RFC 5460 §6.5).
    TlsUpgrade(Family family, std::uint32_t xid);

    /// What to send, framed; it carries no options but, in v4, the message type (RFC 7653 §8.2, RFC 7724 §7.2). Lives
    /// as long as this object.
    [[nodiscard]] ByteView request() const { return request_; }
    /// How many octets on_bytes() takes now; 0 once it is decided.
    [[nodiscard]] std::size_t wants_bytes() const { return state_ == UpgradeState::asked ? frames_.space() : 0; }
    /// `in` must not exceed wants_bytes(). Hand over all that was read: what is behind the reply must be seen here.
    void on_bytes(ByteView in);
    /// Once granted, before TLS begins: so many octets, not read yet, have come already.
    void on_octets_behind(std::size_t count);
    void on_disconnected(const std::string& how);
    /// No reply within the time that we give it; the RFCs name none.
    void on_silence();

    [[nodiscard]] UpgradeState state() const { return state_; }
    /// Once refused: why, as a sentence for people.
    [[nodiscard]] const std::string& why() const { return why_; }

private:
    void on_message(ByteView message);
    void on_message(const MessageV4& m);
    void on_message(const MessageV6& m);
    void on_reply(std::uint32_t xid, const std::optional<Status>& status);
    void refuse(std::string why);
    [[nodiscard]] std::string request_name() const { return family_ == Family::v4 ? "DHCPTLS" : "STARTTLS"; }

    Family family_;
    std::uint32_t xid_;
    Bytes request_;
    FrameBuffer frames_;
    UpgradeState state_ = UpgradeState::asked;
    std::string why_;
};

}  // namespace leasemirror
