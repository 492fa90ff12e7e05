#include "tests/leasesim/model_server.hpp"

#include "tests/leasesim/leases/hash.hpp"
#include "tests/leasesim/model_connection.hpp"

#include <algorithm>

namespace leasemirror::leasesim {

namespace {

Bytes default_identity(Family family, std::uint64_t seed) {
    const auto n = static_cast<std::uint8_t>(1 + mix(seed) % 250);
    if (family == Family::v4) return {192, 0, 2, n};
    return {0, 3, 0, 1, 0x02, 0x00, 0x5e, 0x20, 0, n};
}

ServerOptions with_identity(ServerOptions o) {
    o.model.absolute_times = o.model.absolute_times || o.personality.absolute_expiries;
    if (o.server_id.empty()) o.server_id = default_identity(o.model.family, o.model.seed);
    return o;
}

}  // namespace

ModelServer::ModelServer(ServerOptions options, UtcMillis t0)
    : options_(with_identity(std::move(options))),
      model_(options_.model, t0),
      began_(t0),
      history_from_(t0),
      dice_(mix(options_.model.seed, 0xd1ce)) {
    for (const auto& fault : options_.faults)
        inject(fault);
}

ModelServer::~ModelServer() = default;

std::unique_ptr<ModelConnection> ModelServer::accept(UtcMillis now) {
    ++stats_.accepted;
    std::vector<std::size_t> nothing_struck;
    const bool full = connections_.size() >= static_cast<std::size_t>(options_.connections_max);
    const bool refused = full || shut_down_ || strike(FaultKind::refuse, stats_.accepted, true, nothing_struck, now);
    if (refused) ++stats_.refused;
    std::unique_ptr<ModelConnection> connection(new ModelConnection(*this, refused, now));
    if (!refused) connections_.push_back(connection.get());
    return connection;
}

void ModelServer::forget(ModelConnection* connection) {
    std::erase(connections_, connection);
}

void ModelServer::set_identity(Bytes server_id) {
    options_.server_id = std::move(server_id);
}

void ModelServer::shutdown(UtcMillis now) {
    shut_down_ = true;
    for (auto* connection : connections_)
        connection->on_shutdown(now);
}

void ModelServer::restart(UtcMillis now) {
    shut_down_ = false;
    history_from_ = now;
    for (auto* connection : connections_)
        connection->on_crash();
}

void ModelServer::inject(const Fault& fault) {
    faults_.push_back(Armed{fault, 0});
}

void ModelServer::jitter_clock(const Fault& jitter, UtcMillis now) {
    const auto most = std::clamp<std::int64_t>(jitter.arg.value_or(1500), 0, 3'600'000);
    dice_ = mix(dice_);
    step_clock(
        std::chrono::milliseconds{static_cast<std::int64_t>(dice_ % (2 * static_cast<std::uint64_t>(most) + 1)) - most},
        now);
}

void ModelServer::make_lasting(const Fault& fault, UtcMillis now) {
    const auto arg = [&](std::int64_t otherwise) {
        return static_cast<std::uint64_t>(std::max<std::int64_t>(0, fault.arg.value_or(otherwise)));
    };
    if (fault.kind == FaultKind::reorder)
        set_reorder(std::chrono::milliseconds{arg(2000)});
    else if (fault.kind == FaultKind::unconfigure)
        unconfigure(arg(10), now);
    else if (fault.kind == FaultKind::unreadable_option)
        make_unreadable(arg(0), Unreadable::stray_octet);
    else if (fault.kind == FaultKind::unreadable_lease)
        make_unreadable(arg(0), Unreadable::everything);
}

UtcMillis ModelServer::history_floor(UtcMillis now) const {
    auto floor = history_from_;
    if (options_.history_age) floor = std::max(floor, now - *options_.history_age);
    if (options_.history_events && model_.churn().events_between(floor, now) > *options_.history_events)
        floor = std::max(floor, model_.churn().time_before_last(*options_.history_events, now));
    return floor;
}

bool ModelServer::covers(ServerTime start, UtcMillis now) const {
    const auto floor = history_floor(now);
    const auto stamp = model_.clock().stamped(floor);
    // Start times are inclusive: of the second of the floor itself a part is lost, unless nothing changed before.
    return floor == began_ ? start >= stamp : start > stamp;
}

std::optional<UtcMillis> ModelServer::next_timed_fault(UtcMillis now) const {
    std::optional<UtcMillis> next;
    for (const auto& armed : faults_) {
        const auto& when = armed.fault.when;
        if (when.kind != Trigger::Kind::time || armed.struck > 0) continue;
        const auto at = began_ + when.time;
        if (at > now && (!next || at < *next)) next = at;
    }
    return next;
}

bool ModelServer::is_due(const Armed& armed, std::uint64_t message, bool sending, UtcMillis now) {
    const auto& when = armed.fault.when;
    if (when.times != 0 && armed.struck >= when.times) return false;
    switch (when.kind) {
        case Trigger::Kind::now:
            return true;
        case Trigger::Kind::message:
            return sending && message >= when.message;
        case Trigger::Kind::time:
            return now >= began_ + when.time;
        case Trigger::Kind::probability:
            if (!sending) return false;
            dice_ = mix(dice_);
            return fraction(dice_) < when.probability;
    }
    return false;
}

std::optional<Fault> ModelServer::strike(FaultKind kind, std::uint64_t message, bool sending,
                                         std::vector<std::size_t>& struck, UtcMillis now) {
    for (std::size_t i = 0; i < faults_.size(); ++i) {
        auto& armed = faults_[i];
        if (armed.fault.kind != kind || !is_due(armed, message, sending, now)) continue;
        if (armed.fault.when.kind != Trigger::Kind::probability) {  // the others strike a connection once
            if (std::find(struck.begin(), struck.end(), i) != struck.end()) continue;
            struck.push_back(i);
        }
        ++armed.struck;
        ++stats_.faults;
        return armed.fault;
    }
    return std::nullopt;
}

}  // namespace leasemirror::leasesim
