// What one word of a server is as a row of `binding`: in our clock, and in the texts that are stored.
#pragma once

#include "storage/ledger/binding_row.hpp"

#include <string>

namespace leasemirror {

/// Sets the columns that a server tells. Left as they are: the key, the state, and all that the ledger decides.
/// `scratch` is for texts that must be changed to be stored.
void fill_told(BindingRow& row, const Binding& told, Skew skew, std::string& scratch);

/// A row of it alone, as if nothing had been known of the binding before. Whether it has expired is not looked at.
[[nodiscard]] BindingRow told_row(const Binding& told, Skew skew, std::string& scratch);

}  // namespace leasemirror
