// Every number of the DHCPv4 wire format that we use, once, each with where it is defined.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace leasemirror {

/// Option 53 (RFC 2132 §9.6). Only the types that travel in leasequery exchanges.
enum class MessageTypeV4 : std::uint8_t {
    lease_query = 10,         ///< RFC 4388 §6.1
    lease_unassigned = 11,    ///< RFC 4388 §6.1
    lease_unknown = 12,       ///< RFC 4388 §6.1; UDP only (RFC 6926 §5)
    lease_active = 13,        ///< RFC 4388 §6.1
    bulk_lease_query = 14,    ///< RFC 6926 §6.2.1
    lease_query_done = 15,    ///< RFC 6926 §6.2.1
    active_lease_query = 16,  ///< RFC 7724 §5.2.1
    lease_query_status = 17,  ///< RFC 7724 §5.2.1
    tls = 18,                 ///< RFC 7724 §5.2.1
};

/// Field `op` (RFC 2131 §2).
enum class OpV4 : std::uint8_t { boot_request = 1, boot_reply = 2 };

enum class OptionCodeV4 : std::uint8_t {
    pad = 0,                            ///< RFC 2132 §3.1
    host_name = 12,                     ///< RFC 2132 §3.14
    requested_ip_address = 50,          ///< RFC 2132 §9.1
    lease_time = 51,                    ///< RFC 2132 §9.2; remaining (RFC 4388 §6.4.2)
    overload = 52,                      ///< RFC 2132 §9.3
    message_type = 53,                  ///< RFC 2132 §9.6
    server_identifier = 54,             ///< RFC 2132 §9.7
    parameter_request_list = 55,        ///< RFC 2132 §9.8
    renewal_time = 58,                  ///< RFC 2132 §9.11
    rebinding_time = 59,                ///< RFC 2132 §9.12
    vendor_class = 60,                  ///< RFC 2132 §9.13
    client_identifier = 61,             ///< RFC 2132 §9.14
    client_fqdn = 81,                   ///< RFC 4702 §2
    relay_agent_information = 82,       ///< RFC 3046 §2
    client_last_transaction_time = 91,  ///< RFC 4388 §6.1
    associated_ip = 92,                 ///< RFC 4388 §6.1
    vendor_identifying_specific = 125,  ///< RFC 3925 §4
    status_code = 151,                  ///< RFC 6926 §6.2.2
    base_time = 152,                    ///< RFC 6926 §6.2.3
    start_time_of_state = 153,          ///< RFC 6926 §6.2.4
    query_start_time = 154,             ///< RFC 6926 §6.2.5
    query_end_time = 155,               ///< RFC 6926 §6.2.6
    dhcp_state = 156,                   ///< RFC 6926 §6.2.7
    data_source = 157,                  ///< RFC 6926 §6.2.8
    virtual_subnet_selection = 221,     ///< RFC 6607 §3.1
    end = 255,                          ///< RFC 2132 §3.2
};

/// Sub-options of option 82.
enum class RelaySubOptionV4 : std::uint8_t {
    circuit_id = 1,                          ///< RFC 3046 §3.1
    remote_id = 2,                           ///< RFC 3046 §3.2
    link_selection = 5,                      ///< RFC 3527 §3
    subscriber_id = 6,                       ///< RFC 3993 §2
    server_id_override = 11,                 ///< RFC 5107 §4
    relay_id = 12,                           ///< RFC 6925 §4
    virtual_subnet_selection = 151,          ///< RFC 6607 §3.2
    virtual_subnet_selection_control = 152,  ///< RFC 6607 §3.3
};

/// Option 151 (RFC 6926 §6.2.2, RFC 7724 §5.2.2). The same names have other numbers in v6.
enum class StatusCodeV4 : std::uint8_t {
    success = 0,
    unspec_fail = 1,
    query_terminated = 2,
    malformed_query = 3,
    not_allowed = 4,
    data_missing = 5,            ///< RFC 7724 §5.2.2
    connection_active = 6,       ///< RFC 7724 §5.2.2
    catch_up_complete = 7,       ///< RFC 7724 §5.2.2
    tls_connection_refused = 8,  ///< RFC 7724 §5.2.2
};

/// Option 156 (RFC 6926 §6.2.7).
enum class DhcpState : std::uint8_t {
    available = 1,
    active = 2,
    expired = 3,
    released = 4,
    abandoned = 5,
    reset = 6,
    remote = 7,
    transitioning = 8,
};

/// Option 52 (RFC 2132 §9.3): which fixed fields carry options.
enum class OverloadV4 : std::uint8_t { file = 1, sname = 2, both = 3 };

/// Options 221 and 68, sub-option 151: the type octet (RFC 6607 §3.5; 254: RFC 6926 §6.2.9).
enum class VssType : std::uint8_t { nvt_ascii = 0, rfc2685 = 1, all_vpns = 254, global = 255 };

/// An RFC 2685 VPN identifier is a three-octet OUI and a four-octet index (RFC 6607 §3.5).
inline constexpr std::size_t rfc2685_bytes = 7;

/// Flag REMOTE of option 157: bit 7 in the RFC's drawing, whose bit 0 is the most significant (RFC 6926 §6.2.8).
inline constexpr std::uint8_t data_source_remote = 0x01;

/// Flag E of option 81: the name is in canonical wire form (RFC 4702 §2.1).
inline constexpr std::uint8_t client_fqdn_wire_form = 0x04;

/// A time that never comes (RFC 2131 §3.3).
inline constexpr std::uint32_t infinite_seconds = 0xffffffff;

inline constexpr std::uint32_t magic_cookie_v4 = 0x63825363;  ///< RFC 2131 §3
inline constexpr std::size_t header_bytes_v4 = 240;           ///< BOOTP header and cookie (RFC 2131 §2)
inline constexpr std::size_t chaddr_bytes_v4 = 16;            ///< RFC 2131 §2
inline constexpr std::size_t sname_bytes_v4 = 64;             ///< RFC 2131 §2
inline constexpr std::size_t file_bytes_v4 = 128;             ///< RFC 2131 §2
inline constexpr std::uint16_t server_port_v4 = 67;           ///< RFC 6926 §6.3, RFC 7724 §5.3
inline constexpr std::uint16_t hw_type_ethernet = 1;          ///< IANA ARP hardware types

/// Timers of leasequery over TCP, the same in both families: RFC 6926 §6.3, RFC 7724 §5.3, RFC 5460 §5.6,
/// RFC 7653 §6.4.
inline constexpr std::chrono::seconds bulk_lq_data_timeout{300};
inline constexpr int bulk_lq_max_conns = 10;
inline constexpr std::chrono::seconds active_lq_rcv_timeout{120};
inline constexpr std::chrono::seconds active_lq_send_timeout{120};
inline constexpr std::chrono::seconds active_lq_idle_timeout{60};

/// UDP retransmission (RFC 2131 §4.1, by RFC 4388 §6.6): 4, 8, 16, 32, 64 s, each one second more or less.
inline constexpr std::chrono::seconds udp_backoff_first_v4{4};
inline constexpr std::chrono::seconds udp_backoff_max_v4{64};
inline constexpr std::chrono::seconds udp_backoff_jitter_v4{1};

}  // namespace leasemirror
