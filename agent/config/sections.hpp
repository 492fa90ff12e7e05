// The sections of the configuration, from YAML to values. Private to config. Each of servers.cpp, tls.cpp and queries.cpp
// has the one it is named for; sections.cpp has the others.
#pragma once

#include "agent/config/config.hpp"
#include "agent/config/reader.hpp"

namespace leasemirror {

void read_config(MapReader& top, Config& out);
void read_servers(MapReader& top, std::vector<ServerConfig>& out);
void read_tls(MapReader tls, TlsConfig& out);
[[nodiscard]] std::optional<BulkQuery> read_query(MapReader& entry, std::optional<Family> family);

}  // namespace leasemirror
