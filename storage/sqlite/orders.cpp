#include "storage/sqlite/orders.hpp"

#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/error.hpp"
#include "storage/sqlite/schema.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Transaction.h>

namespace leasemirror {
namespace {

constexpr const char* read_sql = R"sql(
    SELECT server_id, paused_at IS NOT NULL, iif(resync_asked_at IS NULL, 0, resync_number) FROM server
    WHERE (paused_at IS NOT NULL OR resync_asked_at IS NOT NULL) AND server_id IN (SELECT value FROM json_each(?1)))sql";

constexpr const char* end_resync_sql =
    "UPDATE server SET resync_asked_at = NULL, resync_asked_by = NULL WHERE server_id = ?1 AND resync_number = ?2";

constexpr const char* known_sql = "SELECT 1 FROM server WHERE name = ?1";

// ?1 the server's name, ?2 who asks.
constexpr const char* pause_sql =
    "UPDATE server SET paused_at = unixepoch(), paused_by = ?2 WHERE name = ?1 AND paused_at IS NULL";
constexpr const char* resume_sql =
    "UPDATE server SET paused_at = NULL, paused_by = NULL WHERE name = ?1 AND paused_at IS NOT NULL AND ?2 IS NOT NULL";
constexpr const char* resync_sql = R"sql(
    UPDATE server SET resync_asked_at = unixepoch(), resync_asked_by = ?2, resync_number = resync_number + 1
    WHERE name = ?1)sql";

const char* sql_of(OrderKind kind) {
    switch (kind) {
        case OrderKind::pause:
            return pause_sql;
        case OrderKind::resume:
            return resume_sql;
        case OrderKind::resync:
            break;
    }
    return resync_sql;
}

bool is_known(SQLite::Database& db, const std::string& server) {
    SQLite::Statement statement(db, known_sql);
    Use use(statement);
    use.text(1, server);
    return use.step();
}

OrderAnswer give(const std::string& path, const Order& order) {
    auto db = open_beside_agent(path);
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    if (!is_known(db, order.server)) return OrderAnswer::unknown_server;
    SQLite::Statement statement(db, sql_of(order.kind));
    Use use(statement);
    use.text(1, order.server);
    use.text(2, order.by);
    const auto changed = use.run();
    transaction.commit();
    return changed > 0 ? OrderAnswer::taken : OrderAnswer::already_so;
}

}  // namespace

std::vector<ServerOrders> read_sqlite_orders(SQLite::Database& db, const std::string& servers) {
    SQLite::Statement statement(db, read_sql);
    Use use(statement);
    use.text(1, servers);
    std::vector<ServerOrders> out;
    while (use.step())
        out.push_back({use.number(0), {use.number(1) != 0, static_cast<std::uint64_t>(use.number(2))}});
    return out;
}

void end_sqlite_resync(SQLite::Database& db, ServerId server, std::uint64_t number) {
    SQLite::Statement statement(db, end_resync_sql);
    Use use(statement);
    use.number(1, server);
    use.number(2, static_cast<std::int64_t>(number));
    use.run();
}

OrderAnswer give_sqlite_order(const std::string& path, const Order& order) {
    return translated(path, "leave an order for the agent", [&] { return give(path, order); });
}

}  // namespace leasemirror
