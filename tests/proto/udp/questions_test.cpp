#include "proto/udp/questions.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

UdpSettings settings(Family family) {
    UdpSettings out;
    out.family = family;
    out.requestor_duid = {0, 3, 0, 1, 0xaa};
    out.giaddr = IpAddress::parse("192.0.2.9").value();
    out.servers = {{IpAddress::parse(family == Family::v4 ? "192.0.2.1" : "2001:db8::1").value(), 67}};
    return out;
}

BulkQuery by_client(Bytes id) {
    BulkQuery query;
    query.kind = QueryKind::client_id;
    query.id = std::move(id);
    query.address = IpAddress::from_bytes(std::array<std::uint8_t, 16>{});
    return query;
}

TEST_CASE("each question has a transaction-id and a datagram of its own, and is found by that transaction-id") {
    UdpQuestions questions(settings(Family::v6), by_client({0, 3, 0, 1, 0xcc}));
    const auto to = questions.settings().servers.front();
    auto& first = questions.add(questions.draft(0, to), {});
    auto& second = questions.add(questions.draft(std::nullopt, to), {});
    CHECK(questions.size() == 2);
    CHECK(first.xid != second.xid);
    CHECK(first.xid <= 0xffffff);
    CHECK_FALSE(first.datagram.empty());
    CHECK(first.datagram != second.datagram);
    CHECK(questions.find(first.xid) == &first);
    CHECK(questions.find(second.xid) == &second);
    auto unknown = first.xid;
    while (unknown == first.xid || unknown == second.xid)
        ++unknown;
    CHECK(questions.find(unknown) == nullptr);
}

TEST_CASE("a question to one server of a multicast names it, and is compared as the same question") {
    UdpQuestions questions(settings(Family::v6), by_client({0, 3, 0, 1, 0xcc}));
    const Bytes server{0, 3, 0, 1, 0xbb};
    const auto& to_all = questions.add(questions.draft(std::nullopt, {}), {});
    const auto& to_one = questions.add(questions.draft(std::nullopt, {}), server);
    CHECK(to_one.datagram.size() == to_all.datagram.size() + 4 + server.size());
    CHECK(questions.described(to_one).xid == to_one.xid);
    CHECK(questions.described(to_one).query == questions.query());
}

TEST_CASE("what a server names is asked for on that link in v6, by that address in v4") {
    const UdpQuestions v6(settings(Family::v6), by_client({0, 3, 0, 1, 0xcc}));
    const auto link = IpAddress::parse("2001:db8:7::").value();
    CHECK(v6.query_about(link).kind == QueryKind::client_id);
    CHECK(v6.query_about(link).id == v6.query().id);
    CHECK(v6.query_about(link).address == link);
    const UdpQuestions v4(settings(Family::v4), by_client({1, 2, 3}));
    const auto other = IpAddress::parse("192.0.2.77").value();
    CHECK(v4.query_about(other).kind == QueryKind::address);
    CHECK(v4.query_about(other).id.empty());
    CHECK(v4.query_about(other).address == other);
}

TEST_CASE("only a query by address with a link is confined to it") {
    auto with_link = settings(Family::v6);
    with_link.link_address = IpAddress::parse("2001:db8:7::").value();
    BulkQuery by_address;
    by_address.kind = QueryKind::address;
    by_address.address = IpAddress::parse("2001:db8:7::5").value();
    CHECK(UdpQuestions(with_link, by_address).is_confined());
    CHECK_FALSE(UdpQuestions(settings(Family::v6), by_address).is_confined());
    CHECK_FALSE(UdpQuestions(with_link, by_client({0, 3, 0, 1, 0xcc})).is_confined());
}

}  // namespace
}  // namespace leasemirror
