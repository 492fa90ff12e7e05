// The key of a binding as three tables have it. Only for this folder.
#pragma once

#include "proto/binding.hpp"
#include "storage/sqlite/statement.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace leasemirror {

/// The columns of a new row in the parameters ?1 to ?7. One object for one Use at a time: what is bound points into it,
/// and into the key.
class KeyColumns {
public:
    static constexpr const char* names = "server_id, vpn_id, kind, address, prefix_len, address_key, last_key";
    static constexpr const char* parameters = "?1, ?2, ?3, ?4, ?5, ?6, ?7";
    static constexpr int count = 7;

    /// All that finds a row: ?1 to ?5.
    void bind(Use& use, std::int64_t server, const BindingKey& key) {
        address_ = key.address.to_string();
        use.number(1, server);
        use.text(2, key.vpn_id);
        use.word(3, to_string(key.kind).data());
        use.text(4, address_);
        use.number(5, std::int64_t{key.prefix_len});
    }
    /// And what a new row has besides: ?6 and ?7.
    void bind_new(Use& use, std::int64_t server, const BindingKey& key) {
        bind(use, server, key);
        const bool is_prefix = key.kind == BindingKind::prefix;
        first_ = key.address.sortable();
        if (is_prefix) last_ = last_address(key);
        use.bytes(6, first_);
        use.bytes_or_null(7, is_prefix ? ByteView(last_) : ByteView{});
    }

private:
    using SortKey = std::array<std::uint8_t, 16>;

    static SortKey last_address(const BindingKey& prefix) {
        auto out = prefix.address.sortable();
        const unsigned kept = prefix.prefix_len + (prefix.address.family() == Family::v4 ? 96U : 0U);
        for (unsigned bit = kept; bit < 128; ++bit)
            out[bit / 8] = static_cast<std::uint8_t>(out[bit / 8] | (0x80U >> (bit % 8)));
        return out;
    }

    std::string address_;
    SortKey first_{};
    SortKey last_{};
};

}  // namespace leasemirror
