#include "storage/postgres/verify.hpp"

#include "storage/postgres/bindings.hpp"
#include "storage/postgres/schema.hpp"

#include <type_traits>

namespace leasemirror {
namespace {

// By the primary key, in its order.
constexpr PostgresSql page_end_sql{"verify_page_end", R"sql(
    SELECT max(binding_id) FROM
        (SELECT binding_id FROM binding WHERE server_id = $1 AND binding_id > $2 ORDER BY binding_id LIMIT $3) AS page)sql"};

const std::string page_text =
    select_bindings_text("WHERE server_id = $1 AND binding_id > $2 AND binding_id <= $3 AND state = 'active'");
const PostgresSql page_sql{"verify_page", page_text};

constexpr PostgresSql record_sql{"record_verify",
                                 "UPDATE server SET last_verify_at = $2, verify_differences = $3 WHERE server_id = $1"};

class PostgresMirrorReader final : public MirrorReader {
public:
    explicit PostgresMirrorReader(const StoreSettings& settings) : connection_(settings, PostgresUse::reading) {
        connection_.translated("open it", [&] { require_current_postgres_schema(connection_); });
    }

    std::vector<BindingRow> rows_at(ServerId server, std::span<const IpAddress> addresses) override {
        if (addresses.empty()) return {};
        return in_transaction(
            [&](PostgresTransaction& transaction) { return read_bindings_at(transaction, server, addresses); });
    }

    Page in_force_after(ServerId server, std::int64_t binding_id, std::size_t rows) override {
        return in_transaction([&](PostgresTransaction& transaction) {
            Parameters parameters;
            parameters.number(server).number(binding_id);
            auto end = parameters;
            const auto found = transaction.run(page_end_sql, end.number(static_cast<std::int64_t>(rows)));
            Page out;
            out.cursor = Fields(found[0]).number_if_any().value_or(binding_id);
            out.rows = read_binding_rows(transaction.run(page_sql, parameters.number(out.cursor)));
            return out;
        });
    }

private:
    template <class Work>
    std::invoke_result_t<Work, PostgresTransaction&> in_transaction(Work work) {
        return connection_.translated("read the bindings", [&] {
            PostgresTransaction transaction(connection_);
            return work(transaction);
        });
    }

    PostgresConnection connection_;
};

}  // namespace

std::unique_ptr<MirrorReader> open_postgres_mirror_reader(const StoreSettings& settings) {
    return std::make_unique<PostgresMirrorReader>(settings);
}

void record_postgres_verify(const StoreSettings& settings, ServerId server, UtcSeconds at, std::uint64_t differences) {
    PostgresConnection connection(settings, PostgresUse::writing);
    connection.translated("record the result", [&] {
        require_current_postgres_schema(connection);
        PostgresTransaction transaction(connection);
        transaction.run(record_sql,
                        Parameters().number(server).time(at).number(static_cast<std::int64_t>(differences)));
        transaction.commit();
    });
}

std::vector<std::string> postgres_verify_queries() {
    return {std::string(bindings_at_addresses_text()), std::string(page_end_sql.text), page_text};
}

}  // namespace leasemirror
