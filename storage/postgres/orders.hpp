// What operators ask of the agent, in PostgreSQL. Only for this folder, and for storage/opening.cpp.
#pragma once

#include "storage/batch.hpp"
#include "storage/orders.hpp"
#include "storage/settings.hpp"

#include <span>
#include <vector>

namespace leasemirror {

class PostgresTransaction;

/// Of those servers of which anything is asked.
[[nodiscard]] std::vector<ServerOrders> read_postgres_orders(PostgresTransaction& transaction,
                                                             std::span<const ServerId> servers);

/// An order that has been given since stays.
void end_postgres_resync(PostgresTransaction& transaction, ServerId server, std::uint64_t number);

/// Beside agents at work, in one short transaction. Throws StoreError.
[[nodiscard]] OrderAnswer give_postgres_order(const StoreSettings& settings, const Order& order);

}  // namespace leasemirror
