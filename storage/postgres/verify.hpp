// What `verify` reads from a PostgreSQL database, and the one thing that it writes. Callers use open_mirror_reader() and
// record_verify(); tests come in here to see the queries.
#pragma once

#include "storage/ledger/mirror_reader.hpp"
#include "storage/settings.hpp"

#include <memory>
#include <string>
#include <vector>

namespace leasemirror {

[[nodiscard]] std::unique_ptr<MirrorReader> open_postgres_mirror_reader(const StoreSettings& settings);
void record_postgres_verify(const StoreSettings& settings, ServerId server, UtcSeconds at, std::uint64_t differences);

/// Each step of their plans has to be an index lookup.
[[nodiscard]] std::vector<std::string> postgres_verify_queries();

}  // namespace leasemirror
