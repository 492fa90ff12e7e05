"""What exactly the agent asks for, and what it makes of each answer, against a server played by hand (wire.py)."""

import wire
from harness import main
from played import Played, both

class Times(Played):
    """Which time each query starts from."""

    def test_active_starts_where_the_bulk_began(self):
        """From the base-time of the first reply, so that what changed while the server listed is told again."""
        self.start()
        bulk = self.fake.query("bulk")
        self.assertEqual((bulk.start, bulk.end), (None, None))
        began = self.at(0)
        bulk.lease(1, began, "a")
        bulk.lease(2, began + 2, "b")
        bulk.done(began + 2)
        active = self.fake.query("active")
        self.assertEqual((active.start, active.end), (began, None))
        # Listed first, changed before the listing ended: only the replay tells.
        active.lease(1, began + 3, "c")
        active.catch_up_complete(began + 3)
        self.wait_holder(1, "c")
        self.wait_holder(2, "b")
        self.wait_base_time(began + 3)

    def test_base_times_of_a_catch_up_are_not_kept(self):
        self.start()
        live = self.go_live({1: "a"}, self.at(0))
        live.lease(1, self.at(1), "b")
        self.wait_base_time(self.at(1))
        live.connection.close()
        for step, clients in enumerate(["cd", "ef"]):
            active = self.fake.query("active")
            self.assertEqual(active.start, self.at(1))
            for n, client in enumerate(clients, 1):
                active.lease(n, self.at(2 + step), client)
            self.wait_holder(2, clients[1])  # the data is taken ...
            self.assertEqual(self.server()["base_time"], self.at(1))  # ... and its time is not
            active.connection.close()
        self.assertEqual(self.fake.query("active").start, self.at(1))

    def test_reconnects_with_the_last_committed_base_time(self):
        agent = self.start()
        live = self.go_live({1: "a"}, self.at(0))
        for step, client in enumerate("bcd"):
            live.lease(1, self.at(1 + step), client)
        self.wait_base_time(self.at(3))
        live.connection.close()
        live = self.fake.query("active")
        self.assertEqual(live.start, self.at(3))
        live.accept(self.at(4))
        live.catch_up_complete(self.at(4))
        live.lease(2, self.at(5), "e")
        self.wait_base_time(self.at(5))
        # And after a restart, whether killed or stopped.
        agent.kill()
        agent = self.start()
        live = self.fake.query("active")
        self.assertEqual(live.start, self.at(5))
        live.accept(self.at(6))
        live.catch_up_complete(self.at(6))
        self.wait_base_time(self.at(6))
        self.assertEqual(agent.terminate(), 0)
        self.start()
        self.assertEqual(self.fake.query("active").start, self.at(6))

    def test_keep_alives_move_the_base_time(self):
        self.start()
        live = self.go_live({1: "a"}, self.at(0))
        live.status("ConnectionActive", self.at(2))
        self.wait_base_time(self.at(2))

    def test_transaction_ids(self):
        """Never 0, within the field, and different from connection to connection."""
        self.start()
        live = self.go_live({1: "a"}, self.at(0))
        for _ in range(3):
            live.connection.close()
            live = self.fake.query("active")
        ids = [query.xid for query in self.fake.queries]
        self.assertEqual(len(set(ids)), len(ids))
        self.assertNotIn(0, ids)
        self.assertTrue(all(xid < 2**24 for xid in ids), ids)

    def test_retries_keep_their_distance(self):
        """timeouts.retry: that far apart, whatever the server does to the connection."""
        self.start(mode="active", timeouts={"retry": "1s"})
        live = self.go_live({1: "a"}, self.at(0))
        first = len(self.fake.arrivals) - 1
        for _ in range(4):
            live.accept()
            live.connection.close()
            live = self.fake.query("active")
        waited = self.fake.arrivals[-1] - self.fake.arrivals[first]
        # Each arrival is stamped a little late; the sum of four distances only by the last of these delays.
        self.assertGreater(waited, 4 * 1.0 - 0.5)


class Gaps(Played):
    """DataMissing: one gap, one query for exactly that time, which brings what is new soon; and one full bulk, which alone
    closes it, so that nothing that ended in it stays.
    """

    def open_gap(self):
        self.start()
        live = self.go_live({1: "a", 2: "b", 3: "c", 6: "f"}, self.at(0))
        live.lease(4, self.at(1), "d")
        self.wait_base_time(self.at(1))
        live.connection.close()
        # The server lost its history. Meanwhile 2 and 6 ended, and 5 began.
        active = self.expect("active")
        self.assertEqual(active.start, self.at(1))
        active.status("DataMissing", self.at(3))
        window = self.expect("bulk")
        self.assertEqual((window.start, window.end), (self.at(1), self.at(3)))
        return active, window

    def answer_window(self, window):
        """The v4 query for everything shows what ended, where the address is still configured: 6 is not any more (RFC 6926
        §8.2). In v6 no query does.
        """
        window.lease(5, self.at(4), "e")
        if self.family == "v4":
            window.ended(2, self.at(4), "b")
        window.done(self.at(4))

    def answer_full(self):
        """What the window brought is there before the full bulk has an answer, and the gap is open until then."""
        full = self.expect("bulk")
        self.assertEqual((full.start, full.end), (None, None))
        self.wait_holder(5, "e")
        self.wait_holder(2, None if self.family == "v4" else "b")
        self.wait_holder(6, "f")
        gap, = self.rows("SELECT * FROM gap")
        self.assertEqual((gap["closed_at"], gap["outcome"]), (None, None))
        for n, client in {1: "a", 3: "c", 4: "d", 5: "e"}.items():
            full.lease(n, self.at(5), client)
        full.done(self.at(5))

    def assert_recovered(self):
        self.wait_sql("SELECT count(*) FROM gap WHERE closed_at IS NOT NULL")
        self.wait_live()
        gap, = self.rows("SELECT * FROM gap")
        self.assertEqual((gap["gap_from"], gap["gap_to"]), (self.at(1), self.at(3)))
        self.assertEqual((gap["cause"], gap["outcome"]), ("DataMissing", "recovered"))
        self.assertGreaterEqual(gap["bindings_recovered"], 1)
        for n, client in {1: "a", 2: None, 3: "c", 4: "d", 5: "e", 6: None}.items():
            self.wait_holder(n, client)
        told = ("released", "reported") if self.family == "v4" else ("ended", "reconciled")
        for n, end in {2: told, 6: ("ended", "reconciled")}.items():
            ended, = self.rows("SELECT * FROM binding WHERE address = ?", wire.address(self.family, n))
            self.assertEqual((ended["state"], ended["end_reason"]), end)
            # Nobody told it as it happened: the end is a bound.
            held, = self.rows("SELECT * FROM assignment WHERE address = ?", wire.address(self.family, n))
            self.assertEqual((held["end_reason"], bool(held["ended_inferred"])), (end[1], True))
        self.assertEqual([query.asks for query in self.waiting], [])
        self.assert_sound()

    def test_a_gap_is_asked_for_exactly(self):
        _, window = self.open_gap()
        self.wait_sql("SELECT gaps_open = 1 AND phase = 'gap' AND fresh_as_of <= base_time FROM server")
        self.answer_window(window)
        self.answer_full()
        self.assert_recovered()

    def test_live_updates_go_on_and_win(self):
        """While a gap is being filled: what the bulk lists is older than what the active query told, and loses."""
        active, window = self.open_gap()
        active.lease(1, self.at(5), "z")
        self.wait_holder(1, "z")
        window.lease(1, self.at(4), "y")
        window.lease(3, self.at(4), "x")  # this one is news
        self.wait_holder(3, "x")
        self.wait_holder(1, "z")
        row, = self.rows("SELECT via, base_time FROM binding WHERE address = ?", wire.address(self.family, 1))
        self.assertEqual((row["via"], row["base_time"]), ("active", self.at(5)))

    def test_an_open_gap_survives_a_crash(self):
        active, window = self.open_gap()
        self.wait_sql("SELECT count(*) FROM gap WHERE closed_at IS NULL")
        # The base-time has moved past the start of the gap: without its row the loss would be silent.
        self.wait_base_time(self.at(3))
        self.agents[-1].kill()
        window.connection.close()
        active.connection.close()
        self.start()
        window = self.fake.query("bulk")  # first, before any active query
        self.assertEqual((window.start, window.end), (self.at(1), self.at(3)))
        self.answer_window(window)
        # The active query waits for no full bulk.
        active = self.expect("active")
        self.assertEqual(active.start, self.at(3))
        active.accept(self.at(5))
        active.catch_up_complete(self.at(5))
        self.answer_full()
        self.assert_recovered()

    def test_the_full_bulk_is_as_durable_as_its_gap(self):
        """Killed between the window's answer and that of the full bulk: the gap is asked for from its start."""
        active, window = self.open_gap()
        self.answer_window(window)
        full = self.expect("bulk")
        self.assertEqual((full.start, full.end), (None, None))
        full.lease(1, self.at(4), "a")
        self.wait_holder(5, "e")
        self.agents[-1].kill()
        full.connection.close()
        active.connection.close()
        self.assertEqual(self.one("SELECT count(*) FROM gap WHERE closed_at IS NULL"), 1)
        self.wait_holder(6, "f")
        self.start()
        self.answer_window(self.fake.query("bulk"))
        active = self.expect("active")
        active.accept(self.at(5))
        active.catch_up_complete(self.at(5))
        self.answer_full()
        self.assert_recovered()

    def test_same_base_time_the_active_record_wins(self):
        active, window = self.open_gap()
        active.lease(1, self.at(4), "z")
        self.wait_holder(1, "z")
        window.lease(1, self.at(4), "y")
        window.lease(3, self.at(4), "x")
        self.wait_holder(3, "x")
        self.wait_holder(1, "z")

    def test_what_ended_within_the_second_of_the_full_bulk(self):
        """Told, ended unseen, and not listed any more, all in one second of the server's clock: it has ended."""
        self.start()
        live = self.go_live({1: "a"}, self.at(0))
        live.lease(2, self.at(1), "b")
        self.wait_holder(2, "b")
        live.status("DataMissing", self.at(1))  # the end of 2 was among what is missing
        window = self.expect("bulk")
        self.assertIsNotNone(window.start)
        window.lease(1, self.at(1), "c")
        window.done(self.at(1))
        self.answer_bulk({1: "c"}, self.at(1))
        self.wait_live()
        self.wait_holder(2, None)
        self.assertEqual([row["outcome"] for row in self.rows("SELECT * FROM gap")], ["recovered"])


class Ends(Played):
    """Bulk answers that do not end well, and full bulks that end what they no longer list."""

    def test_a_bulk_cut_in_a_frame_is_asked_again(self):
        self.start()
        bulk = self.fake.query("bulk")
        bulk.lease(1, self.at(0), "a")
        bulk.lease(2, self.at(0), "b")
        whole = wire.frame(bulk.binding(3, self.at(0), "c"))
        bulk.connection.send(whole[:len(whole) // 2])
        self.wait_holder(2, "b")
        bulk.connection.close()
        self.wait_sql("SELECT last_error IS NOT NULL FROM server")
        self.assertIsNone(self.server()["base_time"])
        self.assertIsNone(self.holder(3))
        # From its start. What only the first attempt listed may have ended since; the replay from the base-time of
        # that attempt tells.
        again = self.fake.query("bulk")
        self.assertEqual((again.start, again.end), (None, None))
        again.lease(1, self.at(1), "a")
        again.lease(3, self.at(1), "c")
        again.done(self.at(1))
        active = self.fake.query("active")
        self.assertLessEqual(active.start, self.at(1))
        active.accept(self.at(2))
        if active.start < self.at(1):
            active.ended(2, self.at(2), "b")
        active.catch_up_complete(self.at(2))
        self.wait_holder(2, None)
        self.wait_holder(3, "c")

    def test_a_second_attempt_ends_what_only_the_first_listed(self):
        """A server that is polled tells no ends: its last complete listing is the truth."""
        self.start(mode="bulk")
        bulk = self.fake.query("bulk")
        bulk.lease(1, self.at(0), "a")
        bulk.lease(2, self.at(0), "b")
        self.wait_holder(2, "b")
        bulk.connection.close()
        self.answer_bulk({1: "a"}, self.at(2))
        self.wait_sql("SELECT last_full_sync_at IS NOT NULL FROM server")
        self.wait_holder(2, None)

    def test_a_full_bulk_ends_what_it_no_longer_lists(self):
        agent = self.start()
        live = self.go_live({1: "a", 2: "b", 3: "c"}, self.at(0))
        agent.kill()
        live.connection.close()
        # Its clock is set back by an hour: nothing of the old base-time can be used. Three messages agree on it.
        agent = self.start()
        active = self.fake.query("active")
        active.catch_up_complete(self.at(-3600))
        active.status("ConnectionActive", self.at(-3600))
        self.wait_sql("SELECT count(*) = 2 FROM quarantine")
        self.assertEqual(self.server()["base_time"], self.at(0))
        active.status("ConnectionActive", self.at(-3600))
        agent.log.wait("fresh-start .*the server's clock went back")
        self.answer_bulk({1: "a", 3: "d"}, self.at(-3600))
        self.assertEqual(self.expect("active").start, self.at(-3600))
        self.wait_holder(2, None)
        self.wait_holder(1, "a")
        self.wait_holder(3, "d")
        row, = self.rows("SELECT * FROM binding WHERE address = ?", wire.address(self.family, 2))
        self.assertEqual((row["state"], row["end_reason"]), ("ended", "reconciled"))

    def test_a_cut_inside_a_live_message(self):
        self.start()
        live = self.go_live({1: "a"}, self.at(0))
        live.lease(2, self.at(1), "b")
        half = wire.frame(live.binding(3, self.at(2), "c"))
        live.connection.send(half[:7])
        self.wait_holder(2, "b")
        live.connection.close()
        again = self.fake.query("active")
        self.assertEqual(again.start, self.at(1))
        again.accept(self.at(2))
        again.lease(3, self.at(2), "c")
        again.catch_up_complete(self.at(3))
        self.wait_holder(3, "c")
        self.assertIn("in the middle of a message", self.server()["last_error"])

    def test_query_terminated_keeps_its_time_when_live(self):
        """An orderly shutdown tells how far it told everything (RFC 7653 §8.4.1)."""
        self.start()
        live = self.go_live({1: "a"}, self.at(0))
        if self.family == "v4":
            live.status("QueryTerminated", self.at(2), "going down")
        else:
            live.done(self.at(2), "QueryTerminated", "going down")
        live.connection.close()
        self.wait_base_time(self.at(2))
        again = self.fake.query("active")
        if again.start == self.at(0):  # it was asked before the database had confirmed that time
            again.connection.close()
            again = self.fake.query("active")
        self.assertEqual(again.start, self.at(2))
        self.assertIn("going down", self.server()["last_error"])

    def test_a_refusal_is_told_in_the_servers_words(self):
        self.start()
        bulk = self.fake.query("bulk")
        bulk.done(None, "NotAllowed", "not you")
        if self.family == "v4":  # option 221 may be what it minds: once more without it
            bulk.connection.query().done(None, "NotAllowed", "not you")
        self.wait_sql("SELECT last_error LIKE '%not you%' FROM server")


both(globals(), [Times, Gaps, Ends])

if __name__ == "__main__":
    main()
