#include "tests/leasesim/program/control.hpp"

#include <nlohmann/json.hpp>

#include <charconv>
#include <cstdlib>
#include <ctime>

namespace leasemirror::leasesim {

namespace {

using Say = std::function<void(const std::string&)>;

std::string iso_8601(UtcSeconds at) {
    const auto t = static_cast<std::time_t>(unix_seconds(at));
    std::tm parts{};
    gmtime_r(&t, &parts);
    char text[32];
    return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

std::string stats(const ModelServer& server, UtcMillis now) {
    const auto& s = server.stats();
    nlohmann::ordered_json j;
    j["bindings"] = server.model().bindings();
    j["churn"] = server.model().churn().rate();
    j["changes"] = server.model().churn().events_by(now);
    j["server_time"] = unix_seconds(server.model().server_now(now));
    j["history_from"] = unix_seconds(server.model().clock().shown(server.history_floor(now), now));
    j["connections"] = server.open_connections();
    j["accepted"] = s.accepted;
    j["refused"] = s.refused;
    j["bulk_queries"] = s.bulk_queries;
    j["active_queries"] = s.active_queries;
    j["messages"] = s.messages;
    j["octets"] = s.octets;
    j["faults"] = s.faults;
    j["data_missing"] = s.data_missing;
    j["datagrams"] = s.datagrams;
    j["datagrams_answered"] = s.datagrams_answered;
    j["upgrade_requests"] = s.upgrade_requests;
    j["clear_queries"] = s.clear_queries;
    j["handshakes"] = s.handshakes;
    j["handshakes_failed"] = s.handshakes_failed;
    j["handshake_error"] = s.handshake_error;
    return j.dump();
}

void dump(const ModelServer& server, UtcMillis now, const Say& say) {
    const auto skew = server.model().clock().offset(now);
    std::uint64_t n = 0;
    server.model().for_each_in_force(now, [&](const Binding& b) {
        say(to_json(b, skew));
        ++n;
    });
    say("ok " + std::to_string(n));
}

template <class Number>
std::optional<Number> number(std::string_view text) {
    Number n{};
    const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc{} || stopped != text.data() + text.size()) return std::nullopt;
    return n;
}

/// The commands that take a value; false if it cannot be read, or there is no such command.
bool with_value(ModelServer& server, std::string_view word, std::string_view value, UtcMillis now) {
    if (word == "churn") {
        const auto rate = number<double>(value);
        if (rate && *rate >= 0) server.set_churn(*rate, now);
        return rate && *rate >= 0;
    }
    if (word == "step-clock") {
        const auto ms = number<std::int64_t>(value);
        if (ms) server.step_clock(std::chrono::milliseconds{*ms}, now);
        return ms.has_value();
    }
    if (word == "identity") {
        auto id = parse_hex(value);
        const bool good = id && !id->empty() && (server.model().family() == Family::v6 || id->size() == 4);
        if (good) server.set_identity(std::move(*id));
        return good;
    }
    if (word == "fault") {
        const auto fault = parse_fault(value);
        if (fault) server.inject(*fault);
        return fault.has_value();
    }
    return false;
}

}  // namespace

std::string to_json(const Binding& b, Skew skew) {
    nlohmann::ordered_json j;
    const auto time = [&](const char* key, const std::optional<ServerTime>& t) {
        if (t)
            j[key] = iso_8601(to_utc(*t, skew));
        else
            j[key] = nullptr;
    };
    const auto bytes = [&](const char* key, const Bytes& v) {
        if (v.empty())
            j[key] = nullptr;
        else
            j[key] = to_hex(v);
    };
    const auto address = [&](const char* key, const std::optional<IpAddress>& a) {
        if (a)
            j[key] = a->to_string();
        else
            j[key] = nullptr;
    };
    j["vpn_id"] = b.key.vpn_id;
    j["kind"] = to_string(b.key.kind);
    j["address"] = b.key.address.to_string();
    j["prefix_len"] = b.key.prefix_len;
    j["family"] = to_string(b.key.address.family());
    j["state"] = to_string(b.state);
    bytes("client_id", b.client_id);
    if (b.hw_type)
        j["hw_type"] = *b.hw_type;
    else
        j["hw_type"] = nullptr;
    if (b.hw_addr.empty())
        j["hw_addr"] = nullptr;
    else
        j["hw_addr"] = to_hex(b.hw_addr, ':');
    time("client_last_seen", b.client_last_seen);
    time("state_since", b.state_since);
    time("expires_at", b.expires_at);
    time("preferred_until", b.preferred_until);
    time("renew_at", b.renew_at);
    time("rebind_at", b.rebind_at);
    address("link_address", b.link_address);
    address("relay_address", b.relay_address);
    bytes("relay_id", b.relay_id);
    bytes("remote_id", b.remote_id);
    bytes("circuit_id", b.circuit_id);
    bytes("subscriber_id", b.subscriber_id);
    if (b.hostname.empty())
        j["hostname"] = nullptr;
    else
        j["hostname"] = b.hostname;
    j["data_source"] = to_string(b.data_source);
    return j.dump();
}

ControlResult control(ModelServer& server, std::string_view line, UtcMillis now, const Say& say) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' '))
        line.remove_suffix(1);
    const auto space = std::min(line.find(' '), line.size());
    const auto word = line.substr(0, space);
    const auto value = line.substr(std::min(space + 1, line.size()));
    if (word == "stats") {
        say("ok " + stats(server, now));
    } else if (word == "dump") {
        dump(server, now, say);
    } else if (word == "stop-churn") {
        server.stop_churn(now);
        say("ok");
    } else if (word == "restart") {
        server.restart(now);
        say("ok");
    } else if (word == "shutdown") {
        server.shutdown(now);
        say("ok");
        return {true, true};
    } else if (with_value(server, word, value, now)) {
        say("ok");
    } else {
        say("error: " + std::string(line));
        return {false, false};
    }
    return {};
}

}  // namespace leasemirror::leasesim
