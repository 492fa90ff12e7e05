#include "storage/postgres/marks.hpp"

namespace leasemirror {
namespace {

constexpr PostgresSql marked_run_sql{"marked_run", "SELECT marked_run FROM server WHERE server_id = $1"};
constexpr PostgresSql keep_sql{"keep_marked_run", "UPDATE server SET marked_run = $2 WHERE server_id = $1"};

}  // namespace

void require_postgres_marks(PostgresTransaction& transaction, const Batch& batch, const ListingMarks& marks) {
    if (!batch.reconcile) return;
    const auto kept = transaction.run(marked_run_sql, Parameters().number(batch.server));
    require_marks(batch, Fields(kept[0]).number(), marks);
}

void keep_postgres_marked_run(PostgresTransaction& transaction, ServerId server, const ListingMarks& marks) {
    if (const auto run = marks.run_to_keep(server); run != 0)
        transaction.run(keep_sql, Parameters().number(server).number(run));
}

}  // namespace leasemirror
