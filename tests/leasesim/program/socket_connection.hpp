// One accepted socket around its ModelConnection, with TLS between them where the model says so.
// Of the shell: included by shell.cpp alone.
#pragma once

#include "tests/leasesim/model_connection.hpp"
#include "tests/leasesim/program/tls_pipe.hpp"

#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>

#include <memory>

namespace leasemirror::leasesim {

/// True time, for all of the shell.
[[nodiscard]] UtcMillis now_utc();

/// Lives until both directions are quiet after a Close.
class SocketConnection : public std::enable_shared_from_this<SocketConnection> {
public:
    /// `tls` may be null where the model never says BeginTls, and must live as long as the connection.
    SocketConnection(asio::ip::tcp::socket socket, std::unique_ptr<ModelConnection> model, const TlsContext* tls);

    void start();
    /// Does what there is to do; called after every event.
    void pump();
    [[nodiscard]] bool over() const { return over_; }
    void drop();

private:
    [[nodiscard]] bool give_to_model();
    void read();
    void on_read(bool at_end, std::size_t n);
    void on_tls_read(ByteView octets);
    [[nodiscard]] bool flush_tls();
    void act(const Output& output);
    void send(ByteView bytes);
    void write(ByteView bytes);
    void on_written();
    void arm();
    void close(Close how);
    void linger();

    asio::ip::tcp::socket socket_;
    asio::steady_timer timer_;
    std::unique_ptr<ModelConnection> model_;
    const TlsContext* context_;
    std::unique_ptr<TlsPipe> tls_;
    Bytes buffer_ = Bytes(16 * 1024);
    Bytes wire_;  ///< encrypted, on its way
    bool reading_ = false, writing_ = false, at_end_ = false, over_ = false;
    bool sending_ = false;  ///< a Send of the model is not all written yet
};

}  // namespace leasemirror::leasesim
