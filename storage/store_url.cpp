#include "storage/store_url.hpp"

#include "proto/ip_address.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <span>

namespace leasemirror {
namespace {

constexpr std::string_view hidden = "***";
constexpr std::array<std::string_view, 2> postgres_schemes{"postgresql://", "postgres://"};

using Fault = Unexpected<std::string>;

/// What follows the scheme, or nothing if it is not one of PostgreSQL.
std::optional<std::string_view> after_postgres_scheme(std::string_view url) {
    for (const auto scheme : postgres_schemes)
        if (url.starts_with(scheme)) return url.substr(scheme.size());
    return std::nullopt;
}

std::string_view take_until(std::string_view& in, std::string_view ends) {
    const auto at = std::min(in.find_first_of(ends), in.size());
    const auto out = in.substr(0, at);
    in.remove_prefix(at);
    return out;
}

std::vector<std::string> split(std::string_view list) {
    std::vector<std::string> out;
    while (!list.empty()) {
        if (const auto entry = take_until(list, ","); !entry.empty()) out.emplace_back(entry);
        if (!list.empty()) list.remove_prefix(1);
    }
    return out;
}

bool is_secret(std::string_view parameter) {
    return parameter == "password" || parameter == "sslpassword";
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// Nothing if a % is not followed by two hex digits other than 00.
std::optional<std::string> percent_decoded(std::string_view in) {
    std::string out;
    for (std::size_t i = 0; i < in.size(); ++i) {
        if (in[i] != '%') {
            out += in[i];
            continue;
        }
        const int high = i + 2 < in.size() ? hex_value(in[i + 1]) : -1;
        const int low = i + 2 < in.size() ? hex_value(in[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) return std::nullopt;
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

/// As libpq knows them, so that what a newer one can do is not refused here.
bool is_parameter(const std::string& name) {
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> known(PQconndefaults(), &PQconninfoFree);
    if (known == nullptr || name == "ssl") return true;  // ssl=true is JDBC's word for sslmode=require
    for (const auto* option = known.get(); option->keyword != nullptr; ++option)
        if (name == option->keyword) return true;
    return false;
}

bool is_port(std::string_view text) {
    unsigned port = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), port);
    return fault == std::errc{} && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

struct WordParameter {
    std::string_view name;
    std::span<const std::string_view> words;
};
constexpr std::array<std::string_view, 6> ssl_modes{"disable", "allow",     "prefer",
                                                    "require", "verify-ca", "verify-full"};
constexpr std::array<std::string_view, 6> session_attrs{"any",     "read-write", "read-only",
                                                        "primary", "standby",    "prefer-standby"};
constexpr std::array<WordParameter, 2> word_parameters{
    {{"sslmode", ssl_modes}, {"target_session_attrs", session_attrs}}};

std::optional<std::string> fault_of_value(const std::string& name, const std::string& value) {
    for (const auto& parameter : word_parameters) {
        if (name != parameter.name ||
            std::find(parameter.words.begin(), parameter.words.end(), value) != parameter.words.end())
            continue;
        std::string out = "expected " + name + "=";
        for (const auto word : parameter.words)
            out.append(word == parameter.words.front()  ? ""
                       : word == parameter.words.back() ? " or "
                                                        : ", ")
                .append(word);
        return out;
    }
    return std::nullopt;
}

std::optional<std::string> read_credentials(std::string_view text, PostgresUrl& out) {
    const auto colon = text.find(':');
    const auto user = percent_decoded(text.substr(0, colon));
    const auto password = colon == std::string_view::npos ? "" : percent_decoded(text.substr(colon + 1));
    if (!user || !password) return "expected % only before two hex digits (%25 for a %)";
    out.user = *user;
    out.has_password = !password->empty();
    return std::nullopt;
}

std::optional<std::string> read_host(std::string_view text, PostgresUrl& out) {
    std::string_view host;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return "expected ] after an IPv6 address";
        host = text.substr(1, end - 1);
        text.remove_prefix(end + 1);
        const auto literal = IpAddress::parse(host.substr(0, host.find('%')));
        if (!literal || literal->family() != Family::v6) return "expected an IPv6 address inside [ ]";
        if (!text.empty() && text.front() != ':') return "expected :PORT, a comma or / after [...]";
    } else {
        host = take_until(text, ":");
    }
    if (!text.empty() && text.size() > 1 && !is_port(text.substr(1)))
        return "expected a port from 1 to 65535 after the host; an IPv6 address stands in [ ], and in a password : @ "
               "/ and ? are written %3A %40 %2F and %3F";
    const auto decoded = percent_decoded(host);
    if (!decoded) return "expected % only before two hex digits (%25 for a %)";
    if (decoded->find('@') != std::string::npos) return "expected one @; in a user or password it is written %40";
    if (!decoded->empty()) out.hosts.push_back(*decoded);
    return std::nullopt;
}

std::optional<std::string> read_parameters(std::string_view text, PostgresUrl& out) {
    while (!text.empty()) {
        const auto pair = take_until(text, "&");
        if (!text.empty()) text.remove_prefix(1);
        const auto equals = pair.find('=');
        if (equals == std::string_view::npos || equals == 0 || pair.find('=', equals + 1) != std::string_view::npos)
            return "expected name=value between the & after the ?; a further = is written %3D";
        const auto name = percent_decoded(pair.substr(0, equals));
        const auto value = percent_decoded(pair.substr(equals + 1));
        if (!name || !value) return "expected % only before two hex digits (%25 for a %)";
        if (!is_parameter(*name)) return "libpq knows no parameter '" + *name + "'";
        if (auto fault = fault_of_value(*name, *value)) return fault;
        out.has_password = out.has_password || *name == "password";
        if (*name == "host") out.hosts = split(*value);
        out.parameters[*name] = *value;
    }
    return std::nullopt;
}

}  // namespace

std::optional<StoreEngine> engine_named_by(std::string_view url) {
    if (url.starts_with("sqlite:")) return StoreEngine::sqlite;
    if (url.starts_with("postgresql:") || url.starts_with("postgres:")) return StoreEngine::postgresql;
    return std::nullopt;
}

std::string redacted_url(std::string_view url) {
    if (engine_named_by(url) == StoreEngine::sqlite) return std::string(url);
    const auto scheme_end = url.find("://");
    auto rest = scheme_end == std::string_view::npos ? url : url.substr(scheme_end + 3);
    std::string out(url.substr(0, url.size() - rest.size()));
    // A password with a raw / ? or @ in it is no valid URL; it is not to be shown for that.
    const auto at = rest.rfind('@');
    const auto colon = rest.find(':');
    if (at != std::string_view::npos && colon < at) {
        out.append(rest.substr(0, colon + 1)).append(hidden);
        rest.remove_prefix(at);
    }
    const auto question = rest.find('?');
    out.append(rest.substr(0, question));
    if (question == std::string_view::npos) return out;
    rest.remove_prefix(question);
    while (!rest.empty()) {
        out += rest.front();
        rest.remove_prefix(1);
        const auto pair = take_until(rest, "&");
        const auto equals = pair.find('=');
        const auto name = percent_decoded(pair.substr(0, equals));
        if (equals != std::string_view::npos && (!name || is_secret(*name)))
            out.append(pair.substr(0, equals + 1)).append(hidden);
        else
            out.append(pair);
    }
    return out;
}

Result<PostgresUrl, std::string> parse_postgres_url(std::string_view url) {
    auto rest = after_postgres_scheme(url);
    if (!rest) return Fault{"expected postgresql://USER@HOST:5432/DATABASE"};
    if (std::any_of(rest->begin(), rest->end(),
                    [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; }))
        return Fault{"expected no space or control character in a URL; a space is written %20"};
    PostgresUrl out;
    if (const auto at = rest->find_first_of("@/"); at != std::string_view::npos && (*rest)[at] == '@') {
        if (auto fault = read_credentials(rest->substr(0, at), out)) return Fault{*fault};
        rest->remove_prefix(at + 1);
    }
    auto hosts = take_until(*rest, "/?");
    while (!hosts.empty()) {
        if (auto fault = read_host(take_until(hosts, ","), out)) return Fault{*fault};
        if (!hosts.empty()) hosts.remove_prefix(1);
    }
    if (rest->starts_with('/')) {
        const auto database = percent_decoded(take_until(*rest, "?").substr(1));
        if (!database) return Fault{"expected % only before two hex digits (%25 for a %)"};
        out.database = *database;
    }
    if (!rest->empty()) rest->remove_prefix(1);
    if (auto fault = read_parameters(*rest, out)) return Fault{*fault};
    return out;
}

}  // namespace leasemirror
