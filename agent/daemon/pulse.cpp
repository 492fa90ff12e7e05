#include "agent/daemon/pulse.hpp"

#include <utility>

namespace leasemirror {

Pulse::Pulse(asio::io_context& loop, AgentIdentity agent, std::size_t servers, std::function<void(Heartbeat)> send)
    : timer_(loop),
      agent_(std::move(agent)),
      servers_(servers),
      send_(std::move(send)),
      counted_from_(std::chrono::steady_clock::now()) {}

void Pulse::start() {
    beats_ = true;
    under_way_ = 0;
    beat(false);
    wait();
}

void Pulse::stop() {
    beats_ = false;
    timer_.cancel();
}

void Pulse::wait() {
    timer_.expires_after(interval);
    timer_.async_wait([this](const asio::error_code& error) {
        if (error || !beats_) return;      // it may have expired right before it was cancelled
        if (under_way_ == 0) beat(false);  // else the database does not answer, and that is what is to be seen
        wait();
    });
}

bool Pulse::on_written() {
    --under_way_;
    return last_said_ && under_way_ == 0;
}

void Pulse::say_last() {
    if (std::exchange(last_said_, true)) return;
    stop();
    beat(true);
}

void Pulse::beat(bool last) {
    const auto now = std::chrono::steady_clock::now();
    const auto seconds = std::chrono::duration<double>(now - std::exchange(counted_from_, now)).count();
    const auto changes = static_cast<double>(std::exchange(changes_, 0));
    ++under_way_;
    send_({agent_, static_cast<std::int64_t>(servers_), seconds > 0 ? changes / seconds : 0, last});
}

}  // namespace leasemirror
