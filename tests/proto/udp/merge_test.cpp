// RFC 5007 section 4.3.4, RFC 4388 section 6.8, RFC 6926 section 7.6.
#include "proto/udp/merge.hpp"
#include "tests/proto/udp/talk.hpp"

namespace leasemirror {
namespace {

using namespace test;

UdpBinding record(std::string_view ip, std::optional<std::int64_t> seen = std::nullopt) {
    UdpBinding told;
    told.binding.key.address = address(ip);
    told.binding.key.prefix_len = 32;
    if (seen) told.binding.client_last_seen = at(*seen);
    return told;
}

UdpBinding since(std::string_view ip, std::int64_t state_since) {
    auto told = record(ip);
    told.binding.state_since = at(state_since);
    return told;
}

UdpBinding in_state(BindingState state, std::optional<std::int64_t> seen = std::nullopt) {
    auto told = record("10.0.0.5", seen);
    told.binding.state = state;
    return told;
}

std::vector<UdpAnswer> answers(std::vector<std::vector<UdpBinding>> told) {
    std::vector<UdpAnswer> out;
    for (auto& bindings : told) {
        UdpAnswer answer;
        answer.parts.emplace_back();
        answer.bindings = std::move(bindings);
        out.push_back(std::move(answer));
    }
    return out;
}

/// Which of two, in either order, counts: 0 the first, 1 the second, 2 whichever comes first.
int winner(const UdpBinding& a, const UdpBinding& b) {
    const auto forward = merge(answers({{a}, {b}})), backward = merge(answers({{b}, {a}}));
    REQUIRE((forward.size() == 1 && backward.size() == 1));
    CHECK(forward[0].also_in == std::vector<std::size_t>{1 - forward[0].answer});
    if (forward[0].answer == backward[0].answer) return 2;
    return static_cast<int>(forward[0].answer);
}

}  // namespace

TEST_CASE("disjoint data is merged, sorted by key") {
    auto prefix = record("2001:db8::");
    prefix.binding.key.kind = BindingKind::prefix;
    prefix.binding.key.prefix_len = 56;
    auto inside = prefix;
    inside.binding.key.prefix_len = 64;
    const auto merged = merge(answers({{record("2001:db8::9"), prefix}, {inside, record("2001:db8::1")}}));
    REQUIRE(merged.size() == 4);
    CHECK(UdpTalk::key_text(merged[0].best.binding.key) == "2001:db8::1");
    CHECK(UdpTalk::key_text(merged[1].best.binding.key) == "2001:db8::9");
    CHECK(UdpTalk::key_text(merged[2].best.binding.key) == "2001:db8::/56");
    CHECK(UdpTalk::key_text(merged[3].best.binding.key) == "2001:db8::/64");
    CHECK(merged[0].answer == 1);
    CHECK(merged[0].also_in.empty());
    CHECK(merge({}).empty());
}

TEST_CASE("of conflicting data the latest client-last-transaction-time counts") {
    CHECK(winner(record("10.0.0.5", 10), record("10.0.0.5", 11)) == 1);
    CHECK(winner(record("10.0.0.5", 10), record("10.0.0.5", 10)) == 2);
    auto renewed = record("10.0.0.5", 20), ended = in_state(BindingState::ended, 30);
    CHECK(winner(renewed, ended) == 1);  // it has ended since
}

TEST_CASE("in our clock, whatever theirs show") {
    auto slow = record("10.0.0.5", 10), fast = record("10.0.0.5", 100);
    fast.server_ahead = 95s;  // 5 by ours
    CHECK(winner(slow, fast) == 0);
}

TEST_CASE("without one it is held against the start of the other's state; two starts against each other") {
    CHECK(winner(record("10.0.0.5", 10), since("10.0.0.5", 11)) == 1);
    CHECK(winner(record("10.0.0.5", 12), since("10.0.0.5", 11)) == 0);
    CHECK(winner(since("10.0.0.5", 12), since("10.0.0.5", 11)) == 0);
    CHECK(winner(record("10.0.0.5", 10), record("10.0.0.5")) == 2);
}

TEST_CASE("where times say nothing, what a server knows itself counts, and then what is in force") {
    auto remote = record("10.0.0.5", 10), local = remote;
    remote.binding.data_source = DataSource::remote;
    CHECK(winner(remote, local) == 1);
    CHECK(winner(in_state(BindingState::expired), record("10.0.0.5")) == 1);
}

TEST_CASE("available and remote speak of their own server, and hide no lease of another, however late they are") {
    for (const auto state : {BindingState::available, BindingState::remote})
        CHECK(winner(in_state(state, 99), record("10.0.0.5", 10)) == 1);
    CHECK(winner(in_state(BindingState::released, 99), record("10.0.0.5", 10)) == 0);
}

TEST_CASE("all the others that speak of it are listed") {
    const auto merged = merge(
        answers({{record("10.0.0.5", 1)}, {record("10.0.0.6")}, {record("10.0.0.5", 3)}, {record("10.0.0.5", 2)}}));
    REQUIRE(merged.size() == 2);
    CHECK(merged[0].answer == 2);
    CHECK(merged[0].also_in == std::vector<std::size_t>{0, 3});
}

TEST_CASE("two servers, one client: what a query over UDP brings together") {
    UdpTalk talk(udp_v6({endpoint("2001:db8::1"), endpoint("2001:db8::2")}), ask_by(QueryKind::client_id, client_duid));
    auto older = holds({ia("2001:db8:1::5"), pd("2001:db8:100::", 56)}), newer = holds({ia("2001:db8:1::5", 900)});
    older.age = 1000;
    older.base = 50;
    newer.age = 20;
    talk.answer(0, older);
    talk.answer(1, newer);
    const auto merged = merge(talk.query.answers());
    REQUIRE(merged.size() == 2);
    CHECK(merged[0].answer == 1);
    CHECK(merged[0].best.binding.expires_at == at(900));
    CHECK(merged[0].also_in == std::vector<std::size_t>{0});
    CHECK(merged[1].answer == 0);
}

}  // namespace leasemirror
