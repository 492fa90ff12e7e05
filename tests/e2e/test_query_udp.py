"""`leasemirror query` over UDP: against peers played by hand, who forge and fall silent, and against leasesim."""

import ipaddress
import json
import os
import pathlib
import signal
import socket
import threading

import wire
from asking import DUID, Asking, with_most
from harness import PATIENCE, key_of, main, sim_server, yaml_server

LOOPBACK = {"v4": "127.0.0.1", "v6": "::1"}


def udp_socket(family):
    s = socket.socket(socket.AF_INET if family == "v4" else socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind((LOOPBACK[family], 0))
    return s


class UdpPeer:
    """A DHCP server on one UDP socket, played by hand: wire.Query knows how to answer."""

    def __init__(self, family):
        self.family = family
        self.server = self  # as wire.Query asks a connection
        self.address = LOOPBACK[family]
        self.socket = udp_socket(family)
        self.socket.settimeout(PATIENCE)
        self.port = self.socket.getsockname()[1]
        self.asked = []

    def query(self):
        message, self.requestor = self.socket.recvfrom(65536)
        query = wire.Query(self, message)
        if query.xid in [known.xid for known in self.asked]:  # sent again, since we were slow
            return self.query()
        self.asked.append(query)
        return query

    def send(self, framed):
        self.socket.sendto(framed[2:], self.requestor)  # no length in front of a datagram

    def close(self):
        self.socket.close()


def free_udp_port():
    with udp_socket("v4") as s:
        return s.getsockname()[1]


BASE = 1795180000


class Udp(Asking):
    """Peers played by hand; ask() answers as many queries as there are functions."""

    def setUp(self):
        super().setUp()
        self.peers = []

    def peer(self, family, count=1, **requestor):
        self.peers = [UdpPeer(family) for _ in range(count)]
        for peer in self.peers:
            self.addCleanup(peer.close)
        requestor.setdefault("port", free_udp_port())
        self.configure(*(yaml_server(f"s{n}", family, peer.port, address=peer.address)
                         for n, peer in enumerate(self.peers)), **requestor)

    def ask(self, *arguments, answers):
        """`answers`: for each peer what it does with the queries that come, one after the other."""
        failed = []

        def serve(peer, replies):
            try:
                for reply in replies:
                    reply(peer.query())
            except (AssertionError, OSError) as e:
                failed.append(e)
        threads = [threading.Thread(target=serve, args=pair) for pair in zip(self.peers, answers)]
        for thread in threads:
            thread.start()
        names = [f"s{n}" for n in range(len(self.peers))]
        done = self.query(*names, "--udp", *arguments)
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(failed, [], done.stderr)
        return done

    def addresses(self, done, code=0):
        self.assertEqual(done.returncode, code, done.stderr)
        return [json.loads(line)["address"] for line in done.stdout.splitlines()]

    def test_v6_by_address(self):
        self.peer("v6")
        done = self.ask("--address", "2001:db8:1::7", "--json", answers=[[lambda q: q.lease(7, BASE)]])
        self.assertEqual(self.addresses(done), ["2001:db8:1::7"])
        row = json.loads(done.stdout)
        self.assertEqual((row["via"], row["client_id"]), ("query", wire.client_id("v6", "a").hex()))
        self.assertRegex(done.stderr, r"^1 binding from s0 in \d+\.\d s, 0 datagrams discarded\n$")
        query, = self.peers[0].asked
        self.assertEqual((query.query_type, query.options[1].hex()), (1, DUID))

    def test_v6_client_on_two_links(self):
        """OPTION_CLIENT_LINK is followed by a query for each link."""
        self.peer("v6")
        links = b"".join(ipaddress.IPv6Address(f"2001:db8:{n}::1").packed for n in (1, 2))

        def on_link(query):
            query.lease(int(query.link.split(":")[2]), BASE)
        done = self.ask("--client-id", wire.client_id("v6", "a").hex(), "--json",
                        answers=[[lambda q: q.send(q._wrap6(wire.option6(48, links))), on_link, on_link]])
        self.assertEqual(self.addresses(done), ["2001:db8:1::1", "2001:db8:1::2"])
        self.assertEqual(sorted(q.link for q in self.peers[0].asked), ["2001:db8:1::1", "2001:db8:2::1", "::"])

    def test_v6_refused(self):
        self.peer("v6")
        done = self.ask("--address", "2001:db8:1::7", answers=[[lambda q: q.status("NotAllowed", text="not you")]])
        self.assertEqual(self.addresses(done, code=1), [])
        self.assertRegex(done.stderr, "s0: refused: NotAllowed.*not you")

    def test_v4_each_filter(self):
        self.peer("v4")
        for option, value, seen in (("--address", "10.1.0.7", lambda q: q.message[12:16] == bytes([10, 1, 0, 7])),
                                    ("--mac", "02:61:61:61:61:61", lambda q: q.message[28:34] == b"\2aaaaa"),
                                    ("--client-id", "01:02:61:61:61:61:61", lambda q: q.options[61] == b"\1\2aaaaa"),
                                    ("--remote-id", "text:port 7", lambda q: q.options[82] == b"\2\6port 7")):
            with self.subTest(option):
                remote = wire.option4(82, b"\2\6port 7")
                done = self.ask(option, value, "--json", answers=[[lambda q: q.lease(7, None, more=remote)]])
                self.assertEqual(self.addresses(done), ["10.1.0.7"], done.stderr)
                query = self.peers[0].asked[-1]
                self.assertTrue(seen(query), query.message.hex())
                self.assertEqual(query.kind, 10)
                self.assertEqual(query.message[24:28], bytes([127, 0, 0, 1]))  # giaddr, as auto finds it
                self.assertEqual(self.peers[0].requestor[0], "127.0.0.1")

    def test_v4_answers_that_have_no_lease(self):
        self.peer("v4")
        for kind, words in ((11, "s0: unassigned: an address of this server, which nobody holds"),
                            (12, "s0: unknown: not an address of this server")):
            with self.subTest(kind):
                def answer(query, kind=kind):
                    query.send(wire.message4(kind, query.xid, wire.option4(54, wire.SERVER_ID["v4"]),
                                             int.from_bytes(query.message[12:16], "big")))
                done = self.ask("--address", "10.1.0.7", answers=[[answer]])
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(words, done.stderr)
                self.assertRegex(done.stderr, "(no bindings|1 binding) from s0")

    def test_a_lease_that_cannot_be_understood(self):
        self.peer("v6")

        def lease(n, inside=b""):
            address = ipaddress.IPv6Address(wire.address("v6", n)).packed
            return wire.option6(5, address + wire.u32(1800) + wire.u32(3600) + inside)
        data = wire.option6(1, wire.client_id("v6", "a")) + wire.option6(46, wire.u32(0)) + lease(7)
        data += lease(8, wire.option6(13, b"\0\1lost"))
        done = self.ask("--client-id", wire.client_id("v6", "a").hex(), "--json",
                        answers=[[lambda q: q.send(q._wrap6(wire.option6(45, data)))]])
        self.assertEqual(self.addresses(done, code=1), ["2001:db8:1::7"])
        self.assertIn("s0: not understood: for 2001:db8:1::8, ", done.stderr)

    def test_forged_answers_v4(self):
        """Discarded and counted, whatever they say; the true one still counts."""
        self.peer("v4")
        foreign = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(foreign.close)
        foreign.bind(("127.0.0.2", 0))

        def answer(query):
            forged = query.binding(7, BASE, client="z")
            query.lease(7, BASE, client="z", xid=query.xid ^ 1)
            foreign.sendto(forged, self.peers[0].requestor)
            query.lease(66, BASE, client="z")  # of another address
            query.send(forged[:100])
            query.lease(7, BASE)
        done = self.ask("--address", "10.1.0.7", "--json", answers=[[answer]])
        self.assertEqual(self.addresses(done), ["10.1.0.7"])
        self.assertEqual(json.loads(done.stdout)["client_id"], wire.client_id("v4", "a").hex())
        for words in ("1 wrong transaction-id", rf"1 unexpected source \(127\.0\.0\.2:{foreign.getsockname()[1]}\)",
                      "1 about something not asked"):
            self.assertRegex(done.stderr, f"datagrams that were discarded: .*{words}")
        self.assertIn(", 4 datagrams discarded\n", done.stderr)

    def test_forged_answers_v6(self):
        self.peer("v6")

        def answer(query):
            forged = query.binding(7, BASE, client="z")
            query.send(wire.message6(15, query.xid ^ 1, forged[4:]))
            query.send(forged.replace(bytes.fromhex(DUID), bytes.fromhex(DUID)[::-1]))  # for another requestor
            query.replied = False
            query.lease(66, BASE)  # of another address
            query.replied = False
            query.lease(7, BASE)
        done = self.ask("--address", "2001:db8:1::7", "--json", answers=[[answer]])
        self.assertEqual(self.addresses(done), ["2001:db8:1::7"])
        self.assertIn("datagrams that were discarded: 1 wrong transaction-id, 1 wrong identifiers, "
                      "1 about something not asked\n", done.stderr)
        self.assertIn(", 3 datagrams discarded\n", done.stderr)

    def test_two_servers_are_merged(self):
        self.peer("v6", count=2)
        done = self.ask("--address", "2001:db8:1::7", "--json",
                        answers=[[lambda q: q.lease(7, BASE, "a", age=600)], [lambda q: q.lease(7, BASE, "b", age=5)]])
        row = json.loads(done.stdout)
        self.assertEqual((row["server"], row["also_on"], row["client_id"]), ("s1", "s0", wire.client_id("v6", "b").hex()))
        self.assertIn("s0: found 1 binding\ns1: found 1 binding\n1 binding from s0, s1 in", done.stderr)

    def test_one_of_two_servers_is_silent(self):
        self.peer("v6", count=2)
        done = self.ask("--address", "2001:db8:1::7", "--json", "--tries", 3,
                        answers=[[lambda q: q.lease(7, BASE)], [lambda q: None]])
        self.assertEqual(self.addresses(done, code=3), ["2001:db8:1::7"])
        self.assertIn("s1: no answer, asked 3 times", done.stderr)

    def test_nobody_answers(self):
        self.peer("v6")
        done = self.ask("--address", "2001:db8:1::7", "--tries", 1, answers=[[]])
        self.assertEqual(self.addresses(done, code=3), [])
        self.assertIn("s0: no answer, asked once\nno bindings from s0", done.stderr)

    def test_interrupted(self):
        self.peer("v4")
        child, out, err = self.begin("s0", "--udp", "--address", "10.1.0.7")
        self.peers[0].query()
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(PATIENCE), 1)
        err.join()
        out.join()
        self.assertIn("s0: interrupted; there may be more", err.since())
        self.assertIn("s0: no answer yet, asked once", err.since())

    def test_the_port_is_taken(self):
        with udp_socket("v4") as relay:
            port = relay.getsockname()[1]
            self.peer("v4", port=port)
            self.assert_refused(f"s0: 127.0.0.1 port {port} is taken on this host, and it is where DHCPv4 servers "
                                "answer.*; stop the relay agent or DHCP server that has it", "s0", "--udp",
                                "--address", "10.1.0.7", code=3)

    def test_what_cannot_be_asked_is_said_before_a_socket_is_opened(self):
        """Not that the port is taken: that would send the operator the wrong way."""
        with udp_socket("v4") as relay:
            self.peer("v4", port=relay.getsockname()[1])
            self.assert_refused("s0: a remote-id has 1 to 253 octets, not 254", "s0", "--udp", "--remote-id", "ab" * 254)

    def test_giaddr_of_another_host(self):
        self.peer("v4", giaddr="192.0.2.55")
        self.assert_refused("s0: 192.0.2.55 is no address of this host; requestor.giaddr must be one, or auto", "s0",
                            "--udp", "--address", "10.1.0.7", code=3)

    def test_the_port_is_not_permitted(self):
        if os.geteuid() == 0 or int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 67:
            self.skipTest("port 67 is permitted here")
        self.peer("v4", port=67)
        self.assert_refused("not permitted to receive at 127.0.0.1 port 67.*run this as root or with "
                            "CAP_NET_BIND_SERVICE", "s0", "--udp", "--address", "10.1.0.7", code=3)


class UdpLeasesim(Asking):
    """The simulated server over UDP, beside what it says over bulk."""

    def both(self, family, *options):
        port = free_udp_port()
        udp = "127.0.0.1:0" if family == "v4" else "[::1]:0"
        more = ["--udp-reply-port", port] if family == "v4" else ["--links", 4]
        sim = self.leasesim("--family", family, "--bindings", 200, "--udp", udp, *more, *options)
        self.configure(sim_server("s", family, sim.udp_port, links=4, address=LOOPBACK[family]), port=port)
        return sim

    def test_v4(self):
        truth = self.both("v4", "--units-per-client", 3).dump()
        row = truth[len(truth) // 2]
        found = self.rows("s", "--address", row["address"])
        self.assertEqual([(r["address"], r["client_id"]) for r in found], [(row["address"], row["client_id"])])
        for column, option in (("hw_addr", "--mac"), ("client_id", "--client-id")):
            with self.subTest(option):
                value = with_most(truth, column)
                found = self.rows("s", "--udp", option, value)
                # associated-ip is followed, so all that the client holds is there.
                self.assertEqual(sorted(map(key_of, found)), sorted(key_of(r) for r in truth if r[column] == value))

    def test_v6(self):
        truth = self.both("v6", "--units-per-client", 3).dump()
        row = next(r for r in truth if r["kind"] == "address")
        self.assertIn(key_of(row), map(key_of, self.rows("s", "--udp", "--address", row["address"])))
        prefix = next(r for r in truth if r["kind"] == "prefix")
        self.assert_same(self.rows("s", "--udp", "--prefix", f"{prefix['address']}/56"), [prefix])
        client = with_most(truth, "client_id")
        held = [r for r in truth if r["client_id"] == client]
        self.assert_same(self.rows("s", "--udp", "--client-id", client), held)

    def test_forgeries(self):
        sim = self.both("v6")
        row = sim.dump()[0]
        for fault, words in (("wrong-xid", "1 wrong transaction-id"), ("foreign-client-id", "1 wrong identifiers")):
            with self.subTest(fault):
                sim.ask(f"fault {fault}@now")
                self.assertIn(key_of(row), map(key_of, self.rows("s", "--udp", "--address", row["address"])))
                self.assertIn(f"datagrams that were discarded: {words}", self.stderr)
                self.assertIn(", 1 datagram discarded\n", self.stderr)


if __name__ == "__main__":
    main()
