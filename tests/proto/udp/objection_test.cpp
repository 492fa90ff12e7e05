// What is refused before anything is sent, and in which words.
#include "proto/session/requests.hpp"
#include "tests/proto/udp/talk.hpp"

#include <numeric>

namespace leasemirror {
namespace {

using namespace test;

std::string objection(const UdpSettings& settings, const BulkQuery& query, const QueryWindow& window = {}) {
    return udp_objection(settings, query, window).value_or("none");
}

bool names(const std::string& text, std::string_view what) {
    CAPTURE(text);
    return text.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("v6 over UDP knows addresses and client-ids; the filters of bulk are named as such") {
    CHECK(objection(udp_v6(), ask_for("2001:db8::5")) == "none");
    CHECK(objection(udp_v6(), ask_by(QueryKind::client_id, client_duid)) == "none");
    auto link = ask_for("2001:db8::");
    link.kind = QueryKind::link;
    for (const auto& query : {ask_by(QueryKind::relay_id, {1}), ask_by(QueryKind::remote_id, {0, 0, 0, 9, 1}), link}) {
        CHECK(names(objection(udp_v6(), query), "RFC 5460 section 3"));
        CHECK(names(objection(udp_v6(), query), "bulk"));
    }
    CHECK(names(objection(udp_v6(), ask_by(QueryKind::hw_addr, mac)), "client-id"));
    CHECK(names(objection(udp_v6(), BulkQuery{}), "no query for everything"));
}

TEST_CASE("v4 over UDP knows addresses, MACs, client-ids and remote-ids") {
    for (const auto& query : {ask_for("10.0.0.5"), ask_by(QueryKind::hw_addr, mac),
                              ask_by(QueryKind::client_id, {1, 2}), ask_by(QueryKind::remote_id, {1})})
        CHECK(objection(udp_v4(), query) == "none");
    CHECK(names(objection(udp_v4(), ask_by(QueryKind::relay_id, {1})), "bulk"));
    CHECK(names(objection(udp_v4(), BulkQuery{}), "no query for everything"));
    auto link = ask_for("10.0.0.5");
    link.kind = QueryKind::link;
    CHECK(names(objection(udp_v4(), link), "DHCPv6"));
}

TEST_CASE("a time window is for bulk") {
    CHECK(names(objection(udp_v4(), ask_for("10.0.0.5"), {at(0), std::nullopt}), "bulk"));
    CHECK(names(objection(udp_v6(), ask_for("2001:db8::5"), {std::nullopt, at(0)}), "bulk"));
}

TEST_CASE("values that no query can have") {
    CHECK(names(objection(udp_v4(), ask_for("2001:db8::5")), "2001:db8::5"));
    CHECK(names(objection(udp_v6(), ask_for("10.0.0.5")), "10.0.0.5"));
    CHECK(names(objection(udp_v4(), ask_for("0.0.0.0")), "0.0.0.0"));
    CHECK(names(objection(udp_v6(), ask_for("::")), "::"));
    CHECK(names(objection(udp_v4(), ask_by(QueryKind::hw_addr, {})), "1 to 16 octets, not 0"));
    CHECK(names(objection(udp_v4(), ask_by(QueryKind::hw_addr, Bytes(17))), "17"));
    CHECK(names(objection(udp_v4(), ask_by(QueryKind::client_id, {1})), "2 to 255"));
    CHECK(names(objection(udp_v4(), ask_by(QueryKind::client_id, Bytes(256))), "256"));
    CHECK(objection(udp_v4(), ask_by(QueryKind::client_id, Bytes(255))) == "none");
    CHECK(names(objection(udp_v4(), ask_by(QueryKind::remote_id, Bytes(254))), "254"));
    CHECK(objection(udp_v4(), ask_by(QueryKind::remote_id, Bytes(253))) == "none");
    CHECK(names(objection(udp_v6(), ask_by(QueryKind::client_id, Bytes(131))), "131"));
    CHECK(names(objection(udp_v6(), ask_by(QueryKind::client_id, {})), "DUID"));
    auto on_link = ask_by(QueryKind::client_id, client_duid);
    on_link.address = address("10.0.0.0");
    CHECK(names(objection(udp_v6(), on_link), "10.0.0.0"));
}

TEST_CASE("settings without which no answer can come") {
    auto settings = udp_v4();
    settings.giaddr = {};
    CHECK(names(objection(settings, ask_for("10.0.0.5")), "giaddr"));
    settings = udp_v6();
    settings.requestor_duid.clear();
    CHECK(names(objection(settings, ask_for("2001:db8::5")), "DUID"));
    settings.requestor_duid = Bytes(131);
    CHECK(names(objection(settings, ask_for("2001:db8::5")), "DUID"));
    CHECK(names(objection(udp_v4(std::vector<UdpEndpoint>{}), ask_for("10.0.0.5")), "server"));
    CHECK(names(objection(udp_v4({endpoint("2001:db8::1")}), ask_for("10.0.0.5")), "family"));
    settings = udp_v4();
    settings.multicast = all_dhcp_servers();
    CHECK(names(objection(settings, ask_for("10.0.0.5")), "multicast"));
    settings = udp_v6(std::vector<UdpEndpoint>{});
    settings.multicast = all_dhcp_servers();
    CHECK(objection(settings, ask_for("2001:db8::5")) == "none");
}

TEST_CASE("what is wrong with a query is known before there is a server or an address of ours") {
    UdpSettings settings;
    settings.family = Family::v4;
    CHECK_FALSE(udp_query_objection(settings, ask_for("10.0.0.5")));
    CHECK(names(udp_query_objection(settings, ask_for("0.0.0.0")).value_or("none"), "0.0.0.0"));
    CHECK(names(udp_query_objection(settings, ask_for("10.0.0.5"), {at(0), std::nullopt}).value_or("none"), "bulk"));
    settings.family = Family::v6;
    CHECK(names(udp_query_objection(settings, ask_for("2001:db8::5")).value_or("none"), "DUID"));
    settings.requestor_duid = our_duid;
    CHECK_FALSE(udp_query_objection(settings, ask_for("2001:db8::5")));
}

TEST_CASE("more options than a datagram holds") {
    auto settings = udp_v6();
    settings.request_options.resize(20000);
    std::iota(settings.request_options.begin(), settings.request_options.end(), std::uint16_t{200});
    CHECK(names(objection(settings, ask_for("2001:db8::5")), "datagram"));
}

TEST_CASE("a question that the family does not have leaves the octets before it as they were") {
    Bytes out{1, 2, 3};
    UdpQuestion question;
    question.family = Family::v6;
    question.requestor_duid = our_duid;
    for (const auto kind : {QueryKind::relay_id, QueryKind::remote_id, QueryKind::link, QueryKind::all}) {
        question.query = ask_by(kind, {1, 2, 3, 4, 5});
        question.query.address = address("2001:db8::");
        CHECK_FALSE(append_udp_request(out, question));
    }
    question.family = Family::v4;
    for (const auto kind : {QueryKind::relay_id, QueryKind::link, QueryKind::all}) {
        question.query = ask_by(kind, {1, 2, 3});
        CHECK_FALSE(append_udp_request(out, question));
    }
    CHECK(out == Bytes{1, 2, 3});
}

}  // namespace leasemirror
