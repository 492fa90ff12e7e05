"""What scenarios with a server played by hand have in common."""

import time

import wire
from harness import EndToEnd, Moment, wait_until, yaml_server

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

    def at(self, seconds):
        """A base-time. All of a test lie close together: jumps would look like a clock that was set."""
        return self.began + seconds

    def start(self, **more):
        if self.family == "v6":
            more.setdefault("bulk", {"queries": [{"link": "2001:db8:1::1"}], "covers": "all"})
        more.setdefault("mode", self.mode)
        self.configure(yaml_server("s", self.family, self.fake.port, **more), requestor={"duid": DUID})
        return self.agent()

    def answer_bulk(self, leases, base, kind="bulk"):
        """A full bulk on a connection of its own: `leases` maps numbers to clients."""
        query = self.fake.query(kind)
        for n, client in leases.items():
            query.lease(n, base, client)
        query.done(base)
        return query

    def go_live(self, leases, base):
        """Load, and an active query that is live at `base`."""
        self.answer_bulk(leases, base)
        active = self.fake.query("active")
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
