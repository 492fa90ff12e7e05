"""Bindings in doubt: seen by every reader, as durable as rows are, and settled by what the server says when it is asked for
just that binding (agent/README.md, "Doubt").
"""

import ipaddress
import json

import wire
from harness import EndToEnd, command, main
from played import Played, both

LINK = "2001:db8:1::1"


class Doubts(Played):
    """Lease 2 is in doubt: in v6 a newer list of its client leaves it out, and nobody knows how this server lists; in v4
    something was told of it that cannot be read.
    """

    def setUp(self):
        super().setUp()
        self.start()
        self.client, self.why = ("a", "unlisted") if self.family == "v6" else ("b", "unreadable")
        bulk = self.expect("bulk")
        for n, client in {1: "a", 2: self.client}.items():
            bulk.lease(n, self.at(0), client, link=LINK)
        bulk.done(self.at(0))
        self.live = self.expect("active")
        self.live.accept(self.at(0))
        self.live.catch_up_complete(self.at(0))
        self.wait_live()

    def make_doubt(self, n=1):
        """At the time with this number. The question about it, unanswered."""
        if self.family == "v6":
            self.live.lease(1, self.at(n), "a", link=LINK)
        else:
            self.live.send(self.live.cut_option(2, self.at(n)))
        question = self.expect("question")
        self.assert_asked_about_2(question)
        return question

    def assert_asked_about_2(self, question):
        self.assertEqual((question.start, question.end), (None, None))
        if self.family == "v6":
            self.assertEqual(question.query_type, 1)
            self.assertEqual(ipaddress.IPv6Address(question.asked[5][:16]), ipaddress.IPv6Address(self.address()))
        else:
            self.assertEqual(question.options[61], wire.client_id("v4", self.client))

    def address(self):
        return wire.address(self.family, 2)

    def status(self):
        table, lines = (command("status", "-c", self.config, *more) for more in ((), ("--json",)))
        self.assertEqual((table.returncode, lines.returncode), (0, 0), table.stderr + lines.stderr)
        told, = map(json.loads, lines.stdout.splitlines())
        return table.stdout, told

    def assert_in_doubt(self):
        """It stays as it is, and whoever looks sees that this is not settled."""
        self.wait_doubts({2: self.why})
        self.assertEqual(self.holder(2), wire.client_id(self.family, self.client))
        shown = {row["address"]: row["doubt"] for row in self.rows("SELECT address, doubt FROM lease")}
        self.assertEqual(shown, {wire.address(self.family, 1): None, self.address(): self.why})
        table, told = self.status()
        self.assertIn("in doubt: 1 binding\n", table)
        self.assertEqual(told["doubts"], 1)

    def assert_settled(self):
        self.wait_doubts({})
        self.wait_live()
        table, told = self.status()
        self.assertNotIn("in doubt", table)
        self.assertEqual(told["doubts"], 0)
        self.assertEqual([query.asks for query in self.waiting], [])
        self.assert_sound()

    def assert_not_held_any_more(self):
        """Nobody said when it ended: the time is a bound, in the history and in the feed."""
        row, = self.rows("SELECT * FROM binding WHERE address = ?", self.address())
        self.assertEqual((row["state"], row["end_reason"]), ("ended", "asked"))
        self.assertEqual(self.rows("SELECT * FROM lease WHERE address = ?", self.address()), [])
        held, = self.rows("SELECT * FROM assignment WHERE address = ?", self.address())
        self.assertEqual((held["end_reason"], bool(held["ended_inferred"])), ("asked", True))
        told = self.rows("SELECT * FROM binding_change WHERE address = ? ORDER BY seq", self.address())
        self.assertEqual([row["change"] for row in told], ["assigned", "ended"])
        self.assertEqual(bool(told[-1]["inferred"]), True)

    def test_the_server_still_has_it(self):
        question = self.make_doubt()
        self.assert_in_doubt()
        question.lease(2, self.at(1), self.client, link=LINK)
        question.done(self.at(1))
        self.assert_settled()
        self.assertEqual(self.holder(2), wire.client_id(self.family, self.client))
        self.assertEqual(self.rows("SELECT * FROM binding_change WHERE change = 'ended'"), [])

    def test_the_server_does_not_have_it(self):
        question = self.make_doubt()
        self.assert_in_doubt()
        question.done(self.at(1))
        self.wait_sql("SELECT count(*) = 1 FROM binding WHERE end_reason = 'asked'")
        self.assert_not_held_any_more()
        if self.family == "v4":
            self.answer_who_has_it(2, "z")
            self.wait_holder(2, "z")
        self.assert_settled()

    def answer_who_has_it(self, n, client=None):
        """v4: the question was about the client, and what could not be read may have told of another one. So the address
        stays in doubt until all is read anew.
        """
        full = self.expect("bulk")
        self.assertEqual(self.doubts(), {self.address(): self.why})
        for number, holder in {1: "a", 2: client}.items():
            if holder:
                full.lease(number, self.at(n), holder)
        full.done(self.at(n))

    def test_it_is_durable(self):
        """Killed while the server has not answered: the same question again, of a new agent, and the answer counts."""
        for n, held in ((1, True), (4, False)):
            question = self.make_doubt(n)
            self.assert_in_doubt()
            self.agents[-1].kill()
            question.connection.close()
            self.live.connection.close()
            self.assert_in_doubt()
            self.start()
            self.answer_after_restart(n + 1, held)
            self.assert_settled()
        self.assert_not_held_any_more()

    def answer_after_restart(self, n, held):
        full = None
        if self.family == "v4":  # a message could not be read, and is known to: all is read anew, too
            full = self.expect("bulk")
            full.lease(1, self.at(n), "a")
        self.live = self.expect("active")  # which waits for no answer to a question
        base = self.at(n)
        self.live.accept(base)
        self.live.catch_up_complete(base)
        question = self.expect("question")
        self.assert_asked_about_2(question)
        self.assert_in_doubt()
        if held:
            question.lease(2, base, self.client, link=LINK)
        question.done(base)
        if held or not full:
            self.wait_doubts({})
        self.wait_holder(2, self.client if held else None)
        if full:
            if held:
                full.lease(2, base, self.client)
            full.done(base)
            if not held:
                self.answer_who_has_it(n + 1)

    def test_an_answer_that_says_nothing_settles_nothing(self):
        """It stays in doubt, and nothing else suffers."""
        question = self.make_doubt()
        question.done(self.at(1), "NotAllowed", "not you")
        self.live.lease(3, self.at(1), "c", link=LINK)
        self.wait_holder(3, "c")
        self.assertEqual(self.doubts(), {self.address(): self.why})
        server = self.server()
        self.assertEqual((server["phase"], server["gaps_open"], server["coverage"]), ("live", 0, "full"))
        # A later word about it does.
        self.live.lease(2, self.at(2), "d", link=LINK)
        self.wait_holder(2, "d")
        self.assert_settled()

    def test_the_end_of_it_needs_no_answer(self):
        self.make_doubt()
        self.assert_in_doubt()
        self.live.lease(2, self.at(1), self.client, lifetime=0, link=LINK, also=[1])
        self.wait_holder(2, None)
        self.assert_settled()
        row, = self.rows("SELECT * FROM binding WHERE address = ?", self.address())
        self.assertEqual(row["end_reason"], "reported")


class Lists(Played, EndToEnd):
    """What a v6 server's lists of a client's leases leave out (`client_data: auto`)."""

    family = "v6"

    def start_with(self, leases, link=LINK):
        self.start()
        bulk = self.expect("bulk")
        for n, client in leases.items():
            bulk.lease(n, self.at(0), client, link=link)
        bulk.done(self.at(0))
        live = self.expect("active")
        live.accept(self.at(0))
        live.catch_up_complete(self.at(0))
        self.wait_live()
        return live

    def learn(self, held):
        """Eight leases that a list left out, all still held, or none of them any more."""
        live = self.start_with({**{n: "a" for n in range(1, 10)}, 11: "b", 12: "b"})
        live.lease(1, self.at(1), "a", link=LINK)
        question = self.expect("question")
        self.wait_doubts({n: "unlisted" for n in range(2, 10)})
        for left in range(7, -1, -1):
            self.assertIsNone(self.server()["client_data"])
            asked = int(ipaddress.IPv6Address(question.asked[5][:16])) & 0xffff
            if held:
                question.lease(asked, self.at(1), "a", link=LINK)
            question.done(self.at(1))
            if left:
                question = question.connection.query()
        self.wait_doubts({})
        self.wait_sql("SELECT client_data = ? FROM server", "delta" if held else "snapshot")
        return live

    def test_eight_that_had_ended_make_a_snapshot(self):
        live = self.learn(held=False)
        self.agents[-1].log.wait("client-lists .*learned=snapshot")
        self.assertEqual(self.one("SELECT count(*) FROM binding WHERE end_reason = 'asked'"), 8)
        self.assert_ends_at_once(live)
        # It is remembered.
        self.agents[-1].kill()
        live.connection.close()
        self.start()
        live = self.expect("active")
        live.accept(self.at(2))
        live.lease(12, self.at(2), "b", link=LINK)
        live.catch_up_complete(self.at(2))
        self.wait_live()
        self.wait_holder(12, "b")
        self.assert_ends_at_once(live)

    def assert_ends_at_once(self, live):
        """Without a doubt and without a question."""
        queries = len(self.fake.queries)
        live.lease(11, self.at(2), "b", link=LINK)
        self.wait_holder(12, None)
        row, = self.rows("SELECT * FROM binding WHERE address = ?", wire.address("v6", 12))
        self.assertEqual((row["end_reason"], row["doubt"]), ("unlisted", None))
        self.assertEqual(len(self.fake.queries), queries)

    def test_eight_that_had_not_make_a_delta(self):
        live = self.learn(held=True)
        self.agents[-1].log.wait("client-lists .*learned=delta")
        queries = len(self.fake.queries)
        live.lease(11, self.at(2), "b", link=LINK)
        live.lease(1, self.at(3), "c", link=LINK)
        self.wait_holder(1, "c")
        self.assertEqual(self.doubts(), {})
        self.assertEqual(self.holder(12), wire.client_id("v6", "b"))
        self.assertEqual(len(self.fake.queries), queries)

    def test_a_list_without_a_link(self):
        """It may speak of another link than the lease that it leaves out: doubt, whatever the server was learned to do."""
        live = self.start_with({1: "a", 2: "a"})
        live.lease(1, self.at(1), "a")
        question = self.expect("question")
        self.wait_doubts({2: "link_unknown"})
        question.lease(2, self.at(1), "a", link=LINK)
        question.done(self.at(1))
        self.wait_doubts({})
        self.wait_holder(2, "a")

    def test_a_list_on_another_link(self):
        """It says nothing of the first one."""
        live = self.start_with({1: "a", 2: "a"})
        live.lease(3, self.at(1), "a", link="2001:db8:2::1")
        self.wait_holder(3, "a")
        self.assertEqual(self.doubts(), {})
        self.assertEqual([self.holder(n) for n in (1, 2)], [wire.client_id("v6", "a")] * 2)

    def test_the_end_of_another_client(self):
        """It ends nothing (RFC 5007 §4.1.2.2): the server is asked who has it."""
        live = self.start_with({1: "a"})
        live.ended(1, self.at(1), "x")
        question = self.expect("question")
        self.wait_doubts({1: "other_client"})
        self.assertEqual(self.holder(1), wire.client_id("v6", "a"))
        question.lease(1, self.at(1), "b", link=LINK)
        question.done(self.at(1))
        self.wait_holder(1, "b")
        self.wait_doubts({})
        held = self.rows("SELECT * FROM assignment ORDER BY assignment_id")
        self.assertEqual([row["client_id"] for row in held], [wire.client_id("v6", name) for name in "ab"])
        self.assertEqual((held[0]["end_reason"], bool(held[0]["ended_inferred"]), bool(held[1]["began_inferred"])),
                         ("replaced", True, True))
        self.assert_sound()


both(globals(), [Doubts])

if __name__ == "__main__":
    main()
