// How far the mirror of one server has come, in that server's own clock: the base-time from which an active query resumes
// (RFC 7653 §8.3, RFC 7724 §7.3).
//
//     reached    all that the server told up to here is in the batches that are on their way to the database
//     committed  the part of it that is in the database: only from here may an active query start, since a crash now
//                would lose the rest
//
// A default Checkpoint knows nothing: a full bulk is due.
#pragma once

#include "proto/time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace leasemirror {

class Checkpoint {
public:
    /// How much later than it happened a server may tell a change; also how far a guess of its clock is trusted.
    static constexpr std::chrono::seconds reporting_delay_max{10};

    Checkpoint() = default;
    /// Goes on from what was stored.
    explicit Checkpoint(std::optional<ServerTime> stored)
        : reached_(stored), committed_(stored), highest_heard_(stored) {}
    /// Nothing is known any more, and the commits of batches before `first_batch`, which may still come, tell nothing.
    [[nodiscard]] static Checkpoint afresh(std::uint64_t first_batch);

    [[nodiscard]] std::optional<ServerTime> reached() const { return reached_; }
    [[nodiscard]] std::optional<ServerTime> committed() const { return committed_; }
    [[nodiscard]] bool is_resumable() const { return reached_ && committed_; }
    /// No message that is asked for from now on can honestly carry an earlier base-time.
    [[nodiscard]] std::optional<ServerTime> highest_heard() const { return highest_heard_; }

    /// Everything up to `disorder` before `base` has been told. It moves back with a stream that does: its server may have
    /// set its clock by a little, and what changes then is dated by the new one. Asking for a second too much costs nothing.
    /// Gives by how much `base` lies before one that was told earlier.
    std::chrono::seconds advance(ServerTime base, std::chrono::seconds disorder);
    /// A full bulk began at `base` and has ended: the active query starts there.
    void begin_at(ServerTime base);
    /// Likewise of a server whose replies carry no base-time: `server_now`, by our clock, was when it began. Equal clocks
    /// are assumed (RFC 7653 §6.3.2), or nearly so.
    void guess(ServerTime server_now);
    /// A message with this base-time has arrived. False if it shows that a guess was ahead of the server's clock: a query
    /// from there would skip what changes until that clock has come so far.
    [[nodiscard]] bool on_heard(ServerTime base);
    /// A batch is in the database.
    void on_committed(std::uint64_t batch, std::optional<ServerTime> base);

private:
    std::optional<ServerTime> reached_;
    std::optional<ServerTime> committed_;
    std::optional<ServerTime> highest_heard_;
    std::optional<ServerTime> highest_told_;  // of advance()
    bool guessed_ = false;                    // no message has told yet what the server's clock shows
    std::uint64_t first_batch_ = 0;           // whose commit counts
};

}  // namespace leasemirror
