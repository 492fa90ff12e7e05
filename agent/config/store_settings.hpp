// From the configuration to what opens the database.
#pragma once

#include "agent/config/config.hpp"
#include "storage/settings.hpp"

namespace leasemirror {

[[nodiscard]] StoreSettings store_settings(const Config& config);

}  // namespace leasemirror
