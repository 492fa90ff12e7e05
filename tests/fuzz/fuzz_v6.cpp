// Any octets as a DHCPv6 message, as relay data and as a DUID: no harm, and what is accepted survives its own encoding.
#include "proto/wire/fill_binding.hpp"

#include <cassert>
#include <cstddef>
#include <cstdint>

using namespace leasemirror;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView input(data, size);
    (void)decode_relay_data(input);
    (void)duid_hardware(input);

    static ScratchV6 scratch, again_scratch;
    static Binding binding;
    static Bytes room(2 * 65535);
    const auto m = decode_v6(input, scratch);
    if (!m) {
        assert(m.error().offset <= size);
        return 0;
    }
    std::optional<DecodeError> relay_fault;
    for (const auto& client : m->client_data)
        for (const auto& lease : client.leases)
            if (!fill_binding(*m, client, lease, {}, binding, relay_fault)) (void)to_string(binding);

    ByteWriter out(room);
    encode_v6(*m, out);
    if (!out.ok()) return 0;
    const auto again = decode_v6(out.written(), again_scratch);
    assert(again);
    assert(again->type == m->type && again->xid == m->xid && again->status == m->status);
    assert(again->base_time == m->base_time);
    assert(m->client_data.empty() || again->client_data.size() == m->client_data.size());
    return 0;
}
