// Any octets as a DHCPv4 message and as an option 82: no harm, and what is accepted survives its own encoding.
#include "proto/wire/fill_binding.hpp"

#include <cassert>
#include <cstddef>
#include <cstdint>

using namespace leasemirror;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView input(data, size);
    (void)decode_relay_agent_information(input);

    static ScratchV4 scratch, again_scratch;
    static Binding binding;
    static Bytes room(3 * 65535);  // splitting an option makes it longer
    const auto m = decode_v4(input, scratch);
    if (!m) {
        assert(m.error().offset <= size);
        return 0;
    }
    std::optional<DecodeError> relay_fault;
    if (!fill_binding(*m, {}, binding, relay_fault)) (void)to_string(binding);

    for (const LayoutV4 layout : {LayoutV4{}, LayoutV4{7, false}, LayoutV4{253, true}}) {
        ByteWriter out(room);
        encode_v4(*m, out, layout);
        if (!out.ok()) continue;  // overloading has room for one frame only
        const auto again = decode_v4(out.written(), again_scratch);
        assert(again);
        assert(again->type == m->type && again->xid == m->xid && again->status == m->status);
        assert(again->client_id.size() == m->client_id.size());
        assert(again->base_time == m->base_time && again->lease_time == m->lease_time);
    }
    return 0;
}
