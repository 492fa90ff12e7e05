#include "storage/ledger/ownership.hpp"

#include "storage/store_error.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {
namespace {

[[noreturn]] void fail_behind(const std::string& what) {
    throw StoreError(
        StoreFault::behind,
        what + ": the database has been put back to an earlier state; what was written since is asked for again");
}

/// "agent 'east-1' (host web1, pid 123), whose last sign of life was 3 s ago"
std::string described(const OtherAgent& other) {
    if (other.name.empty()) return "another agent";
    auto out = "agent '" + other.name + "'";
    if (!other.host.empty()) out += " (host " + other.host + ", pid " + std::to_string(other.pid) + ")";
    if (other.quiet_for) out += ", whose last sign of life was " + std::to_string(*other.quiet_for) + " s ago";
    return out;
}

}  // namespace

void fail_for_namesake(const OtherAgent& other) {
    throw StoreError(StoreFault::claimed,
                     described(other) + " is at work already; this one waits until that one is gone: give it another " +
                         "cluster.name");
}

void fail_for_other(const std::string& server, const OtherAgent& other) {
    throw StoreError(StoreFault::claimed, "server '" + server + "' is worked by " + described(other) +
                                              "; this one waits, and begins when that one is gone");
}

void Ownership::require(ServerId server, const std::optional<ServerOwner>& found) const {
    const auto owned = owned_.find(server);
    assert(owned != owned_.end());  // a batch is for a server that open_servers() of this store returned
    const auto& known = owned->second;
    if (!found) fail_behind("server " + std::to_string(server) + " is no longer in the database");
    if (found->owner_epoch > known.owner_epoch)
        throw StoreError(StoreFault::fenced, "server '" + found->name + "' has been taken over by agent '" +
                                                 found->owner + "'; this one must stop writing for it");
    if (found->owner_epoch < known.owner_epoch)
        fail_behind("this agent's take-over of server '" + found->name + "' is missing");
    if (found->committed_batch < known.committed_batch)
        fail_behind("of server '" + found->name + "' the database has batch " + std::to_string(found->committed_batch) +
                    ", and had confirmed batch " + std::to_string(known.committed_batch));
}

std::optional<std::int64_t> Ownership::begin(const Batch& batch, const std::optional<ServerOwner>& found) const {
    require(batch.server, found);
    if (batch.number != 0 && static_cast<std::int64_t>(batch.number) <= found->committed_batch) return std::nullopt;
    return found->epoch + (batch.fresh_start ? 1 : 0);
}

void Ownership::committed(const Batch& batch) {
    auto& known = owned_.at(batch.server).committed_batch;
    known = std::max(known, static_cast<std::int64_t>(batch.number));
}

std::vector<ServerId> Ownership::servers() const {
    std::vector<ServerId> out;
    for (const auto& [server, known] : owned_)
        out.push_back(server);
    return out;
}

}  // namespace leasemirror
