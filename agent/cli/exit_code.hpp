// The exit code of a command that the database stopped.
#pragma once

#include "agent/config/exit_codes.hpp"
#include "storage/store_error.hpp"

namespace leasemirror {

/// 3 if the database cannot be had (no file, no connection, locked, not ours, a newer schema), else 1.
[[nodiscard]] int exit_code_of(const StoreError& e);

}  // namespace leasemirror
