// The standard output, where it is a pipe.
#pragma once

namespace leasemirror {

/// Whether its other end has gone: seen here even while nothing is to be written.
[[nodiscard]] bool nobody_reads();

}  // namespace leasemirror
