#include "storage/ledger/binding_columns.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

namespace leasemirror {
namespace {

// How a value of each type is written and read.
template <class Word>
requires std::is_enum_v<Word>
void put(ColumnWriter& out, Word value) {
    out.word(to_string(value));
}
template <class Number>
requires std::is_integral_v<Number>
void put(ColumnWriter& out, Number value) {
    out.number(std::int64_t{value});
}
void put(ColumnWriter& out, const std::optional<std::int64_t>& value) {
    out.number(value);
}
void put(ColumnWriter& out, const std::optional<UtcSeconds>& value) {
    out.time(value);
}
void put(ColumnWriter& out, const std::optional<IpAddress>& value) {
    out.address(value);
}
void put(ColumnWriter& out, const Bytes& value) {
    out.bytes_or_null(value);
}
void put(ColumnWriter& out, const std::string& value) {
    out.text_or_null(value);
}

void take(ColumnReader& in, BindingState& value) {
    value = state_from_word(in.text());
}
void take(ColumnReader& in, EndReason& value) {
    value = end_reason_from_word(in.text());
}
void take(ColumnReader& in, Doubt& value) {
    value = doubt_from_word(in.text());
}
void take(ColumnReader& in, DataSource& value) {
    value = in.text() == to_string(DataSource::remote) ? DataSource::remote : DataSource::local;
}
void take(ColumnReader& in, Via& value) {
    value = via_from_word(in.text());
}
void take(ColumnReader& in, BindingKind& value) {
    value = in.text() == to_string(BindingKind::prefix) ? BindingKind::prefix : BindingKind::address;
}
template <class Number>
requires std::is_integral_v<Number>
void take(ColumnReader& in, Number& value) {
    value = static_cast<Number>(in.number());
}
void take(ColumnReader& in, std::optional<std::int64_t>& value) {
    value = in.number_if_any();
}
void take(ColumnReader& in, std::optional<UtcSeconds>& value) {
    value = in.time();
}
void take(ColumnReader& in, UtcSeconds& value) {
    value = in.time().value_or(UtcSeconds{});
}
void take(ColumnReader& in, std::optional<IpAddress>& value) {
    value = in.address();
}
void take(ColumnReader& in, IpAddress& value) {
    value = in.address().value_or(IpAddress{});
}
void take(ColumnReader& in, Bytes& value) {
    value = in.bytes();
}
void take(ColumnReader& in, std::string& value) {
    value = in.text();
}

// Of the member that the path leads to from BindingRow on: row.*First.*Second.
// clang-format off
template <auto... Path>
void put_member(ColumnWriter& out, const BindingRow& row) {
    put(out, (row .* ... .* Path));
}
template <auto... Path>
void take_member(ColumnReader& in, BindingRow& row) {
    take(in, (row .* ... .* Path));
}
// clang-format on
template <auto... Path>
constexpr BindingColumn column(std::string_view name, std::string_view type, ColumnUse use) {
    return {name, type, use, put_member<Path...>, take_member<Path...>};
}

// The default VPN is the empty text.
void put_vpn(ColumnWriter& out, const BindingRow& row) {
    out.text(row.key.vpn_id);
}
void put_family(ColumnWriter& out, const BindingRow& row) {
    out.word(to_string(row.key.address.family()));
}
void take_options(ColumnReader& in, BindingRow& row) {
    row.options = in.json();
}
void put_base_time(ColumnWriter& out, const BindingRow& row) {
    out.time(UtcSeconds{std::chrono::seconds{row.age.base_time}});
}
void take_base_time(ColumnReader& in, BindingRow& row) {
    row.age.base_time = unix_seconds(in.time().value_or(UtcSeconds{}));
}
void put_assignment(ColumnWriter& out, const BindingRow& row) {
    out.number(row.assignment_id == 0 ? std::nullopt : std::optional(row.assignment_id));
}

using Row = BindingRow;
using Key = BindingKey;
using enum ColumnUse;

constexpr std::array columns{
    column<&Row::binding_id>("binding_id", "bigint", id),
    BindingColumn{"vpn_id", "text", key, put_vpn, take_member<&Row::key, &Key::vpn_id>},
    column<&Row::key, &Key::kind>("kind", "text", key),
    column<&Row::key, &Key::address>("address", "inet", key),
    column<&Row::key, &Key::prefix_len>("prefix_len", "smallint", key),
    BindingColumn{"family", "text", derived, put_family, nullptr},
    column<&Row::state>("state", "text", told),
    column<&Row::end_reason>("end_reason", "text", told),
    column<&Row::hw_type>("hw_type", "integer", told),
    column<&Row::client_last_seen>("client_last_seen", "timestamptz", told),
    column<&Row::state_since>("state_since", "timestamptz", told),
    column<&Row::expires_at>("expires_at", "timestamptz", told),
    column<&Row::preferred_until>("preferred_until", "timestamptz", told),
    column<&Row::renew_at>("renew_at", "timestamptz", told),
    column<&Row::rebind_at>("rebind_at", "timestamptz", told),
    column<&Row::link_address>("link_address", "inet", told),
    column<&Row::relay_address>("relay_address", "inet", told),
    column<&Row::subscriber_id>("subscriber_id", "bytea", told),
    column<&Row::hostname>("hostname", "text", told),
    BindingColumn{"options", "jsonb", told, put_member<&Row::options>, take_options},
    column<&Row::data_source>("data_source", "text", told),
    column<&Row::age, &RecordAge::epoch>("epoch", "bigint", told),
    BindingColumn{"base_time", "timestamptz", told, put_base_time, take_base_time},
    column<&Row::age, &RecordAge::via>("via", "text", told),
    column<&Row::updated_at>("updated_at", "timestamptz", told),
    column<&Row::seen_run>("seen_run", "bigint", told),
    column<&Row::scope>("scope", "bigint", told),
    BindingColumn{"assignment_id", "bigint", told, put_assignment, take_member<&Row::assignment_id>},
    column<&Row::boundary_at>("boundary_at", "timestamptz", told),
    column<&Row::doubt>("doubt", "text", indexed),
    column<&Row::client_id>("client_id", "bytea", indexed),
    column<&Row::hw_addr>("hw_addr", "text", indexed),
    column<&Row::relay_id>("relay_id", "bytea", indexed),
    column<&Row::remote_id>("remote_id", "bytea", indexed),
    column<&Row::circuit_id>("circuit_id", "bytea", indexed),
};

}  // namespace

constinit const std::span<const BindingColumn> binding_columns{columns};

void put_columns(ColumnWriter& out, const BindingRow& row, ColumnUses uses) {
    for (const auto& column : columns)
        if (uses.contains(column.use)) column.put(out, row);
}

BindingRow take_row(ColumnReader& in) {
    BindingRow row;
    for (const auto& column : columns)
        if (stored_columns.contains(column.use)) column.take(in, row);
    return row;
}

std::size_t count_columns(ColumnUses uses) {
    const auto wanted = [&](const BindingColumn& column) { return uses.contains(column.use); };
    return static_cast<std::size_t>(std::count_if(columns.begin(), columns.end(), wanted));
}

std::string column_names(ColumnUses uses, std::string_view prefix) {
    return list_columns(
        uses, [&](const BindingColumn& column, std::size_t) { return std::string(prefix).append(column.name); });
}

}  // namespace leasemirror
