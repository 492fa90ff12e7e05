// RFC 4388, RFC 6148 and RFC 2131 section 4.1 on virtual time.
#include "tests/proto/udp/talk.hpp"
#include "tests/proto/wire/wire.hpp"

#include <set>

namespace leasemirror {
namespace {

using namespace test;

constexpr auto by_mac = [] { return ask_by(QueryKind::hw_addr, mac); };

MessageV4 decoded(const Bytes& bytes, ScratchV4& scratch) {
    const auto m = decode_v4(bytes, scratch);
    REQUIRE(m);
    return *m;
}

bool requests(const MessageV4& m, OptionCodeV4 code) {
    const auto list = m.parameter_request_list;
    return std::find(list.begin(), list.end(), static_cast<std::uint8_t>(code)) != list.end();
}

ReplyV4 active(std::string ip) {
    ReplyV4 reply;
    reply.ip = std::move(ip);
    return reply;
}

ReplyV4 with_others(std::vector<std::string> associated) {
    ReplyV4 reply;
    reply.associated = std::move(associated);
    return reply;
}

std::vector<std::string> many_addresses(int count) {
    std::vector<std::string> out;
    for (int i = 0; i < count; ++i)
        out.push_back("10.1." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250));
    return out;
}

}  // namespace

// ---- what is sent --------------------------------------------------------------------------------------------------

TEST_CASE("v4: each query fills in the one key it asks by, and nothing else (RFC 4388 section 6.2)") {
    struct Case {
        BulkQuery query;
        std::string ciaddr;
        Bytes chaddr, client_id, option_82;
    };
    const Case cases[] = {
        {ask_for("10.0.0.5"), "10.0.0.5", {}, {}, {}},
        {by_mac(), "0.0.0.0", mac, {}, {}},
        {ask_by(QueryKind::client_id, {1, 2, 3}), "0.0.0.0", {}, {1, 2, 3}, {}},
        {ask_by(QueryKind::remote_id, {7, 8}), "0.0.0.0", {}, {}, {2, 2, 7, 8}},
    };
    for (const auto& c : cases) {
        CAPTURE(to_string(c.query));
        UdpTalk talk(udp_v4(), c.query);
        ScratchV4 scratch;
        const auto m = decoded(talk.sent.at(0).bytes, scratch);
        CHECK(m.op == 1);
        CHECK(m.type == MessageTypeV4::lease_query);
        CHECK(m.giaddr == address("192.0.2.99"));
        CHECK(m.ciaddr == address(c.ciaddr));
        CHECK(m.htype == (c.chaddr.empty() ? 0 : 1));
        CHECK(m.hlen == c.chaddr.size());
        CHECK(equal(m.chaddr, c.chaddr));
        CHECK(equal(m.client_id, c.client_id));
        CHECK(equal(m.relay_agent_information, c.option_82));
        CHECK(m.yiaddr.is_unspecified());
        CHECK(m.siaddr.is_unspecified());
        CHECK(m.hops == 0);
        for (const auto code :
             {OptionCodeV4::lease_time, OptionCodeV4::relay_agent_information, OptionCodeV4::client_identifier,
              OptionCodeV4::vendor_class, OptionCodeV4::client_last_transaction_time, OptionCodeV4::associated_ip})
            CHECK(requests(m, code));
        CHECK(m.options.size() == (c.client_id.empty() && c.option_82.empty() ? 2 : 3));  // 53, 55, and the key
        CHECK(talk.sent[0].bytes.size() >= 300);
    }
}

TEST_CASE("v4: a silent server is asked after about 4, 8, 16 and 32 seconds more, and given up after 64") {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        auto settings = udp_v4();
        settings.seed = seed;
        UdpTalk talk(settings, by_mac());
        talk.run_to_end();
        REQUIRE(talk.sent.size() == 5);
        double wait = 4;
        for (std::size_t i = 1; i < 5; ++i, wait *= 2) {
            const auto gap = talk.sent[i].at - talk.sent[i - 1].at;
            REQUIRE(gap >= wait - 1);
            REQUIRE(gap <= wait + 1);
            REQUIRE(talk.sent[i].bytes == talk.sent[0].bytes);
        }
        CHECK(talk.clock() >= talk.sent[4].at + 63);
        CHECK(talk.clock() <= talk.sent[4].at + 66);
        CHECK(talk.reply_of(0).outcome() == UdpOutcome::silent);
    }
}

// ---- what comes back -----------------------------------------------------------------------------------------------

TEST_CASE("v4: DHCPLEASEACTIVE is a binding, and giaddr, our own address, is not its relay") {
    UdpTalk talk(udp_v4(), ask_for("10.0.0.5"));
    auto reply = active("10.0.0.5");
    reply.server = "192.0.2.1";
    reply.remote_id = {7};
    reply.base = 30;
    talk.answer(0, reply);
    CHECK(talk.query.done());
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::found);
    CHECK(talk.reply_of(0).server_id == Bytes{192, 0, 2, 1});
    const auto& told = talk.reply_of(0).bindings.at(0);
    CHECK(told.binding.hw_addr == mac);
    CHECK(told.binding.remote_id == Bytes{7});
    CHECK(told.binding.via == Via::query);
    CHECK_FALSE(told.binding.relay_address);
    CHECK(told.binding.expires_at == at(630));
    CHECK(told.server_ahead == 30s);
}

TEST_CASE("v4: UNASSIGNED and UNKNOWN, bare or with what Kea echoes") {
    UdpTalk talk(udp_v4({endpoint("192.0.2.1"), endpoint("192.0.2.2"), endpoint("192.0.2.3")}), ask_for("10.0.0.5"));
    auto echoed = unknown("10.0.0.5");
    echoed.server = "192.0.2.1";
    talk.answer(0, echoed);
    talk.answer(1, unknown());
    auto ended = unassigned("10.0.0.5");
    ended.state = static_cast<std::uint8_t>(DhcpState::expired);  // from a server that knows RFC 6926
    talk.answer(2, ended);
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::unknown);
    CHECK(talk.reply_of(1).outcome() == UdpOutcome::unknown);
    CHECK(talk.reply_of(2).outcome() == UdpOutcome::unassigned);
    REQUIRE(talk.reply_of(2).bindings.size() == 1);
    CHECK(talk.reply_of(2).bindings[0].binding.state == BindingState::expired);
    CHECK(talk.query.done());

    UdpTalk by_hardware(udp_v4(), by_mac());
    auto kea = unknown();
    kea.hw_addr = mac;
    kea.server = "192.0.2.1";
    by_hardware.answer(0, kea);
    CHECK(by_hardware.reply_of(0).outcome() == UdpOutcome::unknown);
    UdpTalk by_line(udp_v4(), ask_by(QueryKind::remote_id, {7}));
    auto with_82 = unknown();
    with_82.remote_id = {7};  // RFC 6148 section 4.3
    by_line.answer(0, with_82);
    CHECK(by_line.reply_of(0).outcome() == UdpOutcome::unknown);
}

// RFC 4388 section 6.4 has a server return it for a query by IP only, and gives no rule to discard it: ISC dhcpd answers
// so where the client's newest lease is not active, and would count as silent.
TEST_CASE("v4: UNASSIGNED to a query by client is the lease that the client no longer has") {
    for (const auto& query : {by_mac(), ask_by(QueryKind::client_id, {1, 2, 3}), ask_by(QueryKind::remote_id, {7})}) {
        for (const bool with_mac : {true, false}) {
            UdpTalk talk(udp_v4(), query);
            auto ended = unassigned("10.0.0.5");
            if (with_mac) ended.hw_addr = mac;
            talk.answer(0, ended);
            CHECK(talk.query.done());
            CHECK(talk.query.discards().total() == 0);
            CHECK(talk.reply_of(0).outcome() == UdpOutcome::unassigned);
            CHECK(talk.keys(0) == "10.0.0.5");
            CHECK_FALSE(talk.reply_of(0).bindings.at(0).binding.in_force());
            CHECK(talk.reply_of(0).complete());
        }
    }
}

TEST_CASE("v4: a reply in another's name, or about another, is thrown away and counted") {
    struct Case {
        const char* what;
        BulkQuery query;
        ReplyV4 reply;
        UdpDiscard why;
    };
    std::vector<Case> cases;
    const auto add = [&](const char* what, BulkQuery query, UdpDiscard why, ReplyV4 good, auto change) {
        change(good);
        cases.push_back({what, std::move(query), std::move(good), why});
    };
    const auto id = ask_by(QueryKind::client_id, {1, 2, 3});
    const auto line = ask_by(QueryKind::remote_id, {7});
    const auto ip = ask_for("10.0.0.5");
    add("xid", ip, UdpDiscard::wrong_xid, {}, [](auto& r) { r.xid_change = 0x80000000; });
    add("a request", ip, UdpDiscard::wrong_type, {}, [](auto& r) { r.op = 1; });
    add("a query", ip, UdpDiscard::wrong_type, {}, [](auto& r) { r.type = MessageTypeV4::lease_query; });
    add("DONE, of TCP", ip, UdpDiscard::wrong_type, {}, [](auto& r) { r.type = MessageTypeV4::lease_query_done; });
    add("another address", ip, UdpDiscard::not_asked, {}, [](auto& r) { r.ip = "10.0.0.6"; });
    add("no address", ip, UdpDiscard::not_asked, {}, [](auto& r) { r.ip = "0.0.0.0"; });
    add("unassigned, another", ip, UdpDiscard::not_asked, unassigned("10.0.0.6"), [](auto&) {});
    add("unknown, another", ip, UdpDiscard::not_asked, unknown("10.0.0.6"), [](auto&) {});
    add("another MAC", by_mac(), UdpDiscard::not_asked, {}, [](auto& r) { r.hw_addr.back() ^= 1; });
    add("no MAC", by_mac(), UdpDiscard::not_asked, {}, [](auto& r) { r.hw_addr.clear(); });
    add("no address, by MAC", by_mac(), UdpDiscard::undecodable, {}, [](auto& r) { r.ip = "0.0.0.0"; });
    add("unassigned, other MAC", by_mac(), UdpDiscard::not_asked, unassigned("10.0.0.5"),
        [](auto& r) { r.hw_addr = {9}; });
    add("unassigned, other id", id, UdpDiscard::not_asked, unassigned("10.0.0.5"), [](auto& r) {
        r.client_id = {9, 9};
    });
    add("unassigned, other line", line, UdpDiscard::not_asked, unassigned("10.0.0.5"),
        [](auto& r) { r.remote_id = {8}; });
    add("unknown, another MAC", by_mac(), UdpDiscard::not_asked, unknown(), [](auto& r) { r.hw_addr = {9}; });
    add("another client-id", id, UdpDiscard::not_asked, {}, [](auto& r) { r.client_id = {1, 2, 4}; });
    add("another remote-id", line, UdpDiscard::not_asked, {}, [](auto& r) { r.remote_id = {8}; });
    add("not ACTIVE after all", ip, UdpDiscard::undecodable, {}, [](auto& r) { r.state = 3; });
    for (const auto& c : cases) {
        CAPTURE(c.what);
        UdpTalk talk(udp_v4(), c.query);
        talk.answer(0, c.reply);
        CHECK(talk.discarded(c.why) == 1);
        CHECK(talk.query.discards().total() == 1);
        CHECK(talk.reply_of(0).outcome() == UdpOutcome::waiting);
        CHECK_FALSE(talk.query.done());
    }
}

TEST_CASE("v4: what a server need not tell is not missed") {
    UdpTalk by_id(udp_v4(), ask_by(QueryKind::client_id, {1, 2, 3}));
    by_id.answer(0, active("10.0.0.5"));
    CHECK(by_id.reply_of(0).outcome() == UdpOutcome::found);
    UdpTalk by_line(udp_v4(), ask_by(QueryKind::remote_id, {7}));
    by_line.answer(0, active("10.0.0.5"));
    CHECK(by_line.reply_of(0).outcome() == UdpOutcome::found);
}

TEST_CASE("v4: a source that was not asked, and is named so that it can be") {
    UdpTalk talk(udp_v4(), ask_for("10.0.0.5"));
    talk.answer(0, active("10.0.0.5"), endpoint("192.0.2.7"));
    CHECK(talk.discarded(UdpDiscard::unexpected_source) == 1);
    CHECK(talk.query.discards().unexpected_source == endpoint("192.0.2.7"));
    CHECK_FALSE(talk.query.done());
}

TEST_CASE("v4: an answer to a question that has not gone out yet was guessed") {
    const UdpTalk same_seed(udp_v4(), ask_for("10.0.0.5"));
    UdpQuery query(udp_v4(), ask_for("10.0.0.5"));
    query.start(SteadyTime{});
    const auto reply = active("10.0.0.5").to(same_seed.sent[0].bytes);
    query.on_datagram(endpoint("192.0.2.1"), reply, {SteadyTime{}, at(0)});
    CHECK(query.discards().of(UdpDiscard::wrong_xid) == 1);
    CHECK_FALSE(query.done());
    CHECK(query.poll_action());
    query.on_datagram(endpoint("192.0.2.1"), reply, {SteadyTime{}, at(0)});
    CHECK(query.done());
}

TEST_CASE("transaction-ids are drawn from all there are, and do not follow from each other") {
    std::uint32_t set_v4 = 0, set_v6 = 0;
    std::set<std::uint32_t> seen;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        auto v4 = udp_v4({endpoint("192.0.2.1"), endpoint("192.0.2.2")}), v6 = udp_v6();
        v4.seed = v6.seed = seed;
        const UdpTalk a(v4, by_mac()), b(v6, ask_for("2001:db8::5"));
        const auto first = ByteReader(ByteView(a.sent.at(0).bytes).subspan(4)).u32();
        const auto second = ByteReader(ByteView(a.sent.at(1).bytes).subspan(4)).u32();
        CHECK((first > second ? first - second : second - first) > 1000);
        seen.insert({first, second});
        set_v4 |= first;
        set_v6 |= ByteReader(ByteView(b.sent.at(0).bytes).subspan(1)).u24();
    }
    CHECK(seen.size() == 200);
    CHECK(set_v4 == 0xffffffff);
    CHECK(set_v6 == 0x00ffffff);
}

TEST_CASE("v4: too short for a DHCP message") {
    UdpTalk talk(udp_v4(), ask_for("10.0.0.5"));
    auto bytes = active("10.0.0.5").to(talk.sent[0].bytes);
    bytes.resize(239);
    talk.hear(bytes, endpoint("192.0.2.1"));
    talk.hear({}, endpoint("192.0.2.1"));
    CHECK(talk.discarded(UdpDiscard::undecodable) == 2);
}

TEST_CASE("v4: a status is of RFC 6926; a server that sends one over UDP has refused") {
    UdpTalk talk(udp_v4(), ask_for("10.0.0.5"));
    auto reply = active("10.0.0.5");
    reply.status = StatusCode::not_allowed;
    talk.answer(0, reply);
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::refused);
    CHECK(talk.reply_of(0).parts[0].text == "NotAllowed: why");
    CHECK(talk.reply_of(0).bindings.empty());
}

// ---- associated-ip -------------------------------------------------------------------------------------------------

TEST_CASE("v4: the client's other addresses are asked for by IP, each once, and no further") {
    UdpTalk talk(udp_v4(), by_mac());
    talk.answer(0, with_others({"10.0.0.5", "10.0.0.6", "0.0.0.0", "10.0.0.7", "10.0.0.6"}));
    REQUIRE(talk.sent.size() == 3);
    ScratchV4 scratch;
    for (const auto i : {1U, 2U}) {
        const auto m = decoded(talk.sent[i].bytes, scratch);
        CHECK(m.ciaddr == address(i == 1 ? "10.0.0.6" : "10.0.0.7"));
        CHECK(m.hlen == 0);
        CHECK(m.htype == 0);
        CHECK(m.client_id.empty());
        CHECK(talk.sent[i].server == 0);
    }
    auto more = active("10.0.0.6");
    more.associated = {"10.0.0.8", "10.0.0.9"};  // not followed: one step
    talk.answer(1, more);
    talk.answer(2, unassigned("10.0.0.7"));
    CHECK(talk.sent.size() == 3);
    CHECK(talk.query.done());
    CHECK(talk.outcomes(0) == std::vector<std::string>{"found", "found", "unassigned"});
    CHECK(talk.keys(0) == "10.0.0.5 10.0.0.6 10.0.0.7");
    CHECK_FALSE(talk.reply_of(0).bindings[2].binding.in_force());
    CHECK(talk.reply_of(0).complete());
}

TEST_CASE("v4: an address that has gone to another client is no part of the answer") {
    UdpTalk talk(udp_v4(), by_mac());
    talk.answer(0, with_others({"10.0.0.6"}));
    auto other = active("10.0.0.6");
    other.hw_addr = {9, 9, 9, 9, 9, 9};
    talk.answer(1, other);
    CHECK(talk.query.done());
    CHECK(talk.keys(0) == "10.0.0.5");
    CHECK(talk.reply_of(0).notes == std::vector<std::string>{"10.0.0.6 is another client's now"});
}

TEST_CASE("v4: asked for one address, we do not go on to the client's others, and say that there are") {
    UdpTalk talk(udp_v4(), ask_for("10.0.0.5"));
    talk.answer(0, with_others({"10.0.0.5", "10.0.0.6"}));
    CHECK(talk.query.done());
    CHECK(talk.sent.size() == 1);
    CHECK(talk.reply_of(0).notes.size() == 1);
}

TEST_CASE("v4: addresses named in another server's name are not heard") {
    UdpTalk talk(udp_v4(), by_mac());
    auto reply = with_others({"10.0.0.6"});
    reply.server = "192.0.2.1";
    talk.answer(0, reply);
    auto forged = active("10.0.0.6");
    forged.server = "192.0.2.2";
    talk.answer(1, forged);
    CHECK(talk.discarded(UdpDiscard::wrong_identifiers) == 1);
    auto without = active("10.0.0.6");  // RFC 4388 does not demand option 54
    talk.answer(1, without);
    CHECK(talk.query.done());
}

TEST_CASE("v4: as many addresses as a reply can name are followed up to a limit") {
    auto settings = udp_v4();
    settings.follow_ups_max = 5;
    UdpTalk talk(settings, by_mac());
    talk.answer(0, with_others(many_addresses(3000)));
    CHECK(talk.sent.size() == 6);
    CHECK(talk.reply_of(0).not_followed == 2995);
    CHECK_FALSE(talk.reply_of(0).complete());
}

// ---- pacing --------------------------------------------------------------------------------------------------------

TEST_CASE("v4: once a server answers it is asked many things at a time, though not more than a hundred") {
    auto settings = udp_v4();
    settings.follow_ups_max = 150;
    UdpTalk talk(settings, by_mac());
    const auto others = many_addresses(150);
    talk.answer(0, with_others(others));
    CHECK(talk.sent.size() == 1 + UdpPacing::outstanding_max);
    talk.answer(1, active(others[0]));
    CHECK(talk.sent.size() == 2 + UdpPacing::outstanding_max);  // the place is taken at once
    for (std::size_t i = 2; i <= 150; ++i)
        talk.answer(i, active(others[i - 1]));
    CHECK(talk.query.done());
    CHECK(talk.reply_of(0).complete());
    CHECK(talk.reply_of(0).bindings.size() == 151);
}

TEST_CASE("v4: not heard for a minute, all but one are given up, and that one is asked every 64 seconds") {
    auto settings = udp_v4();
    settings.follow_ups_max = 150;
    settings.transmissions_max = 8;
    UdpTalk talk(settings, by_mac());
    talk.answer(0, with_others(many_addresses(150)));
    talk.run_until(55);
    CHECK(talk.sent.size() == 1 + 4 * UdpPacing::outstanding_max);  // at about 0, 4, 12 and 28 s
    CHECK(talk.reply_of(0).parts[3].outcome == UdpOutcome::waiting);
    talk.run_until(60.5);
    const auto parts = talk.reply_of(0).parts;
    CHECK(parts[1].outcome == UdpOutcome::waiting);
    for (std::size_t i = 2; i <= 150; ++i) {
        REQUIRE(parts[i].outcome == UdpOutcome::silent);
        REQUIRE(parts[i].text == "given up: the server was not heard for a minute");
    }
    const auto until_then = talk.sent.size();
    talk.run_to_end();
    for (auto i = until_then; i < talk.sent.size(); ++i)
        REQUIRE(talk.sent[i].question == 1);
    std::vector<double> times;
    for (const auto& sent : talk.sent)
        if (sent.question == 1) times.push_back(sent.at);
    REQUIRE(times.size() == 8);
    for (std::size_t i = 5; i < times.size(); ++i) {
        CHECK(times[i] - times[i - 1] >= 63);
        CHECK(times[i] - times[i - 1] <= 65);
    }
    CHECK(talk.reply_of(0).parts[1].outcome == UdpOutcome::silent);
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::found);
    CHECK_FALSE(talk.reply_of(0).complete());
}

TEST_CASE("v4: the minute ends when it ends, whatever else there is to wake up for") {
    UdpTalk talk(udp_v4(), by_mac());
    talk.run_until(2);
    talk.answer(0, with_others({"10.0.0.6", "10.0.0.7"}));
    talk.run_until(200);
    REQUIRE(talk.learned_at.size() == 3);
    CHECK(talk.learned_at[0] == 2);
    CHECK(talk.learned_at[1] == doctest::Approx(62).epsilon(1e-9));
}

TEST_CASE("v4: each answer gives the others another minute") {
    UdpTalk talk(udp_v4(), by_mac());
    talk.answer(0, with_others({"10.0.0.6", "10.0.0.7", "10.0.0.8"}));
    talk.run_until(50);
    talk.answer(1, active("10.0.0.6"));
    talk.run_until(109);
    CHECK(talk.reply_of(0).parts[3].outcome == UdpOutcome::waiting);
    talk.answer(3, active("10.0.0.8"));
    talk.run_until(120);
    CHECK(talk.reply_of(0).parts[2].outcome == UdpOutcome::waiting);
    talk.answer(2, active("10.0.0.7"));
    CHECK(talk.query.done());
    CHECK(talk.reply_of(0).complete());
}

TEST_CASE("v4: an answer counts although we woke up for it too late") {
    UdpTalk talk(udp_v4(), by_mac());
    talk.answer(0, with_others({"10.0.0.6", "10.0.0.7"}));
    talk.oversleep(61);
    talk.answer(2, active("10.0.0.7"));
    CHECK(talk.reply_of(0).parts[1].outcome == UdpOutcome::waiting);
    talk.run_until(120);
    CHECK(talk.reply_of(0).parts[1].outcome == UdpOutcome::waiting);
}

TEST_CASE("v4: queries that share a memory are paced together") {
    UdpMemory memory;
    UdpTalk first(udp_v4(), ask_for("10.0.0.5"), &memory);
    UdpTalk second(udp_v4(), ask_for("10.0.0.6"), &memory);
    CHECK(first.sent.size() == 1);
    CHECK(second.sent.empty());  // the server has not shown yet that it answers
    second.run_until(5);
    CHECK(second.sent.empty());
    first.run_until(5);
    first.answer(0, active("10.0.0.5"));
    CHECK(first.query.done());
    second.run_until(6.1);
    CHECK(second.sent.size() == 1);
    UdpTalk third(udp_v4(), ask_for("10.0.0.7"), &memory, 6.2);
    CHECK(third.sent.size() == 1);
    CHECK(memory.pacing.size() == 1);
    CHECK(memory.pacing.begin()->second.outstanding() == 2);
}

TEST_CASE("v4: a query that is dropped gives its place back") {
    UdpMemory memory;
    { const UdpTalk dropped(udp_v4(), ask_for("10.0.0.5"), &memory); }
    CHECK(memory.pacing.begin()->second.outstanding() == 0);
    UdpTalk next(udp_v4(), ask_for("10.0.0.6"), &memory, 1);
    CHECK(next.sent.empty());  // ten seconds between queries to a server not known to answer
    next.run_until(8.9);
    CHECK(next.sent.empty());
    next.run_until(10.1);
    CHECK(next.sent.size() == 1);
}

TEST_CASE("v4: one server that is not heard does not hold up another") {
    UdpTalk talk(udp_v4({endpoint("192.0.2.1"), endpoint("192.0.2.2")}), by_mac());
    REQUIRE(talk.sent.size() == 2);
    talk.answer(1, with_others({"10.0.0.6"}));
    REQUIRE(talk.sent.size() == 3);
    talk.answer(2, active("10.0.0.6"));
    CHECK(talk.reply_of(1).complete());
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::waiting);
    talk.run_to_end();
    CHECK(talk.reply_of(0).outcome() == UdpOutcome::silent);
}

TEST_CASE("v4: UNASSIGNED and UNKNOWN are not asked for again for five minutes, a lease that is there always") {
    UdpMemory memory;
    UdpTalk first(udp_v4(), ask_for("10.0.0.5"), &memory);
    first.answer(0, unassigned("10.0.0.5"));
    UdpTalk again(udp_v4(), ask_for("10.0.0.5"), &memory, 100);
    CHECK(again.sent.empty());
    CHECK(again.query.done());
    CHECK(again.reply_of(0).outcome() == UdpOutcome::unassigned);
    CHECK(again.reply_of(0).parts[0].remembered);
    memory.negative.forget(ask_for("10.0.0.5"));
    UdpTalk seen(udp_v4(), ask_for("10.0.0.5"), &memory, 200);
    REQUIRE(seen.sent.size() == 1);
    seen.answer(0, active("10.0.0.5"));
    const UdpTalk later(udp_v4(), ask_for("10.0.0.5"), &memory, 201);
    CHECK(later.sent.size() == 1);
}

}  // namespace leasemirror
