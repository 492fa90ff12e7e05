// All writers of the daemon: their threads, and what they say, on the event loop. Where it takes all of them for an
// answer, there is one event when the last has answered (writer_group.hpp).
#pragma once

#include "agent/config/config.hpp"
#include "agent/daemon/writer.hpp"
#include "agent/daemon/writer_group.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace asio {
class io_context;
}

namespace leasemirror {

/// Called from the event loop, and never after close(). `which`: "2 of 4"; empty if there is one alone.
struct WritersHooks {
    std::function<void(const Writer::Opened& all)> opened;
    std::function<void(const Writer::ServerOpened& opened)> server_opened;
    std::function<void(const Writer::ServerReleased& released)> server_released;
    std::function<void(Writer::Committed& committed)> committed;
    std::function<void(const Swept& all)> swept;
    std::function<void()> beaten;
    /// Said by one while several are in the same trouble. An empty text: it is over.
    std::function<void(const Writer::Trouble& trouble, const std::string& which)> trouble;
    std::function<void(const Writer::Lost& lost, const std::string& which)> lost;
};

class Writers {
public:
    /// `config` outlives it: open() takes its servers as they are then.
    Writers(asio::io_context& loop, const Config& config, AgentIdentity agent, WritersHooks hooks);

    /// Each writer opens its own connection to the database.
    void open();
    /// Ends them; they can be opened anew.
    void close();

    void commit(sync_action::Commit work);
    void sweep(const sync_action::Sweep& work);
    /// Works one more server, or one of its own anew, after all its batches.
    void open_server(std::size_t server, const ServerConfig& config);
    void release_server(std::size_t server, const std::string& name);
    /// By one of them: the agent is one.
    void beat(Heartbeat heartbeat);

private:
    [[nodiscard]] Writer::Opening opening_of(std::size_t writer) const;
    [[nodiscard]] std::string which(std::size_t writer) const;
    void on_event(std::size_t writer, Writer::Opened& e);
    void on_event(std::size_t writer, Writer::ServerOpened& e);
    void on_event(std::size_t writer, Writer::ServerReleased& e);
    void on_event(std::size_t writer, Writer::Committed& e);
    void on_event(std::size_t writer, Writer::Swept& e);
    void on_event(std::size_t writer, Writer::Beaten& e);
    void on_event(std::size_t writer, Writer::Trouble& e);
    void on_event(std::size_t writer, Writer::Lost& e);

    asio::io_context& loop_;
    const Config& config_;
    const AgentIdentity agent_;
    const WritersHooks hooks_;
    std::optional<WriterGroup> group_;
    std::vector<std::unique_ptr<Writer>> writers_;
    std::uint64_t generation_ = 0;  // what those of an earlier one still say, nobody hears
};

}  // namespace leasemirror
