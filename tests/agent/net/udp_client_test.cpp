// What the shell around a query over UDP does with a resolver that does not answer: this program's getaddrinfo() is the
// one below. And to which port the answer of a v6 server may come.
#include "agent/net/udp_client.hpp"

#include "proto/numbers_v6.hpp"
#include "tests/proto/session/script.hpp"

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/udp.hpp>

#include <doctest/doctest.h>

#include <dlfcn.h>
#include <netdb.h>
#include <condition_variable>
#include <future>
#include <mutex>
#include <string_view>
#include <thread>

namespace leasemirror {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view stuck_name = "stuck.example";
constexpr auto patience = 60s;  // only a failing test needs it

/// Where a lookup of `stuck_name` stays until it is let go.
class Gate {
public:
    void pass() {
        std::unique_lock lock(mutex_);
        ++inside_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
        --inside_;
        changed_.notify_all();
    }
    void await_lookup() {
        std::unique_lock lock(mutex_);
        REQUIRE(changed_.wait_for(lock, patience, [this] { return inside_ > 0; }));
    }
    /// Lets go, and shuts again behind the last one.
    void release() {
        std::unique_lock lock(mutex_);
        open_ = true;
        changed_.notify_all();
        changed_.wait(lock, [this] { return inside_ == 0; });
        open_ = false;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
    int inside_ = 0;
};

Gate& gate() {
    static auto* const the_gate = new Gate;  // a lookup may outlive everything
    return *the_gate;
}

ServerConfig stuck_server(std::chrono::milliseconds within) {
    ServerConfig server;
    server.name = "east";
    server.family = Family::v6;
    server.address = stuck_name;
    server.port = 547;
    server.timeouts.connect = within;
    return server;
}

/// What open() returns, when the client has been destroyed too if nobody else holds it.
std::future<std::optional<std::string>> opened(std::shared_ptr<UdpClient> client, const ServerConfig& server) {
    return std::async(std::launch::async, [client = std::move(client), server]() mutable {
        UdpSettings settings;
        settings.family = server.family;
        auto fault = client->open({&server}, {}, settings);
        client.reset();
        return fault;
    });
}

/// Nobody else has this port, and we may bind it.
bool is_free(std::uint16_t port) {
    asio::io_context context;
    std::error_code fault;
    asio::ip::udp::socket probe(context);
    probe.open(asio::ip::udp::v6(), fault);
    if (!fault) probe.bind({asio::ip::udp::v6(), port}, fault);
    return !fault;
}

/// Answers one LEASEQUERY: it has no such binding. To this port of whoever asks; none: to the one that asked.
class OneAnswer {
public:
    explicit OneAnswer(std::optional<std::uint16_t> to_port) : thread_([this, to_port] { answer(to_port); }) {}
    ~OneAnswer() { thread_.join(); }
    OneAnswer(const OneAnswer&) = delete;
    OneAnswer& operator=(const OneAnswer&) = delete;
    [[nodiscard]] std::uint16_t port() const { return port_; }

private:
    void answer(std::optional<std::uint16_t> to_port) {
        std::array<std::uint8_t, 1500> buffer{};
        asio::ip::udp::endpoint from;
        socket_.receive_from(asio::buffer(buffer), from);
        const auto id = static_cast<std::uint32_t>(buffer[1] << 16 | buffer[2] << 8 | buffer[3]);
        const auto framed = test::V6{.type = MessageTypeV6::lease_query_reply,
                                     .client_id = test::our_duid,
                                     .server_id = test::server_duid,
                                     .id = id}
                                .bytes();
        if (to_port) from.port(*to_port);
        socket_.send_to(asio::buffer(framed.data() + 2, framed.size() - 2), from);
    }

    asio::io_context context_;
    asio::ip::udp::socket socket_{context_, {asio::ip::make_address("::1"), 0}};
    std::uint16_t port_ = socket_.local_endpoint().port();
    std::thread thread_;
};

UdpOutcome outcome_of_asking(const OneAnswer& server) {
    ServerConfig config;
    config.name = "six";
    config.family = Family::v6;
    config.address = "::1";
    config.port = server.port();
    UdpSettings settings;
    settings.family = Family::v6;
    settings.requestor_duid = test::our_duid;
    settings.transmissions_max = 1;
    UdpClient client;
    REQUIRE(client.open({&config}, {}, settings) == std::nullopt);
    BulkQuery about;
    about.kind = QueryKind::address;
    about.address = test::address("2001:db8::1");
    UdpQuery query(settings, about);
    client.run(query, [] {});
    return query.answers().front().parts.front().outcome;
}

}  // namespace

TEST_CASE("a v6 server may answer to the port that asked, or to the one where clients listen") {
    const OneAnswer to_source(std::nullopt);
    CHECK(outcome_of_asking(to_source) == UdpOutcome::no_binding);
    if (!is_free(client_port_v6)) {
        MESSAGE("port 546 cannot be had on this host: what comes to it is not tested");
        return;
    }
    auto outcome = UdpOutcome::silent;
    for (int i = 0; i < 5 && outcome == UdpOutcome::silent; ++i) {  // another test may have the port for a moment
        const OneAnswer to_client_port(client_port_v6);
        outcome = outcome_of_asking(to_client_port);
    }
    CHECK(outcome == UdpOutcome::no_binding);
}

TEST_CASE("where port 546 is taken, a v6 query is asked from another") {
    asio::io_context context;
    std::error_code fault;
    asio::ip::udp::socket taken(context);
    taken.open(asio::ip::udp::v6(), fault);
    if (!fault) taken.bind({asio::ip::udp::v6(), client_port_v6}, fault);  // else it is taken already, or not for us
    const OneAnswer server(std::nullopt);
    CHECK(outcome_of_asking(server) == UdpOutcome::no_binding);
}

TEST_CASE("a resolver that does not answer is waited for no longer than timeouts.connect") {
    auto fault = opened(std::make_shared<UdpClient>(), stuck_server(50ms));
    gate().await_lookup();
    CHECK(fault.wait_for(patience) == std::future_status::ready);
    gate().release();
    CHECK(fault.get() ==
          "east: the name stuck.example was not resolved within timeouts.connect; see the resolver of this host");
}

TEST_CASE("Ctrl-C is not kept waiting by a resolver") {
    auto client = std::make_shared<UdpClient>();
    auto fault = opened(client, stuck_server(1h));
    gate().await_lookup();
    client->interrupt();
    CHECK(fault.wait_for(patience) == std::future_status::ready);
    gate().release();
    CHECK(fault.get() == "east: interrupted");
}

}  // namespace leasemirror

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
    if (name != nullptr && name == leasemirror::stuck_name) {
        leasemirror::gate().pass();
        return EAI_AGAIN;
    }
    static const auto real = reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    return real(name, service, hints, found);
}
