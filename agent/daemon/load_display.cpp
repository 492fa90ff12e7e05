#include "agent/daemon/load_display.hpp"

#include "agent/net/host.hpp"

#include <asio/io_context.hpp>

#include <utility>

namespace leasemirror {

LoadDisplay::LoadDisplay(asio::io_context& loop, Log& log, std::function<std::vector<LoadProgress::Read>()> reads)
    : timer_(loop), log_(log), reads_(std::move(reads)) {}

void LoadDisplay::start() {
    stopped_ = false;
    wait();
}

void LoadDisplay::stop() {
    stopped_ = true;
    timer_.cancel();
    log_.show({});
}

void LoadDisplay::wait() {
    timer_.expires_after(interval);
    timer_.async_wait([this](const asio::error_code& error) {
        if (error || stopped_) return;
        look();
        wait();
    });
}

void LoadDisplay::look() {
    const auto now = host_now().steady;
    progress_.look(reads_(), now);
    if (const auto columns = log_.columns()) return log_.show(progress_.lines(*columns));
    log_.show({});  // the format may have been another one
    for (const auto& state : progress_.due(now)) {
        std::vector<LogField> fields{{"server", state.server}, {"bindings", state.progress.bindings}};
        if (state.progress.expected) fields.emplace_back("expected", *state.progress.expected);
        fields.emplace_back("per_second", state.per_second);
        if (state.left) fields.emplace_back("left_seconds", state.left->count());
        fields.emplace_back("queries_over", state.progress.queries_over);
        fields.emplace_back("queries", state.progress.queries);
        log_.write(LogLevel::info, "loading", fields);
    }
}

}  // namespace leasemirror
