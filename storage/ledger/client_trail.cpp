#include "storage/ledger/client_trail.hpp"

#include "proto/binding.hpp"
#include "storage/ledger/stored_text.hpp"

namespace leasemirror {

ClientTrail::ClientTrail(const ClientIdentity& client)
    : client_id_(client.client_id), client_id_hex_(to_hex(client.client_id)) {
    colon_hex(client.hw_addr, hw_addr_);
}

bool ClientTrail::take(const TrailRow& row) {
    if (!hw_addr_.empty()) return take_by_hw_addr(row);
    return row.client_id == client_id_ || row.other_client_id == client_id_hex_;
}

bool ClientTrail::take_by_hw_addr(const TrailRow& row) {
    if (row.tells_hw_addr && row.hw_addr == hw_addr_) {
        held_.insert(row.binding);
        return true;
    }
    // What is no longer told does not make it another client; another value does, and so does a new beginning.
    const bool of_another = row.assigned || (row.tells_hw_addr && !row.hw_addr.empty());
    if (of_another) held_.erase(row.binding);
    return held_.contains(row.binding);
}

}  // namespace leasemirror
