#include "agent/commands.hpp"
#include "agent/time_text.hpp"
#include "proto/status.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <ostream>
#include <vector>

namespace leasemirror {
namespace {

constexpr std::size_t columns = 9;
using Row = std::array<std::string, columns>;

const Row header{"SERVER", "FAMILY", "PHASE", "BINDINGS", "LAG", "SKEW", "GAPS", "COVERAGE", "BASE TIME"};
constexpr std::array<bool, columns> right_aligned{false, false, false, true, true, true, true, false, false};

/// Columns a terminal needs for it: names may be UTF-8, so octets that continue a character do not count.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

Row row_of(const ServerOverview& server, UtcSeconds now) {
    const std::string none = "-";
    return {printable(server.name),
            std::string(to_string(server.family)),
            server.phase,
            std::to_string(server.bindings),
            server.fresh_as_of ? rough_duration(std::max(now - *server.fresh_as_of, std::chrono::seconds{0})) : none,
            server.clock_skew_ms ? skew_text(*server.clock_skew_ms) : none,
            std::to_string(server.gaps_open),
            server.coverage,
            server.base_time ? iso_utc(*server.base_time) : none};
}

void print_row(const Row& row, const std::array<std::size_t, columns>& widths, std::ostream& out) {
    std::string line;
    for (std::size_t i = 0; i < columns; ++i) {
        const std::string padding(widths[i] - width_of(row[i]), ' ');
        line += i > 0 ? "  " : "";
        line += right_aligned[i] ? padding + row[i] : row[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
}

/// What the table has no room for: where it is, what is being recovered and why, and what went wrong last.
void print_details(const ServerOverview& server, UtcSeconds now, std::ostream& out) {
    for (const auto& gap : server.open_gaps)
        out << "  recovering " << iso_utc(gap.from) << " to " << iso_utc(gap.to)
            << " (server's clock): " << printable(gap.cause) << '\n';
    if (server.last_error.empty()) return;
    out << "  last error";
    if (server.last_error_at)
        out << ' ' << rough_duration(std::max(now - *server.last_error_at, std::chrono::seconds{0})) << " ago, "
            << iso_utc(*server.last_error_at);
    out << ": " << printable(server.last_error) << '\n';
}

using Json = nlohmann::ordered_json;

template <class Time>
Json time_or_null(const std::optional<Time>& t) {
    return t ? Json(iso_utc(*t)) : Json(nullptr);
}

Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

Json gaps_json(const std::vector<Gap>& gaps) {
    auto out = Json::array();
    for (const auto& gap : gaps)
        out.push_back({{"gap_from", iso_utc(gap.from)}, {"gap_to", iso_utc(gap.to)}, {"cause", gap.cause}});
    return out;
}

Json json_of(const ServerOverview& server) {
    return {{"server", server.name},
            {"server_id", server.server_id},
            {"name", server.name},
            {"family", to_string(server.family)},
            {"endpoint", server.endpoint},
            {"server_identity", text_or_null(to_hex(server.server_identity))},
            {"phase", server.phase},
            {"base_time", time_or_null(server.base_time)},
            {"fresh_as_of", time_or_null(server.fresh_as_of)},
            {"coverage", server.coverage},
            {"clock_skew_ms", server.clock_skew_ms ? Json(*server.clock_skew_ms) : Json(nullptr)},
            {"bindings", server.bindings},
            {"connected_since", time_or_null(server.connected_since)},
            {"last_message_at", time_or_null(server.last_message_at)},
            {"last_full_sync_at", time_or_null(server.last_full_sync_at)},
            {"gaps_open", server.gaps_open},
            {"last_error", text_or_null(server.last_error)},
            {"last_error_at", time_or_null(server.last_error_at)},
            {"owner", text_or_null(server.owner)},
            {"owner_epoch", server.owner_epoch},
            {"gaps", gaps_json(server.open_gaps)}};
}

}  // namespace

void print_status_table(std::span<const ServerOverview> servers, UtcSeconds now, std::ostream& out) {
    std::vector<Row> rows{header};
    for (const auto& server : servers)
        rows.push_back(row_of(server, now));
    std::array<std::size_t, columns> widths{};
    for (const auto& row : rows)
        for (std::size_t i = 0; i < columns; ++i)
            widths[i] = std::max(widths[i], width_of(row[i]));
    print_row(rows[0], widths, out);
    for (std::size_t i = 0; i < servers.size(); ++i) {
        print_row(rows[i + 1], widths, out);
        print_details(servers[i], now, out);
    }
}

void print_status_json(std::span<const ServerOverview> servers, std::ostream& out) {
    for (const auto& server : servers)
        out << json_of(server).dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

int execute(const StatusCommand& command, std::ostream& out, std::ostream& err) {
    const auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    try {
        const auto servers = read_overview(store_settings(*config));
        if (command.json) {
            print_status_json(servers, out);
        } else if (servers.empty()) {
            out << "no server in the database yet: 'leasemirror run' has not been started with it\n";
        } else {
            const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
            print_status_table(servers, now, out);
        }
        return exit_fine;
    } catch (const StoreError& e) {
        err << "leasemirror status: " << e.what() << '\n';
        return exit_code_of(e);
    }
}

}  // namespace leasemirror
