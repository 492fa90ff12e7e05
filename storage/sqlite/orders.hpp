// What operators ask of the agent, in SQLite. Only for this folder, and for storage/opening.cpp.
#pragma once

#include "storage/batch.hpp"
#include "storage/orders.hpp"

#include <span>
#include <string>
#include <vector>

namespace SQLite {
class Database;
}

namespace leasemirror {

/// Of those servers of which anything is asked; `servers` is a JSON array of ids.
[[nodiscard]] std::vector<ServerOrders> read_sqlite_orders(SQLite::Database& db, const std::string& servers);

/// In a write transaction. An order that has been given since stays.
void end_sqlite_resync(SQLite::Database& db, ServerId server, std::uint64_t number);

/// Beside an agent at work, in one short transaction. Throws StoreError.
[[nodiscard]] OrderAnswer give_sqlite_order(const std::string& path, const Order& order);

}  // namespace leasemirror
