// Which servers the daemon works, and how it comes from one configuration to the next, one server at a time: whatever has
// not changed goes on. Pure: steps out, and in how they ended.
//
//     opening ──► working ──► retiring ──┬─► opening, with what it is to be now
//        │  ▲                            └─► releasing ──► gone
//        ▼  │ each claimed_pause
//      waiting: another agent works it
#pragma once

#include "agent/config/config.hpp"
#include "agent/net/tls_context.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

class Roster {
public:
    struct Server {
        ServerConfig config;
        std::shared_ptr<TlsCredentials> tls;
        std::string tls_stamp = {};  ///< of its files, when they were read: a new certificate is a change, too

        [[nodiscard]] bool is_as(const Server& other) const {
            return config == other.config && tls_stamp == other.tls_stamp;
        }
    };
    /// To be done about the server of this index.
    struct Step {
        enum class Kind : std::uint8_t {
            retire,   ///< Engine::retire(); then on_retired()
            open,     ///< Writers::open_server(); then on_opened() or on_claimed()
            release,  ///< Writers::release_server(); then on_released()
        };
        Kind kind = Kind::retire;
        std::size_t server = 0;
    };

    /// What the daemon begins with.
    explicit Roster(std::vector<Server> servers);

    /// What is to be worked from now on.
    void want(const std::vector<Server>& servers);
    /// The next step, if there is one to begin.
    [[nodiscard]] std::optional<Step> poll();
    void on_retired(std::size_t server);
    /// True: it is to be worked. False: it is not what is wanted any more.
    [[nodiscard]] bool on_opened(std::size_t server);
    void on_claimed(std::size_t server);
    void on_released(std::size_t server);
    /// One that is worked is to be opened anew, as it is.
    void reopen(std::size_t server);
    /// Another agent works one that we want: to be tried again after a while.
    [[nodiscard]] bool any_claimed() const;
    void try_claimed_again();

    /// All begins anew, with what is wanted: indices change.
    void begin_anew();

    [[nodiscard]] const Server& server(std::size_t i) const { return slots_[i].now; }
    /// How many are wanted.
    [[nodiscard]] std::size_t wanted() const;
    /// What is wanted of each, in the order of the indices; as long as all of them are worked, as at the beginning.
    [[nodiscard]] std::vector<ServerConfig> configs() const;

private:
    enum class State : std::uint8_t { to_open, opening, waiting, working, retiring, to_release, releasing, gone };
    struct Slot {
        State state = State::working;
        bool ours = true;  ///< the database has us as its owner
        Server now;
        std::optional<Server> wanted;
    };
    /// It is not worked now: what comes next?
    void settle(Slot& slot);
    Slot& free_slot();

    std::vector<Slot> slots_;
};

}  // namespace leasemirror
