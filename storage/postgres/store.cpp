#include "storage/postgres/store.hpp"

#include "storage/postgres/changes.hpp"
#include "storage/postgres/clock.hpp"
#include "storage/postgres/doubts.hpp"
#include "storage/postgres/gaps.hpp"
#include "storage/postgres/heartbeat.hpp"
#include "storage/postgres/loading.hpp"
#include "storage/postgres/long_identifiers.hpp"
#include "storage/postgres/marks.hpp"
#include "storage/postgres/orders.hpp"
#include "storage/postgres/retention.hpp"
#include "storage/postgres/schema.hpp"
#include "storage/postgres/servers.hpp"

#include <cassert>
#include <optional>
#include <type_traits>

namespace leasemirror {
namespace {

constexpr PostgresSql duid_sql{"duid", "SELECT value FROM meta WHERE name = 'requestor_duid'"};
constexpr PostgresSql keep_duid_sql{
    "keep_duid", "INSERT INTO meta (name, value) VALUES ('requestor_duid', $1) ON CONFLICT DO NOTHING"};

class PostgresStore final : public Store {
public:
    explicit PostgresStore(const StoreSettings& settings) : settings_(settings), changes_(ledger_settings(settings)) {
        connected();
    }
    /// What a session has claimed is free when its backend has gone, some time after this. Whoever opens next, a reload
    /// of this same agent for one, is not to wait for it.
    ~PostgresStore() override {
        try {
            if (connection_ && connection_->is_open())
                in_transaction("let go of the servers",
                               [](auto& transaction) { transaction.execute("SELECT pg_advisory_unlock_all()"); });
        } catch (const StoreError&) {  // the session is lost, and its locks with it
        }
    }

    std::vector<ResumePoint> open_servers(std::span<const ServerSpec> servers, const std::string& owner) override {
        auto out = in_transaction("take over the servers",
                                  [&](auto& transaction) { return servers_.take_over(transaction, servers, owner); });
        changes_.opened(out);
        return out;
    }

    void beat(const Heartbeat& heartbeat) override {
        in_transaction("give a sign of life", [&](auto& transaction) { write_heartbeat(transaction, heartbeat); });
    }

    void release_servers(std::span<const std::string> names) override {
        const auto given_up =
            in_transaction("give up servers", [&](auto& transaction) { return servers_.release(transaction, names); });
        servers_.released(given_up);
        for (const auto server : given_up) {
            marks_.forget(server);
            first_load_.released(server);
        }
    }

    void disable_servers_except(std::span<const std::string> names) override {
        in_transaction("disable the other servers",
                       [&](auto& transaction) { servers_.disable_except(transaction, names); });
    }

    Applied apply(const Batch& batch) override;
    using Store::sweep;
    Swept sweep(UtcSeconds now, std::size_t rows, std::span<const ServerId> held) override;

    Bytes requestor_duid(ByteView proposal) override {
        return in_transaction("keep the requestor's DUID", [&](auto& transaction) {
            transaction.run(keep_duid_sql, Parameters().bytes(proposal));
            const auto kept = transaction.run(duid_sql);
            return Fields(kept[0]).bytes();
        });
    }

private:
    void prepare_indexes(const Batch& batch);
    void apply_in_transaction(PostgresTransaction& transaction, const Batch& batch, Care care, Applied& applied);
    Tally apply_changes(PostgresTransaction& transaction, PostgresFeed& feed, const BatchContext& context,
                        const Batch& batch, Care care, Applied& applied);
    void sweep_bindings(PostgresTransaction& transaction, UtcSeconds now, std::size_t rows,
                        std::span<const ServerId> held, Swept& out);

    /// The connection, opened anew if there is none, on a schema that is up to date.
    PostgresConnection& connected() {
        if (connection_ && connection_->is_open()) return *connection_;
        connection_.emplace(settings_, PostgresUse::writing);
        try {
            migrate_postgres(*connection_);
            claim_again();
            first_load_.forget_session();
            make_left_out_indexes();
        } catch (...) {
            connection_.reset();
            throw;
        }
        return *connection_;
    }

    void claim_again() {
        if (servers_.owned().empty()) return;
        connection_->translated("keep the servers for this agent", [&] {
            PostgresTransaction transaction(*connection_);
            servers_.claim_again(transaction);
            transaction.commit();
        });
    }

    /// What a first load has left out, one by one, if nobody loads any more.
    void make_left_out_indexes() {
        constexpr std::string_view doing = "make the indexes of identifiers";
        bool more = in_transaction(doing, [&](auto& transaction) { return first_load_.may_restore(transaction); });
        while (more)
            more = in_transaction(doing, [](auto& transaction) { return restore_left_out_index(transaction); });
    }

    /// Work on tables as a whole, that is done without where it cannot be: somebody may be at them for long.
    template <class Work>
    bool try_transaction(std::string_view doing, Work&& work) {
        auto& connection = connected();
        return connection.translated(doing, [&] {
            try {
                PostgresTransaction transaction(connection);
                work(transaction);
                transaction.commit();
                return true;
            } catch (const pqxx::sql_error&) {
                if (!connection.is_open()) throw;
                return false;
            }
        });
    }

    /// After a failure nothing of the session is relied on: the next call opens another one.
    template <class Work>
    std::invoke_result_t<Work, PostgresTransaction&> in_transaction(std::string_view doing, Work&& work) {
        auto& connection = connected();
        try {
            return connection.translated(doing, [&]() -> std::invoke_result_t<Work, PostgresTransaction&> {
                PostgresTransaction transaction(connection);
                if constexpr (std::is_void_v<std::invoke_result_t<Work, PostgresTransaction&>>) {
                    work(transaction);
                    transaction.commit();
                } else {
                    auto out = work(transaction);
                    transaction.commit();
                    return out;
                }
            });
        } catch (const StoreError& e) {
            const auto sound = e.fault() == StoreFault::refused || e.fault() == StoreFault::claimed;
            if (!sound) connection_.reset();
            throw;
        } catch (...) {
            connection_.reset();
            throw;
        }
    }

    const StoreSettings settings_;
    std::optional<PostgresConnection> connection_;
    PostgresServers servers_;
    PostgresChanges changes_;
    ListingMarks marks_;
    PostgresFirstLoad first_load_;
    LongIdentifiers long_identifiers_;
    SweepPlace swept_to_;
    AssignmentWalk assignment_walk_;
};

/// In transactions of their own, before the one of the batch: they lock whole tables. A long identifier that finds no index
/// that takes it is refused, and shown so, until the next try.
void PostgresStore::prepare_indexes(const Batch& batch) {
    if (long_identifiers_.any_new(batch)) {
        const bool done = try_transaction("make an index for long identifiers",
                                          [&](auto& transaction) { long_identifiers_.prepare(transaction, batch); });
        if (done) long_identifiers_.prepared(batch);
    }
    const auto step = first_load_.before(batch);
    if (step == PostgresFirstLoad::Step::begin)
        try_transaction("leave out the indexes of identifiers",
                        [&](auto& transaction) { first_load_.begin(transaction, batch); });
    if (step == PostgresFirstLoad::Step::restore) make_left_out_indexes();
}

Applied PostgresStore::apply(const Batch& batch) {
    Applied applied;
    prepare_indexes(batch);
    try {
        apply_with_care([&](Care care) {
            applied = {};
            in_transaction("apply a batch",
                           [&](auto& transaction) { apply_in_transaction(transaction, batch, care, applied); });
        });
    } catch (const StoreError& e) {
        if (e.fault() == StoreFault::in_doubt) servers_.in_doubt(batch, applied);
        throw;
    }
    servers_.committed(batch);
    marks_.committed(batch);
    return applied;
}

void PostgresStore::apply_in_transaction(PostgresTransaction& transaction, const Batch& batch, Care care,
                                         Applied& applied) {
    const auto epoch = servers_.begin(transaction, batch);
    if (!epoch) {
        applied = servers_.what_was_in_doubt(batch);
        return;
    }
    require_postgres_marks(transaction, batch, marks_);
    marks_.begin(batch);
    const BatchContext context{batch.server, *epoch, batch.now, batch.skew, &marks_};
    PostgresFeed feed(transaction);
    if (batch.our_clock_moved) move_clock(transaction, batch.server, *batch.our_clock_moved);
    if (batch.fresh_start && batch.before.ours_unsure) doubt_clock(transaction, batch.server);
    auto tally = apply_changes(transaction, feed, context, batch, care, applied);
    keep_postgres_marked_run(transaction, batch.server, marks_);
    applied.doubts = changes_.new_doubts();
    const auto unsettled = batch.reconcile ? doubt_unlisted(transaction, context, *batch.reconcile) : 0;
    tally.by_state.doubts += unsettled;

    // Where a full bulk ends few bindings, the rule, they are chosen before the lock of the feed is taken, since that
    // means to look at all bindings of the server.
    Unlisted unlisted;
    const auto choose = [&](std::int64_t after) {
        unlisted = choose_unlisted(transaction, context, *batch.reconcile, after);
        tally.reconcile(unlisted.ids.size());
        tally.by_state.doubts -= unlisted.doubts;
    };
    if (batch.reconcile) choose(0);
    bool feed_written = care == Care::piecewise;
    while (unlisted.ids.size() == ended_at_once_max) {
        if (!feed_written) changes_.write_feed(feed, context, PostgresFeed::Then::more);
        feed_written = true;
        end_unlisted(transaction, feed, context, *batch.reconcile, unlisted.ids);
        choose(unlisted.ids.back());
    }

    apply_gap_changes(transaction, batch, tally.reconciled);
    servers_.finish(transaction, batch, context.epoch, tally, applied);
    add_to_quarantine(transaction, batch.server, batch.quarantine);
    if (!feed_written)
        changes_.write_feed(feed, context,
                            unlisted.ids.empty() ? PostgresFeed::Then::commit : PostgresFeed::Then::more);
    if (batch.reconcile) end_unlisted(transaction, feed, context, *batch.reconcile, unlisted.ids);
    if (tally.reconciled > 0) changes_.note_ends();
    if (batch.list_doubts || unsettled > 0) applied.doubts = read_doubts(transaction, batch.server, batch.doubts_after);
    feed.notify();
    tally.tell(applied);
}

Tally PostgresStore::apply_changes(PostgresTransaction& transaction, PostgresFeed& feed, const BatchContext& context,
                                   const Batch& batch, Care care, Applied& applied) {
    if (care == Care::none) return changes_.apply(transaction, context, batch);
    Refusals refusals;
    const auto tally = changes_.apply_piecewise(transaction, feed, context, batch, refusals);
    add_to_quarantine(transaction, batch.server, refusals.quarantine);
    applied.refused = std::move(refusals.lines);
    return tally;
}

Swept PostgresStore::sweep(UtcSeconds now, std::size_t rows, std::span<const ServerId> held) {
    assert(rows > 0);
    Swept out;
    if (first_load_.should_look(now)) make_left_out_indexes();
    in_transaction("end what has expired",
                   [&](auto& transaction) { sweep_bindings(transaction, now, rows, held, out); });
    // Each in a transaction of its own: none holds its locks for longer than it needs them.
    out.removed_changes = in_transaction("remove old changes", [&](auto& transaction) {
        return remove_changes(transaction, now, rows, settings_.retention);
    });
    out.removed_assignments = in_transaction("remove old assignments", [&](auto& transaction) {
        return remove_assignments(transaction, now, rows, settings_.retention, assignment_walk_);
    });
    return out;
}

void PostgresStore::sweep_bindings(PostgresTransaction& transaction, UtcSeconds now, std::size_t rows,
                                   std::span<const ServerId> held, Swept& out) {
    servers_.require_owned(transaction);
    out.orders = read_postgres_orders(transaction, servers_.owned());
    auto part = look_through(transaction, servers_.owned(), swept_to_, now, rows, settings_.retention);
    for (const auto server : held)
        part.of.erase(server);
    PostgresFeed feed(transaction);
    for (const auto& [server, share] : part.of) {
        auto counts = remove_bindings(transaction, server, share.outlived);
        counts.end(static_cast<std::int64_t>(share.expired.size()));
        servers_.count(transaction, server, counts);
        out.removed_bindings += share.outlived.size();
        out.ended += share.expired.size();
    }
    for (const auto& [server, share] : part.of)
        end_expired(transaction, feed, server, now, share.expired);
    feed.notify();
    if (out.ended > 0) changes_.note_ends();
    out.around = part.around;
    swept_to_ = part.around ? SweepPlace{} : part.reached;
}

}  // namespace

std::unique_ptr<Store> open_postgres_store(const StoreSettings& settings) {
    return std::make_unique<PostgresStore>(settings);
}

SchemaVersion postgres_schema_version(const StoreSettings& settings) {
    PostgresConnection connection(settings, PostgresUse::reading);
    return {postgres_version_found(connection), known_postgres_version()};
}

int migrate_postgres_schema(const StoreSettings& settings, const OnMigration& before_each) {
    PostgresConnection connection(settings, PostgresUse::writing);
    migrate_postgres(connection, before_each);
    connection.translated("make the indexes of identifiers", [&] {
        for (bool more = true; more;) {
            PostgresTransaction transaction(connection);
            more = restore_left_out_index(transaction);
            transaction.commit();
        }
    });
    return postgres_version_found(connection);
}

}  // namespace leasemirror
