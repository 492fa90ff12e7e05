// The PostgreSQL engine behind store.hpp. Callers use open_store().
#pragma once

#include "storage/schema_report.hpp"
#include "storage/settings.hpp"
#include "storage/store.hpp"

#include <memory>

namespace leasemirror {

[[nodiscard]] std::unique_ptr<Store> open_postgres_store(const StoreSettings& settings);
[[nodiscard]] SchemaVersion postgres_schema_version(const StoreSettings& settings);
int migrate_postgres_schema(const StoreSettings& settings, const OnMigration& before_each);

}  // namespace leasemirror
