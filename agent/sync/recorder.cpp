#include "agent/sync/recorder.hpp"

#include "agent/sync/whole_seconds.hpp"

#include "storage/scope.hpp"

namespace leasemirror {

void Recorder::on_binding(const Telling& told, const Binding& binding) {
    auto& change = outbox_.add_change(told.now.steady);
    change.binding = binding;
    change.skew = told.skew;
    change.late = told.connection.is_catching_up();
    change.run = told.run();
    if (told.job) {
        told.job->on_binding(*told.connection.item, binding);
        change.scope = scope_id(told.job->items()[*told.connection.item].query);
    }
    outbox_.account(change);
}

void Recorder::on_client_listed(const Telling& told, const action::ClientListed& listed) {
    // Servers spread one client over many OPTION_CLIENT_DATA of a bulk answer (Kea does), so a list there ends nothing.
    if (!told.connection.is_active()) return;
    if (listed.listed > 0 && client_data_ != ClientData::snapshot) return;
    auto& change = outbox_.add_change(told.now.steady);
    change.kind = Change::Kind::client_list_end;
    change.listed = listed.listed;
    change.run = told.last_run;
    change.late = told.connection.is_catching_up();
    change.binding = *listed.client;
    outbox_.account(change);
}

void Recorder::on_sighting(const Telling& told, const IpAddress& address) {
    auto& change = outbox_.add_change(told.now.steady);
    change.kind = Change::Kind::sighting;
    change.run = told.run();
    change.binding.key.address = address;
    outbox_.account(change);
}

void Recorder::on_quarantine(const Telling& told, const action::Quarantine& quarantine) {
    const auto at = whole_seconds(told.now);
    outbox_.add_quarantine({at, quarantine.reason, Bytes(quarantine.message.begin(), quarantine.message.end())},
                           told.now.steady);
}

}  // namespace leasemirror
