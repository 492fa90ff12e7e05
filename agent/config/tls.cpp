// The `tls` section of a server.
#include "agent/config/sections.hpp"
#include "agent/config/tls_pin.hpp"

#include <algorithm>
#include <filesystem>

namespace leasemirror {
namespace {

/// The files themselves are read and judged by tls_context.cpp.
void read_file_name(MapReader& tls, std::string_view key, std::string& out) {
    tls.read_or_null(key, out, [&](std::string_view text) -> Parsed<std::string> {
        if (text.empty() || text.find('\0') != std::string_view::npos)
            return Unexpected{std::string("expected the name of a PEM file")};
        return (std::filesystem::path(tls.source().file()).parent_path() / text).string();
    });
}

void require_file(MapReader& tls, std::string_view key, const char* what) {
    if (!tls.has(key)) tls.error(key, std::string("missing; where tls.mode is not off, ") + what + " is needed");
}

}  // namespace

void read_tls(MapReader tls, TlsConfig& out) {
    tls.read("mode", out.mode, [](auto t) {
        return parse_word<TlsMode>(
            t, {{"off", TlsMode::off}, {"starttls", TlsMode::starttls}, {"direct", TlsMode::direct}});
    });
    read_file_name(tls, "ca", out.ca);
    read_file_name(tls, "cert", out.cert);
    read_file_name(tls, "key", out.key);
    read_file_name(tls, "crl", out.crl);
    tls.read_or_null("server_name", out.server_name, parse_host);
    tls.read_or_null("pin", out.pins, parse_pins);
    const auto meant = {"ca", "cert", "key", "crl", "server_name", "pin"};
    if (!tls.has("mode") && std::any_of(meant.begin(), meant.end(), [&](const char* key) { return tls.has(key); }))
        tls.error("mode",
                  "missing: without it the connection is in clear text, whatever else stands here; starttls is what "
                  "the RFCs describe, direct is TLS from the first octet, off is clear text");
    if (out.mode != TlsMode::off) {
        require_file(tls, "ca", "a file of the authorities that the server's certificate may come from");
        require_file(tls, "cert", "a file of our own certificate, since TLS is mutual (RFC 7653 §9.1, RFC 7724 §8.1),");
        require_file(tls, "key", "the file of our certificate's private key");
    }
    tls.finish();
}

}  // namespace leasemirror
