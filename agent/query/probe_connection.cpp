#include "agent/query/probe_connection.hpp"

#include "agent/net/connection.hpp"
#include "agent/net/tls_context.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <atomic>
#include <deque>
#include <utility>

namespace leasemirror {

struct ProbeConnection::Impl {
    ConnectionHooks hooks() {
        ConnectionHooks h;
        h.connected = [this](std::optional<CertificateEnd> end) {
            connected = true;
            first_end = end;
        };
        h.connect_failed = [this](const std::string& why) {
            (connected ? refusal : failed) = why;
            events.emplace_back(Disconnected{why});
        };
        h.sent = [this] { events.emplace_back(Sent{}); };
        h.received = [this](ByteView in) { events.emplace_back(Received{{in.begin(), in.end()}}); };
        h.disconnected = [this](const std::string& how) { events.emplace_back(Disconnected{how}); };
        h.wants = [this] { return events.empty() ? room : 0; };
        return h;
    }

    /// Until `done` says so, `until` has come, or somebody interrupts.
    template <class Done>
    void run(Deadline until, Done done) {
        while (!interrupted && !done() && std::chrono::steady_clock::now() < until)
            context.run_one_until(until);
    }

    std::atomic<bool> interrupted{false};
    asio::io_context context{1};
    asio::executor_work_guard<asio::io_context::executor_type> waits_for_more{context.get_executor()};
    std::deque<Event> events;
    std::size_t room = 0;
    bool connected = false;
    std::optional<std::string> failed;
    std::optional<std::string> refusal;
    std::optional<CertificateEnd> first_end;
    std::string endpoint;
    std::shared_ptr<Connection> connection;
};

SessionSettings session_settings(const ServerConfig& server, const Bytes& requestor_duid,
                                 std::vector<std::uint16_t> request_options, std::chrono::milliseconds data_timeout) {
    SessionSettings out;
    out.family = server.family;
    out.requestor_duid = requestor_duid;
    out.request_options = std::move(request_options);
    out.data_timeout = data_timeout;
    out.secured = server.tls.mode != TlsMode::off;
    out.first_xid = static_cast<std::uint32_t>(host_seed()) & transaction_id_mask(server.family);
    return out;
}

ProbeConnection::ProbeConnection() : impl_(std::make_unique<Impl>()) {}

ProbeConnection::~ProbeConnection() {
    if (impl_->connection) impl_->connection->close();
}

std::optional<std::string> ProbeConnection::connect(const ServerConfig& server) {
    auto& p = *impl_;
    p.endpoint = server.address + " port " + std::to_string(server.port);
    auto credentials = load_tls_credentials(server);
    if (!credentials) return credentials.error();
    p.connection = open_connection(p.context, target_of(server), *std::move(credentials), p.hooks());
    // The connection sees to it that each of its stages ends.
    p.run(std::chrono::steady_clock::now() + std::chrono::hours{24}, [&] { return p.connected || p.failed; });
    p.endpoint = p.connection->endpoint();
    if (p.connected) return std::nullopt;
    if (p.interrupted) return "interrupted";
    return "cannot connect to " + p.endpoint + ": " + p.failed.value_or("no answer in time");
}

void ProbeConnection::interrupt() {
    impl_->interrupted = true;
    asio::post(impl_->context, [] {});  // ends a wait that has begun
}

const std::string& ProbeConnection::endpoint() const {
    return impl_->endpoint;
}

const std::optional<std::string>& ProbeConnection::refusal() const {
    return impl_->refusal;
}

const std::optional<CertificateEnd>& ProbeConnection::first_end() const {
    return impl_->first_end;
}

void ProbeConnection::send(ByteView octets) {
    impl_->connection->send({octets.begin(), octets.end()});
}

std::optional<ProbeConnection::Event> ProbeConnection::next_event(std::size_t room, Deadline until) {
    auto& p = *impl_;
    p.room = room;
    p.connection->read_if_wanted();
    p.run(until, [&] { return !p.events.empty(); });
    p.room = 0;
    if (p.interrupted) return Disconnected{"interrupted"};
    if (p.events.empty()) return std::nullopt;
    auto event = std::move(p.events.front());
    p.events.pop_front();
    return event;
}

}  // namespace leasemirror
