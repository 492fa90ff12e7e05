// The configuration, as the commands take it.
#pragma once

#include "agent/config/config.hpp"
#include "proto/result.hpp"

#include <iosfwd>
#include <optional>
#include <string>

namespace leasemirror {

/// The configuration, or nothing after all its errors went to `err`: the exit code is then `exit_usage`.
[[nodiscard]] std::optional<Config> load_or_complain(const std::string& file, std::ostream& err);

/// The server of that name; or what is wrong with the name, which is a usage error. It lives as long as `config`.
[[nodiscard]] Result<const ServerConfig*, std::string> find_server(const std::string& name, const Config& config);

/// The DUID to ask DHCPv6 servers with: the configured one, else one for this call alone. The lasting one is in the
/// database, which the commands that ask do not touch.
[[nodiscard]] Bytes asking_duid(const Config& config);

}  // namespace leasemirror
