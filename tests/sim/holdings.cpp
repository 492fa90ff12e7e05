#include "tests/sim/holdings.hpp"

#include "agent/sync/clocks/start_jury.hpp"

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
    bool ended_by_list = false;
    bool in_doubt = false;
    /// It begins where the one before it ended, and no earlier, since that end was written while our clock was ahead. It may
    /// have moved since.
    bool pushed_on = false;
    /// What it was put together from, on a guess: between those two our clock may have been set, or the client was away.
    std::vector<Assignment> parts = {};

    void end_as(const Assignment& next) {
        ended = next.ended;
        ended_inferred = next.ended_inferred;
        ended_by_list = next.ended_by_list;
    }
};

bool close(UtcMillis a, UtcMillis b, milliseconds tolerance) {
    return std::chrono::abs(a - b) <= tolerance;
}

std::string assignments_sql(const std::string& server) {
    return "SELECT assignment_id, vpn_id, kind, host(address), prefix_len, lower(hex(a.client_id)), hw_addr, "
           "lower(hex(remote_id)), epoch(began_at), epoch(ended_at), CAST(began_inferred AS INTEGER), "
           "CAST(ended_inferred AS INTEGER), a.end_reason, "
           "(SELECT doubt FROM binding b WHERE b.server_id = a.server_id AND b.assignment_id = a.assignment_id) "
           "FROM assignment a JOIN server USING (server_id) "
           "WHERE name = '" +
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
    a.ended_by_list = cells[12] == "unlisted";
    a.in_doubt = cells[13].has_value();
    return a;
}

/// The clock was set by as much in between: what has ended stays as it is, and what is open moves.
bool may_be_same_moment(UtcMillis ended, UtcMillis began, const std::vector<Skew>& offsets) {
    return std::any_of(offsets.begin(), offsets.end(), [&](Skew before) {
        return std::any_of(offsets.begin(), offsets.end(), [&](Skew after) {
            return before != after && close(ended - before, began - after, seconds{2});
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
        const bool follows = goes_on && goes_on->ended &&
                             (*goes_on->ended == a.began || may_be_same_moment(*goes_on->ended, a.began, offsets));
        a.pushed_on = follows && a.began_inferred && offsets.size() > 1;
        const bool may_go_on = follows && goes_on->holder == a.holder && !goes_on->ended_inferred &&
                               (!a.pushed_on || goes_on->ended_by_list);
        if (may_go_on) {
            if (*goes_on->ended != a.began) {
                if (goes_on->parts.empty()) goes_on->parts.push_back(*goes_on);
                goes_on->parts.push_back(a);
            } else if (!goes_on->parts.empty()) {
                goes_on->parts.back().end_as(a);
            }
            goes_on->end_as(a);
            continue;
        }
        if (is_first && !all_kept) {
            a.pushed_on = a.began_inferred && offsets.size() > 1;
            a.began_inferred = true;
        }
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
            for (const auto step : model_.clock().steps())
                if (step > at && step < next) {
                    see(step - milliseconds{1}, false);
                    see(step, true);  // a lease that was over may be in force again: the one that began before
                }
            if (next - milliseconds{1} > at) see(next - milliseconds{1}, false);  // it may have expired in between
        }
        return std::move(held_);
    }

private:
    void see(UtcMillis at, bool began_before) {
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
        held_.push_back({std::move(holder), began_before ? state_.since : at, std::nullopt});
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

/// All that there is about one binding, a line each: what the tables say, and the truth.
std::string all_of(const testing::Engine& database, const std::string& server, const std::string& key,
                   const std::vector<Holding>& held, const std::vector<Skew>& offsets) {
    const auto first = key.rfind(' ') + 1;
    const auto where = " JOIN server USING (server_id) WHERE name = '" + server + "' AND host(address) = '" +
                       key.substr(first, key.rfind('/') - first) + "' ORDER BY ";
    std::string out;
    for (const auto& row : database.rows("SELECT assignment_id, lower(hex(client_id)), hw_addr, lower(hex(remote_id)), "
                                         "epoch(began_at), epoch(ended_at), end_reason, began_inferred, ended_inferred "
                                         "FROM assignment" +
                                         where + "assignment_id"))
        out += "\n  assignment " + row;
    for (const auto& row :
         database.rows("SELECT seq, epoch(at), change, state, lower(hex(client_id)), inferred, detail "
                       "FROM binding_change" +
                       where + "seq"))
        out += "\n  feed       " + row;
    for (const auto& h : held)
        out += "\n  truth      " + h.holder.client_id + "|" + h.holder.hw_addr + "|" + h.holder.remote_id + "|" +
               shown(h.from) + "|" + shown(h.to);
    for (const auto offset : offsets)
        out += "\n  our clock was ahead by " + std::to_string(offset.count()) + " ms";
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
        // What a message told that was not read for as long as a jury sat is told as of when it was read, as two bounds.
        const milliseconds unread = a.began_inferred && a.ended_inferred ? StartJury::patience : seconds{0};
        if (h.to && a.began > *h.to + unread + tolerance_) return false;
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

/// Each boundary is in the clock that the host had when it was written: what has ended stays as it is. Where our clock was set
/// again before the agent could know of the first time, what is open moves by the second step alone; and what ends before the
/// agent knows of both stays so. Its end is a bound then.
template <typename Right>
bool is_right_in_some_clock(const Assignment& told, const std::vector<Skew>& offsets,
                            const std::vector<Skew>& of_bounds, Right right) {
    const bool twice = offsets.size() > 2 && told.ended && told.ended_inferred;
    const auto& first = told.began_inferred || twice ? of_bounds : offsets;
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
        const bool may_stay_in_doubt =
            witness.more_than_may_be_asked || witness.unreadable_clients.contains(told.holder.client_id);
        if (told.in_doubt && may_stay_in_doubt) continue;
        if (!witness.model.configured(witness.model.unit_of(*number), now)) continue;
        const auto followed = truth.try_emplace(told.key);  // no structured binding: clang 14 captures none
        auto& held = followed.first->second;
        if (followed.second) held = Follower(witness.model, *number).follow(now);
        if (told.ended == told.began) continue;  // it covers no second
        const auto is_so = [&](const Assignment& one) {
            return is_right_in_some_clock(one, offsets, of_bounds, [&](const Assignment& a) {
                return is_right(a, held, witness.model.family(), tolerance, now);
            });
        };
        if (is_so(told)) continue;
        if (!told.parts.empty() && std::all_of(told.parts.begin(), told.parts.end(), is_so)) continue;
        return "assignment " + told.id + " of " + told.key + " to " + told.holder.client_id + " from " +
               shown(told.began) + (told.began_inferred ? " (inferred)" : "") + " to " + shown(told.ended) +
               (told.ended_inferred ? " (inferred)" : "") + list(held, told) +
               all_of(database, witness.name, told.key, held, offsets);
    }
    return std::nullopt;
}

}  // namespace leasemirror::sim
