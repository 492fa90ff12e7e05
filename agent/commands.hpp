// The commands, one file each. They print to `out`, complain to `err`, and return the exit code.
#pragma once

#include "agent/cli.hpp"
#include "agent/config.hpp"
#include "proto/time.hpp"
#include "storage/store.hpp"

#include <iosfwd>
#include <optional>
#include <span>
#include <string>

namespace leasemirror {

/// The configuration, or nothing after all its errors went to `err`: the exit code is then `exit_usage`.
[[nodiscard]] std::optional<Config> load_or_complain(const std::string& file, std::ostream& err);
[[nodiscard]] StoreSettings store_settings(const Config& config);
/// 3 if another try can help (no file, no connection, locked), else 1.
[[nodiscard]] int exit_code_of(const StoreError& e);

int execute(const RunCommand& command, std::ostream& out, std::ostream& err);
int execute(const CheckCommand& command, std::ostream& out, std::ostream& err);
int execute(const StatusCommand& command, std::ostream& out, std::ostream& err);
int execute(const DecodeCommand& command, std::ostream& out, std::ostream& err);
int execute(const SchemaCommand& command, std::ostream& out, std::ostream& err);
int execute(const Exit& exit, std::ostream& out, std::ostream& err);

/// The table of promise P5, for people. `now` is what lags are counted from.
void print_status_table(std::span<const ServerOverview> servers, UtcSeconds now, std::ostream& out);
/// One JSON object per line; keys are the columns of table `server` (DESIGN section 6), `server` for its name, and
/// `gaps` with the columns of the open rows of table `gap`.
void print_status_json(std::span<const ServerOverview> servers, std::ostream& out);

/// Prints every message of the stream. 1 if it breaks off inside a message or the framing is lost.
[[nodiscard]] int decode_stream(std::istream& in, std::optional<Family> family, std::ostream& out);

}  // namespace leasemirror
