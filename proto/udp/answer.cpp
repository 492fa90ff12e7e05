#include "proto/udp/answer.hpp"

#include <algorithm>
#include <numeric>

namespace leasemirror {

std::string to_string(const UdpEndpoint& e) {
    const auto address = e.address.to_string();
    const auto host = e.address.family() == Family::v6 ? "[" + address + "]" : address;
    return host + ":" + std::to_string(e.port);
}

std::string_view to_string(UdpOutcome o) {
    switch (o) {
        case UdpOutcome::waiting:
            return "waiting";
        case UdpOutcome::found:
            return "found";
        case UdpOutcome::several_links:
            return "several links";
        case UdpOutcome::unassigned:
            return "unassigned";
        case UdpOutcome::unknown:
            return "unknown";
        case UdpOutcome::no_binding:
            return "no binding";
        case UdpOutcome::refused:
            return "refused";
        case UdpOutcome::unusable:
            return "unusable answer";
        case UdpOutcome::silent:
            return "no answer";
        case UdpOutcome::unsendable:
            return "could not be asked";
    }
    return "";
}

bool is_answered(UdpOutcome o) {
    return o != UdpOutcome::waiting && o != UdpOutcome::silent && o != UdpOutcome::unsendable;
}

std::string_view to_string(UdpDiscard d) {
    switch (d) {
        case UdpDiscard::undecodable:
            return "undecodable";
        case UdpDiscard::wrong_type:
            return "wrong message type";
        case UdpDiscard::wrong_xid:
            return "wrong transaction-id";
        case UdpDiscard::unexpected_source:
            return "unexpected source";
        case UdpDiscard::wrong_identifiers:
            return "wrong identifiers";
        case UdpDiscard::not_asked:
            return "about something not asked";
        case UdpDiscard::repeated:
            return "repeated or late";
        case UdpDiscard::too_many:
            return "too many servers";
    }
    return "";
}

std::uint64_t UdpDiscards::total() const {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

UdpOutcome UdpAnswer::outcome() const {
    const bool holds =
        std::any_of(bindings.begin(), bindings.end(), [](const UdpBinding& b) { return b.binding.in_force(); });
    return holds ? UdpOutcome::found : parts.front().outcome;
}

bool UdpAnswer::complete() const {
    return not_followed == 0 && left_out == 0 && std::all_of(parts.begin(), parts.end(), [](const UdpPart& part) {
               return is_answered(part.outcome) && part.outcome != UdpOutcome::unusable;
           });
}

}  // namespace leasemirror
