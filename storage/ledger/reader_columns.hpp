// The columns that a Reader gives, the same in every engine, in the order in which people want to see them. Only for
// the readers of this folder.
#pragma once

#include "storage/record.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace leasemirror {

enum class ColumnType : std::uint8_t { text, number, flag, bytes, time, address, json };

struct ReaderColumn {
    std::string_view name;
    std::string_view source;  ///< as the queries call it
    ColumnType type;
};

/// l: the view `lease`, a: the open assignment.
extern const std::span<const ReaderColumn> lease_columns;
/// a: `assignment`, s: `server`.
extern const std::span<const ReaderColumn> assignment_columns;
/// c: `binding_change`, s: `server`. The first is `seq`.
extern const std::span<const ReaderColumn> change_columns;

/// All that there are, in their order.
inline constexpr std::array every_holder_column{HolderSought::By::hw_addr, HolderSought::By::client_id,
                                                HolderSought::By::remote_id, HolderSought::By::circuit_id};
/// Of `lease` and of `assignment`.
[[nodiscard]] std::string_view column_of(HolderSought::By by);

}  // namespace leasemirror
