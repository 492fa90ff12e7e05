// Stands between a store and its PostgreSQL server, and cuts the connection at a COMMIT.
#pragma once

#include <atomic>
#include <string>
#include <thread>

namespace leasemirror::testing {

class TcpProxy {
public:
    /// What happens to the next COMMIT; then the proxy passes everything on again.
    enum class Cut : unsigned char {
        none,
        before,  ///< it does not reach the server, which rolls back when it sees the connection gone
        after,   ///< it is carried out, and the answer does not reach the client
    };

    /// Passes connections on to that port of 127.0.0.1.
    explicit TcpProxy(std::uint16_t server_port);
    ~TcpProxy();
    TcpProxy(const TcpProxy&) = delete;
    TcpProxy& operator=(const TcpProxy&) = delete;

    [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
    void cut(Cut how) { cut_ = how; }
    [[nodiscard]] int cuts() const { return cuts_; }

private:
    void serve();
    void pass_on(int client);
    bool commit_comes(int server, const std::string& sent);

    const std::uint16_t server_port_;
    std::uint16_t port_ = 0;
    int listener_ = -1;
    std::atomic<Cut> cut_ = Cut::none;
    std::atomic<int> cuts_ = 0;
    std::thread thread_;
};

}  // namespace leasemirror::testing
