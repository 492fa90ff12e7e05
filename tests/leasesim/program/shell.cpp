#include "tests/leasesim/program/shell.hpp"

#include "tests/leasesim/program/control.hpp"
#include "tests/leasesim/program/socket_connection.hpp"
#include "tests/leasesim/program/udp_socket.hpp"

#include <asio.hpp>

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <functional>
#include <iostream>
#include <list>
#include <memory>

namespace leasemirror::leasesim {

namespace {

using asio::ip::tcp;

constexpr std::chrono::seconds drain_time{5};  // for last messages, before the program leaves anyway

class Shell {
public:
    explicit Shell(const Run& run)
        : tls_(run.server.tls == TlsMode::off ? nullptr : std::make_unique<TlsContext>(run.tls)),
          server_(run.server, now_utc()),
          acceptor_(io_, tcp::endpoint(asio::ip::make_address(run.address), run.port)),
          signals_(io_, SIGTERM, SIGINT, SIGHUP),
          input_(io_),
          stop_churn_(io_),
          end_(io_) {
        if (run.udp) udp_ = std::make_unique<UdpSocket>(io_, run, server_);
        asio::error_code ignored;
        if (const int input = ::dup(STDIN_FILENO); input >= 0) input_.assign(input, ignored);
        if (run.stop_churn_after) after(stop_churn_, *run.stop_churn_after, [this] { server_.stop_churn(now_utc()); });
        if (run.run_for) after(end_, *run.run_for, [this] { shutdown(); });
    }

    ~Shell() {  // handlers that are still pending outlive the server, its connections must not
        for (const auto& c : connections_)
            c->drop();
    }
    Shell(const Shell&) = delete;
    Shell& operator=(const Shell&) = delete;

    int serve() {
        std::cout << "listening " << acceptor_.local_endpoint() << '\n';
        if (udp_) {
            std::cout << "udp " << udp_->local() << '\n';
            udp_->start();
        }
        std::cout.flush();
        accept();
        wait_for_signal();
        read_command();
        io_.run();
        return 0;
    }

private:
    static void after(asio::steady_timer& timer, std::chrono::milliseconds time, std::function<void()> act) {
        timer.expires_after(time);
        timer.async_wait([act = std::move(act)](const asio::error_code& error) {
            if (!error) act();
        });
    }
    void accept() {
        acceptor_.async_accept([this](const asio::error_code& error, tcp::socket socket) {
            if (error == asio::error::operation_aborted) return;
            if (!error) {
                connections_.remove_if([](const auto& c) { return c->over(); });
                connections_.push_back(
                    std::make_shared<SocketConnection>(std::move(socket), server_.accept(now_utc()), tls_.get()));
                connections_.back()->start();
            }
            accept();
        });
    }
    void wait_for_signal() {
        signals_.async_wait([this](const asio::error_code& error, int signal) {
            if (error) return;
            if (signal == SIGHUP) {
                server_.restart(now_utc());
                pump_all();
                return wait_for_signal();
            }
            shutdown();
        });
    }
    void read_command() {
        asio::async_read_until(
            input_, asio::dynamic_buffer(line_), '\n', [this](const asio::error_code& error, std::size_t n) {
                if (error) return;  // nobody commands; that is no reason to leave
                const auto result = control(server_, std::string_view(line_).substr(0, n - 1), now_utc(),
                                            [](const std::string& text) { std::cout << text << '\n'; });
                std::cout.flush();
                line_.erase(0, n);
                if (result.leave) return shutdown();
                pump_all();
                read_command();
            });
    }
    void pump_all() {
        // A connection that ends while it is pumped stays in the list until the next accept.
        for (const auto& c : connections_)
            c->pump();
    }
    void shutdown() {
        server_.shutdown(now_utc());
        pump_all();
        asio::error_code ignored;
        if (udp_) udp_->close();
        acceptor_.close(ignored);
        signals_.cancel(ignored);
        input_.close(ignored);
        stop_churn_.cancel();
        // io_.run() ends with the last connection; a peer that does not read is not waited for.
        after(end_, drain_time, [this] { io_.stop(); });
        poll_end();
    }
    void poll_end() {
        connections_.remove_if([](const auto& c) { return c->over(); });
        if (connections_.empty()) return io_.stop();
        after(stop_churn_, std::chrono::milliseconds{20}, [this] { poll_end(); });
    }

    asio::io_context io_{1};
    std::unique_ptr<TlsContext> tls_;
    ModelServer server_;
    tcp::acceptor acceptor_;
    std::unique_ptr<UdpSocket> udp_;
    asio::signal_set signals_;
    asio::posix::stream_descriptor input_;
    asio::steady_timer stop_churn_, end_;
    std::string line_;
    std::list<std::shared_ptr<SocketConnection>> connections_;
};

}  // namespace

int serve(const Run& run) {
    try {
        Shell shell(run);
        return shell.serve();
    } catch (const std::runtime_error& e) {  // an address that cannot be had, a certificate that cannot be read
        std::cerr << "leasesim: " << e.what() << '\n';
        return 3;
    }
}

}  // namespace leasemirror::leasesim
