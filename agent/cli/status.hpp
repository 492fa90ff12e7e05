// `leasemirror status`: how far each server is mirrored.
#pragma once

#include "agent/config/config.hpp"
#include "storage/reader.hpp"

#include <chrono>
#include <iosfwd>
#include <span>
#include <string>

namespace leasemirror {

struct StatusCommand {
    std::string config;
    bool json = false;
    bool check = false;  ///< say what is wrong, and end with 1 if anything is
    std::chrono::milliseconds max_age = std::chrono::minutes{5};

    friend bool operator==(const StatusCommand&, const StatusCommand&) = default;
};

int execute(const StatusCommand& command, std::ostream& out, std::ostream& err);

/// A table for people. `now` is what lags are counted from. `configured`: the servers of the configuration at hand.
void print_status_table(std::span<const ServerOverview> servers, std::span<const ServerConfig> configured,
                        UtcSeconds now, std::ostream& out);
/// One JSON object per line. Its keys are the columns of table `server` (storage/README.md, "Table `server`"), `server`
/// for its name, `states` with the number of bindings in each state, and `gaps` with the columns of the open rows of
/// table `gap`.
void print_status_json(std::span<const ServerOverview> servers, std::ostream& out);

}  // namespace leasemirror
