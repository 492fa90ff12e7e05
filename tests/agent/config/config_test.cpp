#include "agent/config/load.hpp"
#include "agent/config/warnings.hpp"
#include "tests/agent/config/text.hpp"

#include <doctest/doctest.h>

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

const std::string example_path = LEASEMIRROR_SOURCE_DIR "/config.example.yaml";

std::string errors_of(const std::string& yaml) {
    return errors_text(parse_config(yaml, "f.yaml", environment_of({})));
}

ServerConfig server_of(const std::string& family, const std::string& lines) {
    return config_of(with_server(family, lines)).servers.at(0);
}

class TemporaryFile {
public:
    explicit TemporaryFile(const std::string& content)
        : path_(std::filesystem::temp_directory_path() / ("leasemirror-config-test-" + std::to_string(getpid()))) {
        std::ofstream(path_, std::ios::binary) << content;
        std::filesystem::permissions(path_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    }
    ~TemporaryFile() { std::filesystem::remove(path_); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

}  // namespace

TEST_CASE("the least configuration names a database and one server, and all else has its default") {
    const auto config = config_of(with_server("v4"));
    Config expected;
    expected.storage.url = "sqlite:///x.db";
    ServerConfig server;
    server.name = "s";
    server.address = "host";
    server.bulk.covers = BulkCovers::all;  // v4 without queries asks for everything
    expected.servers = {server};
    CHECK(config == expected);
}

TEST_CASE("config.example.yaml shows the defaults") {
    const auto loaded = load_config_file(example_path, environment_of({}));
    REQUIRE_MESSAGE(std::holds_alternative<Config>(loaded), errors_text(loaded));
    const auto& example = std::get<Config>(loaded);
    Config expected;
    expected.storage.url = "sqlite:///var/lib/leasemirror/leases.db";
    ServerConfig v4;
    v4.name = "east-v4";
    v4.address = "192.0.2.1";
    v4.bulk.covers = BulkCovers::all;
    ServerConfig v6;
    v6.name = "east-v6";
    v6.family = Family::v6;
    v6.address = "2001:db8::1";
    v6.port = 547;
    REQUIRE(example.servers.size() == 2);
    CHECK(example.servers[1].bulk.queries.size() == 5);
    v6.bulk.queries = example.servers[1].bulk.queries;
    expected.servers = {v4, v6};
    CHECK(example == expected);
    CHECK(config_warnings(example).empty());
}

TEST_CASE("the configuration for Kea is accepted, and polls it by what it can be asked for") {
    const auto loaded = load_config_file(LEASEMIRROR_SOURCE_DIR "/deploy/kea/leasemirror.yaml", environment_of({}));
    REQUIRE_MESSAGE(std::holds_alternative<Config>(loaded), errors_text(loaded));
    const auto& config = std::get<Config>(loaded);
    CHECK(config_warnings(config).empty());
    REQUIRE(config.servers.size() == 2);
    for (const auto& server : config.servers) {
        CHECK(server.mode == SyncMode::bulk);
        CHECK(server.tls.mode == TlsMode::off);
        for (const auto& query : server.bulk.queries)
            CHECK((query.kind == QueryKind::link || server.family == Family::v4));
    }
    CHECK(config.servers[0].bulk.covers == BulkCovers::all);
    CHECK(config.servers[1].bulk.queries.front().id == Bytes{'r', 'e', 'l', 'a', 'y', '-', 'A'});
    CHECK(config.servers[1].bulk.window_interval == std::chrono::seconds{30});
}

TEST_CASE("every key that is understood stands in config.example.yaml") {
    // A word that is near nothing makes the reader list the keys it knows at that place.
    const auto errors = errors_of(
        "qqqqqqqq: 1\n"
        "storage: { url: sqlite:///x, qqqqqqqq: 1, batch: { qqqqqqqq: 1 }, retention: { qqqqqqqq: 1 } }\n"
        "servers:\n"
        "  - { name: s, family: v4, address: a, qqqqqqqq: 1, tls: { qqqqqqqq: 1 }, timeouts: { qqqqqqqq: 1 },\n"
        "      bulk: { qqqqqqqq: 1, queries: [ { all: true, qqqqqqqq: 1 } ] } }\n"
        "requestor: { qqqqqqqq: 1 }\nlimits: { qqqqqqqq: 1 }\ncluster: { qqqqqqqq: 1 }\n"
        "admin: { qqqqqqqq: 1 }\nlog: { qqqqqqqq: 1 }\n");
    std::ifstream in(example_path);
    const std::string example(std::istreambuf_iterator<char>(in), {});
    std::size_t keys = 0;
    std::istringstream lines(errors);
    for (std::string line; std::getline(lines, line);) {
        const std::string marker = "unknown key 'qqqqqqqq'; expected ";
        const auto start = line.find(marker);
        REQUIRE_MESSAGE(start != std::string::npos, line);
        std::string words = line.substr(start + marker.size());
        for (auto& c : words)
            if (c == ',') c = ' ';
        std::istringstream in_line(words);
        for (std::string key; in_line >> key;) {
            if (key == "or") continue;
            CHECK_MESSAGE(example.find(key + ":") != std::string::npos, key);
            ++keys;
        }
    }
    CHECK(keys == 65);
}

TEST_CASE("the port defaults by family and can be given") {
    CHECK(server_of("v4", "").port == 67);
    CHECK(server_of("v6", "").port == 547);
    CHECK(server_of("v6", "    port: 1547\n").port == 1547);
}

TEST_CASE("every value of a server can be set") {
    const auto server = server_of("v6",
                                  "    mode: active\n"
                                  "    tls: { mode: starttls, ca: ca.pem, cert: /etc/agent.pem, key: agent.key,\n"
                                  "           crl: crl.pem, server_name: d.example,\n"
                                  "           pin: sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=;"
                                  "sha256////////////////////////////////////////////8= }\n"
                                  "    client_data: snapshot\n"
                                  "    request_options: [39, 16]\n"
                                  "    bulk: { max_connections: 2, poll_interval: 12h, window_interval: 90s,\n"
                                  "            queries: [ { link: 2001:db8::1 } ], covers: all }\n"
                                  "    timeouts: { connect: 500ms, receive: 1d, data: 5m, retry: 2m }\n");
    CHECK(server.mode == SyncMode::active);
    CHECK(server.tls.mode == TlsMode::starttls);
    CHECK(server.tls.ca == "ca.pem");
    CHECK(server.tls.cert == "/etc/agent.pem");
    CHECK(server.tls.key == "agent.key");
    CHECK(server.tls.crl == "crl.pem");
    CHECK(server.tls.server_name == "d.example");
    CHECK(server.tls.pins == std::vector<Bytes>{Bytes(32, 0x00), Bytes(32, 0xff)});
    CHECK(server.client_data == ClientData::snapshot);
    CHECK(server.request_options == std::vector<std::uint16_t>{39, 16});
    CHECK(server.bulk.max_connections == 2);
    CHECK(server.bulk.poll_interval == 12h);
    CHECK(server.bulk.window_interval == std::optional<std::chrono::milliseconds>(90s));
    CHECK(server.bulk.covers == BulkCovers::all);
    CHECK(server.timeouts.connect == 500ms);
    CHECK(server.timeouts.receive == 24h);
    CHECK(server.timeouts.data == 5min);
    CHECK(server.timeouts.retry == 2min);
}

TEST_CASE("every value outside the servers can be set") {
    const auto config = config_of(
        "storage: { url: 'sqlite://here.db', password: p, writers: 3, batch: { rows: 7, delay: 0 },\n"
        "           record_renewals: true, retention: { ended: 0, changes: 0s, assignments: 12h } }\n"
        "servers: [ { name: s, family: v4, address: 192.0.2.7 } ]\n"
        "requestor: { duid: 'text:agent', giaddr: 192.0.2.9, port: 6767 }\n"
        "limits: { bulk_connections: 2, queue_bytes: 512KiB }\n"
        "cluster: { enabled: false, name: a1 }\n"
        "admin: { listen: off }\n"
        "log: { level: debug, format: json }\n");
    CHECK(config.storage.url == "sqlite://here.db");
    CHECK(config.storage.password == "p");
    CHECK(config.storage.writers == 3);
    CHECK(config.storage.batch == BatchConfig{7, 0ms});
    CHECK(config.storage.record_renewals);
    CHECK(config.storage.retention == RetentionConfig{0s, 0s, 12h});
    CHECK(config.requestor.duid == Bytes{'a', 'g', 'e', 'n', 't'});
    CHECK(config.requestor.giaddr == IpAddress::parse("192.0.2.9"));
    CHECK(config.requestor.port == 6767);
    CHECK(config.limits == LimitsConfig{2, 512 * 1024});
    CHECK(config.cluster == ClusterConfig{false, "a1"});
    CHECK(config.admin.listen.empty());
    CHECK(config.log == LogConfig{LogLevel::debug, LogFormat::json});
}

TEST_CASE("a PostgreSQL database is named by a URL as libpq takes it, with a schema and a secret of its own") {
    const auto config = config_of(
        "storage: { url: "
        "'postgresql://mirror@db1,db2:5433/leases?sslmode=verify-full&target_session_attrs=read-write',\n"
        "           schema: dhcp_leases, password: '${PW}', writers: 4 }\n"
        "servers: [ { name: s, family: v4, address: host } ]\n",
        environment_of({{"PW", "s3cret"}}));
    CHECK(config.storage.url ==
          "postgresql://mirror@db1,db2:5433/leases?sslmode=verify-full&target_session_attrs=read-write");
    CHECK(config.storage.schema == "dhcp_leases");
    CHECK(config.storage.password == "s3cret");
    CHECK(config_warnings(config).empty());
    CHECK(config_of("storage: { url: 'postgres:///leases', schema: null, password: null }\n"
                    "servers: [ { name: s, family: v4, address: host } ]\n")
              .storage.schema.empty());
}

TEST_CASE("bulk queries of v4 take each key that RFC 6926 allows") {
    const auto queries = server_of("v4",
                                   "    bulk:\n      queries:\n"
                                   "        - { relay_id: 'text:relay-A' }\n"
                                   "        - { remote_id: '6473' }\n"
                                   "        - { client_id: '01:02:42:AC:11:00:02' }\n"
                                   "        - { mac: 02:42:ac:11:00:02 }\n"
                                   "        - { mac: 0242ac110003, hw_type: 6 }\n"
                                   "        - { all: true }\n")
                             .bulk.queries;
    REQUIRE(queries.size() == 6);
    CHECK(queries[0] == BulkQuery{QueryKind::relay_id, {}, Bytes{'r', 'e', 'l', 'a', 'y', '-', 'A'}});
    CHECK(queries[1] == BulkQuery{QueryKind::remote_id, {}, Bytes{0x64, 0x73}});
    CHECK(queries[2] == BulkQuery{QueryKind::client_id, {}, Bytes{1, 2, 0x42, 0xac, 0x11, 0, 2}});
    CHECK(queries[3] == BulkQuery{QueryKind::hw_addr, {}, Bytes{2, 0x42, 0xac, 0x11, 0, 2}});
    CHECK(queries[4] == BulkQuery{QueryKind::hw_addr, {}, Bytes{2, 0x42, 0xac, 0x11, 0, 3}, 6});
    CHECK(queries[5] == BulkQuery{});
}

TEST_CASE("bulk queries of v6 take each key that RFC 5460 allows, with any link as filter") {
    const auto queries = server_of("v6",
                                   "    bulk:\n      queries:\n"
                                   "        - { link: 2001:db8:1::1 }\n"
                                   "        - { relay_id: '0003:0001:0242ac110002' }\n"
                                   "        - { remote_id: '00:00:00:09:41' }\n"
                                   "        - { client_id: '00010203' }\n"
                                   "        - { address: '2001:db8::5' }\n")
                             .bulk.queries;
    const auto any = *IpAddress::parse("::");
    REQUIRE(queries.size() == 5);
    CHECK(queries[0] == BulkQuery{QueryKind::link, *IpAddress::parse("2001:db8:1::1"), {}});
    CHECK(queries[1] == BulkQuery{QueryKind::relay_id, any, Bytes{0, 3, 0, 1, 2, 0x42, 0xac, 0x11, 0, 2}});
    CHECK(queries[2] == BulkQuery{QueryKind::remote_id, any, Bytes{0, 0, 0, 9, 0x41}});
    CHECK(queries[3] == BulkQuery{QueryKind::client_id, any, Bytes{0, 1, 2, 3}});
    CHECK(queries[4] == BulkQuery{QueryKind::address, *IpAddress::parse("2001:db8::5"), {}});
}

TEST_CASE("queries cover the whole server by themselves only where they ask for everything") {
    CHECK(server_of("v4", "").bulk.covers == BulkCovers::all);
    CHECK(server_of("v4", "    bulk: { queries: [ { all: true } ] }\n").bulk.covers == BulkCovers::all);
    CHECK(server_of("v4", "    bulk: { queries: [ { relay_id: 'aa' } ] }\n").bulk.covers == BulkCovers::partial);
    CHECK(server_of("v4", "    bulk: { queries: [ { relay_id: 'aa' } ], covers: all }\n").bulk.covers ==
          BulkCovers::all);
    CHECK(server_of("v6", "").bulk.covers == BulkCovers::partial);
    CHECK(server_of("v6", "    bulk: { queries: [ { link: 2001:db8::1 } ] }\n").bulk.covers == BulkCovers::partial);
}

TEST_CASE("variables of the environment are put in wherever a value stands") {
    const auto env = environment_of({{"DIR", "/data"}, {"N", "9"}, {"EMPTY", ""}});
    const auto config = config_of(
        "storage: { url: 'sqlite://${DIR}/${N}${EMPTY}.db', password: 'a$${N}$b', writers: '${N}' }\n"
        "servers: [ { name: '${N}', family: v4, address: host, request_options: ['${N}'] } ]\n",
        env);
    CHECK(config.storage.url == "sqlite:///data/9.db");
    CHECK(config.storage.password == "a${N}$b");
    CHECK(config.storage.writers == 9);
    CHECK(config.servers[0].name == "9");
    CHECK(config.servers[0].request_options == std::vector<std::uint16_t>{9});
}

TEST_CASE("what the environment gave is not repeated in errors") {
    const auto loaded =
        parse_config(with_server("v4", "    port: ${SECRET}\n"), "f.yaml", environment_of({{"SECRET", "hunter2"}}));
    CHECK(errors_text(loaded) ==
          "f.yaml:6:11: servers[0].port: expected a whole number from 1 to 65535, not '${SECRET}'\n");
}

TEST_CASE("a password file is read beside the configuration, without the newline at its end") {
    const TemporaryFile secret("s3cret \n");
    const auto yaml = "storage: { url: sqlite:///x.db, password_file: " + secret.path().filename().string() +
                      " }\nservers: [ { name: s, family: v4, address: host } ]\n";
    const auto file = secret.path().parent_path() / "any.yaml";
    const auto loaded = parse_config(yaml, file.string(), environment_of({}));
    REQUIRE_MESSAGE(std::holds_alternative<Config>(loaded), errors_text(loaded));
    CHECK(std::get<Config>(loaded).storage.password == "s3cret ");
}

TEST_CASE("a password file that others than its owner can read is a mistake") {
    using std::filesystem::perms;
    const TemporaryFile secret("s3cret");
    const auto yaml = "storage: { url: sqlite:///x.db, password_file: " + secret.path().string() +
                      " }\nservers: [ { name: s, family: v4, address: host } ]\n";
    const auto errors = [&] { return errors_text(parse_config(yaml, "f.yaml", environment_of({}))); };
    CHECK(errors() == "no errors");
    for (const auto more : {perms::others_read, perms::group_write, perms::others_exec}) {
        std::filesystem::permissions(secret.path(), perms::owner_read | perms::owner_write | more);
        CHECK(errors() == "f.yaml:1:48: storage.password_file: '" + secret.path().string() +
                              "' can be read or written by others than its owner; chmod 600 " + secret.path().string() +
                              "\n");
    }
}

TEST_CASE("each mistake is named with its place, what was expected and the nearest valid key") {
    struct Case {
        std::string yaml;
        std::string errors;
    };
    const std::string server = "servers: [ { name: s, family: v4, address: host } ]\n";
    const Case cases[] = {
        {"", "f.yaml: is empty; expected at least storage and servers\n"},
        {"# nothing\n", "f.yaml: is empty; expected at least storage and servers\n"},
        {"- a\n", "f.yaml:1:1: the configuration: expected a map of keys and values, not a list\n"},
        {"storage: { url: sqlite:///x }\n", "f.yaml:1:1: missing key 'servers'\n"},
        {server, "f.yaml:1:1: missing key 'storage'\n"},
        {storage_only + "servers: []\n", "f.yaml:2:10: servers: expected at least one server\n"},
        {storage_only + "servers:\n", "f.yaml:2:1: servers: expected at least one server\n"},
        {storage_only + "servers: { name: s }\n", "f.yaml:2:10: servers: expected a list, not a map\n"},
        {storage_only + "servers: [ s ]\n", "f.yaml:2:12: servers[0]: expected a map of keys and values, not 's'\n"},
        {storage_only + "servers:\n  - name: s\n",
         "f.yaml:3:5: missing key 'family' in servers[0]\nf.yaml:3:5: missing key 'address' in servers[0]\n"},
        {with_server("v4", "    adress: x\n"), "f.yaml:6:5: unknown key 'adress'; did you mean 'address'?\n"},
        {with_server("v4", "    Client-Data: delta\n"),
         "f.yaml:6:5: unknown key 'Client-Data'; did you mean 'client_data'?\n"},
        {with_server("v4", "    timeouts: { xyzzy: 1s }\n"),
         "f.yaml:6:17: unknown key 'xyzzy'; expected connect, receive, data or retry\n"},
        {storage_only + server + "logs: {}\n", "f.yaml:3:1: unknown key 'logs'; did you mean 'log'?\n"},
        {with_server("v4", "    port: 67\n    port: 68\n"),
         "f.yaml:7:5: key 'port' is given twice; the first is in line 6\n"},
        {with_server("v4", "    port: 65536\n"),
         "f.yaml:6:11: servers[0].port: expected a whole number from 1 to 65535, not '65536'\n"},
        {with_server("v4", "    port: 0\n"),
         "f.yaml:6:11: servers[0].port: expected a whole number from 1 to 65535, not '0'\n"},
        {with_server("v4", "    port: -1\n"),
         "f.yaml:6:11: servers[0].port: expected a whole number from 1 to 65535, not '-1'\n"},
        {with_server("v4", "    port: [67]\n"), "f.yaml:6:11: servers[0].port: expected a single value, not a list\n"},
        {with_server("v4", "    port:\n"),
         "f.yaml:6:5: servers[0].port has no value; leave the key out to get its default\n"},
        {with_server("v5"), "f.yaml:4:13: servers[0].family: expected v4 or v6 (nearest: v4), not 'v5'\n"},
        {with_server("v4", "    mode: activ\n"),
         "f.yaml:6:11: servers[0].mode: expected auto, active or bulk (nearest: active), not 'activ'\n"},
        {with_server("v4", "    mode: zzzzz\n"),
         "f.yaml:6:11: servers[0].mode: expected auto, active or bulk, not 'zzzzz'\n"},
        {with_server("v4", "    tls: off\n"),
         "f.yaml:6:10: servers[0].tls: expected a map of keys and values, not 'off'\n"},
        {with_server("v4", "    tls: { mode: starttls }\n"),
         "f.yaml:6:10: servers[0].tls.ca: missing; where tls.mode is not off, a file of the authorities that the "
         "server's certificate may come from is needed\n"
         "f.yaml:6:10: servers[0].tls.cert: missing; where tls.mode is not off, a file of our own certificate, since "
         "TLS "
         "is mutual (RFC 7653 §9.1, RFC 7724 §8.1), is needed\n"
         "f.yaml:6:10: servers[0].tls.key: missing; where tls.mode is not off, the file of our certificate's private "
         "key "
         "is needed\n"},
        {with_server("v4", "    tls: { ca: ca.pem, cert: agent.pem, key: agent.key }\n"),
         "f.yaml:6:10: servers[0].tls.mode: missing: without it the connection is in clear text, whatever else stands "
         "here; starttls is what the RFCs describe, direct is TLS from the first octet, off is clear text\n"},
        {with_server("v4", "    tls: { mode: off, ca: '' }\n"),
         "f.yaml:6:27: servers[0].tls.ca: expected the name of a PEM file, not ''\n"},
        {with_server("v4", "    tls: { mode: off, server_name: a b }\n"),
         "f.yaml:6:36: servers[0].tls.server_name: expected a host name or an address without brackets and port, not "
         "'a b'\n"},
        {with_server("v4", "    tls: { mode: off, pin: sha256//AAAA }\n"),
         "f.yaml:6:28: servers[0].tls.pin: expected sha256//, then 44 characters of base64; several separated by ';', "
         "not 'sha256//AAAA'\n"},
        {with_server("v4", "    timeouts: { data: 300 }\n"),
         "f.yaml:6:23: servers[0].timeouts.data: expected a duration such as 500ms, 30s, 5m, 12h or 30d, not '300'\n"},
        {with_server("v4", "    timeouts: { data: 0 }\n"),
         "f.yaml:6:23: servers[0].timeouts.data: expected a duration such as 500ms, 30s, 5m, 12h or 30d, not '0'\n"},
        {with_server("v4", "    timeouts: { data: 0s }\n"),
         "f.yaml:6:23: servers[0].timeouts.data: expected a duration of at least 1ms, not '0s'\n"},
        {with_server("v4", "    timeouts: { data: 99999999999999d }\n"),
         "f.yaml:6:23: servers[0].timeouts.data: expected a duration of at most 36500d, not '99999999999999d'\n"},
        {with_server("v4", "    address: a b\n").erase(with_server("v4").find("    address: host\n"), 18),
         "f.yaml:5:14: servers[0].address: expected a host name or an address without brackets and port, not 'a b'\n"},
        {storage_only + "servers: [ { name: s, family: v4, address: '192.0.2.1:67' } ]\n",
         "f.yaml:2:44: servers[0].address: expected a host name or an address without brackets and port, not "
         "'192.0.2.1:67'\n"},
        {storage_only + "servers: [ { name: s, family: v4, address: 192.0.2.300 } ]\n",
         "f.yaml:2:44: servers[0].address: expected a host name or an address without brackets and port, not "
         "'192.0.2.300'\n"},
        {storage_only + "servers:\n  - { name: s, family: v4, address: a }\n  - { name: s, family: v6, address: b }\n",
         "f.yaml:4:13: servers[1].name: name 's' is taken by the server in line 3\n"},
        {storage_only + "servers: [ { name: \" \", family: v4, address: a } ]\n",
         "f.yaml:2:20: servers[0].name: expected a name of 1 to 128 printable characters, not ' '\n"},
        {with_server("v4", "    client_data: snapshot\n"),
         "f.yaml:6:18: servers[0].client_data: snapshot is for v6 servers; a v4 message speaks of one address\n"},
        {with_server("v4", "    request_options: [12, 255, x, 12]\n"),
         "f.yaml:6:27: servers[0].request_options[1]: expected a whole number from 1 to 254, not '255'\n"
         "f.yaml:6:32: servers[0].request_options[2]: expected a whole number from 1 to 254, not 'x'\n"
         "f.yaml:6:35: servers[0].request_options[3]: option 12 is listed before\n"},
        {with_server("v6", "    mode: bulk\n"),
         "f.yaml:6:11: servers[0].mode: bulk needs bulk.queries: DHCPv6 has no query for everything; list the "
         "server's links, relay-ids or remote-ids\n"},
        {with_server("v6", "    bulk: { covers: all }\n"),
         "f.yaml:6:21: servers[0].bulk.covers: no query is configured that could cover the server; list its links, "
         "relay-ids or remote-ids in queries, or set it to partial\n"},
        {with_server("v6", "    bulk: { queries: [ { all: true } ] }\n"),
         "f.yaml:6:31: servers[0].bulk.queries[0].all: v6 servers cannot be asked for this; expected link, relay_id, "
         "remote_id, client_id or address\n"},
        {with_server("v4", "    bulk: { queries: [ { link: 2001:db8::1 } ] }\n"),
         "f.yaml:6:32: servers[0].bulk.queries[0].link: v4 servers cannot be asked for this; expected all, relay_id, "
         "remote_id, client_id or mac\n"},
        {with_server("v4", "    bulk: { queries: [ {}, { relay_id: aa, mac: bb } ] }\n"),
         "f.yaml:6:24: servers[0].bulk.queries[0]: expected exactly one of all, relay_id, remote_id, client_id or mac, "
         "not none\n"
         "f.yaml:6:49: servers[0].bulk.queries[1]: expected exactly one of all, relay_id, remote_id, client_id or mac, "
         "not 2\n"},
        {with_server("v4", "    bulk: { queries: [ { relay_id: abc }, { mac: 'text:x' }, { all: false } ] }\n"),
         "f.yaml:6:36: servers[0].bulk.queries[0].relay_id: expected hex with or without colons (00:03:00:01), or "
         "text:..., not 'abc'\n"
         "f.yaml:6:50: servers[0].bulk.queries[1].mac: expected a hardware address such as 02:42:ac:11:00:02, not "
         "'text:x'\n"
         "f.yaml:6:69: servers[0].bulk.queries[2].all: expected true; leave the entry out instead\n"},
        {with_server("v4", "    bulk: { queries: [ { relay_id: aa, hw_type: 1 }, { relay_id: aa } ] }\n"),
         "f.yaml:6:49: servers[0].bulk.queries[0].hw_type: goes with mac only\n"
         "f.yaml:6:54: servers[0].bulk.queries[1]: the same query is listed before\n"},
        {with_server("v6",
                     "    bulk: { queries: [ { remote_id: 'text:abcdef' }, { link: '::' }, { link: 192.0.2.1 } ] }\n"),
         "f.yaml:6:37: servers[0].bulk.queries[0].remote_id: expected hex: four octets of enterprise number, then the "
         "identifier, not 'text:abcdef'\n"
         "f.yaml:6:62: servers[0].bulk.queries[1].link: expected an address other than ::, not '::'\n"
         "f.yaml:6:78: servers[0].bulk.queries[2].link: expected an IPv6 address such as 2001:db8::1, not "
         "'192.0.2.1'\n"},
        {"storage: { url: 'postgresql://u:secret@h:port/db' }\n" + server,
         "f.yaml:1:17: storage.url: expected a port from 1 to 65535 after the host; an IPv6 address stands in [ ], and "
         "in a password : @ / and ? are written %3A %40 %2F and %3F\n"},
        {"storage: { url: 'postgresql://u:secret@h/db', password: p }\n" + server,
         "f.yaml:1:17: storage.url: has a password in it, and another one is given; leave it out of the URL\n"},
        {"storage: { url: 'postgresql://h/db', schema: Leases }\n" + server,
         "f.yaml:1:46: storage.schema: expected up to 63 lower-case letters, digits and _ that begin neither with a "
         "digit nor with pg_, not 'Leases'\n"},
        {"storage: { url: 'postgresql://h/db', schema: pg_leases }\n" + server,
         "f.yaml:1:46: storage.schema: expected up to 63 lower-case letters, digits and _ that begin neither with a "
         "digit nor with pg_, not 'pg_leases'\n"},
        {"storage: { url: 'sqlite:///x', schema: leases }\n" + server,
         "f.yaml:1:40: storage.schema: only a PostgreSQL database has schemas; leave it out with SQLite\n"},
        {"storage: { url: mysql://h }\n" + server,
         "f.yaml:1:17: storage.url: expected sqlite:///absolute/path or sqlite://relative/path of a database file, or "
         "postgresql://USER@HOST:5432/DATABASE\n"},
        {"storage: { url: sqlite:///x, password: a, password_file: /nonexistent/p }\n" + server,
         "f.yaml:1:58: storage.password_file: give either password or password_file, not both\n"
         "f.yaml:1:58: storage.password_file: '/nonexistent/p' cannot be read: No such file or directory\n"},
        {"storage: { url: sqlite:///x, batch: { rows: 0, delay: -1s }, retention: { ended: 10ms }, writers: many }\n" +
             server,
         "f.yaml:1:45: storage.batch.rows: expected a whole number from 1 to 1000000, not '0'\n"
         "f.yaml:1:55: storage.batch.delay: expected a duration such as 500ms, 30s, 5m, 12h or 30d, not '-1s'\n"
         "f.yaml:1:82: storage.retention.ended: expected whole seconds, or 0 for ever, not '10ms'\n"
         "f.yaml:1:99: storage.writers: expected a whole number from 1 to 64, not 'many'\n"},
        {storage_only + server + "cluster: { enabled: true }\n",
         "f.yaml:3:21: cluster.enabled: this version cannot share the servers among several agents; set it to false "
         "and run one agent\n"},
        {storage_only + server + "cluster: { enabled: yes }\n",
         "f.yaml:3:21: cluster.enabled: expected true or false, not 'yes'\n"},
        {storage_only + server + "admin: { listen: 9547 }\n",
         "f.yaml:3:18: admin.listen: expected off, or ADDRESS:PORT such as 127.0.0.1:9547 or [::1]:9547, not '9547'\n"},
        {storage_only + server + "limits: { queue_bytes: 1MB }\nlog: { level: loud }\n",
         "f.yaml:3:24: limits.queue_bytes: expected a size such as 65536, 512KiB, 64MiB or 2GiB, not '1MB'\n"
         "f.yaml:4:15: log.level: expected debug, info, warn or error, not 'loud'\n"},
        {storage_only + server + "limits: { queue_bytes: 1KiB }\n",
         "f.yaml:3:24: limits.queue_bytes: expected a size of at least 256KiB, not '1KiB'\n"},
        {storage_only + server + "requestor: { duid: 00, giaddr: '::1', port: x }\n",
         "f.yaml:3:20: requestor.duid: expected auto or a DUID: expected 3 to 130 octets, not '00'\n"
         "f.yaml:3:32: requestor.giaddr: expected auto or an IPv4 address of this host, not '::1'\n"
         "f.yaml:3:45: requestor.port: expected a whole number from 1 to 65535, not 'x'\n"},
        {storage_only + "servers: [ { name: '${NOPE}', family: v4, address: '${' } ]\n",
         "f.yaml:2:20: environment variable 'NOPE' is not set; set it, or write $${ for a plain ${\n"
         "f.yaml:2:52: expected ${NAME} of an environment variable, not '${'; write $${ for a plain ${\n"},
        {storage_only + server + "---\na: 1\n", "f.yaml:4:1: a second YAML document begins here; expected one\n"},
        {storage_only + "servers: [ { link: 2001:db8:: } ]\n",
         "f.yaml:2:29: not valid YAML: end of map flow not found; inside { } and [ ], values that contain { } [ ] or "
         "end in ':' need quotes, and indentation is spaces only\n"},
        {storage_only + "servers: *nobody\n",
         "f.yaml:2:10: not valid YAML: the referenced anchor is not defined; inside { } and [ ], values that contain "
         "{ } [ ] or end in ':' need quotes, and indentation is spaces only\n"},
        {storage_only + "? [a]\n: 1\n" + server, "f.yaml:2:3: expected a word as key, not a list\n"},
    };
    for (const auto& c : cases) {
        CAPTURE(c.yaml);
        CHECK(errors_of(c.yaml) == c.errors);
    }
}

TEST_CASE("all mistakes come at once, in the order of the file") {
    CHECK(errors_of("servers:\n"
                    "  - name: a\n"
                    "    familly: v4\n"
                    "    address: host\n"
                    "    port: x\n"
                    "  - { name: a, family: v6, address: host, mode: bulk }\n"
                    "storge: {}\n") ==
          "f.yaml:1:1: missing key 'storage'\n"
          "f.yaml:2:5: missing key 'family' in servers[0]\n"
          "f.yaml:3:5: unknown key 'familly'; did you mean 'family'?\n"
          "f.yaml:5:11: servers[0].port: expected a whole number from 1 to 65535, not 'x'\n"
          "f.yaml:6:13: servers[1].name: name 'a' is taken by the server in line 2\n"
          "f.yaml:6:49: servers[1].mode: bulk needs bulk.queries: DHCPv6 has no query for everything; list the "
          "server's links, relay-ids or remote-ids\n"
          "f.yaml:7:1: unknown key 'storge'; did you mean 'storage'?\n");
}

TEST_CASE("a mistake behind a YAML alias is named once") {
    CHECK(errors_of(storage_only + "servers:\n"
                                   "  - { name: a, family: v4, address: host, timeouts: &t { data: soon } }\n"
                                   "  - { name: b, family: v4, address: host, timeouts: *t }\n") ==
          "f.yaml:3:64: servers[0].timeouts.data: expected a duration such as 500ms, 30s, 5m, 12h or 30d, not 'soon'\n"
          "f.yaml:3:64: servers[1].timeouts.data: expected a duration such as 500ms, 30s, 5m, 12h or 30d, not "
          "'soon'\n");
}

TEST_CASE("a file that cannot be read says why") {
    CHECK(errors_text(load_config_file("/nonexistent/x.yaml", environment_of({}))) ==
          "/nonexistent/x.yaml: cannot be read: No such file or directory\n");
    CHECK(errors_text(load_config_file("/tmp", environment_of({}))) == "/tmp: is a directory; expected a YAML file\n");
}
