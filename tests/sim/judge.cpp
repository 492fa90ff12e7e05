// What is held against the agent: that the mirror is equal in the end, and says nothing wrong without a word before.
#include "agent/sync/clocks/start_jury.hpp"
#include "agent/sync/doubt_book.hpp"
#include "proto/binding.hpp"
#include "tests/sim/holdings.hpp"
#include "tests/sim/world.hpp"

#include <exception>

namespace leasemirror::sim {

using namespace std::chrono_literals;

namespace {

/// Between two looks at a mirror. Each reads all of it.
constexpr std::chrono::milliseconds between_looks{30s};

/// How much earlier than `fresh_as_of` a change may be and still be missing: base-times are whole seconds, and skews are
/// estimates.
constexpr std::chrono::milliseconds allowance{3s};

bool has_doubts(const testing::Engine& database) {
    try {
        (void)database.table("SELECT doubt FROM binding LIMIT 0");
        return true;
    } catch (const std::exception&) {
        return false;  // as the schema was until its fourth migration
    }
}

}  // namespace

Witness World::witness(std::size_t server) const {
    const auto& model = *servers_[server];
    Witness out{config_.servers[server].name, model.model(), host_offset_};
    out.vpns_unreached = unreached_vpns_.contains(server);
    // A small step of a clock cannot be told from disorder at once, and times told meanwhile are off by it.
    if (clock_stepped_.contains(server)) out.tolerance += ClockSkew::step_min;
    // Nor is a small step of ours found that happens while the agent is away.
    for (std::size_t i = 1; i < host_offsets_.size(); ++i) {
        const auto step = std::chrono::abs(host_offsets_[i] - host_offsets_[i - 1]);
        if (step <= StartJury::shift_min + 1s) out.tolerance += std::chrono::ceil<std::chrono::seconds>(step);
    }
    out.past_is_moot = model.options().personality.absolute_expiries && clock_stepped_.contains(server);
    for (const auto& [binding, what] : model.unreadable()) {
        if (what != leasesim::Unreadable::everything) continue;
        // Where the leases of a client are told together, none of them can be read.
        const auto unit = model.model().unit_of(binding);
        const bool together = model.options().personality.all_leases_together;
        const auto first = together ? model.model().first_binding(unit) : binding;
        for (auto b = first; b < first + (together ? model.model().unit_size(unit) : 1); ++b) {
            const auto truth = model.model().truth(b, now_);
            out.unreadable.insert(key_of(truth.key));
            if (truth.in_force()) out.unreadable_clients.insert(to_hex(truth.client_id));
        }
    }
    const auto questions = DoubtBook::questions_at_once + options_.to_heal / DoubtBook::question_interval;
    out.more_than_may_be_asked =
        !out.unreadable.empty() && model.model().bindings() > static_cast<std::uint64_t>(questions);
    return out;
}

std::chrono::seconds World::stepped_back(std::size_t server) const {
    const auto found = stepped_back_a_little_.find(server);
    return found == stepped_back_a_little_.end() ? 0s : found->second;
}

/// The promise that holds at every moment: while the phase is live and no gap is open, a row that is not in doubt was
/// true at `fresh_as_of` or later.
void World::judge_mirror(std::size_t server) {
    if (wrong_ || options_.without.contains(Oddity::silent_lie) || unsettled_.contains(server)) return;
    auto& last = judged_at_[server];
    if (now_ < last + between_looks / haste_) return;
    last = now_;
    if (!doubts_) doubts_ = has_doubts(database_->engine());
    auto seen = witness(server);
    seen.tolerance += stepped_back(server);
    const auto status = database_->engine().table(
        "SELECT phase, gaps_open, epoch(fresh_as_of) FROM server WHERE name = '" + seen.name + "'");
    if (status.size() != 1 || *status[0][0] != "live" || *status[0][1] != "0" || !status[0][2]) return;
    const UtcMillis fresh{std::chrono::seconds{std::stoll(*status[0][2])}};
    const auto since = fresh - host_offset_ - allowance - servers_[server]->reorder();
    ++stats_.judged;
    const auto lie = find_silent_lie(database_->engine(), seen, std::min(since, now_), now_, *doubts_);
    if (lie)
        wrong_ = "silent lie about " + seen.name + " at " + std::to_string(now_.time_since_epoch().count() / 1000) +
                 ", fresh as of " + *status[0][2] + ": " + *lie;
}

/// Not of a server whose clock stepped and whose times are absolute: when its leases began is no longer told.
std::optional<std::string> World::judge_assignments() const {
    if (options_.without.contains(Oddity::history)) return std::nullopt;
    for (std::size_t i = 0; i < servers_.size(); ++i) {
        auto seen = witness(i);
        if (seen.past_is_moot) continue;
        seen.tolerance += stepped_back(i);
        if (auto wrong =
                find_wrong_assignment(database_->engine(), seen, now_, host_offsets_, database_->keeps_assignments()))
            return seen.name + ": " + *wrong;
    }
    return std::nullopt;
}

std::optional<std::string> World::difference() {
    if (!engine_) return "the agent is not running";
    if (!doubts_) doubts_ = has_doubts(database_->engine());
    for (std::size_t i = 0; i < servers_.size(); ++i) {
        const auto seen = witness(i);
        if (auto found = compare_mirror(database_->engine(), seen, now_, *doubts_)) return seen.name + ": " + *found;
        const auto& server = engine_->server(i);
        // One that has learned it in the meantime is asked within a day: until then it is polled.
        const auto polled = bulk_only_.contains(i) && server.phase() == Phase::polling;
        if (!polled && server.phase() != Phase::live)
            return seen.name + ": phase " + std::string(to_string(server.phase()));
    }
    return std::nullopt;
}

}  // namespace leasemirror::sim
