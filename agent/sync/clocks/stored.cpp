#include "agent/sync/clocks/stored.hpp"

#include "agent/sync/clocks/host.hpp"

namespace leasemirror {

StoredClock StoredClock::at_start(std::optional<UtcSeconds> written_at, bool to_be_read) {
    StoredClock out;
    out.hold_ = to_be_read ? Hold::until_read : Hold::until_heard;
    out.is_proven_ = false;
    out.was_read_ = !to_be_read;
    out.written_at_ = written_at;
    return out;
}

StoredClock StoredClock::afresh(bool can_read) {
    StoredClock out;
    if (can_read) out.hold_ = Hold::until_read;
    out.was_read_ = !can_read;
    return out;
}

std::optional<std::chrono::milliseconds> StoredClock::away(Now now) const {
    if (!written_at_) return std::nullopt;
    return now.utc - UtcMillis{*written_at_};
}

bool StoredClock::went_back(Now now) const {
    const auto gone = away(now);
    return gone && *gone < -HostClock::step_min;
}

StoredClock::Finding StoredClock::judge(const ClockSkew::Sample& told, Skew known, Now now) const {
    if (!is_undecided()) return Finding::none;
    // In the clock of before, a server's clock shows what it always showed if ours was set, and is ahead by the jump if we
    // slept. No delay makes a sample higher, and a message that was built after we asked bounds it from above.
    if (told.at_least(now) > known + ahead_ / 2) return Finding::slept;
    if (told.built_after_asked && told.at_most(now) < known + ahead_) return Finding::was_set;
    return Finding::none;
}

}  // namespace leasemirror
