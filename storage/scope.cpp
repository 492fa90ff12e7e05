#include "storage/scope.hpp"

namespace leasemirror {

std::uint32_t scope_id(const BulkQuery& query) {
    // FNV-1a over what makes the query.
    std::uint32_t hash = 2166136261U;
    const auto mix = [&hash](ByteView octets) {
        for (const auto octet : octets)
            hash = (hash ^ octet) * 16777619U;
    };
    const std::uint8_t head[] = {static_cast<std::uint8_t>(query.kind), query.hw_type};
    mix(head);
    mix(query.address.bytes());
    mix(query.id);
    return hash == 0 ? 1 : hash;
}

}  // namespace leasemirror
