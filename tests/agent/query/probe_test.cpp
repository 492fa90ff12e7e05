#include "agent/query/probe.hpp"
#include "agent/net/host.hpp"
#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"

#include <doctest/doctest.h>
#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include <functional>
#include <thread>
#include <vector>

using namespace leasemirror;
using asio::ip::tcp;

namespace {

/// What one connection answers to the first request on it; nothing: close at once.
using Reply = std::function<Bytes(ByteView request)>;

/// Serves one connection after the other on loopback, as many as there are replies.
class ScriptedServer {
public:
    explicit ScriptedServer(std::vector<Reply> replies)
        : acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
          thread_([this, r = std::move(replies)] {
              for (const auto& reply : r)
                  serve(reply);
          }) {}
    ~ScriptedServer() { thread_.join(); }
    ScriptedServer(const ScriptedServer&) = delete;
    ScriptedServer& operator=(const ScriptedServer&) = delete;
    [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

private:
    void serve(const Reply& reply) {
        auto socket = acceptor_.accept();
        Bytes request(2);
        std::error_code ended;
        asio::read(socket, asio::buffer(request), ended);
        request.resize(static_cast<std::size_t>(request[0] << 8 | request[1]));
        asio::read(socket, asio::buffer(request), ended);
        if (ended) return;  // it only looked whether somebody listens
        const auto answer = reply(request);
        if (answer.empty()) return;
        asio::write(socket, asio::buffer(answer));
        asio::read(socket, asio::buffer(request), ended);  // until the other side has seen enough
    }

    asio::io_context context_;
    tcp::acceptor acceptor_;
    std::thread thread_;
};

template <class Message, class Encode>
Bytes framed(const Message& m, Encode encode) {
    Bytes room(4096);
    ByteWriter out(room);
    const auto length = out.reserve_u16();
    encode(m, out);
    out.patch_u16(length);
    return {out.written().begin(), out.written().end()};
}

Bytes close_at_once(ByteView) {
    return {};
}

Reply answer_v4(MessageTypeV4 type, std::optional<StatusCode> status) {
    return [=](ByteView request) {
        ScratchV4 scratch;
        MessageV4 m;
        m.op = 2;
        m.xid = decode_v4(request, scratch)->xid;
        m.type = type;
        m.server_identifier = IpAddress::v4(0x7f000001);
        m.base_time = server_time_from_unix(1795180538);
        if (status) m.status = make_status_v4(*status, "said so");
        return framed(m, [](const auto& message, ByteWriter& out) { encode_v4(message, out); });
    };
}

ServerTime now_of_server() {
    return ServerTime{std::chrono::floor<std::chrono::seconds>(host_now().utc).time_since_epoch()};
}

Reply answer_v6(std::optional<StatusCode> status, bool now = false) {
    return [=](ByteView request) {
        ScratchV6 scratch;
        const auto asked = decode_v6(request, scratch);
        const Bytes server_id{0, 2, 0, 0, 0, 9, 1};
        MessageV6 m;
        m.xid = asked->xid;
        m.type = MessageTypeV6::lease_query_reply;
        m.client_id = asked->client_id;
        m.server_id = server_id;
        m.base_time = now ? now_of_server() : server_time_from_unix(1795180538);
        if (status) m.status = make_status_v6(*status, "said so");
        return framed(m, [](const auto& message, ByteWriter& out) { encode_v6(message, out); });
    };
}

ServerConfig server_at(Family family, std::uint16_t port) {
    ServerConfig out;
    out.name = "s";
    out.family = family;
    out.address = "127.0.0.1";
    out.port = port;
    if (family == Family::v6) out.bulk.queries = {{QueryKind::link, *IpAddress::parse("2001:db8::1"), {}}};
    return out;
}

ProbeSettings quick() {
    ProbeSettings out;
    out.requestor_duid = {0, 4, 1, 2, 3, 4};
    return out;
}

}  // namespace

TEST_CASE("a server that nobody listens for is not reachable, with what to look at") {
    std::uint16_t port = 0;
    {
        asio::io_context context;
        port = tcp::acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)).local_endpoint().port();
    }
    const auto result = probe_server(server_at(Family::v4, port), quick());
    CHECK_FALSE(result.reachable());
    CHECK(result.error == "cannot connect to 127.0.0.1 port " + std::to_string(port) +
                              ": Connection refused; does the server listen there for leasequery over TCP?");
    CHECK(result.bulk.answer == Answer::not_asked);
}

TEST_CASE("a v4 server that answers both queries supports both, and its clock is compared") {
    ScriptedServer server({answer_v4(MessageTypeV4::lease_query_done, std::nullopt),
                           answer_v4(MessageTypeV4::lease_query_status, StatusCode::connection_active)});
    const auto result = probe_server(server_at(Family::v4, server.port()), quick());
    CHECK(result.reachable());
    CHECK(result.endpoint == "127.0.0.1 port " + std::to_string(server.port()));
    CHECK(to_string(result.bulk) == "yes");
    CHECK(to_string(result.active) == "yes");
    CHECK(result.base_time == server_time_from_unix(1795180538));
    CHECK(result.skew.has_value());
}

TEST_CASE("a v4 server that refuses the bulk query and closes on the active one is told apart") {
    ScriptedServer server({answer_v4(MessageTypeV4::lease_query_done, StatusCode::not_allowed), close_at_once});
    const auto result = probe_server(server_at(Family::v4, server.port()), quick());
    CHECK(result.bulk.answer == Answer::refused);
    CHECK(to_string(result.bulk).find("said so") != std::string::npos);
    CHECK(result.active.answer == Answer::no);
}

TEST_CASE("a v6 server that lacks active leasequery says so by status") {
    ScriptedServer server({answer_v6(std::nullopt), answer_v6(StatusCode::not_supported)});
    const auto result = probe_server(server_at(Family::v6, server.port()), quick());
    CHECK(to_string(result.bulk) == "yes");
    CHECK(result.active.answer == Answer::no);
}

TEST_CASE("every configured query is asked, and it is known which of them fail") {
    ScriptedServer server({answer_v6(std::nullopt), answer_v6(StatusCode::not_configured), close_at_once,
                           answer_v6(std::nullopt), answer_v6(StatusCode::not_supported)});
    auto config = server_at(Family::v6, server.port());
    for (int more = 0; more < 3; ++more)
        config.bulk.queries.push_back(config.bulk.queries.front());
    const auto result = probe_server(config, quick());
    CHECK(result.bulk.answer == Answer::yes);
    REQUIRE(result.queries.size() == 4);
    CHECK(result.queries[0].answer == Answer::yes);
    CHECK(to_string(result.queries[1]).find("refused (NotConfigured") == 0);
    CHECK(result.queries[2].answer == Answer::no);
    CHECK(result.queries[3].answer == Answer::yes);
    CHECK(result.active.answer == Answer::no);
}

TEST_CASE("a server whose clock agrees with ours has no skew, whatever part of a second its base-times leave out") {
    ScriptedServer server({answer_v6(std::nullopt, true), answer_v6(std::nullopt, true)});
    auto config = server_at(Family::v6, server.port());
    config.mode = SyncMode::bulk;
    config.bulk.queries.push_back(config.bulk.queries.front());
    CHECK(probe_server(config, quick()).skew == Skew{0});
}

TEST_CASE("what the configuration rules out is not asked") {
    ScriptedServer bulk_only({answer_v4(MessageTypeV4::lease_query_done, std::nullopt)});
    auto config = server_at(Family::v4, bulk_only.port());
    config.mode = SyncMode::bulk;
    CHECK(to_string(probe_server(config, quick()).active) == "not asked (mode: bulk)");

    ScriptedServer no_queries({close_at_once, answer_v6(std::nullopt)});
    config = server_at(Family::v6, no_queries.port());
    config.bulk.queries.clear();
    // The first connection, which only shows that the server can be reached, asks nothing: this one is cut short.
    const auto result = probe_server(config, quick());
    CHECK(to_string(result.bulk) == "not asked (no bulk.queries)");
}
