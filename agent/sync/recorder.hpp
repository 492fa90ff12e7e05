// Turns what a session says of bindings into the changes of the batch that is being filled.
#pragma once

#include "agent/config/config.hpp"
#include "agent/sync/bulk_job.hpp"
#include "agent/sync/connections.hpp"
#include "agent/sync/outbox.hpp"

#include <cstdint>

namespace leasemirror {

/// Where a change was told, as far as it decides what becomes of it.
struct Telling {
    const SyncConnection& connection;
    BulkJob* job;            ///< whose query is outstanding on the connection; null: none is
    std::uint64_t last_run;  ///< the run of what is told otherwise
    Skew skew;
    Now now;

    [[nodiscard]] std::uint64_t run() const { return job ? job->items()[*connection.item].run : last_run; }
};

class Recorder {
public:
    /// `outbox` outlives this object.
    Recorder(Outbox& outbox, ClientData client_data) : outbox_(outbox), client_data_(client_data) {}

    void on_binding(const Telling& told, const Binding& binding);
    void on_client_listed(const Telling& told, const action::ClientListed& listed);
    /// An address was listed in a message that could not be understood otherwise.
    void on_sighting(const Telling& told, const IpAddress& address);
    void on_quarantine(const Telling& told, const action::Quarantine& quarantine);

private:
    Outbox& outbox_;
    ClientData client_data_;
};

}  // namespace leasemirror
