// Ctrl-C for commands that wait on sockets: the first SIGINT, SIGTERM or SIGHUP ends what they wait for, so that they can
// say how far they came; the second kills at once.
#pragma once

#include "agent/query/interrupt.hpp"

#include <functional>
#include <memory>

namespace leasemirror {

/// From construction to destruction; one per process, made before other threads are. Also has SIGPIPE ignored: a reader
/// of our output that has gone is a failed write.
class StopSignal final : public Interrupt {
public:
    StopSignal();
    ~StopSignal() override;

    [[nodiscard]] bool asked() const override;

private:
    void on_asked(std::function<void()> end) override;

    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace leasemirror
