#include "agent/net/tls_context.hpp"

#include "agent/config/tls_pin.hpp"
#include "agent/net/public_key.hpp"
#include "tests/agent/net/tls_files.hpp"

#include <doctest/doctest.h>

#include <filesystem>

using namespace leasemirror;
using namespace leasemirror::test;

namespace {

struct Setting {
    TemporaryDirectory directory;
    Identity authority{std::string("authority")};
    Identity agent{CertificateSpec{"agent", {}}, authority};
    ServerConfig server = server_over_tls(directory, authority, agent);

    /// Why the files cannot be used; empty if they can.
    [[nodiscard]] std::string complaint() const {
        const auto credentials = load_tls_credentials(server);
        return credentials ? "" : credentials.error();
    }
    void chmod_key(std::filesystem::perms perms) const { std::filesystem::permissions(server.tls.key, perms); }
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a server without TLS has no credentials, whatever files it names") {
    Setting s;
    s.server.tls.mode = TlsMode::off;
    s.server.tls.cert = "/nowhere";
    const auto credentials = load_tls_credentials(s.server);
    REQUIRE(credentials);
    CHECK(*credentials == nullptr);
}

TEST_CASE("good files are loaded, and tell when our certificate ends") {
    const Setting s;
    const auto credentials = load_tls_credentials(s.server);
    if (!credentials) FAIL(credentials.error());
    const auto left = (*credentials)->expires_at() - std::chrono::system_clock::now();
    CHECK(left > std::chrono::days{89});
    CHECK(left < std::chrono::days{91});
}

TEST_CASE("each file that cannot be used is named, with its key and what to do") {
    const Setting s;
    const auto& tls = s.server.tls;
    const auto with = [&](const std::string& path, const std::string& content) {
        put_file(path, content);
        const auto found = s.complaint();
        put_file(tls.ca, s.authority.certificate_pem());
        put_file(tls.cert, s.agent.certificate_pem());
        put_file(tls.key, s.agent.key_pem());
        REQUIRE(s.complaint().empty());
        return found;
    };
    CHECK(with(tls.ca, "") == "tls.ca " + tls.ca + " holds no certificate in PEM form");
    CHECK(with(tls.cert, "x") == "tls.cert " + tls.cert + " holds no certificate in PEM form that can be used");
    CHECK(with(tls.key, "x") == "tls.key " + tls.key + " holds no private key in PEM form without a passphrase");
    CHECK(with(tls.key, s.authority.key_pem()) ==
          "tls.key " + tls.key + " is not the key of the certificate in tls.cert " + tls.cert);
    const Identity expired({"old", {}, -std::chrono::hours{2}, -std::chrono::hours{1}}, s.authority);
    CHECK(contains(with(tls.cert, expired.certificate_pem()), "is not the key of the certificate"));

    auto missing = s.server;
    missing.tls.ca = s.directory / "nothing";
    CHECK(load_tls_credentials(missing).error() ==
          "tls.ca " + missing.tls.ca + " cannot be read: No such file or directory");
    missing.tls.ca = std::filesystem::path(s.server.tls.ca).parent_path().string();
    CHECK(contains(load_tls_credentials(missing).error(), "is a directory; a PEM file is expected"));
    missing = s.server;
    missing.tls.crl = s.server.tls.ca;
    CHECK(contains(load_tls_credentials(missing).error(), "holds no revocation list in PEM form"));
}

TEST_CASE("a block that is damaged is not the end of the file: what stands behind it would be missing") {
    const Setting s;
    const auto& ca = s.server.tls.ca;
    const auto good = s.authority.certificate_pem();
    auto damaged = good;
    damaged[100] = '!';
    const auto cut_off = good.substr(0, good.size() / 2);
    for (const auto& bad : {good + damaged + good, damaged, good + cut_off}) {
        put_file(ca, bad);
        CHECK(contains(s.complaint(), "tls.ca " + ca + " has a block that is damaged, certificate "));
    }
    put_file(ca, "text\n" + good + s.agent.key_pem() + good + "text\n");  // what else stands there is not ours
    CHECK(s.complaint() == "");

    auto with_list = s.server;
    with_list.tls.crl = s.directory / "crl.pem";
    const auto list = revocation_list_pem(s.authority, {});
    put_file(with_list.tls.crl, list + "\n" + list);
    CHECK(load_tls_credentials(with_list));
    auto broken = list;
    broken[100] = '!';
    put_file(with_list.tls.crl, list + broken);
    const auto found = load_tls_credentials(with_list);
    REQUIRE_FALSE(found);
    CHECK(contains(found.error(), " has a block that is damaged, revocation list 2: "));
}

TEST_CASE("our own certificate out of its time is no reason not to load it, but is told as long as it lasts") {
    const Setting s;
    const auto put = [&s](const Identity& identity) {
        put_file(s.server.tls.cert, identity.certificate_pem());
        put_file(s.server.tls.key, identity.key_pem());
    };
    const auto trouble = [&s] {
        const auto loaded = load_tls_credentials(s.server);
        if (!loaded) FAIL(loaded.error());
        return (*loaded)->own_certificate_trouble().value_or("");
    };
    CHECK(trouble() == "");
    put(Identity({"early", {}, std::chrono::hours{1}, std::chrono::hours{2}}, s.authority));
    CHECK(contains(trouble(), "(CN=early) is not valid before "));
    CHECK(contains(trouble(), "; is the clock of this host right?"));
    put(Identity({"old", {}, -std::chrono::hours{2}, -std::chrono::hours{1}}, s.authority));
    CHECK(trouble().starts_with("the certificate in tls.cert " + s.server.tls.cert + " (CN=old) expired on "));

    const auto loaded = load_tls_credentials(s.server);
    REQUIRE(loaded);
    auto& credentials = **loaded;
    put(s.agent);
    CHECK_FALSE(credentials.refresh());
    CHECK_FALSE(credentials.own_certificate_trouble());
    put(Identity({"older", {}, -std::chrono::hours{2}, -std::chrono::hours{1}}, s.authority));
    CHECK(contains(credentials.refresh().value_or(""), "(CN=older) expired on "));  // the good one stays in use
    CHECK_FALSE(credentials.own_certificate_trouble());
}

TEST_CASE("a key that others may read or write is refused, whoever they are") {
    using std::filesystem::perms;
    const Setting s;
    constexpr auto owner = perms::owner_read | perms::owner_write;
    for (const auto more : {perms::others_read, perms::others_write, perms::group_write}) {
        s.chmod_key(owner | more);
        CHECK(s.complaint() == "tls.key " + s.server.tls.key +
                                   " can be read or written by others than its owner; chmod 600 " + s.server.tls.key);
    }
    s.chmod_key(owner);
    CHECK(s.complaint().empty());
    s.chmod_key(perms::owner_read);
    CHECK(s.complaint().empty());
}

TEST_CASE("all servers' mistakes come at once, with their names") {
    const Setting s;
    Config config;
    config.servers = {s.server, s.server, s.server};
    config.servers[0].name = "a";
    config.servers[0].tls.ca = "/nowhere";
    config.servers[2].name = "c";
    config.servers[2].tls.key = "/nowhere";
    const auto found = load_tls_credentials(config);
    REQUIRE_FALSE(found);
    REQUIRE(found.error().size() == 2);
    CHECK(found.error()[0].starts_with("server a: tls.ca /nowhere cannot be read"));
    CHECK(found.error()[1].starts_with("server c: tls.key /nowhere cannot be read"));
}

TEST_CASE("changed files are read again; those that cannot be used leave the old ones in use and are said once") {
    const Setting s;
    const auto loaded = load_tls_credentials(s.server);
    if (!loaded) FAIL(loaded.error());
    auto& credentials = **loaded;
    const auto first = credentials.loaded();
    CHECK_FALSE(credentials.refresh());
    CHECK(credentials.loaded() == first);

    put_file(s.server.tls.cert, s.authority.certificate_pem());  // the key has not come yet
    const auto told = credentials.refresh();
    REQUIRE(told);
    CHECK(contains(*told, "is not the key of the certificate"));
    CHECK(contains(*told, "those read before stay in use"));
    CHECK(credentials.loaded() == first);
    CHECK_FALSE(credentials.refresh());

    std::filesystem::remove(s.server.tls.key);
    CHECK(contains(credentials.refresh().value_or(""), "cannot be read"));
    CHECK(credentials.loaded() == first);

    const Identity renewed({"agent", {}, -std::chrono::hours{1}, std::chrono::days{200}}, s.authority);
    put_file(s.server.tls.key, renewed.key_pem());
    put_file(s.server.tls.cert, renewed.certificate_pem());
    CHECK_FALSE(credentials.refresh());
    CHECK(credentials.loaded() != first);
    CHECK(credentials.expires_at() > std::chrono::system_clock::now() + std::chrono::days{199});
}

TEST_CASE("a pin is read and written in curl's notation, and nothing else is taken for one") {
    const Setting s;
    const auto hash = public_key_hash(s.agent.certificate());
    const auto text = pin_text(hash);
    CHECK(text.starts_with("sha256//"));
    CHECK(*parse_pins(text) == std::vector<Bytes>{hash});
    CHECK(*parse_pins(text + ";" + text) == std::vector<Bytes>{hash, hash});
    CHECK(public_key_hash(s.authority.certificate()) != hash);
    for (const auto& bad : {std::string(), text + ";", ";" + text, text.substr(1), text.substr(0, text.size() - 1),
                            text + "=", "sha512//" + text.substr(8), text + " ", " " + text})
        CHECK_FALSE(parse_pins(bad));
}
