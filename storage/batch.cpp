#include "storage/batch.hpp"

#include <algorithm>

namespace leasemirror {

std::string_view to_string(Phase p) {
    switch (p) {
        case Phase::connecting:
            return "connecting";
        case Phase::bulk:
            return "bulk";
        case Phase::catch_up:
            return "catch_up";
        case Phase::live:
            return "live";
        case Phase::gap:
            return "gap";
        case Phase::polling:
            return "polling";
        case Phase::waiting:
            return "waiting";
        case Phase::down:
            return "down";
        case Phase::disabled:
            return "disabled";
    }
    return "?";
}

std::uint64_t Reconcile::latest_run() const {
    auto latest = run;
    for (const auto& scope : scopes)
        latest = std::max(latest, scope.run);
    return latest;
}

std::uint64_t Batch::last_gap() const {
    std::uint64_t last = 0;
    for (const auto& change : gaps)
        last = std::max(last, change.gap.number);
    return last;
}

}  // namespace leasemirror
