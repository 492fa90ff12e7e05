#include "storage/ledger/binding_row.hpp"

#include <array>

namespace leasemirror {
namespace {

constexpr std::array end_reasons{EndReason::none,     EndReason::reported, EndReason::expired,  EndReason::reconciled,
                                 EndReason::unlisted, EndReason::asked,    EndReason::replaced, EndReason::moved};
constexpr std::array states{BindingState::active,   BindingState::available,     BindingState::expired,
                            BindingState::released, BindingState::abandoned,     BindingState::reset,
                            BindingState::remote,   BindingState::transitioning, BindingState::ended};

unsigned nibble(char digit) {
    return static_cast<unsigned>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/// What colon_hex() has written.
Bytes octets_of(std::string_view text) {
    Bytes out;
    for (std::size_t at = 0; at + 1 < text.size(); at += 3)
        out.push_back(static_cast<std::uint8_t>(nibble(text[at]) << 4 | nibble(text[at + 1])));
    return out;
}

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

DoubtfulBinding doubtful(const BindingRow& row) {
    DoubtfulBinding out;
    out.key = row.key;
    out.why = row.doubt;
    out.client_id = row.client_id;
    if (row.hw_type) out.hw_type = static_cast<std::uint16_t>(*row.hw_type);
    out.hw_addr = octets_of(row.hw_addr);
    out.link_address = row.link_address;
    return out;
}

}  // namespace leasemirror
