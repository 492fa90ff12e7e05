// One blocking connection with deadlines that drives a session of proto/: a Connection (connection.hpp), clear text or
// TLS, with an event loop of its own, for one-off questions.
#pragma once

#include "agent/config/certificate_end.hpp"
#include "agent/config/config.hpp"
#include "agent/net/host.hpp"
#include "proto/session/session.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace leasemirror {

/// Of a session for a one-off question: it begins with a transaction-id drawn at random.
[[nodiscard]] SessionSettings session_settings(const ServerConfig& server, const Bytes& requestor_duid,
                                               std::vector<std::uint16_t> request_options,
                                               std::chrono::milliseconds data_timeout);

class ProbeConnection {
public:
    ProbeConnection();
    ~ProbeConnection();
    ProbeConnection(const ProbeConnection&) = delete;
    ProbeConnection& operator=(const ProbeConnection&) = delete;

    /// Nothing, or why it could not be had, as the configuration wants it: secured, unless tls.mode is off. Each stage
    /// has `timeouts.connect`. Reads the certificates that it needs.
    [[nodiscard]] std::optional<std::string> connect(const ServerConfig& server);
    /// From any thread: what is being waited for here ends at once, and so does everything that is begun later. Reaches
    /// connect() and drive(), for Ctrl-C; a session is told that it was disconnected.
    void interrupt();
    /// The address that answered, or was tried last.
    [[nodiscard]] const std::string& endpoint() const;
    /// Why the server, after connect() had it, refused it after all: over TLS that may come late (connection.hpp).
    [[nodiscard]] const std::optional<std::string>& refusal() const;
    /// When the first of the two certificates ends; none without TLS.
    [[nodiscard]] const std::optional<CertificateEnd>& first_end() const;

    /// Feeds the session and shows `on_action` what it says, until that has returned true and all that has arrived is
    /// worked off (true), or `wait` is over (false). The session's own deadlines are kept.
    template <class Session, class OnAction>
    bool drive(Session& session, std::chrono::milliseconds wait, OnAction on_action) {
        const auto until = std::chrono::steady_clock::now() + wait;
        while (true) {
            bool settled = false;
            while (const auto action = session.poll_action()) {
                if (const auto* const send = std::get_if<action::Send>(&*action)) {
                    this->send(send->bytes);
                    continue;
                }
                settled = on_action(*action) || settled;
            }
            if (settled) return true;
            if (std::chrono::steady_clock::now() >= until) return false;
            const auto deadline = session.next_deadline();
            const auto event =
                next_event(std::min(room_max, session.wants_bytes()), deadline ? std::min(*deadline, until) : until);
            if (!event)
                session.on_deadline(host_session_now());
            else if (const auto* const in = std::get_if<Received>(&*event))
                session.on_bytes(in->octets, host_session_now());
            else if (const auto* const lost = std::get_if<Disconnected>(&*event))
                session.on_disconnected(lost->how, host_session_now());
            else
                session.on_sent(host_session_now());
        }
    }

private:
    using Deadline = std::chrono::steady_clock::time_point;
    static constexpr std::size_t room_max = 16384;

    struct Sent {};
    struct Received {
        Bytes octets;
    };
    struct Disconnected {
        std::string how;
    };
    using Event = std::variant<Sent, Received, Disconnected>;

    void send(ByteView octets);
    /// Nothing when `until` has come first. Reads at most `room` octets. After a disconnection nothing else comes.
    [[nodiscard]] std::optional<Event> next_event(std::size_t room, Deadline until);

    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace leasemirror
