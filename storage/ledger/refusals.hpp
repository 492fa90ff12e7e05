// What becomes of a batch with values that the database refuses: the bindings that they belong to stay as they were, in
// doubt; all others are written, and what was told of these bindings goes to quarantine.
#pragma once

#include "storage/ledger/ledger.hpp"
#include "storage/store_error.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

/// How a batch is written: as a whole; or in pieces, each of which can be taken back.
enum class Care : std::uint8_t { none, piecewise };

/// Applies a batch with `apply(Care)`, in a transaction of its own each time. Which row the database refuses is looked
/// for only once it has refused one: to be able to go back to before each row costs more than the row itself.
template <class Apply>
auto apply_with_care(Apply&& apply) {
    try {
        return apply(Care::none);
    } catch (const StoreError& e) {
        if (e.fault() != StoreFault::refused) throw;
    }
    return apply(Care::piecewise);
}

struct Refusals {
    std::vector<std::string> lines;           ///< Applied::refused
    std::vector<QuarantineEntry> quarantine;  ///< one for each change of which nothing was written
};

/// Writes what belongs to these entries, as a whole or not at all: then it says why the database refused it. Any other
/// failure is an exception.
using WritePiece = std::function<std::optional<std::string>(EntryRange)>;
/// Puts a row that is in the table in doubt for `refused`, as of the age of the row as it was told, and as listed by the bulk
/// that it was listed by, if the database takes that.
using ShowRefusal = std::function<bool(const BindingRow&)>;

/// Writes what the ledger has come to. Entries that the database refuses are marked so; `batch` is what the ledger ran.
[[nodiscard]] Refusals write_piecewise(Ledger& ledger, const Batch& batch, const WritePiece& write,
                                       const ShowRefusal& show);

}  // namespace leasemirror
