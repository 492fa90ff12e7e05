#include "agent/writer.hpp"

#include <utility>

namespace leasemirror {

Writer::Writer(std::unique_ptr<Store> store, std::function<void(Event)> post, std::uint64_t seed)
    : store_(std::move(store)), jitter_(seed), post_(std::move(post)), thread_([this] { run(); }) {}

Writer::~Writer() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void Writer::commit(engine_action::Commit work) {
    {
        const std::lock_guard lock(mutex_);
        queue_.emplace_back(std::move(work));
    }
    changed_.notify_all();
}

void Writer::sweep(engine_action::Sweep work) {
    {
        const std::lock_guard lock(mutex_);
        queue_.emplace_back(work);
    }
    changed_.notify_all();
}

void Writer::run() {
    for (;;) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (stopping_) return;
        auto work = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        if (!perform(work)) return;
    }
}

/// One step, again and again until the database takes it: a batch is safe to repeat (store.hpp).
bool Writer::perform(Work& work) {
    auto pause = retry_first;
    std::string said;
    for (;;) {
        try {
            auto done = apply(work);
            if (!said.empty()) post_(Trouble{});
            post_(std::move(done));
            return true;
        } catch (const StoreError& error) {
            // A row that is refused goes to quarantine alone (store.hpp); a batch that is refused whole would be for ever.
            const auto hopeless = error.fault() == StoreFault::fenced || error.fault() == StoreFault::unusable ||
                                  error.fault() == StoreFault::refused;
            if (hopeless) {
                post_(Lost{error.what()});
                return false;
            }
            if (said != error.what()) post_(Trouble{said = error.what()});
        } catch (const std::exception& error) {
            // Not the database's doing: out of memory, or a mistake of ours. Better to stop than to go on unsure.
            post_(Lost{error.what()});
            return false;
        }
        // Jitter on top: several agents may wait for the same database.
        if (!pause_before_retry(pause + jitter_.up_to(pause / 4))) return false;
        pause = std::min(pause * 2, retry_most);
    }
}

Writer::Event Writer::apply(Work& work) {
    if (auto* commit = std::get_if<engine_action::Commit>(&work)) {
        auto applied = store_->apply(commit->batch);
        return Committed{commit->server, std::move(commit->batch), std::move(applied)};
    }
    const auto& sweep = std::get<engine_action::Sweep>(work);
    return Swept{store_->expire_due(sweep.now, sweep.cursor, sweep.rows)};
}

/// False when the writer is to stop instead.
bool Writer::pause_before_retry(std::chrono::milliseconds pause) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, pause, [this] { return stopping_; });
}

}  // namespace leasemirror
