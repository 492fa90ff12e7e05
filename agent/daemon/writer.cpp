#include "agent/daemon/writer.hpp"

#include "agent/net/host.hpp"
#include "agent/sync/repeated_error.hpp"
#include "storage/store_error.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace leasemirror {
namespace {

constexpr std::chrono::milliseconds retry_first{100};
constexpr std::chrono::milliseconds retry_most{5000};

}  // namespace

class Writer::Work {
public:
    Work(Opening opening, std::function<void(Event)> post, std::uint64_t seed)
        : opening_(std::move(opening)), jitter_(seed), post_(std::move(post)) {}

    // On the writer's thread.
    void run();

    // On any other.
    struct OpenServer {
        std::size_t server;
        ServerSpec spec;
    };
    struct ReleaseServer {
        std::size_t server;
        std::string name;
    };
    using Step = std::variant<sync_action::Commit, sync_action::Sweep, Heartbeat, OpenServer, ReleaseServer>;
    void add(Step step) {
        {
            const std::lock_guard lock(mutex_);
            queue_.push_back(std::move(step));
        }
        changed_.notify_all();
    }
    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
    }
    /// Whether run() has returned; after this `post` is not called any more.
    [[nodiscard]] bool wait_for_end(std::chrono::milliseconds patience) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, patience, [this] { return ended_; });
        post_ = nullptr;
        return ended_;
    }

private:
    template <class Action>
    [[nodiscard]] bool persist(Action action, bool opening = false);
    [[nodiscard]] Event open();
    [[nodiscard]] Event perform(Step& step);
    [[nodiscard]] Event open_server(const OpenServer& one);
    [[nodiscard]] std::optional<Step> next_step();
    [[nodiscard]] bool pause_before_retry(std::chrono::milliseconds pause);
    void post(Event event);

    // The thread's alone.
    const Opening opening_;
    Jitter jitter_;
    std::unique_ptr<Store> store_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::function<void(Event)> post_;
    // Bounded: Outbox::batches_in_flight_max and one opening or release for each server, a sweep, a heartbeat.
    std::deque<Step> queue_;
    bool stopping_ = false;
    bool ended_ = false;
};

void Writer::Work::run() {
    auto going_on = persist([this] { return open(); }, true);
    while (going_on) {
        auto step = next_step();
        going_on = step && persist([&] { return perform(*step); });
    }
    store_.reset();
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
}

/// One action, again and again until the database takes it: a batch is safe to repeat (store.hpp). False when the
/// thread is to end.
template <class Action>
bool Writer::Work::persist(Action action, bool opening) {
    auto pause = retry_first;
    RepeatedError errors;
    bool troubled = false;
    for (;;) {
        try {
            auto done = action();
            if (troubled) post(Trouble{});
            post(std::move(done));
            return true;
        } catch (const StoreError& error) {
            const auto fault = error.fault();
            // A row that is refused goes to quarantine alone (store.hpp); a batch that is refused whole would be for ever.
            const auto anew = fault == StoreFault::fenced || fault == StoreFault::behind;
            if (fault == StoreFault::unusable || ((anew || fault == StoreFault::refused) && !opening)) {
                post(Lost{error.what(), anew});
                return false;
            }
            troubled = true;
            if (const auto said = errors.on_error(error.what(), host_now()))
                post(Trouble{said->text, said->times, said->since});
        } catch (const std::exception& error) {
            // Not the database's doing: out of memory, or a mistake of ours. Better to stop than to go on unsure.
            post(Lost{error.what()});
            return false;
        }
        // Jitter on top: several writers, and agents, may wait for the same database.
        if (!pause_before_retry(pause + jitter_.up_to(pause / 4))) return false;
        pause = std::min(pause * 2, retry_most);
    }
}

Writer::Event Writer::Work::open() {
    store_.reset();  // of an attempt before: SQLite lets one in at a time
    store_ = opening_.open();
    Opened opened;
    if (opening_.gives_signs) store_->beat({opening_.agent, 0, 0, false});
    if (!opening_.not_others.empty()) store_->disable_servers_except(opening_.not_others);
    opened.resume = store_->open_servers(opening_.servers, opening_.agent.name);
    if (!opening_.duid_proposal.empty()) opened.requestor_duid = store_->requestor_duid(opening_.duid_proposal);
    return opened;
}

Writer::Event Writer::Work::perform(Step& step) {
    if (auto* commit = std::get_if<sync_action::Commit>(&step)) {
        auto applied = store_->apply(commit->batch);
        return Committed{commit->server, std::move(commit->batch), std::move(applied)};
    }
    if (const auto* heartbeat = std::get_if<Heartbeat>(&step)) {
        store_->beat(*heartbeat);
        return Beaten{};
    }
    if (const auto* one = std::get_if<OpenServer>(&step)) return open_server(*one);
    if (const auto* one = std::get_if<ReleaseServer>(&step)) {
        store_->release_servers({&one->name, 1});
        return ServerReleased{one->server};
    }
    const auto& sweep = std::get<sync_action::Sweep>(step);
    return Swept{store_->sweep(sweep.now, sweep.rows, sweep.held)};
}

/// That another agent works it must not hold up the servers that are ours.
Writer::Event Writer::Work::open_server(const OpenServer& one) {
    try {
        auto resume = store_->open_servers({&one.spec, 1}, opening_.agent.name);
        return ServerOpened{one.server, std::move(resume.front()), {}};
    } catch (const StoreError& error) {
        if (error.fault() != StoreFault::claimed) throw;
        return ServerOpened{one.server, std::nullopt, error.what()};
    }
}

/// None when the writer is to stop instead.
std::optional<Writer::Work::Step> Writer::Work::next_step() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return std::nullopt;
    auto step = std::move(queue_.front());
    queue_.pop_front();
    return step;
}

/// False when the writer is to stop instead.
bool Writer::Work::pause_before_retry(std::chrono::milliseconds pause) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, pause, [this] { return stopping_; });
}

void Writer::Work::post(Event event) {
    const std::lock_guard lock(mutex_);
    if (post_) post_(std::move(event));
}

Writer::Writer(Opening opening, std::function<void(Event)> post, std::uint64_t seed)
    : work_(std::make_shared<Work>(std::move(opening), std::move(post), seed)),
      thread_([work = work_] { work->run(); }) {}

Writer::~Writer() {
    stop();
    if (work_->wait_for_end(end_patience)) {
        thread_.join();
    } else {
        thread_.detach();
    }
}

void Writer::stop() {
    work_->stop();
}

void Writer::commit(sync_action::Commit work) {
    work_->add(std::move(work));
}

void Writer::sweep(sync_action::Sweep work) {
    work_->add(work);
}

void Writer::beat(Heartbeat heartbeat) {
    work_->add(std::move(heartbeat));
}

void Writer::open_server(std::size_t server, ServerSpec spec) {
    work_->add(Work::OpenServer{server, std::move(spec)});
}

void Writer::release_server(std::size_t server, std::string name) {
    work_->add(Work::ReleaseServer{server, std::move(name)});
}

}  // namespace leasemirror
