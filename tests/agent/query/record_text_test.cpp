#include "agent/query/record_text.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

const Record row{{"seq", std::int64_t{7}},
                 {"at", UtcSeconds{1'795'180'800s}},
                 {"kind", std::string("prefix")},
                 {"address", std::string("2001:db8::")},
                 {"prefix_len", std::int64_t{56}},
                 {"client_id", Bytes{0, 3, 0, 1}},
                 {"remote_id", Bytes{'p', 'o', 'r', 't', ' ', '1'}},
                 {"hostname", std::string("a\"b\x01")},
                 {"hw_addr", std::monostate{}},
                 {"inferred", true},
                 {"detail", JsonText{R"({ "options": {"82": "0102"}, "hostname": null })"}}};

}  // namespace

TEST_CASE("a row becomes one JSON object: bytes in hex, times in ISO 8601, JSON as it is") {
    CHECK(json_line(row) ==
          R"({"seq":7,"at":"2026-11-20T13:20:00Z","kind":"prefix","address":"2001:db8::","prefix_len":56,)"
          R"("client_id":"00030001","remote_id":"706f72742031","hostname":"a\"b\u0001","hw_addr":null,"inferred":true,)"
          R"("detail":{"options":{"82":"0102"},"hostname":null}})");
    CHECK(json_line({{"options", JsonText{"not JSON"}}, {"name", std::string("\xff")}}) ==
          "{\"options\":\"not JSON\",\"name\":\"\xef\xbf\xbd\"}");
}

TEST_CASE("a cell for people shows octets as text where they are, and no control characters") {
    CHECK(cell_of(row, "seq") == "7");
    CHECK(cell_of(row, "at") == "2026-11-20T13:20:00Z");
    CHECK(cell_of(row, "client_id") == "00:03:00:01");
    CHECK(cell_of(row, "remote_id") == "port 1");
    CHECK(cell_of(row, "hostname") == "a\"b?");
    CHECK(cell_of(row, "hw_addr") == "");
    CHECK(cell_of(row, "nonesuch") == "");
    CHECK(address_cell(row) == "2001:db8::/56");
    CHECK(flag_of(row, "inferred"));
    CHECK_FALSE(flag_of(row, "hw_addr"));
    CHECK(number_of(row, "seq") == 7);
}
