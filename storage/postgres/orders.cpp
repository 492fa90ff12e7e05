#include "storage/postgres/orders.hpp"

#include "storage/postgres/connection.hpp"
#include "storage/postgres/schema.hpp"

namespace leasemirror {
namespace {

constexpr PostgresSql read_sql{"orders", R"sql(
    SELECT server_id, paused_at IS NOT NULL, CASE WHEN resync_asked_at IS NULL THEN 0 ELSE resync_number END
    FROM server WHERE (paused_at IS NOT NULL OR resync_asked_at IS NOT NULL) AND server_id = ANY ($1::bigint[]))sql"};

constexpr PostgresSql end_resync_sql{
    "end_resync",
    "UPDATE server SET resync_asked_at = NULL, resync_asked_by = NULL WHERE server_id = $1 AND resync_number = $2"};

constexpr PostgresSql known_sql{"known_server", "SELECT 1 FROM server WHERE name = $1"};

// $1 the server's name, $2 who asks.
constexpr PostgresSql pause_sql{
    "pause", "UPDATE server SET paused_at = now(), paused_by = $2 WHERE name = $1 AND paused_at IS NULL RETURNING 1"};
constexpr PostgresSql resume_sql{"resume", R"sql(
    UPDATE server SET paused_at = NULL, paused_by = NULL
    WHERE name = $1 AND paused_at IS NOT NULL AND $2::text IS NOT NULL RETURNING 1)sql"};
constexpr PostgresSql resync_sql{"resync", R"sql(
    UPDATE server SET resync_asked_at = now(), resync_asked_by = $2, resync_number = resync_number + 1
    WHERE name = $1 RETURNING 1)sql"};

const PostgresSql& sql_of(OrderKind kind) {
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

}  // namespace

std::vector<ServerOrders> read_postgres_orders(PostgresTransaction& transaction, std::span<const ServerId> servers) {
    ArrayParameter ids;
    for (const auto server : servers)
        ids.number(server);
    std::vector<ServerOrders> out;
    for (const auto& row : transaction.run(read_sql, Parameters().array(ids))) {
        Fields fields(row);
        auto& orders = out.emplace_back();
        orders.server = fields.number();
        orders.orders.paused = fields.flag();
        orders.orders.resync = static_cast<std::uint64_t>(fields.number());
    }
    return out;
}

void end_postgres_resync(PostgresTransaction& transaction, ServerId server, std::uint64_t number) {
    transaction.run(end_resync_sql, Parameters().number(server).number(static_cast<std::int64_t>(number)));
}

OrderAnswer give_postgres_order(const StoreSettings& settings, const Order& order) {
    PostgresConnection connection(settings, PostgresUse::writing);
    require_current_postgres_schema(connection);
    return connection.translated("leave an order for the agent", [&] {
        PostgresTransaction transaction(connection);
        if (transaction.run(known_sql, Parameters().text(order.server)).empty()) return OrderAnswer::unknown_server;
        const auto nothing =
            transaction.run(sql_of(order.kind), Parameters().text(order.server).text(order.by)).empty();
        transaction.commit();
        return nothing ? OrderAnswer::already_so : OrderAnswer::taken;
    });
}

}  // namespace leasemirror
