// Times that were stored while our own clock was wrong. Only for this folder.
#pragma once

#include "storage/batch.hpp"
#include "storage/postgres/connection.hpp"

#include <chrono>

namespace leasemirror {

/// Moves all times of this server that are in our clock: of its bindings, of the assignments that are open, and `fresh_as_of`.
void move_clock(PostgresTransaction& transaction, ServerId server, std::chrono::seconds by);
/// What is stored of this server may be in another clock: the beginnings of its open assignments are inferred, and
/// `fresh_as_of` is not known.
void doubt_clock(PostgresTransaction& transaction, ServerId server);

}  // namespace leasemirror
