#include "tests/storage/fault_store.hpp"

#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;

TEST_CASE("a batch that failed before or after its commit can be given again") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        FaultStore faulty(std::move(f.store));
        const auto batch = f.batch({told("10.0.0.1", 20)});
        faulty.fail_next(FaultStore::Fault::before);
        CHECK(f.fault_of([&] { faulty.apply(batch); }) == StoreFault::unavailable);
        CHECK(f.states().empty());
        faulty.fail_next(FaultStore::Fault::after_commit);
        CHECK(f.fault_of([&] { faulty.apply(batch); }) == StoreFault::in_doubt);
        CHECK(f.states() == std::vector<std::string>{"10.0.0.1 active"});
        faulty.apply(batch);
        CHECK(f.states() == std::vector<std::string>{"10.0.0.1 active"});
        CHECK(f.counted() == 1);
    }
}

TEST_CASE("batches that are repeated until they succeed leave what one pass without faults leaves") {
    for (const auto& factory : engines()) {
        Fixture smooth(factory), f(factory);
        FaultStore faulty(std::move(f.store));
        faulty.fail_randomly(42, 0.3, 0.3);
        for (int i = 0; i < 200; ++i) {
            const auto address = "10.0.0." + std::to_string(i * 7 % 20);
            auto batch = f.batch(
                {i % 3 == 0 ? told(address, i, BindingState::released) : told(address, i), told(address, i / 2)});
            batch.number = static_cast<std::uint64_t>(i + 1);
            smooth.store->apply(batch);
            for (bool done = false; !done;) {
                try {
                    faulty.apply(batch);
                    done = true;
                } catch (const StoreError&) {
                }
            }
        }
        CHECK(faulty.faults() > 50);
        CHECK(f.engine->rows("SELECT * FROM binding ORDER BY binding_id") ==
              smooth.engine->rows("SELECT * FROM binding ORDER BY binding_id"));
        CHECK(f.counted() == smooth.counted());
    }
}
