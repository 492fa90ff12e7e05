#include "tests/leasesim/program/command_line.hpp"

#include <CLI/CLI.hpp>

#include <charconv>

namespace leasemirror::leasesim {

namespace {

struct Words {
    std::string family = "v4", listen = "127.0.0.1:0", udp, history, server_id, stop_churn_after, run_for;
    std::string tls = "off", tls_newest = "1.3";
    std::int64_t skew_ms = 0;
    std::int64_t history_events = -1;
    std::vector<std::string> personality, faults;
};

void add_options(CLI::App& app, Words& w, Run& run) {
    auto& s = run.server;
    app.add_option("--family", w.family, "v4 or v6")->check(CLI::IsMember({"v4", "v6"}))->capture_default_str();
    app.add_option("--listen", w.listen, "ADDRESS:PORT or [ADDRESS]:PORT, port 0 = any")->capture_default_str();
    app.add_option("--udp", w.udp, "answer queries over UDP too; as --listen");
    app.add_option("--udp-reply-port", run.udp_reply_port, "v4: the port at giaddr that answers go to")
        ->check(CLI::Range(1, 65535))
        ->capture_default_str();
    app.add_option("--bindings", s.model.bindings, "how many bindings")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--churn", s.model.churn, "changes per second")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--seed", s.model.seed, "all choices follow from it")->capture_default_str();
    app.add_option("--skew", w.skew_ms, "server clock minus true time, in ms")->capture_default_str();
    app.add_option("--links", s.model.links, "v6: number of links")->check(CLI::Range(1, 4096))->capture_default_str();
    app.add_option("--relays", s.model.relays, "number of relays")->check(CLI::Range(1, 65535))->capture_default_str();
    app.add_option("--unrelayed-one-in", s.model.unrelayed_one_in, "one client in so many has no relay")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    app.add_option("--units-per-client", s.model.units_per_client,
                   "clients with several v4 addresses, or v6 links; see README.md")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    app.add_option("--vpns", s.model.vpns, "v4: VPNs beside the default one")
        ->check(CLI::Range(0, 100))
        ->capture_default_str();
    app.add_option("--occupied", s.model.occupied, "share of bindings in force at the beginning")
        ->check(CLI::Range(0.0, 1.0));
    app.add_flag("--short-preferred", s.model.short_preferred, "v6: preferred lifetimes pass early");
    app.add_option("--history", w.history, "history of changes by age, e.g. 1h (default), 0s = none");
    app.add_option("--history-events", w.history_events, "history of changes by number");
    app.add_option("--personality", w.personality, "kea, bulk-only, ...: see README.md")->delimiter(',');
    app.add_option("--fault", w.faults, "NAME[=ARG]@WHEN[*TIMES]: see README.md");
    app.add_option("--server-id", w.server_id, "identity in hex: v6 DUID, v4 address");
    app.add_option("--max-connections", s.connections_max, "accepted at a time")->capture_default_str();
    app.add_option("--rate-limit", s.messages_per_second, "messages per second of a bulk or catch-up, 0 = none");
    app.add_option("--tls", w.tls, "off, starttls, direct")
        ->check(CLI::IsMember({"off", "starttls", "direct"}))
        ->capture_default_str();
    app.add_option("--tls-cert", run.tls.certificate, "our certificate and its chain, PEM");
    app.add_option("--tls-key", run.tls.key, "its key, PEM");
    app.add_option("--tls-ca", run.tls.ca, "who signs the certificates of requestors, PEM");
    app.add_flag("!--tls-no-client-cert", run.tls.asks_for_certificate, "ask requestors for no certificate");
    app.add_flag("--tls-optional", s.clear_text_allowed, "starttls: answer queries in clear text too");
    app.add_option("--tls-max", w.tls_newest, "the newest version spoken")
        ->check(CLI::IsMember({"1.1", "1.2", "1.3"}))
        ->capture_default_str();
    app.add_option("--stop-churn-after", w.stop_churn_after, "no changes after this time");
    app.add_option("--run-for", w.run_for, "orderly shutdown after this time");
}

[[nodiscard]] bool set_endpoint(const std::string& text, std::string& address, std::uint16_t& port) {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos) return false;
    address = text.substr(0, colon);
    if (address.size() > 2 && address.front() == '[') address = address.substr(1, address.size() - 2);
    const auto* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data() + colon + 1, end, port);
    return error == std::errc{} && stopped == end && IpAddress::parse(address);
}

[[nodiscard]] bool set_duration(const std::string& text, std::optional<std::chrono::milliseconds>& out) {
    if (text.empty()) return true;
    out = parse_duration(text);
    return out.has_value();
}

[[nodiscard]] std::string set_tls(const Words& w, Run& run) {
    run.server.tls = w.tls == "off" ? TlsMode::off : w.tls == "direct" ? TlsMode::direct : TlsMode::starttls;
    run.tls.newest = w.tls_newest == "1.1"   ? TlsVersion::tls_1_1
                     : w.tls_newest == "1.2" ? TlsVersion::tls_1_2
                                             : TlsVersion::tls_1_3;
    if (run.server.tls == TlsMode::off) return "";
    if (run.tls.certificate.empty() || run.tls.key.empty()) return "--tls: needs --tls-cert and --tls-key";
    if (run.tls.asks_for_certificate && run.tls.ca.empty()) return "--tls: needs --tls-ca, or --tls-no-client-cert";
    return "";
}

/// What is wrong with the words, or nothing.
[[nodiscard]] std::string apply(const Words& w, Run& run) {
    auto& s = run.server;
    s.model.family = w.family == "v6" ? Family::v6 : Family::v4;
    s.model.skew = std::chrono::milliseconds{w.skew_ms};
    run.udp = !w.udp.empty();
    if (run.udp && !set_endpoint(w.udp, run.udp_address, run.udp_port)) return "--udp " + w.udp + ": not ADDRESS:PORT";
    if (s.model.family == Family::v6 && s.model.units_per_client > s.model.links)
        return "--units-per-client: in v6 at most one on each of --links";
    if (!set_endpoint(w.listen, run.address, run.port)) return "--listen " + w.listen + ": not ADDRESS:PORT";
    if (!w.history.empty()) {
        const auto age = parse_duration(w.history);
        if (!age) return "--history " + w.history + ": not a duration such as 30s or 1h";
        s.history_age = std::chrono::duration_cast<std::chrono::seconds>(*age);
    }
    if (w.history_events >= 0) s.history_events = static_cast<std::uint64_t>(w.history_events);
    for (const auto& word : w.personality)
        if (!apply_personality(word, s.personality)) return "--personality " + word + ": unknown";
    for (const auto& text : w.faults) {
        const auto fault = parse_fault(text);
        if (!fault) return "--fault " + text + ": not NAME[=ARG]@WHEN[*TIMES]";
        s.faults.push_back(*fault);
    }
    if (!w.server_id.empty()) {
        const auto id = parse_hex(w.server_id);
        if (!id || id->empty() || (s.model.family == Family::v4 && id->size() != 4))
            return "--server-id: not an identity in hex";
        s.server_id = *id;
    }
    if (const auto mistake = set_tls(w, run); !mistake.empty()) return mistake;
    if (!set_duration(w.stop_churn_after, run.stop_churn_after)) return "--stop-churn-after: not a duration";
    if (!set_duration(w.run_for, run.run_for)) return "--run-for: not a duration";
    while (s.model.family == Family::v4 && s.model.v4_prefix_len > 1 &&
           s.model.bindings / (s.model.vpns + 1) + 2 > std::uint64_t{1} << (32U - s.model.v4_prefix_len))
        --s.model.v4_prefix_len;
    if (s.model.bindings > 29'000'000) return "--bindings: at most 29 million";
    return "";
}

}  // namespace

std::variant<Run, Exit> parse_command_line(int argc, const char* const* argv) {
    CLI::App app{"leasesim: a DHCP leasequery server that has no clients, for tests of requestors"};
    Run run;
    Words words;
    add_options(app, words, run);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) return Exit{0, app.help()};
        return Exit{2, std::string("leasesim: ") + e.what() + "\n"};
    }
    if (const auto mistake = apply(words, run); !mistake.empty()) return Exit{2, "leasesim: " + mistake + "\n"};
    return run;
}

}  // namespace leasemirror::leasesim
