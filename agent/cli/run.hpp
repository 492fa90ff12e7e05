// `leasemirror run`: the daemon, in the foreground.
#pragma once

#include <iosfwd>
#include <string>

namespace leasemirror {

struct RunCommand {
    std::string config;

    friend bool operator==(const RunCommand&, const RunCommand&) = default;
};

int execute(const RunCommand& command, std::ostream& out, std::ostream& err);

}  // namespace leasemirror
