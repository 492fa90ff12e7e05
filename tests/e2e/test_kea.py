"""Streams that ISC Kea sent, replayed over TCP, against the lease rows that it sent them from (tests/golden/kea)."""

import ipaddress
import json
import pathlib
import select
import struct
import threading
import time
import unittest

import wire
from harness import EndToEnd, Moment, TOLERANCE, command, main, wait_until, yaml_server
from played import Played, both

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "kea"
INFINITE = 0xFFFFFFFF
DUID = "000300010200deadbeef"  # of the requestor in the recordings; v6 replies repeat it
RELAY_A = {"relay_id": "text:relay-A"}
R1 = {"relay_id": "00:03:00:01:02:00:00:00:0a:01"}


def frames(octets):
    while octets:
        length, = struct.unpack(">H", octets[:2])
        yield octets[2:2 + length]
        octets = octets[2 + length:]


class Capture:
    def __init__(self, name):
        self.name = name
        self.json = json.loads((GOLDEN / f"{name}.json").read_text())
        self.family = f"v{self.json['family']}"
        self.path = GOLDEN / f"{name}.bin"
        self.messages = list(frames(self.path.read_bytes()))
        self.captured_at = self.json["captured_at"][1]

    def xid_of(self, message):
        return int.from_bytes(message[4:8] if self.family == "v4" else message[1:4], "big")

    def queries(self):
        """The messages of each recorded query, in the order in which the queries were made."""
        requests = frames((GOLDEN / f"{self.name}.req.bin").read_bytes())
        return [[m for m in self.messages if self.xid_of(m) == self.xid_of(request)] for request in requests]

    def with_xid(self, message, xid):
        if self.family == "v4":
            return message[:4] + xid.to_bytes(4, "big") + message[8:]
        return message[:1] + xid.to_bytes(3, "big") + message[4:]


    def message_of(self, row):
        """The one message that tells of this lease."""
        packed = ipaddress.ip_address(row["address"]).packed
        found = [m for m in self.messages if packed in m]
        assert len(found) == 1, (row["address"], len(found))
        return found[0]


class Replay:
    """Answers query number n with what the recording has for its n-th query, then with that of the last.

    `without`: messages that are left out from now on. `cut`: so many answers end in their middle, `how`: 'close' for the
    end of the connection, 'silence' for no more octets."""

    def __init__(self, capture):
        self.capture = capture
        self.server = wire.Server(capture.family)
        self.port = self.server.port
        self.answered = 0
        self.sent_at = []
        self.without = []
        self.cut = 0
        self.how = "close"
        self.too_many = 0  # queries that came while another one was being answered on the same connection
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        queries = self.capture.queries()
        while True:
            try:
                connection = self.server.connection()
            except AssertionError:
                return
            try:
                while True:
                    query = connection.query()
                    if self.capture.json["end"] == "eof" or query.kind != "bulk":
                        break
                    self.sent_at.append(time.time())
                    messages = [m for m in queries[min(self.answered, len(queries) - 1)] if m not in self.without]
                    if self.cut:
                        for message in messages[:len(messages) // 2]:
                            query.send(self.capture.with_xid(message, query.xid))
                        self.cut -= 1
                        if self.how == "silence":
                            connection.wait_closed()
                        break
                    for message in messages:
                        query.send(self.capture.with_xid(message, query.xid))
                        if message is messages[-2:][0] and select.select([connection.socket], [], [], 0)[0]:
                            self.too_many += 1
                    self.answered += 1
            except wire.Closed:
                pass
            connection.close()


def relays_of(row):
    """What Kea keeps of the relays, the nearest to the client first, each with its options by code."""
    isc = (row.get("user_context") or {}).get("ISC", {})
    hops = []
    for hop in reversed(isc.get("relay-info", [])):
        options = wire.parse6(bytes.fromhex(hop.get("options", "0x")[2:]))
        hops.append({**hop, "options": options})
    return hops


def sub_options(row):
    """Option 82 as Kea keeps it, in its older or newer form."""
    info = (row.get("user_context") or {}).get("ISC", {}).get("relay-agent-info")
    if info is None:
        return {}
    octets = bytes.fromhex((info if isinstance(info, str) else info["sub-options"])[2:])
    out = {}
    while octets:
        out[octets[0]] = octets[2:2 + octets[1]]
        octets = octets[2 + octets[1]:]
    return out


def raw(text):
    return bytes.fromhex(text.replace(":", "")) if text else None


def expected_v4(row):
    relay = sub_options(row)
    hardware = row.get("hwaddr") or None
    if hardware and len(raw(hardware)) > 16:
        hardware = None  # Kea sends zeros in its place
    return {"kind": "address", "prefix_len": 32, "client_id": raw(row.get("client_id")), "hw_addr": hardware,
            "hw_type": 1 if hardware else None, "circuit_id": relay.get(1), "remote_id": relay.get(2),
            "relay_id": relay.get(12), "subscriber_id": relay.get(6), "link_address": None, "relay_address": None}


def expected_v6(row):
    relays = relays_of(row)

    def nearest(code):
        return next((hop["options"][code] for hop in relays if code in hop["options"]), None)
    duid = raw(row["duid"])
    kind = int.from_bytes(duid[:2], "big")
    hardware = {1: duid[8:], 3: duid[4:]}.get(kind)
    hw_type = int.from_bytes(duid[2:4], "big") if hardware else None
    if not hardware and nearest(79):
        hw_type, hardware = int.from_bytes(nearest(79)[:2], "big"), nearest(79)[2:]
    link = next((hop["link"] for hop in relays if hop["link"] != "::"), None)
    return {"kind": "prefix" if row["lease_type"] == 2 else "address", "prefix_len": row["prefix_len"],
            "client_id": duid, "hw_addr": hardware.hex(":") if hardware else None, "hw_type": hw_type,
            "circuit_id": nearest(18), "remote_id": nearest(37), "relay_id": nearest(53),
            "subscriber_id": nearest(38), "link_address": link,
            "relay_address": relays[-1]["peer"] if relays else None}


class Kea(EndToEnd):
    def replay(self, name, query, mode="bulk", timeouts=None, **bulk):
        self.capture = Capture(name)
        self.replayed = Replay(self.capture)
        self.addCleanup(self.replayed.server.close)
        queries = {"queries": [query]} if query else {}
        self.configure(yaml_server("kea", self.capture.family, self.replayed.port, mode=mode,
                                   bulk={**queries, "poll_interval": "1h", **bulk}, timeouts=timeouts or {}),
                       requestor={"duid": DUID})
        return self.agent()

    def expect_rows(self, queries=1):
        self.wait_sql("SELECT last_full_sync_at IS NOT NULL FROM server")
        wait_until(lambda: self.replayed.answered >= queries, "all queries of the recording to be made")
        self.wait_sql("SELECT phase = 'polling' FROM server")
        late = time.time() - self.replayed.sent_at[0]
        server = self.server("kea")
        truth = {}
        for binding in self.capture.json["bindings"]:
            row = binding["row"]
            truth[row["address"], row.get("prefix_len", 32)] = row
        found = {(row["address"], row["prefix_len"]): row for row in self.rows("SELECT * FROM binding")}
        self.assertEqual(sorted(found), sorted(truth))
        for key, row in truth.items():
            with self.subTest(key, why=row["why"]):
                self.check(found[key], row, server, late)
        self.assert_sound()

    def check(self, found, row, server, late):
        v4 = self.capture.family == "v4"
        same = {"state": "active", "vpn_id": "", "family": self.capture.family, "via": "bulk", "end_reason": None,
                "data_source": "local", "hostname": None, "options": None, "state_since": None}
        same.update(expected_v4(row) if v4 else expected_v6(row))
        self.assertEqual({key: found[key] for key in same}, same)

        # v4 tells the server's time, so its clock is known. v6 of Kea does not: ages count from when we hear them.
        if v4:
            shift, tolerance = -server["clock_skew_ms"] / 1000, TOLERANCE
        else:
            shift, tolerance = self.replayed.sent_at[0] - self.capture.captured_at, TOLERANCE + late
        seen = min(row["cltt"], self.capture.captured_at)  # of a time to come, Kea says that it is now
        self.assertAlmostEqual(found["client_last_seen"], seen + shift, delta=tolerance)

        def check_time(column, lifetime):
            if lifetime == INFINITE:
                return self.assertIsNone(found[column], column)
            self.assertAlmostEqual(found[column], seen + lifetime + shift, delta=tolerance, msg=column)
        check_time("expires_at", row["valid_lifetime"])
        if v4:
            return
        if row["cltt"] + row["pref_lifetime"] > self.capture.captured_at:
            check_time("preferred_until", row["pref_lifetime"])
        elif found["expires_at"] is not None:  # lapsed, and sent at its full length: at most the valid one counts
            self.assertLessEqual(found["preferred_until"], found["expires_at"])

    # Poll after poll: a lease ends when a whole answer does not have it any more, and only then.

    def states(self):
        return {row["address"]: (row["state"], row["end_reason"])
                for row in self.rows("SELECT address, state, end_reason FROM binding")}

    def wait_polls(self, more):
        wanted = self.replayed.answered + more
        wait_until(lambda: self.replayed.answered >= wanted, f"{more} more polls")

    def poll(self, name, query, **timeouts):
        self.replay(name, query, poll_interval="100ms", covers="all", timeouts=timeouts)
        self.wait_sql("SELECT last_full_sync_at IS NOT NULL FROM server")
        self.wait_polls(2)  # what the first has told is in the database
        self.before = self.states()
        self.assertEqual(set(self.before.values()), {("active", None)})
        self.assertEqual(len(self.before), len(self.capture.json["bindings"]))

    def expect_end_of_absent(self, name, query):
        self.poll(name, query)
        rows = [b["row"] for b in self.capture.json["bindings"]]
        gone = [row for row in rows if row.get("lease_type", 0) == 0][1:3]  # the REPLY of v6 begins with the first
        self.assertEqual(len(gone), 2)
        self.replayed.without = [self.capture.message_of(row) for row in gone]
        expected = {address: ("ended", "reconciled") if address in [row["address"] for row in gone] else state
                    for address, state in self.before.items()}
        wait_until(lambda: self.states() == expected, lambda: f"two leases of {self.states()} to end")
        told = self.rows("SELECT address, state, inferred FROM binding_change WHERE change = 'ended'")
        self.assertEqual(sorted(row["address"] for row in told), sorted(row["address"] for row in gone))
        for row in told:
            self.assertEqual((row["state"], bool(row["inferred"])), ("ended", True))
        held = self.rows("SELECT address, end_reason FROM assignment WHERE ended_at IS NOT NULL AND ended_inferred")
        self.assertEqual(sorted((row["address"], row["end_reason"]) for row in held),
                         sorted((row["address"], "reconciled") for row in gone))
        self.wait_polls(2)
        self.assertEqual(self.states(), expected)
        self.replayed.without = []
        wait_until(lambda: self.states() == self.before, lambda: f"two leases of {self.states()} to come back")
        self.assertEqual(self.server("kea")["coverage"], "full")
        self.assertEqual(self.replayed.too_many, 0)
        self.assert_sound()

    def expect_no_end_by_a_cut(self, name, query, how):
        self.poll(name, query, data="1s")
        full_sync = self.server("kea")["last_full_sync_at"]
        self.replayed.how, self.replayed.cut = how, 3
        wait_until(lambda: self.replayed.cut == 0, "three answers to be cut off")
        self.wait_polls(2)  # the same query again, and again until its answer is whole
        self.assertEqual(self.states(), self.before)
        self.assertEqual(self.rows("SELECT * FROM binding_change WHERE change = 'ended'"), [])
        self.assertIsNotNone(full_sync)
        error = self.server("kea")["last_error"]
        self.assertRegex(error, "no reply to the bulk query for 1 s" if how == "silence" else "inside a bulk query")
        self.assertRegex(error, "it was the query for (link|relay-id)")
        self.wait_sql("SELECT phase = 'polling' FROM server")
        self.assert_sound()

    def test_v4_a_lease_that_is_not_listed_any_more(self):
        self.expect_end_of_absent("v4-relay-A", RELAY_A)

    def test_v6_a_lease_that_is_not_listed_any_more(self):
        self.expect_end_of_absent("v6-link-1", {"link": "2001:db8:1::"})

    def test_v4_a_poll_that_breaks_off(self):
        self.expect_no_end_by_a_cut("v4-relay-A", RELAY_A, "close")

    def test_v6_a_poll_that_breaks_off(self):
        self.expect_no_end_by_a_cut("v6-link-1", {"link": "2001:db8:1::"}, "close")

    def test_v4_a_poll_that_falls_silent(self):
        self.expect_no_end_by_a_cut("v4-relay-A", RELAY_A, "silence")

    def test_v6_a_poll_that_falls_silent(self):
        self.expect_no_end_by_a_cut("v6-link-1", {"link": "2001:db8:1::"}, "silence")

    def test_v6_heeds_no_start_time(self):
        agent = self.replay("v6-link-1", {"link": "2001:db8:1::"}, poll_interval="400ms", window_interval="100ms")
        agent.log.wait("no-windowed-polls")
        self.wait_sql("SELECT last_full_sync_at IS NOT NULL FROM server")
        self.wait_sql("SELECT window_support = 'no' AND support_seen_at IS NOT NULL FROM server")
        self.wait_polls(3)
        self.assertEqual([query.start for query in self.replayed.server.queries if query.start], [])
        self.assertEqual(len([line for line in agent.log.since() if "no-windowed-polls" in line]), 1)

    def test_auto_polls_a_server_without_active_leasequery_and_remembers_it(self):
        agent = self.replay("v4-relay-A", RELAY_A, mode="auto", poll_interval="100ms", timeouts={"retry": "100ms"})
        self.wait_sql("SELECT last_full_sync_at IS NOT NULL FROM server")
        self.wait_sql("SELECT active_support = 'no' FROM server", patience=60)
        self.wait_polls(2)
        agent.terminate()
        asked = len(self.replayed.server.queries)
        self.agent()
        self.wait_polls(3)
        self.assertEqual({query.kind for query in self.replayed.server.queries[asked:]}, {"bulk"})
        self.assertEqual(self.one("SELECT active_support FROM server_overview"), "no")

    def expect_error(self, pattern):
        self.wait_sql("SELECT last_error LIKE ? FROM server", f"%{pattern}%")
        self.assertEqual(self.rows("SELECT * FROM binding"), [])

    def test_v4_by_relay_id(self):
        self.replay("v4-relay-A", RELAY_A)
        self.expect_rows()

    def test_v4_by_remote_id(self):
        self.replay("v4-remote-1", {"remote_id": "text:dslam1/port-0001"})
        self.expect_rows()

    def test_v4_window(self):
        self.replay("v4-window", RELAY_A)
        self.expect_rows()

    def test_v4_interleaved(self):
        self.replay("v4-interleaved", RELAY_A, poll_interval="50ms")
        self.expect_rows(queries=6)

    def test_v4_nothing_but_expired(self):
        self.replay("v4-empty-expired-only", {"mac": "02:00:00:00:00:15"})
        self.expect_rows()

    def test_v4_everything_is_refused(self):
        self.replay("v4-all-refused", None)
        self.expect_error("query for all configured addresses is not supported")

    def test_v4_malformed(self):
        self.replay("v4-malformed-multi", RELAY_A)
        self.expect_error("query")
        self.assertIn("MalformedQuery", self.server("kea")["last_error"])

    def test_v4_no_active_leasequery(self):
        self.replay("v4-closed-activelq", None, mode="active")
        self.expect_error("closed the connection without an answer")

    def test_v6_by_address(self):
        self.replay("v6-addr", {"address": "2001:db8:1::1"})
        self.expect_rows()

    def test_v6_by_client(self):
        self.replay("v6-client-42", {"client_id": "00:03:00:01:02:00:00:00:00:42"})
        self.expect_rows()

    def test_v6_by_link(self):
        self.replay("v6-link-1", {"link": "2001:db8:1::"})
        self.expect_rows()

    def test_v6_link_without_leases(self):
        self.replay("v6-link-empty", {"link": "2001:db8:4::"})
        self.expect_rows()

    def test_v6_by_relay_id(self):
        self.replay("v6-relay-R1", R1)
        self.expect_rows()

    def test_v6_interleaved(self):
        self.replay("v6-interleaved", R1, poll_interval="50ms")
        self.expect_rows(queries=6)

    def test_v6_unknown_query_type(self):
        self.replay("v6-qtype-unknown", R1)
        self.expect_error("unknown query-type")

    def test_v6_closed_without_an_answer(self):
        self.replay("v6-closed-starttls", R1)
        self.expect_error("closed the connection without an answer")


class WindowedPolls(Played):
    """A server that heeds a start time, as Kea does in v4."""

    mode = "bulk"

    def windowed(self, leases, age=0):
        query = self.fake.query("bulk")
        self.assertIsNotNone(query.start, "a windowed poll")
        self.assertIsNone(query.end)
        base = int(time.time())
        for n, client in leases.items():
            query.lease(n, base, client, age=age)
        query.done(base)
        return query.start, base

    def test_what_is_new_comes_between_full_polls_and_ends_nothing(self):
        queries = {"v4": [{"relay_id": "text:relay-A"}], "v6": [{"link": "2001:db8:1::1"}]}[self.family]
        self.start(bulk={"queries": queries, "covers": "all", "poll_interval": "1h", "window_interval": "200ms"})
        full = self.fake.query("bulk")
        self.assertEqual((full.start, full.end), (None, None))
        first = int(time.time())
        for n, client in {1: "a", 2: "b"}.items():
            full.lease(n, first, client, age=500)
        full.done(first)
        self.wait_holder(2, "b")
        self.wait_base_time(first)
        fresh = self.server()["fresh_as_of"]
        start, base = self.windowed({3: "c"})
        self.assertEqual(start, first - 10)
        self.wait_holder(3, "c")
        start, _ = self.windowed({})
        self.assertEqual(start, base - 10)
        self.wait_sql("SELECT window_support = 'yes' FROM server")
        self.assertEqual([self.holder(n) for n in (1, 2, 3)],
                         [wire.client_id(self.family, client) for client in ("a", "b", "c")])
        after = self.server()
        self.assertEqual(after["base_time"], Moment(first))
        self.assertAlmostEqual(after["fresh_as_of"], fresh, delta=TOLERANCE)  # the skew may have been seen better
        self.assertEqual(self.rows("SELECT * FROM binding_change WHERE change = 'ended'"), [])
        self.assert_sound()

    def test_a_server_that_lists_everything_again_is_asked_for_that_no_more(self):
        queries = {"v4": [{"relay_id": "text:relay-A"}], "v6": [{"link": "2001:db8:1::1"}]}[self.family]
        agent = self.start(bulk={"queries": queries, "covers": "all", "poll_interval": "2s",
                                 "window_interval": "200ms"})
        full = self.fake.query("bulk")
        full.lease(1, int(time.time()), "a", age=500)
        full.done(int(time.time()))
        self.windowed({1: "a"}, age=500)
        agent.log.wait("no-windowed-polls")
        self.wait_sql("SELECT window_support = 'no' FROM server")
        again = self.fake.query("bulk")
        self.assertIsNone(again.start)
        again.lease(1, int(time.time()), "a", age=500)
        again.done(int(time.time()))
        self.wait_holder(1, "a")


class Decode(unittest.TestCase):
    """`leasemirror decode` of each capture: 0, and every address in the text."""

    def test_every_capture(self):
        names = sorted(path.stem for path in GOLDEN.glob("*.json"))
        self.assertGreaterEqual(len(names), 16)
        for name in names:
            with self.subTest(name):
                capture = Capture(name)
                done = command("decode", capture.path)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                for binding in capture.json["bindings"]:
                    self.assertIn(binding["row"]["address"], done.stdout)
                self.assertEqual(done.stdout.count("\nmessage ") + done.stdout.startswith("message "),
                                 capture.json["messages"])
                self.assertNotIn("malformed", done.stdout.lower().replace("malformedquery", ""))

    def test_a_capture_cut_inside_a_frame(self):
        cut = Capture("v6-link-1").path.read_bytes()[:-3]
        done = command("decode", "/dev/stdin", input_bytes=cut)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("breaks off", done.stdout)


both(globals(), [WindowedPolls])

if __name__ == "__main__":
    main()
