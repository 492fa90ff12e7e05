// udp_hex FAMILY KIND VALUE [LINK]: one query over UDP whose datagrams travel as lines of hex, for scapy_test.py.
//
// FAMILY is v4 or v6, KIND address, client_id, hw_addr or remote_id, VALUE an address or hex; LINK the link-address (v6).
// Prints "send HEX" for each datagram; reads "SOURCE HEX" lines, and answers each with the sends that follow from it and
// a line "."; at the end of its input prints one JSON object of everything that was told. No time passes.
#include "tests/golden/hex.hpp"
#include "proto/udp/query.hpp"

#include <nlohmann/json.hpp>

#include <iostream>
#include <map>
#include <sstream>

namespace {

using namespace leasemirror;
using nlohmann::json;

constexpr std::int64_t server_now = 1'700'000'000;

IpAddress address(const std::string& text) {
    const auto parsed = IpAddress::parse(text);
    if (!parsed) throw std::invalid_argument("not an address: " + text);
    return *parsed;
}

BulkQuery query_of(const std::string& kind, const std::string& value) {
    const std::map<std::string, QueryKind> kinds = {{"address", QueryKind::address},
                                                    {"client_id", QueryKind::client_id},
                                                    {"hw_addr", QueryKind::hw_addr},
                                                    {"remote_id", QueryKind::remote_id}};
    BulkQuery query;
    query.kind = kinds.at(kind);
    if (query.kind == QueryKind::address)
        query.address = address(value);
    else
        query.id = golden::HexText(value).parse();
    return query;
}

UdpSettings settings_of(Family family) {
    UdpSettings settings;
    settings.family = family;
    settings.requestor_duid = {0, 3, 0, 1, 2, 0, 0xde, 0xad, 0xbe, 0xef};
    settings.giaddr = address("192.0.2.99");
    const bool v4 = family == Family::v4;
    settings.servers = {{address(v4 ? "192.0.2.1" : "2001:db8::1"), v4 ? std::uint16_t{67} : std::uint16_t{547}}};
    settings.request_options = {v4 ? std::uint16_t{43} : std::uint16_t{16}};
    settings.seed = 6148;
    return settings;
}

template <class T>
json maybe(const std::optional<T>& value) {
    if constexpr (std::is_same_v<T, ServerTime>)
        return value ? json(unix_seconds(*value)) : json();
    else if constexpr (std::is_same_v<T, IpAddress>)
        return value ? json(value->to_string()) : json();
    else
        return value ? json(*value) : json();
}

json describe(const UdpBinding& told) {
    const auto& b = told.binding;
    return {{"address", b.key.address.to_string()},
            {"prefix_len", b.key.prefix_len},
            {"kind", to_string(b.key.kind)},
            {"vpn_id", b.key.vpn_id},
            {"state", to_string(b.state)},
            {"client_id", to_hex(b.client_id)},
            {"hw_addr", to_hex(b.hw_addr)},
            {"client_last_seen", maybe(b.client_last_seen)},
            {"state_since", maybe(b.state_since)},
            {"expires_at", maybe(b.expires_at)},
            {"preferred_until", maybe(b.preferred_until)},
            {"renew_at", maybe(b.renew_at)},
            {"link_address", maybe(b.link_address)},
            {"relay_address", maybe(b.relay_address)},
            {"remote_id", to_hex(b.remote_id)},
            {"circuit_id", to_hex(b.circuit_id)},
            {"hostname", b.hostname},
            {"options", to_hex(b.options)},
            {"base_time", unix_seconds(b.base_time)},
            {"via", to_string(b.via)}};
}

json describe(const UdpAnswer& answer) {
    json out = {{"outcome", to_string(answer.outcome())},
                {"server_id", to_hex(answer.server_id)},
                {"complete", answer.complete()},
                {"notes", answer.notes},
                {"parts", json::array()},
                {"bindings", json::array()}};
    for (const auto& part : answer.parts)
        out["parts"].push_back(
            {{"about", maybe(part.about)}, {"outcome", to_string(part.outcome)}, {"text", part.text}});
    for (const auto& told : answer.bindings)
        out["bindings"].push_back(describe(told));
    return out;
}

void print_sends(UdpQuery& query) {
    while (const auto action = query.poll_action())
        if (const auto* send = std::get_if<udp_action::Send>(&*action))
            std::cout << "send " << to_hex(send->bytes) << "\n";
}

int run(const std::vector<std::string>& arguments) {
    const auto family = arguments.at(0) == "v4" ? Family::v4 : Family::v6;
    auto settings = settings_of(family);
    auto asked = query_of(arguments.at(1), arguments.at(2));
    if (arguments.size() > 3 && asked.kind == QueryKind::address) settings.link_address = address(arguments[3]);
    if (arguments.size() > 3 && asked.kind == QueryKind::client_id) asked.address = address(arguments[3]);
    UdpQuery query(settings, asked);
    const SessionNow now{SteadyTime{}, server_time_from_unix(server_now)};
    query.start(now.steady);
    print_sends(query);
    std::cout << "." << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream fields(line);
        std::string source, hex;
        fields >> source >> hex;
        query.on_datagram({address(source), 0}, golden::HexText(hex).parse(), now);
        print_sends(query);
        std::cout << "." << std::endl;
    }
    json discards = json::object();
    for (std::size_t i = 0; i < udp_discards_count; ++i)
        if (const auto count = query.discards().counts[i]; count > 0)
            discards[std::string(to_string(static_cast<UdpDiscard>(i)))] = count;
    auto out = describe(query.answers().front());
    out["discards"] = discards;
    out["done"] = query.done();
    std::cout << out.dump() << std::endl;
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run({argv + 1, argv + argc});
    } catch (const std::exception& e) {
        std::cerr << "udp_hex: " << e.what() << "\n";
        return 2;
    }
}
