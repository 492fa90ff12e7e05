// Asks one server what it can do, for `check --connect`. Blocking, with its own connections; changes nothing anywhere.
#pragma once

#include "agent/config/certificate_end.hpp"
#include "agent/config/config.hpp"
#include "proto/time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

enum class Answer : std::uint8_t { not_asked, yes, refused, no, unclear };

/// Whether the server speaks one of the protocols, and in words why we think so.
struct Support {
    Answer answer = Answer::not_asked;
    std::string why;
};
/// "yes", "refused (NotAllowed: ...)", "no (closed the connection without a byte)"
[[nodiscard]] std::string to_string(const Support& s);

struct ProbeResult {
    std::string endpoint;          ///< "2001:db8::1 port 547": what answered, or was tried last
    std::string error;             ///< empty if it could be reached; else what to look at
    Support bulk;                  ///< as the first query shows
    std::vector<Support> queries;  ///< each of bulk.queries, in their order
    Support active;
    std::optional<ServerTime> base_time;      ///< of the last reply that carried one
    std::optional<Skew> skew;                 ///< what all replies together say of the server's clock: it minus ours
    std::optional<CertificateEnd> first_end;  ///< over TLS: of the two certificates

    [[nodiscard]] bool reachable() const { return error.empty(); }
};

struct ProbeSettings {
    Bytes requestor_duid;                                                 ///< v6: who asks
    std::chrono::milliseconds answer_timeout = std::chrono::seconds{10};  ///< for the first reply to a bulk query
    std::chrono::milliseconds active_wait = std::chrono::seconds{2};  ///< a server that has not refused by then is live
};

/// Connects within `timeouts.connect`, then, unless the mode rules it out, on a connection each: every configured bulk
/// query (v4 without any: everything that changed in this very second) until its first reply, and an active query.
[[nodiscard]] ProbeResult probe_server(const ServerConfig& server, const ProbeSettings& settings);

}  // namespace leasemirror
