// The commands that read and tidy the database, as people and scripts call them. Over every engine.
#include "agent/cli/commands.hpp"
#include "storage/opening.hpp"
#include "storage/store.hpp"
#include "tests/agent/cli/outcome.hpp"
#include "tests/storage/postgres_engine.hpp"
#include "tests/storage/test_engine.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <unistd.h>
#include <fstream>
#include <string>

using namespace leasemirror;
using namespace leasemirror::testing;
using test::contains;
using test::outcome_of;
using namespace std::chrono_literals;

namespace {

/// A database with a configuration that names it and no server that answers.
class Installation {
public:
    explicit Installation(const EngineFactory& factory) : engine_(factory.make()), settings_(engine_->settings()) {
        write_config();
    }

    [[nodiscard]] const std::string& config() const { return config_; }
    [[nodiscard]] const Engine& engine() const { return *engine_; }
    StoreSettings& settings() { return settings_; }
    void write_config() {
        config_ = (dir_.path() / "c.yaml").string();
        std::ofstream out(config_);
        out << "storage:\n  url: '" << settings_.url << "'\n";
        if (!settings_.schema.empty()) out << "  schema: " << settings_.schema << "\n";
        if (!settings_.password.empty()) out << "  password: '" << settings_.password << "'\n";
        out << "servers: [ { name: east, family: v4, address: 127.0.0.1, port: 1 } ]\n";
    }

    /// Who held what: 192.0.2.7 client 'aaaa' and now 'bbbb', a prefix 'cccc' of another server.
    void fill() {
        const auto store = open_store(settings_);
        const std::vector<ServerSpec> specs{{"east", Family::v4, "192.0.2.1 port 67"},
                                            {"six", Family::v6, "::1 port 547"}};
        const auto resume = store->open_servers(specs, "test");
        store->apply(batch(resume[0], {change("192.0.2.7", 100, "aaaa"), change("192.0.2.7", 200, "bbbb")}));
        store->apply(batch(resume[1], {change("2001:db8:100::/56", 100, "cccc")}));
    }

private:
    static constexpr std::int64_t epoch = 1'700'000'000;  // 2023-11-14T22:13:20Z

    static Batch batch(const ResumePoint& server, std::vector<Change> changes) {
        Batch out;
        out.server = server.id;
        out.now = UtcSeconds{std::chrono::seconds{epoch + 1000}};
        out.fresh_as_of = out.now;
        for (auto& change : changes)
            out.changes.push_back(std::move(change));
        return out;
    }
    static Change change(const std::string& address, std::int64_t base, std::string_view client) {
        Change out;
        auto& binding = out.binding;
        const auto slash = address.find('/');
        binding.key.address = IpAddress::parse(address.substr(0, slash)).value();
        binding.key.prefix_len = slash == std::string::npos ? 32 : 56;
        if (slash != std::string::npos) binding.key.kind = BindingKind::prefix;
        binding.client_id = {client.begin(), client.end()};
        binding.base_time = server_time_from_unix(epoch + base);
        binding.via = Via::active;
        return out;
    }

    TempDir dir_;
    std::unique_ptr<Engine> engine_;
    StoreSettings settings_;
    std::string config_;
};

Sought sought(const std::string& address) {
    return {IpAddress::parse(address).value(), std::nullopt};
}

}  // namespace

TEST_CASE("who finds the lease, the prefix around an address, and who held it then; 1 if nobody") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Installation here(factory);
        here.fill();
        const auto table = outcome_of(WhoCommand{here.config(), sought("192.0.2.7"), "", false});
        CHECK(table.code == 0);
        CHECK(table.out ==
              "ADDRESS    SERVER  CLIENT  MAC  SINCE                 UNTIL     AS OF\n"
              "192.0.2.7  east    bbbb    -    2023-11-14T22:16:40Z  for ever  2023-11-14T22:30:00Z\n");
        const auto now = outcome_of(WhoCommand{here.config(), sought("2001:db8:100:ff::1"), "", true}).rows();
        REQUIRE(now.size() == 1);
        CHECK(now[0]["address"] == "2001:db8:100::");
        CHECK(now[0]["prefix_len"] == 56);
        CHECK(now[0]["server"] == "six");
        CHECK(now[0]["client_id"] == "63636363");
        CHECK(now[0]["client_id_text"] == "cccc");
        CHECK(now[0]["began_at"] == "2023-11-14T22:15:00Z");
        CHECK(now[0]["inferred"] == false);
        CHECK(now[0]["expires_at"] == nullptr);
        const auto then =
            outcome_of(WhoCommand{here.config(), sought("192.0.2.7"), "2023-11-14T22:16:00Z", true}).rows();
        REQUIRE(then.size() == 1);
        CHECK(then[0]["client_id"] == "61616161");
        CHECK(then[0]["ended_at"] == "2023-11-14T22:16:40Z");
        CHECK(then[0]["end_reason"] == "replaced");
        CHECK(then[0]["ended_inferred"] == true);
        WhoCommand client;
        client.config = here.config();
        client.holder = HolderSought{HolderSought::By::client_id, {'a', 'a', 'a', 'a'}};
        client.json = true;
        CHECK(outcome_of(client).code == 1);
        CHECK(outcome_of(client).err.starts_with("client-id aaaa holds nothing now as far as is known here\n"));
        client.from = "2023-11-14T22:15:00Z";
        client.to = "2023-11-14T22:20:00Z";
        const auto held = outcome_of(client).rows();
        REQUIRE(held.size() == 1);
        CHECK(held[0]["address"] == "192.0.2.7");
        CHECK(held[0]["circuit_id"] == nullptr);
        client.from = "2023-11-14T22:16:40Z";
        CHECK(outcome_of(client).code == 1);
        CHECK(outcome_of(client).err.starts_with(
            "client-id aaaa held nothing from 2023-11-14T22:16:40Z to 2023-11-14T22:20:00Z as far as is known here\n"));
        client.to = client.from;
        CHECK(outcome_of(client).err ==
              "leasemirror who: --from 2023-11-14T22:16:40Z is not before --to 2023-11-14T22:16:40Z\n");
        client.from = "2023-11-14T22:15:00Z";
        client.to = "2999-01-01";  // a month, say, that is not over
        CHECK(outcome_of(client).rows().size() == 1);
        client.from = "2998-01-01";
        CHECK(outcome_of(client).code == 2);
        const auto before = outcome_of(WhoCommand{here.config(), sought("192.0.2.7"), "2023-11-14", false});
        CHECK(before.code == 1);
        CHECK(before.out.starts_with("nobody held 192.0.2.7 at 2023-11-14T00:00:00Z as far as is known here\n"));
        const auto nobody = outcome_of(WhoCommand{here.config(), sought("192.0.2.8"), "", true});
        CHECK(nobody.code == 1);
        CHECK(nobody.out.empty());
        CHECK(nobody.err ==
              "nobody holds 192.0.2.8 now as far as is known here\n"
              "  east: its mirror is right up to 2023-11-14T22:30:00Z only (phase connecting)\n");
        const auto later = outcome_of(WhoCommand{here.config(), sought("192.0.2.8"), "2999-01-01", true});
        CHECK(later.code == 2);
        CHECK(later.err == "leasemirror who: 2999-01-01T00:00:00Z is in the future\n");
    }
}

TEST_CASE("watch gives the feed as JSON lines with their seq, from which it goes on") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Installation here(factory);
        here.fill();
        const auto first = outcome_of(WatchCommand{here.config(), std::nullopt, 0, 2, true}).rows();
        REQUIRE(first.size() == 2);
        CHECK(first[0].items().begin().key() == "address");  // parsed JSON is sorted; its text begins with seq
        CHECK(first[0]["change"] == "assigned");
        CHECK(first[0]["client_id"] == "61616161");
        CHECK(first[0]["detail"]["data_source"] == "local");
        CHECK(first[0]["at"] == "2023-11-14T22:30:00Z");
        CHECK(first[1]["change"] == "ended");
        const auto rest =
            outcome_of(WatchCommand{here.config(), std::nullopt, first[1]["seq"].get<std::int64_t>(), 2, true});
        REQUIRE(rest.rows().size() == 2);
        CHECK(rest.code == 0);
        CHECK(rest.out.starts_with("{\"seq\":"));
        CHECK(rest.rows()[0]["client_id"] == "62626262");
        CHECK(rest.rows()[1]["server"] == "six");
        const auto six = outcome_of(WatchCommand{here.config(), "six", 0, 1, false});
        CHECK(six.code == 0);
        CHECK(contains(six.out, "assigned  2001:db8:100::/56   six           active     -                     cccc\n"));
        const auto end = rest.rows()[1]["seq"].get<std::int64_t>();
        const auto past = outcome_of(WatchCommand{here.config(), std::nullopt, end + 1, 1, true});
        CHECK(past.code == 1);
        CHECK(contains(past.err, "--since " + std::to_string(end)));
        const auto unknown = outcome_of(WatchCommand{here.config(), "eats", std::nullopt, 1, true});
        CHECK(unknown.code == 2);
        CHECK(unknown.err == "leasemirror watch: unknown server 'eats'; did you mean 'east'?\n");
    }
}

TEST_CASE("forget removes a client's past, and wants to be told that it is meant") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Installation here(factory);
        here.fill();
        const ClientIdentity client{{'a', 'a', 'a', 'a'}, {}};
        if (::isatty(STDIN_FILENO) == 0) {
            const auto asked = outcome_of(ForgetCommand{here.config(), client, false});
            CHECK(asked.code == 2);
            CHECK(asked.err ==
                  "leasemirror forget: removes the history of client-id aaaa for good; add --yes if that is wanted\n");
        }
        CHECK(here.engine().value("SELECT count(*) FROM binding_change") == "4");
        const auto done = outcome_of(ForgetCommand{here.config(), client, true});
        CHECK(done.code == 0);
        CHECK(
            done.out ==
            "removed 1 ended assignment, no ended bindings, 2 rows of the change feed and no messages in quarantine\n");
        CHECK(here.engine().value("SELECT count(*) FROM binding_change") == "2");
    }
}

TEST_CASE("schema, status and check tell the same story of a database that is new, old enough, and in use") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Installation here(factory);
        const auto version = [&] { return outcome_of(SchemaCommand{here.config(), SchemaAction::version}); };
        CHECK(version().code == 1);
        CHECK(contains(version().out, "schema in the database: 0 (none yet)"));
        const auto early = outcome_of(StatusCommand{here.config(), false});
        CHECK(early.code == 3);
        CHECK(contains(early.err, "schema migrate"));
        CHECK(outcome_of(WhoCommand{here.config(), sought("192.0.2.7"), "", false}).code == 3);
        CHECK(outcome_of(WatchCommand{here.config(), std::nullopt, std::nullopt, 1, false}).code == 3);
        CHECK(outcome_of(ForgetCommand{here.config(), {{'a', 'b'}, {}}, true}).code == 3);
        CHECK(contains(outcome_of(CheckCommand{here.config(), true}).out, ": nothing there yet; "));
        const auto printed = outcome_of(SchemaCommand{here.config(), SchemaAction::print});
        CHECK(printed.code == 0);
        CHECK(contains(printed.out, "CREATE VIEW lease"));
        const auto migrated = outcome_of(SchemaCommand{here.config(), SchemaAction::migrate});
        CHECK(migrated.code == 0);
        const auto last = std::to_string(schema_version(here.settings()).known);
        CHECK(contains(migrated.err, "s  applying 0001_bindings.sql (1 of " + last + ")\n"));
        CHECK(contains(migrated.err, "_lines.sql (7 of " + last + ")\n"));
        CHECK(outcome_of(SchemaCommand{here.config(), SchemaAction::migrate}).err.empty());
        CHECK(version().code == 0);
        CHECK(contains(outcome_of(StatusCommand{here.config(), false}).out, "no server in the database yet"));
        here.fill();
        const auto status = outcome_of(StatusCommand{here.config(), true}).rows();
        REQUIRE(status.size() == 2);
        CHECK(status[0]["server"] == "east");
        CHECK(status[0]["states"] == nlohmann::json{{"active", 1}});
        const auto check = outcome_of(CheckCommand{here.config(), true});
        CHECK(contains(check.out, "database  reachable, "));
        const auto known = std::to_string(schema_version(here.settings()).known);
        CHECK(contains(check.out, ": schema version " + known + " (this program: " + known + ")\n"));
        CHECK_FALSE(contains(check.out, "\n  "));
    }
}

TEST_CASE("what stands between an agent and its PostgreSQL database is said, and what to do") {
    if (!test_postgres_url()) return;
    Installation here(engines().at(1));
    const auto url = here.settings().url;
    const auto role = "commands_" + std::to_string(::getpid());
    const auto as_role = [&](const std::string& password) {
        const auto at = url.find('@');
        here.settings().url = "postgresql://" + role + url.substr(at);
        here.settings().password = password;
        here.write_config();
    };
    const auto status = [&] { return outcome_of(StatusCommand{here.config(), false}); };
    here.fill();
    here.engine().execute("CREATE ROLE " + role + " LOGIN PASSWORD 's3cret' IN ROLE with_password");

    as_role("wr0ng");
    CHECK(status().code == 3);
    CHECK(contains(status().err, "password authentication failed"));
    CHECK(contains(status().err, "check user and password in storage.url"));
    CHECK_FALSE(contains(status().err, "wr0ng"));

    as_role("s3cret");
    CHECK(status().code == 3);
    CHECK(contains(status().err, "GRANT USAGE ON SCHEMA"));
    auto check = outcome_of(CheckCommand{here.config(), true});
    CHECK(contains(check.out, "  role '" + role + "' may not read and write all of agent, assignment, binding, "));

    here.engine().execute("GRANT USAGE ON SCHEMA " + here.settings().schema + " TO " + role +
                          "; GRANT SELECT ON ALL TABLES IN SCHEMA " + here.settings().schema + " TO " + role);
    CHECK(status().code == 0);
    CHECK(outcome_of(WhoCommand{here.config(), sought("192.0.2.7"), "", true}).code == 0);
    CHECK(outcome_of(WatchCommand{here.config(), std::nullopt, 0, 1, true}).code == 0);
    const auto forget = outcome_of(ForgetCommand{here.config(), {{'a', 'a', 'a', 'a'}, {}}, true});
    CHECK(forget.code == 3);
    CHECK(contains(forget.err, "the role lacks a right"));
    CHECK(outcome_of(CheckCommand{here.config(), true}).code == 3);  // no server answers; but the database
    CHECK(contains(outcome_of(CheckCommand{here.config(), true}).out, "may not read and write all of "));

    here.engine().execute("UPDATE meta SET number = 99 WHERE name = 'leasemirror_schema_version'");
    CHECK(status().code == 3);
    CHECK(contains(status().err, "upgrade leasemirror"));
    here.engine().execute("UPDATE meta SET number = 1 WHERE name = 'leasemirror_schema_version'");
    CHECK(status().code == 3);
    CHECK(contains(status().err, "needs " + std::to_string(schema_version(here.settings()).known)));

    here.settings().url = url.substr(0, url.rfind('/')) + "/nonesuch";
    here.settings().password.clear();
    here.write_config();
    CHECK(status().code == 3);
    CHECK(contains(status().err, "database \"nonesuch\" does not exist"));
    here.settings().url = "postgresql://u:hidd3n@127.0.0.1:1/db";
    here.write_config();
    CHECK(status().code == 3);
    CHECK(contains(status().err, "Connection refused"));
    CHECK_FALSE(contains(status().err, "hidd3n"));
    here.engine().execute("REVOKE ALL ON ALL TABLES IN SCHEMA " + here.engine().settings().schema + " FROM " + role +
                          "; REVOKE USAGE ON SCHEMA " + here.engine().settings().schema + " FROM " + role +
                          "; DROP ROLE " + role);
}
