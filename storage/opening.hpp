// The way in: whichever engine storage.url names, behind one function for each thing that is done with a database. Every
// one throws StoreError.
#pragma once

#include "proto/time.hpp"
#include "storage/forgetting.hpp"
#include "storage/orders.hpp"
#include "storage/resume_point.hpp"
#include "storage/schema_report.hpp"
#include "storage/settings.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace leasemirror {

class MirrorReader;
class Reader;
class Store;

/// Opens for writing, creating and migrating the schema as needed. Throws StoreError: `unusable` if the file is not
/// a database, or has a newer schema; `unavailable` otherwise. A database that another agent on this host has open
/// for writing is `unavailable`, with its process id in the message where that can be had.
[[nodiscard]] std::unique_ptr<Store> open_store(const StoreSettings& settings);

/// Opens for reading; writes nothing, and refuses a schema it does not know.
[[nodiscard]] std::unique_ptr<Reader> open_reader(const StoreSettings& settings);

/// For `schema`: the migrations as SQL text; the version in the database and the one we know; and the migration itself,
/// which returns the version reached. Migrations may take long.
[[nodiscard]] std::string schema_sql(const StoreSettings& settings);
[[nodiscard]] SchemaVersion schema_version(const StoreSettings& settings);
int migrate_schema(const StoreSettings& settings, const OnMigration& before_each = {});

/// For `check`. Connects as an agent does, and changes nothing.
[[nodiscard]] StoreReport inspect_store(const StoreSettings& settings);

/// Leaves an order for whichever agent works the server: it is read with the next step of housekeeping. Disturbs no
/// agent that runs.
[[nodiscard]] OrderAnswer give_order(const StoreSettings& settings, const Order& order);

/// Removes what is past of a client, in small steps that never hold the agent up for long: ended assignments, bindings
/// that are not in force, all rows of the change feed that tell of it or name it, and messages in quarantine that
/// contain the identifier. What it holds now stays, it is the servers' word; so does the open assignment. A hw_addr is
/// not in every row of the feed: those that follow one that names it, of the same binding, up to the next client's, are
/// of the same client. Throws StoreError; what was removed until then stays removed.
[[nodiscard]] Forgotten forget_client(const StoreSettings& settings, const ClientIdentity& client);

/// Removes what a server has left that no agent works any more, in small steps beside agents at work. Its bindings in
/// force end: the change feed says so, with the reason 'forgotten'. What the feed has of it stays until retention removes
/// it, and then the server's row goes, too. Throws StoreError; what was removed until then stays removed, and calling it
/// again goes on.
[[nodiscard]] ForgottenServer forget_server(const StoreSettings& settings, const std::string& server);

/// Opens for `verify`, which compares the rows with what a server says (ledger/mirror_reader.hpp).
[[nodiscard]] std::unique_ptr<MirrorReader> open_mirror_reader(const StoreSettings& settings);

/// What a comparison that went to its end has found: server.last_verify_at and verify_differences. One short transaction
/// beside an agent at work.
void record_verify(const StoreSettings& settings, ServerId server, UtcSeconds at, std::uint64_t differences);

}  // namespace leasemirror
