"""The checker of the history (../check_history.py) finds what it is there to find."""

import pathlib
import shutil
import sqlite3
import subprocess
import sys

import databases
from harness import EndToEnd, check_history, main, sim_server, sqlite_only, wait_until

# Of a key with a long story, by its oldest rows, so that something comes after them.
TOLD = "(SELECT min(seq) FROM binding_change WHERE change = '{}' AND seq > (SELECT count(*) / 2 FROM binding_change))"
ENDED = "(SELECT min(assignment_id) FROM assignment WHERE ended_at > began_at)"
OPEN = "(SELECT min(assignment_id) FROM assignment WHERE ended_at IS NULL)"
COPY = ("INSERT INTO assignment (server_id, vpn_id, kind, address, prefix_len, address_key, last_key, client_id, hw_addr, "
        "remote_id, began_at, ended_at, end_reason, began_inferred) SELECT server_id, vpn_id, kind, address, "
        "prefix_len, address_key, last_key, client_id, hw_addr, remote_id, {}, {}, {}, 0 FROM assignment "
        "WHERE assignment_id = {}")
DAMAGE = {
    "a row of the feed is lost: assigned": "DELETE FROM binding_change WHERE seq = " + TOLD.format("assigned"),
    "a row of the feed is lost: ended": "DELETE FROM binding_change WHERE seq = " + TOLD.format("ended"),
    "a row of the feed is lost: updated":
        "DELETE FROM binding_change WHERE seq = (SELECT max(seq) FROM binding_change c WHERE change = 'updated' AND "
        "detail ->> 'remote_id' IS NOT NULL AND NOT EXISTS (SELECT 1 FROM binding_change d WHERE d.seq > c.seq AND "
        "d.address = c.address AND d.kind = c.kind AND d.vpn_id = c.vpn_id))",
    "a row of the feed comes twice":
        "INSERT INTO binding_change SELECT (SELECT max(seq) + 1 FROM binding_change), at, server_id, vpn_id, kind, "
        "address, prefix_len, change, state, client_id, expires_at, detail, inferred FROM binding_change "
        "WHERE seq = " + TOLD.format("ended"),
    "two rows of the feed in the wrong order":
        "UPDATE binding_change SET seq = -1 WHERE seq = " + TOLD.format("ended"),
    "another client in the feed": "UPDATE binding_change SET client_id = x'00' WHERE seq = " + TOLD.format("ended"),
    "another end_reason in the feed":
        "UPDATE binding_change SET detail = json_set(detail, '$.end_reason', 'unlisted') WHERE seq = "
        + TOLD.format("ended"),
    "the binding has another hostname": "UPDATE binding SET hostname = 'nobody' WHERE binding_id = 7",
    "the binding has another expiry": "UPDATE binding SET expires_at = 4102444800 WHERE binding_id = 7",
    "the binding has another client":
        "UPDATE binding SET client_id = x'00' WHERE binding_id = (SELECT min(binding_id) FROM binding WHERE "
        "state = 'active')",
    "a binding is gone":
        "DELETE FROM binding WHERE binding_id = 7; UPDATE binding_count SET bindings = (SELECT count(*) FROM binding b "
        "WHERE b.state = binding_count.state); UPDATE server SET bindings = (SELECT count(*) FROM binding WHERE "
        "state = 'active')",
    "assignments overlap": COPY.format("began_at", "ended_at", "end_reason", ENDED),
    "an assignment that nobody told of": COPY.format("began_at - 9", "began_at - 8", "'reported'", ENDED),
    "an assignment is lost": f"DELETE FROM assignment WHERE assignment_id = {ENDED}",
    "an open assignment is lost": f"DELETE FROM assignment WHERE assignment_id = {OPEN}",
    "an assignment ended early": f"UPDATE assignment SET ended_at = began_at, end_reason = 'reported' "
                                 f"WHERE assignment_id = {OPEN}",
    "an assignment of another client": f"UPDATE assignment SET client_id = x'00' WHERE assignment_id = {OPEN}",
    "an assignment ends for another reason": f"UPDATE assignment SET end_reason = 'unlisted' "
                                             f"WHERE assignment_id = {ENDED}",
    "an assignment of the future": f"UPDATE assignment SET began_at = 4102444800 WHERE assignment_id = {OPEN}",
    "a count is wrong": "UPDATE binding_count SET bindings = bindings + 1 WHERE state = 'active'",
    "the bindings of the server are wrong": "UPDATE server SET bindings = bindings - 1",
    "the gaps of the server are wrong": "UPDATE server SET gaps_open = 1",
}


@sqlite_only("damage done to copies of a file; what is read is the same in both engines")
class CheckHistory(EndToEnd):
    def test_finds_each_kind_of_damage(self):
        self.record_renewals = True
        sim = self.leasesim("--bindings", 150, "--churn", 200)
        self.configure(sim_server("s", "v4", sim.port))
        agent = self.agent()
        self.wait_live()
        for change in ("assigned", "renewed", "updated", "ended"):
            self.wait_sql("SELECT count(*) > 50 FROM binding_change WHERE change = ?", change)
        self.assertEqual(agent.terminate(), 0)
        self.assertEqual(self.problems(self.db.path), [])
        for what, sql in DAMAGE.items():
            with self.subTest(what):
                copy = self.dir / "copy.db"
                shutil.copy(self.db.path, copy)
                other = sqlite3.connect(copy)
                other.executescript(sql)
                touched = other.total_changes
                other.close()
                self.assertGreater(touched, 0)
                self.assertNotEqual(self.problems(copy), [])

    def problems(self, path):
        db = databases.Sqlite(path).connect()
        try:
            return check_history.problems(db, renewals=True)
        finally:
            db.close()

    def test_as_a_program(self):
        sim = self.leasesim("--bindings", 50, "--churn", 100)
        self.configure(sim_server("s", "v4", sim.port))
        self.agent()
        self.wait_live()

        def check(*arguments):
            program = pathlib.Path(check_history.__file__)
            return subprocess.run([sys.executable, program, *arguments], capture_output=True, text=True)
        # While the agent is at work.
        changes = sim.stats()["changes"]
        wait_until(lambda: sim.stats()["changes"] > changes + 50, "the clients to be busy")
        good = check(self.db.storage()["url"])
        self.assertEqual((good.returncode, good.stderr), (0, ""), good.stdout)
        self.assertEqual(check("mysql://nowhere").returncode, 2)
        self.agents[-1].kill()
        other = sqlite3.connect(self.db.path)
        other.execute("UPDATE binding_count SET bindings = bindings + 1")
        other.commit()
        other.close()
        wrong = check(self.db.storage()["url"])
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("binding_count", wrong.stdout)


if __name__ == "__main__":
    main()
