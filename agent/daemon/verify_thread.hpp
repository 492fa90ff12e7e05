// The comparisons that the daemon makes of itself (verify_interval): a thread that takes one server after the other, over
// connections of its own to the server and to the database. So nothing else waits for it, and it sees what `leasemirror
// verify` would.
#pragma once

#include "agent/config/config.hpp"
#include "agent/daemon/log.hpp"
#include "storage/settings.hpp"

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <thread>

namespace leasemirror {

/// What it finds goes to the log and to the row of the server (storage/opening.hpp, record_verify()).
class VerifyThread {
public:
    /// So many differences of one comparison are named in the log; all are counted.
    static constexpr std::size_t differences_named = 10;
    /// How long the end waits for a database that does not answer.
    static constexpr std::chrono::milliseconds end_patience{2000};

    /// `agent`: our name in server.owner; the servers of others are theirs to compare. `log` outlives it.
    VerifyThread(StoreSettings storage, std::string agent, Log& log);
    /// Breaks off what is under way.
    ~VerifyThread();
    VerifyThread(const VerifyThread&) = delete;
    VerifyThread& operator=(const VerifyThread&) = delete;

    /// Compares those of these whose configuration says so, from now on. One that is being compared and is not among them as
    /// it was is let go. The thread begins with the first that there is.
    void want(std::span<const ServerConfig> servers, const Bytes& requestor_duid);
    /// None any more.
    void want_none() { want({}, {}); }
    /// Breaks off what is under way, begins nothing more, and waits for nothing.
    void stop();

private:
    class Work;
    std::shared_ptr<Work> work_;  // also the thread's, which may outlive us
    std::thread thread_;
};

}  // namespace leasemirror
