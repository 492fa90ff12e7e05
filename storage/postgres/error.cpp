#include "storage/postgres/error.hpp"

#include <array>
#include <pqxx/pqxx>

namespace leasemirror {
namespace {

struct Meaning {
    StoreFault fault;
    std::string_view advice;
};

constexpr std::string_view try_again = "the same is tried again";

// Locks that keep a second agent out, prepared statements and settings are of a session.
constexpr std::string_view no_sessions =
    "a pooler that hands a session from client to client stands between, such as pgbouncer with pool_mode transaction; "
    "give leasemirror sessions of its own: pool_mode session for its database or user, or a storage.url that leads "
    "past "
    "the pooler";

struct Code {
    std::string_view prefix;  // of the SQLSTATE: five characters, or two for a whole class
    Meaning meaning;
};
// https://www.postgresql.org/docs/15/errcodes-appendix.html; the first one that fits counts.
constexpr std::array codes{
    Code{"40", {StoreFault::unavailable, try_again}},  // serialization failure, deadlock
    Code{"55P03", {StoreFault::unavailable, "another session holds a lock for longer than lock_timeout allows"}},
    Code{"57014", {StoreFault::unavailable, "it was cancelled, by statement_timeout or by somebody"}},
    Code{"57P", {StoreFault::unavailable, "the server shuts down, starts up, or has ended the session"}},
    Code{"08", {StoreFault::unavailable, "the connection is lost"}},
    Code{"53100", {StoreFault::unavailable, "the disk of the database is full; make room"}},
    Code{"53200", {StoreFault::unavailable, "the server is out of memory"}},
    Code{"53300",
         {StoreFault::unavailable,
          "the server has no connection left; raise max_connections or the role's connection limit, or end sessions"}},
    Code{"53", {StoreFault::unavailable, "the server has run out of something"}},
    Code{"58", {StoreFault::unavailable, "the server's disk or file system failed; see its log"}},
    Code{"25006",
         {StoreFault::unavailable,
          "the server is read-only: a standby, or default_transaction_read_only is set. Name the primary in "
          "storage.url, or all servers: postgresql://user@host1,host2/database"}},
    Code{"25P03", {StoreFault::unavailable, "idle_in_transaction_session_timeout has ended the session"}},
    Code{"28", {StoreFault::unavailable, "check user and password in storage.url, and the server's pg_hba.conf"}},
    Code{"3D000", {StoreFault::unavailable, "create the database, or name another one in storage.url"}},
    Code{"42501",
         {StoreFault::unavailable,
          "the role lacks a right. As the owner of the tables: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES and "
          "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ... TO the role (deploy/postgresql/roles.sql does it)"}},
    Code{"22", {StoreFault::refused, "the database refused the values"}},
    Code{"23", {StoreFault::refused, "the database refused the values"}},
    Code{"54",
         {StoreFault::refused, "the database refused the values"}},  // an index takes no value of more than 2.7 kB
    Code{"42P05",
         {StoreFault::unavailable, no_sessions}},  // it is prepared already: by another client, in this backend
    Code{"42P07",
         {StoreFault::unusable,
          "what has that name is not of leasemirror; rename it, or set storage.schema to a schema of its own"}},
    Code{"42", {StoreFault::unusable, "tables are not as leasemirror made them; restore them from a backup"}},
    Code{"XX001", {StoreFault::unusable, "the database is damaged; restore it from a backup"}},
    Code{"XX002", {StoreFault::unusable, "an index is damaged: REINDEX it"}},
    Code{"0A000",
         {StoreFault::unavailable, try_again}},  // "cached plan must not change result type": after a migration
    Code{"26000", {StoreFault::unavailable, no_sessions}},  // a prepared statement is gone
};

struct Words {
    std::string_view words;
    std::string_view code;
};
// What a server in English says when it turns a client away. Others are told in its own words alone.
constexpr std::array refusals{
    Words{"password authentication failed", "28P01"},
    Words{"no password supplied", "28P01"},
    Words{"no pg_hba.conf entry", "28000"},
    Words{"too many connections", "53300"},
    Words{"role \"", "28000"},
    Words{"remaining connection slots", "53300"},
    Words{"sorry, too many clients", "53300"},
    Words{"database \"", "3D000"},
    Words{"the database system is", "57P03"},
    Words{"session is read-only", "25006"},
    Words{"session is not read-only", "25006"},
    Words{"server is in hot standby mode", "25006"},
};
constexpr std::string_view no_connection =
    "is the server running, and are host and port in storage.url right? It is tried again";

template <class Error>
bool is(const std::exception& e) {
    return dynamic_cast<const Error*>(&e) != nullptr;
}

/// libpqxx 6 leaves the code out of most errors that it has a class for.
std::string sqlstate_of(const std::exception& e) {
    const auto* sql = dynamic_cast<const pqxx::sql_error*>(&e);
    if (sql == nullptr) return {};
    if (!sql->sqlstate().empty()) return sql->sqlstate();
    if (is<pqxx::insufficient_privilege>(e)) return "42501";
    if (is<pqxx::data_exception>(e)) return "22000";
    if (is<pqxx::integrity_constraint_violation>(e)) return "23000";
    if (is<pqxx::disk_full>(e)) return "53100";
    if (is<pqxx::out_of_memory>(e)) return "53200";
    if (is<pqxx::insufficient_resources>(e)) return "53000";
    if (is<pqxx::feature_not_supported>(e)) return "0A000";
    if (is<pqxx::invalid_sql_statement_name>(e)) return "26000";
    if (is<pqxx::syntax_error>(e)) return "42000";  // undefined tables and columns among them
    return {};
}

const Meaning* meaning_of(std::string_view sqlstate) {
    for (const auto& code : codes)
        if (sqlstate.starts_with(code.prefix)) return &code.meaning;
    return nullptr;
}

Meaning meaning_of(const std::exception& e, bool connected) {
    if (dynamic_cast<const pqxx::in_doubt_error*>(&e) != nullptr ||
        dynamic_cast<const pqxx::statement_completion_unknown*>(&e) != nullptr)
        return {StoreFault::in_doubt, "whether it was committed shows when it is tried again"};
    if (dynamic_cast<const pqxx::transaction_rollback*>(&e) != nullptr) return {StoreFault::unavailable, try_again};
    if (const auto* meaning = meaning_of(sqlstate_of(e)); meaning != nullptr && !sqlstate_of(e).empty())
        return *meaning;
    if (dynamic_cast<const pqxx::broken_connection*>(&e) != nullptr || !connected)
        return {StoreFault::unavailable, "the connection is lost; a new one is opened"};
    if (dynamic_cast<const pqxx::conversion_error*>(&e) != nullptr)
        return {StoreFault::unusable, "tables are not as leasemirror made them"};
    return {StoreFault::unusable, "an unexpected answer of PostgreSQL; please report it"};
}

/// One line, without the "ERROR:  " of libpq and what follows the first newline but DETAIL.
std::string one_line(std::string_view text) {
    std::string out;
    for (const char c : text)
        out += c == '\n' ? ' ' : c;
    while (out.ends_with(' '))
        out.pop_back();
    return out;
}

}  // namespace

StoreError store_error(const std::exception& e, bool connected, const std::string& where, std::string_view doing) {
    const auto meaning = meaning_of(e, connected);
    const auto sqlstate = sqlstate_of(e);
    std::string text;
    text.append("cannot ").append(doing).append(" in ").append(where).append(": ").append(one_line(e.what()));
    if (!sqlstate.empty()) text.append(" (SQLSTATE ").append(sqlstate).append(")");
    return {meaning.fault, text.append(": ").append(meaning.advice)};
}

StoreError connect_error(const std::exception& e, const std::string& where) {
    const std::string said = one_line(e.what());
    const Meaning* meaning = nullptr;
    for (const auto& refusal : refusals)
        if (meaning == nullptr && said.find(refusal.words) != std::string::npos) meaning = meaning_of(refusal.code);
    return {StoreFault::unavailable, "cannot connect to " + where + ": " + said + ": " +
                                         std::string(meaning == nullptr ? no_connection : meaning->advice)};
}

StoreError shared_session_error(const std::string& where) {
    return {StoreFault::unavailable, "no session of our own in " + where + ": " + std::string(no_sessions)};
}

bool refuses_values(const std::exception& e) {
    const auto* meaning = meaning_of(sqlstate_of(e));
    return meaning != nullptr && !sqlstate_of(e).empty() && meaning->fault == StoreFault::refused;
}

std::string first_line(std::string_view what) {
    constexpr std::string_view label = "ERROR:  ";
    auto line = what.substr(0, what.find('\n'));
    if (line.starts_with(label)) line.remove_prefix(label.size());
    return std::string(line);
}

}  // namespace leasemirror
