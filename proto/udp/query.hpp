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

#include "proto/query.hpp"
#include "proto/session.hpp"
#include "proto/udp/answer.hpp"
#include "proto/udp/memory.hpp"

#include <memory>
#include <variant>

namespace leasemirror {

struct UdpSettings {
    Family family = Family::v4;
    Bytes requestor_duid;  ///< v6: our CLIENTID; answers must repeat it. 1 to duid_bytes_max octets
    IpAddress giaddr;      ///< v4: our own address; answers are sent to it, port 67 (RFC 4388 §6.4.3)
    /// v6, with a query by address: the link to look at, :: = any. A query by client-id has it in BulkQuery::address.
    IpAddress link_address = IpAddress::from_bytes(std::array<std::uint8_t, 16>{});
    std::vector<std::uint16_t> request_options;  ///< asked for and kept raw, beyond what a Binding needs
    std::vector<UdpEndpoint> servers;            ///< each asked by unicast
    std::optional<UdpEndpoint> multicast;        ///< v6: All_DHCP_Servers, asked beside them
    std::uint32_t transmissions_max = 5;         ///< of each question; LQ_MAX_RC
    /// Links or addresses that are asked for: of each of `servers`, and of all together that answer the multicast.
    std::uint32_t follow_ups_max = 100;
    /// Of transaction-ids and jitter. The transaction-id is what a forger has to guess: take it from the system.
    std::uint64_t seed = 0;
};

/// Bounds that no setting changes. What is over is left out, and said in UdpAnswer::notes.
struct UdpLimits {
    static constexpr std::size_t responders_max = 32;  ///< servers that answer one multicast
    static constexpr std::size_t bindings_max = 4096;  ///< for each answer
    static constexpr std::size_t notes_max = 16;       ///< for each answer
};

/// All_DHCP_Servers (RFC 8415 §7.1), server port.
[[nodiscard]] UdpEndpoint all_dhcp_servers();

/// Why this cannot be asked over UDP, in words that name what can: a filter that the protocol does not have (RFC 5007
/// knows addresses and client-ids only, RFC 5460 §3; RFC 4388 and RFC 6148 know addresses, hardware addresses, client-ids
/// and remote-ids; neither has a time window), an identifier of impossible length, an unspecified address, no giaddr.
/// Nothing: it can.
[[nodiscard]] std::optional<std::string> udp_objection(const UdpSettings& settings, const BulkQuery& query,
                                                       const QueryWindow& window = {});
/// Those of them that need to know neither servers nor giaddr: to be said before names are resolved and a socket is
/// opened, whose faults would hide them.
[[nodiscard]] std::optional<std::string> udp_query_objection(const UdpSettings& settings, const BulkQuery& query,
                                                             const QueryWindow& window = {});

namespace udp_action {

/// Send this datagram: v4 from the socket bound to giaddr and port 67, v6 from one unbound socket. If that fails,
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
    void on_send_failed(std::size_t question, std::string_view why, SteadyTime now);
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
    [[nodiscard]] const std::vector<UdpAnswer>& answers() const;
    [[nodiscard]] const UdpDiscards& discards() const;

private:
    class Machine;
    std::unique_ptr<Machine> machine_;
};

}  // namespace leasemirror
