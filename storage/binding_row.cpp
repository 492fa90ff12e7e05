#include "storage/binding_row.hpp"

#include <array>

namespace leasemirror {
namespace {

constexpr std::array end_reasons{EndReason::none,     EndReason::reported, EndReason::expired,  EndReason::reconciled,
                                 EndReason::unlisted, EndReason::asked,    EndReason::replaced, EndReason::moved};
constexpr std::array states{BindingState::active,   BindingState::available,     BindingState::expired,
                            BindingState::released, BindingState::abandoned,     BindingState::reset,
                            BindingState::remote,   BindingState::transitioning, BindingState::ended};

}  // namespace

std::string_view to_string(EndReason reason) {
    switch (reason) {
        case EndReason::none:
            return "";
        case EndReason::reported:
            return "reported";
        case EndReason::expired:
            return "expired";
        case EndReason::reconciled:
            return "reconciled";
        case EndReason::unlisted:
            return "unlisted";
        case EndReason::asked:
            return "asked";
        case EndReason::replaced:
            return "replaced";
        case EndReason::moved:
            return "moved";
    }
    return "";
}

EndReason end_reason_from_word(std::string_view word) {
    for (const auto reason : end_reasons)
        if (word == to_string(reason)) return reason;
    return EndReason::reported;  // cannot be: the column has a CHECK
}

BindingState state_from_word(std::string_view word) {
    for (const auto state : states)
        if (word == to_string(state)) return state;
    return BindingState::ended;  // cannot be: the column has a CHECK
}

}  // namespace leasemirror
