#include "storage/ledger/ownership.hpp"
#include "storage/store_error.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;

namespace {

constexpr ServerId east = 7;

Ownership owning_east(std::int64_t owner_epoch, std::uint64_t committed = 0) {
    Ownership out;
    out.take_over(east, owner_epoch);
    Batch batch;
    batch.server = east;
    batch.number = committed;
    out.committed(batch);
    return out;
}

/// The fault and what it says; "ours" if there is none.
std::string verdict(const Ownership& owned, const std::optional<ServerOwner>& found) {
    try {
        owned.require(east, found);
        return "ours";
    } catch (const StoreError& e) {
        return std::string(e.fault() == StoreFault::fenced ? "fenced: " : "behind: ") + e.what();
    }
}

Batch numbered(std::uint64_t number, bool fresh_start = false) {
    Batch out;
    out.server = east;
    out.number = number;
    out.fresh_start = fresh_start;
    return out;
}

}  // namespace

TEST_CASE("a server is ours as long as its row is as this store left it") {
    const auto owned = owning_east(3, 10);
    CHECK(verdict(owned, ServerOwner{3, "me", "east", 10, 1}) == "ours");
    CHECK(verdict(owned, ServerOwner{3, "me", "east", 11, 1}) == "ours");  // a commit in doubt that was one
}

TEST_CASE("a server that another agent has taken over is fenced, and the message names the agent") {
    CHECK(verdict(owning_east(3), ServerOwner{4, "other", "east", 0, 1}) ==
          "fenced: server 'east' has been taken over by agent 'other'; this one must stop writing for it");
}

TEST_CASE("a database that was put back is behind: without the server, the take-over, or a committed batch") {
    const std::string lost =
        ": the database has been put back to an earlier state; what was written since is asked for again";
    CHECK(verdict(owning_east(3), std::nullopt) == "behind: server 7 is no longer in the database" + lost);
    CHECK(verdict(owning_east(3), ServerOwner{2, "me", "east", 0, 1}) ==
          "behind: this agent's take-over of server 'east' is missing" + lost);
    CHECK(verdict(owning_east(3, 10), ServerOwner{3, "me", "east", 9, 1}) ==
          "behind: of server 'east' the database has batch 9, and had confirmed batch 10" + lost);
}

TEST_CASE("a batch that is committed already begins nothing, and one without a number always does") {
    const auto owned = owning_east(3, 10);
    const ServerOwner found{3, "me", "east", 10, 5};
    CHECK(owned.begin(numbered(10), found) == std::nullopt);
    CHECK(owned.begin(numbered(11), found) == 5);
    CHECK(owned.begin(numbered(0), found) == 5);
    CHECK(owned.begin(numbered(11, true), found) == 6);  // a fresh start is a new epoch
}

TEST_CASE("a repeated commit does not take back a later one") {
    auto owned = owning_east(3, 10);
    owned.committed(numbered(4));
    CHECK(verdict(owned, ServerOwner{3, "me", "east", 9, 1}).starts_with("behind"));
}
