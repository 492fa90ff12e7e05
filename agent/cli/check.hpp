// `leasemirror check`: whether the configuration is right, and what it names can be reached.
#pragma once

#include <iosfwd>
#include <string>

namespace leasemirror {

struct CheckCommand {
    std::string config;
    bool connect = false;

    friend bool operator==(const CheckCommand&, const CheckCommand&) = default;
};

int execute(const CheckCommand& command, std::ostream& out, std::ostream& err);

}  // namespace leasemirror
