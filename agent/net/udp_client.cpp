#include "agent/net/udp_client.hpp"

#include "agent/net/host.hpp"
#include "proto/numbers_v6.hpp"

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/multicast.hpp>
#include <asio/ip/udp.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>

namespace leasemirror {
namespace {

using asio::ip::udp;

IpAddress from_asio(const asio::ip::address& address) {
    if (address.is_v4()) return IpAddress::v4(address.to_v4().to_uint());
    return IpAddress::from_bytes(address.to_v6().to_bytes());
}

asio::ip::address to_asio(const IpAddress& address) {
    if (address.family() == Family::v4) return asio::ip::address_v4(address.v4_value());
    asio::ip::address_v6::bytes_type octets;
    std::copy_n(address.bytes().begin(), octets.size(), octets.begin());
    return asio::ip::address_v6(octets);
}

std::string bind_fault(const std::error_code& fault, const IpAddress& giaddr, std::uint16_t port) {
    const auto where = giaddr.to_string() + " port " + std::to_string(port);
    const std::string why = ", where DHCPv4 servers answer (RFC 4388, section 6.4.3)";
    if (fault == asio::error::access_denied || fault == asio::error::no_permission)
        return "not permitted to receive at " + where + why +
               "; run this as root or with CAP_NET_BIND_SERVICE. requestor.port is for servers that answer to another "
               "port";
    if (fault == asio::error::address_in_use)
        return where + " is taken on this host, and it is" + why.substr(1) +
               "; stop the relay agent or DHCP server that has it, or ask from another host";
    if (fault.value() == EADDRNOTAVAIL)
        return giaddr.to_string() + " is no address of this host; requestor.giaddr must be one, or auto";
    return "cannot receive at " + where + why + ": " + fault.message();
}

/// Shared with the threads that look names up, which may outlive the client.
struct Bell {
    std::mutex mutex;  // of every Lookup too
    std::condition_variable rung;
};

struct Lookup {
    std::optional<std::error_code> outcome;  // none: not over
    udp::resolver::results_type found;
};

/// getaddrinfo() cannot be called off, and takes as long as the host's resolver is patient; Asio's resolver waits for it
/// when it is destroyed. So it has a thread that nobody waits for.
std::shared_ptr<const Lookup> begin_lookup(const ServerConfig& server, const std::shared_ptr<Bell>& bell) {
    auto lookup = std::make_shared<Lookup>();
    std::thread([lookup, bell, family = server.family, host = server.address, port = std::to_string(server.port)] {
        asio::io_context context;
        std::error_code fault;
        auto found = udp::resolver(context).resolve(family == Family::v4 ? udp::v4() : udp::v6(), host, port,
                                                    udp::resolver::numeric_service, fault);
        const std::scoped_lock lock(bell->mutex);
        lookup->outcome = fault;
        lookup->found = std::move(found);
        bell->rung.notify_all();
    }).detach();
    return lookup;
}

}  // namespace

struct UdpClient::Impl {
    std::optional<std::string> resolve(const ServerConfig& server);
    std::optional<std::string> find_giaddr(const RequestorConfig& requestor, UdpSettings& settings);
    std::optional<std::string> bind_v4(const IpAddress& giaddr, std::uint16_t port);
    std::optional<std::string> open_v6();
    void pump(UdpQuery& query);
    void send(UdpQuery& query, const udp_action::Send& send);
    void receive(UdpQuery& query);
    void arm(UdpQuery& query);

    /// A socket that hears errors and nothing else is given up: the query then ends by its timers.
    static constexpr int receive_faults_max = 100;

    std::atomic<bool> interrupted{false};
    std::shared_ptr<Bell> bell = std::make_shared<Bell>();  // rung when a name is looked up, and when interrupted
    asio::io_context context;
    udp::socket socket{context};
    asio::steady_timer timer{context};
    std::vector<udp::endpoint> servers;  // with the interface of a link-local address
    std::array<std::uint8_t, 65536> buffer{};
    udp::endpoint from;
    int receive_faults = 0;
    const std::function<void()>* looked = nullptr;
};

std::optional<std::string> UdpClient::Impl::resolve(const ServerConfig& server) {
    const auto until = std::chrono::steady_clock::now() + server.timeouts.connect;
    const auto lookup = begin_lookup(server, bell);
    std::unique_lock lock(bell->mutex);
    bell->rung.wait_until(lock, until, [&] { return interrupted || lookup->outcome; });
    if (interrupted) return "interrupted";
    if (!lookup->outcome)
        return "the name " + server.address +
               " was not resolved within timeouts.connect; see the resolver of this host";
    if (*lookup->outcome) return "cannot resolve " + server.address + ": " + lookup->outcome->message();
    servers.push_back(lookup->found.begin()->endpoint());
    return std::nullopt;
}

/// The address that this host uses towards the first server, unless one is configured. Connecting a UDP socket sends
/// nothing; it only looks up the route.
std::optional<std::string> UdpClient::Impl::find_giaddr(const RequestorConfig& requestor, UdpSettings& settings) {
    if (requestor.giaddr) {
        settings.giaddr = *requestor.giaddr;
        return std::nullopt;
    }
    std::error_code fault;
    udp::socket probe(context);
    probe.open(udp::v4(), fault);
    if (!fault) probe.connect(servers.front(), fault);
    const auto local = fault ? udp::endpoint() : probe.local_endpoint(fault);
    if (fault) return "no way to " + servers.front().address().to_string() + ": " + fault.message();
    settings.giaddr = from_asio(local.address());
    return std::nullopt;
}

std::optional<std::string> UdpClient::Impl::bind_v4(const IpAddress& giaddr, std::uint16_t port) {
    std::error_code fault;
    socket.open(udp::v4(), fault);
    if (!fault) socket.bind({to_asio(giaddr), port}, fault);
    if (fault) return bind_fault(fault, giaddr, port);
    return std::nullopt;
}

/// Servers answer to the port that asked, or to the one where clients listen (RFC 8415 §7.2 and §18.3.10 leave it open). So
/// they are the same where this host lets us: it takes a privilege, and the host's own DHCP client may have it.
std::optional<std::string> UdpClient::Impl::open_v6() {
    std::error_code fault;
    socket.open(udp::v6(), fault);
    std::error_code not_there;
    if (!fault) socket.bind({udp::v6(), client_port_v6}, not_there);
    if (!fault && not_there) socket.bind({udp::v6(), 0}, fault);
    // A multicast goes through the routers of a site, as that of a relay agent does (RFC 8415 §19: 8 hops).
    if (!fault) socket.set_option(asio::ip::multicast::hops(8), fault);
    if (fault) return "cannot open a UDP socket: " + fault.message();
    return std::nullopt;
}

void UdpClient::Impl::send(UdpQuery& query, const udp_action::Send& send) {
    const auto to = send.server ? servers[*send.server] : udp::endpoint(to_asio(send.to.address), send.to.port);
    std::error_code fault;
    socket.send_to(asio::buffer(send.bytes.data(), send.bytes.size()), to, 0, fault);
    if (fault) query.on_send_failed(send.question, fault.message(), std::chrono::steady_clock::now());
}

void UdpClient::Impl::pump(UdpQuery& query) {
    while (const auto action = query.poll_action())
        if (const auto* const wanted = std::get_if<udp_action::Send>(&*action)) send(query, *wanted);
    (*looked)();
    if (query.done()) return context.stop();
    arm(query);
}

void UdpClient::Impl::arm(UdpQuery& query) {
    const auto deadline = query.next_deadline();
    if (!deadline) return;
    timer.expires_at(*deadline);
    timer.async_wait([this, &query](const std::error_code& fault) {
        if (fault) return;  // armed anew
        query.on_deadline(std::chrono::steady_clock::now());
        pump(query);
    });
}

void UdpClient::Impl::receive(UdpQuery& query) {
    socket.async_receive_from(asio::buffer(buffer), from, [this, &query](const std::error_code& fault, std::size_t n) {
        if (fault == asio::error::operation_aborted || (fault && ++receive_faults > receive_faults_max)) return;
        if (!fault) {
            receive_faults = 0;
            query.on_datagram({from_asio(from.address()), from.port()}, ByteView(buffer).first(n), host_session_now());
        }
        receive(query);
        pump(query);
    });
}

UdpClient::UdpClient() : impl_(std::make_unique<Impl>()) {}

UdpClient::~UdpClient() = default;

std::optional<std::string> UdpClient::open(const std::vector<const ServerConfig*>& servers,
                                           const RequestorConfig& requestor, UdpSettings& settings) {
    for (const auto* const server : servers) {
        if (auto fault = impl_->resolve(*server)) return server->name + ": " + *fault;
        const auto& at = impl_->servers.back();
        settings.servers.push_back({from_asio(at.address()), at.port()});
    }
    if (settings.family == Family::v6) return impl_->open_v6();
    if (auto fault = impl_->find_giaddr(requestor, settings)) return fault;
    return impl_->bind_v4(settings.giaddr, requestor.port);
}

void UdpClient::run(UdpQuery& query, const std::function<void()>& looked) {
    impl_->looked = &looked;
    impl_->context.restart();
    query.start(std::chrono::steady_clock::now());
    impl_->receive(query);
    impl_->pump(query);
    if (!impl_->interrupted && !query.done()) impl_->context.run();
    std::error_code ignored;
    impl_->socket.close(ignored);
}

void UdpClient::interrupt() {
    {
        const std::scoped_lock lock(impl_->bell->mutex);
        impl_->interrupted = true;
        impl_->bell->rung.notify_all();
    }
    asio::post(impl_->context, [this] { impl_->context.stop(); });
}

}  // namespace leasemirror
