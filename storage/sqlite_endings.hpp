// The table `binding` in SQLite: how bindings end that the server did not report as ended. Only for sqlite_* files.
#pragma once

#include "storage/sqlite_bindings.hpp"

#include <map>
#include <span>

namespace leasemirror {

/// Every function is to be called inside a write transaction, and throws SQLite::Exception.
class SqliteEndings {
public:
    explicit SqliteEndings(SQLite::Database& db);

    /// `listed` are the changes that the list consists of.
    void end_unlisted(const BatchContext& context, const Change& list_end, std::span<const Change> listed,
                      Tally& tally);
    void reconcile(const BatchContext& context, const Reconcile& reconcile, Tally& tally);

    struct Swept {
        std::int64_t cursor = 0;
        std::map<ServerId, std::int64_t> ended;
    };
    Swept expire(UtcSeconds now, std::int64_t cursor, std::size_t rows);

private:
    struct ClientBinding;
    std::vector<ClientBinding> bindings_of_client(const BatchContext& context, const Binding& list);

    SQLite::Statement client_bindings_, end_unlisted_, reconcile_, sweep_bound_, sweep_;
};

}  // namespace leasemirror
