#include "agent/daemon/daemon.hpp"

#include "agent/config/store_settings.hpp"
#include "agent/config/time_text.hpp"
#include "agent/daemon/load_display.hpp"
#include "agent/daemon/pulse.hpp"
#include "agent/daemon/roster.hpp"
#include "agent/daemon/shutdown.hpp"
#include "agent/daemon/verify_thread.hpp"
#include "agent/daemon/writers.hpp"
#include "agent/net/connection.hpp"
#include "agent/net/host.hpp"
#include "agent/sync/engine.hpp"
#include "storage/store_url.hpp"

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <map>
#include <optional>

namespace leasemirror {
namespace {

/// How long an orderly stop may wait for the database before it leaves what is not whole to the next start.
constexpr std::chrono::seconds drain_patience{10};
/// A database that has lost commits is given this long to settle before all begins anew.
constexpr std::chrono::seconds anew_after{2};

/// A server that another agent works is tried again this often.
constexpr std::chrono::seconds claimed_pause{2};

std::vector<Roster::Server> servers_of(const DaemonSettings& settings) {
    std::vector<Roster::Server> out;
    for (std::size_t i = 0; i < settings.config.servers.size(); ++i)
        out.push_back(
            {settings.config.servers[i], settings.tls[i], settings.tls[i] ? settings.tls[i]->stamp() : std::string()});
    return out;
}

/// The event loop around an Engine: sockets, the writers' threads, some timers and the signals. It decides nothing.
class Daemon {
public:
    Daemon(const DaemonSettings& settings, const AgentIdentity& agent, Log& log, Reload reload)
        : config_(settings.config),
          roster_(servers_of(settings)),
          log_(log),
          reload_(std::move(reload)),
          timers_{asio::steady_timer(loop_), asio::steady_timer(loop_), std::nullopt},
          signals_(loop_, {[this](int signal) { on_signal(signal); }, [this] { on_reload(); }}),
          writers_(loop_, config_, agent, hooks_of_writers()),
          pulse_(loop_, agent, roster_.wanted(), [this](auto heartbeat) { writers_.beat(std::move(heartbeat)); }),
          verify_(store_settings(config_), agent.name, log_),
          loading_(loop_, log_, [this] { return full_reads(); }) {}

    int run() {
        writers_.open();
        loop_.run();
        writers_.close();
        return exit_code_;
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
        hooks.server_opened = [this](const auto& e) { on_server_opened(e); };
        hooks.server_released = [this](const auto& e) { feed([&] { roster_.on_released(e.server); }); };
        hooks.swept = [this](const auto& all) { feed([&] { engine_->on_swept(all, host_now()); }); };
        hooks.beaten = [this] {
            if (pulse_.on_written()) finish(exit_code_);
        };
        hooks.trouble = [this](const auto& e, const auto& which) { on_trouble(e, which); };
        hooks.lost = [this](const auto& lost, const auto& which) { on_lost(lost, which); };
        return hooks;
    }

    void begin(const Writer::Opened& opened) {
        const auto& duid = config_.requestor.duid.empty() ? opened.requestor_duid : config_.requestor.duid;
        engine_ = std::make_unique<Engine>(config_, opened.resume, duid, host_seed());
        log_.info("started", {{"servers", config_.servers.size()}, {"database", redacted_url(config_.storage.url)}});
        pulse_.start();
        engine_->start(host_now());
        verify_.want(config_.servers, duid);
        loading_.start();
        drain();
    }

    // ---- events ----

    template <class Event>
    void feed(Event event) {
        event();
        drain();
    }

    void on_server_opened(const Writer::ServerOpened& e) {
        const auto& server = roster_.server(e.server).config;
        if (!e.resume) {
            log_.warn("server-waits", {{"server", server.name}, {"text", e.claimed}});
            return feed([&] { roster_.on_claimed(e.server); });
        }
        feed([&] {
            if (roster_.on_opened(e.server)) engine_->open(e.server, server, *e.resume, host_now());
        });
    }

    void on_trouble(const Writer::Trouble& e, const std::string& which) {
        if (e.text.empty()) return engine_ ? log_database(LogLevel::info, "database-back", which, {}) : void();
        const auto* then = engine_ ? "reading from the servers waits" : "waiting, and trying again";
        std::vector<LogField> fields{{"error", e.text}, {"then", then}};
        const auto since = iso_utc(std::chrono::floor<std::chrono::seconds>(e.since));
        if (e.times > 1) {
            fields.emplace_back("times", e.times);
            fields.emplace_back("since", since);
        }
        log_database(LogLevel::error, "database", which, std::move(fields));
    }

    void on_lost(const Writer::Lost& lost, const std::string& which) {
        const auto anew = lost.anew && !stopping_;
        const auto* then = anew ? "beginning anew from what it has" : "stopping";
        log_database(LogLevel::error, "database", which, {{"error", lost.text}, {"then", then}});
        if (anew) return begin_anew();
        if (lost.anew) return finish(exit_code_);  // the next start asks for what is missing
        finish(engine_ ? exit_found_wrong : exit_cannot_connect);
    }

    void log_database(LogLevel level, const char* event, const std::string& which, std::vector<LogField> fields) {
        if (!which.empty()) fields.emplace_back("writer", which);
        log_.write(level, event, fields);
    }

    /// The database is the truth of where to go on, and it is not where we are.
    void begin_anew() {
        close_connections();
        pulse_.stop();
        verify_.want_none();
        loading_.stop();
        engine_.reset();
        writers_.close();
        timers_.claimed.reset();
        take_what_is_wanted();
        timers_.engine.expires_after(anew_after);
        timers_.engine.async_wait([this](const asio::error_code& error) {
            if (!error) writers_.open();
        });
    }

    /// While nothing is open.
    void take_what_is_wanted() {
        roster_.begin_anew();
        config_.servers = roster_.configs();
        pulse_.set_servers(roster_.wanted());
    }

    void on_signal(int signal) {
        log_.info("stopping", {{"signal", signal}});
        stop();
    }

    /// Only servers that have changed are touched, and each by itself.
    void on_reload() {
        if (stopping_) return;
        const auto next = reload_(config_);
        if (!next) return;
        log_.configure(next->config.log);
        log_.info("reloading");
        config_.log = next->config.log;
        config_.servers = next->config.servers;
        roster_.want(servers_of(*next));
        pulse_.set_servers(roster_.wanted());
        if (engine_) {
            verify_.want(config_.servers, engine_->requestor_duid());
            return drain();
        }
        // It waits for the database, or for another agent that works one of the servers of before.
        timers_.engine.cancel();
        writers_.close();
        take_what_is_wanted();
        writers_.open();
    }

    void stop() {
        if (std::exchange(stopping_, true)) return;
        if (!engine_) return finish(exit_fine);
        verify_.stop();
        loading_.stop();
        timers_.patience.expires_after(drain_patience);
        timers_.patience.async_wait([this](const asio::error_code& error) {
            if (error) return;
            log_.warn("stop-incomplete", {{"text",
                                           "the database did not answer in time; the next start asks again for "
                                           "what was not committed"}});
            finish(exit_code_);
        });
        feed([&] { engine_->stop(host_now()); });
    }

    void finish(int exit_code) {
        exit_code_ = exit_code;
        pulse_.stop();
        loading_.stop();
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
        do {
            while (auto action = engine_->poll_action())
                std::visit([this](auto& a) { perform(a); }, *action);
        } while (follow_roster());
        if (engine_->done()) return pulse_.say_last();
        for (auto& [key, connection] : connections_)
            connection->read_if_wanted();
        arm_timer();
    }

    /// Whether the engine has something to say about it.
    bool follow_roster() {
        if (stopping_) return false;
        bool retired = false;
        while (const auto step = roster_.poll()) {
            const auto& server = roster_.server(step->server).config;
            switch (step->kind) {
                case Roster::Step::Kind::retire:
                    log_.info("server-ends", {{"server", server.name}});
                    engine_->retire(step->server, host_now());
                    retired = true;
                    break;
                case Roster::Step::Kind::open:
                    writers_.open_server(step->server, server);
                    break;
                case Roster::Step::Kind::release:
                    writers_.release_server(step->server, server.name);
                    break;
            }
        }
        if (roster_.any_claimed()) try_claimed_later();
        return retired;
    }

    void try_claimed_later() {
        if (timers_.claimed) return;
        timers_.claimed.emplace(loop_, claimed_pause);
        timers_.claimed->async_wait([this](const asio::error_code& error) {
            if (!error) timers_.claimed.reset();
            if (!error && engine_) feed([this] { roster_.try_claimed_again(); });
        });
    }

    void perform(sync_action::Connect& a) {
        const auto key = a.connection;
        const auto& server = roster_.server(key.server);
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
            log_.warn("tls-files", {{"server", roster_.server(key.server).config.name}, {"text", text}});
        };
        connections_[key] = open_connection(loop_, target_of(server.config), server.tls, std::move(hooks));
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
    void perform(sync_action::Reopen& a) { roster_.reopen(a.server); }
    void perform(sync_action::Retired& a) { roster_.on_retired(a.server); }
    void perform(LogEvent& event) {
        std::vector<LogField> fields;
        for (const auto& [key, value] : event.fields)
            fields.emplace_back(key, value);
        log_.write(event.level, event.name, fields);
    }

    std::vector<LoadProgress::Read> full_reads() const {
        std::vector<LoadProgress::Read> out;
        for (std::size_t i = 0; i < engine_->size(); ++i) {
            const auto read = engine_->works(i) ? engine_->server(i).full_read() : std::nullopt;
            if (read) out.push_back({engine_->server(i).config().name, *read});
        }
        return out;
    }

    void arm_timer() {
        const auto due = engine_->next_deadline();
        if (!due) return;
        timers_.engine.expires_at(*due);
        timers_.engine.async_wait([this](const asio::error_code& error) {
            if (!error && engine_) feed([this] { engine_->on_deadline(host_now()); });
        });
    }

    struct TimersOfLoop {
        asio::steady_timer engine;
        asio::steady_timer patience;                ///< of an orderly stop
        std::optional<asio::steady_timer> claimed;  ///< while another agent works a server of ours
    };

    Config config_;  // its servers: those wanted
    Roster roster_;
    Log& log_;
    const Reload reload_;
    asio::io_context loop_{1};
    TimersOfLoop timers_;
    SignalHandler signals_;
    Writers writers_;
    Pulse pulse_;
    std::unique_ptr<Engine> engine_;
    VerifyThread verify_;
    LoadDisplay loading_;
    std::map<ConnectionKey, std::shared_ptr<Connection>> connections_;
    bool stopping_ = false;
    int exit_code_ = exit_fine;
};

}  // namespace

int run_daemon(const DaemonSettings& settings, const AgentIdentity& agent, Log& log, Reload reload) {
    Daemon daemon(settings, agent, log, std::move(reload));
    return daemon.run();
}

}  // namespace leasemirror
