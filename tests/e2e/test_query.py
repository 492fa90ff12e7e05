"""`leasemirror query` over bulk: against leasesim, Kea's recordings and servers played by hand."""

import ipaddress
import json
import signal
import subprocess
import threading

import wire
from asking import Asking, with_most
from certificates import Authority, directory_of
from harness import PATIENCE, TOLERANCE, key_of, main, program, sim_server, unix, wait_until, yaml_server
from test_kea import GOLDEN, R1, RELAY_A, Capture, Replay, frames


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
        self.assertEqual([row["server"] for row in self.rows("six", "four", "--limit", 2)], ["six", "six", "four", "four"])
        self.assertEqual(self.stderr.count("there is more; --limit ended the query"), 2)

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


class OverTls(Asking):
    """query goes the way that the configuration says, and never another."""

    @classmethod
    def setUpClass(cls):
        cls.pki = directory_of(cls)
        cls.ca = Authority(cls.pki)
        cls.other = Authority(cls.pki, "other")
        cls.server_pair, cls.our_pair = cls.ca.issue("server"), cls.ca.issue("query", None)

    def secure(self, family, mode, client_ca=None, our_ca=None):
        sim = self.leasesim("--family", family, "--bindings", 100, "--links", 4, "--tls", mode, "--tls-cert",
                            self.server_pair.cert, "--tls-key", self.server_pair.key, "--tls-ca",
                            (client_ca or self.ca).cert)
        tls = {"mode": mode, "ca": str((our_ca or self.ca).cert), "cert": str(self.our_pair.cert),
               "key": str(self.our_pair.key)}
        self.configure(sim_server("s", family, sim.port, links=4, tls=tls))
        return sim

    def test_good(self):
        for family, mode in (("v4", "starttls"), ("v6", "starttls"), ("v4", "direct"), ("v6", "direct")):
            with self.subTest(family=family, mode=mode):
                truth = self.secure(family, mode).dump()
                self.assert_same([row for row in self.rows("s") if row["state"] == "active"], truth)

    def test_a_server_that_we_do_not_trust(self):
        sim = self.secure("v6", "starttls", our_ca=self.other)
        self.assert_refused("s: cannot connect to 127.0.0.1 port", "s", code=3)
        self.assertEqual(sim.stats()["clear_queries"], 0)

    def test_a_server_that_does_not_trust_us(self):
        sim = self.secure("v6", "direct", client_ca=self.other)
        self.assert_refused("s: cannot connect to 127.0.0.1 port", "s", code=3)
        self.assertEqual(sim.stats()["handshakes"], 0)

    def test_udp_is_in_clear_text(self):
        self.secure("v4", "starttls")
        self.assert_refused("a query over UDP goes in clear text; say --udp if that is all right", "s", "--address",
                            "10.0.0.1")


class FakeConnection:
    def __init__(self, server):
        self.server = server


def frames_of(name):
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


if __name__ == "__main__":
    main()
