#include "agent/cli/verify.hpp"
#include "agent/query/record_text.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr UtcSeconds noon{1'795'176'000s};  // 2026-11-20T12:00:00Z

Difference prefix_difference() {
    return {Difference::Kind::changed,
            {"", BindingKind::prefix, *IpAddress::parse("2001:db8:100::"), 56},
            {{"hostname", std::string("a\"b"), std::monostate{}},
             {"expires_at", noon, noon + 3600s},
             {"client_id", Bytes{0, 1}, Bytes{0, 2}},
             {"options", JsonText{R"({"39":"00"})"}, JsonText{R"({"39":["00","01"]})"}}}};
}

VerifyReport report(std::vector<Difference> differences = {}) {
    VerifyReport out;
    out.whole = true;
    out.listed = 20000;
    out.took = 5940ms;
    out.compared.differences = std::move(differences);
    return out;
}

}  // namespace

TEST_CASE("a difference is an object: which binding, what kind of difference, and each column with both values") {
    CHECK(json_line(difference_record("six", prefix_difference())) ==
          R"({"server":"six","vpn_id":"","kind":"prefix","address":"2001:db8:100::","prefix_len":56,)"
          R"("difference":"changed","columns":{"hostname":["a\"b",null],)"
          R"("expires_at":["2026-11-20T12:00:00Z","2026-11-20T13:00:00Z"],"client_id":["0001","0002"],)"
          R"("options":[{"39":"00"},{"39":["00","01"]}]}})");
    Difference extra{Difference::Kind::extra, {"ascii:blue", BindingKind::address, IpAddress::v4(0xc0000207), 32}, {}};
    CHECK(json_line(difference_record("east", extra)) ==
          R"({"server":"east","vpn_id":"ascii:blue","kind":"address","address":"192.0.2.7","prefix_len":32,)"
          R"("difference":"extra","columns":{}})");
}

TEST_CASE("the last line tells what came of it") {
    CHECK(closing_text("east", report()) == "east: 20000 bindings read in 5.9 s, no differences\n");
    auto missing = prefix_difference();
    missing.kind = Difference::Kind::missing;
    CHECK(closing_text("east", report({missing})) ==
          "east: 20000 bindings read in 5.9 s, 1 difference: 1 missing, 0 extra, 0 changed\n");
    CHECK(closing_text("east", report({missing, prefix_difference(), prefix_difference()})) ==
          "east: 20000 bindings read in 5.9 s, 3 differences: 1 missing, 0 extra, 2 changed\n");
}

TEST_CASE("what was not compared, and why, stands before it") {
    auto r = report();
    r.whole = false;
    r.right_up_to = noon;
    r.compared.pending = 12;
    r.compared.in_doubt = 1;
    r.compared.unconfirmed = 2;
    r.compared.left_out = 3;
    CHECK(
        closing_text("east", r) ==
        "east: 12 bindings not compared: changed or gone since 2026-11-20T12:00:00Z, up to which the mirror is right, "
        "as far as can be told\n"
        "east: 1 binding in doubt, which the mirror says itself: not counted as differences\n"
        "east: 2 bindings not alike, but could not be looked at twice\n"
        "east: 3 bindings more are not alike at first sight, and were not looked into\n"
        "east: not all of it could be compared; the result is not recorded\n"
        "east: 20000 bindings read in 5.9 s, no differences\n");
    r.fault = "cannot connect to 192.0.2.1 port 67: refused";
    CHECK(closing_text("east", r) == "east: cannot connect to 192.0.2.1 port 67: refused\n");
}
