// What reads a PostgreSQL database. Callers use open_reader() and forget_client(); tests come in here to see the queries.
#pragma once

#include "storage/forgetting.hpp"
#include "storage/reader.hpp"
#include "storage/schema_report.hpp"
#include "storage/settings.hpp"

#include <memory>
#include <string>
#include <vector>

namespace leasemirror {

[[nodiscard]] std::unique_ptr<Reader> open_postgres_reader(const StoreSettings& settings);

/// The queries that look for one address in tables of millions: each step of their plans has to be an index lookup.
[[nodiscard]] std::vector<std::string> postgres_lookup_queries();

[[nodiscard]] StoreReport inspect_postgres(const StoreSettings& settings);
[[nodiscard]] ForgottenServer forget_postgres_server(const StoreSettings& settings, const std::string& server);
[[nodiscard]] Forgotten forget_postgres_client(const StoreSettings& settings, const ClientIdentity& client);

}  // namespace leasemirror
