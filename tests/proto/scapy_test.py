#!/usr/bin/env python3
"""Our datagrams against an encoder that is not ours: scapy, as Debian packages it.

Each query is built here from scapy's layers and compared with ours octet for octet; ours are taken apart by scapy;
and replies built by scapy are read by us. What scapy 2.5 does not know of RFC 5007 is declared below from its fields.

UDP_HEX names the program (tests/proto/udp/hex.cpp) that asks and reads.
"""
import json
import os
import struct
import subprocess
import unittest

try:
    from scapy.fields import ByteField, FieldLenField, IntField, IP6Field, ShortField, StrLenField
    from scapy.layers.dhcp import BOOTP, DHCP
    from scapy.layers.dhcp6 import (DHCP6, DHCP6_RelayForward, DHCP6OptClientFQDN, DHCP6OptClientId,
                                    DHCP6OptIAAddress, DHCP6OptIAPrefix, DHCP6OptIfaceId, DHCP6OptLQClientLink,
                                    DHCP6OptOptReq, DHCP6OptRelayMsg, DHCP6OptRemoteID, DHCP6OptServerId,
                                    DHCP6OptStatusCode, DHCP6OptUnknown, DUID_LL, DUID_LLT)
    from scapy.packet import Packet, Raw
except ImportError as e:
    raise SystemExit(f"{e}: deploy/packages.sh test installs it")

MAC = "02:00:00:00:00:01"
CLIENT = DUID_LL(hwtype=1, lladdr=MAC)
US = DUID_LL(hwtype=1, lladdr="02:00:de:ad:be:ef")
SERVER = DUID_LLT(hwtype=1, timeval=1000, lladdr="02:00:00:00:00:99")
GIADDR = "192.0.2.99"
NOW = 1_700_000_000  # what udp_hex takes the servers' clocks to show

# Asked for in every query: the table `binding` has a column for each; then what the settings add, then associated-ip.
OPTIONS_V4 = [152, 51, 153, 91, 156, 157, 82, 61, 54, 58, 59, 12, 81, 60, 221, 43, 92]
OPTIONS_V6 = [100, 47, 37, 39, 114, 68, 16]


class Container(Packet):
    """A DHCPv6 option with options inside: their octets are the payload of `inner`."""

    def __init__(self, *args, inner=(), **kwargs):
        super().__init__(*args, **kwargs)
        if inner:
            self.inner = b"".join(bytes(option) for option in inner)


class LqQuery(Container):  # RFC 5007 section 4.1.2.1
    fields_desc = [ShortField("optcode", 44),
                   FieldLenField("optlen", None, length_of="inner", fmt="!H", adjust=lambda _, length: length + 17),
                   ByteField("query_type", 0), IP6Field("link_address", "::"),
                   StrLenField("inner", b"", length_from=lambda packet: packet.optlen - 17)]


class ClientData(Container):  # RFC 5007 section 4.1.2.2
    fields_desc = [ShortField("optcode", 45), FieldLenField("optlen", None, length_of="inner", fmt="!H"),
                   StrLenField("inner", b"", length_from=lambda packet: packet.optlen)]


class CltTime(Packet):  # RFC 5007 section 4.1.2.3
    fields_desc = [ShortField("optcode", 46), ShortField("optlen", 4), IntField("seconds", 0)]


class LqRelayData(Container):  # RFC 5007 section 4.1.2.4
    fields_desc = [ShortField("optcode", 47),
                   FieldLenField("optlen", None, length_of="inner", fmt="!H", adjust=lambda _, length: length + 16),
                   IP6Field("peer_address", "::"),
                   StrLenField("inner", b"", length_from=lambda packet: packet.optlen - 16)]


class BaseTime(Packet):  # RFC 7653 section 6.3.1
    fields_desc = [ShortField("optcode", 100), ShortField("optlen", 4), IntField("seconds", 0)]


class Conversation:
    """One run of udp_hex."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([os.environ["UDP_HEX"], *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.sent = []
        self._read_sends()

    def _read_sends(self):
        for line in self.process.stdout:
            if line == ".\n":
                return
            word, octets = line.split()
            assert word == "send", line
            self.sent.append(bytes.fromhex(octets))
        raise AssertionError("udp_hex ended early")

    def hear(self, datagram, source):
        self.process.stdin.write(f"{source} {bytes(datagram).hex()}\n")
        self.process.stdin.flush()
        self._read_sends()

    def end(self):
        out, _ = self.process.communicate()
        assert self.process.returncode == 0
        return json.loads(out)


def xid_v4(datagram):
    return struct.unpack("!I", datagram[4:8])[0]


def xid_v6(datagram):
    return int.from_bytes(datagram[1:4], "big")


class RequestsV4(unittest.TestCase):
    def check(self, kind, value, options=(), **fields):
        conversation = Conversation("v4", kind, value)
        ours, = conversation.sent
        self.assertFalse(conversation.end()["done"])
        fields = {"htype": 0, "hlen": 0, **fields}
        theirs = bytes(BOOTP(op=1, xid=xid_v4(ours), giaddr=GIADDR, **fields) /
                       DHCP(options=[("message-type", 10), ("param_req_list", OPTIONS_V4), *options, "end"]))
        self.assertEqual(ours.hex(), theirs.ljust(300, b"\0").hex())
        return BOOTP(ours)

    def test_by_address(self):
        dissected = self.check("address", "10.0.0.5", ciaddr="10.0.0.5")
        self.assertEqual(dissected.ciaddr, "10.0.0.5")
        self.assertEqual(dissected.giaddr, GIADDR)
        options = dict(o[:2] for o in dissected[DHCP].options if isinstance(o, tuple))
        self.assertEqual(options["message-type"], 10)
        self.assertEqual(options["param_req_list"], OPTIONS_V4)
        self.assertNotIn("client_id", options)

    def test_by_hardware_address(self):
        dissected = self.check("hw_addr", "020000000001", htype=1, hlen=6, chaddr=bytes.fromhex("020000000001"))
        self.assertEqual(dissected.hlen, 6)
        self.assertEqual(dissected.ciaddr, "0.0.0.0")

    def test_by_client_id(self):
        dissected = self.check("client_id", "01020000000001", [("client_id", bytes.fromhex("01020000000001"))])
        self.assertIn(("client_id", bytes.fromhex("01020000000001")), dissected[DHCP].options)

    def test_by_remote_id(self):
        dissected = self.check("remote_id", "0a0b0c", [("relay_agent_information", b"\x02\x03\x0a\x0b\x0c")])
        self.assertIn(("relay_agent_information", b"\x02\x03\x0a\x0b\x0c"), dissected[DHCP].options)


class RequestsV6(unittest.TestCase):
    def check(self, arguments, query_type, key, link="::"):
        """A comparison of octets; then ours as scapy sees it: its options at message level and in the query."""
        ours, = self.sent(arguments)
        wanted = DHCP6OptOptReq(reqopts=OPTIONS_V6)
        # Options in ascending order, as our encoder writes them: no RFC asks for any.
        inner = sorted([key, wanted], key=lambda option: option.optcode)
        theirs = (DHCP6(msgtype=14, trid=xid_v6(ours)) / DHCP6OptClientId(duid=US) / wanted /
                  LqQuery(query_type=query_type, link_address=link, inner=inner))
        self.assertEqual(ours.hex(), bytes(theirs).hex())

        dissected = DHCP6(ours)
        self.assertEqual(dissected.msgtype, 14)
        self.assertEqual(bytes(dissected[DHCP6OptClientId].duid), bytes(US))
        query = LqQuery(bytes(dissected[DHCP6OptUnknown]))
        self.assertEqual((query.query_type, query.link_address), (query_type, link))
        return query

    def sent(self, arguments):
        conversation = Conversation("v6", *arguments)
        conversation.end()
        return conversation.sent

    def test_by_address(self):
        key = DHCP6OptIAAddress(addr="2001:db8:1::5", preflft=0, validlft=0)
        query = self.check(["address", "2001:db8:1::5"], 1, key)
        self.assertEqual(DHCP6OptIAAddress(query.inner).addr, "2001:db8:1::5")

    def test_by_address_on_a_link(self):
        key = DHCP6OptIAAddress(addr="2001:db8:1::5", preflft=0, validlft=0)
        self.check(["address", "2001:db8:1::5", "2001:db8:1::"], 1, key, "2001:db8:1::")

    def test_by_client_id(self):
        query = self.check(["client_id", bytes(CLIENT).hex()], 2, DHCP6OptClientId(duid=CLIENT))
        self.assertEqual(bytes(DHCP6OptClientId(query.inner).duid), bytes(CLIENT))

    def test_by_client_id_on_a_link(self):
        self.check(["client_id", bytes(CLIENT).hex(), "2001:db8:2::"], 2, DHCP6OptClientId(duid=CLIENT), "2001:db8:2::")


class RepliesV4(unittest.TestCase):
    SOURCE = "192.0.2.1"

    def ask(self, kind, value):
        self.conversation = Conversation("v4", kind, value)

    def reply(self, message_type, options=(), to=-1, **fields):
        fields = {"htype": 0, "hlen": 0, "ciaddr": "0.0.0.0", **fields}
        datagram = (BOOTP(op=2, xid=xid_v4(self.conversation.sent[to]), giaddr=GIADDR, **fields) /
                    DHCP(options=[("message-type", message_type), *options, "end"]))
        self.conversation.hear(datagram, self.SOURCE)

    def active(self, address, options=(), **kwargs):
        self.reply(13, options, ciaddr=address, htype=1, hlen=6, chaddr=bytes.fromhex("020000000001"), **kwargs)

    def test_active_with_every_option(self):
        self.ask("address", "10.0.0.5")
        self.active("10.0.0.5", [
            ("lease_time", 600), ("server_id", "192.0.2.1"), ("renewal_time", 250), ("hostname", b"laptop"),
            ("client_id", b"\x01\x02\x00\x00\x00\x00\x01"), ("client-last-transaction-time", 50),
            ("relay_agent_information", b"\x01\x04port\x02\x04line"), (43, b"\x01\x01\x07"),
            (152, struct.pack("!I", NOW + 30)), (153, struct.pack("!I", 70)), (156, b"\x02")])
        told = self.conversation.end()
        self.assertTrue(told["done"])
        self.assertEqual(told["outcome"], "found")
        self.assertEqual(told["server_id"], "c0000201")
        self.assertEqual(told["discards"], {})
        self.assertEqual(told["bindings"], [{
            "address": "10.0.0.5", "prefix_len": 32, "kind": "address", "vpn_id": "", "state": "active",
            "client_id": "01020000000001", "hw_addr": "020000000001", "hostname": "laptop", "via": "query",
            "base_time": NOW + 30, "client_last_seen": NOW - 20, "state_since": NOW - 40, "expires_at": NOW + 630,
            "preferred_until": None, "renew_at": NOW + 280, "link_address": None, "relay_address": None,
            "circuit_id": b"port".hex(), "remote_id": b"line".hex(), "options": "002b0003010107"}])

    def test_options_split_and_overloaded(self):
        """RFC 3396: one option in pieces; RFC 2132 section 9.3: options in file and sname, in that order."""
        self.ask("address", "10.0.0.5")
        remote_id = bytes(range(200))
        option_82 = b"\x01\xc8" + remote_id + b"\x02\xc8" + remote_id
        self.active("10.0.0.5", [("dhcp-option-overload", 3), ("relay_agent_information", option_82[:200]),
                                 ("relay_agent_information", option_82[200:300])],
                    file=b"\x52\x68" + option_82[300:] + b"\xff", sname=b"\x0c\x04name\x33\x04\0\0\0\x0a\xff")
        binding, = self.conversation.end()["bindings"]
        self.assertEqual(binding["remote_id"], remote_id.hex())
        self.assertEqual(binding["circuit_id"], remote_id.hex())
        self.assertEqual((binding["hostname"], binding["expires_at"]), ("name", NOW + 10))

    def test_associated_addresses_are_asked_for(self):
        self.ask("hw_addr", "020000000001")
        self.active("10.0.0.5", [(92, bytes([10, 0, 0, 5, 10, 0, 0, 6, 10, 0, 0, 7]))])
        asked = [BOOTP(datagram) for datagram in self.conversation.sent[1:]]
        self.assertEqual([(q.ciaddr, q.htype, q.hlen) for q in asked], [("10.0.0.6", 0, 0), ("10.0.0.7", 0, 0)])
        self.active("10.0.0.6", to=1)
        self.reply(11, ciaddr="10.0.0.7", to=2)
        told = self.conversation.end()
        self.assertEqual([part["outcome"] for part in told["parts"]], ["found", "found", "unassigned"])
        self.assertEqual([(b["address"], b["state"]) for b in told["bindings"]],
                         [("10.0.0.5", "active"), ("10.0.0.6", "active"), ("10.0.0.7", "available")])
        self.assertTrue(told["complete"])

    def test_unknown_remote_id(self):
        self.ask("remote_id", "0a0b0c")
        self.reply(12, [("relay_agent_information", b"\x02\x03\x0a\x0b\x0d")])
        self.reply(12, [("relay_agent_information", b"\x02\x03\x0a\x0b\x0c")])
        told = self.conversation.end()
        self.assertEqual(told["outcome"], "unknown")
        self.assertEqual(told["discards"], {"about something not asked": 1})

    def test_forged(self):
        self.ask("address", "10.0.0.5")
        self.SOURCE = "192.0.2.66"
        self.active("10.0.0.5")
        told = self.conversation.end()
        self.assertFalse(told["done"])
        self.assertEqual(told["discards"], {"unexpected source": 1})


class RepliesV6(unittest.TestCase):
    SOURCE = "2001:db8::1"

    def ask(self, *arguments):
        self.conversation = Conversation("v6", *arguments)

    def reply(self, *options, to=-1, server=SERVER):
        datagram = DHCP6(msgtype=15, trid=xid_v6(self.conversation.sent[to])) / DHCP6OptClientId(duid=US)
        for option in (DHCP6OptServerId(duid=server), *options):
            datagram /= Raw(bytes(option))
        self.conversation.hear(datagram, self.SOURCE)

    @staticmethod
    def client_data(*leases, more=()):
        return ClientData(inner=[DHCP6OptClientId(duid=CLIENT), *leases, CltTime(seconds=100), *more])

    def test_address_and_prefix_behind_two_relays(self):
        self.ask("address", "2001:db8:1::5")
        inner = (DHCP6_RelayForward(linkaddr="2001:db8:1::1", peeraddr="fe80::1") / DHCP6OptIfaceId(ifaceid=b"ge-0/0/0") /
                 DHCP6OptRemoteID(enterprisenum=9, remoteid=b"line"))
        outer = DHCP6_RelayForward(hopcount=1, peeraddr="fe80::2") / DHCP6OptRelayMsg(message=inner)
        self.reply(BaseTime(seconds=NOW + 5 - 946684800), self.client_data(
            DHCP6OptIAAddress(addr="2001:db8:1::5", preflft=300, validlft=600),
            DHCP6OptIAPrefix(prefix="2001:db8:100::", plen=56, preflft=700, validlft=800),
            more=[DHCP6OptClientFQDN(fqdn="laptop.example."), LqRelayData(peer_address="fe80::2", inner=[outer])]))
        told = self.conversation.end()
        self.assertEqual(told["discards"], {})
        self.assertEqual(told["notes"], [])
        self.assertEqual(told["server_id"], bytes(SERVER).hex())
        address, prefix = told["bindings"]
        self.assertEqual(address, {
            "address": "2001:db8:1::5", "prefix_len": 128, "kind": "address", "vpn_id": "", "state": "active",
            "client_id": bytes(CLIENT).hex(), "hw_addr": MAC.replace(":", ""), "hostname": "laptop.example",
            "via": "query", "base_time": NOW + 5, "client_last_seen": NOW - 95, "state_since": None,
            "expires_at": NOW + 605, "preferred_until": NOW + 305, "renew_at": None, "link_address": "2001:db8:1::1",
            "relay_address": "fe80::2", "circuit_id": b"ge-0/0/0".hex(), "remote_id": "00000009" + b"line".hex(),
            "options": ""})
        self.assertEqual((prefix["address"], prefix["prefix_len"], prefix["kind"]), ("2001:db8:100::", 56, "prefix"))
        self.assertEqual((prefix["preferred_until"], prefix["expires_at"]), (NOW + 705, NOW + 805))

    def test_links_are_followed(self):
        self.ask("client_id", bytes(CLIENT).hex())
        self.reply(DHCP6OptLQClientLink(linkaddress=["2001:db8:1::", "2001:db8:2::"]))
        links = [LqQuery(bytes(DHCP6(datagram)[DHCP6OptUnknown])).link_address
                 for datagram in self.conversation.sent[1:]]
        self.assertEqual(links, ["2001:db8:1::", "2001:db8:2::"])
        for i in (1, 2):
            self.reply(self.client_data(DHCP6OptIAAddress(addr=f"2001:db8:{i}::5", preflft=300, validlft=600)), to=i)
        told = self.conversation.end()
        self.assertEqual([part["outcome"] for part in told["parts"]], ["several links", "found", "found"])
        self.assertEqual([b["address"] for b in told["bindings"]], ["2001:db8:1::5", "2001:db8:2::5"])

    def test_refusal(self):
        self.ask("address", "2001:db8:1::5")
        self.reply(DHCP6OptStatusCode(statuscode=9, statusmsg=b"not a configured link"))
        told = self.conversation.end()
        self.assertEqual(told["outcome"], "refused")
        self.assertEqual(told["parts"][0]["text"], "NotConfigured: not a configured link")

    def test_another_clients_data(self):
        self.ask("client_id", bytes(SERVER).hex())
        self.reply(self.client_data(DHCP6OptIAAddress(addr="2001:db8:1::5", preflft=300, validlft=600)))
        self.assertEqual(self.conversation.end()["discards"], {"about something not asked": 1})


if __name__ == "__main__":
    unittest.main()
