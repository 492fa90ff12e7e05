#include "storage/ledger/first_load.hpp"

#include <algorithm>

namespace leasemirror {

bool searches_clients(const Batch& batch) {
    return std::any_of(batch.changes.begin(), batch.changes.end(),
                       [](const Change& change) { return change.kind == Change::Kind::client_list_end; });
}

bool is_loaded(const Batch& batch) {
    return batch.reconcile || std::any_of(batch.changes.begin(), batch.changes.end(), [](const Change& change) {
               return change.kind == Change::Kind::binding && change.binding.via == Via::active;
           });
}

}  // namespace leasemirror
