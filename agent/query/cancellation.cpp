#include "agent/query/cancellation.hpp"

#include <utility>

namespace leasemirror {

void Cancellation::cancel() {
    const std::scoped_lock lock(mutex_);
    asked_ = true;
    if (end_) end_();
}

bool Cancellation::asked() const {
    const std::scoped_lock lock(mutex_);
    return asked_;
}

void Cancellation::on_asked(std::function<void()> end) {
    const std::scoped_lock lock(mutex_);
    end_ = std::move(end);
    if (end_ && asked_) end_();
}

}  // namespace leasemirror
