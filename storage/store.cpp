#include "storage/store.hpp"

#include "storage/sqlite_schema.hpp"
#include "storage/sqlite_store.hpp"

namespace leasemirror {
namespace {

enum class Engine { sqlite, postgresql };

Engine engine_of(const std::string& url) {
    if (url.starts_with("sqlite:")) return Engine::sqlite;
    if (url.starts_with("postgresql:") || url.starts_with("postgres:")) return Engine::postgresql;
    throw StoreError(StoreFault::unusable,
                     "storage.url begins with neither sqlite:// nor postgresql://");  // not shown: may hold a password
}

[[noreturn]] void refuse_postgresql() {
    throw StoreError(StoreFault::unusable,
                     "this version of leasemirror cannot use PostgreSQL yet; set storage.url to "
                     "sqlite:///absolute/path");
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
        case Engine::sqlite:
            return open_sqlite_store(settings);
        case Engine::postgresql:
            break;
    }
    refuse_postgresql();
}

std::string schema_sql(const StoreSettings& settings) {
    switch (engine_of(settings.url)) {
        case Engine::sqlite:
            return sqlite_schema_sql();
        case Engine::postgresql:
            break;
    }
    refuse_postgresql();
}

SchemaVersion schema_version(const StoreSettings& settings) {
    switch (engine_of(settings.url)) {
        case Engine::sqlite:
            return sqlite_schema_version(sqlite_path(settings.url));
        case Engine::postgresql:
            break;
    }
    refuse_postgresql();
}

int migrate_schema(const StoreSettings& settings) {
    switch (engine_of(settings.url)) {
        case Engine::sqlite:
            return migrate_sqlite_schema(sqlite_path(settings.url));
        case Engine::postgresql:
            break;
    }
    refuse_postgresql();
}

}  // namespace leasemirror
