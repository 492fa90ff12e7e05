// `leasemirror verify`: the database compared with what the servers list.
#pragma once

#include "agent/verify/verify.hpp"
#include "storage/record.hpp"

#include <iosfwd>
#include <optional>
#include <string>

namespace leasemirror {

struct VerifyCommand {
    std::string config;
    std::optional<std::string> server;  ///< none: all, one after the other
    bool json = false;
    bool repair = false;  ///< where they differ, have the agent read the server in full, and compare again

    friend bool operator==(const VerifyCommand&, const VerifyCommand&) = default;
};

int execute(const VerifyCommand& command, std::ostream& out, std::ostream& err);

/// A difference as programs read it: server, vpn_id, kind, address, prefix_len, difference, and columns, an object of
/// column -> [mirror, server].
[[nodiscard]] Record difference_record(const std::string& server, const Difference& difference);

/// The lines for stderr: what went wrong, what was not compared and why, and what came of it.
[[nodiscard]] std::string closing_text(const std::string& server, const VerifyReport& report);

}  // namespace leasemirror
