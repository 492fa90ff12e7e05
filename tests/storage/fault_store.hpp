// A Store that fails when it is told to, or by a seeded die: for the simulation, and for whoever writes to a store.
#pragma once

#include "storage/store.hpp"
#include "storage/store_error.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <random>

namespace leasemirror::testing {

/// Passes every call on to a real store, except where a fault strikes: before the transaction (nothing is written),
/// or after its commit (all is written, and the caller hears that it is in doubt). The faults that are asked for come
/// first, one for each call; then the die decides, which is never thrown by default.
class FaultStore final : public Store {
public:
    enum class Fault : std::uint8_t { none, before, after_commit };

    explicit FaultStore(std::unique_ptr<Store> real) : real_(std::move(real)) {}

    /// The next `calls` calls fail in this way.
    void fail_next(Fault fault, std::size_t calls = 1, StoreFault how = StoreFault::unavailable) {
        asked_ = fault;
        asked_calls_ = calls;
        how_ = how;
    }
    /// From now on each call fails with these chances (0 to 1). The same seed gives the same faults.
    void fail_randomly(std::uint64_t seed, double before, double after_commit) {
        die_.emplace(seed);
        before_ = before;
        after_commit_ = after_commit;
    }
    void heal() {
        asked_calls_ = 0;
        die_.reset();
    }
    [[nodiscard]] std::size_t faults() const { return faults_; }
    [[nodiscard]] Store& real() { return *real_; }

    std::vector<ResumePoint> open_servers(std::span<const ServerSpec> servers, const std::string& owner) override {
        return call([&] { return real_->open_servers(servers, owner); });
    }
    void beat(const Heartbeat& heartbeat) override {
        call([&] {
            real_->beat(heartbeat);
            return true;
        });
    }
    Applied apply(const Batch& batch) override {
        return call([&] { return real_->apply(batch); });
    }
    void release_servers(std::span<const std::string> names) override {
        call([&] {
            real_->release_servers(names);
            return true;
        });
    }
    void disable_servers_except(std::span<const std::string> names) override {
        call([&] {
            real_->disable_servers_except(names);
            return true;
        });
    }
    using Store::sweep;
    Swept sweep(UtcSeconds now, std::size_t rows, std::span<const ServerId> held) override {
        return call([&] { return real_->sweep(now, rows, held); });
    }
    Bytes requestor_duid(ByteView proposal) override {
        return call([&] { return real_->requestor_duid(proposal); });
    }

private:
    template <class Work>
    std::invoke_result_t<Work> call(Work&& work) {
        const auto fault = next_fault();
        if (fault == Fault::before) throw StoreError(how_, "injected fault: nothing was written");
        auto result = work();
        if (fault == Fault::after_commit) throw StoreError(StoreFault::in_doubt, "injected fault: after the commit");
        return result;
    }

    Fault next_fault() {
        auto fault = Fault::none;
        if (asked_calls_ > 0) {
            --asked_calls_;
            fault = asked_;
        } else if (die_) {
            how_ = StoreFault::unavailable;
            // Not a distribution of the library: those differ between implementations, and seeds are to be replayed.
            const double thrown = static_cast<double>((*die_)() >> 11) * 0x1.0p-53;
            fault = thrown < before_                   ? Fault::before
                    : thrown < before_ + after_commit_ ? Fault::after_commit
                                                       : Fault::none;
        }
        if (fault != Fault::none) ++faults_;
        return fault;
    }

    std::unique_ptr<Store> real_;
    Fault asked_ = Fault::none;
    std::size_t asked_calls_ = 0;
    StoreFault how_ = StoreFault::unavailable;
    std::optional<std::mt19937_64> die_;
    double before_ = 0;
    double after_commit_ = 0;
    std::size_t faults_ = 0;
};

}  // namespace leasemirror::testing
