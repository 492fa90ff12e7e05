// PostgreSQL for tests: a schema of its own in the server that LEASEMIRROR_TEST_POSTGRES names (tests/postgres).
#pragma once

#include "tests/storage/test_engine.hpp"

#include <memory>
#include <optional>
#include <string>

namespace leasemirror::testing {

/// The URL of a role that may do everything; nothing if the tests were given no server.
[[nodiscard]] std::optional<std::string> test_postgres_url();
/// For the tests that are of PostgreSQL alone: TEST_CASE("..." * doctest::skip(without_postgres())).
[[nodiscard]] bool without_postgres();
/// The URL with `credentials` ("role" or "role:password"), `address` ("127.0.0.1:5432") or `database` in place of its
/// own, where they are not empty.
[[nodiscard]] std::string test_postgres_url_with(const std::string& credentials, const std::string& address = {},
                                                 const std::string& database = {});

[[nodiscard]] std::unique_ptr<Engine> make_postgres_engine();
/// In a database of its own: for tests of what depends on nobody else's transactions.
[[nodiscard]] std::unique_ptr<Engine> make_postgres_engine_alone();

/// Names the sessions that are opened with these settings, so that they can be told from those of other tests.
[[nodiscard]] StoreSettings with_named_sessions(StoreSettings settings);
/// Of those sessions: how many wait for a lock; and ends them all, and returns when they are gone.
[[nodiscard]] int sessions_waiting(const Engine& engine);
void end_sessions(const Engine& engine);

/// A role that goes away with this object; `options` as CREATE ROLE takes them.
class TestRole {
public:
    explicit TestRole(const std::string& options);
    ~TestRole();
    TestRole(const TestRole&) = delete;
    TestRole& operator=(const TestRole&) = delete;
    [[nodiscard]] const std::string& name() const { return name_; }

private:
    std::string name_;
};

}  // namespace leasemirror::testing
