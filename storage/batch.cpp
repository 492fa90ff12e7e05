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

std::string_view to_string(Doubt d) {
    switch (d) {
        case Doubt::none:
            return "";
        case Doubt::unlisted:
            return "unlisted";
        case Doubt::link_unknown:
            return "link_unknown";
        case Doubt::other_client:
            return "other_client";
        case Doubt::unreadable:
            return "unreadable";
        case Doubt::scope_unreadable:
            return "scope_unreadable";
        case Doubt::unlistable:
            return "unlistable";
        case Doubt::refused:
            return "refused";
    }
    return "?";
}

Doubt doubt_from_word(std::string_view word) {
    for (const auto doubt : {Doubt::unlisted, Doubt::link_unknown, Doubt::other_client, Doubt::unreadable,
                             Doubt::scope_unreadable, Doubt::unlistable, Doubt::refused})
        if (word == to_string(doubt)) return doubt;
    return Doubt::none;
}

std::uint64_t Reconcile::latest_run() const {
    auto latest = run;
    for (const auto& scope : scopes)
        latest = std::max(latest, scope.run);
    return latest;
}

bool Reconcile::any_unread() const {
    return (everything && unread) ||
           std::any_of(scopes.begin(), scopes.end(), [](const Scope& scope) { return scope.unread; });
}

std::uint64_t Batch::last_gap() const {
    std::uint64_t last = 0;
    for (const auto& change : gaps)
        last = std::max(last, change.gap.number);
    return last;
}

}  // namespace leasemirror
