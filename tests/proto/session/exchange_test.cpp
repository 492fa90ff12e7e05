#include "proto/session/exchange.hpp"

#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

#include <functional>

namespace leasemirror {
namespace {

using namespace std::chrono_literals;
using test::active4;
using test::at;
using test::broken;
using test::V4;
using test::xid;
using test::operator+;

constexpr ExchangeKind kind{
    Via::bulk,       &SessionSettings::receive_timeout, "test query", "nobody at home", "the test broke off",
    "nothing heard", "before anything was asked",
};

/// An exchange whose "session" reads the bindings of each v4 message, and closes when something broke.
struct Talk {
    explicit Talk(const SessionSettings& settings = test::settings_for(Family::v4)) : exchange(settings, kind) {}

    Exchange exchange;
    std::chrono::milliseconds since_start{0};
    std::string text;  // of the last thing that broke
    std::function<void(const MessageV4&)> on_message = [this](const MessageV4& m) {
        exchange.heard(m);
        exchange.read_bindings();
        exchange.then(action::CaughtUp{});
    };

    [[nodiscard]] SessionNow now() const { return {SteadyTime{} + since_start, at(1000)}; }

    void take(const Exchange::Broken& broken) {
        text = broken.text;
        exchange.close(broken.why, broken.text);
    }
    void take(const ReplyReader::Garbled& garbled) { exchange.quarantine(to_string(garbled.error), true); }
    void take(const MessageV4* m) { on_message(*m); }
    void take(const MessageV6*) { FAIL("no v6 here"); }

    std::optional<SessionAction> poll_one() {
        return exchange.poll_action([this](const auto& arrival) { take(arrival); });
    }
    std::string poll() {
        test::Asked asked;
        while (const auto action = poll_one())
            asked.add(*action);
        return asked.words;
    }
    std::string hears(const Bytes& octets) {
        exchange.on_bytes(octets, now());
        return poll();
    }
    std::string hears(const V4& m) { return hears(m.bytes()); }
    std::string loses_its_peer() {
        exchange.on_disconnected("end of stream", now());
        return poll();
    }
    /// Begins a query; gives its transaction-id.
    std::uint32_t begins() {
        const auto id = exchange.next_xid(now());
        exchange.ask({1, 2, 3});
        return id;
    }
    /// Asks a query that is written at once.
    void asks() {
        begins();
        CHECK(poll() == "send");
        exchange.on_sent(now());
    }
    /// The timer fires, if it is due.
    std::string fires() {
        if (const auto broken = exchange.on_deadline(now())) take(*broken);
        return poll();
    }
    [[nodiscard]] std::optional<SteadyTime::duration> patience() const {
        const auto deadline = exchange.next_deadline();
        return deadline ? std::optional(*deadline - now().steady) : std::nullopt;
    }
};

// ---- one query after the other ------------------------------------------------------------------------------------

TEST_CASE(
    "an exchange goes from idle over asking and waiting back to idle, and each query has the next transaction-id") {
    Talk talk;
    CHECK(talk.exchange.state() == ExchangeState::idle);
    CHECK(talk.begins() == xid);
    CHECK(talk.exchange.state() == ExchangeState::asking);
    CHECK(talk.poll() == "send");
    CHECK(talk.exchange.state() == ExchangeState::asking);
    talk.exchange.on_sent(talk.now());
    CHECK(talk.exchange.state() == ExchangeState::waiting);
    talk.exchange.end_query();
    CHECK(talk.exchange.state() == ExchangeState::idle);
    CHECK(talk.begins() == xid + 1);
}

TEST_CASE("the query is handed out once, and is what was asked") {
    Talk talk;
    talk.begins();
    const auto action = talk.poll_one();
    REQUIRE(action);
    REQUIRE(std::holds_alternative<action::Send>(*action));
    const auto sent = std::get<action::Send>(*action).bytes;
    CHECK(Bytes(sent.begin(), sent.end()) == Bytes{1, 2, 3});
    CHECK_FALSE(talk.poll_one());
}

// ---- the order of actions -----------------------------------------------------------------------------------------

TEST_CASE(
    "what is said of a message comes before its bindings, what follows from it after them, then the next message") {
    Talk talk;
    talk.asks();
    CHECK(talk.hears(active4("192.0.2.1", 5).bytes() + active4("192.0.2.2", 6)) ==
          "heard @5; binding 192.0.2.1 active @5; caught-up; heard @6; binding 192.0.2.2 active @6; caught-up");
}

TEST_CASE("who stops polling stops the decoding: no second message is read before the first is polled") {
    Talk talk;
    talk.asks();
    talk.exchange.on_bytes(active4("192.0.2.1", 5).bytes() + active4("192.0.2.2", 6), talk.now());
    REQUIRE(talk.poll_one());
    CHECK(talk.exchange.inside_message());
    CHECK(talk.exchange.wants_bytes() == 0);
}

// ---- what is no reply ---------------------------------------------------------------------------------------------

TEST_CASE("a reply with another transaction-id breaks the exchange, understood or not") {
    const auto foreign = V4{.ip = "192.0.2.1", .id = xid + 1};
    for (const auto& octets : {foreign.bytes(), broken(foreign)}) {
        Talk talk;
        talk.asks();
        CHECK(talk.hears(octets) == "close unknown transaction");
        CHECK(talk.text == "a reply with transaction-id 66052, not that of the query, 66051");
    }
}

TEST_CASE("a reply that nobody asked for breaks the exchange") {
    Talk talk;
    CHECK(talk.hears(active4("192.0.2.1")) == "close unknown transaction");
    CHECK(talk.text == "a message arrived before anything was asked");
}

TEST_CASE("a length that no message can have breaks the exchange") {
    Talk talk;
    talk.asks();
    CHECK(talk.hears(Bytes{0, 3}) == "close framing lost");
}

// ---- the timer ----------------------------------------------------------------------------------------------------

TEST_CASE("no timer runs in idle and closed, the data timeout in asking, the kind's own in waiting") {
    Talk talk;
    CHECK_FALSE(talk.patience());
    talk.begins();
    CHECK(talk.patience() == 300s);
    talk.since_start += 10s;
    talk.exchange.on_sent(talk.now());
    CHECK(talk.patience() == 120s);
    talk.exchange.end_query();
    CHECK_FALSE(talk.patience());
    talk.begins();
    talk.exchange.close(CloseReason::refused, {});
    CHECK_FALSE(talk.patience());
}

TEST_CASE("an exchange says what its timer waited for in vain") {
    Talk blocked;
    blocked.begins();
    blocked.since_start = 300s - 1ms;
    CHECK(blocked.fires() == "send");
    blocked.since_start = 300s;
    CHECK(blocked.fires() == "close query blocked");
    CHECK(blocked.text == "the test query could not be written");
    Talk silent;
    silent.asks();
    silent.since_start = 120s;
    CHECK(silent.fires() == "close peer silent");
    CHECK(silent.text == "nothing heard for 120 s");
}

TEST_CASE("while we do not read, the timer stands still if the server is to speak, and runs if we are") {
    Talk talk;
    talk.begins();
    talk.exchange.set_reading(false, talk.now());
    CHECK(talk.patience() == 300s);
    talk.exchange.on_sent(talk.now());
    CHECK_FALSE(talk.patience());
    talk.since_start = 1h;
    talk.exchange.set_reading(true, talk.now());
    CHECK(talk.patience() == 120s);
}

TEST_CASE("a whole message re-arms the timer and proves that the query was written, a part of one does neither") {
    Talk talk;
    talk.begins();
    const auto message = active4("192.0.2.1", 5).bytes();
    talk.since_start = 100s;
    CHECK(talk.hears(Bytes(message.begin(), message.begin() + 100)) == "send");
    CHECK(talk.exchange.state() == ExchangeState::asking);
    CHECK(talk.patience() == 200s);
    (void)talk.hears(Bytes(message.begin() + 100, message.end()));
    CHECK(talk.exchange.state() == ExchangeState::waiting);
    CHECK(talk.patience() == 120s);
}

// ---- the end ------------------------------------------------------------------------------------------------------

TEST_CASE(
    "a peer that leaves without an octet has refused; later it has broken off, in a message or not, or was idle") {
    Talk refused;
    refused.asks();
    CHECK(refused.loses_its_peer() == "close refused silently");
    CHECK(refused.text ==
          "the server closed the connection without an answer (end of stream): perhaps the wrong port or "
          "family, a server that wants TLS, a requestor that it does not permit, nobody at home, or too many "
          "connections");
    auto over_tls = test::settings_for(Family::v4);
    over_tls.secured = true;
    Talk secured(over_tls);
    secured.asks();
    CHECK(secured.loses_its_peer() == "close refused silently");
    CHECK(secured.text.find("TLS") == std::string::npos);
    Talk between;
    between.asks();
    (void)between.hears(active4("192.0.2.1"));
    CHECK(between.loses_its_peer() == "close peer closed");
    CHECK(between.text == "the test broke off: end of stream");
    Talk inside;
    inside.asks();
    (void)inside.hears(Bytes{1});
    CHECK(inside.loses_its_peer() == "close peer closed");
    CHECK(inside.text == "the test broke off: end of stream, in the middle of a message");
    Talk idle;
    idle.asks();
    (void)idle.hears(active4("192.0.2.1"));
    idle.exchange.end_query();
    CHECK(idle.loses_its_peer() == "close peer closed");
    CHECK(idle.text == "the server closed the idle connection");
}

TEST_CASE("a query that was not polled is not sent any more when the exchange is closed") {
    Talk talk;
    talk.begins();
    talk.since_start = 300s;
    CHECK(talk.fires() == "close query blocked");
}

TEST_CASE("what a whole message said before the exchange was closed is still polled: its result is valid") {
    Talk talk;
    talk.asks();
    talk.on_message = [&talk](const MessageV4& m) {
        talk.exchange.heard(m);
        talk.exchange.quarantine("not understood", true);
        talk.exchange.read_bindings();
        talk.exchange.close(CloseReason::protocol_violation, {});
    };
    CHECK(talk.hears(active4("192.0.2.1", 5)) ==
          "heard @5; quarantine lost; binding 192.0.2.1 active @5; close protocol violation");
}

TEST_CASE("a closed exchange takes nothing more, and says nothing more") {
    Talk talk;
    talk.asks();
    CHECK(talk.loses_its_peer() == "close refused silently");
    CHECK(talk.hears(active4("192.0.2.1")).empty());
    CHECK(talk.loses_its_peer().empty());
    talk.exchange.on_sent(talk.now());
    talk.exchange.set_reading(false, talk.now());
    talk.exchange.set_reading(true, talk.now());
    CHECK_FALSE(talk.patience());
    talk.since_start = 1h;
    CHECK(talk.fires().empty());
    CHECK(talk.exchange.state() == ExchangeState::closed);
}

}  // namespace
}  // namespace leasemirror
