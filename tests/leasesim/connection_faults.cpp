// Where the faults strike that leasesim can be told to have (README.md here).
#include "tests/leasesim/connection_impl.hpp"
#include "tests/leasesim/messages/reply_parts.hpp"

#include <algorithm>
#include <array>

namespace leasemirror::leasesim {

namespace {

ServerTime new_year(int year) {
    const std::chrono::sys_days day{std::chrono::year{year} / std::chrono::January / 1};
    return ServerTime{day.time_since_epoch()};
}

}  // namespace

std::optional<Unreadable> ModelConnection::Impl::unreadable(const UnitState& s, std::uint8_t leases) const {
    for (const auto& [binding, what] : server.unreadable()) {
        if (binding < s.first_binding || binding >= s.first_binding + s.size) continue;
        if ((leases >> (binding - s.first_binding) & 1U) != 0) return what;
    }
    return std::nullopt;
}

/// What becomes of a message on a server that is odd in all of them, or in this one.
void ModelConnection::Impl::distort(ByteView message, ByteWriter& to) const {
    const auto family = server.model().family();
    if (spoiled == Unreadable::everything)
        return write_garbage(family, MessageTypeV6{message.front()}, request.xid, to);
    if (spoiled) return write_stray_octet(family, message, to);
    write_fixed_options_twice(family, message, to);
}

std::optional<Fault> ModelConnection::Impl::strike(FaultKind kind, bool sending, UtcMillis now) {
    if (!has_faults()) return std::nullopt;
    const auto next = messages + 1;
    const auto own = std::find_if(own_faults.begin(), own_faults.end(), [&](const Fault& f) {
        const bool due = f.when.kind == Trigger::Kind::time      ? now >= server.began_ + f.when.time
                         : f.when.kind == Trigger::Kind::message ? sending && next >= f.when.message
                                                                 : true;
        return f.kind == kind && due;
    });
    if (own == own_faults.end()) return server.strike(kind, next, sending, struck, now);
    const auto fault = *own;
    own_faults.erase(own);
    ++server.stats_.faults;
    return fault;
}

MessageFaults ModelConnection::Impl::message_faults(bool has_client, bool is_status, bool unassigned, UtcMillis now) {
    MessageFaults f;
    if (!has_faults()) return f;
    const auto struck_by = [&](FaultKind kind) { return strike(kind, true, now).has_value(); };
    f.wrong_xid = struck_by(FaultKind::wrong_xid);
    if (first) {
        f.missing_server_id = struck_by(FaultKind::missing_server_id);
        if (!v4()) f.foreign_client_id = struck_by(FaultKind::foreign_client_id);
    }
    if (is_status) f.nul_in_status = struck_by(FaultKind::nul_in_status);
    if (has_client && unit.relayed) f.broken_relay_data = struck_by(FaultKind::broken_relay_data);
    if (has_client && !v4()) f.no_client_time = struck_by(FaultKind::no_client_time);
    if (has_client && !v4()) f.lease_in_ia = struck_by(FaultKind::lease_in_ia);
    if (const auto absurd = strike(FaultKind::absurd_base_time, true, now))
        f.base_time = new_year(static_cast<int>(std::clamp<std::int64_t>(absurd->arg.value_or(2100), 1970, 2106)));
    if (!v4()) return f;
    if (unassigned) f.unassigned_with_lease_time = struck_by(FaultKind::unassigned_with_lease_time);
    if (has_client && unit.relayed)
        if (const auto split = strike(FaultKind::split_option_82, true, now))
            f.layout.split_at = static_cast<std::size_t>(std::clamp<std::int64_t>(split->arg.value_or(20), 1, 255));
    f.layout.overload = struck_by(FaultKind::overloaded_options);
    return f;
}

bool ModelConnection::Impl::is_sending(UtcMillis now) const {
    if (state == ConnectionState::bulk) return now >= allowed_at(bulk.began, bulk.sent);
    if (state != ConnectionState::active) return false;
    if (replay || now >= last_made + server.options().idle_timeout) return true;
    if (!delayed.empty() && delayed.front().due <= now) return true;
    const auto event = server.model().churn().peek(live);
    return event && event->at <= now;
}

void ModelConnection::Impl::lose_changes(const Fault& fault, UtcMillis now) {
    if (fault.arg.value_or(0) > 0) {
        losing_until = now + std::chrono::seconds{*fault.arg};
        return;
    }
    ++server.stats_.data_missing;
    live = server.model().churn().cursor_after(now);
    delayed.clear();
    finish_replay(StatusCode::data_missing, now);
}

/// Messages that a correct server would not send at all.
void ModelConnection::Impl::stray_messages(UtcMillis now) {
    const auto told = replies;
    const bool sending = is_sending(now);
    const auto bare = [&](MessageTypeV6 type) {
        emit(now, [&](ByteWriter& w) { write_status_v6(context(now, {}), type, std::nullopt, "", false, w); });
    };
    if (strike(FaultKind::garbage_message, sending, now)) {
        const bool was_first = first;
        emit(now, [&](ByteWriter& w) {
            write_garbage(server.model().family(), MessageTypeV6::lease_query_data, request.xid, w);
        });
        first = was_first;
        replies = told;
    }
    if (strike(FaultKind::done_for_foreign_xid, sending, now)) {
        const bool was_first = first;
        MessageFaults foreign;
        foreign.wrong_xid = true;
        emit(now, [&](ByteWriter& w) {
            if (v4())
                write_status_v4(context(now, foreign), MessageTypeV4::lease_query_done, std::nullopt, "", false, w);
            else
                write_status_v6(context(now, foreign), MessageTypeV6::lease_query_done, std::nullopt, "", false, w);
        });
        first = was_first;
        replies = told;
    }
    if (v4()) return;
    if (first && strike(FaultKind::data_before_reply, sending, now)) {
        bare(MessageTypeV6::lease_query_data);
        first = true;
    }
    if (!first && strike(FaultKind::second_reply, sending, now)) bare(MessageTypeV6::lease_query_reply);
}

/// Ends the request, or the connection, if one of the faults that do so strikes.
bool ModelConnection::Impl::end_faults(bool sending, UtcMillis now) {
    const bool in_catch_up = state == ConnectionState::active && replay;
    if (strike(FaultKind::cut, sending, now) || (in_catch_up && strike(FaultKind::close_in_catch_up, sending, now))) {
        close(false);
        return true;
    }
    if (secured && strike(FaultKind::tls_cut, sending, now)) {
        unannounced = true;
        close(false);
        return true;
    }
    for (const auto& [kind, status] : {std::pair{FaultKind::done_with_error, StatusCode::unspec_fail},
                                       std::pair{FaultKind::query_terminated, StatusCode::query_terminated}}) {
        if (!strike(kind, sending, now)) continue;
        if (state == ConnectionState::bulk)
            finish_bulk(status, "injected", true, now);
        else
            end_active(status, "injected", now);
        close(false);  // RFC 6926 §8.5: a server that aborts a request MUST close
        return true;
    }
    return false;
}

bool ModelConnection::Impl::flow_faults(UtcMillis now) {
    if (const auto step = strike(FaultKind::clock_step, is_sending(now), now))
        server.step_clock(std::chrono::milliseconds{step->arg.value_or(-3'600'000)}, now);
    if (const auto jitter = strike(FaultKind::clock_jitter, is_sending(now), now)) server.jitter_clock(*jitter, now);
    for (const auto kind :
         {FaultKind::reorder, FaultKind::unconfigure, FaultKind::unreadable_option, FaultKind::unreadable_lease})
        if (const auto lasting = strike(kind, is_sending(now), now)) server.make_lasting(*lasting, now);
    if (state != ConnectionState::bulk && state != ConnectionState::active) return true;
    if (silent_until && now < *silent_until) return false;
    if (losing_until && now < *losing_until) return false;
    silent_until.reset();
    const bool sending = is_sending(now);
    if (const auto quiet = strike(FaultKind::silence, sending, now)) {
        silent_until = now + std::chrono::seconds{quiet->arg.value_or(130)};
        return false;
    }
    if (const auto tiny = strike(FaultKind::tiny_writes, sending, now))
        tiny_octets = static_cast<std::size_t>(std::max<std::int64_t>(1, tiny->arg.value_or(2000)));
    if (const auto hold = strike(FaultKind::hold_frames, sending, now)) {
        frames_to_hold = static_cast<std::uint64_t>(std::max<std::int64_t>(1, hold->arg.value_or(4)));
        hold_until = now + std::chrono::seconds{1};
    }
    if (end_faults(sending, now)) return false;
    if (state == ConnectionState::active)
        if (const auto missing = strike(FaultKind::data_missing, sending, now)) {
            lose_changes(*missing, now);
            if (losing_until) return false;
        }
    stray_messages(now);
    return true;
}

/// What is done to a frame that has just been made.
void ModelConnection::Impl::frame_faults(std::size_t frame_bytes, UtcMillis now) {
    --messages;  // the frame that they strike is the one that was just counted
    const bool truncated = strike(FaultKind::truncated_frame, true, now).has_value();
    const bool zero = !truncated && strike(FaultKind::zero_length_frame, true, now);
    ++messages;
    if (truncated) {
        out.cut(frame_bytes / 2);
        close(false);
    } else if (zero) {
        auto w = out.writer();
        w.u16(0);
        out.commit(w.size());
    }
}

}  // namespace leasemirror::leasesim
