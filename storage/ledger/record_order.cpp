#include "storage/ledger/record_order.hpp"

namespace leasemirror {

bool replaces(const RecordAge& told, const RecordAge& stored) {
    if (told.epoch != stored.epoch) return told.epoch > stored.epoch;
    if (told.base_time != stored.base_time) return told.base_time > stored.base_time;
    return told.via >= stored.via;
}

Via via_from_word(std::string_view word) {
    if (word == to_string(Via::active)) return Via::active;
    return word == to_string(Via::query) ? Via::query : Via::bulk;
}

}  // namespace leasemirror
