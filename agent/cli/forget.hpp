// `leasemirror forget`: removes the history of one client.
#pragma once

#include "storage/forgetting.hpp"

#include <iosfwd>
#include <string>

namespace leasemirror {

struct ForgetCommand {
    std::string config;
    ClientIdentity client;
    bool yes = false;  ///< without asking

    friend bool operator==(const ForgetCommand&, const ForgetCommand&) = default;
};

int execute(const ForgetCommand& command, std::ostream& out, std::ostream& err);

/// What was removed and what was left, for people.
[[nodiscard]] std::string forgotten_text(const Forgotten& forgotten);

}  // namespace leasemirror
