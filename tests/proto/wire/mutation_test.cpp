// Golden messages with octets flipped, cut and repeated, from one seed: whatever comes, the decoders answer, and what
// they accept can be filled into a binding, printed and encoded again.
#include "proto/wire/fill_binding.hpp"
#include "tests/golden/messages_v4.hpp"
#include "tests/golden/messages_v6.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

namespace leasemirror {
namespace {

constexpr int rounds = 100000;
constexpr std::uint32_t seed = 7724;

void mutate(Bytes& bytes, std::mt19937& random) {
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
    for (auto changes = 1 + below(4); changes > 0 && !bytes.empty(); --changes) {
        const auto place = below(bytes.size());
        const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(place);
        switch (below(5)) {
            case 0:
                bytes[place] = static_cast<std::uint8_t>(random());
                break;
            case 1:
                bytes[place] = static_cast<std::uint8_t>(bytes[place] ^ (1U << below(8)));
                break;
            case 2:
                bytes.erase(at, bytes.end());
                break;
            case 3:
                bytes.erase(at);
                break;
            case 4: {
                const Bytes piece(at, at + static_cast<std::ptrdiff_t>(std::min<std::size_t>(8, bytes.size() - place)));
                bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())), piece.begin(),
                             piece.end());
                break;
            }
        }
    }
}

}  // namespace

TEST_CASE("mutated v4 messages never do harm, and many are accepted and many refused") {
    std::mt19937 random(seed);
    ScratchV4 scratch, again_scratch;
    Binding binding;
    std::optional<DecodeError> relay_fault;
    Bytes room(65535);
    int accepted = 0;
    for (int i = 0; i < rounds; ++i) {
        auto bytes = golden::messages_v4[static_cast<std::size_t>(i) % golden::messages_v4.size()].bytes();
        mutate(bytes, random);
        const auto m = decode_v4(bytes, scratch);
        if (!m) {
            REQUIRE(m.error().offset <= bytes.size());
            continue;
        }
        ++accepted;
        const bool filled = !fill_binding(*m, {}, binding, relay_fault);
        if (filled) REQUIRE_FALSE(to_string(binding).empty());
        ByteWriter out(room);
        encode_v4(*m, out);
        REQUIRE(out.ok());
        const auto again = decode_v4(out.written(), again_scratch);
        REQUIRE(again);
        REQUIRE(again->lease_time == m->lease_time);
        REQUIRE(again->status == m->status);
    }
    CHECK(accepted > rounds / 10);
    CHECK(accepted < rounds * 9 / 10);
}

TEST_CASE("mutated v6 messages never do harm, and many are accepted and many refused") {
    std::mt19937 random(seed);
    ScratchV6 scratch, again_scratch;
    Binding binding;
    std::optional<DecodeError> relay_fault;
    Bytes room(65535);
    int accepted = 0;
    for (int i = 0; i < rounds; ++i) {
        auto bytes = golden::messages_v6[static_cast<std::size_t>(i) % golden::messages_v6.size()].bytes();
        mutate(bytes, random);
        const auto m = decode_v6(bytes, scratch);
        if (!m) {
            REQUIRE(m.error().offset <= bytes.size());
            continue;
        }
        ++accepted;
        for (const auto& client : m->client_data)
            for (const auto& lease : client.leases)
                if (!fill_binding(*m, client, lease, {}, binding, relay_fault))
                    REQUIRE_FALSE(to_string(binding).empty());
        ByteWriter out(room);
        encode_v6(*m, out);
        REQUIRE(out.ok());
        const auto again = decode_v6(out.written(), again_scratch);
        REQUIRE(again);
        REQUIRE(again->base_time == m->base_time);
        if (!m->client_data.empty()) REQUIRE(again->client_data.size() == m->client_data.size());
    }
    CHECK(accepted > rounds / 10);
    CHECK(accepted < rounds * 9 / 10);
}

}  // namespace leasemirror
