// Commands that a test gives to a running leasesim, one per line; README.md lists them.
#pragma once

#include "tests/leasesim/model_server.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace leasemirror::leasesim {

struct ControlResult {
    bool understood = true;
    bool leave = false;  ///< the command was `shutdown`
};

/// Carries out one command. `say` gets each line of the answer, of which the last begins with "ok" or "error".
ControlResult control(ModelServer& server, std::string_view line, UtcMillis now,
                      const std::function<void(const std::string&)>& say);

/// One binding as a JSON object whose keys are the columns of table `binding` (storage/README.md); times in UTC,
/// corrected by `skew`.
[[nodiscard]] std::string to_json(const Binding& b, Skew skew);

}  // namespace leasemirror::leasesim
