// The configuration as plain values: once it is loaded (load.hpp) no code sees YAML. Defaults are the member
// initialisers, and config.example.yaml shows them (a test compares the two).
#pragma once

#include "proto/ip_address.hpp"
#include "proto/query.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

struct BatchConfig {
    std::uint32_t rows = 2000;            ///< commit when this many rows wait ...
    std::chrono::milliseconds delay{20};  ///< ... or the commit before is this old

    friend bool operator==(const BatchConfig&, const BatchConfig&) = default;
};

struct RetentionConfig {  ///< 0 = keep for ever
    std::chrono::seconds ended = std::chrono::days{30};
    std::chrono::seconds changes = std::chrono::days{30};
    std::chrono::seconds assignments = std::chrono::days{365};

    friend bool operator==(const RetentionConfig&, const RetentionConfig&) = default;
};

struct StorageConfig {
    std::string url;       ///< may hold a password: shown by redacted_url() only
    std::string password;  ///< from password, password_file or ${VAR}; never logged
    std::string schema;    ///< PostgreSQL only; empty: the first of the role's search_path
    std::uint32_t writers = 1;
    BatchConfig batch;
    bool record_renewals = false;
    RetentionConfig retention;

    friend bool operator==(const StorageConfig&, const StorageConfig&) = default;
};

struct RequestorConfig {
    Bytes duid;                       ///< empty = auto: made once and kept in the database
    std::optional<IpAddress> giaddr;  ///< for v4 queries over UDP; none = auto
    std::uint16_t port = 67;

    friend bool operator==(const RequestorConfig&, const RequestorConfig&) = default;
};

enum class SyncMode : std::uint8_t { automatic, active, bulk };
enum class TlsMode : std::uint8_t { off, starttls, direct };
enum class BulkCovers : std::uint8_t { all, partial };
/// Whether what a v6 server's list of a client's leases leaves out has ended (RFC 5007 §4.1.2.2): asked and learned, no, yes.
enum class ClientData : std::uint8_t { automatic, delta, snapshot };

struct TlsConfig {
    TlsMode mode = TlsMode::off;
    std::string ca, cert, key;  ///< PEM files; as paths that this process can open
    std::string crl;            ///< PEM file; empty: none
    std::string server_name;    ///< empty: the address
    std::vector<Bytes> pins;    ///< SHA-256 of the server's SubjectPublicKeyInfo, one of these; empty: any

    friend bool operator==(const TlsConfig&, const TlsConfig&) = default;
};

struct BulkConfig {
    std::vector<BulkQuery> queries;           ///< v4 without any: one query for everything; v6 without any: no bulk
    BulkCovers covers = BulkCovers::partial;  ///< v4 without queries: all
    std::uint32_t max_connections = 4;
    std::chrono::milliseconds poll_interval = std::chrono::minutes{5};
    std::optional<std::chrono::milliseconds> window_interval;

    friend bool operator==(const BulkConfig&, const BulkConfig&) = default;
};

/// The RFCs' defaults (RFC 7724 §5.3, RFC 6926 §6.3, RFC 7653 §6.4, RFC 5460 §5.6). Lower values are accepted, with a
/// warning in the log.
struct TimeoutsConfig {
    std::chrono::milliseconds connect = std::chrono::seconds{10};
    std::chrono::milliseconds receive = std::chrono::seconds{120};  ///< ACTIVE_LQ_RCV_TIMEOUT
    std::chrono::milliseconds data = std::chrono::seconds{300};     ///< BULK_LQ_DATA_TIMEOUT
    std::chrono::milliseconds retry = std::chrono::seconds{60};     ///< ACTIVE_LQ_IDLE_TIMEOUT: least retry spacing

    friend bool operator==(const TimeoutsConfig&, const TimeoutsConfig&) = default;
};

struct ServerConfig {
    std::string name;
    Family family = Family::v4;
    std::string address;      ///< name or address
    std::uint16_t port = 67;  ///< 67 (v4) or 547 (v6) unless given
    SyncMode mode = SyncMode::automatic;
    TlsConfig tls;
    BulkConfig bulk;
    ClientData client_data = ClientData::automatic;
    std::chrono::milliseconds verify_interval{0};  ///< between comparisons of the daemon itself; 0: none
    std::vector<std::uint16_t> request_options;
    TimeoutsConfig timeouts;

    friend bool operator==(const ServerConfig&, const ServerConfig&) = default;
};

struct LimitsConfig {
    std::uint32_t bulk_connections = 16;
    std::uint64_t queue_bytes = 64ULL * 1024 * 1024;

    friend bool operator==(const LimitsConfig&, const LimitsConfig&) = default;
};

struct ClusterConfig {
    bool enabled = false;
    std::string name;  ///< empty = auto

    friend bool operator==(const ClusterConfig&, const ClusterConfig&) = default;
};

struct AdminConfig {
    std::string listen = "127.0.0.1:9547";  ///< empty = off

    friend bool operator==(const AdminConfig&, const AdminConfig&) = default;
};

enum class LogLevel : std::uint8_t { debug, info, warn, error };
enum class LogFormat : std::uint8_t { text, json };

struct LogConfig {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::text;

    friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

struct Config {
    StorageConfig storage;
    RequestorConfig requestor;
    std::vector<ServerConfig> servers;
    LimitsConfig limits;
    ClusterConfig cluster;
    AdminConfig admin;
    LogConfig log;

    friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace leasemirror
