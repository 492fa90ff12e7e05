// Tables for people: columns as wide as what is in them.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

/// Columns a terminal needs for it: names may be UTF-8, so octets that continue a character do not count.
[[nodiscard]] std::size_t width_of(std::string_view text);

class TextTable {
public:
    struct Column {
        std::string heading;
        enum class Align { left, right } align = Align::left;
        /// Left out where no row has anything in it but `nothing`.
        bool optional = false;
    };
    static constexpr std::string_view nothing = "-";

    explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

    /// One cell for each column. An empty one is shown as `nothing`.
    void add(std::vector<std::string> cells);
    /// A line below the row that was added last, across all columns.
    void add_note(std::string text);
    void print(std::ostream& out) const;
    /// Prints the rows added since the last call and forgets them, for tables that do not end soon. Columns keep the
    /// width, and optional ones the place, that earlier rows gave them; the heading is printed above the first row, and
    /// again where a column is new.
    void print_part(std::ostream& out);

private:
    struct Row {
        std::vector<std::string> cells;
        std::vector<std::string> notes;
    };
    /// A column as it is printed: which one, and how wide.
    struct Shown {
        std::size_t column;
        std::size_t width;
    };
    [[nodiscard]] bool is_shown(std::size_t column) const;
    [[nodiscard]] std::vector<Shown> shown() const;
    template <class CellOf>
    void print_line(const std::vector<Shown>& shown, CellOf cell_of, std::ostream& out) const;
    void print_heading(const std::vector<Shown>& shown, std::ostream& out) const;
    void print_rows(const std::vector<Shown>& shown, std::ostream& out) const;

    std::vector<Column> columns_;
    std::vector<Row> rows_;
    std::vector<std::size_t> widths_;  // of the columns that print_part() has shown; 0: not shown yet
};

}  // namespace leasemirror
