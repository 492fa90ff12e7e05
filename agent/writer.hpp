// The thread that owns a Store: batches go in, and come back committed. The one place that waits for the database.
#pragma once

#include "agent/engine.hpp"
#include "storage/store.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>

namespace leasemirror {

class Writer {
public:
    struct Committed {
        std::size_t server;
        Batch batch;
        Applied applied;
    };
    struct Swept {
        Store::Expired expired;
    };
    /// The database could not be written; it is tried again until it works. Said once per kind of trouble, and again when
    /// it is over (empty text).
    struct Trouble {
        std::string text;
    };
    /// Another agent has taken over, or the database is not ours: no retry heals this, and nothing more is written.
    struct Lost {
        std::string text;
    };
    using Event = std::variant<Committed, Swept, Trouble, Lost>;

    /// `post` is called on the writer's thread with each event; it hands it to the event loop.
    Writer(std::unique_ptr<Store> store, std::function<void(Event)> post, std::uint64_t seed = 1);
    /// Stops after the step at hand; what still waits is not written (its servers' base-times have not moved either).
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void commit(engine_action::Commit work);
    void sweep(engine_action::Sweep work);

private:
    using Work = std::variant<engine_action::Commit, engine_action::Sweep>;
    static constexpr std::chrono::milliseconds retry_first{100};
    static constexpr std::chrono::milliseconds retry_most{5000};

    void run();
    /// False when the thread is to end.
    [[nodiscard]] bool perform(Work& work);
    [[nodiscard]] Event apply(Work& work);
    [[nodiscard]] bool pause_before_retry(std::chrono::milliseconds pause);

    std::unique_ptr<Store> store_;
    Jitter jitter_;  // used on the writer's thread alone
    std::function<void(Event)> post_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Work> queue_;  // bounded by Outbox::batches_in_flight_max per server, and one sweep
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace leasemirror
