"""No packet of ours is malformed to Wireshark: the traffic of leasemirror and leasesim, dissected by tshark.

Every test dissects octets that relays between the two programs kept (dissection.py), so it runs where nothing may be
captured. test_live captures the loopback interface beside that, where the system permits it, and says what it did:
"captured on lo" or "not captured, because ...".
"""

import collections
import ipaddress
import socket
import struct
import sys

from dissection import BULK, LiveCapture, Recorder, TcpRelay, UdpRelay, datagram, frames, packets, relayed, tshark, \
    write_pcap
from harness import PATIENCE, EndToEnd, command, main, sim_server, wait_until
from wire import frame, message6, option6

DUID = bytes.fromhex("00030001020909090909")
BY_ADDRESS, BY_CLIENT, BY_RELAY, BY_LINK, BY_REMOTE = range(1, 6)
LEASEQUERY, REPLY, DONE, DATA, ACTIVE, STARTTLS, UPGRADED = 14, 15, 16, 17, 22, 23, 7
WANTED6 = option6(6, struct.pack(">4H", 100, 47, 39, 16))
NOWHERE = bytes(16)


def link(n):
    return ipaddress.IPv6Address(f"2001:db8:{n:x}::1").packed


def query6(kind, at=NOWHERE, options=b"", xid=7):
    query = option6(44, bytes([kind]) + at + options + WANTED6)
    return message6(LEASEQUERY, xid, option6(1, DUID) + WANTED6 + query)


def address6(text):
    return option6(5, ipaddress.IPv6Address(text).packed + bytes(8))


def filter6(lease):
    if lease["kind"] == "prefix":
        return "--prefix", f"{lease['address']}/{lease['prefix_len']}"
    return "--address", lease["address"]


class Dissection(EndToEnd):
    def tcp(self, sim, recorder):
        relay = TcpRelay(sim.port, recorder)
        self.addCleanup(relay.close)
        return relay

    def udp(self, recorder, address="127.0.0.1", reply_port=None):
        relay = UdpRelay(recorder, address, reply_port)
        self.addCleanup(relay.close)
        return relay

    def ask(self, port, *messages):
        """Over TCP; reads until the server has nothing more to say (that is known by what it sent, or by its close)."""
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(PATIENCE)
            got = b""
            for message in messages:
                connection.sendall(frame(message))
                before = len(frames(got))
                while not self.answered(frames(got)[before:]):
                    octets = connection.recv(65536)
                    if not octets:
                        return frames(got)
                    got += octets
            return frames(got)

    @staticmethod
    def answered(answer):
        """A bulk query: DONE, or a REPLY without client data, which ends it as well (RFC 5460 section 7.2)."""
        last = answer[-1] if answer else b""
        return last[:1] in (bytes([DONE]), bytes([UPGRADED])) or (last[:1] == bytes([REPLY]) and not holds(last, 45))

    def dissect(self, recorder, port, name="traffic"):
        return tshark(write_pcap(self.dir / f"{name}.pcap", packets(recorder.passed(), port)))

    def assert_wellformed(self, dissected, count):
        self.assertEqual([str(one) for one in dissected if one.problems][:5], [])
        self.assertEqual(len(dissected), count)

    def assert_recorded_wellformed(self, recorder, port=547):
        """All of it; and what v6 messages tell of relays, which tshark does not look into where it stands."""
        messages = recorder.messages()
        dissected = self.dissect(recorder, port)
        self.assert_wellformed(dissected, len(messages))
        nested = relayed(messages)
        if nested:
            path = write_pcap(self.dir / "relayed.pcap", [datagram(one, 547) for one in nested])
            self.assert_wellformed(tshark(path), len(nested))
        return dissected, nested

    # What it takes to be malformed: were these not seen, the other tests would prove nothing.

    def test_broken_messages_are_seen(self):
        sim = self.leasesim("--family", "v6", "--bindings", 100, "--fault", "garbage-message@msg:4",
                            "--fault", "broken-relay-data@msg:6")
        recorder = Recorder()
        answer = self.ask(self.tcp(sim, recorder).port, query6(BY_LINK, link(0)))
        self.assertGreater(len(answer), 6)
        broken = [one for one in self.dissect(recorder, 547) if one.problems]
        self.assertEqual([one.type for one in broken], [DATA], "the one with an option that runs past its end")
        nested = tshark(write_pcap(self.dir / "nested.pcap", [datagram(one, 547) for one in relayed(answer)]))
        self.assertEqual(len([one for one in nested if one.problems]), 1)

    def test_wrong_lengths_inside_a_good_message_are_seen(self):
        sim = self.leasesim("--family", "v6", "--bindings", 50, "--seed", 3)
        good = self.ask(sim.port, query6(BY_LINK, link(0)))[0]
        where = {"CLT_TIME": struct.pack(">HH", 46, 4), "IAADDR": struct.pack(">HH", 5, 24),
                 "CLIENT_DATA": option_head(good, 45)}
        harmed = {"unharmed": good}
        for name, head in where.items():
            self.assertIn(head, good, name)
            code, length = struct.unpack(">HH", head)
            for by in (-1, 3):
                harmed[f"{name} {by:+}"] = good.replace(head, struct.pack(">HH", code, length + by), 1)
        for name, message in harmed.items():
            seen = tshark(write_pcap(self.dir / "harmed.pcap", [datagram(message, 547)]))
            self.assertEqual(any(one.problems for one in seen), name != "unharmed", (name, seen))

    # The traffic.

    def run_agent(self, *servers, before_end=lambda: None):
        """Until every server is live, and something has changed since."""
        self.configure(*servers)
        agent = self.agent()
        for server in servers:
            self.wait_live(server["name"])
        names = [server["name"] for server in servers]
        marks = {name: self.server(name)["last_message_at"] for name in names}
        for name in names:
            wait_until(lambda: self.server(name)["last_message_at"] > marks[name], f"an update from {name}")
        before_end()
        self.assertEqual(agent.terminate(), 0)

    def test_v6_bulk_and_active(self):
        sim = self.leasesim("--family", "v6", "--bindings", 300, "--links", 3, "--churn", 30)
        recorder = Recorder()
        self.run_agent(sim_server("s", "v6", self.tcp(sim, recorder).port, links=3))
        dissected, nested = self.assert_recorded_wellformed(recorder)
        kinds = collections.Counter(one.type for one in dissected)
        self.assertEqual({one.name for one in dissected}, {BULK})
        self.assertEqual(kinds, collections.Counter(message[0] for message in recorder.messages()))
        self.assertEqual(set(kinds), {LEASEQUERY, REPLY, DATA, DONE, ACTIVE})
        self.assertGreater(len(nested), 50)

    def test_v6_each_manner_of_a_server(self):
        manners = ("end-binding-status,relay-data-outside,success-in-reply", "end-empty,success-in-done",
                   "end-snapshot,preferred-unreduced", "end-nothing,all-leases")
        recorder = Recorder()
        servers = []
        for n, manner in enumerate(manners):
            sim = self.leasesim("--family", "v6", "--bindings", 60, "--links", 2, "--churn", 10, "--seed", n,
                                "--personality", manner)
            servers.append(sim_server(f"s{n}", "v6", self.tcp(sim, recorder).port, links=2))
        self.run_agent(*servers)
        self.assert_recorded_wellformed(recorder)

    def test_v6_every_query_and_every_refusal(self):
        sim = self.leasesim("--family", "v6", "--bindings", 100, "--links", 2)
        lease = next(one for one in sim.dump() if one["relay_id"] and one["remote_id"])
        recorder = Recorder()
        relay = self.tcp(sim, recorder)
        duid, relay_id, remote_id = (bytes.fromhex(lease[of]) for of in ("client_id", "relay_id", "remote_id"))
        queries = [query6(BY_ADDRESS, options=address6(lease["address"])), query6(BY_CLIENT, options=option6(1, duid)),
                   query6(BY_RELAY, options=option6(53, relay_id)), query6(BY_REMOTE, options=option6(37, remote_id)),
                   query6(BY_LINK, link(1))]
        refused = [query6(BY_RELAY), query6(BY_ADDRESS, options=address6("2001:db9::1")), query6(BY_LINK, link(77)),
                   message6(STARTTLS, 9)]
        self.ask(relay.port, *(with_xid(query, n) for n, query in enumerate(queries + refused, 100)))
        self.ask(relay.port, message6(ACTIVE, 8, option6(1, DUID) + option6(102, bytes(4))))
        dissected, _ = self.assert_recorded_wellformed(recorder)
        told = [one.values("dhcpv6.status_code") for one in dissected if one.values("dhcpv6.status_code")]
        self.assertEqual(told, [["8"], ["9"], ["9"], ["15"], ["8"]])

    def test_v6_tshark_reads_what_the_server_means(self):
        sim = self.leasesim("--family", "v6", "--bindings", 200, "--links", 2)
        recorder = Recorder()
        self.ask(self.tcp(sim, recorder).port, *(query6(BY_LINK, link(n), xid=n) for n in range(2)))
        read = set()
        for one in self.dissect(recorder, 547):
            read.update(zip(one.values("dhcpv6.iaaddr.ip"), one.values("dhcpv6.iaaddr.valid_lifetime")))
            read.update(zip(one.values("dhcpv6.iaprefix.pref_addr"), one.values("dhcpv6.iaprefix.valid_lifetime")))
        self.assertEqual({address for address, _ in read}, {one["address"] for one in sim.dump()})

    def test_v4_bulk_and_active(self):
        sim = self.leasesim("--family", "v4", "--bindings", 300, "--vpns", 2, "--churn", 30)
        recorder = Recorder()
        self.run_agent(sim_server("s", "v4", self.tcp(sim, recorder).port))
        messages = recorder.messages()
        # The dissector knows datagrams only.
        path = write_pcap(self.dir / "v4.pcap", [datagram(one, 67) for one in messages])
        dissected = tshark(path)
        self.assert_wellformed(dissected, len(messages))
        kinds = {one.type for one in dissected}
        self.assertGreaterEqual(kinds, {11, 13, 14, 15, 16})

    # UDP.

    def query(self, *arguments):
        """`leasemirror query --udp s`: how many bindings it found."""
        done = command("query", "-c", self.config, "s", "--udp", "--json", *arguments)
        self.assertEqual(done.returncode, 0, (arguments, done.stderr))
        return len(done.stdout.splitlines())

    def exchange(self, relay, *questions):
        """What leasemirror does not ask."""
        with socket.socket(socket.AF_INET6 if ":" in relay.address else socket.AF_INET, socket.SOCK_DGRAM) as requestor:
            requestor.bind((relay.address, 0))
            requestor.settimeout(PATIENCE)
            for question in questions:
                requestor.sendto(question, (relay.address, relay.port))
                requestor.recv(65536)

    def test_v6_over_udp(self):
        sim = self.leasesim("--family", "v6", "--bindings", 100, "--links", 3, "--units-per-client", 2,
                            "--udp", "127.0.0.1:0")
        recorder = Recorder()
        relay = self.udp(recorder, "::1")
        relay.server_port = sim.udp_port
        self.configure(sim_server("s", "v6", relay.port, links=3, address="::1"))
        leases = sim.dump()
        held = collections.Counter(one["client_id"] for one in leases)
        for lease in leases[:10]:
            self.assertGreaterEqual(self.query(*filter6(lease)), 1)
        for client, count in held.most_common(10):
            self.assertEqual(self.query("--client-id", client), count)
        self.exchange(relay, *(query6(BY_ADDRESS, options=address6(one["address"])) for one in leases),
                      *(query6(BY_CLIENT, options=option6(1, bytes.fromhex(duid))) for duid in sorted(held)),
                      query6(BY_ADDRESS), query6(BY_ADDRESS, options=address6("2001:db9::1")))
        dissected, nested = self.assert_recorded_wellformed(recorder)
        self.assertEqual({one.type for one in dissected}, {LEASEQUERY, REPLY})
        self.assertGreater(len(nested), 20)
        listed = [one for one in dissected if one.values("dhcpv6.lq_client_link")]
        self.assertGreater(len(listed), 10)

    def test_v4_over_udp(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
            place.bind(("127.0.0.1", 0))
            giaddr_port = place.getsockname()[1]
        recorder = Recorder()
        relay = self.udp(recorder, reply_port=giaddr_port)
        sim = self.leasesim("--family", "v4", "--bindings", 100, "--units-per-client", 2, "--udp", "127.0.0.1:0",
                            "--udp-reply-port", relay.far_port)
        relay.server_port = sim.udp_port
        self.configure(sim_server("s", "v4", relay.port), requestor={"port": giaddr_port})
        leases = sim.dump()
        taken = {one["address"] for one in leases}
        for lease in leases[:8]:
            for column, option in (("address", "--address"), ("hw_addr", "--mac"), ("client_id", "--client-id"),
                                   ("remote_id", "--remote-id")):
                if lease[column]:
                    self.assertGreaterEqual(self.query(option, lease[column]), 1)
        free = next(f"10.0.0.{n}" for n in range(1, 101) if f"10.0.0.{n}" not in taken)
        for nobody in (("--address", free), ("--address", "192.0.2.1"), ("--mac", "020000000001"),
                       ("--remote-id", "00ff00")):
            self.query(*nobody)
        messages = recorder.messages()
        dissected = self.dissect(recorder, 67)
        self.assert_wellformed(dissected, len(messages))
        self.assertEqual({one.type for one in dissected}, {10, 11, 12, 13})
        self.assertGreater(sum("92" in one.values("dhcp.option.type") for one in dissected), 5)  # associated-ip

    # The wire itself.

    def test_live(self):
        sim = self.leasesim("--family", "v6", "--bindings", 200, "--links", 2, "--churn", 20, "--udp", "127.0.0.1:0")
        recorder = Recorder()
        live = LiveCapture(self.dir / "live.pcap", sim.udp_port, sim.port)
        if live.why_not:
            print(f"test_live: not captured, because {live.why_not}", file=sys.stderr)
            self.skipTest(f"nothing may be captured here: {live.why_not}")
        self.addCleanup(live.kill)

        def all_has_passed():  # the wire and the relay then have seen the same
            sim.ask("stop-churn")
            wait_until(lambda: recorder.octets_from_server() == sim.stats()["octets"], "all octets to pass")
        self.run_agent(sim_server("s", "v6", self.tcp(sim, recorder).port, links=2), before_end=all_has_passed)
        relay = self.udp(recorder)
        relay.server_port = sim.udp_port
        self.exchange(relay, query6(BY_CLIENT, options=option6(1, DUID)))
        lost = live.end()
        if lost:
            self.skipTest(f"the system lost {lost} packets of the capture")
        dissected = tshark(live.path, "-d", f"tcp.port=={sim.port},{BULK}", "-d", f"udp.port=={sim.udp_port},dhcpv6",
                           "-Y", f'!(frame contains "{live.MARK.decode()}")')
        print(f"test_live: captured on lo, {len(dissected)} messages", file=sys.stderr)
        self.assert_wellformed(dissected, len(recorder.messages()))


def holds(message, code):
    return option_head(message, code) is not None


def option_head(message, code):
    """Code and length of that option at message level, as they stand there."""
    rest = message[4:]
    while len(rest) >= 4:
        found, length = struct.unpack(">HH", rest[:4])
        if found == code:
            return rest[:4]
        rest = rest[4 + length:]
    return None


def with_xid(message, xid):
    return message[:1] + xid.to_bytes(3, "big") + message[4:]


if __name__ == "__main__":
    main()
