"""What people ask of the past: the change feed, who had an address when, and what `forget` leaves, from wire to terminal."""

import json
import subprocess

import wire
from databases import Moment
from harness import PATIENCE, Lines, command, main, program, wait_until
from played import Played, both


class History(Played):
    def setUp(self):
        super().setUp()
        self.record_renewals = False
        self.start()
        self.live = self.go_live({9: "z"}, self.at(0))

    def rows_of(self, *arguments):
        done = command(*arguments, "--json")
        self.assertEqual(done.stderr != "", done.returncode != 0, done.stderr)  # nobody: says so there
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def client(self, name):
        return wire.client_id(self.family, name).hex()

    def address(self, n):
        return wire.address(self.family, n)

    def story(self, n):
        """The feed of an address, as pairs of change and client."""
        code, rows = self.rows_of("watch", "-c", self.config, "--since", "0", "--limit",
                                  str(self.one("SELECT count(*) FROM binding_change")))
        self.assertEqual(code, 0)
        return [(row["change"], row["client_id"]) for row in rows if row["address"] == self.address(n)]

    def pass_on(self, n, *clients):
        """All in one write: most likely in one batch, and certainly within one second of base-time."""
        frames = [wire.frame(self.live.binding(n, self.at(1), client, age=age)) for client, age in clients]
        frames.append(wire.frame(self.live.binding(n, self.at(1), clients[-1][0], lifetime=0)))
        self.live.connection.send(b"".join(frames))
        self.wait_sql("SELECT count(*) FROM binding WHERE address = ? AND state <> 'active'", self.address(n))

    def test_each_client_within_one_batch_is_told_of(self):
        self.pass_on(1, ("a", 0), ("b", 0), ("c", 0))
        expected = [(change, self.client(name)) for name in "abc" for change in ("assigned", "ended")]
        self.assertEqual(self.story(1), expected)
        held = self.rows("SELECT client_id FROM assignment WHERE address = ? ORDER BY assignment_id", self.address(1))
        self.assertEqual([row["client_id"].hex() for row in held], [self.client(name) for name in "abc"])
        self.assert_sound()

    def test_who_had_it_then(self):
        self.pass_on(1, ("a", 3000), ("b", 2000), ("c", 1000))
        began = {row["client_id"].hex(): row["began_at"] for row in
                 self.rows("SELECT * FROM assignment WHERE address = ?", self.address(1))}
        for before, name, after in ((None, "a", "b"), ("a", "b", "c"), ("b", "c", None)):
            with self.subTest(name):
                first = began[self.client(name)]
                last = began[self.client(after)] - 1 if after else first + 500
                for at in (first, last):
                    code, rows = self.rows_of("who", "-c", self.config, self.address(1), "--at", str(Moment(at)))
                    self.assertEqual(code, 0)
                    self.assertEqual([(row["client_id"], row["server"]) for row in rows], [(self.client(name), "s")])
                if not before:
                    code, rows = self.rows_of("who", "-c", self.config, self.address(1), "--at", str(Moment(first - 1)))
                    self.assertEqual((code, rows), (1, []))
        code, rows = self.rows_of("who", "-c", self.config, self.address(1))
        self.assertEqual((code, rows), (1, []))
        code, rows = self.rows_of("who", "-c", self.config, self.address(9))
        self.assertEqual((code, [row["client_id"] for row in rows]), (0, [self.client("z")]))

    def test_watch_goes_on_where_it_was(self):
        """From now on, then from a seq; a row is told as soon as it is committed, whatever the engine."""
        last = self.one("SELECT max(seq) FROM binding_change")
        watch = subprocess.Popen([program("LEASEMIRROR"), "watch", "-c", self.config, "--since", str(last), "--json"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(watch.wait, PATIENCE)
        self.addCleanup(watch.kill)
        told = Lines(watch.stdout)
        for n, name in enumerate("abc", 1):
            self.live.lease(n, self.at(n), name)
            row = json.loads(told.wait(rf'"client_id": ?"{self.client(name)}"'))
            self.assertEqual((row["change"], row["address"], row["server"]), ("assigned", self.address(n), "s"))
        seqs = [json.loads(line)["seq"] for line in told.since()]
        self.assertEqual(seqs, sorted(set(seqs)))
        self.assertGreater(seqs[0], last)
        code, rows = self.rows_of("watch", "-c", self.config, "--since", str(seqs[0]), "--limit", "2")
        self.assertEqual((code, [row["seq"] for row in rows]), (0, seqs[1:3]))

    def test_forget(self):
        """What is past of a client goes, what it holds stays, and others keep what they have."""
        self.pass_on(1, ("a", 3000), ("b", 2000))
        self.live.lease(2, self.at(1), "a")
        self.wait_holder(2, "a")
        done = command("forget", "-c", self.config, "--client-id", self.client("a"), "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        told = self.rows("SELECT DISTINCT address FROM assignment WHERE client_id = ?",
                         wire.client_id(self.family, "a"))
        self.assertEqual([row["address"] for row in told], [self.address(2)])
        self.assertEqual(self.one("SELECT count(*) FROM binding_change WHERE client_id = ? AND address = ?",
                                  wire.client_id(self.family, "a"), self.address(1)), 0)
        self.assertEqual(self.one("SELECT count(*) FROM assignment WHERE client_id = ?",
                                  wire.client_id(self.family, "b")), 1)
        self.wait_holder(2, "a")
        code, rows = self.rows_of("who", "-c", self.config, self.address(2))
        self.assertEqual((code, [row["client_id"] for row in rows]), (0, [self.client("a")]))
        # And life goes on.
        self.live.ended(2, self.at(2), "a")
        wait_until(lambda: self.holder(2) is None, "the lease to end")


both(globals(), [History])

if __name__ == "__main__":
    main()
