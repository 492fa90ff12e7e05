// What ServerSync makes of the words of its sessions; see the head of server_sync.hpp.
#include "agent/config/time_text.hpp"
#include "agent/sync/server_sync.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

StatusReport::Source source_of(const action::Close& close) {
    if (close.why == CloseReason::refused_silently) return StatusReport::Source::guess;
    const auto told = close.why == CloseReason::refused || close.why == CloseReason::not_supported ||
                      close.why == CloseReason::query_terminated;
    return told ? StatusReport::Source::told : StatusReport::Source::seen;
}

}  // namespace

/// Works off one action of one session; false when none of them has any, or the outbox has no room.
bool ServerSync::pump() {
    if (testimony()) return false;
    for (auto& connection : connections_.all()) {
        if (connection.waits_for_jury) continue;
        // A message is read out whole once begun: what it says of one client must be in one batch (storage/batch.hpp).
        const auto inside = std::visit([](const auto& s) { return s.inside_message(); }, connection.session);
        if (outbox_.full() && !inside) {
            follow_backpressure();
            continue;
        }
        const auto next = std::visit([](auto& s) { return s.poll_action(); }, connection.session);
        if (!next) continue;
        handle(connection, *next);  // may drop the connection, and with it this loop's ground
        return true;
    }
    return false;
}

void ServerSync::handle(SyncConnection& connection, const SessionAction& action) {
    std::visit(Overload{
                   [&](const action::Send& a) {
                       actions_.push_back(sync_action::Send{connection.id, Bytes(a.bytes.begin(), a.bytes.end())});
                   },
                   [&](const action::Heard& a) { on_heard(connection, a); },
                   [&](const action::Deliver& a) { on_deliver(connection, *a.binding); },
                   [&](const action::ClientListed& a) { on_client_listed(connection, a); },
                   [&](const action::Quarantine& a) { on_quarantine(connection, a); },
                   [&](const action::Advance& a) {
                       if (connection.distrusted) return;
                       const auto late = epoch_.checkpoint.advance(a.base_time, support_.disorder());
                       if (late > std::chrono::seconds{0}) support_.on_disorder(late);
                       outbox_.edit(now_.steady).base_time = epoch_.checkpoint.reached();
                   },
                   [&](const action::CaughtUp&) {
                       connection.catch_up_alarm.reset();
                       report_.log(LogLevel::info, "caught-up");
                   },
                   [&](const action::DataMissing& a) { on_data_missing(connection, a.base_time); },
                   [&](const action::QueryDone& a) { on_query_done(connection, a); },
                   [&](const action::Close& a) { on_close(connection, a); },
               },
               action);
}

Telling ServerSync::told_on(const SyncConnection& connection) {
    // Only what is told in the catch-up phase can be from before it, so that its base-time proves nothing of the clock.
    const bool unsure =
        connection.is_catching_up() && connection.base_time && epoch_.skew.lags(*connection.base_time, now_);
    // What a full bulk did not list ends at the end of its batch, and is there until then.
    const bool gap_open = !bulk_.gaps().empty() || outbox_.pending().reconcile.has_value();
    return {connection,
            job_of(connection),
            bulk_.last_run(),
            gap_open,
            epoch_.skew.estimate(),
            unsure,
            epoch_.skew.server_second(now_.utc),
            now_};
}

void ServerSync::on_deliver(SyncConnection& connection, const Binding& binding) {
    if (!connection.distrusted) return recorder_.on_binding(told_on(connection), binding);
    on_lease_lost(connection, "its base-time cannot be right", binding.key.address, binding.key.vpn_id);
}

void ServerSync::on_client_listed(SyncConnection& connection, const action::ClientListed& listed) {
    if (!connection.distrusted) return recorder_.on_client_listed(told_on(connection), listed, complete_lists());
    if (listed.listed == 0) return on_lease_lost(connection, "its base-time cannot be right", std::nullopt, {});
    // What this list leaves out may have ended.
    if (connection.is_active() && complete_lists() != false)
        recorder_.on_list_unread(told_on(connection), listed.client->client_id, listed.client->key.vpn_id);
}

/// Whether what a list of this server leaves out has ended.
std::optional<bool> ServerSync::complete_lists() const {
    if (config_.client_data == ClientData::automatic) return support_.known().complete_lists;
    return config_.client_data == ClientData::snapshot;
}

BulkJob* ServerSync::job_of(const SyncConnection& connection) {
    if (!connection.item) return nullptr;
    return connection.for_question ? doubts_.question() : bulk_.job();
}

// ---- messages -----------------------------------------------------------------------------------------------------

void ServerSync::on_heard(SyncConnection& connection, const action::Heard& heard) {
    connection.heard = true;
    connection.refused_by.reset();
    connection.distrusted = false;
    connection.base_time = heard.base_time;
    report_.on_heard(now_);
    // The first identity holds for the rest (RFC 6926 §7.3), and one connection has one server at its other end.
    if (!heard.server_identity.empty() && !std::exchange(connection.identified, true)) {
        const Bytes told(heard.server_identity.begin(), heard.server_identity.end());
        const auto before = report_.set_identity(told);
        if (!before.empty() && before != told) {
            support_.on_other_server(bulk_.can_ask(), config_);
            bulk_.on_other_server();
            return start_afresh("another server answers at this address (identity " + to_hex(told) + ")", {},
                                epoch_.skew.known());
        }
    }
    if (const auto* active = std::get_if<ActiveSession>(&connection.session)) {
        const auto state = active->state();  // closed: this very message refuses the query
        if (state == ActiveState::catching_up || state == ActiveState::live) {
            support_.on_active_answered(now_);
            report_.on_answered(now_);
            report_.on_over(StatusReport::Scope::active, now_);
        }
    } else {
        support_.on_bulk_answered();
    }
    if (heard.base_time) return on_base_time(connection, heard, {});
    if (epoch_.stored_clock.awaits_jury()) return wait_for_jury(connection, heard.message);
    on_undated_reply(connection);
}

void ServerSync::on_undated_reply(const SyncConnection& connection) {
    on_reply(connection);
    if (!epoch_.skew.known()) epoch_.stored_clock.on_heard();  // it has no clock that could tell of ours
}

/// Its base-time is in Connection::base_time, if it has one that can be right.
void ServerSync::on_reply(const SyncConnection& connection) {
    if (auto* job = job_of(connection)) job->on_reply(*connection.item, connection.base_time, asked_at(connection));
}

/// What the server's clock showed when the query was sent. Our own may have been set since then.
ServerTime ServerSync::asked_at(const SyncConnection& connection) const {
    const auto ago = std::chrono::ceil<std::chrono::milliseconds>(now_.steady - connection.asked_at);
    return epoch_.skew.server_second(now_.utc - ago);
}

void ServerSync::on_quarantine(SyncConnection& connection, const action::Quarantine& quarantine) {
    recorder_.on_quarantine(told_on(connection), quarantine);
    report_.on_quarantined(quarantine.reason, now_.steady);
    const auto vpn_id = quarantine.vpn_id.value_or("");
    if (quarantine.lease_lost) on_lease_lost(connection, quarantine.reason, quarantine.address, vpn_id);
    if (!connection.is_active() || quarantine.client_id.empty()) return;
    recorder_.on_list_unread(told_on(connection), quarantine.client_id, vpn_id);
    if (!quarantine.vpn_id) open_unread_gap(quarantine.reason);  // it may have been of any
}

/// What was said of a binding is not in the mirror, and must not be missing silently.
void ServerSync::on_lease_lost(SyncConnection& connection, const std::string& reason,
                               const std::optional<IpAddress>& address, const std::string& vpn_id) {
    auto* job = job_of(connection);
    if (connection.for_question) {  // the doubt stays
        if (job) job->on_lease_unread(*connection.item);
        return;
    }
    report_.on_lease_lost();
    if (connection.is_active()) {
        // Where the mirror has a row for it, that row will be in doubt (on_sightings_written()).
        if (address) return recorder_.on_sighting(told_on(connection), *address, vpn_id);
        return open_unread_gap(reason);
    }
    if (!job) return;
    job->on_lease_unread(*connection.item);
    if (!job->is_full()) {
        report_.on_lacking();
        return bulk_.need_full_for_unread(now_.steady);
    }
    if (!address) return job->on_lease_lost(*connection.item);
    recorder_.on_sighting(told_on(connection), *address, vpn_id);
}

/// A message on the active connection told of a lease, and nobody knows of which: what it said is not in the mirror, and must
/// not be missing silently.
void ServerSync::open_unread_gap(const std::string& reason) {
    report_.on_lacking();
    const auto reached = epoch_.checkpoint.reached();
    if (!reached) return;
    const auto until =
        std::max(epoch_.checkpoint.highest_heard().value_or(ServerTime::min()), epoch_.skew.server_now(now_.utc));
    // What changed a little before it was told may have waited in the server behind messages that we could read.
    record_gap(bulk_.open_unread_gap(std::min(*reached, until) - Checkpoint::reporting_delay_max, until,
                                     "a message could not be understood: " + reason));
}

/// Addresses of which something unreadable was told on the active connection: the ones of which the mirror has a row are in
/// doubt now. Of the others nothing is there that could be.
void ServerSync::on_sightings_written(const Batch& done) {
    for (const auto& change : done.changes)
        if (change.kind == Change::Kind::sighting && change.binding.via == Via::active &&
            !doubts_.knows(change.binding.key.address, change.binding.key.vpn_id))
            return open_unread_gap("of " + change.binding.key.address.to_string() + ", which the mirror does not have");
}

void ServerSync::on_data_missing(SyncConnection& connection, std::optional<ServerTime> base_time) {
    const auto server_now = epoch_.skew.server_now(now_.utc);
    const auto to = connection.distrusted ? server_now : base_time.value_or(server_now);
    // Missing from catch-up: all since the start that we gave (RFC 7653 §8.4.1). Missing later: all since we last knew, but
    // over DHCPv4 again all since that start (RFC 7724 §7.4.1).
    const auto& start = std::get<ActiveSession>(connection.session).start_time();
    const bool from_start = connection.is_catching_up() || (config_.family == Family::v4 && start);
    const auto from = from_start ? start : epoch_.checkpoint.reached();
    connection.catch_up_alarm.reset();
    if (from) return record_gap(bulk_.open_gap(*from, to, "DataMissing"));
    if (bulk_.can_ask()) bulk_.need_full("DataMissing before anything was received");
}

void ServerSync::record_gap(GapChange change) {
    report_.on_gap(change.gap, change.gap.cause, now_.steady);
    const auto number = change.gap.number;
    auto& batch = outbox_.edit(now_.steady);
    batch.gaps.push_back(std::move(change));
    if (bulk_.can_ask()) return;
    // Nothing can be asked that would bring it back.
    batch.gaps.push_back(bulk_.give_up_gap(number));
    report_.set_coverage(Coverage::partial);
}

// ---- ends ---------------------------------------------------------------------------------------------------------

void ServerSync::on_query_done(SyncConnection& connection, const action::QueryDone& done) {
    auto* job = job_of(connection);
    if (!job) return;
    const auto item = *std::exchange(connection.item, std::nullopt);
    const auto& query = job->items()[item].query;
    const auto transient = done.status == StatusCode::query_terminated || done.status == StatusCode::unspec_fail ||
                           done.status == StatusCode::unknown;
    // To have no such address configured is an answer, too (RFC 5007 §4.1.3).
    const auto answered = done.outcome == QueryOutcome::complete ||
                          (connection.for_question && done.status == StatusCode::not_configured);
    if (answered) {
        job->on_complete(item);
        bulk_.on_answered();
        report_.on_answered(now_);
    } else if (transient) {
        report_.error("bulk query for " + to_string(query) + " failed: " + done.text, now_, StatusReport::Scope::bulk,
                      StatusReport::Source::told);
        bulk_.on_failure(now_.steady, jitter_);
        job->on_cut_off(item, done.text);
        // After QueryTerminated nothing more comes here (RFC 6926 §7.1, RFC 5460 §5.5): again on another connection, paced.
        return drop(connection.id, true);
    } else if (!connection.for_question && bulk_.retries_without_vpns(query)) {
        job->give_back(item);
    } else {
        report_.error("bulk query for " + to_string(query) + " refused: " + done.text, now_, StatusReport::Scope::bulk,
                      StatusReport::Source::told);
        job->on_refused(item, done.text);
    }
    ask_next(connection);
}

void ServerSync::on_close(const SyncConnection& connection, const action::Close& close) {
    const auto id = connection.id;
    // It is the server's trouble, and not that of one query: one pause for all of them.
    const auto of_all = close.why == CloseReason::refused_silently && !connections_.any_heard();
    if (connection.is_active()) {
        on_active_closed(close, connection.heard);
        if (of_all) bulk_.on_failure(now_.steady, jitter_);
    } else if (auto* job = job_of(connection)) {
        const auto& query = job->items()[*connection.item].query;
        report_.error(close.text + "; it was the query for " + to_string(query), now_, StatusReport::Scope::bulk,
                      source_of(close));
        bulk_.on_failure(now_.steady, jitter_);
        // The active query goes next, or it would never have its turn.
        if (of_all) support_.active_pacing().put_off(bulk_.may_connect_at() - config_.timeouts.retry / 60);
        job->on_cut_off(*connection.item, close.text);
    }
    drop(id, true);
}

void ServerSync::on_active_closed(const action::Close& close, bool heard) {
    const auto unheard = close.why == CloseReason::peer_silent && !heard;
    report_.error(close.text, now_, StatusReport::Scope::active,
                  unheard ? StatusReport::Source::guess : source_of(close));
    switch (close.why) {
        case CloseReason::peer_silent:
            // Nor does each server close on a message type that it does not know: RFC 6926 did not say so yet.
            if (!heard) on_active_refused_silently(close.text);
            return;
        case CloseReason::peer_closed:
        case CloseReason::query_blocked:
        case CloseReason::framing_lost:
        case CloseReason::unknown_transaction:
        case CloseReason::protocol_violation:
        case CloseReason::query_terminated:
            return;  // active_pacing_ keeps its distance from the attempt
        case CloseReason::refused:
            // UnspecFail may pass; the others would be answered the same again.
            if (close.status == StatusCode::unspec_fail || close.status == StatusCode::unknown) return;
            if (support_.on_active_refused(now_)) on_polled_instead(close.text);
            return;
        case CloseReason::refused_silently:
            return on_active_refused_silently(close.text);
        case CloseReason::not_supported:  // bulk there, but no active leasequery (RFC 7653 §9.2)
            if (support_.on_active_not_supported(now_)) on_polled_instead(close.text);
            return;
    }
}

void ServerSync::on_active_refused_silently(const std::string& text) {
    if (support_.on_active_refused_silently(now_) == Support::Refusal::now_polled) on_polled_instead(text);
}

void ServerSync::on_polled_instead(const std::string& why) {
    report_.on_recovered();
    report_.log(LogLevel::warn, "polling-instead", {{"reason", why}});
}

}  // namespace leasemirror
