// What the shell around a query over UDP does with a resolver that does not answer: this program's getaddrinfo() is the
// one below.
#include "agent/net/udp_client.hpp"

#include <doctest/doctest.h>

#include <dlfcn.h>
#include <netdb.h>
#include <condition_variable>
#include <future>
#include <mutex>
#include <string_view>

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

}  // namespace

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
