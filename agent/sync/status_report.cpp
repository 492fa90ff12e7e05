#include "agent/sync/status_report.hpp"

#include "agent/sync/clocks/whole_seconds.hpp"

#include "agent/config/time_text.hpp"

namespace leasemirror {
Phase phase_of(const Activity& a) {
    if (a.paused) return Phase::disabled;
    if (a.stopping) return Phase::down;
    if (a.active == ActiveState::live) {
        if (a.clock_unsure) return Phase::catch_up;
        return a.recovering ? Phase::gap : Phase::live;
    }
    if (a.active == ActiveState::asked || a.active == ActiveState::catching_up) return Phase::catch_up;
    if (a.bulk == Activity::Bulk::windowed_poll) return Phase::polling;
    if (a.bulk == Activity::Bulk::other) return a.resumable && !a.polling ? Phase::gap : Phase::bulk;
    if (a.connecting) return Phase::connecting;
    if (a.waits_for_slot) return Phase::waiting;
    if (a.failing) return Phase::down;
    return a.polling && a.poll_planned ? Phase::polling : Phase::connecting;
}

StatusReport::StatusReport(std::string server, const ResumePoint& resume, SyncActions& actions)
    : server_(std::move(server)), actions_(actions) {
    status_.coverage = resume.coverage;
    status_.server_identity = resume.server_identity;
    status_.last_full_sync_at = resume.last_full_sync_at;
    status_.last_error = resume.last_error;
    status_.last_error_at = resume.last_error_at;
    status_.certificate_expires_at = resume.certificate_expires_at;
    status_.unreadable = resume.unreadable;
    lacking_ = resume.unreadable > 0 || resume.lacking > 0;
    status_.known_since = resume.known_since;
    if (resume.last_full_sync_at) last_listed_ = resume.bindings;
}

void StatusReport::log(LogLevel level, std::string name, Fields fields) {
    fields.insert(fields.begin(), {"server", server_});
    actions_.push_back(LogEvent{level, std::move(name), std::move(fields)});
}

void StatusReport::error(const std::string& text, Now now, Scope scope, Source source) {
    failing_ = true;
    if (source != Source::guess || !cause_told_) {
        status_.last_error = text;
        status_.last_error_at = whole_seconds(now);
        cause_told_ = source == Source::told;
    }
    touch();
    const auto said = errors_[static_cast<std::size_t>(scope)].on_error(text, now);
    if (!said) return;
    Fields fields{{"error", text}};
    if (said->times > 1) {
        fields.emplace_back("times", std::to_string(said->times));
        fields.emplace_back("since", iso_utc(std::chrono::floor<std::chrono::seconds>(said->since)));
    }
    log(LogLevel::warn, "error", std::move(fields));
}

void StatusReport::on_answered(Now now) {
    cause_told_ = false;
    on_over(Scope::connection, now);
}

void StatusReport::on_over(Scope scope, Now now) {
    for (const auto& over : errors_[static_cast<std::size_t>(scope)].on_over(now.steady)) {
        const auto lasted = std::chrono::duration_cast<std::chrono::seconds>(over.for_so_long);
        log(LogLevel::info, "error-over",
            {{"error", over.text},
             {"times", std::to_string(over.times)},
             {"after_seconds", std::to_string(lasted.count())}});
    }
}

void StatusReport::on_heard(Now now) {
    failing_ = false;
    status_.last_message_at = whole_seconds(now);
    touch();
}

void StatusReport::on_connected(bool active, const std::optional<CertificateEnd>& first_end, Now now) {
    status_.certificate_expires_at = first_end ? std::optional(first_end->at) : std::nullopt;
    if (first_end) certificate_.on_secured(*first_end, now);
    warn_of_certificate(now);
    if (active || !status_.connected_since) status_.connected_since = whole_seconds(now);
    touch();
}

void StatusReport::on_dropped(bool last) {
    if (last) status_.connected_since.reset();
    touch();
}

Bytes StatusReport::set_identity(const Bytes& identity) {
    touch();
    return std::exchange(status_.server_identity, identity);
}

void StatusReport::set_coverage(Coverage coverage) {
    status_.coverage = coverage;
    touch();
}

void StatusReport::on_read_in_full(Now now, std::uint64_t unreadable, std::uint64_t listed) {
    last_listed_ = listed;
    status_.last_full_sync_at = whole_seconds(now);
    status_.unreadable = unreadable;
    lacking_ = unreadable > 0;
    touch();
}

void StatusReport::on_history_begins(Now now) {
    if (!status_.known_since) status_.known_since = whole_seconds(now);
}

void StatusReport::on_lease_lost() {
    ++status_.unreadable;
    touch();
}

void StatusReport::enter(Phase phase) {
    if (phase == status_.phase) return;
    log(LogLevel::info, "phase",
        {{"from", std::string(to_string(status_.phase))}, {"to", std::string(to_string(phase))}});
    status_.phase = phase;
    touch();
}

void StatusReport::on_quarantined(const std::string& reason, SteadyTime now) {
    if (const auto left_out = quarantine_log_.admit(now))
        log(LogLevel::warn, "quarantined", {{"reason", reason}, {"left_out_before", std::to_string(*left_out)}});
}

void StatusReport::on_quarantine_dropped(std::uint64_t so_far) {
    if (so_far <= quarantine_dropped_) return;
    quarantine_dropped_ = so_far;
    log(LogLevel::warn, "quarantine-full", {{"messages_only_counted", std::to_string(so_far)}});
}

void StatusReport::on_gap(const Gap& gap, const std::string& cause, SteadyTime now) {
    if (const auto left_out = gap_log_.admit(now))
        log(LogLevel::warn, "gap",
            {{"from", iso_utc(gap.from)},
             {"to", iso_utc(gap.to)},
             {"cause", cause},
             {"left_out_before", std::to_string(*left_out)}});
}

void StatusReport::warn_of_certificate(Now now) {
    if (const auto text = certificate_.poll_warning(now)) log(LogLevel::warn, "certificate", {{"text", *text}});
}

ServerStatus StatusReport::snapshot(std::optional<Skew> skew, const ServerSupport& support,
                                    std::optional<UtcSeconds> next_attempt_at) const {
    auto out = status_;
    out.skew = skew;
    out.support = support;
    out.next_attempt_at = next_attempt_at;
    return out;
}

}  // namespace leasemirror
