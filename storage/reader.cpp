#include "storage/reader.hpp"

#include "storage/postgres/reader.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/reader.hpp"
#include "storage/store_url.hpp"

namespace leasemirror {
namespace {

StoreEngine engine_of(const StoreSettings& settings) {
    if (const auto engine = engine_named_by(settings.url)) return *engine;
    throw StoreError(StoreFault::unusable, "storage.url begins with neither sqlite:// nor postgresql://");
}

}  // namespace

std::unique_ptr<Reader> open_reader(const StoreSettings& settings) {
    switch (engine_of(settings)) {
        case StoreEngine::sqlite:
            return open_sqlite_reader(sqlite_path(settings.url));
        case StoreEngine::postgresql:
            return open_postgres_reader(settings);
    }
    return {};
}

StoreReport inspect_store(const StoreSettings& settings) {
    switch (engine_of(settings)) {
        case StoreEngine::sqlite:
            return inspect_sqlite(sqlite_path(settings.url));
        case StoreEngine::postgresql:
            return inspect_postgres(settings);
    }
    return {};
}

Forgotten forget_client(const StoreSettings& settings, const ClientIdentity& client) {
    switch (engine_of(settings)) {
        case StoreEngine::sqlite:
            return forget_sqlite_client(sqlite_path(settings.url), client);
        case StoreEngine::postgresql:
            return forget_postgres_client(settings, client);
    }
    return {};
}

}  // namespace leasemirror
