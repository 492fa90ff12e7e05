// A session with a PostgreSQL server, as the store and the readers need it. Only for this folder.
#pragma once

#include "storage/postgres/error.hpp"
#include "storage/postgres/statement.hpp"
#include "storage/settings.hpp"

#include <cstdint>
#include <pqxx/pqxx>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

namespace leasemirror {

/// A writer asks for a server that takes writes, where the URL names several and does not say; a reader takes any.
enum class PostgresUse : std::uint8_t { reading, writing };

/// The URL as it is given to libpq: with the password of the settings, and with what we would have where it is silent:
/// a name for the application, and timeouts, so that a server that is gone is noticed. Throws StoreError `unusable` if
/// it cannot be right.
[[nodiscard]] std::string postgres_conninfo(const StoreSettings& settings, PostgresUse use);

/// Open from the constructor to the destructor; what breaks it breaks it for good, and another one is opened. Its
/// search_path is the one schema that everything of ours lives in, whether that exists yet or not. Times are read and
/// written in UTC, text in UTF-8.
class PostgresConnection {
public:
    /// Throws StoreError: `unavailable`, or `unusable` where no retry can help.
    PostgresConnection(const StoreSettings& settings, PostgresUse use);
    PostgresConnection(const PostgresConnection&) = delete;
    PostgresConnection& operator=(const PostgresConnection&) = delete;

    /// For a transaction: pqxx::work, or pqxx::nontransaction.
    [[nodiscard]] pqxx::connection& session() { return session_; }
    [[nodiscard]] bool is_open() const { return session_.is_open(); }

    /// A statement is prepared when it is first run.
    pqxx::result run(pqxx::transaction_base& transaction, const PostgresSql& sql, const Parameters& parameters = {});

    /// The name as it stands in the catalogue, and the same for use in SQL.
    [[nodiscard]] const std::string& schema() const { return schema_; }
    [[nodiscard]] std::string quoted_schema() { return session_.quote_name(schema_); }
    /// What stands for the schema in advisory locks, which are of one database.
    [[nodiscard]] std::int32_t schema_key() const;
    [[nodiscard]] const std::string& role() const { return role_; }
    /// "database 'leases' on db1.example, schema 'public'": for messages.
    [[nodiscard]] const std::string& where() const { return where_; }

    /// Runs `work`, letting StoreError through and turning the exceptions of libpqxx into it. `doing` completes
    /// "cannot ...".
    template <class Work>
    auto translated(std::string_view doing, Work&& work) {
        try {
            return work();
        } catch (const pqxx::failure& e) {
            throw store_error(e, is_open(), where_, doing);
        } catch (const std::logic_error& e) {  // its other exceptions are of these: usage_error, conversion_error, ...
            throw store_error(e, is_open(), where_, doing);
        }
    }

private:
    void set_up(const StoreSettings& settings, PostgresUse use);

    pqxx::connection session_;
    pqxx::quiet_errorhandler no_notices_{session_};  // NOTICEs are not for the terminal
    std::set<std::string_view> prepared_;
    std::string schema_, role_, where_;
};

/// A transaction that is rolled back unless it is committed.
class PostgresTransaction {
public:
    explicit PostgresTransaction(PostgresConnection& connection)
        : connection_(connection), work_(connection.session()) {}

    pqxx::result run(const PostgresSql& sql, const Parameters& parameters = {}) {
        return connection_.run(work_, sql, parameters);
    }
    void execute(std::string_view sql) { work_.exec(std::string(sql)); }
    /// For what libpqxx does with a transaction by itself.
    [[nodiscard]] pqxx::transaction_base& work() { return work_; }
    [[nodiscard]] std::int32_t schema_key() const { return connection_.schema_key(); }
    /// Throws StoreError `in_doubt` if the connection broke before the answer came.
    void commit();

private:
    PostgresConnection& connection_;
    pqxx::work work_;
};

}  // namespace leasemirror
