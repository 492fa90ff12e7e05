#include "storage/batch.hpp"

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

}  // namespace leasemirror
