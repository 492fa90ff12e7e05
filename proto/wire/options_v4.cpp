#include "proto/wire/options_v4.hpp"

namespace leasemirror {
bool read_u8(ByteView data, std::optional<std::uint8_t>& out) {
    if (data.size() != 1) return false;
    out = data[0];
    return true;
}

bool read_u32(ByteView data, std::optional<std::uint32_t>& out) {
    if (data.size() != 4) return false;
    out = ByteReader(data).u32();
    return true;
}

bool read_time(ByteView data, std::optional<ServerTime>& out) {
    if (data.size() != 4) return false;
    out = server_time_from_unix(ByteReader(data).u32());
    return true;
}

bool read_address(ByteView data, std::optional<IpAddress>& out) {
    if (data.size() != 4) return false;
    out = IpAddress::from_bytes(data);
    return true;
}

bool read_at_least(std::size_t least, ByteView data, ByteView& out) {
    out = data;
    return data.size() >= least;
}

bool read_vss(ByteView data, std::optional<VssV4>& out) {
    if (data.empty()) return false;
    out = VssV4{data[0], data.subspan(1)};
    return true;
}

bool read_status(ByteView data, std::optional<Status>& out) {
    if (data.empty()) return false;
    out = Status{status_code_v4(data[0]), data[0], as_text(data.subspan(1))};
    return true;
}

}  // namespace leasemirror
