// Decoding allocates nothing per message in steady state. Counted, not believed.
#include "proto/wire/fill_binding.hpp"
#include "proto/wire/frame_buffer.hpp"
#include "tests/golden/messages_v4.hpp"
#include "tests/golden/messages_v6.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::size_t> allocations{0};
}

void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* p = std::malloc(bytes == 0 ? 1 : bytes)) return p;
    throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}

namespace leasemirror {
namespace {

/// How many allocations the second and later rounds make; the first one warms up.
template <class Round>
std::size_t allocations_when_warm(Round round) {
    round();
    round();
    const auto before = allocations.load();
    for (int i = 0; i < 10; ++i)
        round();
    return allocations.load() - before;
}

Bytes framed(ByteView message) {
    Bytes out(2 + message.size());
    ByteWriter writer(out);
    writer.u16(static_cast<std::uint16_t>(message.size()));
    writer.bytes(message);
    return out;
}

}  // namespace

TEST_CASE("from octets to binding, a warm v4 path allocates nothing, with split options too") {
    ScratchV4 scratch, first;
    const auto message = golden::v4_lease_active.bytes();
    const auto whole = decode_v4(message, first);
    REQUIRE(whole);
    auto m = *whole;
    const auto vpn = golden::hex("\"a-vpn-with-a-name-that-is-not-short\"");
    m.vss = VssV4{0, vpn};
    Bytes room(2000);
    ByteWriter out(room);
    encode_v4(m, out, {3, false});
    REQUIRE(out.ok());
    const auto stream = framed(out.written());

    FrameBuffer frames(header_bytes_v4);
    Binding binding;
    std::optional<DecodeError> relay_fault;
    bool good = true;
    const std::uint16_t keep[] = {60, 81};
    const auto count = allocations_when_warm([&] {
        frames.append(stream);
        const auto next = frames.next();
        const auto decoded = decode_v4(*next, scratch);
        good = good && decoded && !fill_binding(*decoded, {{}, Via::bulk, keep}, binding, relay_fault);
    });
    CHECK(good);
    CHECK(binding.key.vpn_id == "ascii:a-vpn-with-a-name-that-is-not-short");
    CHECK(count == 0);
}

TEST_CASE("from octets to bindings, a warm v6 path allocates nothing") {
    ScratchV6 scratch;
    const auto stream = framed(golden::v6_lease_query_reply.bytes());
    FrameBuffer frames(header_bytes_v6);
    Binding binding;
    std::optional<DecodeError> relay_fault;
    bool good = true;
    const auto count = allocations_when_warm([&] {
        frames.append(stream);
        const auto next = frames.next();
        const auto decoded = decode_v6(*next, scratch);
        good = good && decoded;
        for (const auto& client : decoded->client_data)
            for (const auto& lease : client.leases)
                good = good && !fill_binding(*decoded, client, lease, {}, binding, relay_fault);
    });
    CHECK(good);
    CHECK(binding.key.prefix_len == 56);
    CHECK(count == 0);
}

}  // namespace leasemirror
