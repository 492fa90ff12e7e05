// Turns what a session says of bindings into the changes of the batch that is being filled.
#pragma once

#include "agent/sync/bulk_job.hpp"
#include "agent/sync/connections.hpp"
#include "agent/sync/doubt_book.hpp"
#include "agent/sync/outbox.hpp"

#include <cstdint>

namespace leasemirror {

/// Where a change was told, as far as it decides what becomes of it.
struct Telling {
    const SyncConnection& connection;
    BulkJob* job;            ///< whose query is outstanding on the connection; null: none is
    std::uint64_t last_run;  ///< the run of what is told otherwise
    bool gap_open;           ///< something that was told before may be missing here
    Skew skew;
    bool clock_unsure;         ///< its base-time lies further behind than the skew says (Change::clock_unsure)
    ServerTime server_second;  ///< our best guess of what its clock shows, cut to the second as base-times are
    Now now;

    /// Over the active connection, and yet when it happened cannot be told from the message.
    [[nodiscard]] bool late() const { return connection.is_active() && (connection.is_catching_up() || gap_open); }

    /// Something that cannot be read puts a row in doubt as of then: what was built before it is no later. Base-times are cut
    /// to a second, so one is on top.
    [[nodiscard]] ServerTime told_by() const {
        return connection.base_time.value_or(server_second) + std::chrono::seconds{1};
    }

    [[nodiscard]] std::uint64_t run() const { return job ? job->items()[*connection.item].run : last_run; }
};

class Recorder {
public:
    /// `outbox` outlives this object.
    explicit Recorder(Outbox& outbox) : outbox_(outbox) {}

    void on_binding(const Telling& told, const Binding& binding);
    /// `complete`: what a list of this server leaves out has ended (agent/README.md, "Ended bindings"). Empty: not known.
    void on_client_listed(const Telling& told, const action::ClientListed& listed, std::optional<bool> complete);
    /// A list of this client in this VPN could not be read whole: what it would have left out cannot be told.
    void on_list_unread(const Telling& told, ByteView client_id, const std::string& vpn_id);
    /// The server was asked about a binding in doubt, and does not have it, or at least not for the client that had it.
    void on_absent(const DoubtBook::Settled& settled, Skew skew, Now now);
    /// An address was listed in a message that could not be understood otherwise, in this VPN as far as is known.
    void on_sighting(const Telling& told, const IpAddress& address, const std::string& vpn_id);
    void on_quarantine(const Telling& told, const action::Quarantine& quarantine);

private:
    /// A change that is told now, by that message.
    [[nodiscard]] Change& add(const Telling& told);

    Outbox& outbox_;
};

}  // namespace leasemirror
