#include "tests/sim/holdings.hpp"

#include <algorithm>

namespace leasemirror::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds about_to_end{4};

/// One client at one place, as an assignment names it.
struct Holder {
    std::string client_id, hw_addr, remote_id;
    bool operator==(const Holder&) const = default;
};
struct Holding {
    Holder holder;
    UtcMillis from;
    std::optional<UtcMillis> to;
};
struct Assignment {
    std::string id, key;
    Holder holder;
    UtcMillis began;
    std::optional<UtcMillis> ended;
    bool began_inferred, ended_inferred;
    /// It begins where the one before it ended, and no earlier, since that end was written while our clock was ahead.
    bool pushed_on = false;
};

bool close(UtcMillis a, UtcMillis b, milliseconds tolerance) {
    return std::chrono::abs(a - b) <= tolerance;
}

std::string assignments_sql(const std::string& server) {
    return "SELECT assignment_id, vpn_id, kind, host(address), prefix_len, lower(hex(a.client_id)), hw_addr, "
           "lower(hex(remote_id)), epoch(began_at), epoch(ended_at), CAST(began_inferred AS INTEGER), "
           "CAST(ended_inferred AS INTEGER) FROM assignment a JOIN server USING (server_id) WHERE name = '" +
           server + "' ORDER BY assignment_id";
}

Assignment assignment_of(const std::vector<testing::Cell>& cells) {
    const auto time = [](const testing::Cell& cell) { return UtcMillis{seconds{std::stoll(*cell)}}; };
    Assignment a;
    a.id = *cells[0];
    a.key = *cells[1] + " " + *cells[2] + " " + *cells[3] + "/" + *cells[4];
    a.holder = {cells[5].value_or(""), cells[6].value_or(""), cells[7].value_or("")};
    a.began = time(cells[8]);
    if (cells[9]) a.ended = time(cells[9]);
    a.began_inferred = *cells[10] == "1";
    a.ended_inferred = *cells[11] == "1";
    return a;
}

/// The clock was set by as much in between, if at all: what has ended stays as it is, and what is open moves.
bool is_same_moment(UtcMillis ended, UtcMillis began, const std::vector<Skew>& offsets) {
    return std::any_of(offsets.begin(), offsets.end(), [&](Skew before) {
        return std::any_of(offsets.begin(), offsets.end(), [&](Skew after) {
            return ended - before == began - after ||
                   (before != after && close(ended - before, began - after, seconds{2}));
        });
    });
}

/// In order. What goes on where the one before it ended, for the same client, is one: some servers tell that all leases
/// of a client ended, and then which it still has. Where the end is a bound, the client had left and come back.
/// Where old ones were removed, the first that is left may go on from one of those.
std::vector<Assignment> assignments_of(const testing::Engine& database, const std::string& server,
                                       const std::vector<Skew>& offsets, bool all_kept) {
    std::vector<Assignment> all;
    std::map<std::string, std::size_t> last;
    for (const auto& cells : database.table(assignments_sql(server))) {
        auto a = assignment_of(cells);
        const auto [before, is_first] = last.try_emplace(a.key, all.size());
        auto* goes_on = is_first ? nullptr : &all[before->second];
        a.pushed_on = goes_on && goes_on->ended == a.began && a.began_inferred && offsets.size() > 1;
        if (goes_on && goes_on->holder == a.holder && goes_on->ended && !a.pushed_on &&
            is_same_moment(*goes_on->ended, a.began, offsets) && !goes_on->ended_inferred) {
            goes_on->ended = a.ended;
            goes_on->ended_inferred = a.ended_inferred;
            continue;
        }
        if (is_first && !all_kept) a.began_inferred = true;
        before->second = all.size();
        all.push_back(std::move(a));
    }
    return all;
}

/// Follows one binding through its visits.
class Follower {
public:
    Follower(const leasesim::LeaseModel& model, std::uint64_t binding) : model_(model), binding_(binding) {}

    [[nodiscard]] std::vector<Holding> follow(UtcMillis now) {
        const auto unit = model_.unit_of(binding_);
        const auto& churn = model_.churn();
        const auto visits = churn.visits(unit, now);
        for (std::uint64_t visit = 0; visit <= visits; ++visit) {
            const auto at = visit == 0 ? churn.began() : churn.visit_time(unit, visit);
            const auto next = visit < visits ? churn.visit_time(unit, visit + 1) : now;
            see(at, visit == 0);
            if (next - milliseconds{1} > at) see(next - milliseconds{1}, false);  // it may have expired in between
        }
        return std::move(held_);
    }

private:
    void see(UtcMillis at, bool first) {
        model_.state_of(model_.unit_of(binding_), at, state_);
        const auto b = model_.truth(binding_, at);
        auto* open = held_.empty() || held_.back().to ? nullptr : &held_.back();
        const bool by_clock = state_.state == BindingState::expired;
        if (!b.in_force()) {
            if (open) open->to = by_clock ? state_.since : at;
            return;
        }
        Holder holder{to_hex(b.client_id), to_hex(b.hw_addr, ':'), to_hex(b.remote_id)};
        if (open && open->holder == holder) return;
        if (open) open->to = at;
        held_.push_back({std::move(holder), first ? state_.since : at, std::nullopt});
    }

    const leasesim::LeaseModel& model_;
    std::uint64_t binding_;
    leasesim::UnitState state_;
    std::vector<Holding> held_;
};

std::string shown(const std::optional<UtcMillis>& at) {
    return at ? std::to_string(unix_seconds(std::chrono::floor<seconds>(*at))) : "never";
}

/// Who held it about that time, for the message.
std::string list(const std::vector<Holding>& held, const Assignment& about) {
    std::string out = "; in truth";
    for (const auto& h : held) {
        if ((h.to && *h.to + std::chrono::minutes{1} < about.began) || (about.ended && h.from > *about.ended)) continue;
        out += (h.holder.client_id == about.holder.client_id ? " it, " : " another, ") + shown(h.from) + " to " +
               shown(h.to) + ";";
    }
    return out;
}

/// The holdings of one binding, and what may be told of each.
class Holdings {
public:
    Holdings(const std::vector<Holding>& held, Family family, milliseconds tolerance, UtcMillis now)
        : held_(held), v6_(family == Family::v6), tolerance_(tolerance), now_(now) {}

    /// Whether the assignment tells of number `i`.
    [[nodiscard]] bool tells_of(const Assignment& a, std::size_t i) const {
        const auto& h = held_[i];
        if (h.holder != a.holder) return false;
        if (a.pushed_on) return a.ended_inferred || may_end(a, i);
        if (h.to && a.began > *h.to + tolerance_) return false;
        return may_begin(a, i) && (a.ended_inferred || may_end(a, i));
    }

private:
    [[nodiscard]] bool may_begin(const Assignment& a, std::size_t i) const {
        for (auto k = i;; --k) {
            if (same_client(k, i) && a.began_inferred && a.began >= held_[k].from - tolerance_) return true;
            if (same_client(k, i) && close(a.began, held_[k].from, tolerance_)) return true;
            // Where the client was before it was first seen need not be known. And only v4 tells since when it has the
            // lease: in v6 it may have left and come back unseen.
            const bool goes_on = k > 0 && (v6_ || (same_client(k - 1, i) && held_[k - 1].to == held_[k].from));
            if (!goes_on) return false;
        }
    }
    [[nodiscard]] bool may_end(const Assignment& a, std::size_t i) const {
        for (auto m = i; m < held_.size(); ++m) {
            const auto& to = held_[m].to;
            if (same_client(m, i) && (a.ended ? to && close(*a.ended, *to, tolerance_) : !to || ends_now(*to)))
                return true;
            // Nor where it went before it was last seen.
            const bool goes_on = m + 1 < held_.size() && (v6_ || (same_client(m + 1, i) && to == held_[m + 1].from));
            if (!goes_on) return false;
        }
        return false;
    }
    [[nodiscard]] bool ends_now(UtcMillis at) const { return at + about_to_end > now_; }
    [[nodiscard]] bool same_client(std::size_t a, std::size_t b) const {
        return held_[a].holder.client_id == held_[b].holder.client_id &&
               held_[a].holder.hw_addr == held_[b].holder.hw_addr;
    }

    const std::vector<Holding>& held_;
    bool v6_;
    milliseconds tolerance_;
    UtcMillis now_;
};

bool is_right(const Assignment& a, const std::vector<Holding>& held, Family family, milliseconds tolerance,
              UtcMillis now) {
    const Holdings holdings(held, family, tolerance, now);
    for (std::size_t i = 0; i < held.size(); ++i)
        if (holdings.tells_of(a, i)) return true;
    return false;
}

/// The clocks that a bound may be in: those that the host had, and those moved by a later step while an earlier one was not known
/// of yet.
std::vector<Skew> clocks_of_bounds(const std::vector<Skew>& offsets) {
    auto all = offsets;
    for (std::size_t from = 0; from < offsets.size(); ++from)
        for (auto before = from; before < offsets.size(); ++before)
            for (auto after = before + 1; after < offsets.size(); ++after)
                all.push_back(offsets[from] + offsets[after] - offsets[before]);
    return all;
}

/// Each boundary is in the clock that the host had when it was written: what has ended stays as it is.
template <typename Right>
bool is_right_in_some_clock(const Assignment& told, const std::vector<Skew>& offsets,
                            const std::vector<Skew>& of_bounds, Right right) {
    const auto& first = told.began_inferred ? of_bounds : offsets;
    const auto& last = told.ended_inferred ? of_bounds : offsets;
    return std::any_of(first.begin(), first.end(), [&](Skew at_first) {
        auto a = told;
        a.began -= at_first;
        if (!a.ended) return right(a);
        return std::any_of(last.begin(), last.end(), [&](Skew at_last) {
            a.ended = *told.ended - at_last;
            return right(a);
        });
    });
}

}  // namespace

std::optional<std::string> find_wrong_assignment(const testing::Engine& database, const Witness& witness, UtcMillis now,
                                                 const std::vector<Skew>& offsets, bool all_kept) {
    std::map<std::string, std::vector<Holding>> truth;
    const milliseconds tolerance = witness.tolerance + milliseconds{999};  // both are cut to seconds
    const auto of_bounds = clocks_of_bounds(offsets);
    for (const auto& told : assignments_of(database, witness.name, offsets, all_kept)) {
        const auto number = number_of(witness.model, told.key);
        if (!number) return "assignment " + told.id + " is of " + told.key + ", no address of the server";
        if (witness.may_be_unknown(told.key)) continue;
        if (!told.ended && witness.unreadable_clients.contains(told.holder.client_id)) continue;  // it stays in doubt
        if (!witness.model.configured(witness.model.unit_of(*number), now)) continue;
        const auto followed = truth.try_emplace(told.key);  // no structured binding: clang 14 captures none
        auto& held = followed.first->second;
        if (followed.second) held = Follower(witness.model, *number).follow(now);
        if (told.ended == told.began) continue;  // it covers no second
        const auto right = is_right_in_some_clock(told, offsets, of_bounds, [&](const Assignment& a) {
            return is_right(a, held, witness.model.family(), tolerance, now);
        });
        if (right) continue;
        return "assignment " + told.id + " of " + told.key + " to " + told.holder.client_id + " from " +
               shown(told.began) + (told.began_inferred ? " (inferred)" : "") + " to " + shown(told.ended) +
               (told.ended_inferred ? " (inferred)" : "") + list(held, told);
    }
    return std::nullopt;
}

}  // namespace leasemirror::sim
