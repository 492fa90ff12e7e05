// The line that shows on a terminal that a query goes on.
#pragma once

#include "proto/time.hpp"

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

namespace leasemirror {

/// One line on a terminal, written over itself a few times a second at most: "12000 bindings, 6100 per second".
class QueryProgress {
public:
    /// `shown`: `err` is a terminal.
    QueryProgress(std::ostream& err, bool shown, SteadyTime began) : err_(err), shown_(shown), began_(began) {}

    /// Nothing at first: most answers are there before anybody could read it.
    void tick(std::uint64_t bindings, SteadyTime now);
    void show(const std::string& text, SteadyTime now);
    /// Leaves the line empty, for what is said next.
    void clear();

private:
    static constexpr std::chrono::milliseconds interval{250};

    std::ostream& err_;
    bool shown_;
    SteadyTime began_;
    std::optional<SteadyTime> last_;
};

}  // namespace leasemirror
