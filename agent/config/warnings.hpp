// What the operator may do, but should know about.
#pragma once

#include "agent/config/config.hpp"

#include <string>
#include <vector>

namespace leasemirror {

/// What is legal but below the RFCs' defaults or unwise: one line each, for the log and `check`.
[[nodiscard]] std::vector<std::string> config_warnings(const Config& config);

}  // namespace leasemirror
