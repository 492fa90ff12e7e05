#include "agent/run.hpp"

#include "agent/connection.hpp"
#include "agent/engine.hpp"
#include "agent/shutdown.hpp"
#include "agent/writer.hpp"

#include <unistd.h>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <map>
#include <random>

namespace leasemirror {
namespace {

/// How long an orderly stop may wait for the database before it leaves what is not whole to the next start.
constexpr std::chrono::seconds drain_patience{10};
constexpr std::chrono::seconds open_retry{2};

Now now() {
    return {std::chrono::steady_clock::now(),
            std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now())};
}

std::vector<ServerSpec> specs_of(const Config& config) {
    std::vector<ServerSpec> specs;
    for (const auto& server : config.servers) {
        specs.push_back({server.name, server.family, server.address + " port " + std::to_string(server.port)});
    }
    return specs;
}

/// DUID-UUID (RFC 6355 §4): needs no hardware address and no clock.
Bytes new_duid() {
    std::random_device random;
    Bytes duid = {0, 4};
    for (int i = 0; i < 16; ++i)
        duid.push_back(static_cast<std::uint8_t>(random() & 0xff));
    return duid;
}

std::string agent_name() {
    char host[256] = {};
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    return std::string(host[0] == '\0' ? "unknown" : host) + " pid " + std::to_string(getpid());
}

/// The event loop around an Engine: sockets, the writer's thread, one timer and the signals. It decides nothing.
class Daemon {
public:
    Daemon(const Config& config, Log& log, std::function<bool()> may_reload)
        : config_(config),
          log_(log),
          may_reload_(std::move(may_reload)),
          timer_(loop_),
          patience_(loop_),
          signals_(loop_, {[this](int signal) { on_signal(signal); }, [this] { on_reload(); }}) {}

    DaemonEnd run() {
        open_database();
        loop_.run();
        writer_.reset();
        return end_;
    }

private:
    // ---- start ----

    void open_database() {
        if (stopping_) return;
        try {
            auto store = open_store({config_.storage.url, config_.storage.password});
            return begin(std::move(store));
        } catch (const StoreError& error) {
            if (error.fault() == StoreFault::unusable) {
                log_.error("database", {{"error", error.what()}});
                return finish({exit_cannot_connect, false});
            }
            if (said_ != error.what())
                log_.error("database", {{"error", error.what()}, {"then", "waiting, and trying again"}});
            said_ = error.what();
        }
        timer_.expires_after(open_retry);
        timer_.async_wait([this](const asio::error_code& error) {
            if (!error) open_database();
        });
    }

    void begin(std::unique_ptr<Store> store) {
        const auto specs = specs_of(config_);
        const auto resume = store->open_servers(specs, agent_name());
        const auto proposal = config_.requestor.duid.empty() ? new_duid() : config_.requestor.duid;
        const auto duid = config_.requestor.duid.empty() ? store->requestor_duid(proposal) : proposal;
        std::random_device random;
        engine_ = std::make_unique<Engine>(config_, resume, duid, (std::uint64_t{random()} << 32) | random());
        writer_ = std::make_unique<Writer>(
            std::move(store),
            [this](Writer::Event event) {
                asio::post(loop_, [this, e = std::make_shared<Writer::Event>(std::move(event))] { on_writer(*e); });
            },
            random());
        log_.info("started", {{"servers", config_.servers.size()}, {"database", config_.storage.url}});
        engine_->start(now());
        drain();
    }

    // ---- events ----

    template <class Event>
    void feed(Event event) {
        event();
        drain();
    }

    void on_writer(Writer::Event& event) {
        std::visit(Overload{
                       [&](Writer::Committed& e) {
                           feed([&] { engine_->on_committed(e.server, std::move(e.batch), e.applied, now()); });
                       },
                       [&](Writer::Swept& e) { feed([&] { engine_->on_swept(e.expired, now()); }); },
                       [&](Writer::Trouble& e) {
                           if (e.text.empty()) return log_.info("database-back");
                           log_.error("database", {{"error", e.text}, {"then", "reading from the servers waits"}});
                       },
                       [&](Writer::Lost& e) {
                           log_.error("database", {{"error", e.text}, {"then", "stopping"}});
                           finish({exit_found_wrong, false});
                       },
                   },
                   event);
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
        feed([this] { engine_->stop(now()); });
    }

    void finish(DaemonEnd end) {
        end_ = end;
        for (auto& [key, connection] : connections_)
            connection->close();
        connections_.clear();
        signals_.cancel();
        loop_.stop();
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

    void perform(engine_action::Connect& a) {
        const auto& server = config_.servers[a.server];
        const auto s = a.server;
        const auto c = a.connection;
        ConnectionHooks hooks;
        hooks.connected = [=, this] { feed([&] { engine_->on_connected(s, c, now()); }); };
        hooks.connect_failed = [=, this](const std::string& why) {
            connections_.erase({s, c});
            feed([&] { engine_->on_connect_failed(s, c, why, now()); });
        };
        hooks.sent = [=, this] { feed([&] { engine_->on_sent(s, c, now()); }); };
        hooks.received = [=, this](ByteView in) { feed([&] { engine_->on_bytes(s, c, in, now()); }); };
        hooks.disconnected = [=, this](const std::string& how) {
            feed([&] { engine_->on_disconnected(s, c, how, now()); });
        };
        hooks.wants = [=, this] { return engine_->wants_bytes(s, c); };
        connections_[{s, c}] = open_tcp_connection(loop_, server.address, server.port, std::move(hooks));
    }

    void perform(engine_action::Send& a) {
        const auto found = connections_.find({a.server, a.connection});
        if (found != connections_.end()) found->second->send(std::move(a.bytes));
    }

    void perform(engine_action::Disconnect& a) {
        const auto found = connections_.find({a.server, a.connection});
        if (found == connections_.end()) return;
        found->second->close();
        connections_.erase(found);
    }

    void perform(engine_action::Commit& a) { writer_->commit(std::move(a)); }
    void perform(engine_action::Sweep& a) { writer_->sweep(a); }
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
            if (!error) feed([this] { engine_->on_deadline(now()); });
        });
    }

    const Config& config_;
    Log& log_;
    std::function<bool()> may_reload_;
    asio::io_context loop_{1};
    asio::steady_timer timer_;
    asio::steady_timer patience_;
    SignalHandler signals_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Writer> writer_;
    std::map<std::pair<std::size_t, ConnectionId>, std::shared_ptr<Connection>> connections_;
    std::string said_;
    bool stopping_ = false;
    DaemonEnd end_{0, false};
};

}  // namespace

DaemonEnd run_daemon(const Config& config, Log& log, std::function<bool()> may_reload) {
    Daemon daemon(config, log, std::move(may_reload));
    return daemon.run();
}

}  // namespace leasemirror
