#include "agent/probe_connection.hpp"

#include <asio/buffer.hpp>
#include <asio/connect.hpp>
#include <asio/post.hpp>
#include <asio/write.hpp>

namespace leasemirror {

using asio::ip::tcp;

std::string ProbeConnection::finish(const std::optional<std::error_code>& outcome, Deadline until) {
    context_.restart();
    if (!interrupted_) context_.run_until(until);
    if (outcome) return *outcome ? outcome->message() : "";
    std::error_code ignored;
    socket_.close(ignored);
    while (!outcome) {  // the cancelled operation reports, and lets go of our buffers
        context_.restart();
        context_.run();
    }
    return interrupted_ ? "interrupted" : std::string(timed_out);
}

void ProbeConnection::interrupt() {
    interrupted_ = true;
    asio::post(context_, [this] { context_.stop(); });  // ends a wait that has begun
}

std::optional<std::string> ProbeConnection::connect(const ServerConfig& server) {
    endpoint_ = server.address + " port " + std::to_string(server.port);
    const auto until = std::chrono::steady_clock::now() + server.timeouts.connect;
    tcp::resolver resolver(context_);
    std::optional<std::error_code> outcome;
    tcp::resolver::results_type found;
    resolver.async_resolve(server.address, std::to_string(server.port), tcp::resolver::numeric_service,
                           [&](const std::error_code& fault, tcp::resolver::results_type results) {
                               outcome = fault;
                               found = std::move(results);
                           });
    if (!interrupted_) context_.run_until(until);
    if (!outcome) {
        resolver.cancel();
        while (!outcome) {
            context_.restart();
            context_.run();
        }
        if (interrupted_) return "interrupted";
        return "the name " + server.address +
               " was not resolved within timeouts.connect; see the resolver of this host";
    }
    if (*outcome) return "cannot resolve " + server.address + ": " + outcome->message();
    outcome.reset();
    asio::async_connect(
        socket_, found,
        [this](const std::error_code&, const tcp::endpoint& next) {
            endpoint_ = next.address().to_string() + " port " + std::to_string(next.port());
            return true;
        },
        [&](const std::error_code& fault, const tcp::endpoint&) { outcome = fault; });
    const auto fault = finish(outcome, until);
    if (fault.empty()) return std::nullopt;
    if (fault == timed_out) return "no answer from " + endpoint_ + " within timeouts.connect; is a firewall between?";
    return "cannot connect to " + endpoint_ + ": " + fault + "; does the server listen there for leasequery over TCP?";
}

std::string ProbeConnection::write(ByteView octets, Deadline until) {
    std::optional<std::error_code> outcome;
    asio::async_write(socket_, asio::buffer(octets.data(), octets.size()),
                      [&](const std::error_code& fault, std::size_t) { outcome = fault; });
    return finish(outcome, until);
}

std::string ProbeConnection::read(std::span<std::uint8_t> into, Deadline until, std::size_t& got) {
    std::optional<std::error_code> outcome;
    socket_.async_read_some(asio::buffer(into.data(), into.size()), [&](const std::error_code& fault, std::size_t n) {
        outcome = fault;
        got = n;
    });
    return finish(outcome, until);
}

SessionNow ProbeConnection::now_of() {
    const auto utc = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    return {std::chrono::steady_clock::now(), ServerTime{utc.time_since_epoch()}};
}

}  // namespace leasemirror
