// All commands, each from a file of its own. They print to `out`, complain to `err`, and return the exit code.
#pragma once

#include "agent/cli/check.hpp"
#include "agent/cli/decode/decode.hpp"
#include "agent/cli/forget.hpp"
#include "agent/cli/orders.hpp"
#include "agent/cli/query.hpp"
#include "agent/cli/run.hpp"
#include "agent/cli/schema.hpp"
#include "agent/cli/status.hpp"
#include "agent/cli/verify.hpp"
#include "agent/cli/watch.hpp"
#include "agent/cli/who.hpp"
#include "agent/config/exit_codes.hpp"

#include <iosfwd>
#include <string>
#include <variant>

namespace leasemirror {

/// Nothing to run: print `text` (to stdout if the code is 0, else to stderr) and leave.
struct Exit {
    int code = exit_fine;
    std::string text;

    friend bool operator==(const Exit&, const Exit&) = default;
};
int execute(const Exit& exit, std::ostream& out, std::ostream& err);

using Command = std::variant<RunCommand, CheckCommand, StatusCommand, WhoCommand, WatchCommand, QueryCommand,
                             VerifyCommand, OrderCommand, ForgetCommand, DecodeCommand, SchemaCommand, Exit>;

}  // namespace leasemirror
