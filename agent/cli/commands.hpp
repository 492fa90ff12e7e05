// The commands, one file each. They print to `out`, complain to `err`, and return the exit code.
#pragma once

#include "agent/cli/command_line.hpp"
#include "agent/config/load.hpp"
#include "proto/time.hpp"
#include "storage/reader.hpp"
#include "storage/store_error.hpp"

#include <array>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace leasemirror {

/// The configuration, or nothing after all its errors went to `err`: the exit code is then `exit_usage`.
[[nodiscard]] std::optional<Config> load_or_complain(const std::string& file, std::ostream& err);
/// 3 if another try can help (no file, no connection, locked), else 1.
[[nodiscard]] int exit_code_of(const StoreError& e);

/// The DUID to ask DHCPv6 servers with: the configured one, else one for this call alone, since the lasting one is kept in
/// the database, which these commands do not touch.
[[nodiscard]] Bytes asking_duid(const Config& config);

int execute(const RunCommand& command, std::ostream& out, std::ostream& err);
int execute(const CheckCommand& command, std::ostream& out, std::ostream& err);
int execute(const StatusCommand& command, std::ostream& out, std::ostream& err);
int execute(const WhoCommand& command, std::ostream& out, std::ostream& err);
int execute(const WatchCommand& command, std::ostream& out, std::ostream& err);
int execute(const QueryCommand& command, std::ostream& out, std::ostream& err);
int execute(const ForgetCommand& command, std::ostream& out, std::ostream& err);
int execute(const DecodeCommand& command, std::ostream& out, std::ostream& err);
int execute(const SchemaCommand& command, std::ostream& out, std::ostream& err);
int execute(const Exit& exit, std::ostream& out, std::ostream& err);

/// The table of promise P5, for people. `now` is what lags are counted from.
void print_status_table(std::span<const ServerOverview> servers, UtcSeconds now, std::ostream& out);
/// One JSON object per line; keys are the columns of table `server` (DESIGN section 6), `server` for its name, `states`
/// with the number of bindings in each state, and `gaps` with the columns of the open rows of table `gap`.
void print_status_json(std::span<const ServerOverview> servers, std::ostream& out);

/// What `who` found, and what it takes to say how far an empty answer is to be trusted.
struct WhoAnswer {
    Sought sought;
    UtcSeconds now{};
    std::optional<UtcSeconds> at;  ///< none: who holds it now
    std::chrono::seconds kept{0};  ///< assignments, after they ended; 0: for ever
    std::vector<Record> rows;
    std::vector<ServerOverview> servers;
};
/// For people. An inferred boundary is shown as "by TIME": then, or before.
void print_who(const WhoAnswer& answer, std::ostream& out);

/// A line of `watch` for people: seq, at, change, address, server, state, until, client.
[[nodiscard]] std::string watch_line(const std::array<std::string, 8>& cells);

/// What `forget` removed and what it left, in words.
[[nodiscard]] std::string forgotten_text(const Forgotten& forgotten);

/// Prints every message of the stream. 1 if it breaks off inside a message or the framing is lost.
[[nodiscard]] int decode_stream(std::istream& in, std::optional<Family> family, std::ostream& out);

}  // namespace leasemirror
