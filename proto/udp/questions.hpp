// The questions of one UdpQuery: each has a transaction-id that nobody can foretell, and its datagram. Which are asked, and
// when, is query.hpp's business.
#pragma once

#include "proto/query.hpp"
#include "proto/session/requests.hpp"
#include "proto/udp/answer_book.hpp"
#include "proto/udp/backoff.hpp"
#include "proto/udp/pacing.hpp"
#include "proto/udp/settings.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>

namespace leasemirror {

/// The states of the drawing in query.hpp, with all the final ones as `ended`.
enum class UdpQuestionState : std::uint8_t { queued, asked, ended };

/// One question on its way.
struct UdpPending {
    UdpPending(Family family, std::uint32_t transmissions_max) : backoff(family, transmissions_max) {}

    UdpQuestionState state = UdpQuestionState::queued;
    std::optional<std::size_t> server;  ///< none: multicast
    UdpEndpoint to;
    std::uint32_t xid = 0;
    BulkQuery query;
    Bytes datagram;
    std::optional<UdpAnswerBook::Place> place;  ///< none: the multicast, which many may answer
    UdpBackoff backoff;
    bool heard = false;     ///< multicast: somebody has answered
    bool unusable = false;  ///< something came from the server, and could not be read
    SteadyTime deadline{};  ///< while asked
    std::uint32_t sent = 0;
    std::string send_failure;
    UdpPacing::Ticket ticket = 0;  ///< v4, while asked
};

/// Never shrinks, so that an answer to what has ended is known as repeated. References stay good.
class UdpQuestions {
public:
    /// udp_objection() must have had none.
    UdpQuestions(UdpSettings settings, BulkQuery query);

    /// A question of the whole query, to be completed and added.
    [[nodiscard]] UdpPending draft(std::optional<std::size_t> server, const UdpEndpoint& to) const;
    /// What follows up a link or address that a server named.
    [[nodiscard]] BulkQuery query_about(const IpAddress& about) const;
    /// Gives it a transaction-id and a datagram, which stays empty if it would be too long. `only_server`: see UdpQuestion.
    UdpPending& add(UdpPending question, ByteView only_server);
    /// What a reply to it is compared with.
    [[nodiscard]] UdpQuestion described(const UdpPending& question) const;
    /// To one link: then what is remembered, of any link, does not hold.
    [[nodiscard]] bool is_confined() const;

    [[nodiscard]] const UdpSettings& settings() const { return settings_; }
    [[nodiscard]] const BulkQuery& query() const { return query_; }
    [[nodiscard]] UdpRandom& random() { return random_; }
    /// By its transaction-id.
    [[nodiscard]] UdpPending* find(std::uint32_t xid);
    [[nodiscard]] std::size_t size() const { return list_.size(); }
    [[nodiscard]] UdpPending& operator[](std::size_t index) { return list_[index]; }
    [[nodiscard]] auto begin() { return list_.begin(); }
    [[nodiscard]] auto end() { return list_.end(); }
    [[nodiscard]] auto begin() const { return list_.begin(); }
    [[nodiscard]] auto end() const { return list_.end(); }

private:
    [[nodiscard]] std::uint32_t new_xid();

    UdpSettings settings_;
    BulkQuery query_;
    UdpRandom random_;
    std::deque<UdpPending> list_;
    std::map<std::uint32_t, std::size_t> by_xid_;
};

}  // namespace leasemirror
