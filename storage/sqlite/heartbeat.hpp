// The table `agent` in SQLite. Only for this folder.
#pragma once

#include "storage/heartbeat.hpp"

namespace SQLite {
class Database;
}

namespace leasemirror {

/// In a write transaction.
void write_heartbeat(SQLite::Database& db, const Heartbeat& heartbeat);

}  // namespace leasemirror
