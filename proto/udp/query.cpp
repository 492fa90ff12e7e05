#include "proto/udp/query.hpp"

#include "proto/udp/reply.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {
namespace {

/// While something waits for a place that another query holds.
constexpr std::chrono::seconds look_again{1};

}  // namespace

UdpQuery::UdpQuery(UdpSettings settings, BulkQuery query, UdpMemory* memory)
    : questions_(std::move(settings), std::move(query)),
      memory_(memory != nullptr ? memory : &own_memory_),
      book_(questions_.settings().servers, questions_.query()) {
    if (questions_.settings().family == Family::v6) return;
    for (const auto& server : questions_.settings().servers)
        paced_.push_back({&memory_->pacing[server]});
}

UdpQuery::~UdpQuery() {
    for (auto& question : questions_)
        end(question);  // what others wait for
}

void UdpQuery::start(SteadyTime now) {
    assert(!started_);
    started_ = true;
    const auto& settings = questions_.settings();
    for (std::size_t i = 0; i < settings.servers.size(); ++i)
        ask_server(i, now);
    if (settings.multicast) add_question(questions_.draft(std::nullopt, *settings.multicast));
    begin_queued(now);
}

void UdpQuery::ask_server(std::size_t server, SteadyTime now) {
    const auto& to = questions_.settings().servers[server];
    if (const auto known =
            questions_.is_confined() ? std::nullopt : memory_->negative.find(to, questions_.query(), now)) {
        auto& part = book_.part({server, 0});
        part.outcome = known->outcome;
        part.status = known->status;
        part.remembered = true;
        return learned(server);
    }
    auto question = questions_.draft(server, to);
    question.place = UdpAnswerBook::Place{server, 0};
    add_question(std::move(question));
}

void UdpQuery::follow_up(UdpAnswerBook::Place place, const std::vector<IpAddress>& named, const UdpPending& origin) {
    assert(place.part == 0 || named.empty());  // one step and no further: a chain of answers would have no end
    // All who answer a multicast share one budget: nobody makes us send many multicasts by answering in many names.
    const auto budget = questions_.settings().follow_ups_max - (origin.server ? 0 : multicast_follow_ups_);
    const auto followed = std::min<std::size_t>(named.size(), budget);
    if (!origin.server) multicast_follow_ups_ += followed;
    book_.answer(place).not_followed += named.size() - followed;
    for (const auto& about : std::span(named).first(followed)) {
        auto question = questions_.draft(origin.server, origin.to);
        question.query = questions_.query_about(about);
        question.place = book_.add_part(place.answer, about);
        add_question(std::move(question), origin.server ? ByteView{} : book_.answer(place).server_id);
    }
}

void UdpQuery::add_question(UdpPending question, ByteView only_server) {
    if (auto& added = questions_.add(std::move(question), only_server); added.datagram.empty())
        give_up(added, UdpOutcome::unsendable, "it does not fit into a datagram");
}

void UdpQuery::begin_queued(SteadyTime now) {
    for (std::size_t i = 0; i < questions_.size(); ++i)
        if (questions_[i].state == UdpQuestionState::queued && take_place(questions_[i], now)) transmit(i, now);
    look_again_at_ = now + look_again;
}

bool UdpQuery::take_place(UdpPending& question, SteadyTime now) {
    if (questions_.settings().family == Family::v6) return true;
    const auto ticket = paced_[*question.server].pacing->begin(now);
    question.ticket = ticket.value_or(0);
    return ticket.has_value();
}

void UdpQuery::transmit(std::size_t index, SteadyTime now) {
    auto& question = questions_[index];
    const auto wait = question.backoff.transmit(questions_.random());
    if (!wait) return give_up(question, UdpOutcome::silent, question.send_failure);
    question.state = UdpQuestionState::asked;
    question.deadline = now + *wait;
    actions_.emplace_back(udp_action::Send{index, question.server, question.to, {}, 0});
}

void UdpQuery::end(UdpPending& question) {
    question.state = UdpQuestionState::ended;
    if (question.ticket != 0) paced_[*question.server].pacing->end(std::exchange(question.ticket, 0));
}

void UdpQuery::give_up(UdpPending& question, UdpOutcome outcome, std::string_view why) {
    end(question);
    if (!question.place) question.place = book_.add_unanswered(question.to);
    auto& part = book_.part(*question.place);
    part.outcome = question.unusable && outcome == UdpOutcome::silent ? UdpOutcome::unusable : outcome;
    part.text = printable(why);
    part.sent = question.sent;
    learned(question.place->answer);
}

/// RFC 4388 §6.6: "all outstanding messages SHOULD be dropped except for a single DHCPLEASEQUERY message that is used to
/// poll the server at approximately 64-second intervals": as far as its backoff has come, or will.
void UdpQuery::drop_all_but_one(std::size_t server, SteadyTime now) {
    for (auto& question : questions_) {
        if (question.server != server || question.state == UdpQuestionState::ended) continue;
        if (question.ticket == 0 || !paced_[server].pacing->keeps(question.ticket, now))
            give_up(question, UdpOutcome::silent, "given up: the server was not heard for a minute");
    }
}

void UdpQuery::notice_expired_timers(SteadyTime now) {
    for (std::size_t i = 0; i < paced_.size(); ++i) {
        const bool proven = paced_[i].pacing->proven(now);
        if (std::exchange(paced_[i].was_proven, proven) && !proven) drop_all_but_one(i, now);
    }
}

void UdpQuery::on_deadline(SteadyTime now) {
    notice_expired_timers(now);
    for (std::size_t i = 0; i < questions_.size(); ++i) {
        auto& question = questions_[i];
        if (question.state != UdpQuestionState::asked || now < question.deadline) continue;
        if (question.heard)
            end(question);
        else
            transmit(i, now);
    }
    begin_queued(now);
}

void UdpQuery::on_send_failed(std::size_t index, std::string_view why, SteadyTime now) {
    assert(index < questions_.size());
    auto& question = questions_[index];
    if (question.state != UdpQuestionState::asked || question.heard) return;
    question.send_failure = why;
    if (question.sent <= 1) give_up(question, UdpOutcome::unsendable, why);
    begin_queued(now);
}

void UdpQuery::on_datagram(const UdpEndpoint& from, ByteView bytes, SessionNow now) {
    if (const auto discard = receive(from, bytes, now)) ++discards_.counts[static_cast<std::size_t>(*discard)];
    notice_expired_timers(now.steady);
    begin_queued(now.steady);
}

std::optional<UdpDiscard> UdpQuery::receive(const UdpEndpoint& from, ByteView bytes, SessionNow now) {
    const auto xid = udp_reply_xid(questions_.settings().family, bytes);
    if (!xid) return xid.error();
    auto* const asked = questions_.find(*xid);
    if (asked == nullptr || asked->sent == 0) return UdpDiscard::wrong_xid;
    auto& question = *asked;
    // Not the port: no RFC says which one a server sends from, and who can forge an address can forge a port.
    if (question.server && from.address != question.to.address) {
        discards_.unexpected_source = from;
        return UdpDiscard::unexpected_source;
    }
    if (question.state == UdpQuestionState::ended) return UdpDiscard::repeated;
    const auto server_id = question.place ? ByteView(book_.answer(*question.place).server_id) : ByteView{};
    auto reply = read_udp_reply(bytes, questions_.described(question), server_id, now.server);
    if (!reply) {  // the next one may be better; but the server is not silent
        if (reply.error() == UdpDiscard::undecodable) question.unusable = true;
        return reply.error();
    }
    const auto place = question.place ? *question.place : book_.add_responder(from, reply->server_id);
    if (!place) return place.error();
    accept(question, *place, std::move(*reply), now.steady);
    return std::nullopt;
}

void UdpQuery::accept(UdpPending& question, UdpAnswerBook::Place place, UdpReply reply, SteadyTime now) {
    if (question.place)
        end(question);
    else
        question.heard = true;  // others may answer a multicast too, until its time is up
    if (question.server && questions_.settings().family == Family::v4) {
        paced_[*question.server].pacing->on_response(now);
        paced_[*question.server].was_proven = true;
    }
    if (question.server && !questions_.is_confined())
        memory_->negative.remember(question.to, question.query, reply.outcome, reply.status, now);

    const auto named = std::move(reply.named);
    book_.enter(place, std::move(reply));
    book_.part(place).sent = question.sent;
    follow_up(place, named, question);
    learned(place.answer);
}

void UdpQuery::learned(std::size_t answer) {
    actions_.emplace_back(udp_action::Learned{answer});
}

std::optional<UdpAction> UdpQuery::poll_action() {
    while (!actions_.empty()) {
        auto action = actions_.front();
        actions_.pop_front();
        auto* send = std::get_if<udp_action::Send>(&action);
        if (send == nullptr) return action;
        auto& question = questions_[send->question];
        if (question.state != UdpQuestionState::asked) continue;  // ended meanwhile
        send->attempt = ++question.sent;
        send->bytes = question.datagram;
        if (question.place) book_.part(*question.place).sent = question.sent;
        return action;
    }
    return std::nullopt;
}

std::optional<SteadyTime> UdpQuery::next_deadline() const {
    std::optional<SteadyTime> next;
    const auto consider = [&next](SteadyTime at) { next = next ? std::min(*next, at) : at; };
    for (const auto& question : questions_) {
        if (question.state == UdpQuestionState::ended) continue;
        consider(question.state == UdpQuestionState::asked ? question.deadline : look_again_at_);
        if (!question.server || paced_.empty()) continue;
        const auto& paced = paced_[*question.server];
        if (paced.was_proven && paced.pacing->proven_until()) consider(*paced.pacing->proven_until());
    }
    return next;
}

bool UdpQuery::done() const {
    return started_ && std::all_of(questions_.begin(), questions_.end(), [](const UdpPending& question) {
               return question.state == UdpQuestionState::ended;
           });
}

}  // namespace leasemirror
