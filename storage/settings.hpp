// What a database is opened with.
#pragma once

#include <chrono>
#include <string>

namespace leasemirror {

/// How long what is past is kept. 0 = for ever.
struct Retention {
    std::chrono::seconds ended{0};        ///< bindings that are not in force, since they were last told or ended
    std::chrono::seconds changes{0};      ///< rows of the change feed, since they were written
    std::chrono::seconds assignments{0};  ///< assignments, since they ended
};
[[nodiscard]] constexpr bool for_ever(std::chrono::seconds kept) {
    return kept <= std::chrono::seconds::zero();
}

struct StoreSettings {
    std::string url;               ///< sqlite:///absolute/path, sqlite://relative/path, postgresql://...
    std::string password;          ///< postgresql only; never logged
    std::string schema;            ///< postgresql only; empty: the first one in the role's search_path, mostly `public`
    bool record_renewals = false;  ///< also write 'renewed' rows to the change feed
    Retention retention;
};

}  // namespace leasemirror
