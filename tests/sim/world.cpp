#include "tests/sim/wire.hpp"

#include <algorithm>
#include <iostream>
#include <utility>

namespace leasemirror::sim {

using namespace std::chrono_literals;

namespace {

/// A round date; nothing depends on which.
const UtcMillis beginning{std::chrono::seconds{1'800'000'000}};

}  // namespace

World::World(const WorldOptions& options)
    : options_(options),
      chance_(options.seed),
      kinds_(options.seed * 2 + 1),
      began_(beginning),
      now_(beginning),
      store_down_until_(beginning) {
    make_database();
    make_servers();
}

World::~World() {
    engine_.reset();
    wires_.clear();
    desks_.clear();  // before the database goes
}

// ---- time ---------------------------------------------------------------------------------------------------------

void World::at(UtcMillis when, Work work) {
    events_.push({std::max(when, now_), order_++, std::move(work)});
}

Now World::now() const {
    return {SteadyTime{std::chrono::hours{1} + (now_ - began_)}, host_now()};
}

void World::run_until(UtcMillis until) {
    while (!wrong_ && !events_.empty() && events_.top().at <= until) {
        auto event = std::move(const_cast<Event&>(events_.top()));
        events_.pop();
        now_ = event.at;
        event.work();
    }
    if (!wrong_) now_ = until;
}

// ---- the agent ----------------------------------------------------------------------------------------------------

void World::start_agent() {
    if (now_ < store_down_until_)
        return after(100ms + up_to(2s), [this, life = life_] {
            if (life == life_) start_agent();
        });
    if (const auto by = std::exchange(step_host_at_start_, std::nullopt)) step_host_clock(*by);
    const auto life = ++life_;
    trace("agent starts, life " + std::to_string(life));
    const auto opened = open_desks();
    if (!opened) return;
    engine_ = std::make_unique<Engine>(config_, opened->resume, opened->requestor_duid, chance_.next());
    engine_->start(now());
    drain();
}

ServerSpec World::spec_of(std::size_t server) const {
    const auto& config = config_.servers[server];
    return {config.name, config.family, config.address};
}

std::string World::name_of_agent() const {
    return "agent " + std::to_string(life_);
}

/// None: the agent died meanwhile.
std::optional<Writer::Opened> World::open_desks() {
    std::vector<ServerSpec> specs;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < config_.servers.size(); ++i) {
        specs.push_back(spec_of(i));
        names.push_back(specs.back().name);
    }
    const Bytes duid{0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    group_.emplace(writers_, specs.size());
    if (std::exchange(left_behind_, false)) database_->terminate_sessions();  // it holds its servers until then
    opened_ = life_;
    std::optional<Writer::Opened> all;
    for (std::size_t i = 0; i < group_->size(); ++i) {
        auto& desk = desks_.emplace_back();
        desk.store = database_->open();
        Writer::Opened opened;
        if (i == 0) desk.store->disable_servers_except(names);
        opened.resume = desk.store->open_servers(group_->part_of(i, specs), name_of_agent());
        if (i == 0) opened.requestor_duid = desk.store->requestor_duid(duid);
        all = group_->on_opened(i, std::move(opened));
        if (troubled_ && one_in(50)) {
            crash_agent();
            return std::nullopt;
        }
    }
    return all;
}

/// As kill -9 does: nothing is said, nothing is finished. What the database was given stays, the rest is gone.
void World::crash_agent() {
    ++stats_.crashes;
    trace("agent crashes");
    for (auto& desk : desks_) {
        // A session may live on for a while at the database's end, with a batch under way.
        if (!database_->is_sqlite() && !desk.steps.empty() && one_in(4)) leave_behind(std::exchange(desk, {}));
    }
    end_life(1ms + up_to(one_in(4) ? 10min : 5s) / haste_);
    judge_history(false);
}

/// As SIGTERM does: what is whole is committed, if the database takes it in time.
void World::stop_agent() {
    if (!engine_) return;
    ++stats_.stops;
    trace("agent stops");
    after(10s, [this, life = life_] {
        if (life == life_) end_life(up_to(1s));
    });
    engine_->stop(now());
    drain();
}

void World::end_life(std::chrono::milliseconds pause) {
    engine_.reset();
    desks_.clear();
    stepped_in_this_life_ = false;
    for (auto& [server, batch] : unsettled_)
        batch.reset();
    timer_.reset();
    for (auto& [key, wire] : wires_)
        wire->peer->on_end_of_stream(now_);
    wires_.clear();
    const auto life = ++life_;
    after(pause, [this, life] {
        if (life == life_) start_agent();
    });
}

void World::drain() {
    const auto life = life_;
    while (auto action = engine_->poll_action()) {
        std::visit([this](auto& a) { perform(a); }, *action);
        if (life != life_) return;  // the agent crashed meanwhile
    }
    std::vector<WireKey> keys;
    for (const auto& [key, wire] : wires_)
        keys.push_back(key);
    for (const auto& key : keys) {
        if (auto* wire = find(key)) deliver(*wire);
        if (life != life_) return;
    }
    if (engine_->done()) return end_life(up_to(1s));
    arm_timer();
}

void World::arm_timer() {
    const auto due = engine_->next_deadline();
    if (!due || timer_ == due) return;
    timer_ = due;
    const auto when = now_ + std::chrono::ceil<std::chrono::milliseconds>(*due - now().steady);
    at(when, [this, life = life_, due] {
        if (life != life_ || timer_ != due) return;
        timer_.reset();
        engine_->on_deadline(now());
        drain();
    });
}

void World::perform(LogEvent& event) {
    if (event.name == "gap") ++stats_.gaps;
    if (event.name == "windowed-poll-done") ++stats_.windowed_polls;
    if (!options_.trace) return;
    std::string line = "  " + event.name;
    for (const auto& [key, value] : event.fields)
        line += " " + key + "=" + value;
    trace(line);
}

void World::trace(const std::string& text) const {
    if (options_.trace)
        std::cout << unix_seconds(std::chrono::floor<std::chrono::seconds>(now_)) << " " << text << "\n";
}

}  // namespace leasemirror::sim
