#include "storage/ledger/feed_detail.hpp"

#include <charconv>
#include <chrono>

namespace leasemirror {
namespace {

/// Writes the members of one JSON object.
class Members {
public:
    explicit Members(std::string& out) : out_(out) {
        out_.clear();
        out_ += '{';
    }
    void close() { out_ += '}'; }

    void null(std::string_view name) {
        begin(name);
        out_ += "null";
    }
    void number(std::string_view name, std::int64_t value) {
        begin(name);
        out_ += std::to_string(value);
    }
    void json(std::string_view name, std::string_view value) {
        begin(name);
        out_ += value;
    }
    void text(std::string_view name, std::string_view value) {
        begin(name);
        out_ += '"';
        for (const char c : value) {  // storable_text() has left no control characters
            if (c == '"' || c == '\\') out_ += '\\';
            out_ += c;
        }
        out_ += '"';
    }
    void hex(std::string_view name, ByteView value) {
        constexpr std::string_view digits = "0123456789abcdef";
        begin(name);
        out_ += '"';
        for (const auto octet : value) {
            out_ += digits[octet >> 4];
            out_ += digits[octet & 0xf];
        }
        out_ += '"';
    }
    void time(std::string_view name, UtcSeconds value) {
        begin(name);
        out_ += '"';
        append_iso_utc(out_, value);
        out_ += '"';
    }

private:
    void begin(std::string_view name) {
        out_ += out_.size() > 1 ? ",\"" : "\"";
        out_ += name;
        out_ += "\":";
    }
    std::string& out_;
};

void value(Members& out, std::string_view name, const std::optional<UtcSeconds>& v) {
    v ? out.time(name, *v) : out.null(name);
}
void value(Members& out, std::string_view name, const std::optional<std::int64_t>& v) {
    v ? out.number(name, *v) : out.null(name);
}
void value(Members& out, std::string_view name, const std::optional<IpAddress>& v) {
    v ? out.text(name, v->to_string()) : out.null(name);
}
void value(Members& out, std::string_view name, const Bytes& v) {
    v.empty() ? out.null(name) : out.hex(name, v);
}
void value(Members& out, std::string_view name, const std::string& v) {
    v.empty() ? out.null(name) : out.text(name, v);
}
void value(Members& out, std::string_view name, EndReason v) {
    v == EndReason::none ? out.null(name) : out.text(name, to_string(v));
}
void value(Members& out, std::string_view name, DataSource v) {
    out.text(name, to_string(v));
}

/// Calls visit(name, member pointer) for each column of times that the feed does not have of its own.
template <class Visit>
void for_each_time(Visit&& visit) {
    visit("client_last_seen", &BindingRow::client_last_seen);
    visit("state_since", &BindingRow::state_since);
    visit("preferred_until", &BindingRow::preferred_until);
    visit("renew_at", &BindingRow::renew_at);
    visit("rebind_at", &BindingRow::rebind_at);
}

/// And for each other column; `options` is JSON already and stands apart.
template <class Visit>
void for_each_attribute(Visit&& visit) {
    visit("end_reason", &BindingRow::end_reason);
    visit("hw_type", &BindingRow::hw_type);
    visit("hw_addr", &BindingRow::hw_addr);
    visit("link_address", &BindingRow::link_address);
    visit("relay_address", &BindingRow::relay_address);
    visit("relay_id", &BindingRow::relay_id);
    visit("remote_id", &BindingRow::remote_id);
    visit("circuit_id", &BindingRow::circuit_id);
    visit("subscriber_id", &BindingRow::subscriber_id);
    visit("hostname", &BindingRow::hostname);
    visit("data_source", &BindingRow::data_source);
}

bool is_null(const Bytes& v) {
    return v.empty();
}
bool is_null(const std::string& v) {
    return v.empty();
}
bool is_null(EndReason v) {
    return v == EndReason::none;
}
bool is_null(DataSource) {
    return false;
}
template <class T>
bool is_null(const std::optional<T>& v) {
    return !v;
}

void changed_members(Members& out, const BindingRow& before, const BindingRow& now) {
    for_each_attribute([&](std::string_view name, auto member) {
        if (before.*member != now.*member) value(out, name, now.*member);
    });
    if (before.options != now.options) now.options.empty() ? out.null("options") : out.json("options", now.options);
    for_each_time([&](std::string_view name, auto member) { value(out, name, now.*member); });
}

}  // namespace

void full_detail(const BindingRow& row, std::string& out) {
    Members members(out);
    const auto told = [&](std::string_view name, auto member) {
        if (!is_null(row.*member)) value(members, name, row.*member);
    };
    for_each_attribute(told);
    if (!row.options.empty()) members.json("options", row.options);
    for_each_time(told);
    members.close();
}

void changed_detail(const BindingRow& before, const BindingRow& now, std::string& out) {
    Members members(out);
    changed_members(members, before, now);
    members.close();
}

void changed_detail_with_client(const BindingRow& before, const BindingRow& now, std::string& out) {
    Members members(out);
    value(members, "client_id", now.client_id);
    changed_members(members, before, now);
    members.close();
}

bool same_times(const BindingRow& a, const BindingRow& b) {
    bool same = a.expires_at == b.expires_at;
    for_each_time([&](std::string_view, auto member) { same = same && a.*member == b.*member; });
    return same;
}

bool same_times_but_for_jitter(const BindingRow& a, const BindingRow& b) {
    const auto near = [](const std::optional<UtcSeconds>& x, const std::optional<UtcSeconds>& y) {
        return x.has_value() == y.has_value() && (!x || std::chrono::abs(*x - *y) <= std::chrono::seconds{1});
    };
    bool same = near(a.expires_at, b.expires_at);
    for_each_time([&](std::string_view, auto member) { same = same && near(a.*member, b.*member); });
    return same;
}

bool same_attributes(const BindingRow& a, const BindingRow& b) {
    bool same = a.state == b.state && a.client_id == b.client_id && a.options == b.options;
    for_each_attribute([&](std::string_view, auto member) { same = same && a.*member == b.*member; });
    return same;
}

void append_iso_utc(std::string& out, UtcSeconds t) {
    const auto day = std::chrono::floor<std::chrono::days>(t);
    const std::chrono::year_month_day date(day);
    const auto second = static_cast<unsigned>((t - day).count());
    const auto padded = [&out](unsigned v, unsigned width) {
        char digits[10];
        const auto end = std::to_chars(digits, digits + sizeof digits, v).ptr;
        for (auto length = static_cast<unsigned>(end - digits); length < width; ++length)
            out += '0';
        out.append(digits, end);
    };
    padded(static_cast<unsigned>(static_cast<int>(date.year())), 4);
    out += '-';
    padded(static_cast<unsigned>(date.month()), 2);
    out += '-';
    padded(static_cast<unsigned>(date.day()), 2);
    out += 'T';
    padded(second / 3600, 2);
    out += ':';
    padded(second / 60 % 60, 2);
    out += ':';
    padded(second % 60, 2);
    out += 'Z';
}

}  // namespace leasemirror
