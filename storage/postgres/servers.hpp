// The table `server` in PostgreSQL: who writes, and how far each server's mirror is right. Only for this folder.
#pragma once

#include "storage/ledger/ledger.hpp"
#include "storage/ledger/ownership.hpp"
#include "storage/postgres/connection.hpp"

#include <map>
#include <optional>
#include <span>
#include <vector>

namespace leasemirror {

struct ServerSpec;

/// Whoever writes for a server holds the lock of its row from the beginning of the transaction to its end. Rows of
/// several are locked in the order of their ids. And whoever works a server holds an advisory lock for it as long as the
/// session lasts, so that another agent waits. Every function throws StoreError `fenced` or `behind` where the
/// database is not as this store left it.
class PostgresServers {
public:
    /// Throws StoreError `claimed` that says who works one of them, while another session does.
    std::vector<ResumePoint> take_over(PostgresTransaction& transaction, std::span<const ServerSpec> servers,
                                       const std::string& owner);
    /// In another session than the one that took the servers over. Throws StoreError `claimed` while that one lasts.
    void claim_again(PostgresTransaction& transaction) const;
    /// Marks those of ours disabled and lets others claim them. To be followed by released() when that is committed.
    std::vector<ServerId> release(PostgresTransaction& transaction, std::span<const std::string> names);
    void released(std::span<const ServerId> servers);
    /// But for those that another session works.
    void disable_except(PostgresTransaction& transaction, std::span<const std::string> names);

    /// Checks that the batch's server is still ours. Returns the epoch that the changes belong to; nothing if the batch
    /// is committed already.
    std::optional<std::int64_t> begin(PostgresTransaction& transaction, const Batch& batch);
    /// Counts what the batch did, and takes all its fields but changes, gaps and quarantine. Tells how many bindings are
    /// in doubt then, or lacking.
    void finish(PostgresTransaction& transaction, const Batch& batch, std::int64_t epoch, const Tally& tally,
                Applied& applied);
    /// To be called when the transaction is committed.
    void committed(const Batch& batch);
    /// To be called when it is unknown whether it is; then what it did, if it turns out that it was.
    void in_doubt(const Batch& batch, const Applied& applied);
    [[nodiscard]] Applied what_was_in_doubt(const Batch& batch) const;

    /// That no server has been taken over from us, and none will be before the end of the transaction.
    void require_owned(PostgresTransaction& transaction);
    /// In order.
    [[nodiscard]] std::vector<ServerId> owned() const { return owned_.servers(); }
    void count(PostgresTransaction& transaction, ServerId server, const StateCounts& more);

private:
    /// A batch of which we do not know whether it is committed.
    struct Doubt {
        std::uint64_t batch = 0;
        Applied applied;
    };
    /// Locks the rows of these servers; those that are there.
    static std::map<ServerId, ServerOwner> lock(PostgresTransaction& transaction, std::span<const ServerId> servers);

    Ownership owned_;
    std::map<ServerId, Doubt> doubts_;
};

}  // namespace leasemirror
