#include "proto/udp/query.hpp"

#include "proto/requests.hpp"
#include "proto/udp/answer_book.hpp"
#include "proto/udp/backoff.hpp"
#include "proto/udp/reply.hpp"

#include <algorithm>
#include <cassert>
#include <deque>
#include <map>

namespace leasemirror {
namespace {

enum class QuestionState : std::uint8_t { queued, asked, ended };

/// One question on its way: the states of the drawing in query.hpp, with all the final ones as `ended`.
struct Question {
    Question(Family family, std::uint32_t transmissions_max) : backoff(family, transmissions_max) {}

    QuestionState state = QuestionState::queued;
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

/// How RFC 4388 §6.6 sees a server, and what we saw of it: to notice when its timer runs out.
struct Paced {
    UdpPacing* pacing = nullptr;
    bool was_proven = false;
};

/// While something waits for a place that another query holds.
constexpr std::chrono::seconds look_again{1};

}  // namespace

class UdpQuery::Machine {
public:
    Machine(UdpSettings settings, BulkQuery query, UdpMemory* memory);
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    void start(SteadyTime now);
    void on_datagram(const UdpEndpoint& from, ByteView bytes, SessionNow now);
    void on_send_failed(std::size_t index, std::string_view why, SteadyTime now);
    void on_deadline(SteadyTime now);
    [[nodiscard]] std::optional<UdpAction> poll_action();
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const;
    [[nodiscard]] bool done() const;
    [[nodiscard]] const std::vector<UdpAnswer>& answers() const { return book_.answers(); }
    [[nodiscard]] const UdpDiscards& discards() const { return discards_; }

private:
    // What is asked.
    void ask_server(std::size_t server, SteadyTime now);
    void follow_up(UdpAnswerBook::Place place, const std::vector<IpAddress>& named, const Question& origin);
    [[nodiscard]] BulkQuery follow_up_query(const IpAddress& about) const;
    void add_question(Question question, ByteView only_server);
    [[nodiscard]] UdpQuestion described(const Question& question) const;
    [[nodiscard]] std::uint32_t new_xid();
    /// To one link: then what is remembered, of any link, does not hold.
    [[nodiscard]] bool is_confined() const {
        return query_.kind == QueryKind::address && !settings_.link_address.is_unspecified();
    }

    // Its life.
    void begin_queued(SteadyTime now);
    [[nodiscard]] bool take_place(Question& question, SteadyTime now);
    void transmit(std::size_t index, SteadyTime now);
    void end(Question& question);
    void give_up(Question& question, UdpOutcome outcome, std::string_view why);
    void drop_all_but_one(std::size_t server, SteadyTime now);
    void notice_expired_timers(SteadyTime now);

    // What comes back.
    [[nodiscard]] std::optional<UdpDiscard> receive(const UdpEndpoint& from, ByteView bytes, SessionNow now);
    void accept(Question& question, UdpAnswerBook::Place place, UdpReply reply, SteadyTime now);
    void learned(std::size_t answer);

    UdpSettings settings_;
    BulkQuery query_;
    UdpMemory own_memory_;
    UdpMemory* memory_;
    UdpRandom random_;
    UdpAnswerBook book_;
    UdpDiscards discards_;
    std::vector<Paced> paced_;        // v4: of each server
    std::deque<Question> questions_;  // never shrinks: what ended is known as repeated; references stay good
    std::map<std::uint32_t, std::size_t> by_xid_;
    std::deque<UdpAction> actions_;
    std::size_t multicast_follow_ups_ = 0;
    bool started_ = false;
    SteadyTime look_again_at_{};  // while something is queued
};

UdpQuery::Machine::Machine(UdpSettings settings, BulkQuery query, UdpMemory* memory)
    : settings_(std::move(settings)),
      query_(std::move(query)),
      memory_(memory != nullptr ? memory : &own_memory_),
      random_(settings_.seed),
      book_(settings_.servers, query_) {
    assert(!udp_objection(settings_, query_));
    if (settings_.family == Family::v6) return;
    for (const auto& server : settings_.servers)
        paced_.push_back({&memory_->pacing[server]});
}

UdpQuery::Machine::~Machine() {
    for (auto& question : questions_)
        end(question);  // what others wait for
}

void UdpQuery::Machine::start(SteadyTime now) {
    assert(!started_);
    started_ = true;
    for (std::size_t i = 0; i < settings_.servers.size(); ++i)
        ask_server(i, now);
    if (settings_.multicast) {
        Question question(Family::v6, settings_.transmissions_max);
        question.to = *settings_.multicast;
        question.query = query_;
        add_question(std::move(question), {});
    }
    begin_queued(now);
}

void UdpQuery::Machine::ask_server(std::size_t server, SteadyTime now) {
    const auto& to = settings_.servers[server];
    if (const auto known = is_confined() ? std::nullopt : memory_->negative.find(to, query_, now)) {
        auto& part = book_.part({server, 0});
        part.outcome = known->outcome;
        part.status = known->status;
        part.remembered = true;
        return learned(server);
    }
    Question question(settings_.family, settings_.transmissions_max);
    question.server = server;
    question.to = to;
    question.query = query_;
    question.place = UdpAnswerBook::Place{server, 0};
    add_question(std::move(question), {});
}

void UdpQuery::Machine::follow_up(UdpAnswerBook::Place place, const std::vector<IpAddress>& named,
                                  const Question& origin) {
    assert(place.part == 0 || named.empty());  // one step and no further: a chain of answers would have no end
    // All who answer a multicast share one budget: nobody makes us send many multicasts by answering in many names.
    const auto budget = settings_.follow_ups_max - (origin.server ? 0 : multicast_follow_ups_);
    const auto followed = std::min<std::size_t>(named.size(), budget);
    if (!origin.server) multicast_follow_ups_ += followed;
    book_.answer(place).not_followed += named.size() - followed;
    for (const auto& about : std::span(named).first(followed)) {
        Question question(settings_.family, settings_.transmissions_max);
        question.server = origin.server;
        question.to = origin.to;
        question.query = follow_up_query(about);
        question.place = book_.add_part(place.answer, about);
        add_question(std::move(question), origin.server ? ByteView{} : book_.answer(place).server_id);
    }
}

/// v6: the same query on that link (RFC 5007 §4.3.3). v4: that address, by IP (RFC 4388 §5).
BulkQuery UdpQuery::Machine::follow_up_query(const IpAddress& about) const {
    auto query = query_;
    query.address = about;
    if (settings_.family == Family::v4) {
        query.kind = QueryKind::address;
        query.id.clear();
    }
    return query;
}

void UdpQuery::Machine::add_question(Question question, ByteView only_server) {
    question.xid = new_xid();
    auto described_question = described(question);
    described_question.server_id = only_server;
    const bool fits = append_udp_request(question.datagram, described_question);
    by_xid_.emplace(question.xid, questions_.size());
    questions_.push_back(std::move(question));
    if (!fits) give_up(questions_.back(), UdpOutcome::unsendable, "it does not fit into a datagram");
}

UdpQuestion UdpQuery::Machine::described(const Question& question) const {
    UdpQuestion out;
    out.family = settings_.family;
    out.xid = question.xid;
    out.query = question.query;
    out.link_address = settings_.link_address;
    out.giaddr = settings_.giaddr;
    out.requestor_duid = settings_.requestor_duid;
    out.request_options = settings_.request_options;
    return out;
}

std::uint32_t UdpQuery::Machine::new_xid() {
    for (;;) {
        const auto xid = static_cast<std::uint32_t>(random_() >> 32) & transaction_id_mask(settings_.family);
        if (by_xid_.find(xid) == by_xid_.end()) return xid;
    }
}

void UdpQuery::Machine::begin_queued(SteadyTime now) {
    for (std::size_t i = 0; i < questions_.size(); ++i)
        if (questions_[i].state == QuestionState::queued && take_place(questions_[i], now)) transmit(i, now);
    look_again_at_ = now + look_again;
}

bool UdpQuery::Machine::take_place(Question& question, SteadyTime now) {
    if (settings_.family == Family::v6) return true;
    const auto ticket = paced_[*question.server].pacing->begin(now);
    question.ticket = ticket.value_or(0);
    return ticket.has_value();
}

void UdpQuery::Machine::transmit(std::size_t index, SteadyTime now) {
    auto& question = questions_[index];
    const auto wait = question.backoff.transmit(random_);
    if (!wait) return give_up(question, UdpOutcome::silent, question.send_failure);
    question.state = QuestionState::asked;
    question.deadline = now + *wait;
    actions_.emplace_back(udp_action::Send{index, question.server, question.to, {}, 0});
}

void UdpQuery::Machine::end(Question& question) {
    question.state = QuestionState::ended;
    if (question.ticket != 0) paced_[*question.server].pacing->end(std::exchange(question.ticket, 0));
}

void UdpQuery::Machine::give_up(Question& question, UdpOutcome outcome, std::string_view why) {
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
void UdpQuery::Machine::drop_all_but_one(std::size_t server, SteadyTime now) {
    for (auto& question : questions_) {
        if (question.server != server || question.state == QuestionState::ended) continue;
        if (question.ticket == 0 || !paced_[server].pacing->keeps(question.ticket, now))
            give_up(question, UdpOutcome::silent, "given up: the server was not heard for a minute");
    }
}

void UdpQuery::Machine::notice_expired_timers(SteadyTime now) {
    for (std::size_t i = 0; i < paced_.size(); ++i) {
        const bool proven = paced_[i].pacing->proven(now);
        if (std::exchange(paced_[i].was_proven, proven) && !proven) drop_all_but_one(i, now);
    }
}

void UdpQuery::Machine::on_deadline(SteadyTime now) {
    notice_expired_timers(now);
    for (std::size_t i = 0; i < questions_.size(); ++i) {
        auto& question = questions_[i];
        if (question.state != QuestionState::asked || now < question.deadline) continue;
        if (question.heard)
            end(question);
        else
            transmit(i, now);
    }
    begin_queued(now);
}

void UdpQuery::Machine::on_send_failed(std::size_t index, std::string_view why, SteadyTime now) {
    assert(index < questions_.size());
    auto& question = questions_[index];
    if (question.state != QuestionState::asked || question.heard) return;
    question.send_failure = why;
    if (question.sent <= 1) give_up(question, UdpOutcome::unsendable, why);
    begin_queued(now);
}

void UdpQuery::Machine::on_datagram(const UdpEndpoint& from, ByteView bytes, SessionNow now) {
    if (const auto discard = receive(from, bytes, now)) ++discards_.counts[static_cast<std::size_t>(*discard)];
    notice_expired_timers(now.steady);
    begin_queued(now.steady);
}

std::optional<UdpDiscard> UdpQuery::Machine::receive(const UdpEndpoint& from, ByteView bytes, SessionNow now) {
    const auto xid = udp_reply_xid(settings_.family, bytes);
    if (!xid) return xid.error();
    const auto found = by_xid_.find(*xid);
    if (found == by_xid_.end() || questions_[found->second].sent == 0) return UdpDiscard::wrong_xid;
    auto& question = questions_[found->second];
    // Not the port: no RFC says which one a server sends from, and who can forge an address can forge a port.
    if (question.server && from.address != question.to.address) {
        discards_.unexpected_source = from;
        return UdpDiscard::unexpected_source;
    }
    if (question.state == QuestionState::ended) return UdpDiscard::repeated;
    const auto server_id = question.place ? ByteView(book_.answer(*question.place).server_id) : ByteView{};
    auto reply = read_udp_reply(bytes, described(question), server_id, now.server);
    if (!reply) {  // the next one may be better; but the server is not silent
        if (reply.error() == UdpDiscard::undecodable) question.unusable = true;
        return reply.error();
    }
    const auto place = question.place ? *question.place : book_.add_responder(from, reply->server_id);
    if (!place) return place.error();
    accept(question, *place, std::move(*reply), now.steady);
    return std::nullopt;
}

void UdpQuery::Machine::accept(Question& question, UdpAnswerBook::Place place, UdpReply reply, SteadyTime now) {
    if (question.place)
        end(question);
    else
        question.heard = true;  // others may answer a multicast too, until its time is up
    if (question.server && settings_.family == Family::v4) {
        paced_[*question.server].pacing->on_response(now);
        paced_[*question.server].was_proven = true;
    }
    if (question.server && !is_confined())
        memory_->negative.remember(question.to, question.query, reply.outcome, reply.status, now);

    const auto named = std::move(reply.named);
    book_.enter(place, std::move(reply));
    book_.part(place).sent = question.sent;
    follow_up(place, named, question);
    learned(place.answer);
}

void UdpQuery::Machine::learned(std::size_t answer) {
    actions_.emplace_back(udp_action::Learned{answer});
}

std::optional<UdpAction> UdpQuery::Machine::poll_action() {
    while (!actions_.empty()) {
        auto action = actions_.front();
        actions_.pop_front();
        auto* send = std::get_if<udp_action::Send>(&action);
        if (send == nullptr) return action;
        auto& question = questions_[send->question];
        if (question.state != QuestionState::asked) continue;  // ended meanwhile
        send->attempt = ++question.sent;
        send->bytes = question.datagram;
        if (question.place) book_.part(*question.place).sent = question.sent;
        return action;
    }
    return std::nullopt;
}

std::optional<SteadyTime> UdpQuery::Machine::next_deadline() const {
    std::optional<SteadyTime> next;
    const auto consider = [&next](SteadyTime at) { next = next ? std::min(*next, at) : at; };
    for (const auto& question : questions_) {
        if (question.state == QuestionState::ended) continue;
        consider(question.state == QuestionState::asked ? question.deadline : look_again_at_);
        if (!question.server || paced_.empty()) continue;
        const auto& paced = paced_[*question.server];
        if (paced.was_proven && paced.pacing->proven_until()) consider(*paced.pacing->proven_until());
    }
    return next;
}

bool UdpQuery::Machine::done() const {
    return started_ && std::all_of(questions_.begin(), questions_.end(),
                                   [](const Question& question) { return question.state == QuestionState::ended; });
}

UdpQuery::UdpQuery(UdpSettings settings, BulkQuery query, UdpMemory* memory)
    : machine_(std::make_unique<Machine>(std::move(settings), std::move(query), memory)) {}
UdpQuery::~UdpQuery() = default;

void UdpQuery::start(SteadyTime now) {
    machine_->start(now);
}
void UdpQuery::on_datagram(const UdpEndpoint& from, ByteView bytes, SessionNow now) {
    machine_->on_datagram(from, bytes, now);
}
void UdpQuery::on_send_failed(std::size_t question, std::string_view why, SteadyTime now) {
    machine_->on_send_failed(question, why, now);
}
void UdpQuery::on_deadline(SteadyTime now) {
    machine_->on_deadline(now);
}
std::optional<UdpAction> UdpQuery::poll_action() {
    return machine_->poll_action();
}
std::optional<SteadyTime> UdpQuery::next_deadline() const {
    return machine_->next_deadline();
}
bool UdpQuery::done() const {
    return machine_->done();
}
const std::vector<UdpAnswer>& UdpQuery::answers() const {
    return machine_->answers();
}
const UdpDiscards& UdpQuery::discards() const {
    return machine_->discards();
}

}  // namespace leasemirror
