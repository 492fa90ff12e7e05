// Whether the clocks that times are told in can be relied on, and what ServerSync does where they cannot: the server's is
// set, ours is, or the agent starts with what may have been stored in another one (agent/README.md, "Clocks").
#include "agent/config/time_text.hpp"
#include "agent/sync/server_sync.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {

std::optional<StartJury::Member> ServerSync::jury_member(Now now) const {
    const auto away = epoch_.stored_clock.away(now);
    // Where a fresh start has told the skew anew, that is younger than the stored times of the others, or of another clock.
    if (!away || !epoch_.skew.known() || !epoch_.stored_clock.was_read()) return std::nullopt;
    return StartJury::Member{connections_.server(), config_.family, config_.address, *away};
}

void ServerSync::await_jury() {
    if (!epoch_.stored_clock.was_written()) return;
    epoch_.stored_clock.await_jury();
    outbox_.hold_back();
}

void ServerSync::on_jury_found(std::chrono::milliseconds ahead, Now now) {
    happened(now);
    epoch_.stored_clock.on_found();
    const bool was_set = ahead != std::chrono::milliseconds{0} && epoch_.stored_clock.was_written();
    // What is to be read anew is told in the clock as it is, and the skew may be that of it already: if it is not, the
    // server's first messages say so.
    const bool moves = was_set && (epoch_.stored_clock.was_read() || !epoch_.skew.known());
    if (moves) {
        report_.log(LogLevel::warn, "our-clock-was-set", {{"by_ms", std::to_string(ahead.count())}});
        move_stored_times(ahead);
    }
    outbox_.release();
    // Where our clock is all that orders its records, those of before are worth nothing.
    if (was_set && !epoch_.skew.known())
        return start_afresh("our own clock was set while the agent was away", {}, std::nullopt);
    connections_.set_reading(backpressure_.is_reading(), session_now());
    drop_undated_that_wait();
    hear_what_waited();
}

/// Their messages would be dated by our clock as it is now, and they came before. The server tells them again.
void ServerSync::drop_undated_that_wait() {
    std::vector<ConnectionKey> undated;
    for (const auto& connection : connections_.all())
        if (connection.waits_for_jury && !connection.base_time) undated.push_back(connection.id);
    for (const auto id : undated) {
        const auto& connection = *connections_.find(id);
        if (auto* job = job_of(connection)) job->give_back(*connection.item);
        drop(id, true);
    }
}

void ServerSync::hear_what_waited() {
    std::vector<ConnectionKey> all;
    for (const auto& connection : connections_.all())
        all.push_back(connection.id);
    for (const auto id : all) {
        auto* const connection = connections_.find(id);
        if (!connection) return;  // by what another one told, all of them were dropped
        const auto waited = std::exchange(connection->waits_for_jury, std::nullopt);
        if (!waited) continue;
        const auto ago = std::chrono::round<std::chrono::milliseconds>(now_.steady - waited->since);
        on_base_time(*connection, {waited->message, connection->base_time, {}}, ago);
    }
}

void ServerSync::on_our_clock_jumped(std::chrono::milliseconds by, Now now) {
    const auto before = epoch_.stored_clock.read(now).utc - by;
    report_.log(LogLevel::warn, "our-clock-jumped", {{"by_ms", std::to_string(by.count())}});
    const bool went_back = by < std::chrono::milliseconds{0};  // no host sleeps backwards
    if (went_back) {
        now_ = {now.steady, before};
        move_stored_times(by);
    } else {
        epoch_.stored_clock.on_jump_ahead(by);
    }
    happened(now);
    // Our clock is all that orders its records.
    if (!epoch_.skew.known()) return start_afresh("our own clock was set", {}, std::nullopt);
    if (went_back) return;
    // What is on its way may be from before the jump, and proves nothing: ask anew.
    while (!connections_.empty())
        drop(connections_.all().back().id, true);
    bulk_.on_connections_lost();
    doubts_.give_back();
}

/// What is stored, and what waits to be, is in a clock that was wrong by so much.
void ServerSync::move_stored_times(std::chrono::milliseconds by) {
    if (outbox_.dirty()) close_batch_as_of_before();
    const auto seconds = std::chrono::round<std::chrono::seconds>(by);
    epoch_.skew.on_our_clock_moved(by);
    // What is held back was never stored: it is told in the clock as it is, after all has moved.
    auto* const held = outbox_.correct_held(by);
    auto& batch = held ? *held : outbox_.edit(now_.steady);
    batch.our_clock_moved = seconds;
    epoch_.stored_clock.on_mended(held ? held->number : outbox_.next_number());
    if (epoch_.fresh_as_of) *epoch_.fresh_as_of += seconds;
    report_.log(LogLevel::warn, "stored-times-moved", {{"by_seconds", std::to_string(seconds.count())}});
}

/// It came so long ago, where it waited for the jury.
void ServerSync::on_base_time(SyncConnection& connection, const action::Heard& heard, std::chrono::milliseconds ago) {
    const auto base = *heard.base_time;
    const auto* active = std::get_if<ActiveSession>(&connection.session);
    // Messages that were built earlier may come in the catch-up phase (RFC 7653 §8.4.1, RFC 7724 §7.4.1).
    const bool catching_up = active && active->state() == ActiveState::catching_up;
    const ClockSkew::Sample told{base, catching_up ? active->start_time() : connection.fresh_from, connection.asked_at,
                                 active && !catching_up && backpressure_.reads_promptly(now_.steady), !catching_up};
    if (testifies(connection, told, heard.message)) return;
    settle_our_clock(told);
    const auto skew_before = epoch_.skew.known();
    const Now came{now_.steady - ago, now_.utc - ago};
    switch (epoch_.skew.on_base_time(told, came)) {
        case ClockSkew::Verdict::steady:
            // One that has waited would fit a clock that was set, too.
            if (told.built_after_asked && !epoch_.skew.lags(base, came)) epoch_.stored_clock.on_heard();
            break;
        case ClockSkew::Verdict::doubtful:
            return distrust(connection, heard);
        case ClockSkew::Verdict::stepped_back:
            return on_server_clock_set(base, "back", skew_before);
        case ClockSkew::Verdict::stepped_forward:
            return on_server_clock_set(base, "forward", skew_before);
    }
    if (!epoch_.checkpoint.on_heard(base))
        return start_afresh("the server's clock is behind ours, which it had not told before", epoch_.skew,
                            skew_before);
    connection.fresh_from = connection.fresh_from ? std::max(*connection.fresh_from, base) : base;
    on_reply(connection);
}

/// The first message since the start that tells of our clock: what it says has to wait until it is found whether that was set,
/// for else it would be stored in the wrong clock.
bool ServerSync::testifies(SyncConnection& connection, const ClockSkew::Sample& told, ByteView message) {
    if (!epoch_.stored_clock.awaits_jury()) return false;
    const auto least = told.at_least(now_) - epoch_.skew.estimate();
    // In the catch-up phase a message may have been built long before we asked: then its clock only seems to be behind. Where it
    // is ahead, and another server tells of as much, it was built just now.
    if (!told.built_after_asked && least <= StartJury::shift_min) return false;
    const auto most =
        told.built_after_asked ? told.at_most(now_) - epoch_.skew.estimate() : least + std::chrono::seconds{1};
    epoch_.stored_clock.testify({least, most});
    wait_for_jury(connection, message);
    connections_.set_reading(false, session_now());
    return true;
}

void ServerSync::wait_for_jury(SyncConnection& connection, ByteView message) {
    backpressure_.on_not_read(now_.steady);
    std::visit([&](auto& session) { session.set_reading(false, session_now()); }, connection.session);
    connection.waits_for_jury = {Bytes(message.begin(), message.end()), now_.steady};
}

/// Whether our clock was set or the host slept, if this message tells.
void ServerSync::settle_our_clock(const ClockSkew::Sample& told) {
    const auto finding = epoch_.stored_clock.judge(told, epoch_.skew.estimate(), now_);
    if (finding == StoredClock::Finding::none) return;
    const auto by = epoch_.stored_clock.decide();
    if (finding == StoredClock::Finding::was_set) move_stored_times(by);
    now_.utc += by;
}

void ServerSync::on_server_clock_set(ServerTime base, std::string_view where, std::optional<Skew> skew_before) {
    const auto highest = epoch_.checkpoint.highest_heard();
    start_afresh("the server's clock went " + std::string(where) + ": base-time " + iso_utc(base) + " after " +
                     iso_utc_or_none(highest),
                 epoch_.skew, skew_before);
}

/// All times in it count from its base-time, which cannot be right.
void ServerSync::distrust(SyncConnection& connection, const action::Heard& heard) {
    connection.distrusted = true;
    connection.base_time.reset();
    on_reply(connection);
    const auto reason = "its base-time " + iso_utc(*heard.base_time) +
                        " cannot be right: the server's clock shows about " + iso_utc(epoch_.skew.server_now(now_.utc));
    recorder_.on_quarantine(told_on(connection), {heard.message, reason, false, std::nullopt});
    report_.on_quarantined(reason, now_.steady);
}

/// What we hold of this server was told in another clock, or by another server: a new epoch. `skew`: what is known of the
/// clock that counts from now on. `skew_before`: what had been known of the one before.
void ServerSync::start_afresh(const std::string& cause, const ClockSkew& skew, std::optional<Skew> skew_before) {
    report_.log(LogLevel::warn, "fresh-start", {{"cause", cause}});
    report_.error(cause, now_, StatusReport::Scope::connection);
    // What the last fresh start left is there until all has been read.
    const auto& clock = epoch_.stored_clock;
    const bool still_unsure = epoch_.before.ours_unsure && !clock.was_read();
    const ClocksBefore before{skew_before, clock.is_unproven() || still_unsure};
    while (!connections_.empty())
        drop(connections_.all().back().id, true);
    bulk_.start_afresh(cause, now_.steady, jitter_);
    doubts_.start_afresh();
    // What waits here was told in the old clock, or by the other server: the full bulk brings all of it anew.
    if (bulk_.can_ask()) outbox_.drop_changes();
    auto& batch = outbox_.edit(now_.steady);
    batch.base_time.reset();
    batch.fresh_start = true;
    now_.utc += epoch_.stored_clock.decide();
    epoch_ = {Checkpoint::afresh(outbox_.next_number()), ClockSkew(skew), StoredClock::afresh(bulk_.can_ask()), before};
    report_.set_coverage(Coverage::partial);
    if (bulk_.can_ask()) return;
    auto lost = bulk_.give_up_gaps();
    std::move(lost.begin(), lost.end(), std::back_inserter(batch.gaps));
}

}  // namespace leasemirror
