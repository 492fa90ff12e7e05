#include "agent/table_text.hpp"

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
    if (!columns_[column].optional) return true;
    return std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) { return row.cells[column] != nothing; });
}

void TextTable::print(std::ostream& out) const {
    std::vector<std::size_t> shown;
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (!is_shown(i)) continue;
        shown.push_back(i);
        auto& width = widths.emplace_back(width_of(columns_[i].heading));
        for (const auto& row : rows_)
            width = std::max(width, width_of(row.cells[i]));
    }
    const auto print_line = [&](const auto& cell_of) {
        std::string line;
        for (std::size_t n = 0; n < shown.size(); ++n) {
            const std::string& cell = cell_of(shown[n]);
            const std::string padding(widths[n] - width_of(cell), ' ');
            line += n > 0 ? "  " : "";
            line += columns_[shown[n]].align == Column::Align::right ? padding + cell : cell + padding;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out << line << '\n';
    };
    print_line([&](std::size_t i) -> const std::string& { return columns_[i].heading; });
    for (const auto& row : rows_) {
        print_line([&](std::size_t i) -> const std::string& { return row.cells[i]; });
        for (const auto& note : row.notes)
            out << "  " << note << '\n';
    }
}

}  // namespace leasemirror
