// PostgreSQL's failures in the terms of the Store contract. Only for this folder.
#pragma once

#include "storage/store_error.hpp"

#include <exception>
#include <string>
#include <string_view>

namespace leasemirror {

/// What happened, in which database, and what to do about it. `e` is an exception of libpqxx; `doing` completes
/// "cannot ...". `connected`: whether the session survived it.
[[nodiscard]] StoreError store_error(const std::exception& e, bool connected, const std::string& where,
                                     std::string_view doing);

/// That no session could be opened. libpq gives no code then, only the words of the server.
[[nodiscard]] StoreError connect_error(const std::exception& e, const std::string& where);

/// That a pooler hands out the session to others as well.
[[nodiscard]] StoreError shared_session_error(const std::string& where);

/// Whether the server took offence at the values of a statement alone.
[[nodiscard]] bool refuses_values(const std::exception& e);

/// What the server said, without what follows in further lines (details with values, the statement).
[[nodiscard]] std::string first_line(std::string_view what);

}  // namespace leasemirror
