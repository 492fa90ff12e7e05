#include "agent/query/udp.hpp"
#include "tests/agent/query/json_rows.hpp"

#include <doctest/doctest.h>

#include <sstream>
#include <string>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr ServerTime base{1'795'180'800s};
const BulkQuery by_address{QueryKind::address, *IpAddress::parse("192.0.2.7"), {}};
const BulkQuery by_mac{QueryKind::hw_addr, {}, {2, 0, 0, 0, 0, 1}};

UdpAnswer answer(std::size_t server, UdpOutcome outcome, std::uint32_t sent = 1, std::string text = {}) {
    UdpAnswer out;
    out.server = server;
    UdpPart part;
    part.outcome = outcome;
    part.sent = sent;
    part.text = std::move(text);
    out.parts.push_back(std::move(part));
    return out;
}

UdpAnswer holding(std::size_t server, const char* address, std::chrono::seconds seen_ago) {
    auto out = answer(server, UdpOutcome::found);
    UdpBinding held;
    held.binding.key = {"", BindingKind::address, *IpAddress::parse(address), 32};
    held.binding.client_last_seen = base - seen_ago;
    held.binding.base_time = base;
    held.binding.via = Via::query;
    out.bindings.push_back(held);
    return out;
}

std::string line(const UdpAnswer& a, const BulkQuery& query, bool told = false) {
    const auto lines = udp_answer_lines(a, query, told);
    return lines.empty() ? "" : lines.front();
}

}  // namespace

TEST_CASE("what several servers said of one address becomes one row, of the one that saw the client last") {
    const std::vector<UdpAnswer> answers{holding(0, "192.0.2.7", 60s), holding(1, "192.0.2.7", 5s),
                                         holding(1, "192.0.2.8", 5s)};
    std::ostringstream out;
    JsonRows rows(out);
    QueryReport report;
    add_udp_rows(answers, {"east", "west"}, {}, rows, report);
    CHECK(report.bindings == 2);
    CHECK(out.str().starts_with(R"({"server":"west","also_on":"east","vpn_id":"","kind":"address",)"));
    CHECK(out.str().find(R"({"server":"west","also_on":null,)") != std::string::npos);
    CHECK(out.str().find(R"("via":"query")") != std::string::npos);
}

TEST_CASE("the limit holds over UDP too") {
    std::ostringstream out;
    JsonRows rows(out, 1);
    QueryReport report;
    add_udp_rows({holding(0, "192.0.2.7", 1s), holding(0, "192.0.2.8", 1s)}, {"east"}, {}, rows, report);
    CHECK(report.bindings == 1);
    CHECK(report.limited);
}

TEST_CASE("each outcome is told in words, and a whole answer only where there are several") {
    CHECK(line(answer(0, UdpOutcome::found), by_address) == "");
    CHECK(line(holding(0, "192.0.2.7", 1s), by_address, true) == "found 1 binding");
    CHECK(line(answer(0, UdpOutcome::unassigned), by_address) ==
          "unassigned: an address of this server, which nobody holds");
    CHECK(line(answer(0, UdpOutcome::unassigned), by_mac) ==
          "unassigned: the client's latest lease there is not in force");
    CHECK(line(answer(0, UdpOutcome::unknown), by_address) == "unknown: not an address of this server");
    CHECK(line(answer(0, UdpOutcome::unknown), by_mac) == "unknown: nobody there holds a lease of this server");
    CHECK(line(answer(0, UdpOutcome::no_binding), by_address) == "no binding");
    CHECK(line(answer(0, UdpOutcome::refused, 1, "NotAllowed: go away"), by_address) == "refused: NotAllowed: go away");
    CHECK(line(answer(0, UdpOutcome::silent, 5), by_address) == "no answer, asked 5 times");
    CHECK(line(answer(0, UdpOutcome::unusable, 5), by_address) == "its answer could not be used; asked 5 times");
    CHECK(line(answer(0, UdpOutcome::waiting, 1), by_address) == "no answer yet, asked once");
    CHECK(line(answer(0, UdpOutcome::unsendable, 0, "Network is unreachable"), by_address) ==
          "could not be asked: Network is unreachable");
}

TEST_CASE("a link or an address that was followed up is told of where it failed") {
    auto a = answer(0, UdpOutcome::several_links);
    a.parts.push_back({IpAddress::parse("2001:db8:1::1"), UdpOutcome::found, {}, {}, 1, false});
    a.parts.push_back({IpAddress::parse("2001:db8:2::1"), UdpOutcome::silent, {}, {}, 5, false});
    a.notes.emplace_back("a lease was left out");
    a.not_followed = 3;
    CHECK(udp_answer_lines(a, by_address, false) ==
          std::vector<std::string>{"2001:db8:2::1: no answer, asked 5 times", "a lease was left out",
                                   "3 more links or addresses that it named were not asked for"});
    CHECK(udp_exit_code(a) == 1);
}

TEST_CASE("the exit code tells a server that was not heard from one that refused, and from one that has nothing") {
    for (const auto fine : {UdpOutcome::found, UdpOutcome::unassigned, UdpOutcome::unknown, UdpOutcome::no_binding})
        CHECK(udp_exit_code(answer(0, fine)) == 0);
    for (const auto faulty : {UdpOutcome::refused, UdpOutcome::unusable})
        CHECK(udp_exit_code(answer(0, faulty)) == 1);
    for (const auto unheard : {UdpOutcome::silent, UdpOutcome::unsendable, UdpOutcome::waiting})
        CHECK(udp_exit_code(answer(0, unheard)) == 3);
    auto hinted = answer(0, UdpOutcome::found);
    hinted.notes.emplace_back("the client has more addresses");
    CHECK(udp_exit_code(hinted) == 0);
    hinted.left_out = 1;
    CHECK(udp_exit_code(hinted) == 1);
}

TEST_CASE(
    "datagrams that were thrown away are counted by reason, with the source that may be a server's other address") {
    UdpDiscards discards;
    CHECK(udp_discards_text(discards) == "");
    discards.counts[static_cast<std::size_t>(UdpDiscard::wrong_xid)] = 2;
    discards.counts[static_cast<std::size_t>(UdpDiscard::unexpected_source)] = 1;
    discards.unexpected_source = UdpEndpoint{*IpAddress::parse("192.0.2.9"), 67};
    CHECK(udp_discards_text(discards) == "2 wrong transaction-id, 1 unexpected source (192.0.2.9:67)");
}

TEST_CASE("progress tells how often was asked and who has been heard") {
    CHECK(udp_progress_text({answer(0, UdpOutcome::waiting, 3)}) == "asked 3 times, 0 of 1 server heard");
    CHECK(udp_progress_text({answer(0, UdpOutcome::found, 1), answer(1, UdpOutcome::waiting, 2)}) ==
          "asked 2 times, 1 of 2 servers heard");
}
