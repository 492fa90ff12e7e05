#include "agent/query/bulk.hpp"

#include "agent/config/exit_codes.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

/// Reasons of this many messages that were not understood are said; the closing lines count them all.
constexpr std::uint64_t quarantine_lines_max = 5;

/// After these the connection is of no more use (RFC 6926 §7.1, RFC 5460 §5.5), or the next query would fare the same.
bool ends_all(StatusCode status) {
    return status == StatusCode::query_terminated || status == StatusCode::not_allowed;
}

}  // namespace

QueryBulk::QueryBulk(const ServerConfig& server, const QueryPlan& plan, const SessionSettings& settings, RowSink& rows,
                     Say say)
    : server_(server), plan_(plan), rows_(rows), say_(std::move(say)), session_(settings) {
    report_.server = server.name;
}

void QueryBulk::start(SessionNow now) {
    ask(now);
}

void QueryBulk::ask(SessionNow now) {
    asked_at_ = now.steady;
    session_.start(plan_.queries[next_], plan_.window, asks_all_vpns(), now);
}

/// Everything means that of all VPNs (RFC 6926 §7.2); Kea refuses any option 221.
bool QueryBulk::asks_all_vpns() const {
    return all_vpns_ && server_.family == Family::v4 && plan_.queries[next_].kind == QueryKind::all;
}

void QueryBulk::on_action(const SessionAction& action, Now now, SessionNow session_now) {
    if (over_) return;
    std::visit(Overload{
                   [](const action::Send&) {},
                   [&](const action::Heard& heard) {
                       if (heard.base_time)
                           (void)skew_.on_base_time({*heard.base_time, {}, asked_at_, false, true}, now);
                       current_skew_ = heard.base_time ? skew_.estimate() : Skew{0};
                   },
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
    report_.not_understood += std::holds_alternative<action::Quarantine>(action) ? 1 : 0;
}

void QueryBulk::on_silence(std::chrono::milliseconds time) {
    if (!over_) fail("no reply to the bulk query for " + duration_text(time) + " (timeouts.data)");
}

void QueryBulk::on_binding(const Binding& binding) {
    if (!plan_.takes(binding)) return;
    if (!rows_.add(query_record(binding, server_.name, current_skew_))) {
        report_.limited = true;
        over_ = true;
        return;
    }
    ++report_.bindings;
    if (is_before_window(binding)) ++report_.before_window;
}

/// Nothing that the binding tells of itself happened since the window began (RFC 6926 §8.3, RFC 7653 §9.7.1).
bool QueryBulk::is_before_window(const Binding& binding) const {
    if (!plan_.window.start || !binding.client_last_seen) return false;
    const auto latest = std::max(*binding.client_last_seen, binding.state_since.value_or(ServerTime::min()));
    return latest + std::chrono::seconds{1} < *plan_.window.start;
}

void QueryBulk::on_quarantine(const action::Quarantine& quarantine) {
    if (quarantined_said_++ < quarantine_lines_max) say_("a message could not be understood: " + quarantine.reason);
    report_.code = exit_found_wrong;
}

void QueryBulk::on_done(const action::QueryDone& done, SessionNow now) {
    if (done.outcome == QueryOutcome::failed) {
        if (asks_all_vpns() && report_.bindings == 0 && done.status != StatusCode::query_terminated) {
            all_vpns_ = false;
            say_("refused for all VPNs (" + done.text + "); asking for the default VPN alone");
            return ask(now);
        }
        auto why = "the query for " + to_string(plan_.queries[next_]) + " failed: " + done.text;
        if (plan_.queries[next_].kind == QueryKind::all)
            why += "; a server without such a query is asked with a filter, or as bulk.queries has it";
        if (ends_all(done.status) || next_ + 1 == plan_.queries.size()) return fail(why);
        say_(why);
        report_.code = exit_found_wrong;
    }
    if (++next_ < plan_.queries.size()) return ask(now);
    over_ = true;
}

void QueryBulk::fail(const std::string& why) {
    report_.fault = why;
    const auto left = plan_.queries.size() - next_ - 1;
    if (left > 0) report_.fault += "; not asked any more: " + std::to_string(left) + " of the queries";
    report_.code = exit_found_wrong;
    over_ = true;
}

}  // namespace leasemirror
