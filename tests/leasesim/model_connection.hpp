// One accepted connection of the simulated server, without a socket.
//
//   securing   the handshake of TLS: BeginTls is due, or given and on_secured() is awaited
//   awaiting   nothing asked yet, or the last bulk query is done; closes after data_timeout of silence
//   bulk       a bulk query is being answered; no further request is read until it is done (RFC 6926 §8.4)
//   active     an active query: catching up (a replay cursor is set) and live, or live alone
//   closing    the last message is written; then Close
//   closed
//
// Replies are made while they are drained: poll() makes about one chunk of messages, never the whole answer, so a
// bulk of ten million is bounded by the reader's speed and takes no memory. Live updates need no queue either: the
// connection keeps its place in the stream of changes, and each message shows the state right after its change,
// with the base-time of that moment, as if it had been made then and had waited.
#pragma once

#include "proto/wire/frame_buffer.hpp"
#include "tests/leasesim/model_server.hpp"

#include <memory>
#include <optional>
#include <string_view>
#include <variant>

namespace leasemirror::leasesim {

struct Send {
    ByteView bytes;  ///< valid until on_writable()
};
/// What goes wrong with a handshake on purpose.
enum class TlsTrouble : std::uint8_t { none, truncated, garbage, stall, renegotiate };
/// From here on TLS is spoken, this side being the server; on_secured() or on_handshake_failed() tells how it ended.
/// Octets of the handshake are not for on_bytes().
struct BeginTls {
    TlsTrouble trouble = TlsTrouble::none;
};
/// `abort`: as a crash does, with what is still unsent lost. `unannounced`: without the close_notify of TLS.
struct Close {
    bool abort = false;
    bool unannounced = false;
};
using Output = std::variant<Send, BeginTls, Close>;

class ModelConnection {
public:
    ~ModelConnection();
    ModelConnection(const ModelConnection&) = delete;
    ModelConnection& operator=(const ModelConnection&) = delete;

    /// How many octets on_bytes() takes now. Zero while a query keeps the server busy: leave them in the socket.
    [[nodiscard]] std::size_t space() const;
    void on_bytes(ByteView in, UtcMillis now);
    /// The peer will send no more: the connection closes, a v6 bulk in progress first ends (RFC 5460 §7.4).
    void on_end_of_stream(UtcMillis now);
    /// The handshake after a BeginTls ended well.
    void on_secured(UtcMillis now);
    /// It did not, and the connection closes (RFC 7653 §9.1). `in_clear`: what came instead was no TLS at all.
    void on_handshake_failed(std::string_view why, bool in_clear, UtcMillis now);
    /// All octets of the last Send have been taken by the transport.
    void on_writable(UtcMillis now);
    /// Early or needless calls do nothing.
    void on_deadline(UtcMillis now);

    /// What to do next, if anything. After a Send nothing comes until on_writable(); after a Close nothing more.
    /// Ask again after every on_*() call, and after accept().
    [[nodiscard]] std::optional<Output> poll(UtcMillis now);
    /// When to call on_deadline() and then poll(); `now` or earlier means at once: there is more to look through.
    [[nodiscard]] std::optional<UtcMillis> next_deadline(UtcMillis now) const;

    /// A fault for this connection alone.
    void inject(const Fault& fault);

    [[nodiscard]] bool is_active_query() const;
    [[nodiscard]] bool catching_up() const;
    [[nodiscard]] bool closed() const;
    [[nodiscard]] std::uint64_t messages_sent() const;

private:
    friend class ModelServer;
    struct Impl;
    ModelConnection(ModelServer& server, bool refused, UtcMillis now);
    void on_shutdown(UtcMillis now);
    void on_crash();

    std::unique_ptr<Impl> impl_;
};

}  // namespace leasemirror::leasesim
