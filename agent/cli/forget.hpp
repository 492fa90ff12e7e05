// `leasemirror forget`: removes the history of one client, or what a server has left.
#pragma once

#include "storage/forgetting.hpp"

#include <iosfwd>
#include <string>

namespace leasemirror {

struct ForgetCommand {
    std::string config;
    ClientIdentity client;
    bool yes = false;         ///< without asking
    std::string server = {};  ///< if not empty: what it has left, and no client's history

    friend bool operator==(const ForgetCommand&, const ForgetCommand&) = default;
};

int execute(const ForgetCommand& command, std::ostream& out, std::ostream& err);

/// What was removed and what was left, for people.
[[nodiscard]] std::string forgotten_text(const Forgotten& forgotten);
[[nodiscard]] std::string forgotten_text(const ForgottenServer& forgotten);

}  // namespace leasemirror
