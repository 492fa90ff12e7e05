// What `check` asks of a PostgreSQL database: the same that would stop an agent, without trying it.
#include "storage/postgres/reader.hpp"
#include "storage/postgres/schema.hpp"

namespace leasemirror {
namespace {

constexpr PostgresSql server_sql{"inspect_server", R"sql(
    SELECT current_setting('server_version'), pg_is_in_recovery(), current_setting('transaction_read_only')::boolean)sql"};

// Of tables that the role did not make, with what it lacks of them.
constexpr PostgresSql tables_sql{"inspect_tables", R"sql(
    SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind = 'r'
      AND c.relname IN ('meta', 'server', 'binding', 'gap', 'quarantine', 'binding_change', 'assignment', 'binding_count',
                        'agent')
      AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND
               has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') AND
               has_table_privilege(c.oid, 'DELETE'))
    ORDER BY c.relname)sql"};

constexpr PostgresSql migration_sql{"inspect_migration", R"sql(
    SELECT CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
                ELSE has_schema_privilege(n.oid, 'CREATE')
                     AND coalesce((SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class AS c
                                   WHERE c.relnamespace = n.oid AND c.relname = 'meta'), true) END
    FROM (VALUES ($1)) AS wanted (name) LEFT JOIN pg_namespace AS n ON n.nspname = wanted.name)sql"};

std::string missing_rights(PostgresConnection& connection, pqxx::transaction_base& transaction) {
    std::string tables;
    for (const auto& row : connection.run(transaction, tables_sql, Parameters().text(connection.schema())))
        tables.append(tables.empty() ? "" : ", ").append(Fields(row).text());
    if (tables.empty()) return {};
    return "role '" + connection.role() + "' may not read and write all of " + tables +
           "; grant it SELECT, INSERT, UPDATE and DELETE (deploy/postgresql/roles.sql does it)";
}

}  // namespace

StoreReport inspect_postgres(const StoreSettings& settings) {
    PostgresConnection connection(settings, PostgresUse::writing);
    StoreReport out;
    const int known = known_postgres_version();
    const auto rights = connection.translated("look at the database", [&] {
        pqxx::nontransaction transaction(connection.session());
        const auto answer = connection.run(transaction, server_sql);
        Fields server(answer[0]);
        out.engine = "PostgreSQL " + std::string(server.text()) + ", " + connection.where() + ", role '" +
                     connection.role() + "'";
        if (server.flag())
            out.lacks.push_back(
                "the server is a standby, which takes no writes; name the primary in storage.url, or all");
        else if (server.flag())
            out.lacks.push_back("its sessions are read-only: default_transaction_read_only is set");
        return missing_rights(connection, transaction);
    });
    if (!rights.empty()) out.lacks.push_back(rights);
    if (!rights.empty()) return out;  // not even the version may be read
    out.version = {postgres_version_found(connection), known};
    if (out.version.found == known) return out;
    const bool may_migrate = connection.translated("look at the rights", [&] {
        pqxx::nontransaction transaction(connection.session());
        const auto answer = connection.run(transaction, migration_sql, Parameters().text(connection.schema()));
        return Fields(answer[0]).flag();
    });
    if (!may_migrate)
        out.lacks.push_back("role '" + connection.role() +
                            "' may not migrate it; run 'leasemirror schema migrate' as the owner of the schema");
    return out;
}

}  // namespace leasemirror
