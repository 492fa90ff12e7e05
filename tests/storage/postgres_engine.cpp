#include "tests/storage/postgres_engine.hpp"

#include <nlohmann/json.hpp>
#include <pqxx/pqxx>

#include <unistd.h>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <set>
#include <stdexcept>

namespace leasemirror::testing {
namespace {

// The functions that Engine promises, in a schema that all tests share. host() PostgreSQL has.
constexpr const char* functions_sql = R"sql(
    SELECT pg_advisory_xact_lock(7);
    CREATE SCHEMA IF NOT EXISTS look;
    CREATE OR REPLACE FUNCTION look.epoch(timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE
        RETURN extract(epoch FROM $1)::bigint;
    CREATE OR REPLACE FUNCTION look.hex(bytea) RETURNS text LANGUAGE sql IMMUTABLE RETURN coalesce(upper(encode($1, 'hex')), '');
    CREATE OR REPLACE FUNCTION look.unhex(text) RETURNS bytea LANGUAGE sql IMMUTABLE RETURN decode($1, 'hex');
    CREATE OR REPLACE FUNCTION look.sortable(inet) RETURNS inet LANGUAGE sql IMMUTABLE RETURN $1)sql";

/// Bytes as they are, and JSON without spaces.
std::string as_sqlite_shows_it(const pqxx::field& field) {
    constexpr pqxx::oid bytea = 17, jsonb = 3802;
    std::string text(field.c_str(), field.size());
    if (field.type() == jsonb) return nlohmann::ordered_json::parse(text).dump();
    if (field.type() != bytea) return text;
    std::string out;
    for (std::size_t at = 2; at + 1 < text.size(); at += 2)
        out += static_cast<char>(std::stoi(text.substr(at, 2), nullptr, 16));
    return out;
}

std::string next_name() {
    static int last = 0;
    return "test_" + std::to_string(::getpid()) + "_" + std::to_string(++last);
}

void execute_alone(const std::string& sql) {
    pqxx::connection session(test_postgres_url().value());
    pqxx::nontransaction(session).exec(sql);
}

class PostgresEngine : public Engine {
public:
    explicit PostgresEngine(const std::string& url) : url_(url), schema_(next_name()), look_(url) {
        static std::set<std::string> with_functions;
        if (with_functions.insert(url).second) run(functions_sql);
        run("CREATE SCHEMA " + schema_);
        run("SET search_path TO " + schema_ + ", look; SET client_min_messages TO warning; SET TimeZone TO 'UTC'");
    }
    ~PostgresEngine() override {
        try {
            run("SET lock_timeout TO '10s'; DROP SCHEMA " + schema_ + " CASCADE");
        } catch (const std::exception& e) {
            std::cerr << "a schema of the tests stays behind: " << e.what() << '\n';
        }
    }

    StoreSettings settings() const override {
        StoreSettings out;
        out.url = url_;
        out.schema = schema_;
        return out;
    }

    std::vector<std::vector<Cell>> table(const std::string& sql) const override {
        std::vector<std::vector<Cell>> out;
        for (const auto& row : run(sql)) {
            auto& cells = out.emplace_back();
            for (const auto& field : row)
                cells.push_back(field.is_null() ? Cell{} : Cell{as_sqlite_shows_it(field)});
        }
        return out;
    }

    void execute(const std::string& sql) const override { run(sql); }

private:
    pqxx::result run(const std::string& sql) const {
        pqxx::work transaction(look_);
        auto out = transaction.exec(sql);
        transaction.commit();
        return out;
    }

    const std::string url_, schema_;
    mutable pqxx::connection look_;
};

class TestDatabase {
public:
    TestDatabase() { execute_alone("CREATE DATABASE " + name_); }
    ~TestDatabase() {
        try {
            execute_alone("DROP DATABASE " + name_ + " WITH (FORCE)");
        } catch (const std::exception& e) {
            std::cerr << "a database of the tests stays behind: " << e.what() << '\n';
        }
    }
    TestDatabase(const TestDatabase&) = delete;
    TestDatabase& operator=(const TestDatabase&) = delete;
    [[nodiscard]] std::string url() const { return test_postgres_url_with("", "", name_); }

private:
    const std::string name_ = next_name();
};

/// The database comes before the engine, and goes after it.
class PostgresEngineAlone final : private TestDatabase, public PostgresEngine {
public:
    PostgresEngineAlone() : PostgresEngine(url()) {}
};

}  // namespace

std::optional<std::string> test_postgres_url() {
    static const auto url = []() -> std::optional<std::string> {
        // doctest's decorators ask before main(), when the streams need not be there yet.
        const std::ios_base::Init streams;
        const char* path = std::getenv("LEASEMIRROR_TEST_POSTGRES");
        if (path == nullptr) {
            std::cerr << "LEASEMIRROR_TEST_POSTGRES is not set: nothing is tested over PostgreSQL. Run ctest, or\n"
                         "    tests/postgres/server.sh start /tmp/pg; export LEASEMIRROR_TEST_POSTGRES=/tmp/pg/url\n";
            return std::nullopt;
        }
        std::string text;
        if (!std::getline(std::ifstream(path), text)) throw std::runtime_error(std::string("no URL in ") + path);
        return text;
    }();
    return url;
}

bool without_postgres() {
    return !test_postgres_url();
}

std::string test_postgres_url_with(const std::string& credentials, const std::string& address,
                                   const std::string& database) {
    const std::string url = test_postgres_url().value(), scheme = "postgresql://";
    const auto at = url.find('@'), slash = url.find('/', at);
    return scheme + (credentials.empty() ? url.substr(scheme.size(), at - scheme.size()) : credentials) + "@" +
           (address.empty() ? url.substr(at + 1, slash - at - 1) : address) + "/" +
           (database.empty() ? url.substr(slash + 1) : database);
}

StoreSettings with_named_sessions(StoreSettings settings) {
    const bool first = settings.url.find('?') == std::string::npos;
    settings.url += std::string(first ? "?" : "&") + "application_name=" + settings.schema;
    return settings;
}

int sessions_waiting(const Engine& engine) {
    return std::stoi(
        engine.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                     "application_name = '" +
                     engine.settings().schema + "'"));
}

void end_sessions(const Engine& engine) {
    const auto sessions = " FROM pg_stat_activity WHERE application_name = '" + engine.settings().schema + "'";
    engine.execute("SELECT pg_terminate_backend(pid)" + sessions);
    while (engine.value("SELECT count(*)" + sessions) != "0") {
    }
}

TestRole::TestRole(const std::string& options) : name_(next_name()) {
    execute_alone("CREATE ROLE " + name_ + " LOGIN " + options);
}
TestRole::~TestRole() {
    try {
        execute_alone("DROP OWNED BY " + name_ + " CASCADE; DROP ROLE " + name_);
    } catch (const std::exception& e) {
        std::cerr << "a role of the tests stays behind: " << e.what() << '\n';
    }
}

std::unique_ptr<Engine> make_postgres_engine() {
    return std::make_unique<PostgresEngine>(test_postgres_url().value());
}

std::unique_ptr<Engine> make_postgres_engine_alone() {
    return std::make_unique<PostgresEngineAlone>();
}

}  // namespace leasemirror::testing
