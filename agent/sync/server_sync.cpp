#include "agent/sync/server_sync.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {
namespace {

/// Replay that does not end is said in the log this often (REQUIREMENTS RC-69).
constexpr std::chrono::minutes catch_up_patience{10};

std::vector<BulkQuery> queries_of(const ServerConfig& config) {
    if (config.bulk.queries.empty() && config.family == Family::v4) return {BulkQuery{}};
    return config.bulk.queries;
}

bool covers_everything(const ServerConfig& config) {
    const auto& queries = config.bulk.queries;
    if (queries.empty()) return config.family == Family::v4;
    const auto all =
        std::any_of(queries.begin(), queries.end(), [](const auto& q) { return q.kind == QueryKind::all; });
    return all || config.bulk.covers == BulkCovers::all;
}

}  // namespace

ServerSync::ServerSync(const ServerConfig& config, const ResumePoint& resume, SyncSettings settings, BulkSlots& slots)
    : config_(config),
      settings_(std::move(settings)),
      id_(resume.id),
      slots_(slots),
      queries_(queries_of(config)),
      covers_everything_(covers_everything(config)),
      outbox_(resume.id, settings_.batch, settings_.queue_bytes),
      skew_(resume.skew),
      jitter_(settings_.seed),
      kept_(resume.base_time),
      committed_(resume.base_time),
      highest_heard_(resume.base_time),
      identity_(resume.server_identity),
      gaps_(resume.open_gaps, resume.last_gap),
      last_run_(resume.last_run),
      polling_(config.mode == SyncMode::bulk),
      hold_active_(!resume.open_gaps.empty() && !queries_.empty()),
      active_pacing_(config.timeouts.retry, config.timeouts.retry),
      bulk_pacing_(config.timeouts.retry / 10, config.timeouts.retry),
      full_pacing_(config.timeouts.retry, config.timeouts.retry) {
    status_.coverage = resume.coverage;
    status_.server_identity = identity_;
    status_.last_full_sync_at = resume.last_full_sync_at;
    status_.last_error = resume.last_error;
    status_.last_error_at = resume.last_error_at;
    status_.certificate_expires_at = resume.certificate_expires_at;
    status_.support = resume.support;
}

void ServerSync::start(Now now) {
    now_ = now;
    if (!kept_ && !queries_.empty()) full_cause_ = "no base-time to resume from";
    // The base-time may stem from a stream that no whole load preceded.
    const auto unproven = covers_everything_ && status_.coverage == Coverage::partial;
    if (kept_ && (!status_.last_full_sync_at || unproven)) full_again_ = now.steady;
    resume_support(now);
    outbox_.touch(now.steady);
    replan_ = true;
}

bool LogLimit::allows(SteadyTime now, std::uint64_t& left_out) {
    if (now >= minute_began_ + std::chrono::minutes{1}) {
        minute_began_ = now;
        lines_ = 0;
    }
    if (lines_ >= lines_per_minute) {
        ++left_out_;
        return false;
    }
    ++lines_;
    left_out = std::exchange(left_out_, 0);
    return true;
}

// ---- events -------------------------------------------------------------------------------------------------------

void ServerSync::on_connected(ConnectionId connection, Now now, std::optional<CertificateEnd> first_end) {
    now_ = now;
    auto* link = find(connection);
    if (!link) return;
    link->connected = true;
    status_.certificate_expires_at = first_end ? std::optional(first_end->at) : std::nullopt;
    if (first_end) certificate_.on_secured(*first_end, now);
    warn_of_certificate();
    link->fresh_from = highest_heard_;
    link->asked_at = now.steady;
    if (link->active() || !status_.connected_since) status_.connected_since = utc_now();
    outbox_.touch(now.steady);
    if (auto* active = std::get_if<ActiveSession>(&link->session)) {
        active->start(committed_, session_now(now));
        log(LogLevel::info, "active-query",
            {{"start", committed_ ? std::to_string(unix_seconds(*committed_)) : std::string("none")}});
        if (committed_) catch_up_alarm_ = now.steady + catch_up_patience;
    } else {
        ask_next(*link, now);
    }
    link = find(connection);  // a bulk connection without a query left was dropped
    if (link && blocked_)
        std::visit([&](auto& session) { session.set_reading(false, session_now(now)); }, link->session);
    replan_ = true;
}

void ServerSync::on_connect_failed(ConnectionId connection, const std::string& why, Now now) {
    now_ = now;
    auto* link = find(connection);
    if (!link) return;
    const auto active = link->active();
    if (!active) hold_active_ = false;
    if (link->item && job_) job_->give_back(*link->item);
    if (active) catch_up_alarm_.reset();
    drop(connection, false);
    set_error("cannot connect to " + config_.address + " port " + std::to_string(config_.port) + ": " + why);
    (active ? active_pacing_ : bulk_pacing_).on_failure(now.steady, jitter_);
    replan_ = true;
}

void ServerSync::on_sent(ConnectionId connection, Now now) {
    now_ = now;
    auto* link = find(connection);
    if (!link) return;
    std::visit([&](auto& session) { session.on_sent(session_now(now)); }, link->session);
}

void ServerSync::on_bytes(ConnectionId connection, ByteView in, Now now) {
    now_ = now;
    auto* link = find(connection);
    if (!link) return;
    std::visit([&](auto& session) { session.on_bytes(in, session_now(now)); }, link->session);
}

void ServerSync::on_disconnected(ConnectionId connection, const std::string& how, Now now) {
    now_ = now;
    auto* link = find(connection);
    if (!link) return;
    std::visit([&](auto& session) { session.on_disconnected(how, session_now(now)); }, link->session);
}

void ServerSync::on_committed(Batch done, const Applied& applied, Now now) {
    now_ = now;
    if (done.number >= afresh_in_batch_) {
        if (done.base_time) committed_ = done.base_time;
        if (done.base_time || done.fresh_start) replan_ = true;
    }
    if (done.reconcile) {
        log(LogLevel::info, "reconciled",
            {{"run", std::to_string(done.reconcile->run)}, {"ended", std::to_string(applied.reconciled)}});
    }
    for (const auto& refused : applied.refused)
        log(LogLevel::error, "row-refused", {{"reason", refused}});
    outbox_.on_committed(std::move(done));
    commit_if_due(false);
    follow_backpressure();
}

void ServerSync::on_slot_free(Now now) {
    now_ = now;
    wants_slot_ = false;
    replan_ = true;
}

void ServerSync::on_deadline(Now now) {
    now_ = now;
    std::vector<ConnectionId> late;
    for (auto& link : links_) {
        if (!link.connected && now.steady >= link.connect_by) late.push_back(link.id);
        std::visit([&](auto& session) { session.on_deadline(session_now(now)); }, link.session);
    }
    for (const auto id : late) {
        actions_.push_back(sync_action::Disconnect{id});
        on_connect_failed(id, "no answer in time", now);
    }
    warn_of_certificate();
    if (catch_up_alarm_ && now.steady >= *catch_up_alarm_) {
        // Neither CatchUpComplete nor DataMissing: the base-time must not move, so it must be said (REQUIREMENTS RC-69).
        set_error("catch-up has not ended: the server sent neither CatchUpComplete nor DataMissing");
        catch_up_alarm_ = now.steady + catch_up_patience;
    }
    commit_if_due(false);
    replan_ = true;
}

void ServerSync::stop(Now now) {
    now_ = now;
    stopping_ = true;
    while (!links_.empty())
        drop(links_.back().id, true);
    job_.reset();
    update_phase();
    outbox_.touch(now.steady);
    commit_if_due(true);
}

// ---- actions ------------------------------------------------------------------------------------------------------

std::optional<SyncAction> ServerSync::poll_action() {
    for (;;) {
        if (!actions_.empty()) {
            auto next = std::move(actions_.front());
            actions_.pop_front();
            return next;
        }
        if (pump()) continue;
        if (std::exchange(replan_, false)) {
            plan(now_);
            update_phase();
            continue;
        }
        commit_if_due(false);
        follow_backpressure();
        if (actions_.empty()) return std::nullopt;
    }
}

/// Works off one action of one session; false when none of them has any, or the outbox has no room.
bool ServerSync::pump() {
    for (auto& link : links_) {
        // A message is read out whole once begun: what it says of one client must be in one batch (store.hpp).
        const auto inside = std::visit([](const auto& s) { return s.inside_message(); }, link.session);
        if (outbox_.full() && !inside) {
            follow_backpressure();
            continue;
        }
        auto next = std::visit([](auto& s) { return s.poll_action(); }, link.session);
        if (!next) continue;
        handle(link, *next);  // may drop the link, and with it this loop's ground
        return true;
    }
    return false;
}

void ServerSync::drop(ConnectionId connection, bool tell_shell) {
    const auto found = std::find_if(links_.begin(), links_.end(), [&](const Link& l) { return l.id == connection; });
    assert(found != links_.end());
    if (tell_shell) actions_.push_back(sync_action::Disconnect{connection});
    if (!found->active()) slots_.give_back();
    links_.erase(found);
    if (links_.empty()) status_.connected_since.reset();
    outbox_.touch(now_.steady);
}

// ---- batches, backpressure, status --------------------------------------------------------------------------------

void ServerSync::commit_if_due(bool at_once) {
    if (outbox_.dirty() && (at_once || outbox_.due(now_.steady))) close_batch();
    while (auto batch = outbox_.next())
        actions_.push_back(sync_action::Commit{std::move(*batch)});
}

void ServerSync::close_batch() {
    update_phase();
    auto& pending = outbox_.pending();
    pending.now = utc_now();
    pending.skew = skew_.estimate();
    pending.fresh_as_of = freshness();
    status_.phase = phase_;
    status_.skew = skew_.known();
    pending.status = status_;
    outbox_.close();
    if (job_ && job_->over()) replan_ = true;
    if (const auto dropped = outbox_.quarantine_dropped(); dropped > quarantine_dropped_) {
        quarantine_dropped_ = dropped;
        log(LogLevel::warn, "quarantine-full", {{"messages_only_counted", std::to_string(dropped)}});
    }
}

void ServerSync::follow_backpressure() {
    const auto blocked = outbox_.full();
    if (blocked || blocked_) last_blocked_ = now_.steady;
    say_backpressure(blocked);
    if (blocked == std::exchange(blocked_, blocked)) return;
    for (auto& link : links_) {
        std::visit([&](auto& session) { session.set_reading(!blocked, session_now(now_)); }, link.session);
    }
}

/// A database that is slower than the server stops and starts the reading with each commit. What is said is when it first
/// stopped, and when nothing waits any more.
void ServerSync::say_backpressure(bool blocked) {
    if (blocked && !waiting_since_) {
        waiting_since_ = now_.steady;
        std::uint64_t left_out = 0;
        waiting_said_ = pressure_log_.allows(now_.steady, left_out);
        if (!waiting_said_) return;
        log(LogLevel::warn, "reading-waits",
            {{"reason", "the database is slower than the server; nothing is read from it until there is room again"},
             {"held_bytes", std::to_string(outbox_.held_bytes())},
             {"left_out_before", std::to_string(left_out)}});
    } else if (!blocked && waiting_since_ && !outbox_.behind()) {
        const auto lasted = std::chrono::floor<std::chrono::seconds>(now_.steady - *std::exchange(waiting_since_, {}));
        if (waiting_said_) log(LogLevel::info, "reading-goes-on", {{"after_seconds", std::to_string(lasted.count())}});
    }
}

/// The mirror is right up to here: the last message whose base-time was kept, and not past the start of an open gap.
std::optional<UtcSeconds> ServerSync::freshness() const {
    if (!kept_) return std::nullopt;
    const auto gap = gaps_.earliest();
    return to_utc(gap ? std::min(*gap, *kept_) : *kept_, skew_.estimate());
}

void ServerSync::warn_of_certificate() {
    if (const auto text = certificate_.poll_warning(now_)) log(LogLevel::warn, "certificate", {{"text", *text}});
}

void ServerSync::update_phase() {
    const auto next = phase_now();
    if (next == phase_) return;
    log(LogLevel::info, "phase", {{"from", std::string(to_string(phase_))}, {"to", std::string(to_string(next))}});
    phase_ = next;
    outbox_.touch(now_.steady);
}

Phase ServerSync::phase_now() const {
    if (stopping_) return Phase::down;
    const auto active = std::find_if(links_.begin(), links_.end(), [](const Link& l) { return l.active(); });
    const auto state = active == links_.end() ? ActiveState::idle : std::get<ActiveSession>(active->session).state();
    const auto bulk =
        std::any_of(links_.begin(), links_.end(), [](const Link& l) { return !l.active() && l.connected; });
    if (state == ActiveState::live) return gaps_.empty() && !job_ ? Phase::live : Phase::gap;
    if (state == ActiveState::asked || state == ActiveState::catching_up) return Phase::catch_up;
    if (bulk && job_ && job_->is_recent()) return Phase::polling;
    if (bulk) return kept_ && !polling_ ? Phase::gap : Phase::bulk;
    if (!links_.empty()) return Phase::connecting;
    if (wants_slot_) return Phase::waiting;
    if (failing_) return Phase::down;
    return polling_ && poll_due_ ? Phase::polling : Phase::connecting;
}

void ServerSync::set_error(const std::string& text) {
    failing_ = true;
    status_.last_error = text;
    status_.last_error_at = utc_now();
    log(LogLevel::warn, "trouble", {{"error", text}});
    outbox_.touch(now_.steady);
}

void ServerSync::log(LogLevel level, std::string name, std::vector<std::pair<std::string, std::string>> fields) {
    fields.insert(fields.begin(), {"server", config_.name});
    actions_.push_back(sync_action::Log{{level, std::move(name), std::move(fields)}});
}

UtcSeconds ServerSync::utc_now() const {
    return std::chrono::floor<std::chrono::seconds>(now_.utc);
}

// ---- connections --------------------------------------------------------------------------------------------------

ServerSync::Link* ServerSync::find(ConnectionId connection) {
    const auto found = std::find_if(links_.begin(), links_.end(), [&](const Link& l) { return l.id == connection; });
    return found == links_.end() ? nullptr : &*found;
}

const ServerSync::Link* ServerSync::find(ConnectionId connection) const {
    return const_cast<ServerSync*>(this)->find(connection);
}

std::size_t ServerSync::wants_bytes(ConnectionId connection) const {
    const auto* link = find(connection);
    if (!link || outbox_.full()) return 0;
    return std::visit([](const auto& session) { return session.wants_bytes(); }, link->session);
}

std::optional<SteadyTime> ServerSync::next_deadline() const {
    std::optional<SteadyTime> first;
    const auto consider = [&first](std::optional<SteadyTime> at) {
        if (at && (!first || *at < *first)) first = at;
    };
    for (const auto& link : links_) {
        if (!link.connected) consider(link.connect_by);
        std::visit([&](const auto& session) { consider(session.next_deadline()); }, link.session);
    }
    consider(outbox_.deadline());
    consider(catch_up_alarm_);
    consider(certificate_.next_deadline());
    if (!stopping_) consider(plan_deadline());
    return first;
}

}  // namespace leasemirror
