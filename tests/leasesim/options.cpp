#include "tests/leasesim/options.hpp"

#include <array>
#include <charconv>
#include <utility>

namespace leasemirror::leasesim {

namespace {

constexpr std::array<std::pair<std::string_view, FaultKind>, 49> fault_names{
    {{"tiny-writes", FaultKind::tiny_writes},
     {"hold-frames", FaultKind::hold_frames},
     {"truncated-frame", FaultKind::truncated_frame},
     {"zero-length-frame", FaultKind::zero_length_frame},
     {"wrong-xid", FaultKind::wrong_xid},
     {"missing-server-id", FaultKind::missing_server_id},
     {"split-option-82", FaultKind::split_option_82},
     {"overloaded-options", FaultKind::overloaded_options},
     {"nul-in-status", FaultKind::nul_in_status},
     {"clock-step", FaultKind::clock_step},
     {"no-catch-up-complete", FaultKind::no_catch_up_complete},
     {"silence", FaultKind::silence},
     {"close-in-catch-up", FaultKind::close_in_catch_up},
     {"unassigned-with-lease-time", FaultKind::unassigned_with_lease_time},
     {"data-before-reply", FaultKind::data_before_reply},
     {"second-reply", FaultKind::second_reply},
     {"done-for-foreign-xid", FaultKind::done_for_foreign_xid},
     {"no-client-time", FaultKind::no_client_time},
     {"foreign-client-id", FaultKind::foreign_client_id},
     {"broken-relay-data", FaultKind::broken_relay_data},
     {"garbage-message", FaultKind::garbage_message},
     {"data-missing", FaultKind::data_missing},
     {"refuse", FaultKind::refuse},
     {"cut", FaultKind::cut},
     {"done-with-error", FaultKind::done_with_error},
     {"query-terminated", FaultKind::query_terminated},
     {"udp-drop", FaultKind::udp_drop},
     {"udp-other-port", FaultKind::udp_other_port},
     {"udp-duplicate", FaultKind::udp_duplicate},
     {"udp-delay", FaultKind::udp_delay},
     {"associated-ip", FaultKind::associated_ip},
     {"tls-refused", FaultKind::tls_refused},
     {"tls-status", FaultKind::tls_status},
     {"tls-no-answer", FaultKind::tls_no_answer},
     {"tls-close", FaultKind::tls_close},
     {"tls-wrong-xid", FaultKind::tls_wrong_xid},
     {"tls-clear-octets", FaultKind::tls_clear_octets},
     {"tls-truncated", FaultKind::tls_truncated},
     {"tls-garbage", FaultKind::tls_garbage},
     {"tls-stall", FaultKind::tls_stall},
     {"tls-renegotiate", FaultKind::tls_renegotiate},
     {"tls-cut", FaultKind::tls_cut},
     {"clock-jitter", FaultKind::clock_jitter},
     {"absurd-base-time", FaultKind::absurd_base_time},
     {"lease-in-ia", FaultKind::lease_in_ia},
     {"reorder", FaultKind::reorder},
     {"unconfigure", FaultKind::unconfigure},
     {"unreadable-option", FaultKind::unreadable_option},
     {"unreadable-lease", FaultKind::unreadable_lease}}};

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    Number n{};
    const auto end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, n);
    if (error != std::errc{} || stopped != end || text.empty()) return std::nullopt;
    return n;
}

std::optional<Trigger> parse_trigger(std::string_view text) {
    Trigger t;
    bool times_given = false;
    if (const auto star = text.find('*'); star != text.npos) {
        const auto times = parse_number<std::uint64_t>(text.substr(star + 1));
        if (!times) return std::nullopt;
        t.times = *times;
        times_given = true;
        text = text.substr(0, star);
    }
    if (text == "now") return t;
    const auto colon = text.find(':');
    if (colon == text.npos) return std::nullopt;
    const auto word = text.substr(0, colon);
    const auto value = text.substr(colon + 1);
    if (word == "msg") {
        const auto n = parse_number<std::uint64_t>(value);
        if (!n || *n == 0) return std::nullopt;
        t.kind = Trigger::Kind::message;
        t.message = *n;
    } else if (word == "time") {
        const auto d = parse_duration(value);
        if (!d) return std::nullopt;
        t.kind = Trigger::Kind::time;
        t.time = *d;
    } else if (word == "prob") {
        const auto p = parse_number<double>(value);
        if (!p || *p < 0 || *p > 1) return std::nullopt;
        t.kind = Trigger::Kind::probability;
        t.probability = *p;
        if (!times_given) t.times = 0;
    } else {
        return std::nullopt;
    }
    return t;
}

}  // namespace

Personality kea_personality() {
    Personality p;
    p.on_active = OnActive::close;
    p.several_keys_are_malformed = true;
    p.all_configured = false;
    p.v4_times_only = true;
    p.vpn = false;
    p.relay_data_unasked = true;
    p.ignores_times = true;
    p.preferred_unreduced = true;
    p.closes_on_discard = true;
    p.link_of_address_ignored = true;
    p.udp_echoes = true;
    p.udp_relay_data_outside = true;
    p.udp_bulk_types_unknown = true;
    p.success = SuccessStatus::in_reply;
    p.end = EndEncoding::nothing;
    return p;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, std::int64_t>, 5> units{
        {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
    const auto digits = text.find_first_not_of("0123456789");
    if (digits == text.npos || digits == 0) return std::nullopt;
    const auto n = parse_number<std::int64_t>(text.substr(0, digits));
    for (const auto& [word, ms] : units)
        if (n && text.substr(digits) == word) return std::chrono::milliseconds{*n * ms};
    return std::nullopt;
}

std::optional<Bytes> parse_hex(std::string_view text) {
    Bytes out;
    while (!text.empty()) {
        if (text.front() == ':' && !out.empty()) text.remove_prefix(1);
        std::uint8_t octet = 0;
        if (text.size() < 2) return std::nullopt;
        const auto [stopped, error] = std::from_chars(text.data(), text.data() + 2, octet, 16);
        if (error != std::errc{} || stopped != text.data() + 2) return std::nullopt;
        out.push_back(octet);
        text.remove_prefix(2);
    }
    return out;
}

std::optional<Fault> parse_fault(std::string_view text) {
    Fault fault;
    const auto at = text.rfind('@');
    if (at == text.npos) return std::nullopt;
    const auto trigger = parse_trigger(text.substr(at + 1));
    if (!trigger) return std::nullopt;
    fault.when = *trigger;
    auto name = text.substr(0, at);
    if (const auto equals = name.find('='); equals != name.npos) {
        fault.arg = parse_number<std::int64_t>(name.substr(equals + 1));
        if (!fault.arg) return std::nullopt;
        name = name.substr(0, equals);
    }
    for (const auto& [word, kind] : fault_names) {
        if (word != name) continue;
        fault.kind = kind;
        return fault;
    }
    return std::nullopt;
}

bool apply_personality(std::string_view word, Personality& p) {
    constexpr std::array<std::pair<std::string_view, EndEncoding>, 5> ends{
        {{"end-valid-zero", EndEncoding::valid_zero},
         {"end-binding-status", EndEncoding::binding_status},
         {"end-empty", EndEncoding::empty_client_data},
         {"end-snapshot", EndEncoding::snapshot},
         {"end-nothing", EndEncoding::nothing}}};
    for (const auto& [name, end] : ends) {
        if (name != word) continue;
        p.end = end;
        if (end == EndEncoding::snapshot) p.all_leases_together = true;
        return true;
    }
    constexpr std::array<std::pair<std::string_view, bool Personality::*>, 12> flags{
        {{"malformed-several-keys", &Personality::several_keys_are_malformed},
         {"all-leases", &Personality::all_leases_together},
         {"relay-data-outside", &Personality::relay_data_outside},
         {"relay-data-unasked", &Personality::relay_data_unasked},
         {"ignores-times", &Personality::ignores_times},
         {"preferred-unreduced", &Personality::preferred_unreduced},
         {"v4-times-only", &Personality::v4_times_only},
         {"absolute-expiries", &Personality::absolute_expiries},
         {"late-identity", &Personality::late_identity},
         {"late-end-of-former", &Personality::late_end_of_former},
         {"options-twice", &Personality::options_twice},
         {"stale-catch-up", &Personality::stale_catch_up}}};
    for (const auto& [name, flag] : flags)
        if (name == word) return p.*flag = true;
    if (word == "kea")
        p = kea_personality();
    else if (word == "bulk-only")
        p.on_active = OnActive::refuse;
    else if (word == "closes-on-active")
        p.on_active = OnActive::close;
    else if (word == "active-not-allowed")
        p.on_active = OnActive::not_allowed;
    else if (word == "refuses-all-vpns")
        p.all_vpns = AllVpns::refuse;
    else if (word == "ignores-all-vpns")
        p.all_vpns = AllVpns::ignore;
    else if (word == "success-in-reply")
        p.success = SuccessStatus::in_reply;
    else if (word == "success-in-done")
        p.success = SuccessStatus::in_done;
    else if (word == "no-all-configured")
        p.all_configured = false;
    else if (word == "no-vpn")
        p.vpn = false;
    else
        return false;
    return true;
}

}  // namespace leasemirror::leasesim
