// Replies with octets flipped, cut and repeated, from fixed seeds: whatever comes, the query stays within its bounds and
// comes to its end.
#include "tests/golden/messages_v4.hpp"
#include "tests/golden/messages_v6.hpp"
#include "tests/proto/udp/talk.hpp"

#include <algorithm>
#include <random>

namespace leasemirror {
namespace {

using namespace test;

/// Damages the reply, mostly behind the transaction-id, so that it is not thrown away at the door.
void damage(Bytes& bytes, std::size_t from, std::mt19937& random) {
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
    for (auto changes = 1 + below(3); changes > 0 && bytes.size() > from; --changes) {
        const auto place = from + below(bytes.size() - from);
        const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(place);
        switch (below(4)) {
            case 0:
                bytes[place] = static_cast<std::uint8_t>(random());
                break;
            case 1:
                bytes[place] = static_cast<std::uint8_t>(bytes[place] ^ (1U << below(8)));
                break;
            case 2:
                bytes.erase(at, bytes.end());
                break;
            case 3: {
                const Bytes piece(at,
                                  at + static_cast<std::ptrdiff_t>(std::min<std::size_t>(16, bytes.size() - place)));
                bytes.insert(at, piece.begin(), piece.end());
                break;
            }
        }
    }
}

void stays_sane(const UdpTalk& talk) {
    for (const auto& answer : talk.query.answers()) {
        REQUIRE(answer.parts.size() <= 1 + 100);
        REQUIRE(answer.bindings.size() <= UdpLimits::bindings_max);
        REQUIRE(answer.notes.size() <= UdpLimits::notes_max);
        for (const auto& told : answer.bindings)
            REQUIRE_FALSE(to_string(told.binding).empty());
        for (const auto& note : answer.notes)
            REQUIRE(printable(note) == note);
    }
    REQUIRE(merge(talk.query.answers()).size() <= 5000);
}

struct Tally {
    int accepted = 0, discarded = 0;
};

template <class MakeReply>
Tally bombard(const UdpSettings& settings, const BulkQuery& query, std::size_t keep, int rounds, MakeReply make_reply) {
    Tally tally;
    std::mt19937 random(5007);
    for (int i = 0; i < rounds; ++i) {
        UdpTalk talk(settings, query);
        for (int n = 0; n < 20 && !talk.query.done(); ++n) {
            auto bytes = make_reply(talk.sent.at(static_cast<std::size_t>(random()) % talk.sent.size()).bytes, random);
            damage(bytes, random() % 16 == 0 ? 0 : keep, random);
            const auto discarded = talk.query.discards().total();
            talk.hear(bytes, settings.servers.front());
            (talk.query.discards().total() == discarded ? tally.accepted : tally.discarded)++;
        }
        stays_sane(talk);
        talk.run_to_end();
        REQUIRE(talk.query.done());
        REQUIRE(talk.sent.size() <= 5 * (1 + 100));
    }
    return tally;
}

}  // namespace

TEST_CASE("damaged v6 replies do no harm, and many are taken and many thrown away") {
    const auto by_client = ask_by(QueryKind::client_id, client_duid);
    const auto tally = bombard(udp_v6(), by_client, 4, 3000, [](ByteView request, std::mt19937& random) {
        auto reply = holds({ia("2001:db8:1::5"), pd("2001:db8:100::", 56)});
        reply.base = 7;
        if (random() % 3 == 0) reply = on_links({"2001:db8:1::", "2001:db8:2::"});
        if (random() % 5 == 0) reply.status = StatusCode::not_allowed;
        return reply.to(request);
    });
    CHECK(tally.accepted > 1000);
    CHECK(tally.discarded > 1000);
}

TEST_CASE("damaged v4 replies do no harm, and many are taken and many thrown away") {
    const auto tally =
        bombard(udp_v4(), ask_by(QueryKind::hw_addr, mac), 240, 3000, [](ByteView request, std::mt19937& random) {
            ReplyV4 reply;
            reply.associated = {"10.0.0.5", "10.0.0.6", "10.0.0.7"};
            reply.remote_id = {1, 2, 3};
            reply.server = "192.0.2.1";
            if (random() % 4 == 0) reply = unknown();
            return reply.to(request);
        });
    CHECK(tally.accepted > 1000);
    CHECK(tally.discarded > 1000);
}

TEST_CASE("any octets at all, and messages that are good but no answer") {
    std::mt19937 random(4388);
    UdpTalk v4(udp_v4(), ask_for("10.0.0.5")), v6(udp_v6(), ask_for("2001:db8:1::5"));
    for (int i = 0; i < 5000; ++i) {
        Bytes noise(random() % 600);
        std::generate(noise.begin(), noise.end(), [&] { return static_cast<std::uint8_t>(random()); });
        v4.hear(noise, endpoint("192.0.2.1"));
        v6.hear(noise, endpoint("2001:db8::1"));
    }
    for (const auto& message : golden::messages_v4)
        v4.hear(message.bytes(), endpoint("192.0.2.1"));
    for (const auto& message : golden::messages_v6)
        v6.hear(message.bytes(), endpoint("2001:db8::1"));
    CHECK(v4.query.discards().total() == 5000 + golden::messages_v4.size());
    CHECK(v6.query.discards().total() == 5000 + golden::messages_v6.size());
    CHECK_FALSE(v4.query.done());
    CHECK_FALSE(v6.query.done());
}

}  // namespace leasemirror
