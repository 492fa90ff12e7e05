// The SQLite engine behind store.hpp. Callers use open_store(); tests come in here to tune it.
#pragma once

#include "storage/schema_report.hpp"
#include "storage/settings.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/store.hpp"

#include <memory>
#include <string>

namespace leasemirror {

[[nodiscard]] std::unique_ptr<Store> open_sqlite_store(const StoreSettings& settings, const SqliteTuning& tuning = {});
[[nodiscard]] SchemaVersion sqlite_schema_version(const std::string& path);
int migrate_sqlite_schema(const std::string& path, const OnMigration& before_each = {});

}  // namespace leasemirror
