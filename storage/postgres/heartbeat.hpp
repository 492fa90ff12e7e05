// The table `agent` in PostgreSQL. Only for this folder.
#pragma once

#include "storage/heartbeat.hpp"
#include "storage/postgres/connection.hpp"

namespace leasemirror {

/// In a transaction. Throws StoreError `unavailable` while another agent of that name is alive.
void write_heartbeat(PostgresTransaction& transaction, const Heartbeat& heartbeat);

}  // namespace leasemirror
