// Active queries: RFC 7724 §7.4 and §8.2, RFC 7653 §8.4 and §9.3.
#include "tests/leasesim/connection_impl.hpp"
#include "tests/leasesim/leases/hash.hpp"

#include <algorithm>
#include <bit>

namespace leasemirror::leasesim {

namespace {

constexpr int looks_max = 20'000;

}  // namespace

void ModelConnection::Impl::start_active(Request q, UtcMillis now) {
    ++server.stats_.active_queries;
    request = std::move(q);
    state = ConnectionState::active;
    const auto& churn = server.model().churn();
    live = churn.cursor_after(now);
    last_made = now;
    const auto start = request.window.start;
    if (!start) {
        if (!v4()) send_marker(std::nullopt, "", false, now);
        return;
    }
    if (!server.covers(*start, now)) {
        ++server.stats_.data_missing;
        return send_marker(StatusCode::data_missing, "the start time is not covered by the history", true, now);
    }
    if (!v4()) send_marker(std::nullopt, "", false, now);
    Replay r;
    r.until = now;
    r.start = *start;
    r.began = now;
    const auto from = std::max(server.model().clock().earliest_stamped(*start), server.history_floor(now));
    r.cursor = churn.cursor_after(from - std::chrono::milliseconds{1});
    r.by_unit = from <= now && churn.events_between(from, now) > 2 * churn.units();
    replay = r;
}

UtcMillis ModelConnection::Impl::stream_time(UtcMillis now) const {
    const auto event = server.model().churn().peek(live);
    auto at = event && event->at < now ? event->at : now;
    for (const auto& waiting : delayed)
        at = std::min(at, waiting.event.at);
    return at;
}

ModelConnection::Impl::Step ModelConnection::Impl::produce_active(UtcMillis now) {
    if (silent_until && now < *silent_until) return Step::idle;
    if (losing_until && now < *losing_until) return Step::idle;
    if (losing_until) {
        losing_until.reset();
        lose_changes(Fault{FaultKind::data_missing, 0, {}}, now);
        return Step::made;
    }
    if (in.pending() > 0 && (in.next() || in.bad_length())) {
        // RFC 7724 §8.3, RFC 7653 §9.4: no other request on this connection.
        end_active(StatusCode::not_allowed, "another request on the connection of an active query", now);
        close(false);
        return Step::made;
    }
    turn_of_replay = !turn_of_replay;
    const bool paced = replay && now < allowed_at(replay->began, replay->sent);
    if (replay && !paced && turn_of_replay) return send_replayed(now);
    if (send_live(now)) return Step::made;
    if (replay && !paced) return send_replayed(now);
    if (now < last_made + server.options().idle_timeout) return Step::idle;
    send_marker(v4() ? std::optional(StatusCode::connection_active) : std::nullopt, "", false, now);
    return Step::made;
}

bool ModelConnection::Impl::send_live(UtcMillis now) {
    const auto& model = server.model();
    const auto before = messages;
    for (int looked = 0; looked < looks_max && messages == before; ++looked) {
        const auto event = model.churn().peek(live);
        const bool happened = event && event->at <= now;
        if (happened && (server.reorder().count() > 0 || !delayed.empty())) {
            delay(*event);
            model.churn().advance(live, *event);
        } else if (!delayed.empty() && delayed.front().due <= now) {
            const auto waited = delayed.front().event;
            delayed.pop_front();
            tell(waited, now);
        } else if (happened) {
            tell(*event, now);
            model.churn().advance(live, *event);
        } else {
            return false;
        }
    }
    return true;
}

/// Until its turn: the changes of one unit keep their order, and whatever else comes between.
void ModelConnection::Impl::delay(const ChurnEvent& event) {
    const auto window = static_cast<std::uint64_t>(server.reorder().count());
    const auto wait = mix(event.unit, static_cast<std::uint64_t>(event.at.time_since_epoch().count())) % (window + 1);
    auto due = event.at + std::chrono::milliseconds{static_cast<std::int64_t>(wait)};
    for (const auto& waiting : delayed)
        if (waiting.event.unit == event.unit) due = std::max(due, waiting.due);
    const auto place = std::upper_bound(delayed.begin(), delayed.end(), due,
                                        [](UtcMillis at, const Delayed& other) { return at < other.due; });
    delayed.insert(place, {due, event});
}

void ModelConnection::Impl::tell(const ChurnEvent& event, UtcMillis now) {
    if (!server.model().apply(event, unit) || matching(unit) == 0) return;
    send_change(unit, unit.ended, event.at, now);
    if (server.options().personality.late_end_of_former) end_former_client(event, now);
}

/// Who had the leases until this change gave them to another is told to have them no more, after the other was told.
void ModelConnection::Impl::end_former_client(const ChurnEvent& event, UtcMillis now) {
    const auto end = server.options().personality.end;
    if (v4() || end == EndEncoding::nothing) return;
    UnitState former;
    server.model().state_of(event.unit, event.at - std::chrono::milliseconds{1}, former);
    const auto same = std::ranges::equal(former.client_id.view(), unit.client_id.view());
    const auto lost = static_cast<std::uint8_t>(former.held & unit.held);
    if (same || !former.known_client || lost == 0) return;
    const auto faults = message_faults(true, false, false, now);
    const auto type = first ? MessageTypeV6::lease_query_reply : MessageTypeV6::lease_query_data;
    emit_about(former, lost, now,
               [&](ByteWriter& w) { write_client_v6(context(event.at, faults), type, former, 0, lost, w); });
}

/// Whether a change of this unit after `at` has been told live already.
bool ModelConnection::Impl::was_told_since(std::uint64_t number, UtcMillis at, UtcMillis now) const {
    const auto& churn = server.model().churn();
    const auto next = churn.peek(live);
    const auto looked_at = next && next->at <= now ? next->at - std::chrono::milliseconds{1} : now;
    if (looked_at <= at) return false;
    const auto waiting = std::count_if(delayed.begin(), delayed.end(), [&](const Delayed& other) {
        return other.event.unit == number && other.event.at > at;
    });
    return churn.visits(number, looked_at) > churn.visits(number, at) + static_cast<std::uint64_t>(waiting);
}

ModelConnection::Impl::Step ModelConnection::Impl::send_replayed(UtcMillis now) {
    const auto& model = server.model();
    auto& r = *replay;
    const bool stale = server.options().personality.stale_catch_up;
    const auto at = stale ? r.until : stream_time(now);
    const auto before = messages;
    const auto floor = server.history_floor(now);
    for (int looked = 0; messages == before; ++looked) {
        if (looked == looks_max) return Step::more;
        std::uint64_t number = 0;
        if (r.by_unit) {
            if (r.next_unit == model.units()) break;
            number = r.next_unit++;
        } else {
            const auto event = model.churn().peek(r.cursor);
            if (!event || event->at > r.until) break;
            if (event->at <= floor && floor > server.history_from_) {
                ++server.stats_.data_missing;
                finish_replay(StatusCode::data_missing, now);
                return Step::made;
            }
            number = event->unit;
            model.churn().advance(r.cursor, *event);
        }
        model.state_of(number, at, unit);
        if (!model.changed_in(unit, {r.start, std::nullopt}) || matching(unit) == 0) continue;
        end_former_clients(number, at, now);
        const auto all = static_cast<std::uint8_t>((1U << unit.size) - 1U);
        const auto gone = static_cast<std::uint8_t>(unit.known_client ? all & ~unit.held : 0);
        if (was_told_since(number, at, now))
            send_old_ends(gone, at, now);  // the message that was made for the catch-up is dropped
        else
            send_change(unit, gone, at, now);
    }
    r.sent += messages - before;
    if (messages == before) finish_replay(StatusCode::catch_up_complete, now);
    return Step::made;
}

/// What was told of this unit live, meanwhile, said nothing of a lease that had ended before. Where lists are whole, it did.
void ModelConnection::Impl::send_old_ends(std::uint8_t gone, UtcMillis at, UtcMillis now) {
    if (v4() || server.options().personality.end == EndEncoding::snapshot) return;
    UnitState latest;
    server.model().state_of(unit.unit, stream_time(now), latest);
    gone = static_cast<std::uint8_t>(gone & ~latest.held);
    unit.held = 0;
    if (gone != 0) send_change(unit, gone, at, now);
}

/// Where an end is told by what a client no longer has, the list of the present client says nothing of those who held
/// the leases since the start time: each of them is told to hold nothing.
void ModelConnection::Impl::end_former_clients(std::uint64_t number, UtcMillis at, UtcMillis now) {
    const auto end = server.options().personality.end;
    if (v4() || (end != EndEncoding::empty_client_data && end != EndEncoding::snapshot)) return;
    const auto& model = server.model();
    const auto& churn = model.churn();
    const auto from = model.clock().earliest_stamped(replay->start) - std::chrono::milliseconds{1};
    UnitState former;
    for (auto visit = churn.visits(number, from); visit < churn.visits(number, at); ++visit) {
        model.state_of(number, visit == 0 ? churn.began() : churn.visit_time(number, visit), former);
        const auto same = std::ranges::equal(former.client_id.view(), unit.client_id.view());
        if (same || !former.known_client) continue;
        const auto faults = message_faults(true, false, false, now);
        const auto type = first ? MessageTypeV6::lease_query_reply : MessageTypeV6::lease_query_data;
        emit(now, [&](ByteWriter& w) { write_client_v6(context(at, faults), type, former, 0, 0, w); });
    }
}

void ModelConnection::Impl::finish_replay(StatusCode marker, UtcMillis now) {
    replay.reset();
    if (marker == StatusCode::catch_up_complete &&
        (never_complete || strike(FaultKind::no_catch_up_complete, true, now))) {
        never_complete = true;
        return;
    }
    const bool missing = marker == StatusCode::data_missing;
    send_marker(marker, missing ? "the history has been overrun" : "", missing, now);
}

void ModelConnection::Impl::send_marker(std::optional<StatusCode> status, std::string_view text, bool always_base_time,
                                        UtcMillis now) {
    const auto at = stream_time(now);
    const auto faults = message_faults(false, status.has_value(), false, now);
    emit(now, [&](ByteWriter& w) {
        const auto c = context(at, faults);
        if (v4()) return write_status_v4(c, MessageTypeV4::lease_query_status, status, text, always_base_time, w);
        auto told = status;
        if (first && !status && server.options().personality.success == SuccessStatus::in_reply)
            told = StatusCode::success;
        const auto type = first ? MessageTypeV6::lease_query_reply : MessageTypeV6::lease_query_data;
        write_status_v6(c, type, told, text, always_base_time, w);
    });
}

void ModelConnection::Impl::end_active(StatusCode status, std::string_view text, UtcMillis now) {
    // RFC 7653 §8.4.1: during catch-up the requestor must not use this base-time; it is sent all the same.
    const auto at = stream_time(now);
    const auto faults = message_faults(false, true, false, now);
    emit(now, [&](ByteWriter& w) {
        const auto c = context(at, faults);
        if (v4()) return write_status_v4(c, MessageTypeV4::lease_query_status, status, text, true, w);
        write_status_v6(c, MessageTypeV6::lease_query_done, status, text, true, w);
    });
    close(false);
}

/// One change, or one unit of a bulk: one message in v4; in v6 as many as the server's manner asks for.
void ModelConnection::Impl::send_change(const UnitState& s, std::uint8_t ended, UtcMillis at, UtcMillis now) {
    if (state == ConnectionState::bulk) ++bulk.sent;
    if (v4()) {
        const auto faults = message_faults(true, false, s.held == 0, now);
        return emit_about(s, 1, now, [&](ByteWriter& w) { write_binding_v4(context(at, faults), s, w); });
    }
    const auto send = [&](std::uint8_t held, std::uint8_t gone) {
        const auto faults = message_faults(true, false, false, now);
        const auto type = first ? MessageTypeV6::lease_query_reply : MessageTypeV6::lease_query_data;
        const auto about = static_cast<std::uint8_t>(held | gone);
        emit_about(s, about, now, [&](ByteWriter& w) { write_client_v6(context(at, faults), type, s, held, gone, w); });
    };
    const auto& p = server.options().personality;
    const auto asked = matching(s);
    const auto held = static_cast<std::uint8_t>(s.held & asked);
    ended &= asked;
    if (ended != 0 && p.end == EndEncoding::nothing) ended = 0;
    if (p.end == EndEncoding::snapshot && ended != 0) return send(held, ended);
    if (p.end == EndEncoding::empty_client_data && ended != 0) {
        send(0, 0);  // all leases of the client on this link; those that stay follow
        ended = 0;
    }
    if (p.all_leases_together) {
        if ((held | ended) != 0) send(held, ended);
        return;
    }
    for (unsigned j = 0; j < s.size; ++j) {
        const auto bit = static_cast<std::uint8_t>(1U << j);
        if ((held & bit) != 0) send(bit, 0);
        if ((ended & bit) != 0) send(0, bit);
    }
}

}  // namespace leasemirror::leasesim
