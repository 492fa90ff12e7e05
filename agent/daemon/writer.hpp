// The thread that owns a Store: it opens it, then batches go in, and come back committed. The one place that waits for
// the database.
#pragma once

#include "agent/sync/engine.hpp"
#include "storage/store.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace leasemirror {

class Writer {
public:
    /// What a writer begins with.
    struct Opening {
        std::function<std::unique_ptr<Store>()> open;
        std::vector<ServerSpec> servers;      ///< its own
        std::vector<std::string> not_others;  ///< if not empty: servers of other names are disabled
        AgentIdentity agent;
        bool gives_signs = false;  ///< of life, from before it opens its servers: it may have to wait for them
        Bytes duid_proposal;       ///< if not empty: Store::requestor_duid() is asked for
    };
    /// The database is there, and says where to go on: for the writer's own servers, in their order.
    struct Opened {
        std::vector<ResumePoint> resume;
        Bytes requestor_duid;
    };
    /// The answer to open_server(): where to go on with it, or nothing and who works it.
    struct ServerOpened {
        std::size_t server = 0;
        std::optional<ResumePoint> resume;
        std::string claimed;
    };
    /// The answer to release_server().
    struct ServerReleased {
        std::size_t server = 0;
    };
    struct Committed {
        std::size_t server;
        Batch batch;
        Applied applied;
    };
    struct Swept {
        leasemirror::Swept swept;
    };
    /// A sign of life is written.
    struct Beaten {};
    /// The database could not be opened or written; it is tried again until it works. Said at once, again and again at
    /// growing distances with how often it has come (sync/repeated_error.hpp), and when it is over (empty text).
    struct Trouble {
        std::string text;
        std::uint64_t times = 1;
        UtcMillis since{};
    };
    /// No retry heals this, and nothing more is written: the database is not ours. Or (`anew`) it has lost commits, or
    /// another agent has taken over: to be opened anew, which waits for that one, and tells where to go on.
    struct Lost {
        std::string text;
        bool anew = false;
    };
    using Event = std::variant<Opened, ServerOpened, ServerReleased, Committed, Swept, Beaten, Trouble, Lost>;

    /// How long the end waits for the step at hand.
    static constexpr std::chrono::milliseconds end_patience{2000};

    /// `post` is called on the writer's thread with each event; it hands it to the event loop.
    Writer(Opening opening, std::function<void(Event)> post, std::uint64_t seed = 1);
    /// Stops after the step at hand; what still waits is not written (its servers' base-times have not moved either). A
    /// database that hangs is left behind with its thread: `post` is not called any more, and what it may still commit
    /// is a batch like any other, until the next open_servers() fences it.
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    /// Asks the thread to end, without waiting for it.
    void stop();
    void commit(sync_action::Commit work);
    void sweep(sync_action::Sweep work);
    void beat(Heartbeat heartbeat);
    /// One more server, or one of its own anew, after all its batches.
    void open_server(std::size_t server, ServerSpec spec);
    /// One less, likewise.
    void release_server(std::size_t server, std::string name);

private:
    class Work;

    std::shared_ptr<Work> work_;  // shared with the thread, which may outlive this object
    std::thread thread_;
};

}  // namespace leasemirror
