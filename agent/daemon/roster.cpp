#include "agent/daemon/roster.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {

Roster::Roster(std::vector<Server> servers) {
    for (auto& server : servers)
        slots_.push_back({State::working, true, server, server});
}

void Roster::want(const std::vector<Server>& servers) {
    std::vector<Server> further = servers;
    for (auto& slot : slots_) {
        const auto is_it = [&](const Server& server) { return server.config.name == slot.now.config.name; };
        const auto found =
            slot.state == State::gone ? further.end() : std::find_if(further.begin(), further.end(), is_it);
        if (found == further.end()) {
            slot.wanted.reset();
        } else {
            slot.wanted = std::move(*found);
            further.erase(found);
        }
        if (slot.state == State::to_open || slot.state == State::waiting) settle(slot);
    }
    for (auto& server : further)
        free_slot() = {State::to_open, false, server, server};
}

Roster::Slot& Roster::free_slot() {
    const auto gone = std::find_if(slots_.begin(), slots_.end(), [](const Slot& s) { return s.state == State::gone; });
    return gone != slots_.end() ? *gone : slots_.emplace_back();
}

void Roster::settle(Slot& slot) {
    if (slot.wanted) {
        slot.now = *slot.wanted;
        slot.state = State::to_open;
    } else {
        slot.state = slot.ours ? State::to_release : State::gone;
    }
}

std::optional<Roster::Step> Roster::poll() {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        auto& slot = slots_[i];
        if (slot.state == State::working && !(slot.wanted && slot.wanted->is_as(slot.now))) {
            slot.state = State::retiring;
            return Step{Step::Kind::retire, i};
        }
        if (slot.state == State::to_open) {
            slot.state = State::opening;
            return Step{Step::Kind::open, i};
        }
        if (slot.state == State::to_release) {
            slot.state = State::releasing;
            return Step{Step::Kind::release, i};
        }
    }
    return std::nullopt;
}

void Roster::on_retired(std::size_t server) {
    settle(slots_[server]);
}

bool Roster::on_opened(std::size_t server) {
    auto& slot = slots_[server];
    slot.ours = true;
    const auto as_wanted = slot.wanted && slot.wanted->is_as(slot.now);
    if (as_wanted)
        slot.state = State::working;
    else
        settle(slot);
    return as_wanted;
}

void Roster::on_claimed(std::size_t server) {
    auto& slot = slots_[server];
    slot.ours = false;
    settle(slot);
    if (slot.state == State::to_open) slot.state = State::waiting;
}

void Roster::on_released(std::size_t server) {
    slots_[server].ours = false;
    settle(slots_[server]);
}

void Roster::reopen(std::size_t server) {
    auto& slot = slots_[server];
    if (slot.state == State::working) slot.state = State::to_open;
}

bool Roster::any_claimed() const {
    return std::any_of(slots_.begin(), slots_.end(), [](const Slot& s) { return s.state == State::waiting; });
}

void Roster::try_claimed_again() {
    for (auto& slot : slots_)
        if (slot.state == State::waiting) settle(slot);
}

void Roster::begin_anew() {
    std::vector<Slot> kept;
    for (const auto& slot : slots_)
        if (slot.wanted) kept.push_back({State::working, true, *slot.wanted, slot.wanted});
    slots_ = std::move(kept);
}

std::size_t Roster::wanted() const {
    return static_cast<std::size_t>(
        std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.wanted.has_value(); }));
}

std::vector<ServerConfig> Roster::configs() const {
    std::vector<ServerConfig> out;
    for (const auto& slot : slots_)
        if (slot.wanted) out.push_back(slot.wanted->config);
    return out;
}

}  // namespace leasemirror
