#include "storage/store.hpp"

#include "storage/postgres/schema.hpp"
#include "storage/postgres/store.hpp"
#include "storage/sqlite/schema.hpp"
#include "storage/sqlite/store.hpp"
#include "storage/store_url.hpp"

namespace leasemirror {
namespace {

StoreEngine engine_of(const std::string& url) {
    if (const auto engine = engine_named_by(url)) return *engine;
    throw StoreError(StoreFault::unusable,
                     "storage.url begins with neither sqlite:// nor postgresql://");  // not shown: may hold a password
}

}  // namespace

std::string_view to_string(Phase p) {
    switch (p) {
        case Phase::connecting:
            return "connecting";
        case Phase::bulk:
            return "bulk";
        case Phase::catch_up:
            return "catch_up";
        case Phase::live:
            return "live";
        case Phase::gap:
            return "gap";
        case Phase::polling:
            return "polling";
        case Phase::waiting:
            return "waiting";
        case Phase::down:
            return "down";
        case Phase::disabled:
            return "disabled";
    }
    return "?";
}

std::string_view to_string(Coverage c) {
    switch (c) {
        case Coverage::full:
            return "full";
        case Coverage::partial:
            return "partial";
    }
    return "?";
}

std::unique_ptr<Store> open_store(const StoreSettings& settings) {
    switch (engine_of(settings.url)) {
        case StoreEngine::sqlite:
            return open_sqlite_store(settings);
        case StoreEngine::postgresql:
            return open_postgres_store(settings);
    }
    return {};
}

std::string schema_sql(const StoreSettings& settings) {
    switch (engine_of(settings.url)) {
        case StoreEngine::sqlite:
            return sqlite_schema_sql();
        case StoreEngine::postgresql:
            return postgres_schema_sql(settings.schema);
    }
    return {};
}

SchemaVersion schema_version(const StoreSettings& settings) {
    switch (engine_of(settings.url)) {
        case StoreEngine::sqlite:
            return sqlite_schema_version(sqlite_path(settings.url));
        case StoreEngine::postgresql:
            return postgres_schema_version(settings);
    }
    return {};
}

int migrate_schema(const StoreSettings& settings) {
    switch (engine_of(settings.url)) {
        case StoreEngine::sqlite:
            return migrate_sqlite_schema(sqlite_path(settings.url));
        case StoreEngine::postgresql:
            return migrate_postgres_schema(settings);
    }
    return {};
}

}  // namespace leasemirror
