#include "agent/sync/recorder.hpp"

#include "agent/sync/clocks/whole_seconds.hpp"

#include "storage/scope.hpp"

namespace leasemirror {

Change& Recorder::add(const Telling& told) {
    auto& change = outbox_.add_change(told.now.steady);
    change.skew = told.skew;
    change.told_at = whole_seconds(told.now);
    change.late = told.late();
    change.clock_unsure = told.clock_unsure;
    return change;
}

void Recorder::on_binding(const Telling& told, const Binding& binding) {
    auto& change = add(told);
    change.binding = binding;
    change.run = told.run();
    if (told.job) {
        told.job->on_binding(*told.connection.item, binding);
        if (told.connection.for_question)
            change.binding.via = Via::query;  // it was asked for alone, and belongs to no scope
        else
            change.scope = scope_id(told.job->items()[*told.connection.item].query);
    }
    outbox_.account(change);
}

void Recorder::on_client_listed(const Telling& told, const action::ClientListed& listed, std::optional<bool> complete) {
    // Servers spread one client over many OPTION_CLIENT_DATA of a bulk answer (Kea does), so a list there ends nothing.
    if (!told.connection.is_active()) return;
    if (listed.listed > 0 && complete == false) return;
    auto& change = add(told);
    change.kind = Change::Kind::client_list_end;
    change.listed = listed.listed;
    // A list without any lease cannot be one of several.
    if (listed.listed > 0 && !complete) change.doubt = Doubt::unlisted;
    change.run = told.last_run;
    change.binding = *listed.client;
    outbox_.account(change);
}

void Recorder::on_list_unread(const Telling& told, ByteView client_id, const std::string& vpn_id) {
    auto& change = add(told);
    change.kind = Change::Kind::client_list_end;
    change.doubt = Doubt::unreadable;
    change.run = told.last_run;
    change.binding.client_id.assign(client_id.begin(), client_id.end());
    change.binding.key.vpn_id = vpn_id;
    change.binding.base_time = told.told_by();
    change.binding.via = Via::active;
    outbox_.account(change);
}

void Recorder::on_absent(const DoubtBook::Settled& settled, Skew skew, Now now) {
    auto& change = outbox_.add_change(now.steady);
    change.kind = Change::Kind::absent;
    change.run = settled.run;
    change.skew = skew;
    change.told_at = whole_seconds(now);
    change.binding.key = settled.about.key;
    change.binding.base_time = settled.answered_at;
    change.binding.via = Via::query;
    outbox_.account(change);
    if (settled.answer != DoubtBook::Answer::left) return;
    auto still = change;
    still.kind = Change::Kind::doubt;
    still.doubt = settled.about.why;
    auto& added = outbox_.add_change(now.steady);
    added = std::move(still);
    outbox_.account(added);
}

void Recorder::on_sighting(const Telling& told, const IpAddress& address, const std::string& vpn_id) {
    auto& change = outbox_.add_change(told.now.steady);
    change.kind = Change::Kind::sighting;
    change.doubt = Doubt::unreadable;
    if (told.connection.is_active()) change.binding.via = Via::active;
    change.run = told.run();
    change.binding.base_time = told.told_by();
    change.binding.key.address = address;
    change.binding.key.vpn_id = vpn_id;
    outbox_.account(change);
}

void Recorder::on_quarantine(const Telling& told, const action::Quarantine& quarantine) {
    const auto at = whole_seconds(told.now);
    outbox_.add_quarantine({at, quarantine.reason, Bytes(quarantine.message.begin(), quarantine.message.end())},
                           told.now.steady);
}

}  // namespace leasemirror
