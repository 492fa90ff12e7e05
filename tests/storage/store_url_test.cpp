#include "storage/store_url.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace leasemirror;

namespace {

std::string fault_of(std::string_view url) {
    const auto parsed = parse_postgres_url(url);
    return parsed ? "" : parsed.error();
}

}  // namespace

TEST_CASE("the scheme of a URL names the engine") {
    CHECK(engine_named_by("sqlite:///x.db") == StoreEngine::sqlite);
    CHECK(engine_named_by("postgresql://h/db") == StoreEngine::postgresql);
    CHECK(engine_named_by("postgres://h/db") == StoreEngine::postgresql);
    CHECK_FALSE(engine_named_by("mysql://h/db"));
    CHECK_FALSE(engine_named_by("/var/lib/x.db"));
}

TEST_CASE("a URL is shown without the passwords in it") {
    CHECK(redacted_url("sqlite:///a:b@c.db") == "sqlite:///a:b@c.db");
    CHECK(redacted_url("postgresql://u@h:5432/db?sslmode=require") == "postgresql://u@h:5432/db?sslmode=require");
    CHECK(redacted_url("postgresql://u:secret@h:5432,h2/db") == "postgresql://u:***@h:5432,h2/db");
    CHECK(redacted_url("postgres://u:secret@[2001:db8::1]/db") == "postgres://u:***@[2001:db8::1]/db");
    CHECK(redacted_url("postgresql://u:@h/db") == "postgresql://u:***@h/db");
    CHECK(redacted_url("postgresql://h/db?user=u&password=secret&sslpassword=s2&a=b") ==
          "postgresql://h/db?user=u&password=***&sslpassword=***&a=b");
    CHECK(redacted_url("postgresql://h/db?p%61ssword=secret") == "postgresql://h/db?p%61ssword=***");
}

TEST_CASE("a password that is not percent-encoded is hidden too") {
    for (const std::string password :
         {"se/cret", "se@cret", "se?cret", "se:cret", "se@c/r?et", "se%cret", "a&b=secret"}) {
        const auto shown = redacted_url("postgresql://u:" + password + "@h/db");
        CAPTURE(shown);
        CHECK(shown == "postgresql://u:***@h/db");
    }
    // Another scheme, or none: a typing error in front does not bring it to light.
    CHECK(redacted_url("postgress://u:secret@h/db") == "postgress://u:***@h/db");
    CHECK(redacted_url("u:secret@h/db") == "u:***@h/db");
}

TEST_CASE("a PostgreSQL URL is taken apart as libpq does") {
    const auto url = parse_postgres_url(
        "postgresql://m%40x:p%2Fw@db1.example:5433,[2001:db8::1],%2Frun%2Fpg/lea%20ses?sslmode=verify-full&"
        "target_session_attrs=read-write&application_name=a%3Db");
    REQUIRE(url);
    CHECK(url->user == "m@x");
    CHECK(url->has_password);
    CHECK(url->hosts == std::vector<std::string>{"db1.example", "2001:db8::1", "/run/pg"});
    CHECK(url->database == "lea ses");
    CHECK(url->parameters == std::map<std::string, std::string>{{"sslmode", "verify-full"},
                                                                {"target_session_attrs", "read-write"},
                                                                {"application_name", "a=b"}});
}

TEST_CASE("every part of a PostgreSQL URL may be left to libpq's defaults") {
    for (const char* const url : {"postgresql://", "postgres:///", "postgresql:///db", "postgresql://h",
                                  "postgresql://u@", "postgresql://?service=s", "postgresql:///db?host=/run/postgresql",
                                  "postgresql://h:/db", "postgresql://h,h2,h3:5/db?connect_timeout=3"}) {
        CAPTURE(url);
        CHECK(fault_of(url) == "");
    }
    CHECK_FALSE(parse_postgres_url("postgresql://u@h/db")->has_password);
    CHECK(parse_postgres_url("postgresql://h/db?password=x")->has_password);
    CHECK(parse_postgres_url("postgresql://h/db?host=/run/pg,h2")->hosts == std::vector<std::string>{"/run/pg", "h2"});
}

TEST_CASE("what cannot be right in a PostgreSQL URL is said without repeating what may be secret") {
    const std::string percent = "expected % only before two hex digits (%25 for a %)";
    const std::string port =
        "expected a port from 1 to 65535 after the host; an IPv6 address stands in [ ], and in a password : @ / and ? "
        "are written %3A %40 %2F and %3F";
    const std::string pair = "expected name=value between the & after the ?; a further = is written %3D";
    const std::vector<std::pair<std::string, std::string>> cases{
        {"postgresql:/h/db", "expected postgresql://USER@HOST:5432/DATABASE"},
        {"postgresql://u:p%w@h/db", percent},
        {"postgresql://u:p%00w@h/db", percent},
        {"postgresql://%zz@h/db", percent},
        {"postgresql://h%/db", percent},
        {"postgresql://h/d%b", percent},
        {"postgresql://h/db?application_name=%", percent},
        {"postgresql://u:pa/ss@h/db", port},
        {"postgresql://h:0/db", port},
        {"postgresql://h:65536/db", port},
        {"postgresql://h,h2:x/db", port},
        {"postgresql://2001:db8::1/db", port},
        {"postgresql://u:p@ss@h/db", "expected one @; in a user or password it is written %40"},
        {"postgresql://[2001:db8::1/db", "expected ] after an IPv6 address"},
        {"postgresql://[192.0.2.1]/db", "expected an IPv6 address inside [ ]"},
        {"postgresql://[::1]5432/db", "expected :PORT, a comma or / after [...]"},
        {"postgresql://h/db?sslmode", pair},
        {"postgresql://h/db?=x", pair},
        {"postgresql://h/db?a=b=c", pair},
        {"postgresql://h/db?ssl_mode=require", "libpq knows no parameter 'ssl_mode'"},
        {"postgresql://h/db?sslmode=full",
         "expected sslmode=disable, allow, prefer, require, verify-ca or verify-full"},
        {"postgresql://h/db?target_session_attrs=rw",
         "expected target_session_attrs=any, read-write, read-only, primary, standby or prefer-standby"},
        {"postgresql://u:a b@h/db", "expected no space or control character in a URL; a space is written %20"},
        {"postgresql://h/db\n", "expected no space or control character in a URL; a space is written %20"},
    };
    for (const auto& c : cases) {
        CAPTURE(c.first);
        CHECK(fault_of(c.first) == c.second);
    }
}
