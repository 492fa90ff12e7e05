#include "agent/sync/conclusion.hpp"

#include "storage/scope.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {
namespace {

/// A server that is polled is read again before long anyway, and one query that is always cut off must not make it send
/// all the others each minute.
std::chrono::milliseconds full_again_after(const BulkJob& job, const ConclusionContext& context) {
    if (!job.any_cut_off()) return again_in_vain(context.retry, context.poll_interval);
    return context.polling ? std::min(10 * context.retry, context.poll_interval) : context.retry;
}

/// "1 of 4 queries refused"
std::string unanswered(const BulkJob& job) {
    const auto complete = job.queries_complete().size();
    return std::to_string(job.items().size() - complete) + " of " + std::to_string(job.items().size()) +
           (job.any_cut_off() ? " queries not answered" : " queries refused");
}

Reconcile reconcile_of(const BulkJob& job, const ConclusionContext& context) {
    Reconcile out;
    out.run = job.run();
    assert(job.began_at());  // a query that ended well had a first reply
    out.listed_from = *job.began_at();
    // A server that does not know the option answers for the default VPN alone, without a word.
    out.all_vpns = context.all_vpns && job.vpns_seen();
    out.everything = context.covers_everything && job.all_complete();
    out.unread = job.all_complete() && !job.absence_proves();
    out.doubt_unreached = context.something_missed;
    out.asked_to_the_end = !job.any_cut_off();
    for (const auto& item : job.items()) {
        if (item.state != BulkJob::ItemState::complete) continue;
        Reconcile::Scope scope{scope_id(item.query), {}, {}, item.run, item.lease_lost};
        if (item.query.kind == QueryKind::relay_id) scope.relay_id = item.query.id;
        if (item.query.kind == QueryKind::remote_id) scope.remote_id = item.query.id;
        out.scopes.push_back(std::move(scope));
    }
    return out;
}

}  // namespace

FullConclusion conclude_full(const BulkJob& job, const ConclusionContext& context) {
    FullConclusion out;
    out.asked_to_the_end = !job.any_cut_off();
    if (!job.any_complete()) {
        out.answer = out.asked_to_the_end ? FullConclusion::Answer::refused : FullConclusion::Answer::none;
        out.error = "full bulk failed: " + job.trouble();
        return out;
    }
    const auto proven = job.absence_proves();
    const auto whole = proven && job.all_read();
    if (!whole) {
        out.lacks = job.all_complete()
                        ? "some replies could not be understood (see quarantine); what they may have listed is in doubt"
                        : job.trouble();
        out.error = job.all_complete() ? "full bulk: " + out.lacks
                                       : "full bulk incomplete: " + unanswered(job) + ": " + out.lacks;
        out.again_after = full_again_after(job, context);
    } else {
        out.lacks = "bulk.queries cover a part of the server (bulk.covers: partial)";
    }
    out.coverage = proven && context.covers_everything ? Coverage::full : Coverage::partial;
    out.reconcile = reconcile_of(job, context);
    out.gap_outcome = whole ? "recovered" : "recovered in part";
    out.reaches_began_at = out.asked_to_the_end && !job.any_refused();
    return out;
}

WindowConclusion conclude_window(const BulkJob& job, const ConclusionContext& context) {
    WindowConclusion out;
    out.heeds_start = job.heeds_start(context.family, std::nullopt);
    // A v6 server puts a base-time into every reply if it knows time windows at all (RFC 7653 §9.3).
    const auto knows_windows = out.heeds_start != false && (job.base_times_seen() || context.family == Family::v4);
    if (!job.all_complete())
        out.no_help_because = "windowed bulk failed: " + job.trouble();
    else if (!knows_windows)
        out.no_help_because = "the server knows no time windows";
    return out;
}

PollConclusion conclude_poll(const BulkJob& job, const ConclusionContext& context, std::optional<ServerTime> oldest) {
    PollConclusion out;
    if (!job.all_complete()) out.error = "windowed poll incomplete: " + job.trouble();
    out.heeds_start = job.heeds_start(context.family, oldest);
    if (out.heeds_start == false) out.told_by = "it lists what had not changed since";
    // What the full poll was told, and is refused with a start time, is refused for that.
    if (!job.any_complete() && !job.any_cut_off()) {
        out.heeds_start = false;
        out.told_by = job.trouble();
    }
    if (job.any_cut_off() || !job.any_complete()) return out;
    // An empty answer may be so because the server's clock was set back: without a base-time it proves nothing (RFC 6926
    // §6.2.5: the start time comes from what the server said).
    if (!job.base_times_seen()) return out;
    out.next_from = job.began_at();
    return out;
}

}  // namespace leasemirror
