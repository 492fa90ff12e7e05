// Rows of the database as programs and people read them.
#pragma once

#include "storage/record.hpp"

#include <string>
#include <string_view>

namespace leasemirror {

/// One JSON object without a line break, keys are the columns (storage/README.md, "Tables").
[[nodiscard]] std::string json_line(const Record& row);

/// One value as json_line() has it.
[[nodiscard]] std::string json_value(const Value& value);

/// The value of a column for a table: times as ISO 8601, octets as text if all of them are printable, else as hex with
/// colons; empty for NULL and for a column that is not there.
[[nodiscard]] std::string cell_of(const Record& row, std::string_view column);
/// Whether a column is true.
[[nodiscard]] bool flag_of(const Record& row, std::string_view column);
[[nodiscard]] std::int64_t number_of(const Record& row, std::string_view column);

/// "192.0.2.7", "2001:db8:100::/56".
[[nodiscard]] std::string address_cell(const Record& row);

/// Octets for people: the text if all are printable ASCII, else hex with colons.
[[nodiscard]] std::string identifier_text(ByteView octets);

}  // namespace leasemirror
