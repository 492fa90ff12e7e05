#include "agent/config/warnings.hpp"

#include "agent/config/full_read.hpp"
#include "agent/config/values.hpp"
#include "proto/numbers_v4.hpp"
#include "storage/store_url.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace leasemirror {
namespace {

using std::chrono::milliseconds;

/// Half of what a server grants to all its requestors together by default.
constexpr std::uint32_t polite_connections = 4;
constexpr milliseconds polite_poll_interval = std::chrono::minutes{1};
constexpr milliseconds polite_verify_interval = std::chrono::minutes{10};

/// Where the RFCs say of each family that timeouts SHOULD NOT be set lower than their defaults.
struct Citation {
    std::string_view active;
    std::string_view bulk;
};

Citation citation(Family family) {
    if (family == Family::v4) return {"RFC 7724 §5.3", "RFC 6926 §6.3"};
    return {"RFC 7653 §6.4", "RFC 5460 §5.6"};
}

class Warnings {
public:
    explicit Warnings(const ServerConfig& server) : server_(server) {}

    void add(const std::string& text) { lines_.push_back("server " + server_.name + ": " + text); }
    void below(std::string_view key, milliseconds value, milliseconds least, std::string_view where) {
        if (value >= least) return;
        add("timeouts." + std::string(key) + " is " + duration_text(value) + "; " + std::string(where) +
            " says that it SHOULD NOT be lower than " + duration_text(least));
    }
    [[nodiscard]] std::vector<std::string> take() { return std::move(lines_); }

private:
    const ServerConfig& server_;
    std::vector<std::string> lines_;
};

void warn_of_bulk(const ServerConfig& server, Warnings& out) {
    const auto& bulk = server.bulk;
    if (bulk.max_connections > polite_connections)
        out.add("bulk.max_connections is " + std::to_string(bulk.max_connections) + "; servers accept " +
                std::to_string(bulk_lq_max_conns) + " by default for all their requestors together (" +
                std::string(citation(server.family).bulk) + ", BULK_LQ_MAX_CONNS) and close further ones at once");
    const bool polls = server.mode != SyncMode::active;
    if (polls && bulk.poll_interval < polite_poll_interval)
        out.add("bulk.poll_interval is " + duration_text(bulk.poll_interval) +
                "; each poll makes the server send all its bindings");
    if (polls && bulk.window_interval && *bulk.window_interval >= bulk.poll_interval)
        out.add("bulk.window_interval is not shorter than bulk.poll_interval, so it never takes effect");
    if (server.family == Family::v6 && bulk.queries.empty())
        out.add(
            "no bulk.queries: only what changes from now on is mirrored, a gap cannot be filled, and its coverage "
            "stays 'partial'");
}

void warn_of_verify(const ServerConfig& server, Warnings& out) {
    if (server.verify_interval == milliseconds{0}) return;
    if (full_read_queries(server).empty())
        out.add("verify_interval has no effect: without bulk.queries there is nothing to compare with");
    else if (server.verify_interval < polite_verify_interval)
        out.add("verify_interval is " + duration_text(server.verify_interval) +
                "; each comparison makes the server send all its bindings");
}

std::vector<std::string> server_warnings(const ServerConfig& server) {
    Warnings out(server);
    const auto where = citation(server.family);
    out.below("receive", server.timeouts.receive, active_lq_rcv_timeout, where.active);
    out.below("data", server.timeouts.data, bulk_lq_data_timeout, where.bulk);
    out.below("retry", server.timeouts.retry, active_lq_idle_timeout, where.active);
    warn_of_bulk(server, out);
    warn_of_verify(server, out);
    return out.take();
}

void warn_of_shared_endpoints(const Config& config, std::vector<std::string>& out) {
    std::map<std::tuple<Family, std::string, std::uint16_t>, std::string> seen;
    for (const auto& server : config.servers) {
        const auto [first, added] = seen.try_emplace({server.family, server.address, server.port}, server.name);
        if (!added)
            out.push_back("server " + server.name + ": same family, address and port as server " + first->second +
                          ", so each of its bindings is kept twice");
    }
}

/// Whether what is sent to this host of a PostgreSQL URL stays on this machine.
bool stays_here(const std::string& host) {
    return host.starts_with('/') || host.starts_with('@') || is_loopback({host, 0});
}

void warn_of_storage(const StorageConfig& storage, std::vector<std::string>& out) {
    if (engine_named_by(storage.url) == StoreEngine::sqlite) {
        if (storage.writers > 1)
            out.push_back("storage.writers is " + std::to_string(storage.writers) +
                          "; SQLite has one writer, so one is used");
        if (!storage.password.empty()) out.push_back("storage.password is given; SQLite asks for none");
        return;
    }
    const auto url = parse_postgres_url(storage.url);
    if (!url || std::all_of(url->hosts.begin(), url->hosts.end(), stays_here)) return;
    const auto mode = url->parameters.find("sslmode");
    if (mode == url->parameters.end())
        out.push_back(
            "storage.url has no sslmode: the connection to the database may go in clear text, and the "
            "database's certificate is not verified; add ?sslmode=verify-full");
    else if (mode->second != "verify-full" && mode->second != "verify-ca")
        out.push_back("storage.url has sslmode=" + mode->second +
                      ": the database's certificate is not verified; verify-full does that");
}

}  // namespace

std::vector<std::string> config_warnings(const Config& config) {
    std::vector<std::string> out;
    for (const auto& server : config.servers)
        for (auto& line : server_warnings(server))
            out.push_back(std::move(line));
    warn_of_shared_endpoints(config, out);
    warn_of_storage(config.storage, out);
    if (!config.admin.listen.empty()) {
        const auto endpoint = parse_endpoint(config.admin.listen);
        if (endpoint && !is_loopback(*endpoint))
            out.push_back("admin.listen is " + config.admin.listen +
                          ": the admin port has no authentication and is reachable from other hosts");
    }
    return out;
}

}  // namespace leasemirror
