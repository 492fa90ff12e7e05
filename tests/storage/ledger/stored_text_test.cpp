#include "storage/ledger/stored_text.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::string_literals;

TEST_CASE("text that every reader takes is stored as it is") {
    for (const auto& text : {""s, "host-1.example"s, "Zürich"s, "日本"s, "\xf0\x9f\x98\x80"s})
        CHECK(storable_text(text) == text);
}

TEST_CASE("octets that are no UTF-8 and control characters are escaped, and a backslash too, so that nothing is lost") {
    CHECK(storable_text("a\0b\n"s) == R"(a\x00b\x0a)");
    CHECK(storable_text("\\x00"s) == R"(\\x00)");
    CHECK(storable_text("\xc3"s) == R"(\xc3)");
    CHECK(storable_text("\xc3("s) == R"(\xc3()");
    CHECK(storable_text("\xc0\xaf"s) == R"(\xc0\xaf)");          // overlong
    CHECK(storable_text("\xed\xa0\x80"s) == R"(\xed\xa0\x80)");  // a surrogate
    CHECK(storable_text("\xf4\x90\x80\x80"s) == R"(\xf4\x90\x80\x80)");
    CHECK(storable_text("\xc2\x85\x7f"s) == R"(\xc2\x85\x7f)");  // C1 control and DEL
}

TEST_CASE("a host name keeps what the decoder escaped, and two names stay two") {
    CHECK(storable_host_name(R"(host\.prod.lan)"s) == R"(host\.prod.lan)");
    CHECK(storable_host_name("host.prod.lan"s) == "host.prod.lan");
    CHECK(storable_host_name(R"(\xab\xa5\xad\xa0)"s) == R"(\xab\xa5\xad\xa0)");
    CHECK(storable_host_name(R"(a\\b)"s) == R"(a\\b)");
    CHECK(storable_host_name("pc\x01"s) == R"(pc\x01)");  // which no decoder leaves
}

TEST_CASE("options become a JSON object of hex, and repeated ones an array, in the order of their codes") {
    std::string json = "old";
    options_json({}, json);
    CHECK(json.empty());
    const Bytes options{0, 39, 0, 2, 0, 0xab, 1, 0, 0, 0, 0, 7, 0, 0, 0, 39, 0, 1, 7};
    options_json(options, json);
    CHECK(json == R"({"7":"","39":["00ab","07"],"256":""})");
    options_json(ByteView(options).first(8), json);  // cut off: what is whole counts
    CHECK(json == R"({"39":"00ab"})");
}
