#include "storage/postgres/connection.hpp"

#include "storage/store_url.hpp"

#include <array>
#include <cstdlib>
#include <vector>

namespace leasemirror {
namespace {

constexpr int oldest_server_version = 150000;

// What the literals that we send and read mean, whatever is set for the database or the role. How transactions see each
// other, how long a statement may take, and that nothing is to be written, are for whoever has set them to say: what
// comes of it is an error, and tried again.
constexpr const char* set_up_sql = R"sql(
    SET TimeZone TO 'UTC'; SET DateStyle TO 'ISO, YMD'; SET IntervalStyle TO 'postgres'; SET bytea_output TO 'hex';
    SET client_encoding TO 'UTF8'; SET array_nulls TO on; SET standard_conforming_strings TO on;
    SET backslash_quote TO 'safe_encoding'; SET transform_null_equals TO off)sql";
// The prepared statements of a writer are made for tables of millions of rows: lookups by an index, never a plan that
// was right while a table was empty. And whoever writes holds locks: a host that is gone without a word is to lose them
// within a minute, not in the two hours that a system takes to find out.
constexpr const char* set_up_writer_sql = R"sql(
    SET plan_cache_mode TO force_generic_plan; SET jit TO off;
    SET enable_seqscan TO off; SET enable_hashjoin TO off; SET enable_mergejoin TO off;
    SET tcp_keepalives_idle TO 30; SET tcp_keepalives_interval TO 10; SET tcp_keepalives_count TO 3;
    SET tcp_user_timeout TO 60000)sql";

// A commit that we take for done must not be lost while we go on; settings that wait for more than the local disk stay.
// Whoever waits for a lock says so now and then; and a writer that has stopped in a transaction gives way. What the role
// has set stays.
constexpr PostgresSql writer_defaults_sql{"writer_defaults", R"sql(
    SELECT set_config(name, value, false)
    FROM (VALUES ('synchronous_commit', 'off', 'on'), ('lock_timeout', '0', '60s'),
                 ('idle_in_transaction_session_timeout', '0', '5min')) AS d (name, unwanted, value)
    WHERE current_setting(name) = unwanted)sql"};

constexpr PostgresSql who_sql{"who", R"sql(
    SELECT current_setting('server_version_num'), current_setting('server_version'), current_database(), current_user,
           coalesce(nullif($1, ''), current_schema()))sql"};

constexpr PostgresSql search_path_sql{"search_path", "SELECT set_config('search_path', $1 || ', pg_temp', false)"};

struct Default {
    const char* parameter;
    const char* value;
    const char* environment;  // libpq's name for it, where it has one
};
// A server that is gone without a word is noticed within a minute, on whichever side of a statement it goes.
constexpr std::array defaults{
    Default{"fallback_application_name", "leasemirror", nullptr},
    Default{"connect_timeout", "10", "PGCONNECT_TIMEOUT"},
    Default{"keepalives_idle", "30", nullptr},
    Default{"keepalives_interval", "10", nullptr},
    Default{"keepalives_count", "3", nullptr},
    Default{"tcp_user_timeout", "60000", nullptr},
};
// Of several servers one takes writes, another one after a failover.
constexpr Default takes_writes{"target_session_attrs", "read-write", "PGTARGETSESSIONATTRS"};

std::string percent_encoded(std::string_view in) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : in) {
        const auto octet = static_cast<unsigned char>(c);
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
        if (plain) {
            out += c;
        } else {
            out += '%';
            out += digits[octet >> 4];
            out += digits[octet & 0xf];
        }
    }
    return out;
}

PostgresUrl checked_url(const StoreSettings& settings) {
    auto parsed = parse_postgres_url(settings.url);
    if (!parsed)
        throw StoreError(StoreFault::unusable, "storage.url " + redacted_url(settings.url) + ": " + parsed.error());
    return *std::move(parsed);
}

bool is_given(const Default& entry, const PostgresUrl& url) {
    return url.parameters.contains(entry.parameter) ||
           (entry.environment != nullptr && std::getenv(entry.environment) != nullptr);
}

void add_parameter(std::string& url, std::string_view name, std::string_view value) {
    if (url.find('?') == std::string::npos)
        url += '?';
    else if (!url.ends_with('?'))
        url += '&';
    url.append(name).append("=").append(percent_encoded(value));
}

/// Not to be moved nor copied: it comes to be in its place.
pqxx::connection open_session(const StoreSettings& settings, PostgresUse use) {
    const auto conninfo = postgres_conninfo(settings, use);
    try {
        return pqxx::connection{conninfo};
    } catch (const pqxx::failure& e) {
        throw connect_error(e, redacted_url(settings.url));
    }
}

int backend_of(pqxx::transaction_base& transaction) {
    return transaction.exec("SELECT pg_backend_pid()")[0][0].as<int>();
}

/// A pooler names another process than the one that works for us. If it hands that out between our transactions, another
/// client that asks for one gets it, or we get another one.
void require_own_session(pqxx::connection& session, const std::string& conninfo, const std::string& where) {
    const auto ours = [&] {
        pqxx::nontransaction transaction(session);
        return backend_of(transaction);
    };
    const auto before = ours();
    if (before == session.backendpid()) return;
    pqxx::connection other{conninfo};
    int theirs = 0;
    {
        pqxx::work held(other);
        theirs = backend_of(held);
    }
    if (theirs == before || ours() != before) throw shared_session_error(where);
}

/// libpqxx 6 opens a broken session anew by itself, without what was set in the old one; version 7 never does.
void forbid_reopening([[maybe_unused]] pqxx::connection& session) {
#if PQXX_VERSION_MAJOR < 7
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    session.inhibit_reactivation(true);
#pragma GCC diagnostic pop
#endif
}

/// By version: the containers of parameters that each knows.
pqxx::result run_prepared(pqxx::transaction_base& transaction, std::string_view name, const Parameters& parameters) {
#if PQXX_VERSION_MAJOR < 7
    std::vector<const char*> values;
    for (const auto& value : parameters.values())
        values.push_back(value ? value->c_str() : nullptr);
    return transaction.exec_prepared(std::string(name), pqxx::prepare::make_dynamic_params(values));
#else
    pqxx::params values;
    values.reserve(parameters.values().size());
    for (const auto& value : parameters.values())
        value ? values.append(pqxx::zview(*value)) : values.append();
#if PQXX_VERSION_MAJOR > 7 || PQXX_VERSION_MINOR >= 10
    return transaction.exec(pqxx::prepped(pqxx::zview(name.data(), name.size())), values);
#else
    return transaction.exec_prepared(pqxx::zview(name.data(), name.size()), values);
#endif
#endif
}

}  // namespace

std::string postgres_conninfo(const StoreSettings& settings, PostgresUse use) {
    const auto url = checked_url(settings);
    auto out = settings.url;
    if (!settings.password.empty() && !url.has_password) add_parameter(out, "password", settings.password);
    for (const auto& entry : defaults)
        if (!is_given(entry, url)) add_parameter(out, entry.parameter, entry.value);
    const bool any_of_several = use == PostgresUse::writing && url.hosts.size() > 1;
    if (any_of_several && !is_given(takes_writes, url)) add_parameter(out, takes_writes.parameter, takes_writes.value);
    return out;
}

PostgresConnection::PostgresConnection(const StoreSettings& settings, PostgresUse use)
    : session_(open_session(settings, use)), where_(redacted_url(settings.url)) {
    forbid_reopening(session_);
    translated("set up a session", [&] {
        require_own_session(session_, postgres_conninfo(settings, use), where_);  // before anything is left in it
        set_up(settings, use);
    });
}

void PostgresConnection::set_up(const StoreSettings& settings, PostgresUse use) {
    pqxx::nontransaction transaction(session_);
    transaction.exec(set_up_sql);
    Parameters wanted;
    wanted.text(settings.schema);
    const auto answer = run(transaction, who_sql, wanted);
    Fields who(answer[0]);
    const auto version_number = who.number();
    const auto version = std::string(who.text());
    const auto database = std::string(who.text());
    role_ = who.text();
    schema_ = who.text();
    const char* host = session_.hostname();
    where_ = "database '" + database + "'" + (host == nullptr ? "" : std::string(" on ") + host);
    if (version_number < oldest_server_version)
        throw StoreError(StoreFault::unusable,
                         "the server of " + where_ + " is PostgreSQL " + version + "; leasemirror needs 15 or newer");
    if (schema_.empty())
        throw StoreError(StoreFault::unusable, "in " + where_ + " no schema of the search_path of role '" + role_ +
                                                   "' exists; set storage.schema");
    where_ += ", schema '" + schema_ + "'";
    Parameters path;
    path.text(quoted_schema());
    run(transaction, search_path_sql, path);
    if (use == PostgresUse::reading) return;
    transaction.exec(set_up_writer_sql);
    run(transaction, writer_defaults_sql);
}

std::int32_t PostgresConnection::schema_key() const {
    std::uint32_t hash = 2166136261U;  // FNV-1a: the same in every version of ours, as hashtext() need not be
    for (const char c : schema_)
        hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    return static_cast<std::int32_t>(hash);
}

pqxx::result PostgresConnection::run(pqxx::transaction_base& transaction, const PostgresSql& sql,
                                     const Parameters& parameters) {
    if (!prepared_.contains(sql.name)) {
        session_.prepare(std::string(sql.name), std::string(sql.text));
        prepared_.insert(sql.name);
    }
    return run_prepared(transaction, sql.name, parameters);
}

void PostgresTransaction::commit() {
    try {
        work_.commit();
    } catch (const std::exception& e) {
        // An error of the server that the session survived is an answer: it was rolled back.
        const bool answered = connection_.is_open() && dynamic_cast<const pqxx::in_doubt_error*>(&e) == nullptr;
        const auto error = store_error(e, connection_.is_open(), connection_.where(), "commit");
        throw answered ? error : StoreError(StoreFault::in_doubt, error.what());
    }
}

}  // namespace leasemirror
