#include "agent/cli/query_rows.hpp"

#include "agent/config/exit_codes.hpp"
#include "agent/query/record_text.hpp"
#include "proto/status.hpp"

#include <fmt/format.h>

#include <ostream>

namespace leasemirror {
namespace {

TextTable::Column optional(std::string heading) {
    return {.heading = std::move(heading), .optional = true};
}

/// "for ever" is what a binding in force without an end is; of others the end was not told.
std::string expires_cell(const Record& row) {
    auto out = cell_of(row, "expires_at");
    const bool in_force = cell_of(row, "state") == to_string(BindingState::active);
    return out.empty() && in_force ? "for ever" : out;
}

std::string counted(std::uint64_t n, const std::string& one, const std::string& many) {
    return std::to_string(n) + " " + (n == 1 ? one : many);
}

}  // namespace

QueryRows::QueryRows(std::ostream& out, bool json, std::optional<std::uint64_t> limit)
    : out_(out),
      table_({{"ADDRESS"},
              optional("VPN"),
              {"STATE"},
              {"CLIENT"},
              optional("MAC"),
              {"EXPIRES"},
              {"LAST SEEN"},
              optional("LINK"),
              optional("RELAY ID"),
              optional("REMOTE ID"),
              {"SERVER"}}),
      json_(json),
      limit_(limit) {}

bool QueryRows::add(const Record& row) {
    if (limit_ && count_ >= *limit_) full_ = true;
    if (full_) return false;
    ++count_;
    if (json_) {
        out_ << json_line(row) << '\n';
    } else {
        table_.add({address_cell(row), cell_of(row, "vpn_id"), cell_of(row, "state"), cell_of(row, "client_id"),
                    cell_of(row, "hw_addr"), expires_cell(row), cell_of(row, "client_last_seen"),
                    cell_of(row, "link_address"), cell_of(row, "relay_id"), cell_of(row, "remote_id"),
                    cell_of(row, "server")});
    }
    return true;
}

void QueryRows::begin() {
    count_ = 0;
    full_ = false;
}

void QueryRows::flush() {
    table_.print_part(out_);
    out_.flush();
}

bool QueryRows::broken() const {
    return !out_;
}

std::string closing_text(const QueryReport& r) {
    std::string out;
    const auto line = [&](const std::string& text) { out += printable(r.server) + ": " + text + "\n"; };
    if (r.not_understood > 0)
        line(counted(r.not_understood, "message", "messages") + " could not be understood; the answer is not complete");
    if (r.before_window > 0)
        line(counted(r.before_window, "binding has", "bindings have") +
             " not changed since --since: this server does not heed it");
    if (r.limited) line("there is more; --limit ended the query");
    if (!r.fault.empty()) line(printable(r.fault));
    if (r.interrupted) line("interrupted; there may be more");
    if (r.code == exit_cannot_connect && !r.fault.empty()) return out;  // nothing was asked
    out += (r.bindings == 0 ? "no bindings" : counted(r.bindings, "binding", "bindings")) + " from " +
           printable(r.server) + fmt::format(" in {:.1f} s", static_cast<double>(r.took.count()) / 1000);
    if (r.discarded) out += ", " + counted(*r.discarded, "datagram", "datagrams") + " discarded";
    return out + "\n";
}

}  // namespace leasemirror
