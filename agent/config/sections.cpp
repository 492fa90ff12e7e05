#include "agent/config/sections.hpp"

#include "agent/config/secret_file.hpp"
#include "proto/numbers_v6.hpp"
#include "storage/store_url.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace leasemirror {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// One SQLite transaction of a million rows is already some hundred megabytes of journal.
constexpr std::uint32_t batch_rows_max = 1'000'000;
/// Queues must hold at least one largest message and one read of every kind of connection.
constexpr std::uint64_t queue_bytes_min = 256 * 1024;
constexpr std::size_t password_bytes_max = 4096;

Parsed<std::string> parse_text(std::string_view text) {
    if (text.empty() || text.find('\0') != std::string_view::npos)
        return Unexpected{std::string("expected a text that is not empty")};
    return std::string(text);
}

/// Retention in whole seconds: what is below a second would round to "for ever".
Parsed<seconds> parse_retention(std::string_view text) {
    auto parsed = parse_duration(text, milliseconds{0});
    if (!parsed) return Unexpected{parsed.error()};
    if (*parsed % seconds{1} != milliseconds{0})
        return Unexpected{std::string("expected whole seconds, or 0 for ever")};
    return std::chrono::duration_cast<seconds>(*parsed);
}

Parsed<std::string> parse_storage_url(std::string_view text) {
    constexpr std::string_view sqlite = "sqlite://";
    if (engine_named_by(text) == StoreEngine::postgresql) {
        const auto url = parse_postgres_url(text);
        if (!url) return Unexpected{url.error()};
        return std::string(text);
    }
    if (text.starts_with(sqlite) && text.size() > sqlite.size() && text.back() != '/') return std::string(text);
    return Unexpected{
        std::string("expected sqlite:///absolute/path or sqlite://relative/path of a database file, or "
                    "postgresql://USER@HOST:5432/DATABASE")};
}

/// A name that SQL takes without quotes, so that people can write it as it stands here.
Parsed<std::string> parse_schema_name(std::string_view text) {
    constexpr std::size_t name_bytes_max = 63;  // NAMEDATALEN
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz_";
    constexpr std::string_view further = "abcdefghijklmnopqrstuvwxyz_0123456789";
    const bool plain = !text.empty() && text.size() <= name_bytes_max &&
                       letters.find(text.front()) != std::string_view::npos &&
                       text.find_first_not_of(further) == std::string_view::npos;
    if (plain && !text.starts_with("pg_")) return std::string(text);
    return Unexpected{
        std::string("expected up to 63 lower-case letters, digits and _ that begin neither with a digit nor with pg_")};
}

/// What a password file holds, without the newline that editors put at its end.
Parsed<std::string> read_secret(const std::filesystem::path& path) {
    std::error_code fault;
    if (std::filesystem::is_directory(path, fault)) return Unexpected{std::string("is a directory")};
    if (auto exposed = fault_of_secret_file(path.string())) return Unexpected{*std::move(exposed)};
    std::ifstream in(path, std::ios::binary);
    if (!in) return Unexpected{"cannot be read: " + std::generic_category().message(errno)};
    std::string text(std::istreambuf_iterator<char>(in), {});
    if (text.ends_with('\n')) text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
    if (text.empty()) return Unexpected{std::string("is empty")};
    if (text.size() > password_bytes_max) return Unexpected{std::string("is too large for a password")};
    return text;
}

void read_password(MapReader& storage, StorageConfig& out) {
    std::string file;
    storage.read_or_null("password", out.password, parse_text);
    storage.read_or_null("password_file", file, parse_text);
    if (storage.has("password") && storage.has("password_file"))
        storage.error("password_file", "give either password or password_file, not both");
    if (file.empty()) return;
    const auto path = std::filesystem::path(storage.source().file()).parent_path() / file;
    auto secret = read_secret(path);
    if (secret)
        out.password = *std::move(secret);
    else
        storage.error("password_file", in_quotes(path.string()) + " " + secret.error());
}

/// How the URL goes together with the other keys.
void check_engine(MapReader& storage, const StorageConfig& config) {
    switch (engine_named_by(config.url).value_or(StoreEngine::postgresql)) {
        case StoreEngine::sqlite:
            if (storage.has("schema"))
                storage.error("schema", "only a PostgreSQL database has schemas; leave it out with SQLite");
            return;
        case StoreEngine::postgresql:
            if (const auto url = parse_postgres_url(config.url); url && url->has_password && !config.password.empty())
                storage.error("url", "has a password in it, and another one is given; leave it out of the URL");
            return;
    }
}

void read_storage(MapReader storage, StorageConfig& out) {
    storage.require("url");
    if (const auto url = storage.scalar("url")) {
        // Unlike read(): the text of a URL may hold a password, so the message does not repeat it.
        auto parsed = parse_storage_url(url->text);
        if (parsed)
            out.url = *std::move(parsed);
        else
            storage.error("url", parsed.error());
    }
    storage.read_or_null("schema", out.schema, parse_schema_name);
    read_password(storage, out);
    check_engine(storage, out);
    storage.read("writers", out.writers, [](auto t) { return parse_number<std::uint32_t>(t, 1, 64); });
    storage.read("record_renewals", out.record_renewals, parse_bool);

    auto batch = storage.section("batch");
    batch.read("rows", out.batch.rows, [](auto t) { return parse_number<std::uint32_t>(t, 1, batch_rows_max); });
    batch.read("delay", out.batch.delay, [](auto t) { return parse_duration(t, milliseconds{0}); });
    batch.finish();

    auto retention = storage.section("retention");
    retention.read("ended", out.retention.ended, parse_retention);
    retention.read("changes", out.retention.changes, parse_retention);
    retention.read("assignments", out.retention.assignments, parse_retention);
    retention.finish();
    storage.finish();
}

void read_requestor(MapReader requestor, RequestorConfig& out) {
    requestor.read("duid", out.duid, [](std::string_view t) -> Parsed<Bytes> {
        if (t == "auto") return Bytes{};
        auto duid = parse_identifier(t, 3, duid_bytes_max);
        if (!duid) return Unexpected{"expected auto or a DUID: " + duid.error()};
        return duid;
    });
    requestor.read("giaddr", out.giaddr, [](std::string_view t) -> Parsed<std::optional<IpAddress>> {
        if (t == "auto") return std::optional<IpAddress>{};
        const auto address = IpAddress::parse(t);
        if (address && address->family() == Family::v4 && !address->is_unspecified()) return address;
        return Unexpected{std::string("expected auto or an IPv4 address of this host")};
    });
    requestor.read("port", out.port, [](auto t) { return parse_number<std::uint16_t>(t, 1); });
    requestor.finish();
}

void read_limits(MapReader limits, LimitsConfig& out) {
    limits.read("bulk_connections", out.bulk_connections,
                [](auto t) { return parse_number<std::uint32_t>(t, 1, 10000); });
    limits.read("queue_bytes", out.queue_bytes, [](auto t) { return parse_size(t, queue_bytes_min); });
    limits.finish();
}

void read_cluster(MapReader cluster, ClusterConfig& out) {
    cluster.read("enabled", out.enabled, parse_bool);
    cluster.read("name", out.name, [](std::string_view t) -> Parsed<std::string> {
        if (t == "auto") return std::string();
        return parse_text(t);
    });
    if (out.enabled)
        cluster.error("enabled",
                      "this version cannot share the servers among several agents; set it to false and run one agent");
    cluster.finish();
}

void read_admin(MapReader admin, AdminConfig& out) {
    admin.read("listen", out.listen, [](std::string_view t) -> Parsed<std::string> {
        if (t == "off") return std::string();
        if (auto endpoint = parse_endpoint(t); !endpoint)
            return Unexpected{std::string("expected off, or ADDRESS:PORT such as 127.0.0.1:9547 or [::1]:9547")};
        return std::string(t);
    });
    admin.finish();
}

void read_log(MapReader log, LogConfig& out) {
    log.read("level", out.level, [](auto t) {
        return parse_word<LogLevel>(t, {{"debug", LogLevel::debug},
                                        {"info", LogLevel::info},
                                        {"warn", LogLevel::warn},
                                        {"error", LogLevel::error}});
    });
    log.read("format", out.format, [](auto t) {
        return parse_word<LogFormat>(t, {{"text", LogFormat::text}, {"json", LogFormat::json}});
    });
    log.finish();
}

}  // namespace

void read_config(MapReader& top, Config& out) {
    top.require("storage");
    if (top.has("storage")) read_storage(top.section("storage"), out.storage);
    read_requestor(top.section("requestor"), out.requestor);
    read_servers(top, out.servers);
    read_limits(top.section("limits"), out.limits);
    read_cluster(top.section("cluster"), out.cluster);
    read_admin(top.section("admin"), out.admin);
    read_log(top.section("log"), out.log);
    top.finish();
}

}  // namespace leasemirror
