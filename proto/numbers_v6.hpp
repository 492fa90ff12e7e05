// Every number of the DHCPv6 wire format that we use, once, each with where it is defined.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace leasemirror {

enum class MessageTypeV6 : std::uint8_t {
    reply = 7,                ///< RFC 8415 §7.3; the answer to STARTTLS (RFC 7653 §6.2.3)
    relay_forward = 12,       ///< RFC 8415 §7.3; inside LQ_RELAY_DATA only
    lease_query = 14,         ///< RFC 5007 §4.1.1
    lease_query_reply = 15,   ///< RFC 5007 §4.1.1
    lease_query_done = 16,    ///< RFC 5460 §5.2.2
    lease_query_data = 17,    ///< RFC 5460 §5.2.1
    active_lease_query = 22,  ///< RFC 7653 §6.2.1
    start_tls = 23,           ///< RFC 7653 §6.2.2
};

enum class OptionCodeV6 : std::uint16_t {
    client_id = 1,                   ///< RFC 8415 §21.2
    server_id = 2,                   ///< RFC 8415 §21.3
    ia_na = 3,                       ///< RFC 8415 §21.4; not in leasequery
    ia_ta = 4,                       ///< RFC 8415 §21.5; not in leasequery
    ia_address = 5,                  ///< RFC 8415 §21.6
    option_request = 6,              ///< RFC 8415 §21.7
    relay_message = 9,               ///< RFC 8415 §21.10
    status_code = 13,                ///< RFC 8415 §21.13
    interface_id = 18,               ///< RFC 8415 §21.18
    ia_pd = 25,                      ///< RFC 8415 §21.21; not in leasequery
    ia_prefix = 26,                  ///< RFC 8415 §21.22
    remote_id = 37,                  ///< RFC 4649 §3
    subscriber_id = 38,              ///< RFC 4580 §2
    client_fqdn = 39,                ///< RFC 4704 §4
    lq_query = 44,                   ///< RFC 5007 §4.1.2.1
    client_data = 45,                ///< RFC 5007 §4.1.2.2
    client_time = 46,                ///< RFC 5007 §4.1.2.3
    lq_relay_data = 47,              ///< RFC 5007 §4.1.2.4
    lq_client_link = 48,             ///< RFC 5007 §4.1.2.5; UDP only (RFC 5460 §4)
    relay_id = 53,                   ///< RFC 5460 §5.4.1
    virtual_subnet_selection = 68,   ///< RFC 6607 §3.4
    client_link_layer_address = 79,  ///< RFC 6939 §4
    lq_base_time = 100,              ///< RFC 7653 §6.3.1
    lq_start_time = 101,             ///< RFC 7653 §6.3.2
    lq_end_time = 102,               ///< RFC 7653 §6.3.3
    failover_binding_status = 114,   ///< RFC 8156 §5.5.1
};

/// First octet of OPTION_LQ_QUERY.
enum class QueryTypeV6 : std::uint8_t {
    by_address = 1,       ///< RFC 5007 §4.1.2.1
    by_client_id = 2,     ///< RFC 5007 §4.1.2.1
    by_relay_id = 3,      ///< RFC 5460 §5.3.1; TCP only
    by_link_address = 4,  ///< RFC 5460 §5.3.2; TCP only
    by_remote_id = 5,     ///< RFC 5460 §5.3.3; TCP only
};

/// OPTION_STATUS_CODE. The same names have other numbers in v4.
enum class StatusCodeV6 : std::uint16_t {
    success = 0,                  ///< RFC 8415 §21.13
    unspec_fail = 1,              ///< RFC 8415 §21.13
    unknown_query_type = 7,       ///< RFC 5007 §4.1.3
    malformed_query = 8,          ///< RFC 5007 §4.1.3
    not_configured = 9,           ///< RFC 5007 §4.1.3
    not_allowed = 10,             ///< RFC 5007 §4.1.3
    query_terminated = 11,        ///< RFC 5460 §5.5
    data_missing = 12,            ///< RFC 7653 §11
    catch_up_complete = 13,       ///< RFC 7653 §11
    not_supported = 14,           ///< RFC 7653 §11
    tls_connection_refused = 15,  ///< RFC 7653 §11
};

/// OPTION_F_BINDING_STATUS (RFC 8156 §5.5.1).
enum class BindingStatusV6 : std::uint8_t {
    active = 1,
    expired = 2,
    released = 3,
    pending_free = 4,
    free = 5,
    free_backup = 6,
    abandoned = 7,
    reset = 8,
};

/// First two octets of a DUID (RFC 8415 §11; 4: RFC 6355 §4).
enum class DuidType : std::uint16_t { link_layer_time = 1, enterprise = 2, link_layer = 3, uuid = 4 };

/// A DUID is a type and at most 128 octets (RFC 8415 §11.1).
inline constexpr std::size_t ia_header_bytes = 12;  ///< IA_NA and IA_PD before their options (RFC 8415 §21.4, §21.21)
inline constexpr std::size_t ia_ta_header_bytes = 4;  ///< RFC 8415 §21.5
inline constexpr std::size_t duid_bytes_max = 130;

/// 2000-01-01 00:00 UTC in Unix seconds: the epoch of options 100-102 (RFC 7653 §6.3.1) and of DUID-LLT
/// (RFC 8415 §11.2).
inline constexpr std::int64_t epoch_2000 = 946684800;

inline constexpr std::size_t header_bytes_v6 = 4;         ///< RFC 8415 §8
inline constexpr std::size_t relay_header_bytes_v6 = 34;  ///< RFC 8415 §9
inline constexpr std::uint16_t server_port_v6 = 547;      ///< RFC 5460 §5.6, RFC 7653 §6.4
inline constexpr std::uint16_t client_port_v6 = 546;      ///< RFC 8415 §7.2

/// As many relays as a message may pass through (RFC 8415 §7.6, HOP_COUNT_LIMIT); older servers allow 32
/// (RFC 3315 §5.5), so we read that many.
inline constexpr int relay_depth_max_v6 = 32;

/// UDP retransmission of LEASEQUERY (RFC 5007 §4.1.4): IRT, MRT, MRC.
inline constexpr std::chrono::seconds lq_timeout_v6{1};
inline constexpr std::chrono::seconds lq_max_rt_v6{10};
inline constexpr int lq_max_rc_v6 = 5;

}  // namespace leasemirror
