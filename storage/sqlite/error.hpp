// SQLite's failures in the terms of the Store contract. Only for this folder.
#pragma once

#include "storage/store_error.hpp"

#include <SQLiteCpp/Exception.h>
#include <string>
#include <string_view>

namespace leasemirror {

/// What happened, to which file, and what to do about it. `doing` completes "cannot ...".
[[nodiscard]] StoreError store_error(const SQLite::Exception& e, const std::string& path, std::string_view doing);

/// Whether the database took offence at the values of one statement alone. SQLite has then undone that statement
/// and nothing else, and the transaction can go on.
[[nodiscard]] bool refuses_values(const SQLite::Exception& e);

/// Runs `work`, letting StoreError through and turning SQLite's own exceptions into it.
template <class Work>
auto translated(const std::string& path, std::string_view doing, Work&& work) {
    try {
        return work();
    } catch (const SQLite::Exception& e) {
        throw store_error(e, path, doing);
    }
}

}  // namespace leasemirror
