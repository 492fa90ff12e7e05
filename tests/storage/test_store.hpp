// A throwaway database per test, and short ways to write changes down.
#pragma once

#include "tests/storage/history_check.hpp"
#include "tests/storage/test_engine.hpp"

#include "storage/store.hpp"
#include "storage/store_error.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace leasemirror::testing {

/// An engine with a store and one open v4 server, for the tests of what a batch does. `reopen` drops the store
/// without a word, as a crash does, and opens it again. In the end it checks the history.
class Fixture {
public:
    explicit Fixture(const EngineFactory& factory, std::vector<std::string> servers = {"east"});
    ~Fixture();
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;
    void reopen();
    /// A batch of server `index` at `now`, of those changes.
    [[nodiscard]] Batch batch(std::vector<Change> changes = {}, std::size_t index = 0) const;
    Applied apply(std::vector<Change> changes = {}) { return store->apply(batch(std::move(changes))); }
    /// The rows of `binding` in their order of address: "address state end_reason".
    [[nodiscard]] std::vector<std::string> states() const;
    /// What is in doubt, in that order: "address doubt".
    [[nodiscard]] std::vector<std::string> doubts() const;
    /// Checks that the counter in `server` is what the table says; gives it.
    [[nodiscard]] std::int64_t counted() const;
    /// That feed, assignments and counts agree with `binding`.
    void check_history() const;
    [[nodiscard]] StoreFault fault_of(const std::function<void()>& work, std::string* what = nullptr) const;

    std::unique_ptr<Engine> engine;
    StoreSettings settings;  ///< for the next reopen()
    std::unique_ptr<Store> store;
    std::vector<ServerSpec> specs;
    std::vector<ResumePoint> resume;
    UtcSeconds now{};
    HistoryCheck check;
};

/// Our time and the server's, in seconds after a fixed moment that is long past.
[[nodiscard]] UtcSeconds utc(std::int64_t seconds);
[[nodiscard]] ServerTime at(std::int64_t seconds);
constexpr std::int64_t test_epoch = 1'700'000'000;

/// An active binding of `address` (a prefix if it has a '/'), told at server time `base` via active leasequery, with
/// a client named after it, that never expires.
[[nodiscard]] Change told(const std::string& address, std::int64_t base);
[[nodiscard]] Change told(const std::string& address, std::int64_t base, BindingState state);
/// As a full bulk lists it.
[[nodiscard]] Change listed(const std::string& address, std::int64_t base, std::uint64_t run, std::uint32_t scope = 1);
[[nodiscard]] Bytes id(std::string_view text);
/// A complete list of `count` changes of one client on a link (empty: unknown).
[[nodiscard]] Change list_end(std::string_view client, const std::string& link, std::int64_t base, std::uint32_t count);

[[nodiscard]] GapChange open_gap(std::uint64_t number, std::int64_t from, std::int64_t to);
[[nodiscard]] GapChange close_gap(std::uint64_t number, std::uint64_t recovered);

[[nodiscard]] Reconcile everything(std::uint64_t run, std::int64_t listed_from);

}  // namespace leasemirror::testing
