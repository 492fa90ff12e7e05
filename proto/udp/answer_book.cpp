#include "proto/udp/answer_book.hpp"

#include "proto/udp/merge.hpp"
#include "proto/udp/settings.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

void add_note(UdpAnswer& answer, std::string note) {
    if (answer.notes.size() < UdpLimits::notes_max) answer.notes.push_back(std::move(note));
}

}  // namespace

UdpAnswerBook::UdpAnswerBook(const std::vector<UdpEndpoint>& servers, BulkQuery asked)
    : servers_(servers.size()), asked_(std::move(asked)) {
    for (std::size_t i = 0; i < servers.size(); ++i)
        static_cast<void>(add_answer(servers[i], i));
}

Result<UdpAnswerBook::Place, UdpDiscard> UdpAnswerBook::add_responder(const UdpEndpoint& from, ByteView server_id) {
    const auto is_known = [&](const UdpAnswer& known) {
        return std::equal(known.server_id.begin(), known.server_id.end(), server_id.begin(), server_id.end());
    };
    const auto responders = std::span(answers_).subspan(servers_);
    if (std::any_of(responders.begin(), responders.end(), is_known)) return Unexpected{UdpDiscard::repeated};
    if (responders.size() >= UdpLimits::responders_max) return Unexpected{UdpDiscard::too_many};
    return add_answer(from, std::nullopt);
}

UdpAnswerBook::Place UdpAnswerBook::add_unanswered(const UdpEndpoint& multicast) {
    return add_answer(multicast, std::nullopt);
}

UdpAnswerBook::Place UdpAnswerBook::add_answer(const UdpEndpoint& endpoint, std::optional<std::size_t> server) {
    UdpAnswer answer;
    answer.server = server;
    answer.endpoint = endpoint;
    answer.parts.emplace_back();
    answers_.push_back(std::move(answer));
    return Place{answers_.size() - 1, 0};
}

UdpAnswerBook::Place UdpAnswerBook::add_part(std::size_t answer, const IpAddress& about) {
    UdpPart part;
    part.about = about;
    answers_[answer].parts.push_back(std::move(part));
    return {answer, answers_[answer].parts.size() - 1};
}

void UdpAnswerBook::enter(Place place, UdpReply reply) {
    auto& p = part(place);
    p.outcome = reply.outcome;
    p.status = reply.status;
    p.text = std::move(reply.text);
    auto& a = answer(place);
    a.left_out += reply.left_out;
    if (a.server_id.empty()) a.server_id = std::move(reply.server_id);
    for (auto& note : reply.notes)
        add_note(a, std::move(note));
    for (auto& told : reply.bindings)
        enter_binding(place, std::move(told));
}

void UdpAnswerBook::enter_binding(Place place, UdpBinding told) {
    auto& a = answer(place);
    const auto& key = told.binding.key;
    // An address that the client once had may be another's now: RFC 4388 §6.4.2 lists all that were involved.
    if (place.part > 0 && is_of_another_client(told.binding, asked_))
        return add_note(a, key.address.to_string() + " is another client's now");
    const auto known =
        std::find_if(a.bindings.begin(), a.bindings.end(), [&](const UdpBinding& b) { return b.binding.key == key; });
    if (known != a.bindings.end()) {
        if (supersedes(told, *known)) *known = std::move(told);
    } else if (a.bindings.size() < UdpLimits::bindings_max) {
        a.bindings.push_back(std::move(told));
    } else {
        ++a.left_out;
        const auto note = "more than " + std::to_string(UdpLimits::bindings_max) + " bindings: the rest is left out";
        if (std::find(a.notes.begin(), a.notes.end(), note) == a.notes.end()) add_note(a, note);
    }
}

}  // namespace leasemirror
