// `leasemirror status`: how far each server is mirrored.
#pragma once

#include "storage/reader.hpp"

#include <iosfwd>
#include <span>
#include <string>

namespace leasemirror {

struct StatusCommand {
    std::string config;
    bool json = false;

    friend bool operator==(const StatusCommand&, const StatusCommand&) = default;
};

int execute(const StatusCommand& command, std::ostream& out, std::ostream& err);

/// A table for people. `now` is what lags are counted from.
void print_status_table(std::span<const ServerOverview> servers, UtcSeconds now, std::ostream& out);
/// One JSON object per line. Its keys are the columns of table `server` (storage/README.md, "Table `server`"), `server`
/// for its name, `states` with the number of bindings in each state, and `gaps` with the columns of the open rows of
/// table `gap`.
void print_status_json(std::span<const ServerOverview> servers, std::ostream& out);

}  // namespace leasemirror
