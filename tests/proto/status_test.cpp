#include "proto/status.hpp"

#include <doctest/doctest.h>

namespace leasemirror {

TEST_CASE("the same status has the number of its family") {
    CHECK(status_code_v4(2) == StatusCode::query_terminated);
    CHECK(status_code_v6(11) == StatusCode::query_terminated);
    CHECK(status_number_v4(StatusCode::data_missing) == 5);
    CHECK(status_number_v6(StatusCode::data_missing) == 12);
    CHECK(status_number_v4(StatusCode::tls_connection_refused) == 8);
    CHECK(status_number_v6(StatusCode::tls_connection_refused) == 15);
    CHECK_FALSE(status_number_v4(StatusCode::not_supported));
    CHECK_FALSE(status_number_v6(StatusCode::connection_active));
    CHECK_FALSE(status_number_v4(StatusCode::unknown));
    CHECK(make_status_v6(StatusCode::not_supported, "no").number == 14);
}

TEST_CASE("every number maps to a status and back, and the rest are unknown") {
    int known_v4 = 0;
    int known_v6 = 0;
    for (std::uint16_t n = 0; n < 300; ++n) {
        if (const auto code = status_code_v4(n); code != StatusCode::unknown) {
            ++known_v4;
            CHECK(status_number_v4(code) == n);
        }
        if (const auto code = status_code_v6(n); code != StatusCode::unknown) {
            ++known_v6;
            CHECK(status_number_v6(code) == n);
        }
    }
    CHECK(known_v4 == 9);
    CHECK(known_v6 == 11);
    CHECK(status_code_v6(2) == StatusCode::unknown);       // NoAddrsAvail: not for leasequery
    CHECK(status_code_v4(0x0102) == StatusCode::unknown);  // not truncated to 2
}

TEST_CASE("a peer's text becomes safe to log and to store") {
    using namespace std::string_view_literals;
    CHECK(printable("all good") == "all good");
    CHECK(printable("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80") ==
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    CHECK(printable("terminated\0"sv) == "terminated");
    CHECK(printable("a\0b"sv) == "a?b");
    CHECK(printable("a\r\nlevel=info \x1b[31mred\x7f") == "a??level=info ?[31mred?");
    CHECK(printable("\xc2\x85next") == "?next");  // C1 control
    CHECK(printable("\xe2\x80\xae"
                    "evil") == "?evil");             // right-to-left override
    CHECK(printable("\xff\xfe") == "??");            // never UTF-8
    CHECK(printable("\xc0\xaf") == "??");            // overlong
    CHECK(printable("\xe0\x80\x80") == "???");       // overlong
    CHECK(printable("\xed\xa0\x80") == "???");       // a surrogate
    CHECK(printable("\xf4\x90\x80\x80") == "????");  // past U+10FFFF
    CHECK(printable("cut \xe2\x82") == "cut ??");    // breaks off
    CHECK(printable("") == "");
}

TEST_CASE("a peer's text is cut at whole characters") {
    CHECK(printable("abcdef", 3) == "abc");
    CHECK(printable("ab\xe2\x82\xac", 4) == "ab");
    CHECK(printable(std::string(100000, 'x')).size() == 512);
}

}  // namespace leasemirror
