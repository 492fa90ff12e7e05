// The columns of `binding` as binding_columns.hpp lists them, against those that the table has.
#include "storage/ledger/binding_columns.hpp"
#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

using namespace leasemirror;
using namespace leasemirror::testing;

using Names = std::set<std::string>;

namespace {

Names listed_and(Names more) {
    for (const auto& column : binding_columns)
        more.emplace(column.name);
    return more;
}

Names columns_of_table(const Engine& engine, bool sqlite) {
    const auto names = engine.rows(sqlite ? "SELECT name FROM pragma_table_info('binding')"
                                          : "SELECT column_name FROM information_schema.columns "
                                            "WHERE table_schema = current_schema() AND table_name = 'binding'");
    return {names.begin(), names.end()};
}

}  // namespace

TEST_CASE("the table has the columns that are listed, the server, and what an engine alone has for its searches") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        const bool sqlite = std::string(factory.name) == "sqlite";
        const Fixture f(factory);
        CHECK(columns_of_table(*f.engine, sqlite) ==
              listed_and(sqlite ? Names{"server_id", "address_key", "last_key"} : Names{"server_id", "network"}));
    }
}

TEST_CASE("a list of columns has a part for each, numbered, in the order of the table") {
    using enum ColumnUse;
    CHECK(column_names({id, key}) == "binding_id, vpn_id, kind, address, prefix_len");
    CHECK(column_names({indexed}, "b.") == "b.doubt, b.client_id, b.hw_addr, b.relay_id, b.remote_id, b.circuit_id");
    CHECK(
        list_columns({derived, indexed}, [](const BindingColumn& column, std::size_t place) {
            return std::string(column.name) + " = ?" + std::to_string(place + 1);
        }) == "family = ?1, doubt = ?2, client_id = ?3, hw_addr = ?4, relay_id = ?5, remote_id = ?6, circuit_id = ?7");
    CHECK(count_columns({indexed}) == 6);
    CHECK(count_columns(stored_columns) == binding_columns.size() - 1);  // `family` is never read back
}
