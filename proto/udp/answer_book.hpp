// Where the replies to the questions of one UdpQuery are collected: an answer for each server, a part of it for each
// question. Bounded, whatever the replies say.
#pragma once

#include "proto/query.hpp"
#include "proto/result.hpp"
#include "proto/udp/answer.hpp"
#include "proto/udp/reply.hpp"

namespace leasemirror {

class UdpAnswerBook {
public:
    /// Which answer, and which part of it.
    struct Place {
        std::size_t answer = 0;
        std::size_t part = 0;
    };

    /// Begins with an answer of one part for each of `servers`. `asked`: what all questions serve.
    UdpAnswerBook(const std::vector<UdpEndpoint>& servers, BulkQuery asked);

    /// For a server that answers the multicast: a new answer, unless it already has one or there are too many.
    [[nodiscard]] Result<Place, UdpDiscard> add_responder(const UdpEndpoint& from, ByteView server_id);
    /// For a multicast that nobody answers.
    [[nodiscard]] Place add_unanswered(const UdpEndpoint& multicast);
    [[nodiscard]] Place add_part(std::size_t answer, const IpAddress& about);

    [[nodiscard]] UdpPart& part(Place place) { return answers_[place.answer].parts[place.part]; }
    [[nodiscard]] UdpAnswer& answer(Place place) { return answers_[place.answer]; }
    [[nodiscard]] const std::vector<UdpAnswer>& answers() const { return answers_; }

    /// Enters everything but `named`.
    void enter(Place place, UdpReply reply);

private:
    [[nodiscard]] Place add_answer(const UdpEndpoint& endpoint, std::optional<std::size_t> server);
    void enter_binding(Place place, UdpBinding told);

    std::size_t servers_;
    BulkQuery asked_;
    std::vector<UdpAnswer> answers_;
};

}  // namespace leasemirror
