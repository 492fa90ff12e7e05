#include "agent/daemon/run.hpp"

#include "agent/config/store_settings.hpp"
#include "agent/daemon/shutdown.hpp"
#include "agent/daemon/writer_group.hpp"
#include "agent/net/connection.hpp"
#include "agent/net/host.hpp"
#include "agent/sync/engine.hpp"
#include "storage/opening.hpp"
#include "storage/store_url.hpp"

#include <unistd.h>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <map>
#include <optional>

namespace leasemirror {
namespace {

/// How long an orderly stop may wait for the database before it leaves what is not whole to the next start.
constexpr std::chrono::seconds drain_patience{10};
/// A database that has lost commits is given this long to settle before all begins anew.
constexpr std::chrono::seconds anew_after{2};

std::vector<ServerSpec> specs_of(const Config& config) {
    std::vector<ServerSpec> specs;
    for (const auto& server : config.servers) {
        specs.push_back({server.name, server.family, server.address + " port " + std::to_string(server.port)});
    }
    return specs;
}

std::string agent_name() {
    char host[256] = {};
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    return std::string(host[0] == '\0' ? "unknown" : host) + " pid " + std::to_string(getpid());
}

/// The event loop around an Engine: sockets, the writers' threads, one timer and the signals. It decides nothing.
class Daemon {
public:
    Daemon(const Config& config, const TlsOfServers& tls, Log& log, std::function<bool()> may_reload)
        : config_(config),
          tls_(tls),
          log_(log),
          may_reload_(std::move(may_reload)),
          timer_(loop_),
          patience_(loop_),
          signals_(loop_, {[this](int signal) { on_signal(signal); }, [this] { on_reload(); }}) {}

    DaemonEnd run() {
        open_database();
        loop_.run();
        end_writers();
        return end_;
    }

private:
    // ---- start ----

    /// Each writer opens its own connection; when the last one has, all begins.
    void open_database() {
        const auto sqlite = engine_named_by(config_.storage.url) == StoreEngine::sqlite;  // one writer at a time
        group_.emplace(sqlite ? 1 : config_.storage.writers, config_.servers.size());
        ++generation_;
        for (std::size_t i = 0; i < group_->size(); ++i) {
            // The event loop may begin anew meanwhile: then nobody asks what these writers have to say any more.
            auto post = [this, i, generation = generation_](Writer::Event event) {
                asio::post(loop_, [this, i, generation, e = std::make_shared<Writer::Event>(std::move(event))] {
                    if (generation == generation_) std::visit([&](auto& told) { on_writer(i, told); }, *e);
                });
            };
            writers_.push_back(std::make_unique<Writer>(opening_of(i), std::move(post), host_seed()));
        }
    }

    Writer::Opening opening_of(std::size_t writer) const {
        const auto specs = specs_of(config_);
        Writer::Opening opening;
        opening.open = [settings = store_settings(config_)] { return open_store(settings); };
        opening.servers = group_->part_of(writer, specs);
        opening.owner = agent_name();
        if (writer == 0) {  // what is to be done once
            for (const auto& spec : specs)
                opening.not_others.push_back(spec.name);
            if (config_.requestor.duid.empty()) opening.duid_proposal = new_duid();
        }
        return opening;
    }

    void begin(const Writer::Opened& opened) {
        const auto& duid = config_.requestor.duid.empty() ? opened.requestor_duid : config_.requestor.duid;
        engine_ = std::make_unique<Engine>(config_, opened.resume, duid, host_seed());
        log_.info("started", {{"servers", config_.servers.size()}, {"database", redacted_url(config_.storage.url)}});
        engine_->start(host_now());
        drain();
    }

    // ---- events ----

    template <class Event>
    void feed(Event event) {
        event();
        drain();
    }

    void on_writer(std::size_t writer, Writer::Opened& e) {
        if (const auto all = group_->on_opened(writer, std::move(e))) begin(*all);
    }

    void on_writer(std::size_t, Writer::Committed& e) {
        feed([&] { engine_->on_committed(e.server, std::move(e.batch), e.applied, host_now()); });
    }

    void on_writer(std::size_t writer, Writer::Swept& e) {
        const auto all = group_->on_swept(writer, e.swept);
        if (all) feed([&] { engine_->on_swept(*all, host_now()); });
    }

    void on_writer(std::size_t writer, Writer::Trouble& e) {
        if (!group_->on_trouble(writer, e.text)) return;
        if (e.text.empty()) return engine_ ? say(LogLevel::info, "database-back", writer, {}) : void();
        const auto* then = engine_ ? "reading from the servers waits" : "waiting, and trying again";
        say(LogLevel::error, "database", writer, {{"error", e.text}, {"then", then}});
    }

    void on_writer(std::size_t writer, Writer::Lost& e) {
        const auto anew = e.behind && !stopping_;
        const auto* then = anew ? "beginning anew from what it has" : "stopping";
        say(LogLevel::error, "database", writer, {{"error", e.text}, {"then", then}});
        if (anew) return begin_anew();
        if (e.behind) return finish(end_);  // the next start asks for what is missing
        finish({engine_ ? exit_found_wrong : exit_cannot_connect, false});
    }

    /// Adds which of the writers it is about, where there are several.
    void say(LogLevel level, const char* event, std::size_t writer, std::vector<LogField> fields) {
        const auto which = std::to_string(writer + 1) + " of " + std::to_string(group_->size());
        if (group_->size() > 1) fields.emplace_back("writer", which);
        log_.write(level, event, fields);
    }

    /// The database is the truth of where to go on, and it is not where we are.
    void begin_anew() {
        close_connections();
        engine_.reset();
        end_writers();
        timer_.expires_after(anew_after);
        timer_.async_wait([this](const asio::error_code& error) {
            if (!error) open_database();
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
                                           "the database did not answer in time; what was not committed will be "
                                           "asked for again"}});
            finish(end_);
        });
        feed([this] { engine_->stop(host_now()); });
    }

    void finish(DaemonEnd end) {
        end_ = end;
        close_connections();
        signals_.cancel();
        loop_.stop();
    }

    void close_connections() {
        for (auto& [key, connection] : connections_)
            connection->close();
        connections_.clear();
    }

    void end_writers() {
        ++generation_;
        for (auto& writer : writers_)
            writer->stop();
        writers_.clear();
    }

    // ---- actions ----

    void drain() {
        while (auto action = engine_->poll_action())
            std::visit([this](auto& a) { perform(a); }, *action);
        if (engine_->done()) return finish(end_);
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

    void perform(sync_action::Commit& a) { writers_[group_->writer_of(a.server)]->commit(std::move(a)); }
    void perform(sync_action::Sweep& a) {
        for (auto& writer : writers_)
            writer->sweep(a);
    }
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
    std::unique_ptr<Engine> engine_;
    std::optional<WriterGroup> group_;
    std::vector<std::unique_ptr<Writer>> writers_;
    std::uint64_t generation_ = 0;  // of the writers
    std::map<ConnectionKey, std::shared_ptr<Connection>> connections_;
    bool stopping_ = false;
    DaemonEnd end_{0, false};
};

}  // namespace

DaemonEnd run_daemon(const Config& config, const TlsOfServers& tls, Log& log, std::function<bool()> may_reload) {
    Daemon daemon(config, tls, log, std::move(may_reload));
    return daemon.run();
}

}  // namespace leasemirror
