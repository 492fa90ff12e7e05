#include "tests/storage/test_engine.hpp"

#include "tests/storage/postgres_engine.hpp"

#include "proto/ip_address.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <cstdlib>
#include <ctime>
#include <iomanip>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace leasemirror::testing {
namespace {

// The functions that Engine promises, where SQLite has none of its own. hex() it has.

std::string text_of(sqlite3_value* value) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(value));
    return text == nullptr ? std::string{} : std::string(text);
}

void give(sqlite3_context* context, const void* data, std::size_t size) {
    sqlite3_result_blob(context, data, static_cast<int>(size), SQLITE_TRANSIENT);
}

void as_it_is(sqlite3_context* context, int, sqlite3_value** arguments) {
    sqlite3_result_value(context, arguments[0]);
}

void sortable(sqlite3_context* context, int, sqlite3_value** arguments) {
    const auto key = IpAddress::parse(text_of(arguments[0])).value().sortable();
    give(context, key.data(), key.size());
}

void unhex(sqlite3_context* context, int, sqlite3_value** arguments) {
    const auto digits = text_of(arguments[0]);
    Bytes out;
    for (std::size_t at = 0; at + 1 < digits.size(); at += 2)
        out.push_back(static_cast<std::uint8_t>(std::stoi(digits.substr(at, 2), nullptr, 16)));
    give(context, out.data(), out.size());
}

/// Tables have the number; views have ISO 8601.
void epoch(sqlite3_context* context, int count, sqlite3_value** arguments) {
    if (sqlite3_value_type(arguments[0]) != SQLITE_TEXT) return as_it_is(context, count, arguments);
    std::tm parts{};
    std::istringstream(text_of(arguments[0])) >> std::get_time(&parts, "%Y-%m-%dT%H:%M:%SZ");
    sqlite3_result_int64(context, ::timegm(&parts));
}

void add_functions(SQLite::Database& db) {
    const auto add = [&db](const char* name, void (*function)(sqlite3_context*, int, sqlite3_value**)) {
        sqlite3_create_function(db.getHandle(), name, 1, SQLITE_UTF8, nullptr, function, nullptr, nullptr);
    };
    add("epoch", epoch);
    add("unhex", unhex);
    add("host", as_it_is);
    add("sortable", sortable);
}

class SqliteEngine final : public Engine {
public:
    StoreSettings settings() const override {
        StoreSettings out;
        out.url = "sqlite://" + path();
        return out;
    }

    std::vector<std::vector<Cell>> table(const std::string& sql) const override {
        auto& statement = prepared(sql);
        std::vector<std::vector<Cell>> out;
        while (statement.executeStep()) {
            auto& row = out.emplace_back();
            for (int i = 0; i < statement.getColumnCount(); ++i) {
                const auto column = statement.getColumn(i);
                row.push_back(column.isNull() ? Cell{} : Cell{column.getString()});
            }
        }
        statement.reset();  // what reads holds up no checkpoint
        return out;
    }

    void execute(const std::string& sql) const override {
        SQLite::Database db(path(), SQLite::OPEN_READWRITE);
        add_functions(db);
        db.exec(sql);
    }

private:
    /// The judge of the simulation asks the same few questions thousands of times: half of its time went into opening
    /// the file and preparing them.
    struct Session {
        explicit Session(const std::string& path) : db(path, SQLite::OPEN_READONLY) { add_functions(db); }
        SQLite::Database db;
        std::map<std::string, SQLite::Statement> statements;
        std::int64_t schema() { return db.execAndGet("PRAGMA schema_version").getInt64(); }
    };

    SQLite::Statement& prepared(const std::string& sql) const {
        constexpr std::size_t most_statements = 100;
        struct stat file {};
        const bool there = ::stat(path().c_str(), &file) == 0;
        // A test may have removed the file, or put another in its place.
        if (!there || file.st_ino != inode_ || (session_ && session_->statements.size() >= most_statements))
            session_.reset();
        // A statement keeps its columns, and a plan that it explains, whatever becomes of the schema.
        if (session_ && session_->schema() != schema_) session_.reset();
        if (!session_) {
            session_.emplace(path());
            schema_ = session_->schema();
        }
        inode_ = file.st_ino;
        return session_->statements.try_emplace(sql, session_->db, sql).first->second;
    }

    std::string path() const { return (dir_.path() / "leases.db").string(); }
    TempDir dir_;
    mutable std::optional<Session> session_;  ///< what table() reads by
    mutable ino_t inode_ = 0;
    mutable std::int64_t schema_ = 0;  ///< the version of the schema that it began with
};

}  // namespace

TempDir::TempDir() {
    auto pattern = (std::filesystem::temp_directory_path() / "leasemirror-test.XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot create " + pattern);
    path_ = pattern;
}
TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::vector<std::string> Engine::rows(const std::string& sql) const {
    std::vector<std::string> out;
    for (const auto& cells : table(sql)) {
        auto& row = out.emplace_back();
        for (std::size_t i = 0; i < cells.size(); ++i)
            row += (i > 0 ? "|" : "") + cells[i].value_or("-");
    }
    return out;
}

std::string Engine::value(const std::string& sql) const {
    const auto found = rows(sql);
    if (found.size() != 1) throw std::runtime_error(std::to_string(found.size()) + " rows from: " + sql);
    return found[0];
}

const std::vector<EngineFactory>& engines() {
    static const auto all = [] {
        std::vector<EngineFactory> out{{"sqlite", [] { return std::make_unique<SqliteEngine>(); }}};
        if (test_postgres_url()) out.push_back({"postgresql", make_postgres_engine});
        return out;
    }();
    return all;
}

}  // namespace leasemirror::testing
