// How a session with PostgreSQL comes to be, and what is said where it does not.
#include "storage/postgres/connection.hpp"
#include "storage/opening.hpp"
#include "storage/store.hpp"
#include "storage/store_error.hpp"
#include "tests/storage/postgres_engine.hpp"
#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>
#include <array>

using namespace leasemirror;
using namespace leasemirror::testing;

namespace {

std::string conninfo(const std::string& url, const std::string& password = {}, PostgresUse use = PostgresUse::writing) {
    StoreSettings settings;
    settings.url = url;
    settings.password = password;
    return postgres_conninfo(settings, use);
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// The error of opening a store, with the fault in front.
std::string refusal(const StoreSettings& settings) {
    try {
        static_cast<void>(open_store(settings));
    } catch (const StoreError& e) {
        return (e.fault() == StoreFault::unavailable ? "unavailable: "
                : e.fault() == StoreFault::unusable  ? "unusable: "
                                                     : "other: ") +
               std::string(e.what());
    }
    return "opened";
}

}  // namespace

TEST_CASE("libpq is told what the URL leaves open, and nothing that it says") {
    const auto plain = conninfo("postgresql://agent@db1/leases", "p&=/ä");
    CHECK(plain.starts_with("postgresql://agent@db1/leases?password=p%26%3D%2F%C3%A4&"));
    for (const char* part : {"&fallback_application_name=leasemirror", "&connect_timeout=10", "&tcp_user_timeout=60000",
                             "&keepalives_idle=30"})
        CHECK(has(plain, part));
    CHECK_FALSE(has(plain, "target_session_attrs"));

    const auto said = conninfo("postgresql://agent:own@db1/leases?connect_timeout=3&application_name=x", "other");
    CHECK_FALSE(has(said, "password="));
    CHECK_FALSE(has(said, "connect_timeout=10"));
    CHECK(has(said, "?connect_timeout=3&application_name=x&fallback_application_name=leasemirror"));

    CHECK(has(conninfo("postgresql://agent@db1/leases?"), "/leases?fallback_application_name=leasemirror&"));
}

TEST_CASE("of several servers a writer wants the one that takes writes, unless the URL says otherwise") {
    for (const char* url : {"postgresql://a@db1,db2/x", "postgresql:///x?host=db1,db2&user=a"}) {
        CAPTURE(url);
        CHECK(has(conninfo(url), "&target_session_attrs=read-write"));
        CHECK_FALSE(has(conninfo(url, {}, PostgresUse::reading), "target_session_attrs"));
    }
    CHECK_FALSE(has(conninfo("postgresql://a@db1,db2/x?target_session_attrs=any"), "read-write"));
}

TEST_CASE("times go to PostgreSQL and back, far from today too") {
    const struct {
        std::int64_t at;
        const char* text;
    } times[] = {
        {0, "1970-01-01 00:00:00+00"},
        {1'700'000'000, "2023-11-14 22:13:20+00"},
        {-1, "1969-12-31 23:59:59+00"},
        {951'782'400, "2000-02-29 00:00:00+00"},
        {4'294'967'295 * 2, "2242-03-16 12:56:30+00"},
        {253'402'300'800, "10000-01-01 00:00:00+00"},
        {-62'135'596'801, "0001-12-31 23:59:59+00 BC"},
        {-62'167'219'201, "0002-12-31 23:59:59+00 BC"},
    };
    for (const auto& time : times) {
        std::string text;
        append_timestamp(text, time.at);
        CHECK(text == time.text);
        CHECK(parse_timestamp(time.text) == time.at);
        if (without_postgres()) continue;
        pqxx::connection session(test_postgres_url().value());
        pqxx::work transaction(session);
        transaction.exec("SET TimeZone TO 'UTC'");
        const auto back = transaction.exec("SELECT '" + text + "'::timestamptz, extract(epoch FROM '" + text +
                                           "'::timestamptz)::bigint");
        CHECK(back[0][0].c_str() == std::string(time.text));
        CHECK(back[0][1].as<std::int64_t>() == time.at);
    }
    CHECK(parse_timestamp("2023-11-14 22:13:20.75+00") == 1'700'000'000);
    for (const char* text : {"infinity", "", "2023-11-14", "2023-11-14T22:13:20+00"})
        CHECK_FALSE(parse_timestamp(text));
}

TEST_CASE("whatever is in a value, it arrives as it is" * doctest::skip(without_postgres())) {
    const std::string odd = "a\"b\\c{d},NULL 'e' \xc3\xa4 \t\n$1";
    ArrayParameter texts, bytes, numbers;
    texts.text(odd);
    texts.text("");
    texts.text("NULL");
    texts.text_or_null("");
    for (int i = 0; i < 4; ++i) {
        bytes.bytes(Bytes{0, 0xff, '"', '\\', static_cast<std::uint8_t>(i)});
        numbers.number(i == 3 ? std::nullopt : std::optional<std::int64_t>(-i));
    }
    StoreSettings settings;
    settings.url = test_postgres_url().value();
    PostgresConnection connection(settings, PostgresUse::reading);
    PostgresTransaction transaction(connection);
    const auto rows = transaction.run({"odd", "SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[])"},
                                      Parameters().array(texts).array(bytes).array(numbers));
    REQUIRE(rows.size() == 4);
    const std::array<std::string, 4> expected{odd, "", "NULL", ""};
    for (int i = 0; i < 4; ++i) {
        Fields fields(rows[static_cast<pqxx::result::size_type>(i)]);
        CHECK(fields.is_null() == (i == 3));
        CHECK(fields.text() == expected.at(static_cast<std::size_t>(i)));
        CHECK(fields.bytes() == Bytes{0, 0xff, '"', '\\', static_cast<std::uint8_t>(i)});
        CHECK(fields.number_if_any() == (i == 3 ? std::nullopt : std::optional<std::int64_t>(-i)));
    }
}

TEST_CASE("a session that cannot be opened says what to do, and no secret" * doctest::skip(without_postgres())) {
    const TestRole with_password("PASSWORD 'right' IN ROLE with_password"), one_session("CONNECTION LIMIT 0");
    const TestRole reader("");
    const struct {
        std::string url, password, says;
    } cases[] = {
        {test_postgres_url_with(with_password.name() + ":s3cret"), "", "check user and password in storage.url"},
        {test_postgres_url_with(with_password.name()), "s3cret", "check user and password in storage.url"},
        {test_postgres_url_with(with_password.name()), "", "check user and password in storage.url"},
        {test_postgres_url_with("nobody:s3cret"), "", "check user and password in storage.url"},
        {test_postgres_url_with("", "", "not_there"), "s3cret", "create the database"},
        {test_postgres_url_with("", "127.0.0.1:1"), "s3cret", "is the server running"},
        {test_postgres_url_with("", "no-such-host.invalid:5432"), "s3cret", "is the server running"},
        {test_postgres_url_with("a:s3cret") + "?target_session_attrs=standby", "", "storage.url"},
        {test_postgres_url_with(one_session.name()), "s3cret", "raise max_connections"},
        {test_postgres_url().value() + "?sslmode=require", "s3cret", "server does not support SSL"},
    };
    for (const auto& c : cases) {
        CAPTURE(c.url);
        StoreSettings settings;
        settings.url = c.url;
        settings.password = c.password;
        const auto said = refusal(settings);
        CAPTURE(said);
        CHECK(said.starts_with("unavailable: cannot connect to postgresql://"));
        CHECK(has(said, c.says));
        CHECK_FALSE(has(said, "s3cret"));
        CHECK_FALSE(has(said, "\n"));
    }
    StoreSettings settings;
    settings.url = test_postgres_url_with("a:s3/cret");
    CHECK(refusal(settings).starts_with("unusable: storage.url postgresql://a:***@"));
}

TEST_CASE("a password from the settings opens a session" * doctest::skip(without_postgres())) {
    const TestRole role("PASSWORD 'r%41 /?' IN ROLE with_password");
    StoreSettings settings;
    settings.url = test_postgres_url_with(role.name());
    settings.password = "r%41 /?";
    const PostgresConnection connection(settings, PostgresUse::writing);
    CHECK(connection.role() == role.name());
}

TEST_CASE("whatever a role has set, the session is as the store needs it" * doctest::skip(without_postgres())) {
    const TestRole role("SUPERUSER");
    pqxx::connection admin(test_postgres_url().value());
    for (const char* set :
         {"synchronous_commit TO off", "DateStyle TO 'German'", "TimeZone TO 'Asia/Kolkata'",
          "bytea_output TO 'escape'", "client_encoding TO 'LATIN1'", "search_path TO 'pg_temp, public'"})
        pqxx::nontransaction(admin).exec("ALTER ROLE " + role.name() + " SET " + set);
    const auto engine = make_postgres_engine();
    auto settings = engine->settings();
    settings.url = test_postgres_url_with(role.name()) + "?application_name=mine";
    PostgresConnection connection(settings, PostgresUse::writing);
    PostgresTransaction transaction(connection);
    const auto row = transaction.run(
        {"settings",
         "SELECT current_setting('synchronous_commit'), current_setting('search_path'), '\\x00ff'::bytea, "
         "to_timestamp(0), 'ä', current_setting('application_name'), current_setting('lock_timeout'), "
         "current_setting('tcp_keepalives_idle')"});
    Fields fields(row[0]);
    CHECK(fields.text() == "on");
    CHECK(fields.text() == "\"" + settings.schema + "\", pg_temp");
    CHECK(fields.bytes() == Bytes{0, 0xff});
    CHECK(fields.time() == UtcSeconds{});
    CHECK(fields.text() == "ä");
    CHECK(fields.text() == "mine");
    CHECK(fields.text() == "1min");
    CHECK(fields.text() == "30");
    pqxx::nontransaction(admin).exec("ALTER ROLE " + role.name() + " SET synchronous_commit TO remote_apply");
    pqxx::nontransaction(admin).exec("ALTER ROLE " + role.name() + " SET lock_timeout TO '20ms'");
    PostgresConnection stricter(settings, PostgresUse::writing);
    PostgresTransaction look(stricter);
    const auto kept =
        look.run({"kept", "SELECT current_setting('synchronous_commit'), current_setting('lock_timeout')"});
    Fields own(kept[0]);
    CHECK(own.text() == "remote_apply");
    CHECK(own.text() == "20ms");
}

TEST_CASE("a database that takes no writes is one to wait for" * doctest::skip(without_postgres())) {
    const auto engine = make_postgres_engine();
    auto settings = engine->settings();
    settings.url += "?options=-c%20default_transaction_read_only%3Don";
    const auto said = refusal(settings);
    CAPTURE(said);
    CHECK(said.starts_with("unavailable: "));
    CHECK(has(said, "the server is read-only: a standby"));
    CHECK(has(said, "SQLSTATE 25006"));
}

TEST_CASE("what is set for a database does not change what our literals mean" * doctest::skip(without_postgres())) {
    const auto engine = make_postgres_engine_alone();
    const auto set = [&](const std::string& what) {
        engine->execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I " + what + "', current_database()); END $$");
    };
    for (const char* setting :
         {"array_nulls TO off", "standard_conforming_strings TO off", "bytea_output TO escape",
          "\"DateStyle\" TO ''SQL, DMY''", "\"IntervalStyle\" TO sql_standard", "\"TimeZone\" TO ''Asia/Kathmandu''",
          "backslash_quote TO off", "transform_null_equals TO on"})
        set(std::string("SET ") + setting);
    const auto store = open_store(engine->settings());
    const ServerSpec spec{"east", Family::v4, "x"};
    Batch batch;
    batch.server = store->open_servers(std::span(&spec, 1), "test").at(0).id;
    batch.now = utc(1000);
    auto change = told("10.0.0.1", 20);
    change.binding.hostname = "back\\slash 'quoted' NULL";
    change.binding.expires_at = at(5000);
    batch.changes.push_back(change);
    batch.changes.push_back(told("10.0.0.2", 20));
    CHECK(store->apply(batch).stored == 2);
    batch.changes.clear();
    batch.our_clock_moved = std::chrono::seconds{3600};
    CHECK(store->apply(batch).refused.empty());
    CHECK(
        engine->rows("SELECT host(address), hostname, epoch(expires_at), host(link_address) FROM binding ORDER BY 1") ==
        std::vector<std::string>{R"(10.0.0.1|back\slash 'quoted' NULL|1700008600|-)", "10.0.0.2|-|-|-"});
    set("RESET ALL");
}
