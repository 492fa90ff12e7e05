// The command line of leasesim -> what to run. Tests call it like main() does.
#pragma once

#include "tests/leasesim/options.hpp"
#include "tests/leasesim/program/tls_pipe.hpp"

#include <string>
#include <variant>

namespace leasemirror::leasesim {

struct Run {
    ServerOptions server;
    std::string address = "127.0.0.1";
    std::uint16_t port = 0;
    bool udp = false;
    std::string udp_address = "127.0.0.1";
    std::uint16_t udp_port = 0;
    std::uint16_t udp_reply_port = 67;  ///< v4: the port at giaddr (RFC 4388 §6.4.3)
    TlsOptions tls;                     ///< where server.tls is not off
    std::optional<std::chrono::milliseconds> stop_churn_after, run_for;
};
/// Say `text` and leave: 0 for --help, 2 for a mistake.
struct Exit {
    int code = 0;
    std::string text;
};

[[nodiscard]] std::variant<Run, Exit> parse_command_line(int argc, const char* const* argv);

}  // namespace leasemirror::leasesim
