#include "proto/query.hpp"

#include "proto/binding.hpp"

namespace leasemirror {

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
