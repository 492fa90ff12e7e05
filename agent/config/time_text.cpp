#include "agent/config/time_text.hpp"

#include <fmt/format.h>

namespace leasemirror {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// Takes what it is asked for from the front; the first thing that is not there sticks.
class TimeScanner {
public:
    explicit TimeScanner(std::string_view text) : rest_(text) {}

    int digits(std::size_t count) {
        int value = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const char c = i < rest_.size() ? rest_[i] : ' ';
            ok_ = ok_ && c >= '0' && c <= '9';
            value = value * 10 + (c - '0');
        }
        if (ok_) rest_.remove_prefix(count);
        return value;
    }
    bool take(std::string_view any_of) {
        if (!ok_ || rest_.empty() || any_of.find(rest_.front()) == std::string_view::npos) return false;
        rest_.remove_prefix(1);
        return true;
    }
    void need(std::string_view any_of) { ok_ = take(any_of) && ok_; }
    void check(bool fine) { ok_ = ok_ && fine; }
    [[nodiscard]] std::string_view rest() const { return rest_; }
    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] bool at_end() const { return ok_ && rest_.empty(); }

private:
    std::string_view rest_;
    bool ok_ = true;
};

UtcSeconds scan_date(TimeScanner& in) {
    const std::chrono::year year(in.digits(4));
    in.need("-");
    const std::chrono::month month(static_cast<unsigned>(in.digits(2)));
    in.need("-");
    const std::chrono::year_month_day date(year, month, std::chrono::day(static_cast<unsigned>(in.digits(2))));
    in.check(date.ok());
    return in.ok() ? UtcSeconds{std::chrono::sys_days(date)} : UtcSeconds{};
}

seconds scan_clock(TimeScanner& in) {
    const int hour = in.digits(2);
    in.need(":");
    const int minute = in.digits(2);
    const int second = in.take(":") ? in.digits(2) : 0;
    in.check(hour < 24 && minute < 60 && second < 60);
    return hours(hour) + minutes(minute) + seconds(second);
}

/// What is to be subtracted to get UTC.
seconds scan_zone(TimeScanner& in) {
    if (in.take("Zz")) return seconds{0};
    const bool east = !in.rest().starts_with('-');
    in.need("+-");
    const int hour = in.digits(2);
    const int minute = in.take(":") || !in.rest().empty() ? in.digits(2) : 0;
    in.check(hour < 24 && minute < 60);
    const seconds offset = hours(hour) + minutes(minute);
    return east ? offset : -offset;
}

Parsed<UtcSeconds> parse_iso(std::string_view text) {
    const auto fail = [] {
        return Unexpected{
            std::string("expected a time such as 2026-11-20T12:00:00Z, 2026-11-20T13:00+01:00, "
                        "2026-11-20 (its midnight in UTC), 2h (before now) or now")};
    };
    TimeScanner in(text);
    const auto date = scan_date(in);
    if (in.at_end()) return date;
    in.need("Tt ");
    const auto clock = scan_clock(in);
    if (in.at_end()) return Unexpected{std::string("expected Z or an offset such as +01:00 after the time of day")};
    const auto zone = scan_zone(in);
    if (!in.at_end()) return fail();
    return date + clock - zone;
}

}  // namespace

std::string iso_utc(UtcSeconds t) {
    const auto day = std::chrono::floor<std::chrono::days>(t);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(t - day);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", int{date.year()}, unsigned{date.month()},
                       unsigned{date.day()}, time.hours().count(), time.minutes().count(), time.seconds().count());
}

std::string iso_utc(ServerTime t) {
    return iso_utc(UtcSeconds{t.time_since_epoch()});
}

std::string iso_utc_or_none(const std::optional<ServerTime>& t) {
    return t ? iso_utc(*t) : "none";
}

std::string rough_duration(std::chrono::seconds d) {
    if (d.count() < 0) return "-" + rough_duration(-d);
    const auto whole = d.count();
    if (whole < 60) return fmt::format("{} s", whole);
    if (whole < 3600) return fmt::format("{} min", whole / 60);
    if (whole < 86400) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
    return fmt::format("{} d {} h", whole / 86400, whole % 86400 / 3600);
}

std::string skew_text(std::int64_t milliseconds) {
    if (milliseconds > -1000 && milliseconds < 1000) return fmt::format("{:+} ms", milliseconds);
    return fmt::format("{:+.1f} s", static_cast<double>(milliseconds) / 1000.0);
}

Parsed<UtcSeconds> parse_time(std::string_view text, UtcSeconds now) {
    if (text == "now") return now;
    constexpr std::string_view ago = " ago";
    const auto amount = text.ends_with(ago) ? text.substr(0, text.size() - ago.size()) : text;
    if (const auto past = parse_duration(amount, std::chrono::milliseconds{1}))
        return std::chrono::floor<seconds>(now - *past);
    return parse_iso(text);
}

}  // namespace leasemirror
