#include "agent/config/store_settings.hpp"

namespace leasemirror {

StoreSettings store_settings(const Config& config) {
    StoreSettings out;
    out.url = config.storage.url;
    out.password = config.storage.password;
    out.schema = config.storage.schema;
    out.record_renewals = config.storage.record_renewals;
    out.retention = {config.storage.retention.ended, config.storage.retention.changes,
                     config.storage.retention.assignments};
    return out;
}

}  // namespace leasemirror
