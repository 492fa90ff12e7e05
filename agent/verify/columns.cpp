#include "agent/verify/columns.hpp"

#include "agent/query/record_text.hpp"
#include "storage/ledger/binding_columns.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <variant>

namespace leasemirror {
namespace {

/// What the mirror decides for itself, and what it need not be told of. All other columns are compared, also one that is
/// added to the table.
constexpr std::array<std::string_view, 11> not_compared{"end_reason", "client_last_seen", "epoch",      "base_time",
                                                        "via",        "updated_at",       "seen_run",   "scope",
                                                        "doubt",      "assignment_id",    "boundary_at"};

bool is_compared(const BindingColumn& column) {
    if (column.use != ColumnUse::told && column.use != ColumnUse::indexed) return false;
    return std::find(not_compared.begin(), not_compared.end(), column.name) == not_compared.end();
}

/// Once for all rows.
const std::vector<const BindingColumn*>& compared_columns() {
    static const auto columns = [] {
        std::vector<const BindingColumn*> out;
        for (const auto& column : binding_columns)
            if (is_compared(column)) out.push_back(&column);
        return out;
    }();
    return columns;
}

/// One value, as a row has it: a view into the row.
class Taken final : public ColumnWriter {
public:
    using Held = std::variant<std::monostate, std::int64_t, std::string_view, ByteView, UtcSeconds, IpAddress>;

    void word(std::string_view value) override { keep(value); }
    void number(std::optional<std::int64_t> value) override {
        if (value) held = *value;
    }
    void time(std::optional<UtcSeconds> value) override {
        if (value) held = *value;
    }
    void text(const std::string& value) override { keep(value); }
    void text_or_null(const std::string& value) override { keep(value); }
    void bytes_or_null(ByteView value) override {
        if (!value.empty()) held = value;
    }
    void address(const std::optional<IpAddress>& value) override {
        if (value) held = *value;
    }

    [[nodiscard]] const UtcSeconds* as_time() const { return std::get_if<UtcSeconds>(&held); }
    [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(held); }

    Held held;

private:
    void keep(std::string_view value) {
        if (!value.empty()) held = value;
    }
};

bool equal(const Taken& a, const Taken& b) {
    if (a.held.index() != b.held.index()) return false;
    if (const auto* const octets = std::get_if<ByteView>(&a.held)) {
        const auto& others = std::get<ByteView>(b.held);
        return std::equal(octets->begin(), octets->end(), others.begin(), others.end());
    }
    if (const auto* const time = a.as_time()) return std::chrono::abs(*time - *b.as_time()) <= same_time;
    if (const auto* const number = std::get_if<std::int64_t>(&a.held)) return *number == std::get<std::int64_t>(b.held);
    if (const auto* const text = std::get_if<std::string_view>(&a.held))
        return *text == std::get<std::string_view>(b.held);
    if (const auto* const address = std::get_if<IpAddress>(&a.held)) return *address == std::get<IpAddress>(b.held);
    return true;
}

bool is_past_and_untold(std::string_view column, const Taken& mirror, const Taken& server, UtcSeconds now) {
    if (column != "renew_at" && column != "rebind_at") return false;
    return server.is_null() && mirror.as_time() != nullptr && *mirror.as_time() <= now + same_time;
}

/// Both base-times are in the server's clock, and both times went through about the same skew.
bool is_told_anew(std::string_view column, const BindingRow& mirror, const BindingRow& server) {
    if (column != "preferred_until" || !mirror.preferred_until || !server.preferred_until) return false;
    const auto moved = *server.preferred_until - *mirror.preferred_until;
    const std::chrono::seconds passed{server.age.base_time - mirror.age.base_time};
    return std::chrono::abs(moved - passed) <= same_time;
}

Value to_value(const Taken& taken, const BindingColumn& column) {
    struct ToValue {
        bool json;
        Value operator()(std::monostate) const { return std::monostate{}; }
        Value operator()(std::int64_t number) const { return number; }
        Value operator()(std::string_view text) const {
            if (json) return JsonText{std::string(text)};
            return std::string(text);
        }
        Value operator()(ByteView octets) const { return Bytes(octets.begin(), octets.end()); }
        Value operator()(UtcSeconds time) const { return time; }
        Value operator()(const IpAddress& address) const { return address.to_string(); }
    };
    return std::visit(ToValue{column.type == "jsonb"}, taken.held);
}

}  // namespace

std::string to_string(const ColumnDifference& difference) {
    const Record both{{"mirror", difference.mirror}, {"server", difference.server}};
    const auto side = [&](const std::string& name) {
        const auto text = cell_of(both, name);
        return name + ": " + (text.empty() ? "nothing" : text);
    };
    return std::string(difference.column) + "  " + side("mirror") + "  " + side("server");
}

std::vector<ColumnDifference> column_differences(const BindingRow* mirror, const BindingRow* server, UtcSeconds now) {
    std::vector<ColumnDifference> out;
    for (const auto* const column : compared_columns()) {
        Taken ours, theirs;
        if (mirror != nullptr) column->put(ours, *mirror);
        if (server != nullptr) column->put(theirs, *server);
        if (equal(ours, theirs)) continue;
        if (mirror != nullptr && server != nullptr &&
            (is_past_and_untold(column->name, ours, theirs, now) || is_told_anew(column->name, *mirror, *server)))
            continue;
        out.push_back({column->name, to_value(ours, *column), to_value(theirs, *column)});
    }
    return out;
}

}  // namespace leasemirror
