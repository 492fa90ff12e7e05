// Which servers a store has taken over, and whether the database still says so.
#pragma once

#include "storage/batch.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

/// The columns of a row of `server` that tell whose it is.
struct ServerOwner {
    std::int64_t owner_epoch = 0;
    std::string owner, name;
    std::int64_t committed_batch = 0;
    std::int64_t epoch = 0;
};

/// Whom an agent has to wait for.
struct OtherAgent {
    std::string name, host;  ///< empty where the database does not say
    std::int64_t pid = 0;
    std::optional<std::int64_t> quiet_for;  ///< seconds since its last sign of life; none: it has never given one
};
/// Throw StoreError `claimed`: when the other one is gone, trying again succeeds.
[[noreturn]] void fail_for_namesake(const OtherAgent& other);
[[noreturn]] void fail_for_other(const std::string& server, const OtherAgent& other);

/// Another agent that takes a server over raises its owner_epoch; so whoever finds a higher one than its own is fenced.
/// A lower one, or a batch missing that was committed, is a database that has been put back.
class Ownership {
public:
    void take_over(ServerId server, std::int64_t owner_epoch) { owned_[server] = {owner_epoch, 0}; }
    void release(ServerId server) { owned_.erase(server); }
    [[nodiscard]] bool has(ServerId server) const { return owned_.contains(server); }

    /// What the row of a server of ours says, none if it is gone. Throws StoreError, `fenced` or `behind`, unless the
    /// database is as this store left it.
    void require(ServerId server, const std::optional<ServerOwner>& found) const;
    /// The same for the server of a batch. Returns the epoch that its changes belong to; none if the batch is committed
    /// already, so that nothing of it is to be done.
    [[nodiscard]] std::optional<std::int64_t> begin(const Batch& batch, const std::optional<ServerOwner>& found) const;
    /// To be told once the transaction of a batch is over and has succeeded.
    void committed(const Batch& batch);

    /// In order.
    [[nodiscard]] std::vector<ServerId> servers() const;

private:
    struct Owned {
        std::int64_t owner_epoch = 0;      // as of our own take-over
        std::int64_t committed_batch = 0;  // as far as we were told
    };
    std::map<ServerId, Owned> owned_;
};

}  // namespace leasemirror
