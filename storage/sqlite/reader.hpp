// What reads a SQLite database. Callers use open_reader() and forget_client(); tests come in here to see the queries.
#pragma once

#include "storage/forgetting.hpp"
#include "storage/reader.hpp"
#include "storage/schema_report.hpp"

#include <memory>
#include <string>
#include <vector>

namespace leasemirror {

[[nodiscard]] std::unique_ptr<Reader> open_sqlite_reader(const std::string& path);

/// The queries that look for one address in tables of millions: each step of their plans has to be an index lookup.
[[nodiscard]] std::vector<std::string> sqlite_lookup_queries();

[[nodiscard]] StoreReport inspect_sqlite(const std::string& path);
[[nodiscard]] ForgottenServer forget_sqlite_server(const std::string& path, const std::string& server);
[[nodiscard]] Forgotten forget_sqlite_client(const std::string& path, const ClientIdentity& client);

}  // namespace leasemirror
