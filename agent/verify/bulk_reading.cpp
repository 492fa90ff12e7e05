#include "agent/verify/bulk_reading.hpp"

#include "agent/config/full_read.hpp"
#include "agent/config/time_text.hpp"
#include "storage/batch.hpp"
#include "storage/ledger/told_row.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

/// Reasons of this many messages that were not understood are said.
constexpr std::uint64_t quarantine_lines_max = 5;
/// Of more addresses than this that could not be read none is kept apart: the query proves nothing then.
constexpr std::size_t unreadable_max = 10000;

/// After these the connection is of no more use (RFC 6926 §7.1, RFC 5460 §5.5), or the next query would fare the same.
bool ends_all(StatusCode status) {
    return status == StatusCode::query_terminated || status == StatusCode::not_allowed;
}

}  // namespace

BulkReading::BulkReading(const ServerConfig& server, const SessionSettings& settings, Skew skew, OnListed on_listed,
                         Say say)
    : server_(server), skew_(skew), on_listed_(std::move(on_listed)), say_(std::move(say)), session_(settings) {
    for (const auto& query : full_read_queries(server))
        asked_.push_back({query});
}

void BulkReading::start(SessionNow now) {
    ask(now);
}

void BulkReading::ask(SessionNow now) {
    if (!seen_.any) seen_.asked_at = now.server + std::chrono::floor<std::chrono::seconds>(skew_);
    session_.start(asked_[next_].query, {}, asks_all_vpns(), now);
}

/// Everything means that of all VPNs (RFC 6926 §7.2); Kea refuses any option 221.
bool BulkReading::asks_all_vpns() const {
    return all_vpns_ && server_.family == Family::v4 && asked_[next_].query.kind == QueryKind::all;
}

void BulkReading::on_action(const SessionAction& action, Now now, SessionNow session_now) {
    if (over_) return;
    std::visit(Overload{
                   [](const action::Send&) {},
                   [&](const action::Heard& heard) { on_heard(heard, now); },
                   [&](const action::Deliver& deliver) { on_binding(*deliver.binding); },
                   [](const action::ClientListed&) {},
                   [&](const action::Quarantine& quarantine) { on_quarantine(quarantine); },
                   [](const action::Advance&) {},  // of active queries, as are the next two
                   [](const action::CaughtUp&) {},
                   [](const action::DataMissing&) {},
                   [&](const action::QueryDone& done) { on_done(done, session_now); },
                   [&](const action::Close& close) { fail(close.text); },
               },
               action);
}

void BulkReading::on_heard(const action::Heard& heard, Now now) {
    const auto ours = std::chrono::floor<std::chrono::seconds>(now.utc);
    message_.skew = heard.base_time ? skew_ : Skew{0};
    message_.heard_at = heard.base_time ? to_utc(*heard.base_time, skew_) : ours;
    seen_.any = true;
    const auto& base = heard.base_time;
    if (base && !seen_.first_base) {  // a refusal before it may have had none
        if (std::chrono::abs(message_.heard_at - ours) > clock_slack)
            return fail("its clock shows " + iso_utc(*base) +
                        ", more than a minute from what the mirror knows of it: that clock, the agent's or this host's "
                        "was set");
        seen_.first_base = base;
    }
    message_.distrusted =
        message_.heard_at > ours + clock_slack || (base && *base + Change::disorder_window < *seen_.first_base);
    if (!message_.distrusted) seen_.ended = std::max(seen_.ended, message_.heard_at);
}

void BulkReading::on_binding(const Binding& binding) {
    if (message_.distrusted) {
        seen_.unreadable.insert(binding.key.address);
        asked_[next_].lease_lost = asked_[next_].lease_lost || seen_.unreadable.size() > unreadable_max;
        if (seen_.not_understood++ < quarantine_lines_max) say_("a message has a base-time that cannot be right");
        return;
    }
    ++seen_.listed;
    seen_.vpns = seen_.vpns || !binding.key.vpn_id.empty();
    on_listed_(told_row(binding, message_.skew, scratch_), message_.heard_at);
}

void BulkReading::on_quarantine(const action::Quarantine& quarantine) {
    if (seen_.not_understood++ < quarantine_lines_max) say_("a message could not be understood: " + quarantine.reason);
    if (!quarantine.lease_lost) return;
    if (quarantine.address && seen_.unreadable.size() < unreadable_max)
        seen_.unreadable.insert(*quarantine.address);
    else
        asked_[next_].lease_lost = true;
}

void BulkReading::on_done(const action::QueryDone& done, SessionNow now) {
    auto& asked = asked_[next_];
    if (done.outcome == QueryOutcome::failed) {
        if (asks_all_vpns() && seen_.listed == 0 && done.status != StatusCode::query_terminated) {
            all_vpns_ = false;
            say_("refused for all VPNs (" + done.text + "); asking for the default VPN alone");
            return ask(now);
        }
        if (ends_all(done.status)) return fail(done.text);
        asked.state = State::failed;
        say_("the query for " + to_string(asked.query) + " failed: " + done.text);
    } else {
        asked.state = State::complete;
    }
    if (++next_ < asked_.size()) return ask(now);
    over_ = true;
}

void BulkReading::fail(const std::string& why) {
    if (over_) return;
    say_(why);
    const auto left = asked_.size() - next_;
    if (asked_.size() > 1)
        say_("not answered to the end: " + std::to_string(left) + " of " + std::to_string(asked_.size()) + " queries");
    over_ = true;
}

Reading BulkReading::reading() const {
    Reading out;
    out.began = seen_.first_base.value_or(seen_.asked_at);
    out.ended = seen_.ended;
    const auto complete = [](const Asked& a) { return a.state == State::complete; };
    const auto lost = [](const Asked& a) { return a.lease_lost; };
    const bool all_complete = std::all_of(asked_.begin(), asked_.end(), complete);
    const bool all_placed = std::none_of(asked_.begin(), asked_.end(), lost);
    out.absence.everything = full_read_covers_everything(server_) && all_complete && all_placed;
    out.absence.all_vpns =
        seen_.vpns && all_vpns_ && server_.family == Family::v4 && asked_.front().query.kind == QueryKind::all;
    out.absence.unreadable = seen_.unreadable;
    for (const auto& asked : asked_)
        if (complete(asked)) out.absence.scopes.push_back(absence_scope(asked.query, asked.lease_lost));
    out.whole = all_complete && seen_.not_understood == 0;
    return out;
}

}  // namespace leasemirror
