"""What cannot be understood is told and kept in quarantine, and costs that message or that connection, nothing else.

In all scenarios a good binding is in the database first, and is still there, whole, at the end.
"""

import random
import struct

import wire
from harness import main, wait_until
from played import Played, both


class Hostile(Played):
    def setUp(self):
        super().setUp()
        self.start()
        self.live = self.go_live({1: "a"}, self.at(0))

    def tearDown(self):
        self.assertIsNone(self.agents[-1].child.poll(), "the agent must outlive whatever it is sent")
        self.wait_holder(1, "a")
        self.assert_sound()
        super().tearDown()

    def assert_closed_with(self, pattern):
        """The connection is closed, the reason is told, and the next attempt starts where the mirror is good."""
        self.live.connection.wait_closed()
        self.live.connection.close()
        self.wait_sql("SELECT last_error LIKE ? FROM server", f"%{pattern}%")
        again = self.fake.query("active")
        self.assertEqual(again.start, self.at(0))
        self.assertGreater(self.fake.arrivals[-1] - self.fake.arrivals[-2], 0.3)  # timeouts.retry is 0.4 s
        again.accept(self.at(1))
        again.catch_up_complete(self.at(1))
        again.lease(2, self.at(1), "b")
        self.wait_holder(2, "b")

    def assert_quarantined(self, octets):
        """The message is in quarantine, octet by octet, and the stream flows on."""
        self.wait_sql("SELECT count(*) FROM quarantine")
        row, = self.rows("SELECT * FROM quarantine")
        self.assertEqual(row["message"], octets[:65536])
        self.assertEqual(row["message_bytes"], len(octets))
        self.assertTrue(row["reason"])
        self.live.lease(2, self.at(1), "b")
        self.wait_holder(2, "b")

    def test_a_frame_of_length_zero(self):
        self.live.connection.send(struct.pack(">H", 0))
        self.assert_closed_with("0 octets")

    def test_a_frame_shorter_than_any_message(self):
        self.live.connection.send(wire.frame(bytes(3)))
        self.assert_closed_with("3 octets")

    def test_a_frame_cut_off(self):
        message = wire.frame(self.live.binding(3, self.at(1), "c"))
        self.live.connection.send(message[:-5])
        self.live.connection.close()
        self.assert_closed_with_cut()

    def assert_closed_with_cut(self):
        self.wait_sql("SELECT last_error LIKE '%in the middle of a message%' FROM server")
        self.assertEqual(self.fake.query("active").start, self.at(0))
        self.assertIsNone(self.holder(3))

    def test_an_unknown_transaction(self):
        self.live.lease(3, self.at(1), "c", xid=self.live.xid ^ 1)
        self.assert_closed_with("transaction")
        self.assertIsNone(self.holder(3))

    def test_a_lease_that_cannot_be_read(self):
        """Nothing is known of it, so nothing can be in doubt: a gap, which only a full bulk closes."""
        message = self.live.cut_option(3, self.at(1))
        self.live.send(message)
        full = self.expect("bulk")
        self.assertEqual((full.start, full.end), (None, None))
        self.assert_quarantined(message)
        gap, = self.rows("SELECT * FROM gap")
        self.assertIsNone(gap["closed_at"])
        self.assertLessEqual(gap["gap_from"], self.at(0))
        self.assertGreaterEqual(gap["gap_to"], self.at(0))
        self.assertEqual((self.server()["unreadable"], self.server()["doubts"]), (1, 0))
        self.assertLess(self.server()["fresh_as_of"], self.at(0))
        # The same lease, by bulk this time.
        for n, client in {1: "a", 2: "b", 3: "c"}.items():
            full.lease(n, self.at(2), client)
        full.done(self.at(2))
        self.wait_holder(3, "c")
        self.wait_sql("SELECT gaps_open = 0 AND unreadable = 0 FROM server")
        gap, = self.rows("SELECT * FROM gap")
        self.assertEqual(gap["outcome"], "recovered")

    def test_a_part_that_cannot_be_read(self):
        """It costs that part alone: the lease is stored without it, and nothing is asked again."""
        message = self.live.cut_option(3, self.at(1), "c", v4_code=12, v6_code=0xff)
        self.live.send(message)
        self.wait_holder(3, "c")
        self.assert_quarantined(message)
        self.assertEqual(self.holder(3), wire.client_id(self.family, "c"))
        self.assertIsNone(self.one("SELECT hostname FROM binding WHERE address = ?", wire.address(self.family, 3)))
        server = self.server()
        self.assertEqual((server["phase"], server["gaps_open"], server["doubts"], server["unreadable"]),
                         ("live", 0, 0, 0))
        self.assertEqual([query.kind for query in self.fake.queries], ["bulk", "active"])

    def test_a_frame_of_64_kib(self):
        """As much as a frame can hold is no fault, if it is well-formed: unknown options are skipped."""
        room = 65535 - len(self.live.binding(2, self.at(1), "b"))
        v4 = self.family == "v4"
        more = wire.option4(224, bytes(255)) * (room // 257) if v4 else wire.option6(65000, bytes(room - 4))
        self.live.lease(2, self.at(1), "b", more=more)
        self.wait_holder(2, "b")
        self.assertEqual(self.one("SELECT count(*) FROM quarantine"), 0)

    def test_more_options_than_anybody_sends(self):
        """Some thousands of empty ones in a message: read, or kept for people and asked for again."""
        room = 65535 - len(self.live.binding(2, self.at(1), "b"))
        more = b"\xe0\0" * (room // 2) if self.family == "v4" else wire.option6(65000, b"") * (room // 4)
        self.live.lease(2, self.at(1), "b", more=more)
        wait_until(lambda: self.holder(2) or self.one("SELECT count(*) FROM quarantine"), "the message to be noticed")
        if not self.holder(2):
            self.assertLessEqual(self.fake.query("bulk").start, self.at(0))

    def test_messages_nobody_asked_for(self):
        """A request in the place of a reply, and a type that does not exist: kept, and passed over."""
        if self.family == "v4":
            odd = [wire.message4(14, self.live.xid), wire.message4(99, self.live.xid)]
        else:
            odd = [wire.message6(14, self.live.xid), wire.message6(99, self.live.xid)]
        for message in odd:
            self.live.send(message)
        self.wait_sql("SELECT count(*) = 2 FROM quarantine")
        self.live.lease(2, self.at(1), "b")
        self.wait_holder(2, "b")

    def test_quarantine_is_bounded(self):
        """However much nonsense comes, it takes a bounded place, and the agent goes on."""
        nonsense = wire.message4(99, self.live.xid) if self.family == "v4" else wire.message6(99, self.live.xid)
        self.live.connection.send(wire.frame(nonsense) * 20000)
        self.live.lease(2, self.at(1), "b")
        self.wait_holder(2, "b")
        self.assertLess(self.one("SELECT count(*) FROM quarantine"), 20000)

    def test_random_octets(self):
        """Frames with nothing but noise in them: each is kept, or closes the connection; then all is well again."""
        noise = random.Random(7)
        try:
            for _ in range(200):
                self.live.connection.send(wire.frame(noise.randbytes(noise.randrange(1, 600))))
        except wire.Closed:
            pass
        self.live.connection.wait_closed()
        self.live.connection.close()
        self.wait_sql("SELECT last_error IS NOT NULL FROM server")


class HostileBulk(Played):
    """The same in a bulk: nothing is concluded from a listing that could not be read whole."""

    def test_an_unreadable_lease_does_not_end(self):
        """It was listed, if not legibly. v4 says of which address it speaks even so; in v6 it may have been any. What it may
        have been is in doubt, the server is asked about just that, and its answer counts.
        """
        agent = self.start()
        live = self.go_live({1: "a", 2: "b", 3: "c"}, self.at(0))
        for _ in range(3):
            live.lease(1, self.at(-3600), "a")  # its clock was set back: what we hold must be listed anew
        agent.log.wait("fresh-start .*the server's clock went back")
        full = self.expect("bulk")
        full.lease(1, self.at(-3600), "d")
        full.send(full.cut_option(2, self.at(-3600)))
        full.done(self.at(-3600))
        self.wait_holder(1, "d")
        self.wait_sql("SELECT count(*) FROM quarantine WHERE reason LIKE '%runs past%'")
        active = self.expect("active")
        self.assertEqual(active.start, self.at(-3600))
        doubts = {2: "unreadable"} if self.family == "v4" else {2: "scope_unreadable", 3: "scope_unreadable"}
        self.wait_doubts(doubts)
        self.assertEqual(self.holder(2), wire.client_id(self.family, "b"))
        self.assertEqual(self.holder(3), None if self.family == "v4" else wire.client_id(self.family, "c"))
        server = self.server()
        self.assertEqual(server["unreadable"], 1)
        self.assertEqual(server["coverage"], "full" if self.family == "v4" else "partial")
        question = self.expect("question")
        question.lease(2, self.at(-3599), "b")
        question.done(self.at(-3599))
        if self.family == "v6":
            question = question.connection.query()
            question.done(self.at(-3599))
        self.wait_doubts({})
        self.wait_holder(2, "b")
        self.wait_holder(3, None)
        ended, = self.rows("SELECT * FROM binding WHERE address = ?", wire.address(self.family, 3))
        self.assertEqual(ended["end_reason"], "reconciled" if self.family == "v4" else "asked")

    def test_framing_lost_in_a_bulk(self):
        self.start()
        bulk = self.fake.query("bulk")
        bulk.lease(1, self.at(0), "a")
        bulk.connection.send(struct.pack(">H", 1) + b"x")
        bulk.connection.wait_closed()
        self.wait_holder(1, "a")
        self.assertIsNone(self.server()["base_time"])
        self.answer_bulk({1: "a", 2: "b"}, self.at(1))
        self.assertLessEqual(self.fake.query("active").start, self.at(1))
        self.wait_holder(2, "b")


both(globals(), [Hostile, HostileBulk])

if __name__ == "__main__":
    main()
