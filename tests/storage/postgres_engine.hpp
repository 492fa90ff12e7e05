// PostgreSQL for tests: a schema of its own in the server that LEASEMIRROR_TEST_POSTGRES names (tests/postgres).
#pragma once

#include "test_engine.hpp"

#include <memory>
#include <optional>
#include <string>

namespace leasemirror::testing {

/// The URL of a role that may do everything; nothing if the tests were given no server.
[[nodiscard]] std::optional<std::string> test_postgres_url();

[[nodiscard]] std::unique_ptr<Engine> make_postgres_engine();

}  // namespace leasemirror::testing
