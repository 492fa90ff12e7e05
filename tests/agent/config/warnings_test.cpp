#include "agent/config/warnings.hpp"

#include "tests/agent/config/text.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace leasemirror;
using namespace leasemirror::test;

TEST_CASE("going below the defaults of the RFCs is said with the RFC") {
    const auto config = config_of(with_server("v4",
                                              "    timeouts: { receive: 60s, data: 299s, retry: 500ms }\n"
                                              "    verify_interval: 9m\n"
                                              "    bulk: { max_connections: 5, poll_interval: 10s, "
                                              "window_interval: 10s }\n"));
    CHECK(config_warnings(config) ==
          std::vector<std::string>{
              "server s: timeouts.receive is 1m; RFC 7724 §5.3 says that it SHOULD NOT be lower than 2m",
              "server s: timeouts.data is 299s; RFC 6926 §6.3 says that it SHOULD NOT be lower than 5m",
              "server s: timeouts.retry is 500ms; RFC 7724 §5.3 says that it SHOULD NOT be lower than 1m",
              "server s: bulk.max_connections is 5; servers accept 10 by default for all their requestors together "
              "(RFC 6926 §6.3, BULK_LQ_MAX_CONNS) and close further ones at once",
              "server s: bulk.poll_interval is 10s; each poll makes the server send all its bindings",
              "server s: bulk.window_interval is not shorter than bulk.poll_interval, so it never takes effect",
              "server s: verify_interval is 9m; each comparison makes the server send all its bindings"});
}

TEST_CASE("a v6 server without queries, a shared endpoint, idle writers and an open admin port are warned of") {
    auto config = config_of(with_server("v6") +
                            "  - { name: t, family: v6, address: host, timeouts: { retry: 1s } }\n"
                            "admin: { listen: '0.0.0.0:9547' }\n");
    config.storage.writers = 2;
    const std::string no_queries =
        ": no bulk.queries: only what changes from now on is mirrored, a gap cannot be filled, and its coverage stays "
        "'partial'";
    CHECK(config_warnings(config) ==
          std::vector<std::string>{
              "server s" + no_queries,
              "server t: timeouts.retry is 1s; RFC 7653 §6.4 says that it SHOULD NOT be lower than 1m",
              "server t" + no_queries,
              "server t: same family, address and port as server s, so each of its bindings is kept twice",
              "storage.writers is 2; SQLite has one writer, so one is used",
              "admin.listen is 0.0.0.0:9547: the admin port has no authentication and is reachable from other hosts"});
    config.storage.password = std::string(1, 'p');  // g++ 12 takes a literal here for an overlapping copy (-Wrestrict)
    CHECK(config_warnings(config).at(5) == "storage.password is given; SQLite asks for none");
    config.storage.password.clear();
    for (const std::string loopback : {"127.0.0.1:1", "[::1]:1", "localhost:1"}) {
        config.admin.listen = loopback;
        CHECK(config_warnings(config).size() == 5);
    }
}

TEST_CASE("a connection to a remote database that does not verify whom it talks to is warned of") {
    auto config = config_of(with_server("v4"));
    const auto warnings_for = [&](const std::string& url) {
        config.storage.url = url;
        return config_warnings(config);
    };
    const std::string clear_text =
        "storage.url has no sslmode: the connection to the database may go in clear text, and the database's "
        "certificate is not verified; add ?sslmode=verify-full";
    CHECK(warnings_for("postgresql://u@db/leases") == std::vector{clear_text});
    CHECK(warnings_for("postgresql://u@localhost,192.0.2.7/leases") == std::vector{clear_text});
    CHECK(warnings_for("postgresql://u@db/leases?sslmode=require") ==
          std::vector<std::string>{
              "storage.url has sslmode=require: the database's certificate is not verified; verify-full does that"});
    for (const char* const fine : {"postgresql:///leases", "postgresql://u@localhost/l", "postgresql://u@[::1]:5433/l",
                                   "postgresql://u@%2Frun%2Fpg/l", "postgresql:///l?host=/run/postgresql",
                                   "postgresql://u@db/leases?sslmode=verify-full"}) {
        CAPTURE(fine);
        CHECK(warnings_for(fine).empty());
    }
}
