#include "agent/daemon/stop_signal.hpp"

#include "agent/daemon/shutdown.hpp"

#include <asio/io_context.hpp>

#include <csignal>
#include <mutex>
#include <thread>
#include <utility>

namespace leasemirror {

struct StopSignal::Impl {
    Impl() : handler(context, {[this](int) { stop(); }, [this] { stop(); }}), thread([this] { context.run(); }) {
        (void)std::signal(SIGPIPE, SIG_IGN);
    }
    ~Impl() {
        context.stop();
        thread.join();
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void stop() {
        const std::scoped_lock lock(mutex);
        asked = true;
        if (end) end();
    }

    std::mutex mutex;
    std::function<void()> end;
    bool asked = false;
    asio::io_context context;
    SignalHandler handler;  // blocks the signals here, and so in the thread that is begun next
    std::thread thread;
};

StopSignal::StopSignal() : impl_(std::make_unique<Impl>()) {}

StopSignal::~StopSignal() = default;

bool StopSignal::asked() const {
    const std::scoped_lock lock(impl_->mutex);
    return impl_->asked;
}

void StopSignal::on_asked(std::function<void()> end) {
    const std::scoped_lock lock(impl_->mutex);
    impl_->end = std::move(end);
    if (impl_->end && impl_->asked) impl_->end();
}

}  // namespace leasemirror
