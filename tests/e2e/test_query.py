"""`leasemirror query`: what it prints, over bulk and over UDP, against leasesim, Kea's recordings and servers played by hand.

The database of the configuration must not exist when a test ends: query never opens it.
"""

import ipaddress
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

import wire
from harness import (BYTES, TIMES, TIMES_TO_COME, TOLERANCE, WORDS, Leasesim, Lines, PATIENCE, command, key_of, main,
                     program, sim_server, unix, wait_until, yaml_server)
from test_kea import Capture, R1, RELAY_A, Replay

DUID = "000300010200deadbeef"
COLUMNS = {"server", "also_on", "vpn_id", "kind", "family", "address", "prefix_len", "state", "client_id", "hw_type",
           "hw_addr", "hostname", "client_last_seen", "state_since", "expires_at", "preferred_until", "renew_at",
           "rebind_at", "link_address", "relay_address", "relay_id", "remote_id", "circuit_id", "subscriber_id",
           "options", "data_source", "base_time", "via"}


class Asking(unittest.TestCase):
    """A configuration, servers that end with the test, and the command."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="leasemirror-query-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.config = self.dir / "leasemirror.yaml"

    def tearDown(self):
        self.assertEqual([p.name for p in self.dir.iterdir() if p.name != self.config.name], [])

    def configure(self, *servers, **requestor):
        self.config.write_text(json.dumps({"storage": {"url": f"sqlite://{self.dir}/leases.db"},
                                           "requestor": {"duid": DUID, **requestor}, "servers": list(servers)}))

    def leasesim(self, *options):
        sim = Leasesim(*options)
        self.addCleanup(sim.kill)
        return sim

    def query(self, *arguments):
        done = command("query", "-c", self.config, *arguments)
        self.assertNotRegex(done.stderr, "Sanitizer|runtime error:|Assertion .* failed|terminate called")
        return done

    def rows(self, *arguments, code=0):
        """The rows that --json gives; each has the columns of the contract."""
        done = self.query(*arguments, "--json")
        self.assertEqual(done.returncode, code, done.stderr)
        out = [json.loads(line) for line in done.stdout.splitlines()]
        for row in out:
            self.assertEqual(set(row) | {"also_on"}, COLUMNS)
        self.stderr = done.stderr
        return out

    def begin(self, *arguments):
        """The command, running; its streams as lines."""
        child = subprocess.Popen([program("LEASEMIRROR"), "query", "-c", str(self.config), *map(str, arguments)],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (child.kill(), child.wait()))
        return child, Lines(child.stdout), Lines(child.stderr)

    def assert_refused(self, pattern, *arguments, code=2):
        done = self.query(*arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertRegex(done.stderr, pattern)

    def assert_same(self, rows, truth, **differing):
        """The rows are the server's bindings, attribute by attribute."""
        self.assertEqual(sorted(map(key_of, rows)), sorted(map(key_of, truth)))
        told = {key_of(row): row for row in truth}
        for row in rows:
            other = {**told[key_of(row)], **differing}
            for column in BYTES + WORDS:
                self.assertEqual(row[column], other[column], (column, row))
            for column in TIMES + TIMES_TO_COME:
                one, two = unix(row[column]), unix(other[column])
                if two is None and column in TIMES_TO_COME:
                    continue
                self.assertEqual(one is None, two is None, (column, row, other))
                self.assertTrue(one is None or abs(one - two) <= TOLERANCE, (column, row, other))


def with_most(truth, column):
    """The value of a column that the most rows have, so that a filter by it has something to find and to leave out."""
    values = [row[column] for row in truth if row[column]]
    return max(values, key=values.count)


class Bulk(Asking):
    def v4(self, *options, bindings=400):
        self.sim = self.leasesim("--family", "v4", "--bindings", bindings, "--relays", 3, "--units-per-client", 3, *options)
        self.configure(yaml_server("s", "v4", self.sim.port))
        return self.sim.dump()

    def v6(self, *options, relays=3):
        self.sim = self.leasesim("--family", "v6", "--bindings", 400, "--relays", relays, "--links", 4, *options)
        self.configure(sim_server("s", "v6", self.sim.port, links=4))
        return self.sim.dump()

    def active(self, *arguments):
        return [row for row in self.rows(*arguments) if row["state"] == "active"]

    def by(self, truth, column, option):
        value = with_most(truth, column)
        found = self.active("s", option, value)
        expected = [row for row in truth if row[column] == value]
        self.assertLess(len(expected), len(truth))
        self.assert_same(found, expected)
        self.assertEqual(self.stderr.splitlines()[-1].partition(" in ")[0],
                         f"{len(expected)} binding{'s' if len(expected) > 1 else ''} from s")

    def test_v4_everything(self):
        truth = self.v4("--vpns", 2, "--skew", 90000)
        self.assert_same(self.active("s"), truth)

    def test_v4_each_filter(self):
        truth = self.v4()
        for column, option in (("client_id", "--client-id"), ("hw_addr", "--mac"), ("relay_id", "--relay-id"),
                               ("remote_id", "--remote-id")):
            with self.subTest(option):
                self.by(truth, column, option)

    def test_v6_all_configured_links(self):
        truth = self.v6("--skew", -90000)
        self.assert_same(self.active("s"), truth)
        self.assertIn("s: asking for its configured bulk.queries, of which there are 4", self.stderr)

    def test_v6_each_filter(self):
        truth = self.v6()
        for column, option in (("client_id", "--client-id"), ("relay_id", "--relay-id"), ("remote_id", "--remote-id")):
            with self.subTest(option):
                self.by(truth, column, option)

    def on_link(self, truth, link):
        networks = [ipaddress.ip_network(f"2001:db8:{link}::/64"), ipaddress.ip_network(f"3fff:{link}::/32")]
        return [row for row in truth if any(ipaddress.ip_address(row["address"]) in net for net in networks)]

    def test_v6_link_and_what_it_narrows(self):
        truth = self.v6(relays=1)
        here = self.on_link(truth, 2)
        self.assertTrue(0 < len(here) < len(truth))
        self.assert_same(self.active("s", "--link", "2001:db8:2::1"), here)
        relay = with_most(here, "relay_id")
        expected = [row for row in here if row["relay_id"] == relay]
        self.assertLess(len(expected), len([row for row in truth if row["relay_id"] == relay]))
        self.assert_same(self.active("s", "--relay-id", relay, "--link", "2001:db8:2::1"), expected)

    def test_v6_address_and_prefix(self):
        truth = self.v6()
        address = next(row for row in truth if row["kind"] == "address")
        self.assert_same(self.rows("s", "--address", address["address"]), [address])
        prefix = next(row for row in truth if row["kind"] == "prefix")
        self.assert_same(self.rows("s", "--prefix", f"{prefix['address']}/56"), [prefix])
        self.assertEqual(self.rows("s", "--prefix", f"{prefix['address']}/60"), [])
        self.assertRegex(self.stderr, r"no bindings from s in \d")

    def test_window(self):
        truth = self.v4()
        changed = sorted(max(row["client_last_seen"], row["state_since"] or "") for row in truth)
        since = changed[len(changed) // 2]
        found = self.active("s", "--since", since)
        self.assertTrue(0 < len(found) < len(truth))
        sure = [row for row in truth if unix(max(row["client_last_seen"], row["state_since"])) > unix(since) + TOLERANCE]
        self.assertLessEqual(set(map(key_of, sure)), set(map(key_of, found)))
        for row in found:
            self.assertGreaterEqual(unix(max(row["client_last_seen"], row["state_since"])), unix(since) - TOLERANCE)
        self.assertEqual(self.rows("s", "--until", "2001-01-01"), [])

    def test_window_that_the_server_does_not_heed(self):
        truth = self.v6("--personality", "ignores-times")
        self.assertEqual(len(self.active("s", "--since", "1s")), len(truth))
        self.assertRegex(self.stderr, r"s: \d+ bindings have not changed since --since: this server does not heed it")

    def test_limit(self):
        truth = self.v4()
        self.assertEqual(len(self.rows("s", "--limit", 7)), 7)
        self.assertIn("s: there is more; --limit ended the query\n7 bindings from s in ", self.stderr)
        client = with_most(truth, "client_id")
        holds = len([row for row in truth if row["client_id"] == client])
        self.assertEqual(len(self.rows("s", "--client-id", client, "--limit", holds)), holds)
        self.assertNotIn("there is more", self.stderr)

    def test_table(self):
        truth = self.v6()
        row = next(row for row in truth if row["kind"] == "prefix" and row["relay_id"])
        done = self.query("s", "--prefix", f"{row['address']}/56")
        heading, line = done.stdout.splitlines()
        self.assertEqual(heading.split("  ")[0], "ADDRESS")
        for column in ("STATE", "CLIENT", "EXPIRES", "LAST SEEN", "RELAY ID", "SERVER"):
            self.assertIn(column, heading)
        self.assertTrue(line.startswith(f"{row['address']}/56  active  "), line)
        self.assertIn(row["expires_at"][:16], line)
        self.assertTrue(line.endswith("  s"), line)
        self.assertEqual(line.index("active"), heading.index("STATE"))

    def test_several_servers(self):
        truth = self.v6()
        other = self.leasesim("--family", "v4", "--bindings", 50)
        self.configure(sim_server("six", "v6", self.sim.port, links=4), yaml_server("four", "v4", other.port))
        rows = self.rows("six", "four")
        self.assert_same([row for row in rows if row["server"] == "six" and row["state"] == "active"], truth)
        self.assert_same([row for row in rows if row["server"] == "four" and row["state"] == "active"], other.dump())
        self.assertRegex(self.stderr, r"bindings from six in (.|\n)* bindings from four in ")

    def test_interrupted(self):
        self.v4("--rate-limit", 20)
        child, out, err = self.begin("s", "--json")
        out.wait("address")
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(PATIENCE), 1)
        out.join()
        err.join()
        said = err.since()
        self.assertEqual(said[-2], "s: interrupted; there may be more")
        self.assertTrue(said[-1].startswith(f"{len(out)} binding"), said)
        wait_until(lambda: self.sim.stats()["connections"] == 0, "the connection to be closed")

    def test_nobody_reads(self):
        self.v4(bindings=5000)
        child = subprocess.Popen([program("LEASEMIRROR"), "query", "-c", str(self.config), "s"], text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: (child.kill(), child.wait()))
        self.assertTrue(child.stdout.readline().startswith("ADDRESS"))
        child.stdout.close()
        self.assertEqual(child.stderr.read(), "")
        child.stderr.close()
        self.assertEqual(child.wait(PATIENCE), 0)

    def test_a_full_disk_is_no_success(self):
        self.v4()
        with open("/dev/full", "w") as full:
            done = subprocess.run([program("LEASEMIRROR"), "query", "-c", str(self.config), "s"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (1, "leasemirror query: cannot write to the standard output\n"))

    def test_kea_as_it_is(self):
        """Option 221 refused, and then the query for everything: told with the server's words."""
        self.v4("--personality", "kea")
        done = self.query("s")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("s: refused for all VPNs (", done.stderr)
        self.assertIn("s: the query for everything failed: ", done.stderr)


class Played(Asking):
    """A bulk server played by hand."""

    def play(self, family, **more):
        self.fake = wire.Server(family)
        self.addCleanup(self.fake.close)
        if family == "v6":
            more.setdefault("bulk", {"queries": [{"link": "2001:db8:1::1"}]})
        self.configure(yaml_server("s", family, self.fake.port, **more))

    def ask(self, answer, *arguments):
        """The command, while `answer` plays the server on the query that it makes."""
        failed = []

        def serve():
            try:
                answer(self.fake.connection().query())
            except (AssertionError, wire.Closed) as e:
                failed.append(e)
        thread = threading.Thread(target=serve)
        thread.start()
        done = self.query("s", *arguments)
        thread.join(PATIENCE)
        self.assertEqual(failed, [])
        return done

    def test_refused(self):
        for family in ("v4", "v6"):
            with self.subTest(family):
                self.play(family)
                more = ["--relay-id", "01"] if family == "v4" else []  # everything would be asked for twice
                done = self.ask(lambda query: query.done(name="NotAllowed", text="not you"), *more)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn("NotAllowed", done.stderr)
                self.assertIn("not you", done.stderr)

    def test_closed_without_an_answer(self):
        self.play("v6")
        done = self.ask(lambda query: query.connection.close())
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("s: the server closed the connection without an answer", done.stderr)

    def test_cut_off(self):
        self.play("v4")

        def answer(query):
            query.lease(1, 1795180000)
            query.lease(2, 1795180000)
            query.connection.close()
        done = self.ask(answer, "--json")
        self.assertEqual(done.returncode, 1)
        self.assertEqual([json.loads(line)["address"] for line in done.stdout.splitlines()], ["10.1.0.1", "10.1.0.2"])
        self.assertIn("s: the connection ended inside a bulk query", done.stderr)
        self.assertIn("2 bindings from s in ", done.stderr)

    def test_a_message_that_cannot_be_understood(self):
        self.play("v6")

        def answer(query):
            query.lease(1, 1795180000)
            query.send(query.binding(2, 1795180000)[:-3])
            query.lease(3, 1795180000)
            query.done()
        done = self.ask(answer, "--json")
        self.assertEqual(done.returncode, 1)
        self.assertEqual([json.loads(line)["address"] for line in done.stdout.splitlines()],
                         ["2001:db8:1::1", "2001:db8:1::3"])
        self.assertIn("s: a message could not be understood: ", done.stderr)
        self.assertIn("s: 1 message could not be understood; the answer is not complete\n2 bindings", done.stderr)

    def test_silence_ends_by_the_data_timeout(self):
        self.play("v4", timeouts={"data": "1s"})
        done = self.ask(lambda query: query.lease(1, 1795180000))
        self.assertEqual(done.returncode, 1)
        self.assertIn("s: no reply to the bulk query for 1 s\n1 binding from s", done.stderr)

    def test_interrupted_while_the_server_says_nothing(self):
        self.play("v6")
        child, out, err = self.begin("s")
        query = self.fake.connection().query()
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(PATIENCE), 1)
        query.connection.wait_closed()
        err.join()
        out.join()
        self.assertEqual(out.since(), [])
        self.assertEqual(err.since()[-2], "s: interrupted; there may be more")

    def test_the_first_rows_come_while_the_others_are_awaited(self):
        self.play("v4")
        child, out, err = self.begin("s")
        query = self.fake.connection().query()
        query.lease(1, 1795180000)
        out.wait(r"^10\.1\.0\.1 ")
        query.lease(2, 1795180000)
        out.wait(r"^10\.1\.0\.2 ")
        query.done()
        self.assertEqual(child.wait(PATIENCE), 0)
        out.join()
        err.join()
        self.assertEqual(len(out), 3)


class Kea(Asking):
    """Kea's recordings: the rows are those that it had, and the query on the wire is the recorded one's."""

    def replay(self, name, option, value):
        capture = Capture(name)
        replayed = Replay(capture)
        self.addCleanup(replayed.server.close)
        self.configure(yaml_server("kea", capture.family, replayed.port))
        rows = self.rows("kea", option, value)
        expected = sorted((b["row"]["address"], b["row"].get("prefix_len", 32)) for b in capture.json["bindings"])
        self.assertEqual(sorted((row["address"], row["prefix_len"]) for row in rows), expected)
        asked, = replayed.server.queries
        recorded = wire.Query(FakeConnection(replayed.server), next(frames_of(name)))
        self.assertEqual(asked.kind, recorded.kind)
        if capture.family == "v6":
            self.assertEqual((asked.query_type, asked.link), (recorded.query_type, recorded.link))

    def test_v4_by_relay_id(self):
        self.replay("v4-relay-A", "--relay-id", RELAY_A["relay_id"])

    def test_v4_by_remote_id(self):
        self.replay("v4-remote-1", "--remote-id", "text:dslam1/port-0001")

    def test_v6_by_address(self):
        self.replay("v6-addr", "--address", "2001:db8:1::1")

    def test_v6_by_client(self):
        self.replay("v6-client-42", "--client-id", "00:03:00:01:02:00:00:00:00:42")

    def test_v6_by_link(self):
        self.replay("v6-link-1", "--link", "2001:db8:1::")

    def test_v6_by_relay_id(self):
        self.replay("v6-relay-R1", "--relay-id", R1["relay_id"])


class FakeConnection:
    def __init__(self, server):
        self.server = server


def frames_of(name):
    from test_kea import GOLDEN, frames
    return frames((GOLDEN / f"{name}.req.bin").read_bytes())


class Usage(Asking):
    def setUp(self):
        super().setUp()
        self.configure(yaml_server("east-v4", "v4", 1), yaml_server("east-v6", "v6", 1))

    def test_v6_over_udp_needs_ipv6(self):
        self.assert_refused("'east-v6' \\(v6\\): over UDP a server has an address of its own family, not 127.0.0.1",
                            "east-v6", "--udp", "--address", "2001:db8::1")

    def test_unknown_server(self):
        self.assert_refused("unknown server 'est-v4'; did you mean 'east-v4'\\?", "est-v4")
        self.assert_refused("unknown server 'x'; expected east-v4 or east-v6", "x")
        self.assert_refused("'east-v4' is named twice", "east-v4", "east-v4")

    def test_filters_that_are_not_there(self):
        self.assert_refused("DHCPv6 has no query by hardware address; use --client-id", "east-v6", "--mac",
                            "02:00:00:00:00:01")
        self.assert_refused("DHCPv6 has no query for everything, and no bulk.queries are configured", "east-v6")
        self.assert_refused("DHCPv4 has no bulk query by address; use --udp", "east-v4", "--bulk", "--address",
                            "192.0.2.1")
        self.assert_refused("DHCPv6 has no query over UDP by relay-id; use --bulk", "east-v6", "--udp", "--relay-id",
                            "00030001")
        self.assert_refused("queries over UDP have no --since and --until", "east-v4", "--udp", "--address",
                            "192.0.2.1", "--since", "2h")
        self.assert_refused("--tries is for queries over UDP", "east-v4", "--tries", "2")

    def test_a_closed_port(self):
        self.assert_refused("east-v4: cannot connect to 127.0.0.1 port 1: Connection refused", "east-v4", code=3)

    def test_no_configuration(self):
        self.config.write_text("servers: []\n")
        self.assert_refused("leasemirror.yaml:", "s")


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
        self.asked.append(wire.Query(self, message))
        return self.asked[-1]

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
        done = self.ask("--address", "2001:db8:1::7", "--json", "--tries", 1,
                        answers=[[lambda q: q.lease(7, BASE)], [lambda q: None]])
        self.assertEqual(self.addresses(done, code=3), ["2001:db8:1::7"])
        self.assertIn("s1: no answer, asked once", done.stderr)

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

    def test_giaddr_of_another_host(self):
        self.peer("v4", giaddr="192.0.2.55")
        self.assert_refused("s0: 192.0.2.55 is no address of this host; requestor.giaddr must be one, or auto", "s0",
                            "--udp", "--address", "10.1.0.7", code=3)

    @unittest.skipIf(os.geteuid() == 0, "root may take port 67")
    def test_the_port_is_not_permitted(self):
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
