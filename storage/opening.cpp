#include "storage/opening.hpp"

#include "storage/postgres/orders.hpp"
#include "storage/postgres/reader.hpp"
#include "storage/postgres/schema.hpp"
#include "storage/postgres/store.hpp"
#include "storage/postgres/verify.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/orders.hpp"
#include "storage/sqlite/reader.hpp"
#include "storage/sqlite/schema.hpp"
#include "storage/sqlite/store.hpp"
#include "storage/sqlite/verify.hpp"
#include "storage/store_error.hpp"
#include "storage/store_url.hpp"

namespace leasemirror {
namespace {

bool names_sqlite(const StoreSettings& settings) {
    const auto engine = engine_named_by(settings.url);
    if (!engine)  // not shown: it may hold a password
        throw StoreError(StoreFault::unusable, "storage.url begins with neither sqlite:// nor postgresql://");
    switch (*engine) {
        case StoreEngine::sqlite:
            return true;
        case StoreEngine::postgresql:
            return false;
    }
    return false;
}

}  // namespace

std::unique_ptr<Store> open_store(const StoreSettings& settings) {
    return names_sqlite(settings) ? open_sqlite_store(settings) : open_postgres_store(settings);
}

std::unique_ptr<Reader> open_reader(const StoreSettings& settings) {
    return names_sqlite(settings) ? open_sqlite_reader(sqlite_path(settings.url)) : open_postgres_reader(settings);
}

std::string schema_sql(const StoreSettings& settings) {
    return names_sqlite(settings) ? sqlite_schema_sql() : postgres_schema_sql(settings.schema);
}

SchemaVersion schema_version(const StoreSettings& settings) {
    return names_sqlite(settings) ? sqlite_schema_version(sqlite_path(settings.url))
                                  : postgres_schema_version(settings);
}

int migrate_schema(const StoreSettings& settings, const OnMigration& before_each) {
    return names_sqlite(settings) ? migrate_sqlite_schema(sqlite_path(settings.url), before_each)
                                  : migrate_postgres_schema(settings, before_each);
}

StoreReport inspect_store(const StoreSettings& settings) {
    return names_sqlite(settings) ? inspect_sqlite(sqlite_path(settings.url)) : inspect_postgres(settings);
}

OrderAnswer give_order(const StoreSettings& settings, const Order& order) {
    return names_sqlite(settings) ? give_sqlite_order(sqlite_path(settings.url), order)
                                  : give_postgres_order(settings, order);
}

ForgottenServer forget_server(const StoreSettings& settings, const std::string& server) {
    return names_sqlite(settings) ? forget_sqlite_server(sqlite_path(settings.url), server)
                                  : forget_postgres_server(settings, server);
}

Forgotten forget_client(const StoreSettings& settings, const ClientIdentity& client) {
    return names_sqlite(settings) ? forget_sqlite_client(sqlite_path(settings.url), client)
                                  : forget_postgres_client(settings, client);
}

std::unique_ptr<MirrorReader> open_mirror_reader(const StoreSettings& settings) {
    return names_sqlite(settings) ? open_sqlite_mirror_reader(sqlite_path(settings.url))
                                  : open_postgres_mirror_reader(settings);
}

void record_verify(const StoreSettings& settings, ServerId server, UtcSeconds at, std::uint64_t differences) {
    if (names_sqlite(settings)) return record_sqlite_verify(sqlite_path(settings.url), server, at, differences);
    record_postgres_verify(settings, server, at, differences);
}

}  // namespace leasemirror
