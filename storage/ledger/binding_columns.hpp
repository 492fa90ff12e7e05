// The columns of the table `binding`, once for both engines: what each is called, what it holds, how a row fills it and
// how it is read back. Statements that write or read whole rows take their columns from here, in this order.
#pragma once

#include "storage/ledger/binding_row.hpp"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace leasemirror {

/// Takes the values of a row, one column after the other. What it is given must live until the statement has run.
class ColumnWriter {
public:
    virtual void word(std::string_view value) = 0;  ///< of our own enumerations, a literal; empty: NULL
    virtual void number(std::optional<std::int64_t> value) = 0;
    virtual void time(std::optional<UtcSeconds> value) = 0;
    virtual void text(const std::string& value) = 0;
    virtual void text_or_null(const std::string& value) = 0;  ///< empty: NULL
    virtual void bytes_or_null(ByteView value) = 0;           ///< empty: NULL
    virtual void address(const std::optional<IpAddress>& value) = 0;

protected:
    ~ColumnWriter() = default;
};

/// Gives the values of a row, one column after the other.
class ColumnReader {
public:
    virtual std::string_view text() = 0;  ///< empty for NULL; until the next row
    virtual std::int64_t number() = 0;    ///< 0 for NULL
    virtual std::optional<std::int64_t> number_if_any() = 0;
    virtual std::optional<UtcSeconds> time() = 0;
    virtual Bytes bytes() = 0;  ///< empty for NULL
    virtual std::optional<IpAddress> address() = 0;
    virtual std::string json() = 0;  ///< as options_json() writes it; empty for NULL

protected:
    ~ColumnReader() = default;
};

enum class ColumnUse : std::uint8_t {
    id,       ///< the database gives it to a new row, and finds the row by it
    key,      ///< of the key that the server's word finds the row by: written with a new row
    derived,  ///< from the key, for readers: written with a new row, never read back
    told,     ///< written whenever the row is
    indexed,  ///< an index stands on it: left out where it is as stored, so that a renewal touches no index
};

class ColumnUses {
public:
    constexpr ColumnUses(std::initializer_list<ColumnUse> uses) {
        for (const auto use : uses)
            bits_ |= bit(use);
    }
    [[nodiscard]] constexpr bool contains(ColumnUse use) const { return (bits_ & bit(use)) != 0; }

private:
    static constexpr unsigned bit(ColumnUse use) { return 1U << static_cast<unsigned>(use); }
    unsigned bits_ = 0;
};

/// All that a BindingRow holds.
constexpr ColumnUses stored_columns{ColumnUse::id, ColumnUse::key, ColumnUse::told, ColumnUse::indexed};

struct BindingColumn {
    std::string_view name;
    std::string_view type;  ///< as PostgreSQL calls it; SQLite has the same in its own types
    ColumnUse use;
    void (*put)(ColumnWriter& out, const BindingRow& row);
    void (*take)(ColumnReader& in, BindingRow& row);  ///< null where it is never read back
};
/// All but `server_id`, which is the same in all rows of a statement, and what one engine alone has for its searches.
extern const std::span<const BindingColumn> binding_columns;

void put_columns(ColumnWriter& out, const BindingRow& row, ColumnUses uses);
/// Of stored_columns.
[[nodiscard]] BindingRow take_row(ColumnReader& in);

[[nodiscard]] std::size_t count_columns(ColumnUses uses);
/// print(column, place) of each, with commas in between; the places count from 0.
template <class Print>
[[nodiscard]] std::string list_columns(ColumnUses uses, Print&& print) {
    std::string out;
    std::size_t place = 0;
    for (const auto& column : binding_columns) {
        if (!uses.contains(column.use)) continue;
        out.append(place == 0 ? "" : ", ").append(print(column, place));
        ++place;
    }
    return out;
}
/// Their names, each behind `prefix`.
[[nodiscard]] std::string column_names(ColumnUses uses, std::string_view prefix = {});

}  // namespace leasemirror
