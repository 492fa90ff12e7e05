#include "proto/binding.hpp"

#include "tests/golden/hex.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using golden::hex;

Binding sample() {
    Binding b;
    b.key.address = *IpAddress::parse("2001:db8:8000:100::");
    b.key.kind = BindingKind::prefix;
    b.key.prefix_len = 56;
    b.key.vpn_id = "ascii:a-vpn-with-a-name-that-is-not-short";
    b.state = BindingState::released;
    b.client_id = hex("00030001020000000001");
    b.hw_type = 1;
    b.hw_addr = hex("020000000001");
    b.expires_at = server_time_from_unix(1795266875);
    b.base_time = server_time_from_unix(1795180538);
    b.hostname = "a-host-with-a-name-that-is-not-short.example.net";
    b.via = Via::active;
    return b;
}

}  // namespace

TEST_CASE("a binding prints as one line with every field that is set") {
    CHECK(to_string(sample()) ==
          "[ascii:a-vpn-with-a-name-that-is-not-short] 2001:db8:8000:100::/56 released"
          " client_id=00:03:00:01:02:00:00:00:00:01 hw_type=1 hw_addr=02:00:00:00:00:01"
          " expires_at=2026-11-21T13:14:35S hostname=a-host-with-a-name-that-is-not-short.example.net"
          " data_source=local base_time=2026-11-20T13:15:38S via=active");
}

TEST_CASE("a cleared binding equals a new one and keeps its buffers") {
    auto b = sample();
    const auto* buffer = b.client_id.data();
    const auto* name = b.hostname.data();
    b.clear();
    CHECK(b == Binding{});
    CHECK(b.client_id.data() == buffer);
    CHECK(b.hostname.data() == name);
    CHECK(b.memory_bytes() > sizeof(Binding));
}

TEST_CASE("hex is lower case, with the separator that was asked for") {
    CHECK(to_hex(hex("00abff")) == "00abff");
    CHECK(to_hex(hex("00abff"), ':') == "00:ab:ff");
    CHECK(to_hex({}) == "");
}

TEST_CASE("words of the database contract") {
    CHECK(to_string(BindingState::transitioning) == "transitioning");
    CHECK(to_string(BindingState::ended) == "ended");
    CHECK(to_string(BindingKind::prefix) == "prefix");
    CHECK(to_string(DataSource::remote) == "remote");
    CHECK(to_string(Via::query) == "query");
    CHECK(to_string(Family::v6) == "v6");
}

}  // namespace leasemirror
