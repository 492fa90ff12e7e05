// The agent's signs of life: one each five seconds, by the same way as what it writes. So whoever sees none knows that
// nothing is written either.
#pragma once

#include "storage/heartbeat.hpp"

#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <functional>

namespace leasemirror {

/// On the event loop.
class Pulse {
public:
    static constexpr std::chrono::seconds interval{5};

    /// `send` hands a sign of life to a writer; on_written() is told when the database has it.
    Pulse(asio::io_context& loop, AgentIdentity agent, std::size_t servers, std::function<void(Heartbeat)> send);

    /// The writers have opened the database, perhaps anew: what was under way is not any more.
    void start();
    /// The writers are closed: nothing is sent before the next start().
    void stop();
    void set_servers(std::size_t servers) { servers_ = servers; }
    void on_changes(std::size_t count) { changes_ += count; }
    /// True if that was the last one.
    [[nodiscard]] bool on_written();
    /// That the agent ends in good order. At once, and once.
    void say_last();

private:
    void beat(bool last);
    void wait();

    asio::steady_timer timer_;
    const AgentIdentity agent_;
    std::size_t servers_;
    const std::function<void(Heartbeat)> send_;
    std::chrono::steady_clock::time_point counted_from_;
    std::size_t changes_ = 0;
    std::size_t under_way_ = 0;
    bool beats_ = false;
    bool last_said_ = false;
};

}  // namespace leasemirror
