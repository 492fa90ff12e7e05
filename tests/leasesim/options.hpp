// What a simulated server is like, as plain data: the same structs serve the command line and the simulation.
#pragma once

#include "proto/time.hpp"
#include "tests/leasesim/leases/model.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror::leasesim {

/// How the end of a v6 binding is told, for which no RFC defines an encoding (proto/README.md, "Traps").
enum class EndEncoding : std::uint8_t {
    valid_zero,         ///< (a) valid lifetime 0
    binding_status,     ///< (b) nested F_BINDING_STATUS (RFC 8156)
    empty_client_data,  ///< (c) CLIENT_DATA without addresses: all leases of that client on that link ended
    snapshot,           ///< (d) CLIENT_DATA lists what remains; brings `all_leases_together` with it
    nothing             ///< (e) not told at all
};
enum class SuccessStatus : std::uint8_t { absent, in_reply, in_done };
enum class OnActive : std::uint8_t {
    serve,
    refuse,       ///< v6 NotSupported; v4 has none and closes
    close,        ///< as a server that does not know the message
    not_allowed,  ///< refused by a status that both families have, then close
};
/// What a v4 bulk query with option 221 for all VPNs gets (RFC 6607 §3.5); Active tells the bindings of all all the same.
enum class AllVpns : std::uint8_t {
    serve,
    refuse,  ///< NotAllowed; a VPN that is named is served
    ignore   ///< the option is not known: the default VPN, whatever it asks for
};

/// Differences between servers that the RFCs allow, or that exist.
struct Personality {
    OnActive on_active = OnActive::serve;
    bool several_keys_are_malformed = false;  ///< v4: MalformedQuery for two primary queries, not NotAllowed
    bool all_configured = true;               ///< v4: false = NotAllowed, and never a DHCPLEASEUNASSIGNED
    bool v4_times_only = false;               ///< v4: no 153, 156, 157; the parameter request list is ignored
    bool vpn = true;                          ///< v4: false = any option 221 gets NotAllowed
    bool all_leases_together = false;         ///< v6: one CLIENT_DATA per client, not per lease
    bool relay_data_outside = false;          ///< v6: LQ_RELAY_DATA at message level
    bool relay_data_unasked = false;          ///< v6: without an ORO that asks for it
    bool ignores_times = false;               ///< v6: base-time and windows unknown (RFC 5460 only)
    bool preferred_unreduced = false;         ///< v6: a preferred lifetime that has passed is sent whole again
    bool closes_on_discard = false;           ///< v6: closes where RFC 5007 §4.2.1 says to discard
    bool link_of_address_ignored = false;     ///< v6: the link-address of a query by address
    bool udp_echoes = false;                  ///< v4 over UDP: server-id and the key in every answer; no remote-id
    bool udp_relay_data_outside = false;      ///< v6 over UDP: as relay_data_outside
    bool udp_bulk_types_unknown = false;      ///< v6 over UDP: bulk's query types get UnknownQueryType, not NotAllowed
    bool absolute_expiries = false;           ///< ModelOptions::absolute_times
    bool late_identity = false;               ///< v4: server-id in the second reply, not in the first
    bool late_end_of_former = false;          ///< v6: whose lease passes on is told to hold it no more, after that
    bool options_twice = false;               ///< options of fixed length come twice, each whole
    bool stale_catch_up = false;              ///< catch-up messages are made when the query comes, and wait
    AllVpns all_vpns = AllVpns::serve;
    SuccessStatus success = SuccessStatus::absent;
    EndEncoding end = EndEncoding::valid_zero;
};

/// ISC Kea 3.x: bulk only.
[[nodiscard]] Personality kea_personality();

enum class FaultKind : std::uint8_t {
    tiny_writes,                 ///< the next `arg` octets go out one by one
    hold_frames,                 ///< the next `arg` frames leave in one write
    truncated_frame,             ///< half of a frame, then close
    zero_length_frame,           ///< a frame that announces 0 octets
    wrong_xid,                   ///< one message with another transaction-id
    missing_server_id,           ///< the first reply lacks the server identifier
    split_option_82,             ///< one message whose options are cut after `arg` octets (RFC 3396)
    overloaded_options,          ///< one message with options in sname and file
    nul_in_status,               ///< a status text with a NUL in it
    clock_step,                  ///< the clock steps by `arg` ms
    no_catch_up_complete,        ///< catch-up never ends
    silence,                     ///< nothing is sent for `arg` seconds
    close_in_catch_up,           ///< close while catching up
    unassigned_with_lease_time,  ///< one DHCPLEASEUNASSIGNED carries option 51
    data_before_reply,           ///< v6: a LEASEQUERY-DATA precedes the LEASEQUERY-REPLY
    second_reply,                ///< v6: another LEASEQUERY-REPLY
    done_for_foreign_xid,        ///< a DONE for a request that was never made
    no_client_time,              ///< v6: a CLIENT_DATA without CLT_TIME
    foreign_client_id,           ///< v6: the REPLY names another requestor; v4 over UDP: the answer is to another key
    broken_relay_data,           ///< relay data, or option 82, with impossible nesting
    garbage_message,             ///< a well-framed message that cannot be decoded
    data_missing,                ///< active: changes of the last `arg` seconds are lost, then DataMissing
    refuse,                      ///< accept, then close
    cut,                         ///< close at once, without a word
    done_with_error,             ///< the request ends with UnspecFail
    query_terminated,            ///< the request ends with QueryTerminated
    udp_drop,                    ///< the next `arg` datagrams are not answered
    udp_other_port,              ///< an answer from another port than the one asked
    udp_duplicate,               ///< an answer comes `arg` times more
    udp_delay,                   ///< an answer comes `arg` ms late
    associated_ip,               ///< v4 over UDP: an answer names the address of binding `arg` as the client's too
    tls_refused,                 ///< the upgrade is answered with TLSConnectionRefused
    tls_status,                  ///< the upgrade is answered with status number `arg`
    tls_no_answer,               ///< the upgrade is not answered at all
    tls_close,                   ///< the connection closes on the upgrade message
    tls_wrong_xid,               ///< the answer to the upgrade has another transaction-id
    tls_clear_octets,            ///< a message in clear text right behind the answer to the upgrade
    tls_truncated,               ///< half of the first flight of the handshake, then close
    tls_garbage,                 ///< no TLS in answer to the ClientHello
    tls_stall,                   ///< nothing in answer to the ClientHello
    tls_renegotiate,             ///< another handshake is asked for after the first (TLS 1.2 and older)
    tls_cut,                     ///< the connection ends without close_notify
    clock_jitter,                ///< the clock steps by up to `arg` ms, either way
    absurd_base_time,            ///< one message with a base-time of the year `arg`
    lease_in_ia,                 ///< v6: one message whose leases are inside IA_NA and IA_PD
    // These last for ever, on all connections, once they have struck.
    reorder,            ///< changes wait up to `arg` ms each before they are told, those of one unit in order
    unconfigure,        ///< about `arg` bindings are taken out of the configuration: they are in no answer any more
    unreadable_option,  ///< all messages about binding `arg` have a stray octet behind their last option
    unreadable_lease,   ///< all messages about binding `arg` cannot be read at all
};

/// Whether connections are secured, and how that begins (RFC 7653 §8.2, RFC 7724 §7.2).
enum class TlsMode : std::uint8_t {
    off,       ///< STARTTLS and DHCPTLS get TLSConnectionRefused
    starttls,  ///< after an upgrade message in clear text
    direct     ///< from the first octet
};

/// When a fault strikes. Counted per connection; it strikes `times` times over the whole server (0: no limit).
struct Trigger {
    enum class Kind : std::uint8_t { now, message, time, probability };
    Kind kind = Kind::now;
    std::uint64_t message = 0;          ///< the n-th message of a connection, from 1
    std::chrono::milliseconds time{0};  ///< since the server began
    double probability = 0;             ///< per message
    std::uint64_t times = 1;
};

/// A fault waits until it can strike: `close_in_catch_up` for a catch-up, `wrong_xid` for a message to send.
struct Fault {
    FaultKind kind = FaultKind::cut;
    std::optional<std::int64_t> arg;
    Trigger when;
};

/// NAME[=ARG]@WHEN with WHEN = now | msg:N | time:DURATION | prob:P, and *TIMES after it (default once, prob: always).
/// Names are those of FaultKind with '-' for '_'. Nothing if it cannot be read.
[[nodiscard]] std::optional<Fault> parse_fault(std::string_view text);
/// Applies a personality word (README.md lists them) to `p`; false if there is no such word.
[[nodiscard]] bool apply_personality(std::string_view word, Personality& p);
/// 500ms, 30s, 5m, 12h, 2d.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// Octets from hex digits, with or without colons between them.
[[nodiscard]] std::optional<Bytes> parse_hex(std::string_view text);

struct ServerOptions {
    ModelOptions model;
    Personality personality;
    std::vector<Fault> faults;
    std::optional<std::chrono::seconds> history_age = std::chrono::hours{1};  ///< none: unbounded
    std::optional<std::uint64_t> history_events;                              ///< none: unbounded
    int connections_max = bulk_lq_max_conns;
    double messages_per_second = 0;       ///< per connection; 0: as fast as it is read
    std::size_t chunk_bytes = 64 * 1024;  ///< about how much one poll() hands out
    TlsMode tls = TlsMode::off;
    bool clear_text_allowed = false;  ///< with `starttls`: who asks for no TLS is answered without
    Bytes server_id;                  ///< v6 DUID, or four octets in v4; empty: derived from the seed
    std::chrono::seconds idle_timeout = active_lq_idle_timeout;  ///< keep-alives
    std::chrono::seconds send_timeout = active_lq_send_timeout;  ///< a requestor that does not read an active query
    std::chrono::seconds data_timeout = bulk_lq_data_timeout;    ///< the same for bulk, and idle connections
};

}  // namespace leasemirror::leasesim
