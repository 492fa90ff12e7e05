// The table `server` in PostgreSQL: who writes, and how far each server's mirror is right. Only for the postgres_* files.
#pragma once

#include "storage/ledger.hpp"
#include "storage/postgres/connection.hpp"

#include <map>
#include <optional>
#include <span>
#include <vector>

namespace leasemirror {

struct ServerSpec;

/// Whoever writes for a server holds the lock of its row from the beginning of the transaction to its end. Rows of
/// several are locked in the order of their ids. Every function throws StoreError `fenced` or `behind` where the
/// database is not as this store left it.
class PostgresServers {
public:
    std::vector<ResumePoint> take_over(PostgresTransaction& transaction, std::span<const ServerSpec> servers,
                                       const std::string& owner);
    void disable_except(PostgresTransaction& transaction, std::span<const std::string> names);

    /// Checks that the batch's server is still ours. Returns the epoch that the changes belong to; nothing if the batch
    /// is committed already.
    std::optional<std::int64_t> begin(PostgresTransaction& transaction, const Batch& batch);
    /// Counts what the batch did, and takes all its fields but changes, gaps and quarantine.
    void finish(PostgresTransaction& transaction, const Batch& batch, std::int64_t epoch, const Tally& tally);
    /// To be called when the transaction is committed.
    void committed(const Batch& batch);
    /// To be called when it is unknown whether it is; then what it did, if it turns out that it was.
    void in_doubt(const Batch& batch, const Applied& applied);
    [[nodiscard]] Applied what_was_in_doubt(const Batch& batch) const;

    /// That no server has been taken over from us, and none will be before the end of the transaction.
    void require_owned(PostgresTransaction& transaction);
    /// In order.
    [[nodiscard]] std::vector<ServerId> owned() const;
    void count(PostgresTransaction& transaction, ServerId server, const std::array<std::int64_t, 9>& more);

private:
    struct Owned {
        std::int64_t owner_epoch = 0;      // as of our own take-over
        std::int64_t committed_batch = 0;  // as far as we were told
        std::uint64_t doubtful_batch = 0;  // 0: none
        Applied doubtful;
    };
    struct Found {
        std::int64_t committed_batch = 0;
        std::int64_t epoch = 0;
    };
    static Found check(const pqxx::result& answer, pqxx::result::size_type row, ServerId server, const Owned& known);

    std::map<ServerId, Owned> owned_;
};

}  // namespace leasemirror
