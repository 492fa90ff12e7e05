// A world small enough to be written down in a test: an Engine, servers that say what the test tells them to, a network
// that brings it at once, a database that commits at once or when told, and a clock that moves when told.
//
// Times are seconds after t0 (session_script.hpp) in the servers' clocks, which agree with ours unless a test moves
// `server_clock`. A test begins at @1000.
#pragma once

#include "agent/sync/engine.hpp"
#include "tests/agent/sync/words.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace leasemirror::test {

class SyncDriver {
public:
    using Key = ConnectionKey;

    /// The server's end of one connection.
    class Peer {
    public:
        Peer(SyncDriver& world, Key key) : world_(&world), key_(key) {}

        /// The last query on it, in words.
        [[nodiscard]] std::string query() const { return world_->wire(key_).query; }
        [[nodiscard]] std::uint32_t id() const { return world_->wire(key_).id; }
        /// The agent has not closed it.
        [[nodiscard]] bool open() const { return world_->open_.contains(key_); }
        [[nodiscard]] std::size_t wants() const { return world_->engine.wants_bytes(key_); }
        [[nodiscard]] ConnectionKey connection() const { return key_; }

        void says(const Bytes& bytes) const {
            auto& wire = world_->wire(key_);
            wire.to_agent.insert(wire.to_agent.end(), bytes.begin(), bytes.end());
            world_->run();
        }
        void says(V4 m) const {
            m.id = id();
            if (!std::exchange(world_->wire(key_).replied, true)) m.server = world_->identity_v4;
            says(m.bytes());
        }
        /// The first answer to a query becomes a LEASEQUERY-REPLY, unless it is meant to be something else.
        void says(V6 m) const {
            if (!std::exchange(world_->wire(key_).replied, true)) {
                if (m.type == MessageTypeV6::lease_query_data) m = reply6(std::move(m));
                m.server_id = world_->identity_v6;
            }
            m.id = id();
            says(m.bytes());
        }

        // What says the same thing in both families; the base-time is now unless told.
        void tells(const std::string& lease, std::optional<std::int64_t> base = {}) const {
            if (world_->is_v4(key_.server)) return says(active4(lease, base.value_or(world_->server_now())));
            says(V6{.clients = {Client{{ia(lease)}}}, .base = base.value_or(world_->server_now())});
        }
        void marks(StatusCode status, std::optional<std::int64_t> base = {}) const {
            const auto when = base.value_or(world_->server_now());
            if (world_->is_v4(key_.server)) return says(status4(status, when));
            says(V6{.base = when, .status = status});
        }
        void keeps_alive(std::optional<std::int64_t> base = {}) const {
            if (world_->is_v4(key_.server)) return marks(StatusCode::connection_active, base);
            says(V6{.base = base.value_or(world_->server_now())});
        }
        /// So many messages that nobody can take for one mistake: a step of the server's clock is believed.
        void insists() const {
            for (int i = 0; i < ClockSkew::step_witnesses && open(); ++i)
                keeps_alive();
        }
        /// The end of a query; without any answer before it, a v6 server says so in its REPLY.
        void ends(std::optional<StatusCode> status = {}) const {
            const auto when = world_->server_now();
            if (world_->is_v4(key_.server)) return says(done4(status, when));
            if (!world_->wire(key_).replied) return says(V6{.base = when, .status = status});
            says(done6({.base = when, .status = status}));
        }
        void catches_up() const {
            if (!world_->is_v4(key_.server) && !world_->wire(key_).replied) keeps_alive();
            marks(StatusCode::catch_up_complete);
        }
        void closes(const std::string& how = "closed by the server") const {
            world_->wire(key_).closed = how;
            world_->run();
        }
        /// Over TLS, before it has sent anything: it does not want our certificate.
        void refuses_late(const std::string& why) const {
            world_->open_.erase(key_);
            world_->engine.on_event(key_, connection_event::ConnectFailed{why}, world_->now());
            world_->run();
        }

    private:
        SyncDriver* world_;
        Key key_;
    };

    explicit SyncDriver(Config its_config, std::vector<ResumePoint> resume = {})
        : config(std::move(its_config)), engine(config, with_ids(config, std::move(resume)), our_duid, 7) {
        connecting.resize(config.servers.size());
        engine.start(now());
        run();
    }
    explicit SyncDriver(ServerConfig server, ResumePoint resume = {})
        : SyncDriver(config_of({std::move(server)}), {std::move(resume)}) {}
    SyncDriver(const SyncDriver&) = delete;

    const Config config;
    Engine engine;
    std::vector<std::deque<Key>> connecting;  ///< attempts under way, per server
    std::vector<Batch> written;               ///< what the database has committed
    std::vector<LogEvent> logs;
    std::vector<sync_action::Sweep> sweeps;
    Swept swept;  ///< what the database answers to the next
    std::vector<std::size_t> retired;
    std::vector<std::size_t> reopenings;  ///< asked for, and not answered: see reopens()
    bool sweep_answered = true;
    Applied applied;                         ///< what the database answers to each batch
    std::chrono::seconds server_clock{0};    ///< ahead of ours by this much
    std::chrono::milliseconds our_clock{0};  ///< set by this much since the beginning
    std::string identity_v4 = "192.0.2.254";
    Bytes identity_v6 = server_duid;

    // ---- time ----

    [[nodiscard]] Now now() const {
        return {SteadyTime{std::chrono::hours{1} + elapsed_},
                UtcMillis{std::chrono::seconds{t0 + 1000}} + elapsed_ + our_clock};
    }
    /// What the servers' clocks show, in seconds after t0.
    [[nodiscard]] std::int64_t server_now() const {
        return 1000 + std::chrono::floor<std::chrono::seconds>(elapsed_ + server_clock).count();
    }
    [[nodiscard]] std::chrono::milliseconds elapsed() const { return elapsed_; }
    /// Time passes; timers fire when they are due.
    void passes(std::chrono::milliseconds span) {
        const auto until = elapsed_ + span;
        for (int at_once = 0;;) {
            const auto due = engine.next_deadline();
            if (!due || *due > now().steady + (until - elapsed_)) break;
            const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*due - now().steady);
            at_once = wait.count() > 0 ? 0 : at_once + 1;
            REQUIRE_MESSAGE(at_once < 100, "a timer fires without end");
            elapsed_ += std::max(wait, std::chrono::milliseconds{0});
            engine.on_deadline(now());
            run();
        }
        elapsed_ = until;
    }
    /// Time passes, and no timer gets its turn before the next event.
    void jumps(std::chrono::milliseconds span) { elapsed_ += span; }

    // ---- connections ----

    /// The next connection attempt succeeds, and its query is written. It may come when a batch has been committed.
    Peer accepts(std::size_t server = 0, std::optional<CertificateEnd> first_end = std::nullopt) {
        if (connecting[server].empty()) passes(config.storage.batch.delay);
        const auto key = next_attempt(server);
        wires_.try_emplace(key);
        open_.insert(key);
        engine.on_event(key, connection_event::Connected{first_end}, now());
        run();
        return {*this, key};
    }
    void refuses(const std::string& why = "connection refused", std::size_t server = 0) {
        const auto key = next_attempt(server);
        engine.on_event(key, connection_event::ConnectFailed{why}, now());
        run();
    }
    /// Waits for the next attempt, at most this long.
    Peer accepts_within(std::chrono::milliseconds patience, std::size_t server = 0,
                        std::optional<CertificateEnd> first_end = std::nullopt) {
        for (const auto until = elapsed_ + patience; connecting[server].empty() && elapsed_ < until;)
            passes(std::chrono::milliseconds{100});
        return accepts(server, first_end);
    }
    /// The database answers to a Reopen.
    void reopens(ResumePoint resume, std::size_t server = 0) {
        resume.id = static_cast<ServerId>(server + 1);
        engine.open(server, config.servers[server], resume, now());
        run();
    }
    void retires(std::size_t server) {
        engine.retire(server, now());
        run();
    }
    void stops() {
        engine.stop(now());
        run();
    }

    // ---- the database ----

    /// Batches wait for commits() from now on.
    void database_stalls() { holding_ = true; }
    void database_goes_on() {
        holding_ = false;
        run();
    }
    /// The oldest batch that waits is committed.
    void commits() {
        REQUIRE(!waiting_.empty());
        commit_front();
        run();
    }
    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
    [[nodiscard]] const Batch& waiting(std::size_t i) const { return waiting_[i].batch; }
    /// What has been committed since the last call, in words; batches of status alone are left out. First, whatever is
    /// pending is given the time that closes a batch.
    std::string writes() {
        passes(config.storage.batch.delay);
        std::string all;
        for (; told_ < written.size(); ++told_) {
            const auto words = words_of(written[told_]);
            all += (all.empty() || words.empty() ? "" : " | ") + words;
        }
        return all;
    }
    [[nodiscard]] std::string words_of(const Batch& batch) const {
        return test::words_of(batch, config.servers[static_cast<std::size_t>(batch.server - 1)]);
    }

    // ---- what status shows ----

    [[nodiscard]] Phase phase(std::size_t server = 0) const { return engine.server(server).phase(); }
    /// As it was written last.
    [[nodiscard]] const ServerStatus& status() const {
        REQUIRE(!written.empty());
        return *written.back().status;
    }
    [[nodiscard]] bool logged(std::string_view name) const { return times_logged(name) > 0; }
    [[nodiscard]] std::size_t times_logged(std::string_view name) const {
        return static_cast<std::size_t>(
            std::count_if(logs.begin(), logs.end(), [&](const LogEvent& e) { return e.name == name; }));
    }

    // ---- common beginnings ----

    /// A whole bulk answer on the next connection, which is then closed by the agent.
    void lists(const std::vector<std::string>& leases) {
        const auto bulk = accepts();
        for (const auto& lease : leases)
            bulk.tells(lease);
        bulk.ends();
    }
    /// Resumed, caught up and live, with nothing pending.
    Peer goes_live() {
        const auto active = accepts();
        active.catches_up();
        (void)writes();
        CHECK(phase() == Phase::live);
        return active;
    }

private:
    struct Wire {
        bool replied = false;  // to the last query
        std::uint32_t id = 0;
        std::string query;
        Bytes to_agent;
        std::optional<std::string> closed;
    };

    static std::vector<ResumePoint> with_ids(const Config& config, std::vector<ResumePoint> resume) {
        resume.resize(config.servers.size());
        for (std::size_t i = 0; i < resume.size(); ++i)
            resume[i].id = static_cast<ServerId>(i + 1);
        return resume;
    }
    [[nodiscard]] bool is_v4(std::size_t server) const { return config.servers[server].family == Family::v4; }
    [[nodiscard]] Wire& wire(Key key) { return wires_.at(key); }
    Key next_attempt(std::size_t server) {
        REQUIRE(!connecting[server].empty());
        const auto key = connecting[server].front();
        connecting[server].pop_front();
        return key;
    }

    void run() {
        for (;;) {
            while (auto action = engine.poll_action())
                std::visit([this](auto& a) { perform(a); }, *action);
            if (!holding_ && !waiting_.empty()) {
                commit_front();
            } else if (!deliver_one()) {
                return;
            }
        }
    }
    bool deliver_one() {
        for (const auto key : open_) {
            const auto room = engine.wants_bytes(key);
            if (room == 0) continue;
            auto& wire = wires_.at(key);
            if (!wire.to_agent.empty()) {
                const auto n = std::min(room, wire.to_agent.size());
                const Bytes piece(wire.to_agent.begin(), wire.to_agent.begin() + static_cast<std::ptrdiff_t>(n));
                wire.to_agent.erase(wire.to_agent.begin(), wire.to_agent.begin() + static_cast<std::ptrdiff_t>(n));
                engine.on_event(key, connection_event::Received{piece}, now());
                return true;
            }
            if (wire.closed) {
                engine.on_event(key, connection_event::Disconnected{*std::exchange(wire.closed, std::nullopt)}, now());
                return true;
            }
        }
        return false;
    }
    void commit_front() {
        auto commit = std::move(waiting_.front());
        waiting_.pop_front();
        written.push_back(commit.batch);
        engine.on_committed(commit.server, std::move(commit.batch), applied, now());
    }

    void perform(sync_action::Connect& a) { connecting[a.connection.server].push_back(a.connection); }
    void perform(sync_action::Send& a) {
        read_query(a.connection.server, ByteView(a.bytes).subspan(2), wire(a.connection));
        engine.on_event(a.connection, connection_event::Sent{}, now());
    }
    void perform(sync_action::Disconnect& a) {
        auto& attempts = connecting[a.connection.server];
        attempts.erase(std::remove(attempts.begin(), attempts.end(), a.connection), attempts.end());
        open_.erase(a.connection);
    }
    void perform(sync_action::Commit& a) { waiting_.push_back(std::move(a)); }
    void perform(sync_action::Sweep& a) {
        sweeps.push_back(a);
        if (sweep_answered) engine.on_swept(swept, now());
    }
    void perform(sync_action::Reopen& a) { reopenings.push_back(a.server); }
    void perform(sync_action::Retired& a) { retired.push_back(a.server); }
    void perform(LogEvent& event) { logs.push_back(std::move(event)); }

    void read_query(std::size_t server, ByteView message, Wire& to) {
        to.replied = false;
        if (is_v4(server)) {
            ScratchV4 scratch;
            const auto m = decode_v4(message, scratch);
            REQUIRE(m);
            to.id = m->xid;
            to.query = words_of_query(*m);
        } else {
            ScratchV6 scratch;
            const auto m = decode_v6(message, scratch);
            REQUIRE(m);
            to.id = m->xid;
            to.query = words_of_query(*m);
        }
    }
    std::chrono::milliseconds elapsed_{0};
    std::map<Key, Wire> wires_;  ///< all that there ever were: days of polls make thousands
    std::set<Key> open_;         ///< of them, those that the agent has not closed
    std::deque<sync_action::Commit> waiting_;
    bool holding_ = false;
    std::size_t told_ = 0;
};

using Peer = SyncDriver::Peer;

}  // namespace leasemirror::test
