#include "agent/daemon/stop_signal.hpp"

#include "agent/daemon/shutdown.hpp"
#include "agent/query/cancellation.hpp"

#include <asio/io_context.hpp>

#include <csignal>
#include <thread>
#include <utility>

namespace leasemirror {

struct StopSignal::Impl {
    Impl()
        : handler(context, {[this](int) { cancellation.cancel(); }, [this] { cancellation.cancel(); }}),
          thread([this] { context.run(); }) {
        (void)std::signal(SIGPIPE, SIG_IGN);
    }
    ~Impl() {
        context.stop();
        thread.join();
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Cancellation cancellation;
    asio::io_context context;
    SignalHandler handler;  // blocks the signals here, and so in the thread that is begun next
    std::thread thread;
};

StopSignal::StopSignal() : impl_(std::make_unique<Impl>()) {}

StopSignal::~StopSignal() = default;

bool StopSignal::asked() const {
    return impl_->cancellation.asked();
}

void StopSignal::on_asked(std::function<void()> end) {
    impl_->cancellation.on_asked(std::move(end));
}

}  // namespace leasemirror
