#include "storage/postgres/schema.hpp"

#include "storage/migration.hpp"
#include "storage/postgres/loading.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

// What of ours may be there, and whether `meta` has the columns of ours: other programs have a table of that name too.
constexpr PostgresSql relations_sql{"relations", R"sql(
    SELECT c.relname, c.relname = 'meta' AND (SELECT count(*) FROM pg_attribute AS a WHERE a.attrelid = c.oid
                                               AND a.attname IN ('name', 'number', 'value')) = 3,
           has_schema_privilege(n.oid, 'USAGE')
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname IN ('meta', 'server', 'binding', 'gap', 'quarantine', 'binding_change',
        'assignment', 'binding_count', 'lease', 'server_overview', 'binding_overview', 'gap_overview',
        'quarantine_overview', 'binding_change_overview', 'assignment_overview', 'agent', 'agent_overview')
    ORDER BY c.relname <> 'meta')sql"};

constexpr PostgresSql version_sql{"version", "SELECT number FROM meta WHERE name = 'leasemirror_schema_version'"};
constexpr PostgresSql keep_version_sql{"keep_version", R"sql(
    INSERT INTO meta (name, number) VALUES ('leasemirror_schema_version', $1)
    ON CONFLICT (name) DO UPDATE SET number = excluded.number)sql"};

constexpr PostgresSql find_schema_sql{"find_schema", "SELECT 1 FROM pg_namespace WHERE nspname = $1"};
constexpr PostgresSql lock_sql{"lock_migration", "SELECT pg_advisory_lock($1, $2)"};
constexpr PostgresSql unlock_sql{"unlock_migration", "SELECT pg_advisory_unlock($1, $2)"};
constexpr std::int64_t migration_lock = 0x4c4d494d;  // "LMIM"
// Whoever migrates waits for others as long as they take, and needs as long as the tables are large.
constexpr const char* no_hurry_sql = "SET LOCAL lock_timeout TO 0; SET LOCAL statement_timeout TO 0";

// Whether the schema exists; and the rights to create it, to create in it, and to alter what is there.
constexpr PostgresSql rights_sql{"rights", R"sql(
    SELECT n.oid IS NOT NULL, has_database_privilege(current_database(), 'CREATE'),
           n.oid IS NOT NULL AND has_schema_privilege(n.oid, 'CREATE'), pg_get_userbyid(n.nspowner),
           coalesce(pg_has_role(c.relowner, 'USAGE'), true), pg_get_userbyid(c.relowner),
           current_setting('server_encoding')
    FROM (VALUES ($1)) AS wanted (name)
         LEFT JOIN pg_namespace AS n ON n.nspname = wanted.name
         LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'meta')sql"};

[[noreturn]] void refuse_foreign(const PostgresConnection& connection, std::string_view table) {
    throw StoreError(StoreFault::unusable,
                     connection.where() + " has a table '" + std::string(table) +
                         "' that is not of leasemirror; all was left as it is: set storage.schema to a name of its "
                         "own, such as leasemirror");
}

[[noreturn]] void lack(const PostgresConnection& connection, int found, const std::string& remedy) {
    throw StoreError(StoreFault::unavailable, connection.where() + " has schema version " + std::to_string(found) +
                                                  " and needs " + std::to_string(known_postgres_version()) +
                                                  ", and role '" + connection.role() +
                                                  "' has no right to bring it there: " + remedy);
}

/// Without it PostgreSQL says that the tables are not there.
[[noreturn]] void refuse_without_usage(PostgresConnection& connection) {
    const auto role = connection.session().quote_name(connection.role());
    throw StoreError(StoreFault::unavailable,
                     "in " + connection.where() + " role '" + connection.role() +
                         "' has no right to the tables; as their owner: GRANT USAGE ON SCHEMA " +
                         connection.quoted_schema() + " TO " + role + " (deploy/postgresql/roles.sql does it)");
}

std::string as_role(const std::string& role) {
    return "run 'leasemirror schema migrate' with a storage.url of role '" + role + "'";
}

/// Throws a StoreError that says who is to do what, if the role cannot do what is to be done.
void require_rights(PostgresConnection& connection, int found) {
    pqxx::nontransaction transaction(connection.session());
    Parameters name;
    name.text(connection.schema());
    const auto answer = connection.run(transaction, rights_sql, name);
    Fields rights(answer[0]);
    const bool exists = rights.flag(), may_create_schema = rights.flag(), may_create = rights.flag();
    const auto schema_owner = std::string(rights.text());
    const bool may_alter = rights.flag();
    const auto table_owner = std::string(rights.text());
    const auto encoding = std::string(rights.text());
    if (!exists && !may_create_schema)
        lack(connection, found,
             "as a superuser or the owner of the database: CREATE SCHEMA " + connection.quoted_schema() +
                 " AUTHORIZATION " + connection.session().quote_name(connection.role()));
    if (exists && !may_create)
        lack(connection, found,
             as_role(schema_owner) + ", or as that role: GRANT CREATE ON SCHEMA " + connection.quoted_schema() +
                 " TO " + connection.session().quote_name(connection.role()));
    if (!may_alter) lack(connection, found, as_role(table_owner));
    if (encoding != "UTF8" && encoding != "SQL_ASCII")
        throw StoreError(StoreFault::unusable, connection.where() + " is a database with encoding " + encoding +
                                                   ", which cannot hold all names; create one with ENCODING 'UTF8'");
}

/// IF NOT EXISTS alone would ask for the right to create schemas although it is there.
void create_schema(PostgresConnection& connection) {
    pqxx::nontransaction transaction(connection.session());
    const auto found = connection.run(transaction, find_schema_sql, Parameters().text(connection.schema()));
    if (found.empty()) transaction.exec("CREATE SCHEMA IF NOT EXISTS " + connection.quoted_schema());
}

void apply_migration(PostgresConnection& connection, int version) {
    PostgresTransaction transaction(connection);
    transaction.execute(no_hurry_sql);
    while (version > 0 && restore_left_out_index(transaction)) {  // what a migration is about is to be there
    }
    transaction.execute(postgresql_migrations[static_cast<std::size_t>(version)].sql);
    transaction.run(keep_version_sql, Parameters().number(version + 1));
    transaction.commit();
}

/// Held by the session: from before the version is looked at until the last migration is committed.
class MigrationLock {
public:
    explicit MigrationLock(PostgresConnection& connection) : connection_(connection) { call(lock_sql); }
    ~MigrationLock() {
        try {
            call(unlock_sql);
        } catch (const std::exception&) {  // the session is lost, and its locks with it
        }
    }
    MigrationLock(const MigrationLock&) = delete;
    MigrationLock& operator=(const MigrationLock&) = delete;

private:
    void call(const PostgresSql& sql) {
        pqxx::work transaction(connection_.session());
        transaction.exec(no_hurry_sql);
        connection_.run(transaction, sql, Parameters().number(migration_lock).number(connection_.schema_key()));
        transaction.commit();
    }
    PostgresConnection& connection_;
};

}  // namespace

int known_postgres_version() {
    return static_cast<int>(postgresql_migrations.size());
}

std::string postgres_schema_sql(const std::string& schema) {
    std::string out;
    if (!schema.empty()) {
        std::string quoted = "\"";
        for (const char c : schema)
            quoted.append(c == '"' ? 2 : 1, c);
        quoted += '"';
        out = "CREATE SCHEMA IF NOT EXISTS " + quoted + ";\nSET search_path TO " + quoted + ", pg_temp;\n";
    }
    int version = 0;
    for (const auto& migration : postgresql_migrations) {
        out.append("\n-- ").append(migration.file).append("\nBEGIN;\n").append(migration.sql);
        out.append("INSERT INTO meta (name, number) VALUES ('leasemirror_schema_version', ")
            .append(std::to_string(++version))
            .append(")\nON CONFLICT (name) DO UPDATE SET number = excluded.number;\nCOMMIT;\n");
    }
    return out;
}

int postgres_version_found(PostgresConnection& connection) {
    return connection.translated("read the schema version", [&] {
        pqxx::nontransaction transaction(connection.session());
        const auto relations = connection.run(transaction, relations_sql, Parameters().text(connection.schema()));
        if (relations.empty()) return 0;
        Fields first(relations[0]);
        const auto name = first.text();
        if (!first.flag()) refuse_foreign(connection, name);
        if (!first.flag()) refuse_without_usage(connection);
        const auto versions = connection.run(transaction, version_sql);
        if (versions.empty()) refuse_foreign(connection, name);
        const auto found = static_cast<int>(Fields(versions[0]).number());
        if (found > known_postgres_version())
            throw StoreError(StoreFault::unusable, connection.where() + " has schema version " + std::to_string(found) +
                                                       ", and this leasemirror knows versions up to " +
                                                       std::to_string(known_postgres_version()) +
                                                       ": it was left as it is; upgrade leasemirror");
        return found;
    });
}

void require_current_postgres_schema(PostgresConnection& connection) {
    const int found = postgres_version_found(connection);
    if (found == known_postgres_version()) return;
    throw StoreError(StoreFault::unavailable, connection.where() + " has schema version " + std::to_string(found) +
                                                  " and needs " + std::to_string(known_postgres_version()) +
                                                  ": start the agent, or run 'leasemirror schema migrate'");
}

void migrate_postgres(PostgresConnection& connection, const OnMigration& before_each) {
    if (postgres_version_found(connection) == known_postgres_version()) return;
    connection.translated("migrate the schema", [&] {
        const MigrationLock one_at_a_time(connection);
        const int found = postgres_version_found(connection);
        if (found == known_postgres_version()) return;
        require_rights(connection, found);
        if (found == 0) create_schema(connection);
        for (int version = found; version < known_postgres_version(); ++version) {
            if (before_each)
                before_each({postgresql_migrations[static_cast<std::size_t>(version)].file, version + 1,
                             known_postgres_version()});
            apply_migration(connection, version);
        }
    });
}

}  // namespace leasemirror
