#include "storage/sqlite/verify.hpp"

#include "storage/sqlite/bindings.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/error.hpp"
#include "storage/sqlite/schema.hpp"

#include <SQLiteCpp/Transaction.h>

#include <type_traits>

namespace leasemirror {
namespace {

std::string at_address_sql() {
    return select_bindings_sql("INDEXED BY binding_key WHERE address = ?2 AND server_id = ?1");
}

// binding_server has the rowid, which is binding_id, behind the server. The end of the page is found in the index alone.
constexpr const char* page_end_sql =
    "SELECT max(binding_id) FROM (SELECT binding_id FROM binding INDEXED BY binding_server "
    "WHERE server_id = ?1 AND binding_id > ?2 ORDER BY binding_id LIMIT ?3)";

std::string page_sql() {
    return select_bindings_sql(
        "INDEXED BY binding_server WHERE server_id = ?1 AND binding_id > ?2 AND binding_id <= ?3 AND state = 'active'");
}

class SqliteMirrorReader final : public MirrorReader {
public:
    explicit SqliteMirrorReader(const std::string& path)
        : path_(path),
          db_(opened(path)),
          at_address_(db_, at_address_sql()),
          page_end_(db_, page_end_sql),
          page_(db_, page_sql()) {}

    std::vector<BindingRow> rows_at(ServerId server, std::span<const IpAddress> addresses) override {
        return in_snapshot([&] {
            std::vector<BindingRow> out;
            for (const auto& address : addresses) {
                const auto text = address.to_string();
                Use use(at_address_);
                use.number(1, server);
                use.text(2, text);
                read_bindings(use, out);
            }
            return out;
        });
    }

    Page in_force_after(ServerId server, std::int64_t binding_id, std::size_t rows) override {
        return in_snapshot([&] {
            Page out;
            out.cursor = page_end(server, binding_id, rows);
            Use use(page_);
            use.number(1, server);
            use.number(2, binding_id);
            use.number(3, out.cursor);
            read_bindings(use, out.rows);
            return out;
        });
    }

private:
    static SQLite::Database opened(const std::string& path) {
        auto db = open_for_reading(path);
        require_known_sqlite_version(db, path);
        return db;
    }

    template <class Work>
    std::invoke_result_t<Work> in_snapshot(Work work) {
        return translated(path_, "read the bindings", [&] {
            SQLite::Transaction snapshot(db_);
            return work();
        });
    }

    std::int64_t page_end(ServerId server, std::int64_t after, std::size_t rows) {
        Use use(page_end_);
        use.number(1, server);
        use.number(2, after);
        use.number(3, static_cast<std::int64_t>(rows));
        use.step();
        return use.number_if_any(0).value_or(after);
    }

    const std::string path_;
    SQLite::Database db_;
    SQLite::Statement at_address_, page_end_, page_;
};

}  // namespace

std::unique_ptr<MirrorReader> open_sqlite_mirror_reader(const std::string& path) {
    return translated(path, "open it", [&] { return std::make_unique<SqliteMirrorReader>(path); });
}

void record_sqlite_verify(const std::string& path, ServerId server, UtcSeconds at, std::uint64_t differences) {
    translated(path, "record the result", [&] {
        auto db = open_beside_agent(path);
        SQLite::Statement statement(
            db, "UPDATE server SET last_verify_at = ?2, verify_differences = ?3 WHERE server_id = ?1");
        Use use(statement);
        use.number(1, server);
        use.time(2, at);
        use.number(3, static_cast<std::int64_t>(differences));
        use.run();
    });
}

std::vector<std::string> sqlite_verify_queries() {
    return {at_address_sql(), page_end_sql, page_sql()};
}

}  // namespace leasemirror
