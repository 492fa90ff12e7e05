// The third of ServerSync that makes something of what the sessions say; see the head of server_sync.hpp.
#include "agent/sync/server_sync.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

/// A message read this soon after we had stopped reading may have waited for us: its base-time tells no skew.
constexpr std::chrono::seconds prompt_after{30};

}  // namespace

void ServerSync::handle(Link& link, const SessionAction& action) {
    std::visit(Overload{
                   [&](const action::Send& a) {
                       actions_.push_back(sync_action::Send{link.id, Bytes(a.bytes.begin(), a.bytes.end())});
                   },
                   [&](const action::Heard& a) { on_heard(link, a); },
                   [&](const action::Deliver& a) { on_binding(link, *a.binding); },
                   [&](const action::ClientListed& a) { on_client_listed(link, a); },
                   [&](const action::Quarantine& a) { on_quarantine(link, a); },
                   [&](const action::Advance& a) { on_advance(a.base_time); },
                   [&](const action::CaughtUp&) {
                       catch_up_alarm_.reset();
                       log(LogLevel::info, "caught-up");
                       replan_ = true;
                   },
                   [&](const action::DataMissing& a) { on_data_missing(link, a.base_time); },
                   [&](const action::QueryDone& a) { on_query_done(link, a); },
                   [&](const action::Close& a) { on_close(link, a); },
               },
               action);
}

void ServerSync::on_heard(Link& link, const action::Heard& heard) {
    failing_ = false;
    link.heard = true;
    status_.last_message_at = utc_now();
    outbox_.touch(now_.steady);
    if (!heard.server_identity.empty()) {
        const Bytes told(heard.server_identity.begin(), heard.server_identity.end());
        const auto changed = !identity_.empty() && identity_ != told;
        identity_ = told;
        status_.server_identity = told;
        if (changed) {
            forget_abilities();
            return start_afresh("another server answers at this address (identity " + to_hex(told) + ")");
        }
    }
    if (const auto* active = std::get_if<ActiveSession>(&link.session)) {
        const auto state = active->state();  // closed: this very message refuses the query
        if (state == ActiveState::catching_up || state == ActiveState::live) learn_active(true);
    } else {
        bulk_answered_ = true;
    }
    if (link.item && job_) job_->on_reply(*link.item, heard.base_time, skew_.server_now(now_.utc));
    if (!heard.base_time) return;
    const auto undisturbed = !last_blocked_ || now_.steady - *last_blocked_ >= prompt_after;
    const auto verdict =
        skew_.on_base_time(*heard.base_time, link.fresh_from, link.asked_at, now_, link.active() && undisturbed);
    switch (verdict) {
        case ClockSkew::Verdict::steady:
            break;
        case ClockSkew::Verdict::stepped_forward:
            log(LogLevel::warn, "clock-stepped-forward", {{"skew_ms", std::to_string(skew_.estimate().count())}});
            break;
        case ClockSkew::Verdict::stepped_back:
            return start_afresh("the server's clock went back: base-time " +
                                std::to_string(unix_seconds(*heard.base_time)) + " after " +
                                (highest_heard_ ? std::to_string(unix_seconds(*highest_heard_)) : std::string("none")));
    }
    if (std::exchange(kept_guessed_, false) && kept_ && *heard.base_time < *kept_) return give_up_guess();
    link.fresh_from = link.fresh_from ? std::max(*link.fresh_from, *heard.base_time) : *heard.base_time;
    highest_heard_ = highest_heard_ ? std::max(*highest_heard_, *heard.base_time) : *heard.base_time;
}

void ServerSync::on_binding(Link& link, const Binding& binding) {
    auto& change = outbox_.add_change(now_.steady);
    change.binding = binding;
    change.skew = skew_.estimate();
    change.late = link.active() && catch_up_alarm_.has_value();
    if (link.item && job_) {
        const auto& item = job_->items()[*link.item];
        job_->on_binding(*link.item, binding);
        change.run = item.run;
        change.scope = item.query.scope_id();
    } else {
        change.run = last_run_;
    }
    outbox_.account(change);
}

void ServerSync::on_client_listed(Link& link, const action::ClientListed& listed) {
    // Bulk servers spread one client over many OPTION_CLIENT_DATA (Kea; REQUIREMENTS trap 12).
    if (!link.active()) return;
    if (listed.listed > 0 && config_.client_data != ClientData::snapshot) return;
    auto& change = outbox_.add_change(now_.steady);
    change.kind = Change::Kind::client_list_end;
    change.listed = listed.listed;
    change.run = last_run_;
    change.late = catch_up_alarm_.has_value();
    change.binding = *listed.client;
    outbox_.account(change);
}

void ServerSync::on_quarantine(Link& link, const action::Quarantine& quarantine) {
    outbox_.add_quarantine({utc_now(), quarantine.reason, Bytes(quarantine.message.begin(), quarantine.message.end())},
                           now_.steady);
    if (std::uint64_t left_out = 0; quarantine_log_.allows(now_.steady, left_out)) {
        log(LogLevel::warn, "quarantined",
            {{"reason", quarantine.reason}, {"left_out_before", std::to_string(left_out)}});
    }
    if (!quarantine.lease_lost) return;
    if (link.active()) {
        // What it said is not in the mirror, and must not be missing silently: ask for it again by bulk.
        const auto until = std::max(highest_heard_.value_or(ServerTime::min()), skew_.server_now(now_.utc));
        // What changed a little before it was told may have waited in the server behind messages that we could read.
        if (kept_)
            open_gap(std::min(*kept_, until) - told_late, until,
                     "a message could not be understood: " + quarantine.reason);
        return;
    }
    if (!link.item || !job_) return;
    job_->on_lease_unread(*link.item);
    if (!job_->is_full()) return;
    if (!quarantine.address) return job_->on_lease_lost(*link.item);
    auto& change = outbox_.add_change(now_.steady);
    change.kind = Change::Kind::sighting;
    change.run = job_->items()[*link.item].run;
    change.binding.key.address = *quarantine.address;
    outbox_.account(change);
}

void ServerSync::on_advance(ServerTime base_time) {
    kept_ = kept_ ? std::max(*kept_, base_time) : base_time;
    outbox_.touch(now_.steady);
    outbox_.pending().base_time = kept_;
}

void ServerSync::on_data_missing(Link& link, std::optional<ServerTime> base_time) {
    const auto& session = std::get<ActiveSession>(link.session);
    const auto to = base_time.value_or(skew_.server_now(now_.utc));
    // Missing from catch-up: all since the start that we gave (RFC 7653 §8.4.1). Missing later: all since we last knew.
    const auto from = std::exchange(catch_up_alarm_, std::nullopt) ? session.start_time() : kept_;
    replan_ = true;
    if (from) return open_gap(*from, to, "DataMissing");
    if (!queries_.empty()) full_cause_ = "DataMissing before anything was received";
}

void ServerSync::open_gap(ServerTime from, ServerTime to, const std::string& cause) {
    auto change = gaps_.open(from, to, cause);
    if (std::uint64_t left_out = 0; gap_log_.allows(now_.steady, left_out)) {
        log(LogLevel::warn, "gap",
            {{"from", std::to_string(unix_seconds(change.gap.from))},
             {"to", std::to_string(unix_seconds(change.gap.to))},
             {"cause", cause},
             {"left_out_before", std::to_string(left_out)}});
    }
    const auto number = change.gap.number;
    outbox_.touch(now_.steady);
    auto& pending = outbox_.pending();
    pending.gaps.push_back(std::move(change));
    if (queries_.empty()) {
        // Nothing can be asked that would bring it back (DESIGN section 3.3).
        pending.gaps.push_back(gaps_.close(number, "unrecoverable", 0));
        status_.coverage = Coverage::partial;
    }
    replan_ = true;
}

void ServerSync::on_query_done(Link& link, const action::QueryDone& done) {
    replan_ = true;
    if (!link.item || !job_) return;
    const auto item = *std::exchange(link.item, std::nullopt);
    const auto query = job_->items()[item].query;
    const auto transient = done.status == StatusCode::query_terminated || done.status == StatusCode::unspec_fail ||
                           done.status == StatusCode::unknown;
    if (done.outcome == QueryOutcome::complete) {
        job_->on_complete(item);
        bulk_pacing_.on_success();
    } else if (transient) {
        set_error("bulk query for " + to_string(query) + " failed: " + done.text);
        bulk_pacing_.on_failure(now_.steady, jitter_);
        job_->on_cut_off(item, done.text);
        // After QueryTerminated nothing more comes here (RFC 6926 §7.1, RFC 5460 §5.5): again on another connection, paced.
        return drop(link.id, true);
    } else if (asks_all_vpns(query)) {
        // Option 221 may be all that the server minds (Kea refuses any): once more, for the default VPN alone.
        ask_all_vpns_ = false;
        job_->give_back(item);
    } else {
        ask_all_vpns_ = true;  // if that was not it, the next query may ask for them again
        set_error("bulk query for " + to_string(query) + " refused: " + done.text);
        job_->on_refused(item, done.text);
    }
    ask_next(link, now_);
}

void ServerSync::on_close(Link& link, const action::Close& close) {
    const auto id = link.id;
    if (link.active()) {
        on_active_closed(close, link.heard);
    } else {
        on_bulk_closed(link, close.text);
    }
    drop(id, true);
    replan_ = true;
}

void ServerSync::on_active_closed(const action::Close& close, bool heard) {
    catch_up_alarm_.reset();
    set_error(close.text);
    const auto retry = config_.timeouts.retry;
    switch (close.why) {
        case CloseReason::peer_silent:
            // Nor does each server close on a message type that it does not know: RFC 6926 did not say so yet.
            if (!heard) on_refused_silently(close.text);
            return;
        case CloseReason::peer_closed:
        case CloseReason::query_blocked:
        case CloseReason::framing_lost:
        case CloseReason::unknown_transaction:
        case CloseReason::protocol_violation:
        case CloseReason::query_terminated:
            return;  // active_pacing_ keeps its distance from the attempt
        case CloseReason::refused:
            // UnspecFail may pass; the others would be answered the same again (REQUIREMENTS 2.4, 2.5).
            if (close.status == StatusCode::unspec_fail || close.status == StatusCode::unknown) return;
            return active_pacing_.put_off(now_.steady + 10 * retry);
        case CloseReason::refused_silently:
            return on_refused_silently(close.text);
        case CloseReason::not_supported:  // bulk there, but no active leasequery (RFC 7653 §9.2)
            learn_active(false);
            return poll_instead(support_lasts, close.text);
    }
}

void ServerSync::on_bulk_closed(Link& link, const std::string& text) {
    if (!link.item || !job_) return;
    const auto item = *std::exchange(link.item, std::nullopt);
    set_error(text + "; it was the query for " + to_string(job_->items()[item].query));
    bulk_pacing_.on_failure(now_.steady, jitter_);
    job_->on_cut_off(item, text);
}

/// No message had told what the server's clock shows, and our guess was ahead of it: asked from there, an active query
/// skips what changes until that clock has come so far. Now it is known, and the next guess will be right.
void ServerSync::give_up_guess() {
    const auto known = skew_;
    start_afresh("the server's clock is behind ours, which it had not told before");
    skew_ = known;
}

/// What we hold of this server was told in another clock, or by another server: a new epoch (DESIGN section 3.7).
void ServerSync::start_afresh(const std::string& cause) {
    log(LogLevel::warn, "fresh-start", {{"cause", cause}});
    set_error(cause);
    while (!links_.empty())
        drop(links_.back().id, true);
    job_.reset();
    full_again_.reset();
    // What waits here was told in the old clock, or by the other server: the full bulk brings all of it anew.
    if (!queries_.empty()) outbox_.drop_changes();
    afresh_in_batch_ = outbox_.next_number();
    outbox_.touch(now_.steady);
    auto& pending = outbox_.pending();
    pending.base_time.reset();
    pending.fresh_start = true;
    status_.coverage = Coverage::partial;
    kept_.reset();
    committed_.reset();
    highest_heard_.reset();
    catch_up_alarm_.reset();
    kept_guessed_ = false;
    window_from_.reset();  // of the old clock
    window_due_.reset();
    oldest_change_.reset();
    skew_.reset();
    if (queries_.empty()) {
        for (const auto number : gaps_.numbers())
            pending.gaps.push_back(gaps_.close(number, "unrecoverable", 0));
    } else {
        gaps_.all_need_full();
        full_cause_ = cause;
        bulk_pacing_.on_failure(now_.steady, jitter_);
    }
    hold_active_ = false;
    replan_ = true;
}

}  // namespace leasemirror
