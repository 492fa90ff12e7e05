#include "tests/storage/tcp_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <stdexcept>

namespace leasemirror::testing {
namespace {

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return out;
}

void send_all(int to, const std::string& data) {
    for (std::size_t at = 0; at < data.size();) {
        const auto sent = ::send(to, data.data() + at, data.size() - at, MSG_NOSIGNAL);
        if (sent <= 0) return;
        at += static_cast<std::size_t>(sent);
    }
}

/// Empty: the other side has closed.
std::string receive(int from) {
    std::array<char, 65536> buffer{};
    const auto got = ::recv(from, buffer.data(), buffer.size(), 0);
    return got <= 0 ? std::string{} : std::string(buffer.data(), static_cast<std::size_t>(got));
}

/// A simple query, as the driver sends it: 'Q', length, text and a zero.
const std::string commit_message(
    "Q\0\0\0\x0b"
    "COMMIT",
    11);
/// What ends the answer to it: 'Z', length, 'I' for no transaction.
const std::string ready_message("Z\0\0\0\x05I", 6);

}  // namespace

TcpProxy::TcpProxy(std::uint16_t server_port) : server_port_(server_port) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    auto address = loopback(0);
    socklen_t length = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, 8) != 0)
        throw std::runtime_error("the proxy cannot listen");
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
}

TcpProxy::~TcpProxy() {
    ::shutdown(listener_, SHUT_RDWR);  // ends accept()
    thread_.join();
    ::close(listener_);
}

/// One connection after the other: a store has no more than one.
void TcpProxy::serve() {
    for (;;) {
        const int client = ::accept(listener_, nullptr, nullptr);
        if (client < 0) return;
        pass_on(client);
        ::close(client);
    }
}

void TcpProxy::pass_on(int client) {
    const int server = ::socket(AF_INET, SOCK_STREAM, 0);
    const auto address = loopback(server_port_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        std::array<pollfd, 2> ends{{{client, POLLIN, 0}, {server, POLLIN, 0}}};
        while (::poll(ends.data(), ends.size(), -1) > 0) {
            if (ends[0].revents != 0) {
                const auto sent = receive(client);
                if (sent.empty() || commit_comes(server, sent)) break;
                send_all(server, sent);
            }
            if (ends[1].revents != 0) {
                const auto answer = receive(server);
                if (answer.empty()) break;
                send_all(client, answer);
            }
        }
    }
    ::close(server);
}

/// Whether the connection is to be cut here.
bool TcpProxy::commit_comes(int server, const std::string& sent) {
    if (sent.find(commit_message) == std::string::npos) return false;
    const auto how = cut_.exchange(Cut::none);
    if (how == Cut::none) return false;
    ++cuts_;
    if (how == Cut::after) {
        send_all(server, sent);
        for (std::string answer; answer.find(ready_message) == std::string::npos;) {
            const auto part = receive(server);
            if (part.empty()) break;
            answer += part;
        }
    }
    return true;
}

}  // namespace leasemirror::testing
