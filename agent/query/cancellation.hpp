// An interrupt that code gives, not a signal.
#pragma once

#include "agent/query/interrupt.hpp"

#include <functional>
#include <mutex>

namespace leasemirror {

class Cancellation final : public Interrupt {
public:
    /// From any thread. Once and for all.
    void cancel();

    [[nodiscard]] bool asked() const override;
    void on_asked(std::function<void()> end) override;

private:
    mutable std::mutex mutex_;
    std::function<void()> end_;
    bool asked_ = false;
};

}  // namespace leasemirror
