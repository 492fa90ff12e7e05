#include "agent/cli/table_text.hpp"

#include <algorithm>
#include <cassert>
#include <ostream>
#include <utility>

namespace leasemirror {

std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

void TextTable::add(std::vector<std::string> cells) {
    assert(cells.size() == columns_.size());
    for (auto& cell : cells)
        if (cell.empty()) cell = std::string(nothing);
    rows_.push_back({std::move(cells), {}});
}

void TextTable::add_note(std::string text) {
    rows_.back().notes.push_back(std::move(text));
}

bool TextTable::is_shown(std::size_t column) const {
    if (!columns_[column].optional || (!widths_.empty() && widths_[column] > 0)) return true;
    return std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) { return row.cells[column] != nothing; });
}

std::vector<TextTable::Shown> TextTable::shown() const {
    std::vector<Shown> out;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (!is_shown(i)) continue;
        auto width = std::max(width_of(columns_[i].heading), widths_.empty() ? 0 : widths_[i]);
        for (const auto& row : rows_)
            width = std::max(width, width_of(row.cells[i]));
        out.push_back({i, width});
    }
    return out;
}

template <class CellOf>
void TextTable::print_line(const std::vector<Shown>& shown, CellOf cell_of, std::ostream& out) const {
    std::string line;
    for (const auto& [column, width] : shown) {
        const std::string& cell = cell_of(column);
        const std::string padding(width - width_of(cell), ' ');
        line += line.empty() ? "" : "  ";
        line += columns_[column].align == Column::Align::right ? padding + cell : cell + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
}

void TextTable::print_heading(const std::vector<Shown>& shown, std::ostream& out) const {
    print_line(
        shown, [&](std::size_t i) -> const std::string& { return columns_[i].heading; }, out);
}

void TextTable::print_rows(const std::vector<Shown>& shown, std::ostream& out) const {
    for (const auto& row : rows_) {
        print_line(
            shown, [&](std::size_t i) -> const std::string& { return row.cells[i]; }, out);
        for (const auto& note : row.notes)
            out << "  " << note << '\n';
    }
}

void TextTable::print(std::ostream& out) const {
    const auto columns = shown();
    print_heading(columns, out);
    print_rows(columns, out);
}

void TextTable::print_part(std::ostream& out) {
    if (rows_.empty()) return;
    const auto columns = shown();
    const auto before = std::exchange(widths_, std::vector<std::size_t>(columns_.size(), 0));
    bool heading = before.empty();
    for (const auto& [column, width] : columns) {
        heading = heading || before[column] == 0;
        widths_[column] = width;
    }
    if (heading) print_heading(columns, out);
    print_rows(columns, out);
    rows_.clear();
}

}  // namespace leasemirror
