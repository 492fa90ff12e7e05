// How many bindings there are more, or fewer, in each state (storage/README.md, "Table `binding_count`"), and in doubt.
#pragma once

#include "proto/binding.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace leasemirror {

class StateCounts {
public:
    [[nodiscard]] std::int64_t& operator[](BindingState state) { return counts_[static_cast<std::size_t>(state)]; }
    [[nodiscard]] std::int64_t in_force() const { return counts_[static_cast<std::size_t>(BindingState::active)]; }
    /// So many that were active have ended.
    void end(std::int64_t bindings) {
        (*this)[BindingState::active] -= bindings;
        (*this)[BindingState::ended] += bindings;
    }
    /// Calls visit(state, count) for each state that changes.
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (std::size_t state = 0; state < counts_.size(); ++state)
            if (counts_[state] != 0) visit(static_cast<BindingState>(state), counts_[state]);
    }

    std::int64_t doubts = 0;  ///< server.doubts

private:
    std::array<std::int64_t, static_cast<std::size_t>(BindingState::ended) + 1> counts_{};
};

}  // namespace leasemirror
