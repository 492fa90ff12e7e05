// Shows full reads that are under way: on a terminal a line for each server, written anew each second below the log; else a
// line of the log each minute.
#pragma once

#include "agent/daemon/load_progress.hpp"
#include "agent/daemon/log.hpp"

#include <asio/steady_timer.hpp>
#include <functional>
#include <vector>

namespace leasemirror {

/// On the event loop.
class LoadDisplay {
public:
    static constexpr std::chrono::seconds interval{1};

    /// `reads` tells what is under way; it is not called before start(), nor after stop(). `log` outlives it.
    LoadDisplay(asio::io_context& loop, Log& log, std::function<std::vector<LoadProgress::Read>()> reads);

    void start();
    void stop();

private:
    void look();
    void wait();

    asio::steady_timer timer_;
    Log& log_;
    const std::function<std::vector<LoadProgress::Read>()> reads_;
    LoadProgress progress_;
    bool stopped_ = true;
};

}  // namespace leasemirror
