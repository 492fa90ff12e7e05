// Ctrl-C for commands that wait on sockets: the first SIGINT, SIGTERM or SIGHUP ends what they wait for, so that they can
// say how far they came; the second kills at once.
#pragma once

#include <functional>
#include <memory>

namespace leasemirror {

/// From construction to destruction; one per process, made before other threads are. Also has SIGPIPE ignored: a reader
/// of our output that has gone is a failed write.
class StopSignal {
public:
    StopSignal();
    ~StopSignal();
    StopSignal(const StopSignal&) = delete;
    StopSignal& operator=(const StopSignal&) = delete;

    [[nodiscard]] bool asked() const;

    /// While it lives, `end` is what a signal calls, once and from another thread; at once if the signal has come.
    class Hook {
    public:
        Hook(StopSignal& signal, std::function<void()> end);
        ~Hook();
        Hook(const Hook&) = delete;
        Hook& operator=(const Hook&) = delete;

    private:
        StopSignal& signal_;
    };

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace leasemirror
