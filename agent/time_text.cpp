#include "agent/time_text.hpp"

#include <fmt/format.h>

namespace leasemirror {

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

}  // namespace leasemirror
