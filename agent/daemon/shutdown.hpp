// Signals of the daemon. The first SIGTERM or SIGINT asks it to finish: commit what is whole, close, exit 0. The second
// leaves at once with 128 plus the signal's number, as if the signal had killed it; it needs no event loop, so it works
// even when that is stuck. SIGHUP asks for a reload.
#pragma once

#include <functional>
#include <memory>

namespace asio {
class io_context;
}

namespace leasemirror {

struct SignalHooks {
    std::function<void(int signal)> stop;  ///< called once, from the event loop
    std::function<void()> reload;          ///< SIGHUP; without it SIGHUP is ignored
};

/// From construction to destruction; one per process. Keeps io_context::run() from returning until a stop was asked
/// for or cancel() was called. Destruction leaves the three signals blocked: one that comes before the next handler (of a
/// reloaded daemon) waits for it.
class SignalHandler {
public:
    SignalHandler(asio::io_context& context, SignalHooks hooks);
    ~SignalHandler();
    SignalHandler(const SignalHandler&) = delete;
    SignalHandler& operator=(const SignalHandler&) = delete;

    /// Waits for no more signals. A second SIGTERM after a first one still leaves at once.
    void cancel();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace leasemirror
