// One message of every DHCPv4 leasequery type, written by hand from RFC 2131, 4388, 6926 and 7724.
#pragma once

#include "tests/golden/hex.hpp"

#include <array>

namespace leasemirror::golden {

inline constexpr Message v4_lease_query{"DHCPLEASEQUERY by address", R"(
    01 00 00 00         # op BOOTREQUEST, htype 0, hlen 0, hops 0 (RFC 4388 §6.2)
    00000101            # xid
    0000 0000           # secs, flags
    0a0a0001            # ciaddr 10.10.0.1: the address asked about
    00000000 00000000   # yiaddr, siaddr
    c0000201            # giaddr 192.0.2.1: where the answer goes
    00*16 00*64 00*128  # chaddr, sname, file
    63825363            # cookie
    35 01 0a            # message type 10
    37 05 33 3a 3b 52 5b  # parameter request list: 51 58 59 82 91
    ff                  # end
)"};

inline constexpr Message v4_lease_active{"DHCPLEASEACTIVE with every option we know", R"(
    02 01 06 00         # op BOOTREPLY, htype Ethernet, hlen 6, hops 0
    deadbeef            # xid
    0000 0000           # secs, flags
    0a0a0001            # ciaddr 10.10.0.1: the address that is bound
    00000000 00000000   # yiaddr, siaddr
    c0000201            # giaddr 192.0.2.1
    020000000001 00*10  # chaddr
    00*64 00*128        # sname, file
    63825363            # cookie
    35 01 0d            # message type 13
    0c 06 "laptop"      # host name
    33 04 00000e10      # lease time: 3600 s remain
    36 04 c6336401      # server identifier 198.51.100.1
    3a 04 00000384      # renewal time: 900 s remain
    3b 04 00000960      # rebinding time: 2400 s remain
    3c 04 "MSFT"        # vendor class: not typed, kept
    3d 07 01020000000001  # client identifier
    51 12 04 00 00 06 "laptop" 07 "example"  # client FQDN: E set, wire form, no root label
    5b 04 00000078      # client last transaction: 120 s ago
    97 03 00 "ok"       # status Success
    98 04 6b000000      # base time
    99 04 00001c20      # start time of state: 7200 s ago
    9c 01 02            # dhcp-state ACTIVE
    9d 01 fd            # data source: REMOTE (0x01), and unassigned bits that mean nothing
    dd 05 00 "blue"     # VSS: VPN by name
    52 22               # relay agent information
       01 04 "eth1"     #   circuit id
       02 05 "dslam"    #   remote id
       05 04 0a0a0000   #   link selection 10.10.0.0
       06 04 "sub7"     #   subscriber id
       0c 07 "relay-A"  #   relay id
    ff
)"};

inline constexpr Message v4_lease_unassigned{"DHCPLEASEUNASSIGNED of an expired lease", R"(
    02 00 00 00         # op BOOTREPLY, no hardware address
    00000102            # xid
    0000 0000
    0a0a0002            # ciaddr 10.10.0.2
    00000000 00000000 00000000
    00*16 00*64 00*128
    63825363
    35 01 0b            # message type 11
    3d 07 01020000000002  # the last client (RFC 6926 §7.3)
    5b 04 00015180      # it was last heard a day ago
    98 04 6b000000      # base time
    99 04 0000003c      # in this state for 60 s
    9c 01 03            # dhcp-state EXPIRED
    ff
)"};

inline constexpr Message v4_lease_unknown{"DHCPLEASEUNKNOWN", R"(
    02 00 00 00
    00000103
    0000 0000
    0a0a0003 00000000 00000000 c0000201
    00*16 00*64 00*128
    63825363
    35 01 0c            # message type 12
    ff
)"};

inline constexpr Message v4_bulk_lease_query{"DHCPBULKLEASEQUERY by relay-id with a window", R"(
    01 00 00 00
    00000104
    0000 0000
    00000000 00000000 00000000 00000000  # all zero (RFC 6926 §8.2)
    00*16 00*64 00*128
    63825363
    35 01 0e            # message type 14
    37 06 33 5b 98 99 9c 9d  # parameter request list
    9a 04 6affff00      # query start time
    9b 04 6b000000      # query end time
    dd 01 fe            # VSS 254: all VPNs (RFC 6926 §6.2.9)
    52 09               # relay agent information
       0c 07 "relay-A"  #   relay id
    ff
)"};

inline constexpr Message v4_lease_query_done{"DHCPLEASEQUERYDONE that refuses", R"(
    02 00 00 00
    00000104
    0000 0000
    00000000 00000000 00000000 00000000
    00*16 00*64 00*128
    63825363
    35 01 0f            # message type 15
    36 04 c6336401      # server identifier
    97 0b 04 "not for us"  # status NotAllowed
    ff
)"};

inline constexpr Message v4_active_lease_query{"DHCPACTIVELEASEQUERY from a base-time", R"(
    01 00 00 00
    00000105
    0000 0000
    00000000 00000000 00000000 00000000
    00*16 00*64 00*128
    63825363
    35 01 10            # message type 16
    37 06 33 5b 98 99 9c 9d
    9a 04 6b000000      # query start time
    ff
)"};

inline constexpr Message v4_lease_query_status{"DHCPLEASEQUERYSTATUS CatchUpComplete", R"(
    02 00 00 00
    00000105
    0000 0000
    00000000 00000000 00000000 00000000
    00*16 00*64 00*128
    63825363
    35 01 11            # message type 17
    97 01 07            # status CatchUpComplete, no text
    98 04 6b00000a      # base time
    ff
)"};

inline constexpr Message v4_tls{"DHCPTLS", R"(
    01 00 00 00
    00000106
    0000 0000
    00000000 00000000 00000000 00000000
    00*16 00*64 00*128
    63825363
    35 01 12            # message type 18; no other option (RFC 7724 §7.2)
    ff
)"};

inline constexpr std::array<Message, 9> messages_v4{v4_lease_query,        v4_lease_active,       v4_lease_unassigned,
                                                    v4_lease_unknown,      v4_bulk_lease_query,   v4_lease_query_done,
                                                    v4_active_lease_query, v4_lease_query_status, v4_tls};

}  // namespace leasemirror::golden
