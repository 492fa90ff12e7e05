#include "agent/query/rows.hpp"

#include "agent/cli/record_text.hpp"
#include "agent/config/exit_codes.hpp"
#include "proto/status.hpp"
#include "storage/stored_text.hpp"

#include <fmt/format.h>

#include <ostream>

namespace leasemirror {
namespace {

Value text_or_null(std::string text) {
    if (text.empty()) return std::monostate{};
    return text;
}

Value bytes_or_null(const Bytes& octets) {
    if (octets.empty()) return std::monostate{};
    return octets;
}

Value address_or_null(const std::optional<IpAddress>& address) {
    if (!address) return std::monostate{};
    return address->to_string();
}

Value json_or_null(ByteView options) {
    std::string json;
    options_json(options, json);
    if (json.empty()) return std::monostate{};
    return JsonText{std::move(json)};
}

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

Record query_record(const Binding& b, const std::string& server, Skew skew) {
    const auto time = [&](const std::optional<ServerTime>& t) -> Value {
        if (!t) return std::monostate{};
        return to_utc(*t, skew);
    };
    return {{"server", server},
            {"vpn_id", b.key.vpn_id},
            {"kind", std::string(to_string(b.key.kind))},
            {"family", std::string(to_string(b.key.address.family()))},
            {"address", b.key.address.to_string()},
            {"prefix_len", std::int64_t{b.key.prefix_len}},
            {"state", std::string(to_string(b.state))},
            {"client_id", bytes_or_null(b.client_id)},
            {"hw_type", b.hw_type ? Value(std::int64_t{*b.hw_type}) : Value()},
            {"hw_addr", text_or_null(to_hex(b.hw_addr, ':'))},
            {"hostname", text_or_null(storable_text(b.hostname))},
            {"client_last_seen", time(b.client_last_seen)},
            {"state_since", time(b.state_since)},
            {"expires_at", time(b.expires_at)},
            {"preferred_until", time(b.preferred_until)},
            {"renew_at", time(b.renew_at)},
            {"rebind_at", time(b.rebind_at)},
            {"link_address", address_or_null(b.link_address)},
            {"relay_address", address_or_null(b.relay_address)},
            {"relay_id", bytes_or_null(b.relay_id)},
            {"remote_id", bytes_or_null(b.remote_id)},
            {"circuit_id", bytes_or_null(b.circuit_id)},
            {"subscriber_id", bytes_or_null(b.subscriber_id)},
            {"options", json_or_null(b.options)},
            {"data_source", std::string(to_string(b.data_source))},
            {"base_time", to_utc(b.base_time, Skew{0})},
            {"via", std::string(to_string(b.via))}};
}

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

void QueryRows::flush() {
    table_.print_part(out_);
    out_.flush();
}

bool QueryRows::broken() const {
    return !out_;
}

void QueryProgress::tick(std::uint64_t bindings, SteadyTime now) {
    if (now - began_ < interval) return;
    const std::chrono::duration<double> passed = now - began_;
    show(fmt::format("{} bindings, {:.0f} per second", bindings, static_cast<double>(bindings) / passed.count()), now);
}

void QueryProgress::show(const std::string& text, SteadyTime now) {
    if (!shown_ || (last_ && now - *last_ < interval)) return;
    last_ = now;
    err_ << '\r' << text << "\x1b[K" << std::flush;
}

void QueryProgress::clear() {
    if (last_) err_ << "\r\x1b[K" << std::flush;
    last_.reset();
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
