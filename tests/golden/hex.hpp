// Wire bytes as people write them down: hex digits in any grouping, `00*64` for a run, `#` to the end of the line is
// a comment, and "text" in double quotes stands for its octets.
#pragma once

#include "proto/bytes.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>

namespace leasemirror::golden {

class HexText {
public:
    explicit HexText(std::string_view text) : text_(text) {}

    Bytes parse() {
        while (!text_.empty()) {
            const char c = text_.front();
            if (c == '#')
                text_.remove_prefix(std::min(text_.find('\n'), text_.size()));
            else if (c == '"')
                quoted();
            else if (c == '*')
                repeat();
            else if (c == ' ' || c == '\n' || c == '\t')
                text_.remove_prefix(1);
            else
                octet();
        }
        return std::move(out_);
    }

private:
    static unsigned digit(char c) {
        constexpr std::string_view digits = "0123456789abcdef";
        const auto at = digits.find(c);
        if (at == std::string_view::npos) throw std::invalid_argument("not a hex digit");
        return static_cast<unsigned>(at);
    }
    void octet() {
        if (text_.size() < 2) throw std::invalid_argument("half an octet");
        out_.push_back(static_cast<std::uint8_t>(digit(text_[0]) * 16 + digit(text_[1])));
        text_.remove_prefix(2);
    }
    void quoted() {
        text_.remove_prefix(1);
        const auto end = text_.find('"');
        for (const char c : text_.substr(0, end))
            out_.push_back(static_cast<std::uint8_t>(c));
        text_.remove_prefix(end + 1);
    }
    void repeat() {
        text_.remove_prefix(1);
        std::size_t used = 0;
        const auto count = std::stoul(std::string(text_.substr(0, 6)), &used);
        text_.remove_prefix(used);
        out_.insert(out_.end(), count - 1, out_.back());
    }

    std::string_view text_;
    Bytes out_;
};

inline Bytes hex(std::string_view text) {
    return HexText(text).parse();
}

/// One message with the name that tests print.
struct Message {
    std::string_view name;
    std::string_view text;
    [[nodiscard]] Bytes bytes() const { return hex(text); }
};

}  // namespace leasemirror::golden
