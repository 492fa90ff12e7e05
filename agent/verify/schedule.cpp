#include "agent/verify/schedule.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

using std::chrono::milliseconds;

milliseconds at_most_interval(milliseconds wanted, const ServerConfig& server) {
    return std::min(wanted, server.verify_interval);
}

/// By our clock, which may have been set since: never later than a whole interval from now.
SteadyTime due_after(std::optional<UtcSeconds> last, const ServerConfig& server, Now now) {
    if (!last) return now.steady;
    const auto since = std::chrono::duration_cast<milliseconds>(now.utc - *last);
    return now.steady + std::clamp(server.verify_interval - since, milliseconds{0}, server.verify_interval);
}

}  // namespace

void VerifySchedule::want(std::span<const ServerConfig> servers) {
    std::vector<Turn> next;
    for (const auto& server : servers) {
        if (server.verify_interval == milliseconds{0}) continue;
        const auto* const before = find(server.name);
        const bool as_before = before != nullptr && before->server == server;
        next.push_back({server, as_before ? before->due : std::nullopt});
    }
    turns_ = std::move(next);
}

bool VerifySchedule::wants(const ServerConfig& server) const {
    return std::any_of(turns_.begin(), turns_.end(), [&](const Turn& turn) { return turn.server == server; });
}

std::optional<SteadyTime> VerifySchedule::next_look(SteadyTime now) const {
    std::optional<SteadyTime> first;
    for (const auto& turn : turns_) {
        const auto due = turn.due.value_or(now);
        if (!first || due < *first) first = due;
    }
    if (first && rests_until_) first = std::max(*first, *rests_until_);
    return first;
}

std::optional<ServerConfig> VerifySchedule::take(std::span<const ServerOverview> servers, Now now) {
    Turn* first = nullptr;
    for (auto& turn : turns_) {
        const auto is_it = [&](const ServerOverview& server) { return server.name == turn.server.name; };
        const auto found = std::find_if(servers.begin(), servers.end(), is_it);
        if (!turn.due && found != servers.end()) turn.due = due_after(found->last_verify_at, turn.server, now);
        if (turn.due && *turn.due > now.steady) continue;
        if (found == servers.end() || !can_be_compared(*found))
            turn.due = now.steady + at_most_interval(look_again, turn.server);
        else if (first == nullptr || *turn.due < *first->due)
            first = &turn;
    }
    return first == nullptr ? std::nullopt : std::optional(first->server);
}

bool VerifySchedule::can_be_compared(const ServerOverview& server) const {
    return server.owner == agent_ && server.fresh_as_of && (server.phase == "live" || server.phase == "polling");
}

void VerifySchedule::on_done(const std::string& server, bool whole, milliseconds took, SteadyTime now) {
    rests_until_ = now + took;
    if (auto* const turn = find(server)) {
        const auto interval = turn->server.verify_interval;
        turn->due = now + (whole ? interval
                                 : at_most_interval(std::max<milliseconds>(retry_least, interval / 8), turn->server));
    }
}

void VerifySchedule::put_off(const std::string& server, SteadyTime now) {
    if (auto* const turn = find(server)) turn->due = now + at_most_interval(look_again, turn->server);
}

VerifySchedule::Turn* VerifySchedule::find(const std::string& server) {
    const auto at = std::find_if(turns_.begin(), turns_.end(), [&](const Turn& t) { return t.server.name == server; });
    return at == turns_.end() ? nullptr : &*at;
}

}  // namespace leasemirror
