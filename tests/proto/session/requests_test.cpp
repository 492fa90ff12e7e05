#include "proto/session/requests.hpp"

#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"
#include "tests/golden/hex.hpp"
#include "tests/proto/session/script.hpp"
#include "tests/proto/wire/wire.hpp"

#include <doctest/doctest.h>

#include <numeric>

namespace leasemirror {
namespace {

using golden::hex;
using test::address;
using test::at;
using test::equal;
using test::settings_for;
using test::xid;

BulkQuery query_by(QueryKind kind, Bytes id) {
    BulkQuery query;
    query.kind = kind;
    query.id = std::move(id);
    return query;
}

Bytes bulk(const SessionSettings& settings, const BulkQuery& query, const QueryWindow& window = {},
           bool all_vpns = false) {
    Bytes out;
    REQUIRE(append_bulk_request(out, settings, xid, query, window, all_vpns));
    return out;
}

Bytes active(const SessionSettings& settings, std::optional<ServerTime> start = std::nullopt) {
    Bytes out;
    REQUIRE(append_active_request(out, settings, xid, start));
    return out;
}

bool is_refused(Family family, const BulkQuery& query) {
    Bytes out{1, 2, 3};
    const auto expressed = append_bulk_request(out, settings_for(family), xid, query, {}, false);
    CHECK(out == Bytes{1, 2, 3});
    return !expressed;
}

/// A framed request, decoded as a server would.
class DecodedV4 {
public:
    explicit DecodedV4(Bytes framed) : framed_(std::move(framed)) {
        CHECK(ByteReader(framed_).u16() == framed_.size() - 2);
        const auto decoded = decode_v4(ByteView(framed_).subspan(2), scratch_);
        REQUIRE(decoded);
        message_ = *decoded;
    }
    const MessageV4* operator->() const { return &message_; }
    [[nodiscard]] bool has(OptionCodeV4 code) const {
        return std::any_of(message_.options.begin(), message_.options.end(),
                           [code](const RawOptionV4& o) { return OptionCodeV4{o.code} == code; });
    }

private:
    Bytes framed_;
    ScratchV4 scratch_;
    MessageV4 message_;
};

class DecodedV6 {
public:
    explicit DecodedV6(Bytes framed) : framed_(std::move(framed)) {
        CHECK(ByteReader(framed_).u16() == framed_.size() - 2);
        const auto decoded = decode_v6(ByteView(framed_).subspan(2), scratch_);
        REQUIRE(decoded);
        message_ = *decoded;
    }
    const MessageV6* operator->() const { return &message_; }

private:
    Bytes framed_;
    ScratchV6 scratch_;
    MessageV6 message_;
};

// ---- v4 -----------------------------------------------------------------------------------------------------------

TEST_CASE("a v4 bulk query for everything, in a window, over all VPNs, octet by octet") {
    const auto expected = hex(R"(
        0114                # length of the message
        01 00 00 00         # op BOOTREQUEST; htype, hlen, hops 0: no query by hardware address
        00010203            # xid
        0000 0000           # secs, flags
        00*16               # ciaddr, yiaddr, siaddr, giaddr: MUST be 0
        00*16               # chaddr
        00*64 00*128        # sname, file
        63825363            # cookie
        35 01 0e            # dhcp-message-type: DHCPBULKLEASEQUERY
        37 0f               # parameter-request-list
           98 33 99 5b      #   base-time, lease-time, start-time-of-state, client-last-transaction-time: RFC 6926 §7.2
           9c 9d            #   dhcp-state, data-source
           52 3d 36         #   relay-agent-information, client-id, server-id
           3a 3b            #   T1, T2
           0c 51 3c dd      #   host name, FQDN, vendor class, VSS
        9a 04 6553f100      # query-start-time, Unix seconds
        9b 04 6553f110      # query-end-time
        dd 01 fe            # VSS of type 254: all VPNs
        ff                  # end
    )");
    CHECK(bulk(settings_for(Family::v4), {}, {at(0), at(16)}, true) == expected);
}

TEST_CASE("a v4 active query with a start time, octet by octet") {
    const auto expected = hex(R"(
        010b                # length of the message
        01 00 00 00         # op BOOTREQUEST; htype, hlen, hops 0
        00010203            # xid
        0000 0000           # secs, flags
        00*16               # ciaddr, yiaddr, siaddr, giaddr: MUST NOT have a ciaddr
        00*16               # chaddr: nor a chaddr, nor below a client-id
        00*64 00*128        # sname, file
        63825363            # cookie
        35 01 10            # dhcp-message-type: DHCPACTIVELEASEQUERY
        37 0f 98 33 99 5b 9c 9d 52 3d 36 3a 3b 0c 51 3c dd  # parameter-request-list, as in bulk
        9a 04 6553f100      # query-start-time; no query-end-time, no option 61, 82, 221
        ff                  # end
    )");
    CHECK(active(settings_for(Family::v4), at(0)) == expected);
}

TEST_CASE("a v4 query has exactly one key, and each leaves the others' fields empty") {
    const auto settings = settings_for(Family::v4);
    SUBCASE("none at all for everything") {
        const DecodedV4 m(bulk(settings, {}));
        CHECK(m->hlen == 0);
        CHECK_FALSE(m.has(OptionCodeV4::client_identifier));
        CHECK_FALSE(m.has(OptionCodeV4::relay_agent_information));
    }
    SUBCASE("option 61 for a client-id") {
        const DecodedV4 m(bulk(settings, query_by(QueryKind::client_id, {1, 2, 3})));
        CHECK(equal(m->client_id, Bytes{1, 2, 3}));
        CHECK(m->hlen == 0);
        CHECK_FALSE(m.has(OptionCodeV4::relay_agent_information));
    }
    SUBCASE("htype, hlen and chaddr for a hardware address") {
        auto query = query_by(QueryKind::hw_addr, {2, 0, 0, 0, 0, 1});
        query.hw_type = 6;
        const DecodedV4 m(bulk(settings, query));
        CHECK(m->htype == 6);
        CHECK(equal(m->chaddr, query.id));
        CHECK_FALSE(m.has(OptionCodeV4::client_identifier));
        CHECK_FALSE(m.has(OptionCodeV4::relay_agent_information));
    }
    SUBCASE("option 82 with sub-option 12 alone for a relay-id") {
        const DecodedV4 m(bulk(settings, query_by(QueryKind::relay_id, {7, 8})));
        CHECK(equal(m->relay_agent_information, Bytes{12, 2, 7, 8}));
    }
    SUBCASE("option 82 with sub-option 2 alone for a remote-id") {
        const DecodedV4 m(bulk(settings, query_by(QueryKind::remote_id, {7, 8})));
        CHECK(equal(m->relay_agent_information, Bytes{2, 2, 7, 8}));
    }
    SUBCASE("and a remote-id of 255 octets, whose option 82 must be split, arrives whole") {
        const Bytes id(255, 9);
        const DecodedV4 m(bulk(settings, query_by(QueryKind::remote_id, id)));
        CHECK(equal(m->relay_agent_information.subspan(2), id));
    }
}

TEST_CASE("in every v4 request ciaddr, yiaddr, siaddr and giaddr are 0") {
    const auto settings = settings_for(Family::v4);
    for (const auto& framed :
         {bulk(settings, {}), bulk(settings, query_by(QueryKind::client_id, {1, 2})), active(settings)}) {
        const DecodedV4 m(framed);
        CHECK(m->ciaddr.is_unspecified());
        CHECK(m->yiaddr.is_unspecified());
        CHECK(m->siaddr.is_unspecified());
        CHECK(m->giaddr.is_unspecified());
        CHECK(m->xid == xid);
    }
}

TEST_CASE("qualifiers of a v4 query are only there when asked for") {
    const DecodedV4 m(bulk(settings_for(Family::v4), {}));
    CHECK_FALSE(m->query_start_time);
    CHECK_FALSE(m->query_end_time);
    CHECK_FALSE(m->vss);
    const DecodedV4 without_start(active(settings_for(Family::v4)));
    CHECK_FALSE(without_start->query_start_time);
}

TEST_CASE("options that the operator wants are added to the parameter-request-list, each once") {
    auto settings = settings_for(Family::v4);
    settings.request_options = {43, 51, 43, 0, 255, 300};
    const DecodedV4 m(bulk(settings, {}));
    const auto codes = m->parameter_request_list;
    CHECK(codes.size() == 16);
    CHECK(codes.back() == 43);
    CHECK(std::count(codes.begin(), codes.end(), 51) == 1);
}

TEST_CASE("what DHCPv4 has no query for is refused, and nothing is written") {
    CHECK(is_refused(Family::v4, query_by(QueryKind::address, {})));
    CHECK(is_refused(Family::v4, query_by(QueryKind::link, {})));
    CHECK(is_refused(Family::v4, query_by(QueryKind::client_id, {1})));
    CHECK(is_refused(Family::v4, query_by(QueryKind::relay_id, {})));
    CHECK(is_refused(Family::v4, query_by(QueryKind::remote_id, Bytes(256, 1))));
    CHECK(is_refused(Family::v4, query_by(QueryKind::hw_addr, {})));
    CHECK(is_refused(Family::v4, query_by(QueryKind::hw_addr, Bytes(17, 1))));
}

// ---- v6 -----------------------------------------------------------------------------------------------------------

TEST_CASE("a v6 bulk query by link, in a window, octet by octet") {
    auto query = query_by(QueryKind::link, {});
    query.address = address("2001:db8::1");
    const auto expected = hex(R"(
        0052                # length of the message
        0e 010203           # LEASEQUERY, transaction-id of 24 bits
        0001 0005 00030001aa  # CLIENTID: our DUID
        0006 000c           # ORO
           0064 002f 0025   #   LQ_BASE_TIME, LQ_RELAY_DATA, REMOTE_ID
           0027 0072 0044   #   CLIENT_FQDN, F_BINDING_STATUS, VSS
        002c 0021           # LQ_QUERY
           04               #   QUERY_BY_LINK_ADDRESS
           20010db8000000000000000000000001  #   link-address
           0006 000c 0064 002f 0025 0027 0072 0044  #   ORO: the same list, as no RFC says which one counts
        0065 0004 2ce6ad80  # LQ_START_TIME, seconds since 2000
        0066 0004 2ce6ad90  # LQ_END_TIME
    )");
    CHECK(bulk(settings_for(Family::v6), query, {at(0), at(16)}) == expected);
}

TEST_CASE("a v6 active query with a start time, octet by octet") {
    const auto expected = hex(R"(
        0025                # length of the message
        16 010203           # ACTIVELEASEQUERY, transaction-id
        0001 0005 00030001aa  # CLIENTID: our DUID
        0006 000c 0064 002f 0025 0027 0072 0044  # ORO, with LQ_BASE_TIME; no LQ_QUERY: all updates
        0065 0004 2ce6ad80  # LQ_START_TIME; LQ_END_TIME MUST NOT be here
    )");
    CHECK(active(settings_for(Family::v6), at(0)) == expected);
}

TEST_CASE("a v6 query carries the option that its type requires, and link :: for any link") {
    const auto settings = settings_for(Family::v6);
    const auto any_link = address("::");
    SUBCASE("by address") {
        auto query = query_by(QueryKind::address, {});
        query.address = address("2001:db8::5");
        const DecodedV6 m(bulk(settings, query));
        REQUIRE(m->query);
        CHECK(m->query->type == QueryTypeV6::by_address);
        REQUIRE(m->query->address);
        CHECK(m->query->address->address == query.address);
        CHECK(m->query->link_address == any_link);
    }
    SUBCASE("by client-id") {
        const DecodedV6 m(bulk(settings, query_by(QueryKind::client_id, {0, 3, 1})));
        REQUIRE(m->query);
        CHECK(m->query->type == QueryTypeV6::by_client_id);
        CHECK(equal(m->query->client_id, Bytes{0, 3, 1}));
        CHECK(equal(m->client_id, test::our_duid));
        CHECK(m->query->link_address == any_link);
    }
    SUBCASE("by relay-id, on one link") {
        auto query = query_by(QueryKind::relay_id, {0, 3, 1});
        query.address = address("2001:db8::1");
        const DecodedV6 m(bulk(settings, query));
        REQUIRE(m->query);
        CHECK(m->query->type == QueryTypeV6::by_relay_id);
        CHECK(equal(m->query->relay_id, Bytes{0, 3, 1}));
        CHECK(m->query->link_address == query.address);
    }
    SUBCASE("by remote-id") {
        const DecodedV6 m(bulk(settings, query_by(QueryKind::remote_id, {0, 0, 0, 9, 1})));
        REQUIRE(m->query);
        CHECK(m->query->type == QueryTypeV6::by_remote_id);
        CHECK(equal(m->query->remote_id, Bytes{0, 0, 0, 9, 1}));
        CHECK(m->query->link_address == any_link);
    }
}

TEST_CASE("a v6 query without a window carries no times") {
    const DecodedV6 m(bulk(settings_for(Family::v6), query_by(QueryKind::client_id, {0, 3, 1})));
    CHECK_FALSE(m->start_time);
    CHECK_FALSE(m->end_time);
    const DecodedV6 without_start(active(settings_for(Family::v6)));
    CHECK_FALSE(without_start->start_time);
    CHECK_FALSE(without_start->query);
}

TEST_CASE("options that the operator wants are added to both option request lists, each once") {
    auto settings = settings_for(Family::v6);
    settings.request_options = {16, 39, 16};
    const auto list = hex("0064 002f 0025 0027 0072 0044 0010");
    const DecodedV6 m(bulk(settings, query_by(QueryKind::client_id, {0, 3, 1})));
    CHECK(equal(m->option_request, list));
    REQUIRE(m->query);
    CHECK(equal(m->query->option_request, list));
    const DecodedV6 of_active(active(settings));
    CHECK(equal(of_active->option_request, list));
}

TEST_CASE("a transaction-id takes 24 bits in v6") {
    CHECK(transaction_id_mask(Family::v6) == 0xffffff);
    CHECK(transaction_id_mask(Family::v4) == 0xffffffff);
}

TEST_CASE("what DHCPv6 has no query for is refused, and nothing is written") {
    CHECK(is_refused(Family::v6, query_by(QueryKind::all, {})));
    CHECK(is_refused(Family::v6, query_by(QueryKind::hw_addr, {1, 2, 3})));
    CHECK(is_refused(Family::v6, query_by(QueryKind::client_id, {})));
    CHECK(is_refused(Family::v6, query_by(QueryKind::relay_id, {})));
    CHECK(is_refused(Family::v6, query_by(QueryKind::remote_id, {})));
    CHECK(is_refused(Family::v6, query_by(QueryKind::link, {})));
    CHECK(is_refused(Family::v6, query_by(QueryKind::address, {})));
}

TEST_CASE("a request that no message could hold is refused, and nothing is written") {
    CHECK(is_refused(Family::v6, query_by(QueryKind::remote_id, Bytes(70000, 1))));
}

TEST_CASE("every option that a configuration can ask for fits into one v6 request") {
    // The list stands twice in a bulk query. 32 767 codes are what half a message can carry; an operator who asks for
    // more than a few dozen has made a mistake, but not one to break an invariant over.
    auto settings = settings_for(Family::v6);
    settings.request_options.resize(5000);
    std::iota(settings.request_options.begin(), settings.request_options.end(), std::uint16_t{1});
    const DecodedV6 m(bulk(settings, query_by(QueryKind::client_id, {0, 3, 1})));
    CHECK(m->option_request.size() == 2 * 5000);
    const DecodedV6 of_active(active(settings));
    CHECK(of_active->option_request.size() == 2 * 5000);
}

}  // namespace
}  // namespace leasemirror
