"""What scenarios with a server played by hand have in common."""

import time

import wire
from harness import EndToEnd, Moment, wait_until, yaml_server

AHEAD = 2  # seconds by which a base-time may be ahead of its time: whole seconds are rounded
DUID = "00:03:00:01:02:00:de:ad:be:ef"


class Played:
    """A scenario in which the test itself is the server; both() makes a test case of it for each family."""

    family = ""
    mode = "auto"

    def setUp(self):
        super().setUp()
        self.fake = wire.Server(self.family)
        self.addCleanup(self.fake.close)
        self.began = int(time.time())
        self.times = {0: self.began}
        self.waiting = []  # queries that came before the one that was expected

    def at(self, n):
        """The base-time with this number, always the same one. They follow each other by a second each, like the clock of
        a server: one that ran ahead, or stood still, would look like a clock that was set. So ask for it no sooner than for
        the query that it answers.
        """
        if n not in self.times:
            before = max((k for k in self.times if k <= n), default=0)
            time_of_it = self.times[before] + n - before
            if n > max(self.times):
                time_of_it = max(time_of_it, self.began + int(self.clock()))
            self.times[n] = time_of_it
        ahead = self.times[n] - self.began
        if self.fake.spoke_at is not None:
            wait_until(lambda: ahead <= self.clock() + AHEAD, "the clock of the played server to come so far")
        return self.times[n]

    def clock(self):
        """Seconds since the server first spoke."""
        spoke_at = self.fake.spoke_at
        return time.monotonic() - spoke_at if spoke_at is not None else 0

    def start(self, **more):
        if self.family == "v6":
            more.setdefault("bulk", {"queries": [{"link": "2001:db8:1::1"}], "covers": "all"})
        more.setdefault("mode", self.mode)
        self.configure(yaml_server("s", self.family, self.fake.port, **more), requestor={"duid": DUID})
        return self.agent()

    def expect(self, kind):
        """The next query of this kind, the first on its connection: 'active'; 'question', a bulk query for one client or
        address; 'bulk', any other. The agent may ask for several things at once: others wait until they are expected.
        """
        while True:
            for query in self.waiting:
                if query.asks == kind:
                    self.waiting.remove(query)
                    return query
            self.waiting.append(self.fake.connection().query())

    def answer_bulk(self, leases, base):
        """A full bulk on a connection of its own: `leases` maps numbers to clients."""
        query = self.expect("bulk")
        self.assertEqual((query.start, query.end), (None, None))
        for n, client in leases.items():
            query.lease(n, base, client)
        query.done(base)
        return query

    def go_live(self, leases, base):
        """Load, and an active query that is live at `base`."""
        self.answer_bulk(leases, base)
        active = self.expect("active")
        active.accept(base)
        active.catch_up_complete(base)
        self.wait_live()
        return active

    def holder(self, n):
        """The client that holds address n; None if nobody does."""
        for row in self.rows("SELECT client_id FROM binding WHERE address = ? AND state = 'active'",
                             wire.address(self.family, n)):
            return row["client_id"]
        return None

    def wait_holder(self, n, client):
        expected = wire.client_id(self.family, client) if client else None
        wait_until(lambda: self.holder(n) == expected, lambda: f"{client} to hold {n}, not {self.holder(n)}")

    def doubts(self):
        """Why which addresses are in doubt."""
        return {row["address"]: row["doubt"]
                for row in self.rows("SELECT address, doubt FROM binding WHERE doubt IS NOT NULL")}

    def wait_doubts(self, expected):
        """By number."""
        expected = {wire.address(self.family, n): why for n, why in expected.items()}
        wait_until(lambda: self.doubts() == expected, lambda: f"the doubts {expected}, not {self.doubts()}")
        self.wait_sql("SELECT doubts = ? FROM server", len(expected))

    def wait_base_time(self, at):
        self.wait_sql("SELECT base_time = ? FROM server", Moment(at))

    def tearDown(self):
        # Never asked for, whatever the scenario: DHCPTLS and STARTTLS are for servers configured so.
        self.assertNotIn("tls", [query.kind for query in self.fake.queries])
        super().tearDown()


def both(namespace, scenarios):
    """The scenarios once for each family, as unittest finds them."""
    for base in scenarios:
        for family in ("v4", "v6"):
            name = base.__name__ + family.upper()
            namespace[name] = type(name, (base, EndToEnd), {"family": family, "__doc__": base.__doc__})
