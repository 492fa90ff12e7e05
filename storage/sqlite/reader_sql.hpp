// What a reader asks a SQLite database: leases, holders and changes. Only for this folder.
#pragma once

#include <string>
#include <string_view>

namespace leasemirror {

/// ?1 address, ?2 prefix length or NULL.
[[nodiscard]] std::string lease_at_sql();
/// ?1 address_key, ?2 family.
[[nodiscard]] std::string leases_around_sql();
/// `column` of `lease`. ?1 its value.
[[nodiscard]] std::string leases_by_sql(std::string_view column);
/// ?1 address, ?2 prefix length or NULL, ?3 from, ?4 to.
[[nodiscard]] std::string holder_at_sql();
/// ?1 address_key, ?2 family, ?3 from, ?4 to.
[[nodiscard]] std::string holders_around_sql();
/// `column` of `assignment`. ?1 its value, ?3 from, ?4 to.
[[nodiscard]] std::string holders_by_sql(std::string_view column);
/// ?1 after which seq, ?2 up to which, ?3 a server's name or NULL.
[[nodiscard]] std::string changes_sql();

}  // namespace leasemirror
