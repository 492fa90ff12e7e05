#include "agent/net/tls_stream.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

/// Writes that may wait for the server to read. Of queries one at a time is outstanding, so it is never more than a
/// few.
constexpr std::size_t writes_waiting_max = 64;

}  // namespace

TlsStream::TlsStream(TcpStream& tcp, std::unique_ptr<TlsSession> session)
    : tcp_(tcp), session_(std::move(session)), decrypted_(TcpStream::read_bytes_max) {}

void TlsStream::feed(ByteView arrived) {
    session_->feed(arrived);
    may_hold_octets_ = true;
}

TlsSession::Handshake TlsStream::handshake() {
    const auto reached = session_->handshake();
    if (reached == TlsSession::Handshake::failed || flush()) return reached;
    return TlsSession::Handshake::failed;
}

void TlsStream::send(ByteView octets) {
    session_->write(octets);
    tcp_.write(session_->take_output(), TcpStream::Tells::sent);
}

TlsStream::Portion TlsStream::read(std::size_t octets) {
    const auto read = session_->read(std::span(decrypted_).first(std::min(octets, decrypted_.size())));
    if (read.what == What::octets) received_anything_ = true;
    if (read.what != What::nothing) return {read.what, ByteView(decrypted_).first(read.count)};
    may_hold_octets_ = false;  // a record has begun, or one came that only TLS itself had use for
    return {flush() ? What::nothing : What::failed, {}};
}

/// Writes what TLS itself has to say. A server that makes it say much and reads nothing must not fill our memory.
bool TlsStream::flush() {
    if (tcp_.writes_waiting() >= writes_waiting_max) {
        flooded_ = "TLS: the server makes us answer more than it reads";
        return false;
    }
    tcp_.write(session_->take_output(), TcpStream::Tells::nothing);
    return true;
}

std::optional<std::string> TlsStream::why_cut_off(bool handshaking) {
    for (auto rest = tcp_.read_now(); !rest.empty(); rest = tcp_.read_now())
        session_->feed(rest);
    const bool failed = handshaking ? session_->handshake() == TlsSession::Handshake::failed
                                    : !received_anything_ && session_->read(decrypted_).what == What::failed;
    if (failed) return session_->why();
    return std::nullopt;
}

Bytes TlsStream::last_words(bool open) {
    if (open) session_->close();
    return session_->take_output();
}

}  // namespace leasemirror
