#include "proto/session/tls_upgrade.hpp"

#include "proto/session/session.hpp"
#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"

#include <array>
#include <cassert>
#include <utility>

namespace leasemirror {
namespace {

/// What an operator can do about a server that does not go along.
std::string what_to_do() {
    return "; enable TLS for leasequery there; if it expects TLS from the first octet, set tls.mode to direct; " +
           std::string(no_tls_hint);
}

Bytes request_of(Family family, std::uint32_t xid) {
    std::array<std::uint8_t, 512> room{};
    ByteWriter out(room);
    const auto length = out.reserve_u16();
    if (family == Family::v4) {
        MessageV4 m;
        m.op = static_cast<std::uint8_t>(OpV4::boot_request);
        m.type = MessageTypeV4::tls;
        m.xid = xid;
        encode_v4(m, out);
    } else {
        MessageV6 m;
        m.type = MessageTypeV6::start_tls;
        m.xid = xid;
        encode_v6(m, out);
    }
    out.patch_u16(length);
    assert(out.ok());
    const auto written = out.written();
    return {written.begin(), written.end()};
}

}  // namespace

TlsUpgrade::TlsUpgrade(Family family, std::uint32_t xid)
    : family_(family),
      xid_(xid & transaction_id_mask(family)),
      request_(request_of(family, xid_)),
      frames_(family == Family::v4 ? header_bytes_v4 : header_bytes_v6) {}

void TlsUpgrade::on_bytes(ByteView in) {
    if (state_ != UpgradeState::asked) return;
    frames_.append(in);
    const auto message = frames_.next();
    if (frames_.bad_length())
        return refuse("the answer to " + request_name() +
                      " is no DHCP message: " + framing_lost_text(*frames_.bad_length()) + what_to_do());
    if (!message) return;
    on_message(*message);
    if (state_ == UpgradeState::granted && frames_.pending() > 0) on_octets_behind(frames_.pending());
}

void TlsUpgrade::on_octets_behind(std::size_t count) {
    refuse(std::to_string(count) + " octets in clear text came behind the answer to " + request_name() +
           ", before TLS began: somebody on the way may be attacking this connection");
}

void TlsUpgrade::on_message(ByteView message) {
    const auto garbled = [this](const DecodeError& e) {
        refuse("the answer to " + request_name() + " cannot be understood: " + to_string(e));
    };
    if (family_ == Family::v4) {
        ScratchV4 scratch;
        const auto decoded = decode_v4(message, scratch);
        return decoded ? on_message(*decoded) : garbled(decoded.error());
    }
    ScratchV6 scratch;
    const auto decoded = decode_v6(message, scratch);
    return decoded ? on_message(*decoded) : garbled(decoded.error());
}

void TlsUpgrade::on_message(const MessageV4& m) {
    if (m.type == MessageTypeV4::tls) return on_reply(m.xid, m.status);
    refuse("the server answered DHCPTLS with message type " + std::to_string(static_cast<int>(m.type)) +
           (m.status ? " (" + status_in_words(*m.status) + ")" : "") + what_to_do());
}

void TlsUpgrade::on_message(const MessageV6& m) {
    // It need carry no identifiers: STARTTLS has none that they could answer to.
    if (m.type == MessageTypeV6::reply) return on_reply(m.xid, m.status);
    refuse("the server answered STARTTLS with message type " + std::to_string(static_cast<int>(m.type)) +
           (m.status ? " (" + status_in_words(*m.status) + ")" : "") + what_to_do());
}

void TlsUpgrade::on_reply(std::uint32_t xid, const std::optional<Status>& status) {
    if (xid != xid_) return refuse("the answer to " + request_name() + " is " + foreign_transaction_text(xid, xid_));
    // A status of success counts as none; any other refuses, whatever it is (RFC 7653 §8.2, RFC 7724 §7.2).
    if (status && status->code != StatusCode::success)
        return refuse("the server refused TLS: " + status_in_words(*status) + what_to_do());
    state_ = UpgradeState::granted;
}

void TlsUpgrade::on_disconnected(const std::string& how) {
    refuse("the server closed the connection on " + request_name() + " (" + how +
           "): perhaps no TLS there, the wrong port or family, a requestor that it does not permit, or too many "
           "connections" +
           what_to_do());
}

void TlsUpgrade::on_silence() {
    refuse("the server did not answer " + request_name() + " in time" + what_to_do());
}

void TlsUpgrade::refuse(std::string why) {
    if (state_ == UpgradeState::refused) return;
    state_ = UpgradeState::refused;
    why_ = std::move(why);
}

}  // namespace leasemirror
