// Whole exchanges, cut and bent in every way: a stream may arrive in any pieces, stop at any octet, and go wrong at any
// step; what was whole before that is delivered, then there is one Close, and nothing after it.
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

#include <initializer_list>
#include <random>

namespace leasemirror {
namespace {

using namespace std::chrono_literals;
using test::active4;
using test::ActiveTalk;
using test::broken;
using test::BulkTalk;
using test::Client;
using test::done4;
using test::done6;
using test::ia;
using test::pd;
using test::reply6;
using test::status4;
using test::unassigned4;
using test::V4;
using test::V6;
using test::xid;

/// A message and what the session is to ask for because of it.
struct Step {
    Bytes message;
    std::string words;
};

struct Script {
    std::string name;
    Family family;
    bool active;
    std::vector<Step> steps;

    [[nodiscard]] Bytes stream() const {
        Bytes out;
        for (const auto& step : steps)
            out.insert(out.end(), step.message.begin(), step.message.end());
        return out;
    }
    /// The words of the first `count` steps.
    [[nodiscard]] std::string words(std::size_t count) const {
        std::string out;
        for (std::size_t i = 0; i < count; ++i)
            append(out, steps[i].words);
        return out;
    }
    [[nodiscard]] std::size_t whole_messages(std::size_t octets) const {
        std::size_t count = 0;
        for (std::size_t at = 0; count < steps.size() && (at += steps[count].message.size()) <= octets;)
            ++count;
        return count;
    }
    static void append(std::string& words, std::string_view more) {
        if (!words.empty() && !more.empty()) words += "; ";
        words += more;
    }
};

Script bulk_v4() {
    return {"bulk v4",
            Family::v4,
            false,
            {{V4{.ip = "192.0.2.1", .base = 5, .server = "198.51.100.1"}.bytes(),
              "heard @5 from c6336401; binding 192.0.2.1 active @5"},
             {unassigned4("192.0.2.2", 6).bytes(), "heard @6; binding 192.0.2.2 available @6"},
             {active4("0.0.0.0", 6).bytes(), "heard @6; quarantine lost"},
             {broken(active4("192.0.2.3", 6)), "quarantine lost 192.0.2.3"},
             {V4{.type = MessageTypeV4::lease_unknown}.bytes(), "quarantine kept"},
             {active4("192.0.2.4", 7).bytes(), "heard @7; binding 192.0.2.4 active @7"},
             {done4(StatusCode::query_terminated, 8).bytes(), "heard @8; failed QueryTerminated"}}};
}
Script bulk_v6() {
    return {"bulk v6",
            Family::v6,
            false,
            {{reply6({.clients = {Client{{ia("2001:db8::1"), pd("2001:db8:100::", 56)}}}, .base = 5}).bytes(),
              "heard @5 from 00030001bb; binding 2001:db8::1 active @5; binding 2001:db8:100::/56 active @5; "
              "listed 2 of 00030001cc"},
             {V6{.base = 6}.bytes(), "heard @6"},
             {V6{.clients = {Client{}}, .base = 6}.bytes(), "heard @6; listed 0 of 00030001cc"},
             {broken(V6{.base = 6}), "quarantine lost"},
             {V6{.clients = {Client{{ia("2001:db8::2", 0)}}}, .base = 7}.bytes(),
              "heard @7; binding 2001:db8::2 ended @7; listed 1 of 00030001cc"},
             {done6().bytes(), "heard; complete"}}};
}
Script active_v4() {
    return {"active v4",
            Family::v4,
            true,
            {{V4{.ip = "192.0.2.1", .base = 5, .server = "198.51.100.1"}.bytes(),
              "heard @5 from c6336401; binding 192.0.2.1 active @5"},
             {status4(StatusCode::connection_active, 6).bytes(), "heard @6"},
             {status4(StatusCode::catch_up_complete, 7).bytes(), "heard @7; caught-up; advance @7"},
             {unassigned4("192.0.2.1", 8).bytes(), "heard @8; binding 192.0.2.1 available @8; advance @8"},
             {broken(active4("192.0.2.3", 8)), "quarantine lost 192.0.2.3"},
             {status4(StatusCode::data_missing, 9).bytes(), "heard @9; data-missing @9; advance @9"},
             {status4(StatusCode::connection_active, 10).bytes(), "heard @10; advance @10"}}};
}
Script active_v6() {
    return {"active v6",
            Family::v6,
            true,
            {{reply6({.base = 5}).bytes(), "heard @5 from 00030001bb"},
             {V6{.clients = {Client{{ia("2001:db8::1"), ia("2001:db8::2")}}}, .base = 6}.bytes(),
              "heard @6; binding 2001:db8::1 active @6; binding 2001:db8::2 active @6; listed 2 of 00030001cc"},
             {V6{.base = 7, .status = StatusCode::catch_up_complete}.bytes(), "heard @7; caught-up; advance @7"},
             {V6{.clients = {Client{}}, .base = 8}.bytes(), "heard @8; listed 0 of 00030001cc; advance @8"},
             {broken(V6{.base = 8}), "quarantine lost"},
             {V6{.base = 9, .status = StatusCode::data_missing}.bytes(), "heard @9; data-missing @9; advance @9"},
             {V6{.base = 10}.bytes(), "heard @10; advance @10"}}};
}

std::vector<Script> scripts() {
    return {bulk_v4(), bulk_v6(), active_v4(), active_v6()};
}

/// Calls `use` with a session that has asked the query of the script.
template <class Use>
void with_session(const Script& script, Use use) {
    if (script.active) {
        auto talk = ActiveTalk::asked(script.family, 1);
        use(talk);
    } else {
        auto talk = BulkTalk::asked(script.family);
        use(talk);
    }
}

/// Over, and nothing that happens any more has an effect.
template <class AnyTalk>
void check_over(AnyTalk& talk, const Script& script) {
    CHECK_FALSE(talk.session.next_deadline());
    CHECK(talk.hears(script.steps[0].message).empty());
    CHECK(talk.loses_its_peer().empty());
    CHECK(talk.waits(3600s).empty());
}

TEST_CASE("every script plays as it is written") {
    for (const auto& script : scripts()) {
        CAPTURE(script.name);
        with_session(script, [&](auto& talk) {
            for (const auto& step : script.steps)
                CHECK(talk.hears(step.message) == step.words);
        });
    }
}

TEST_CASE("the pieces in which a stream arrives make no difference") {
    for (const auto& script : scripts()) {
        CAPTURE(script.name);
        for (const auto step : std::initializer_list<std::size_t>{1, 2, 3, 7, 64, 241, 65536}) {
            with_session(script, [&](auto& talk) {
                CHECK(talk.hears(script.stream(), step) == script.words(script.steps.size()));
            });
        }
    }
}

TEST_CASE("how slowly the actions are polled makes no difference, and nothing is decoded ahead of it") {
    for (const auto& script : scripts()) {
        CAPTURE(script.name);
        with_session(script, [&](auto& talk) {
            const auto stream = script.stream();
            ByteView rest(stream);
            test::Asked asked;
            while (true) {
                if (const auto room = std::min({talk.session.wants_bytes(), rest.size(), std::size_t{5}}); room > 0) {
                    talk.session.on_bytes(rest.first(room), talk.now());
                    rest = rest.subspan(room);
                }
                talk.sets_reading(false);
                talk.passes(1000s);
                talk.sets_reading(true);
                const auto action = talk.session.poll_action();
                if (action) asked.add(*action);
                if (!action && rest.empty()) break;
            }
            CHECK(asked.words == script.words(script.steps.size()));
        });
    }
}

TEST_CASE("a connection cut at any octet delivers the whole messages before the cut, then closes once") {
    for (const auto& script : scripts()) {
        const auto stream = script.stream();
        for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
            with_session(script, [&](auto& talk) {
                auto expected = script.words(script.whole_messages(cut));
                Script::append(expected, cut == 0 ? "close refused silently" : "close peer closed");
                // Fed and cut before anything is polled: what is buffered counts as much as what was read out.
                if (cut > 0) talk.session.on_bytes(ByteView(stream).first(cut), talk.now());
                const auto words = talk.loses_its_peer();
                if (words != expected) {
                    CAPTURE(script.name);
                    CAPTURE(cut);
                    CHECK(words == expected);
                }
                check_over(talk, script);
            });
        }
    }
}

TEST_CASE("a script that fails at each step in turn") {
    for (const auto& script : scripts()) {
        CAPTURE(script.name);
        const auto bulk_ends_at = script.active ? script.steps.size() : script.steps.size() - 1;
        for (std::size_t step = 0; step <= bulk_ends_at; ++step) {
            CAPTURE(step);
            const auto until_failure = [&](auto& talk) {
                for (std::size_t i = 0; i < step; ++i)
                    CHECK(talk.hears(script.steps[i].message) == script.steps[i].words);
            };
            with_session(script, [&](auto& talk) {
                until_failure(talk);
                CHECK(talk.loses_its_peer() == (step == 0 ? "close refused silently" : "close peer closed"));
                check_over(talk, script);
            });
            with_session(script, [&](auto& talk) {
                until_failure(talk);
                const auto patience = talk.patience();
                CHECK(patience == (script.active ? 120s : 300s));
                CHECK(talk.waits(*patience) == "close peer silent");
                check_over(talk, script);
            });
            with_session(script, [&](auto& talk) {
                until_failure(talk);
                CHECK(talk.hears(Bytes{0, 1, 0}) == "close framing lost");
                check_over(talk, script);
            });
            with_session(script, [&](auto& talk) {
                until_failure(talk);
                const auto foreign = script.family == Family::v4
                                         ? V4{.ip = "192.0.2.9", .id = xid + 1}.bytes()
                                         : V6{.clients = {Client{{ia("2001:db8::9")}}}, .id = xid + 1}.bytes();
                CHECK(talk.hears(foreign) == "close unknown transaction");
                check_over(talk, script);
            });
        }
    }
}

TEST_CASE("a message that cannot be decoded, at any step, costs itself alone") {
    for (const auto& script : scripts()) {
        CAPTURE(script.name);
        for (std::size_t step = 1; step < script.steps.size(); ++step) {
            CAPTURE(step);
            with_session(script, [&](auto& talk) {
                for (std::size_t i = 0; i < script.steps.size(); ++i) {
                    if (i == step) {
                        const auto garbled = script.family == Family::v4
                                                 ? broken(active4("192.0.2.9"))
                                                 : broken(V6{.clients = {Client{{ia("2001:db8::9")}}}});
                        CHECK(talk.hears(garbled).starts_with("quarantine lost"));
                    }
                    CHECK(talk.hears(script.steps[i].message) == script.steps[i].words);
                }
            });
        }
    }
}

TEST_CASE("streams with octets changed at random are survived, close at most once, and say nothing after it") {
    std::mt19937 random(20240229);  // NOLINT: the same streams in every run
    const auto below = [&random](std::size_t bound) { return static_cast<std::size_t>(random()) % bound; };
    for (const auto& script : scripts()) {
        CAPTURE(script.name);
        const auto stream = script.stream();
        for (int round = 0; round < 2000; ++round) {
            auto bent = stream;
            for (std::size_t changes = 1 + below(4); changes > 0; --changes)
                bent[below(bent.size())] = static_cast<std::uint8_t>(random());
            with_session(script, [&](auto& talk) {
                const auto step = 1 + below(400);
                for (ByteView rest(bent); !rest.empty();) {
                    const auto room = std::min({talk.session.wants_bytes(), rest.size(), step});
                    REQUIRE(room > 0);
                    talk.session.on_bytes(rest.first(room), talk.now());
                    rest = rest.subspan(room);
                    (void)talk.poll();
                }
                (void)talk.loses_its_peer();
                const auto& words = talk.all.words;
                const auto close = words.find("close ");
                REQUIRE(close != std::string::npos);
                CHECK(words.find(';', close) == std::string::npos);
            });
        }
    }
}

}  // namespace
}  // namespace leasemirror
