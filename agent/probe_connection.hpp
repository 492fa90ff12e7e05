// One blocking TCP connection with deadlines that drives a session of proto/: the small brother of connection.hpp, for
// one-off questions. Private to the probe.
#pragma once

#include "agent/config.hpp"
#include "proto/session.hpp"

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <span>
#include <string>

namespace leasemirror {

class ProbeConnection {
public:
    /// Nothing, or why it could not be reached. Addresses of a name are tried in turn within `timeouts.connect`.
    [[nodiscard]] std::optional<std::string> connect(const ServerConfig& server);
    /// From any thread: what is being waited for here ends at once, and so does everything that is begun later. Reaches
    /// connect() and drive(), for Ctrl-C; a session is told that it was disconnected.
    void interrupt();
    /// The address that answered, or was tried last.
    [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

    /// Feeds the session and shows `on_action` what it says, until that has returned true and all that has arrived is
    /// worked off (true), or `wait` is over (false).
    template <class Session, class OnAction>
    bool drive(Session& session, std::chrono::milliseconds wait, OnAction on_action) {
        const auto until = std::chrono::steady_clock::now() + wait;
        while (true) {
            bool settled = false;
            while (const auto action = session.poll_action()) {
                if (const auto* const send = std::get_if<action::Send>(&*action)) {
                    deliver(session, write(send->bytes, until));
                    continue;
                }
                settled = on_action(*action) || settled;
            }
            if (settled) return true;
            const auto now = std::chrono::steady_clock::now();
            if (now >= until) return false;
            std::array<std::uint8_t, 16384> buffer;
            const auto room = std::min(buffer.size(), session.wants_bytes());
            std::size_t got = 0;
            const auto fault = read(std::span(buffer).first(room), until, got);
            if (fault.empty())
                session.on_bytes(ByteView(buffer).first(got), now_of());
            else if (fault == timed_out)
                return false;
            else
                session.on_disconnected(fault, now_of());
        }
    }
    [[nodiscard]] static SessionNow now_of();

private:
    using Deadline = std::chrono::steady_clock::time_point;
    static constexpr std::string_view timed_out = "timed out";

    template <class Session>
    void deliver(Session& session, const std::string& fault) {
        if (fault.empty())
            session.on_sent(now_of());
        else
            session.on_disconnected(fault, now_of());
    }
    /// Empty, or what went wrong.
    [[nodiscard]] std::string write(ByteView octets, Deadline until);
    [[nodiscard]] std::string read(std::span<std::uint8_t> into, Deadline until, std::size_t& got);
    /// Runs what was started until it has ended; cancels it at `until`.
    [[nodiscard]] std::string finish(const std::optional<std::error_code>& outcome, Deadline until);

    std::atomic<bool> interrupted_{false};
    asio::io_context context_;
    asio::ip::tcp::socket socket_{context_};
    std::string endpoint_;
};

}  // namespace leasemirror
