// What a query over UDP brings: what each server said, and what follows from all of them together.
#pragma once

#include "proto/binding.hpp"
#include "proto/ip_address.hpp"
#include "proto/status.hpp"
#include "proto/time.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

/// Where a datagram goes to, or came from. Of a link-local address the shell adds the interface.
struct UdpEndpoint {
    IpAddress address;
    std::uint16_t port = 0;

    friend auto operator<=>(const UdpEndpoint&, const UdpEndpoint&) = default;
};
[[nodiscard]] std::string to_string(const UdpEndpoint& e);  // "192.0.2.1:67", "[2001:db8::1]:547"

/// What one server answered to one question.
enum class UdpOutcome : std::uint8_t {
    waiting,        ///< nothing heard yet
    found,          ///< v4 DHCPLEASEACTIVE; v6 at least one binding
    several_links,  ///< v6: the client is on several links, each of which is asked by itself (RFC 5007 §4.3.3)
    unassigned,     ///< v4: nobody holds the address; the lease of the client is not in force (RFC 4388 §6.5)
    unknown,        ///< v4: not its address, or a client without a lease there (RFC 4388 §6.5)
    no_binding,     ///< v6: success, and no binding (RFC 5007 §4.3.3)
    refused,        ///< an error status (RFC 5007 §4.1.3): see `status` and `text`
    unusable,       ///< answered, but nothing that could be read: given up as if it were silent
    silent,         ///< no answer in the time of the last transmission
    unsendable,     ///< not one datagram could be sent: see `text`
};
[[nodiscard]] std::string_view to_string(UdpOutcome o);  // "found", "several links", "no answer", ...

/// Whether the server has spoken: neither waiting, silent nor unsendable.
[[nodiscard]] bool is_answered(UdpOutcome o);

/// One question to one server. The first of an answer is the query itself; each further one follows up a link
/// (RFC 5007 §4.3.3) or an address (associated-ip, RFC 4388 §6.4.1) that the server named.
struct UdpPart {
    std::optional<IpAddress> about;  ///< none: the query itself; else that link or address
    UdpOutcome outcome = UdpOutcome::waiting;
    StatusCode status = StatusCode::success;
    std::string text;         ///< for people, one line, printable: status text, or why nothing was sent
    std::uint32_t sent = 0;   ///< transmissions so far, retransmissions included
    bool remembered = false;  ///< not asked: the server said so lately (UdpMemory)
};

/// A binding as this server has it: `via` is query. Its times are in the server's clock, which is ahead of ours by
/// `server_ahead` (0 where the message had no base-time: then its times were built on our clock).
struct UdpBinding {
    Binding binding;
    std::chrono::seconds server_ahead{};
};

/// Everything that one server told.
struct UdpAnswer {
    std::optional<std::size_t> server;  ///< its place in UdpSettings::servers; none: it answered a multicast
    UdpEndpoint endpoint;               ///< asked; or, of a multicast, where the answer came from
    Bytes server_id;                    ///< v6 DUID; v4 option 54, 4 octets. Empty until it was told
    std::vector<UdpPart> parts;         ///< never empty
    /// In the order of arrival, one for each key. An ended one (v4 unassigned, v6 valid lifetime 0) is among them.
    std::vector<UdpBinding> bindings;
    /// What was left out of the above, and why, one line each, printable; at most UdpLimits::notes_max.
    std::vector<std::string> notes;
    std::size_t left_out = 0;      ///< bindings that could not be read, or beyond UdpLimits::bindings_max
    std::size_t not_followed = 0;  ///< links or addresses named beyond UdpSettings::follow_ups_max

    /// `found` where a binding in force is known; else what the server said of the query itself.
    [[nodiscard]] UdpOutcome outcome() const;
    /// Every part was answered with something usable, every link and address that the server named was asked, and no
    /// binding is left out.
    [[nodiscard]] bool complete() const;
};

/// Why a datagram was thrown away. Anyone can send us datagrams: none of these ends or delays anything.
enum class UdpDiscard : std::uint8_t {
    undecodable,        ///< too short, broken, or nothing in it could be used
    wrong_type,         ///< not a reply that this query can have (RFC 5007 §4.2.1)
    wrong_xid,          ///< no question of ours has this transaction-id (RFC 5007 §4.2.2)
    unexpected_source,  ///< not from the address that we asked
    wrong_identifiers,  ///< without server or client identifier, or not the ones expected (RFC 5007 §4.2.2)
    not_asked,          ///< speaks of another address or client than we asked for
    repeated,           ///< a second answer to a question: our retransmissions crossed it, or it came too late
    too_many,           ///< one more server answered a multicast than we listen to (UdpLimits::responders_max)
};
inline constexpr std::size_t udp_discards_count = 8;
[[nodiscard]] std::string_view to_string(UdpDiscard d);  // "wrong transaction-id", ...

struct UdpDiscards {
    std::array<std::uint64_t, udp_discards_count> counts{};
    /// The latest source that had our transaction-id and was not whom we asked: a server with several addresses may
    /// answer from another one (RFC 2131 §4.1), and then that is the address to configure.
    std::optional<UdpEndpoint> unexpected_source;

    [[nodiscard]] std::uint64_t of(UdpDiscard d) const { return counts[static_cast<std::size_t>(d)]; }
    [[nodiscard]] std::uint64_t total() const;
};

/// One address or prefix over all servers.
struct MergedBinding {
    UdpBinding best;
    std::size_t answer = 0;            ///< whose: place in the answers
    std::vector<std::size_t> also_in;  ///< the other answers that speak of it, ascending
};

/// All that was told, one entry for each key, sorted by key: disjoint data is merged, and of conflicting data the
/// record with the latest client-last-transaction-time counts, in our clock (RFC 5007 §4.3.4, RFC 4388 §6.8, with the
/// steps of RFC 6926 §7.6 where that is missing or equal). A record that says "available" or "remote" speaks of its
/// own server only and yields to one in force (RFC 6926 §6.2.7). What is still equal goes to the earlier answer.
[[nodiscard]] std::vector<MergedBinding> merge(const std::vector<UdpAnswer>& answers);

}  // namespace leasemirror
