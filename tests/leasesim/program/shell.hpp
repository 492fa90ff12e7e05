// Sockets, stdin and signals around a ModelServer. Decides nothing: feeds events, writes what poll() returns.
#pragma once

#include "tests/leasesim/program/command_line.hpp"

namespace leasemirror::leasesim {

/// Serves until it is told to stop; the exit code.
int serve(const Run& run);

}  // namespace leasemirror::leasesim
