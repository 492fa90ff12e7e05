// One message of every DHCPv6 leasequery type, written by hand from RFC 5007, 5460, 7653 and 8415.
#pragma once

#include "tests/golden/hex.hpp"

#include <array>

namespace leasemirror::golden {

inline constexpr Message v6_lease_query{"LEASEQUERY by address", R"(
    0e 000201              # type 14, xid
    0001 000a 00030001 0200deadbeef  # CLIENTID: the requestor's DUID-LL
    002c 0033              # LQ_QUERY
       01                  #   QUERY_BY_ADDRESS
       20010db8000100000000000000000000  #   link-address 2001:db8:1::
       0005 0018           #   IAADDR
          20010db8000100000000000000000001  #     2001:db8:1::1
          00000000 00000000  #     lifetimes: none asked for
       0006 0002 002f      #   ORO: LQ_RELAY_DATA
)"};

inline constexpr Message v6_lease_query_reply{"LEASEQUERY-REPLY with an address, a prefix and two relays", R"(
    0f 000202              # type 15, xid
    0001 000a 00030001 0200deadbeef  # CLIENTID: ours
    0002 0006 0002 00007a69  # SERVERID: DUID-EN
    000d 0004 0000 "ok"    # STATUS_CODE Success
    002d 00e7              # CLIENT_DATA
       0001 000e 00010001 30000000 020000000001  #   CLIENTID: DUID-LLT of the client
       0005 001d           #   IAADDR
          20010db8000100000000000000000001  #     2001:db8:1::1
          00000708         #     preferred: 1800 s remain
          00000e10         #     valid: 3600 s remain
          0072 0001 01     #     F_BINDING_STATUS ACTIVE
       001a 0021           #   IAPREFIX
          00000e10         #     preferred: 3600 s remain
          00001c20         #     valid: 7200 s remain
          38               #     /56
          20010db8800001000000000000000000  #     2001:db8:8000:100::
          000d 0004 0000 "ok"  #     STATUS_CODE
       0027 0010 00 06 "laptop" 07 "example"  #   client FQDN
       002e 0004 00000078  #   CLT_TIME: 120 s ago
       002f 0066           #   LQ_RELAY_DATA
          fe800000000000000000000000000002  #     peer-address
          0c 01            #     RELAY-FORW, hop 1: the outer relay
          00*16            #     link-address ::
          fe800000000000000000000000000002  #     peer-address
          0009 0030        #     RELAY_MSG
             0c 00         #       RELAY-FORW, hop 0: the relay next to the client
             20010db8000100000000000000000001  #       link-address 2001:db8:1::1
             fe800000000000000000000000000001  #       peer-address
             0012 000a "ge-0/0/0:7"  #       INTERFACE_ID
       0044 0005 00 "blue"  #   VSS: VPN by name
    0064 0004 30000078     # LQ_BASE_TIME, seconds since 2000
)"};

inline constexpr Message v6_lease_query_done{"LEASEQUERY-DONE QueryTerminated", R"(
    10 000202              # type 16, xid
    000d 0006 000b "stop"  # STATUS_CODE QueryTerminated
    0064 0004 30000079     # LQ_BASE_TIME
)"};

inline constexpr Message v6_lease_query_data{"LEASEQUERY-DATA of two clients", R"(
    11 000202              # type 17, xid
    002d 0032              # CLIENT_DATA
       0001 000a 00030001 020000000002  #   CLIENTID: DUID-LL
       0005 0018           #   IAADDR
          20010db8000100000000000000000002
          ffffffff ffffffff  #     infinite
       002e 0004 00000000  #   CLT_TIME
    002d 001a              # CLIENT_DATA: the client holds nothing any more
       0001 000e 0004 00112233445566778899aabb  #   CLIENTID: a DUID-UUID cut short, opaque to us
       002e 0004 0000000a  #   CLT_TIME
    0064 0004 30000078     # LQ_BASE_TIME
)"};

inline constexpr Message v6_active_lease_query{"ACTIVELEASEQUERY from a base-time", R"(
    16 000203              # type 22, xid
    0001 000a 00030001 0200deadbeef
    0006 0004 0064 002f    # ORO: LQ_BASE_TIME, LQ_RELAY_DATA
    0065 0004 30000000     # LQ_START_TIME
)"};

inline constexpr Message v6_start_tls{"STARTTLS", R"(
    17 000204              # type 23, xid; no options (RFC 7653 §8.2)
)"};

inline constexpr Message v6_reply{"REPLY that refuses TLS", R"(
    07 000204              # type 7, xid
    000d 0002 000f         # STATUS_CODE TLSConnectionRefused
)"};

inline constexpr std::array<Message, 7> messages_v6{
    v6_lease_query, v6_lease_query_reply, v6_lease_query_done, v6_lease_query_data, v6_active_lease_query, v6_start_tls,
    v6_reply};

}  // namespace leasemirror::golden
