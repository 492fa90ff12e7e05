// Which clock of ours the stored times of one server are in (agent/README.md, "Clocks").
//
// When UTC jumps ahead of the steady clock, either our clock was set, and all that is stored is in a wrong clock; or the
// host slept, and all that is stored is right. Only the server can tell: its clock did not jump. Until a message tells,
// one that was asked for after the jump, everything goes on in the clock as it was before, and nothing may expire by it.
#pragma once

#include "agent/sync/clocks/skew.hpp"
#include "agent/sync/clocks/start_jury.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace leasemirror {

class StoredClock {
public:
    /// The agent starts. `written_at`: by our clock, when an earlier life of it wrote last; nothing: none did. `to_be_read`: that
    /// life had begun a fresh start and not ended the full read that follows it.
    [[nodiscard]] static StoredClock at_start(std::optional<UtcSeconds> written_at, bool to_be_read);
    /// A fresh start. `can_read`: a full read follows it.
    [[nodiscard]] static StoredClock afresh(bool can_read);

    /// By an earlier life of the agent.
    [[nodiscard]] bool was_written() const { return written_at_.has_value(); }
    /// How long the agent was away, by our clock; nothing: it never wrote.
    [[nodiscard]] std::optional<std::chrono::milliseconds> away(Now now) const;
    /// Our clock was set back while the agent was away, by so much that it is sure.
    [[nodiscard]] bool went_back(Now now) const;
    /// A jury sits about our clock. Where a message tells of a shift, nothing counts any more before it has found.
    void await_jury() { awaits_jury_ = true; }
    [[nodiscard]] bool awaits_jury() const { return awaits_jury_; }
    void testify(StartJury::Shift shift) { testimony_ = shift; }
    [[nodiscard]] const std::optional<StartJury::Shift>& testimony() const { return testimony_; }
    /// It has found. What a message tells by itself counts as ever.
    void on_found() {
        awaits_jury_ = false;
        testimony_.reset();
    }
    /// A message came whose base-time fits.
    void on_heard() {
        let_expire();
        is_proven_ = true;
    }
    /// None will come for now: what is stored may expire, though nothing is proven.
    void let_expire() { hold_ = hold_ == Hold::until_heard ? Hold::none : hold_; }
    /// All was read anew: the batch of this number has the end of that.
    void on_read(std::uint64_t batch) {
        hold_ = Hold::none;
        is_proven_ = was_read_ = true;
        on_mended(batch);
    }
    /// What puts the stored times right is in the batch of this number, and not in the database before that.
    void on_mended(std::uint64_t batch) { mended_in_ = batch; }
    void on_committed(std::uint64_t batch) {
        if (mended_in_ && batch >= *mended_in_) mended_in_.reset();
    }
    [[nodiscard]] bool may_expire() const {
        return hold_ == Hold::none && !awaits_jury_ && !is_undecided() && !mended_in_;
    }

    /// Whether they may be in another clock, and nobody knows yet.
    [[nodiscard]] bool is_unsure() const { return hold_ == Hold::until_heard || awaits_jury_ || is_undecided(); }
    /// No full read is due any more for the last fresh start.
    [[nodiscard]] bool was_read() const { return was_read_; }
    /// No message has shown since the start that they are in the clock as it is.
    [[nodiscard]] bool is_unproven() const { return is_unsure() || !is_proven_; }

    /// `now` as the clock shows it in which the stored times are.
    [[nodiscard]] Now read(Now now) const { return {now.steady, now.utc - ahead_}; }

    /// Our clock jumped ahead by so much.
    void on_jump_ahead(std::chrono::milliseconds by) { ahead_ += by; }
    [[nodiscard]] bool is_undecided() const { return ahead_ != std::chrono::milliseconds{0}; }

    enum class Finding : std::uint8_t { none, was_set, slept };
    /// What a message proves of an undecided jump; `now` is as read(). `known` is the server's skew as of before the jump.
    [[nodiscard]] Finding judge(const ClockSkew::Sample& told, Skew known, Now now) const;
    /// It is decided: by how much the clock was ahead. From now on it is the clock as it is.
    std::chrono::milliseconds decide() { return std::exchange(ahead_, std::chrono::milliseconds{0}); }

private:
    /// Until when no stored time may expire by our clock, since it may be in another one.
    enum class Hold : std::uint8_t {
        none,
        until_heard,  ///< ours may have been set while the agent was away: the first base-time tells, if one comes
        until_read,   ///< the server's was set: a full read brings all times anew
    };
    Hold hold_ = Hold::none;
    bool awaits_jury_ = false;
    bool is_proven_ = true;
    bool was_read_ = false;
    std::optional<UtcSeconds> written_at_ = std::nullopt;
    std::optional<std::uint64_t> mended_in_ = std::nullopt;
    std::optional<StartJury::Shift> testimony_ = std::nullopt;
    std::chrono::milliseconds ahead_{0};  // our clock is this far ahead of the one that the stored times are in
};

}  // namespace leasemirror
