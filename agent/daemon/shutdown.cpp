#include "agent/daemon/shutdown.hpp"

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <sys/signalfd.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <initializer_list>
#include <system_error>
#include <utility>

namespace leasemirror {
namespace {

extern "C" void leave_at_once(int signal) {
    _exit(128 + signal);  // async-signal-safe, unlike exit(): no destructor runs, the database recovers by itself
}

void handle_with(int signal, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, nullptr);
}

sigset_t set_of(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals)
        sigaddset(&set, signal);
    return set;
}

}  // namespace

/// The signals stay blocked and wait in the kernel until this reads them, so that none is lost whenever it comes: not
/// before the event loop runs, nor between two handlers. Threads that are started later inherit that.
struct SignalHandler::Impl {
    Impl(asio::io_context& context, SignalHooks h) : hooks(std::move(h)), inbox(context) {
        const auto ours = set_of({SIGTERM, SIGINT, SIGHUP});
        pthread_sigmask(SIG_BLOCK, &ours, nullptr);
        if (!hooks.reload) handle_with(SIGHUP, SIG_IGN);
        const int fd = signalfd(-1, &ours, SFD_NONBLOCK | SFD_CLOEXEC);
        if (fd < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
        inbox.assign(fd);
        await();
    }
    ~Impl() {
        const auto ours = set_of({SIGTERM, SIGINT, SIGHUP});
        pthread_sigmask(SIG_BLOCK, &ours, nullptr);
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    /// Waits, and only then reads: a handler that a stopped event loop never calls must not have taken a signal along.
    void await() {
        inbox.async_wait(asio::posix::stream_descriptor::wait_read, [this](const std::error_code& fault) {
            if (fault) return;
            signalfd_siginfo told{};
            if (::read(inbox.native_handle(), &told, sizeof told) != sizeof told) return await();
            const auto signal = static_cast<int>(told.ssi_signo);
            if (signal != SIGHUP) return on_stop(signal);
            if (hooks.reload) hooks.reload();
            if (!cancelled) await();
        });
    }

    void on_stop(int signal) {
        const auto stops = set_of({SIGTERM, SIGINT});
        for (const int stop : {SIGTERM, SIGINT})
            handle_with(stop, leave_at_once);
        pthread_sigmask(SIG_UNBLOCK, &stops, nullptr);
        if (hooks.stop) hooks.stop(signal);
    }

    void cancel() {
        cancelled = true;
        inbox.cancel();
    }

    SignalHooks hooks;
    asio::posix::stream_descriptor inbox;
    bool cancelled = false;
};

SignalHandler::SignalHandler(asio::io_context& context, SignalHooks hooks)
    : impl_(std::make_unique<Impl>(context, std::move(hooks))) {}

SignalHandler::~SignalHandler() = default;

void SignalHandler::cancel() {
    impl_->cancel();
}

}  // namespace leasemirror
