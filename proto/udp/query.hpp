// One question to one or several DHCP servers over UDP: DHCPv6 Leasequery (RFC 5007), DHCPv4 Leasequery (RFC 4388) and
// the query by remote-id (RFC 6148). No socket, no clock: the events come in, the datagrams to send come out.
//
// A query is asked as one question per server, and one more for each link (OPTION_LQ_CLIENT_LINK) or address
// (associated-ip) that a server names; these are not followed any further. Each question has a transaction-id of its
// own and lives so:
//
//     queued --- may be sent ---> asked --- a valid answer --------------------> answered
//        |                        |  ^ |
//        |                        +--+ +--- its last transmission's time is up -> silent, or unusable
//        |             the time is up: sent again, same transaction-id
//        +--- the first datagram cannot be sent ------------------------------> unsendable
//
// v6: RFC 8415 §15 with IRT LQ_TIMEOUT, MRT LQ_MAX_RT, MRC LQ_MAX_RC (RFC 5007 §4.3.2): about 1, 2, 4, 8 and 10 s,
//     so a server is silent after about 25 s. All questions go out at once.
// v4: RFC 2131 §4.1: about 4, 8, 16, 32 and 64 s, so a server is silent after about two minutes. How many questions one
//     server is asked at a time is paced by RFC 4388 §6.6 (pacing.hpp): one, until it has shown that it answers; the
//     others wait in `queued`. When it was not heard for a minute, all but one of them are given up.
//
// A multicast (v6) is one question that many may answer. From its first answer on it is not sent again: what else
// comes before the time of the latest transmission is up counts, the rest is too late. Each server that answered has
// its own UdpAnswer; its follow-ups are multicast too, with its OPTION_SERVERID (RFC 5007 §4.3.1).
//
// The peer may be hostile: a datagram that is not the answer to a question is counted (UdpDiscards) and changes nothing
// else; every list that a peer can make longer has a limit.
#pragma once

#include "proto/session/session.hpp"
#include "proto/udp/answer_book.hpp"
#include "proto/udp/memory.hpp"
#include "proto/udp/questions.hpp"
#include "proto/udp/settings.hpp"

#include <deque>
#include <variant>

namespace leasemirror {

namespace udp_action {

/// Send this datagram: v4 from the socket bound to giaddr and port 67, v6 from one of any address. If that fails,
/// on_send_failed(). `bytes` lives until the next call of a member that is not const.
struct Send {
    std::size_t question;               ///< for on_send_failed()
    std::optional<std::size_t> server;  ///< place in UdpSettings::servers; none: the multicast
    UdpEndpoint to;
    ByteView bytes;
    std::uint32_t attempt;  ///< 1 for the first transmission
};

/// answers()[answer] has something new: a question was answered or given up. For progress on a terminal.
struct Learned {
    std::size_t answer;
};

}  // namespace udp_action

using UdpAction = std::variant<udp_action::Send, udp_action::Learned>;

class UdpQuery {
public:
    /// udp_objection() must have had none, and there must be a server or a multicast. `memory`, if given, outlives the
    /// query and may be shared by many on one thread: it paces them together (v4) and spares questions whose negative
    /// answer it knows. Then each of them is polled again after its own next_deadline() only, which is at most a second
    /// away while a question waits for others to end.
    UdpQuery(UdpSettings settings, BulkQuery query, UdpMemory* memory = nullptr);
    ~UdpQuery();
    UdpQuery(const UdpQuery&) = delete;
    UdpQuery& operator=(const UdpQuery&) = delete;

    void start(SteadyTime now);
    /// A datagram arrived on the query's socket. `now.server`: best guess of the servers' clocks, the base of all times in
    /// a message without base-time: our own clock in UTC, where nothing better is known.
    void on_datagram(const UdpEndpoint& from, ByteView bytes, SessionNow now);
    /// The latest Send of that question could not be sent. The first transmission: the question ends, unsendable. A later
    /// one counts as lost on its way. `why` is for people.
    void on_send_failed(std::size_t index, std::string_view why, SteadyTime now);
    /// Early or spurious calls are no-ops.
    void on_deadline(SteadyTime now);

    /// Until there are none.
    [[nodiscard]] std::optional<UdpAction> poll_action();
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const;
    /// Every question is answered or given up. Anything that still comes is counted as repeated.
    [[nodiscard]] bool done() const;

    /// At any time, so that an impatient caller may stop and print what there is. The first are those of
    /// UdpSettings::servers, in order; behind them the servers that answered the multicast, as they came (or, where none
    /// did, one for the multicast itself, silent). Grows, and never shrinks.
    [[nodiscard]] const std::vector<UdpAnswer>& answers() const { return book_.answers(); }
    [[nodiscard]] const UdpDiscards& discards() const { return discards_; }

private:
    /// How RFC 4388 §6.6 sees a server, and what we saw of it: to notice when its timer runs out.
    struct Paced {
        UdpPacing* pacing = nullptr;
        bool was_proven = false;
    };

    // What is asked.
    void ask_server(std::size_t server, SteadyTime now);
    void follow_up(UdpAnswerBook::Place place, const std::vector<IpAddress>& named, const UdpPending& origin);
    void add_question(UdpPending question, ByteView only_server = {});

    // Its life.
    void begin_queued(SteadyTime now);
    [[nodiscard]] bool take_place(UdpPending& question, SteadyTime now);
    void transmit(std::size_t index, SteadyTime now);
    void end(UdpPending& question);
    void give_up(UdpPending& question, UdpOutcome outcome, std::string_view why);
    void drop_all_but_one(std::size_t server, SteadyTime now);
    void notice_expired_timers(SteadyTime now);

    // What comes back.
    [[nodiscard]] std::optional<UdpDiscard> receive(const UdpEndpoint& from, ByteView bytes, SessionNow now);
    void accept(UdpPending& question, UdpAnswerBook::Place place, UdpReply reply, SteadyTime now);
    void learned(std::size_t answer);

    UdpQuestions questions_;
    UdpMemory own_memory_;
    UdpMemory* memory_;
    UdpAnswerBook book_;
    UdpDiscards discards_;
    std::vector<Paced> paced_;  // v4: of each server
    std::deque<UdpAction> actions_;
    std::size_t multicast_follow_ups_ = 0;
    bool started_ = false;
    SteadyTime look_again_at_{};  // while something is queued
};

}  // namespace leasemirror
