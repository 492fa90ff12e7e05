#include "agent/daemon/daemon.hpp"

#include "agent/daemon/pulse.hpp"
#include "agent/daemon/shutdown.hpp"
#include "agent/daemon/writers.hpp"
#include "agent/net/connection.hpp"
#include "agent/net/host.hpp"
#include "agent/sync/engine.hpp"
#include "storage/store_url.hpp"

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <map>

namespace leasemirror {
namespace {

/// How long an orderly stop may wait for the database before it leaves what is not whole to the next start.
constexpr std::chrono::seconds drain_patience{10};
/// A database that has lost commits is given this long to settle before all begins anew.
constexpr std::chrono::seconds anew_after{2};

/// The event loop around an Engine: sockets, the writers' threads, one timer and the signals. It decides nothing.
class Daemon {
public:
    Daemon(const Config& config, const AgentIdentity& agent, const TlsOfServers& tls, Log& log,
           std::function<bool()> may_reload)
        : config_(config),
          tls_(tls),
          log_(log),
          may_reload_(std::move(may_reload)),
          timer_(loop_),
          patience_(loop_),
          signals_(loop_, {[this](int signal) { on_signal(signal); }, [this] { on_reload(); }}),
          writers_(loop_, config, agent, hooks_of_writers()),
          pulse_(loop_, agent, config.servers.size(), [this](auto heartbeat) { writers_.beat(std::move(heartbeat)); }) {
    }

    DaemonEnd run() {
        writers_.open();
        loop_.run();
        writers_.close();
        return end_;
    }

private:
    // ---- start ----

    WritersHooks hooks_of_writers() {
        WritersHooks hooks;
        hooks.opened = [this](const auto& all) { begin(all); };
        hooks.committed = [this](auto& e) {
            pulse_.on_changes(e.batch.changes.size());
            feed([&] { engine_->on_committed(e.server, std::move(e.batch), e.applied, host_now()); });
        };
        hooks.reopened = [this](const auto& e) {
            feed([&] { engine_->reopen(e.server, config_.servers[e.server], e.resume, host_now()); });
        };
        hooks.swept = [this](const auto& all) { feed([&] { engine_->on_swept(all, host_now()); }); };
        hooks.beaten = [this] {
            if (pulse_.on_written()) finish(end_);
        };
        hooks.trouble = [this](const auto& text, const auto& which) { on_trouble(text, which); };
        hooks.lost = [this](const auto& lost, const auto& which) { on_lost(lost, which); };
        return hooks;
    }

    void begin(const Writer::Opened& opened) {
        const auto& duid = config_.requestor.duid.empty() ? opened.requestor_duid : config_.requestor.duid;
        engine_ = std::make_unique<Engine>(config_, opened.resume, duid, host_seed());
        log_.info("started", {{"servers", config_.servers.size()}, {"database", redacted_url(config_.storage.url)}});
        pulse_.start();
        engine_->start(host_now());
        drain();
    }

    // ---- events ----

    template <class Event>
    void feed(Event event) {
        event();
        drain();
    }

    void on_trouble(const std::string& text, const std::string& which) {
        if (text.empty()) return engine_ ? log_database(LogLevel::info, "database-back", which, {}) : void();
        const auto* then = engine_ ? "reading from the servers waits" : "waiting, and trying again";
        log_database(LogLevel::error, "database", which, {{"error", text}, {"then", then}});
    }

    void on_lost(const Writer::Lost& lost, const std::string& which) {
        const auto anew = lost.anew && !stopping_;
        const auto* then = anew ? "beginning anew from what it has" : "stopping";
        log_database(LogLevel::error, "database", which, {{"error", lost.text}, {"then", then}});
        if (anew) return begin_anew();
        if (lost.anew) return finish(end_);  // the next start asks for what is missing
        finish({engine_ ? exit_found_wrong : exit_cannot_connect, false});
    }

    void log_database(LogLevel level, const char* event, const std::string& which, std::vector<LogField> fields) {
        if (!which.empty()) fields.emplace_back("writer", which);
        log_.write(level, event, fields);
    }

    /// The database is the truth of where to go on, and it is not where we are.
    void begin_anew() {
        close_connections();
        pulse_.stop();
        engine_.reset();
        writers_.close();
        timer_.expires_after(anew_after);
        timer_.async_wait([this](const asio::error_code& error) {
            if (!error) writers_.open();
        });
    }

    void on_signal(int signal) {
        log_.info("stopping", {{"signal", signal}});
        end_.reload = false;  // a reload may be on its way out already: then this is where it ends
        stop({0, false});
    }

    void on_reload() {
        if (stopping_ || !may_reload_()) return;
        log_.info("reloading");
        stop({0, true});
    }

    void stop(DaemonEnd end) {
        if (std::exchange(stopping_, true)) return;
        if (!engine_) return finish(end);
        end_ = end;
        patience_.expires_after(drain_patience);
        patience_.async_wait([this](const asio::error_code& error) {
            if (error) return;
            log_.warn("stop-incomplete", {{"text",
                                           "the database did not answer in time; the next start asks again for "
                                           "what was not committed"}});
            finish(end_);
        });
        feed([this] { engine_->stop(host_now()); });
    }

    void finish(DaemonEnd end) {
        end_ = end;
        pulse_.stop();
        close_connections();
        signals_.cancel();
        loop_.stop();
    }

    void close_connections() {
        for (auto& [key, connection] : connections_)
            connection->close();
        connections_.clear();
    }

    // ---- actions ----

    void drain() {
        while (auto action = engine_->poll_action())
            std::visit([this](auto& a) { perform(a); }, *action);
        if (engine_->done()) return end_.reload ? finish(end_) : pulse_.say_last();
        for (auto& [key, connection] : connections_)
            connection->read_if_wanted();
        arm_timer();
    }

    void perform(sync_action::Connect& a) {
        const auto key = a.connection;
        const auto tell = [=, this](const ConnectionEvent& event) {
            feed([&] { engine_->on_event(key, event, host_now()); });
        };
        ConnectionHooks hooks;
        hooks.connected = [=](auto first_end) { tell(connection_event::Connected{first_end}); };
        hooks.connect_failed = [=, this](const std::string& why) {
            connections_.erase(key);
            tell(connection_event::ConnectFailed{why});
        };
        hooks.sent = [=] { tell(connection_event::Sent{}); };
        hooks.received = [=](ByteView in) { tell(connection_event::Received{in}); };
        hooks.disconnected = [=](const std::string& how) { tell(connection_event::Disconnected{how}); };
        hooks.wants = [=, this] { return engine_->wants_bytes(key); };
        hooks.warn = [=, this](const std::string& text) {
            log_.warn("tls-files", {{"server", config_.servers[key.server].name}, {"text", text}});
        };
        connections_[key] =
            open_connection(loop_, target_of(config_.servers[key.server]), tls_[key.server], std::move(hooks));
    }

    void perform(sync_action::Send& a) {
        const auto found = connections_.find(a.connection);
        if (found != connections_.end()) found->second->send(std::move(a.bytes));
    }

    void perform(sync_action::Disconnect& a) {
        const auto found = connections_.find(a.connection);
        if (found == connections_.end()) return;
        found->second->close();
        connections_.erase(found);
    }

    void perform(sync_action::Commit& a) { writers_.commit(std::move(a)); }
    void perform(sync_action::Sweep& a) { writers_.sweep(a); }
    void perform(sync_action::Reopen& a) { writers_.reopen(a.server); }
    void perform(LogEvent& event) {
        std::vector<LogField> fields;
        for (const auto& [key, value] : event.fields)
            fields.emplace_back(key, value);
        log_.write(event.level, event.name, fields);
    }

    void arm_timer() {
        const auto due = engine_->next_deadline();
        if (!due) return;
        timer_.expires_at(*due);
        timer_.async_wait([this](const asio::error_code& error) {
            if (!error && engine_) feed([this] { engine_->on_deadline(host_now()); });
        });
    }

    const Config& config_;
    const TlsOfServers& tls_;
    Log& log_;
    std::function<bool()> may_reload_;
    asio::io_context loop_{1};
    asio::steady_timer timer_;
    asio::steady_timer patience_;
    SignalHandler signals_;
    Writers writers_;
    Pulse pulse_;
    std::unique_ptr<Engine> engine_;
    std::map<ConnectionKey, std::shared_ptr<Connection>> connections_;
    bool stopping_ = false;
    DaemonEnd end_{0, false};
};

}  // namespace

DaemonEnd run_daemon(const Config& config, const AgentIdentity& agent, const TlsOfServers& tls, Log& log,
                     std::function<bool()> may_reload) {
    Daemon daemon(config, agent, tls, log, std::move(may_reload));
    return daemon.run();
}

}  // namespace leasemirror
