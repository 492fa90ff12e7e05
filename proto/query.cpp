#include "proto/query.hpp"

#include "proto/binding.hpp"

namespace leasemirror {

std::uint32_t BulkQuery::scope_id() const {
    // FNV-1a over what makes the query: stable across runs, machines and the order of the configuration.
    std::uint32_t hash = 2166136261U;
    const auto mix = [&hash](ByteView octets) {
        for (const auto octet : octets)
            hash = (hash ^ octet) * 16777619U;
    };
    const std::uint8_t head[] = {static_cast<std::uint8_t>(kind), hw_type};
    mix(head);
    mix(address.bytes());
    mix(id);
    return hash == 0 ? 1 : hash;
}

std::string to_string(const BulkQuery& q) {
    switch (q.kind) {
        case QueryKind::all:
            return "everything";
        case QueryKind::address:
            return "address " + q.address.to_string();
        case QueryKind::client_id:
            return "client-id " + to_hex(q.id);
        case QueryKind::hw_addr:
            return "hardware address " + to_hex(q.id, ':');
        case QueryKind::relay_id:
            return "relay-id " + to_hex(q.id);
        case QueryKind::remote_id:
            return "remote-id " + to_hex(q.id);
        case QueryKind::link:
            return "link " + q.address.to_string();
    }
    return {};
}

}  // namespace leasemirror
