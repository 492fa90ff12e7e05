"""`leasemirror verify` against a simulated server that goes on changing, and a database that was damaged by hand."""

import json
import re
import signal
import sqlite3

from harness import EndToEnd, Moment, command, logged_time, main, sim_server, wait_until

BINDINGS = 2000


class Verify:
    """Each scenario in both families; see V4 and V6 at the end."""

    family = ""

    def start(self, *options, bindings=BINDINGS, **more):
        self.sim = self.leasesim("--family", self.family, "--bindings", bindings, *options)
        self.configure(sim_server("s", self.family, self.sim.port, **more))
        return self.agent()

    def damage(self, *statements):
        """Behind the agent's back."""
        if self.engine == "sqlite":
            db = sqlite3.connect(self.db.path, timeout=60, isolation_level=None)
            db.execute("BEGIN IMMEDIATE")
            for statement in statements:
                db.execute(statement)
            db.execute("COMMIT")
            db.close()
        else:
            self.db.connect_and("BEGIN", *statements, "COMMIT")

    def verify(self, *arguments):
        """Its exit code, the differences by address, and what it said."""
        done = command("verify", "-c", self.config, *arguments, "--json")
        found = [json.loads(line) for line in done.stdout.splitlines()]
        by_address = {row["address"]: row for row in found}
        self.assertEqual(len(by_address), len(found), "no binding twice")
        return done.returncode, by_address, done.stderr

    def chosen(self, count, condition="1 = 1"):
        """Rows in force that will be for a while, and that nobody has touched lately."""
        later = f"{self.db.now} + 600" if self.engine == "sqlite" else f"{self.db.now} + interval '10 min'"
        return self.rows("SELECT binding_id, address, kind, updated_at, base_time, hostname FROM binding "
                         f"WHERE state = 'active' AND via = 'bulk' AND vpn_id = '' AND {condition} "
                         f"AND (expires_at IS NULL OR expires_at > {later}) ORDER BY binding_id LIMIT {count}")

    def untouched(self, rows):
        """Those that the agent has not been told of since: the others are mended by that."""
        return {row["address"] for row in rows if self.one(
            "SELECT count(*) FROM binding WHERE binding_id = ? AND base_time = ?", row["binding_id"],
            Moment(row["base_time"]))}

    def test_no_difference_while_the_server_is_busy(self):
        self.start("--churn", 300, "--rate-limit", 800, "--vpns", 2 if self.family == "v4" else 0)
        self.wait_live()
        for _ in range(2):
            changes = self.sim.stats()["changes"]
            code, found, said = self.verify("s")
            self.assertEqual((code, found), (0, {}), said)
            self.assertGreater(self.sim.stats()["changes"], changes + 100, "the server was not busy")
            self.assertIn("no differences", said)
        self.assertEqual(self.one("SELECT verify_differences FROM server WHERE last_verify_at IS NOT NULL"), 0)

    def test_what_was_damaged_is_found(self):
        """Rows that were changed, ended, removed and made up, in as many ways as there are; and no other."""
        self.start("--churn", 20)
        self.wait_live()
        rows = self.chosen(10)
        ids = [row["binding_id"] for row in rows]
        expires = ("expires_at + 600" if self.engine == "sqlite" else "expires_at + interval '10 min'")
        self.damage(
            f"UPDATE binding SET hostname = 'somebody else' WHERE binding_id = {ids[0]}",
            f"UPDATE binding SET client_id = NULL WHERE binding_id = {ids[1]}",
            f"UPDATE binding SET expires_at = {expires} WHERE binding_id = {ids[2]}",
            f"UPDATE binding SET subscriber_id = {self.octets('ab')}, data_source = 'remote' WHERE binding_id = {ids[3]}",
            f"UPDATE binding SET hw_addr = '02:00:00:00:00:99' WHERE binding_id = {ids[4]}",
            f"UPDATE binding SET state = 'ended', end_reason = 'reported' WHERE binding_id = {ids[5]}",
            f"UPDATE binding SET state = 'ended', end_reason = 'reconciled' WHERE binding_id = {ids[6]}",
            f"DELETE FROM binding WHERE binding_id IN ({ids[7]}, {ids[8]})",
            self.made_up(ids[9]))
        code, found, said = self.verify("s")
        self.assertEqual(code, 1)
        addresses = [row["address"] for row in rows]
        alive = self.untouched(rows)
        expected = {
            addresses[0]: ("changed", {"hostname"}), addresses[1]: ("changed", {"client_id"}),
            addresses[2]: ("changed", {"expires_at"}), addresses[3]: ("changed", {"subscriber_id", "data_source"}),
            addresses[4]: ("changed", {"hw_addr"})}
        for address, (kind, columns) in expected.items():
            if address in alive:
                self.assertEqual((found[address]["difference"], set(found[address]["columns"])), (kind, columns), said)
        if addresses[0] in alive:
            self.assertEqual(found[addresses[0]]["columns"]["hostname"], ["somebody else", rows[0]["hostname"]])
            self.assertEqual({k: found[addresses[0]][k] for k in ("server", "vpn_id", "kind")},
                             {"server": "s", "vpn_id": "", "kind": rows[0]["kind"]})
        for number in (5, 6):
            if addresses[number] in alive:
                self.assertEqual(found[addresses[number]]["difference"], "missing")
                self.assertEqual(found[addresses[number]]["columns"]["state"], [None, "active"])
        for number in (7, 8):
            if not self.one("SELECT count(*) FROM binding WHERE address = ?", addresses[number]):
                self.assertEqual(found[addresses[number]]["difference"], "missing")
        self.assertEqual(found[self.elsewhere]["difference"], "extra")
        self.assertEqual(found[self.elsewhere]["columns"]["state"], ["active", None])
        self.assertLessEqual(set(found), set(addresses) | {self.elsewhere})
        self.assertEqual(self.one("SELECT verify_differences FROM server"), len(found))
        self.assertIn(f"{len(found)} differences: ", said)

        text = command("verify", "-c", self.config)
        self.assertEqual(text.returncode, 1)
        self.assertRegex(text.stdout, rf"(?m)^{self.elsewhere} +extra ")
        if addresses[0] in self.untouched(rows):
            self.assertRegex(text.stdout, r"(?m)^ +hostname  mirror: somebody else  server: ")

    def test_repair(self):
        """By a full read of the agent; and without an agent it waits for one."""
        agent = self.start("--churn", 20)  # on a quiet server it waits for a keep-alive
        self.wait_live()
        rows = self.chosen(3)
        ids = [row["binding_id"] for row in rows]
        last = self.one("SELECT max(seq) FROM binding_change")
        self.damage(
            f"UPDATE binding SET hostname = 'somebody else' WHERE binding_id = {ids[0]}",
            f"UPDATE binding SET state = 'ended', end_reason = 'reported', assignment_id = NULL WHERE binding_id = {ids[1]}",
            f"DELETE FROM assignment WHERE assignment_id = (SELECT max(assignment_id) FROM assignment WHERE address = "
            f"'{rows[1]['address']}')",
            self.made_up(ids[2]))
        code, found, said = self.verify("s", "--repair")
        self.assertEqual(code, 1, said)
        self.assertIn(self.elsewhere, found)
        self.assertIn("the agent is asked to read it in full", said)
        self.assertRegex(said, r"compared again after the repair\n(.*\n)*.*no differences")
        self.assertEqual(self.one("SELECT verify_differences FROM server"), 0)
        changes = {(row["change"], str(row["address"])) for row in self.rows(
            f"SELECT change, address FROM binding_change WHERE seq > {last}")}
        expected = {rows[0]["address"]: "updated", rows[1]["address"]: "assigned", self.elsewhere: "ended"}
        self.assertLessEqual(set(found), set(expected))
        for address in found:
            self.assertIn((expected[address], address), changes)
        self.assertEqual(self.one("SELECT end_reason FROM binding WHERE address = ?", self.elsewhere), "reconciled")
        self.assertEqual(self.verify("s")[:2], (0, {}))

        self.assertEqual(agent.terminate(), 0)
        self.damage(f"UPDATE binding SET hostname = 'nobody' WHERE binding_id = {ids[0]}")
        code, found, said = self.verify("s", "--repair")
        self.assertEqual(code, 1)
        if found:  # it may be pending: the mirror is right up to when the agent was stopped
            self.assertIn("no agent is at work on it", said)
            self.agent()
            self.wait_sql("SELECT resync_asked_at IS NULL FROM server WHERE phase = 'live'")
            self.assertEqual(self.verify("s")[:2], (0, {}))

    def test_the_daemon_compares_by_itself(self):
        """Each verify_interval: the result in its log, in `server` and in `status`; nothing is repaired by that."""
        agent = self.start("--churn", 3, verify_interval="500ms")
        self.wait_live()
        self.wait_sql("SELECT verify_differences = 0 FROM server")
        rows = self.chosen(3)  # of which the server may tell one anew meanwhile
        self.damage(*(f"UPDATE binding SET hostname = 'somebody else' WHERE binding_id = {row['binding_id']}" for row in rows))
        self.wait_sql("SELECT verify_differences > 0 FROM server")
        differs = agent.log.wait("warn differs server=s address=")
        self.assertIn(re.search("address=([^ ]+)", differs)[1], {str(row["address"]) for row in rows})
        self.assertIn("difference=changed columns=\"hostname  mirror: somebody else  server: ", differs)
        agent.log.wait(r"warn verified server=s bindings=\d+ differences=[123] missing=0 extra=0 changed=[123] whole=true")
        self.assertRegex(command("status", "-c", self.config).stdout, "[123] differences? (was|were) found")
        checked = command("status", "-c", self.config, "--check")
        self.assertEqual(checked.returncode, 0, checked)
        self.assertRegex(checked.stdout, "s: [123] difference")
        self.assertGreater(self.one("SELECT count(*) FROM binding WHERE hostname = 'somebody else'"), 0)

        self.assertEqual(command("resync", "-c", self.config, "s").returncode, 0)
        self.wait_sql("SELECT verify_differences = 0 FROM server")
        self.configure(sim_server("s", self.family, self.sim.port))
        agent.send_signal(signal.SIGHUP)
        agent.log.wait("server-ends")
        self.wait_live()
        self.assertEqual(agent.terminate(), 0)

    def test_the_end_waits_for_no_comparison(self):
        """A quiet server: the comparison waits for the keep-alive, and SIGTERM ends it."""
        agent = self.start(verify_interval="1h")
        self.wait_live()
        row = self.chosen(1)[0]
        agent.kill()
        self.damage(f"UPDATE binding SET hostname = 'somebody else' WHERE binding_id = {row['binding_id']}",
                    "UPDATE server SET last_verify_at = NULL")
        before = self.sim.stats()["bulk_queries"]
        agent = self.agent()
        wait_until(lambda: self.sim.stats()["bulk_queries"] > before, "the comparison")
        self.assertEqual(agent.terminate(), 0)
        self.assertEqual(self.rows("SELECT last_verify_at FROM server")[0]["last_verify_at"], None)

    def octets(self, text):
        return f"x'{text}'" if self.engine == "sqlite" else f"'\\x{text}'::bytea"

    def made_up(self, like):
        """A row in force of an address that the server does not have, as another one is otherwise."""
        self.elsewhere = "10.200.0.1" if self.family == "v4" else "2001:db8:9::1"
        if self.engine == "sqlite":
            columns = [row["name"] for row in self.rows("PRAGMA table_info(binding)")]
        else:
            columns = [row["column_name"] for row in self.rows(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'binding' AND table_schema = ?"
                " AND is_generated = 'NEVER'", self.db.schema)]
        values = {"binding_id": "(SELECT max(binding_id) + 1000 FROM binding)", "kind": "'address'",
                  "address": f"'{self.elsewhere}'", "prefix_len": "32" if self.family == "v4" else "128",
                  "address_key": "x'00112233445566778899aabbccddeeff'", "last_key": "NULL", "network": "NULL",
                  "assignment_id": "NULL"}
        return (f"INSERT INTO binding ({', '.join(columns)}) SELECT {', '.join(values.get(c, c) for c in columns)} "
                f"FROM binding WHERE binding_id = {like}")

    def test_without_an_agent(self):
        """What the server dates to after the mirror's last word is not compared; what was before is."""
        agent = self.start("--churn", 100)
        self.wait_live()
        agent.terminate()
        row, = self.chosen(1)
        self.damage(f"UPDATE binding SET hostname = 'somebody else' WHERE binding_id = {row['binding_id']}")
        changes = self.sim.stats()["changes"]
        wait_until(lambda: self.sim.stats()["changes"] > changes + 200, "the server to change")
        self.sim.ask("stop-churn")
        code, found, said = self.verify("s")
        self.assertLessEqual(set(found), {row["address"]})
        self.assertEqual(code, 1 if found else 0)
        self.assertRegex(said, r"\d+ bindings not compared")
        told = next(b for b in self.sim.dump() if b["address"] == row["address"] and b["vpn_id"] == "")
        if told["hostname"] == row["hostname"] and told["client_last_seen"] < self.fresh():
            self.assertEqual(set(found[row["address"]]["columns"]), {"hostname"})

    def fresh(self):
        return logged_time(self.one("SELECT fresh_as_of FROM server") - 10)

    def test_polled(self):
        """A mirror that is as old as the last poll."""
        agent = self.start("--churn", 100, "--personality", "bulk-only",
                           bulk={"poll_interval": "1h"}, mode="bulk")
        agent.log.wait("full-bulk-done")
        self.wait_sql("SELECT count(*) FROM server WHERE phase = 'polling' AND fresh_as_of IS NOT NULL")
        rows = self.chosen(3)
        self.damage(f"UPDATE binding SET hostname = 'somebody else' WHERE binding_id = {rows[0]['binding_id']}",
                    f"DELETE FROM binding WHERE binding_id = {rows[1]['binding_id']}", self.made_up(rows[2]["binding_id"]))
        changes = self.sim.stats()["changes"]
        wait_until(lambda: self.sim.stats()["changes"] > changes + 200, "the server to change")
        code, found, said = self.verify("s")
        self.assertEqual(code, 1 if found else 0)
        # What the server does not list may have ended since the last poll.
        self.assertLessEqual(set(found), {rows[0]["address"], rows[1]["address"]}, said)
        self.assertRegex(said, r"\d+ bindings not compared")

    def test_no_difference_while_a_polled_server_is_busy(self):
        """ISC Kea tells no base-time in v6, and preferred lifetimes whole again once they have passed."""
        self.start("--churn", 200, "--personality", "kea" if self.family == "v6" else "bulk-only",
                   bulk={"poll_interval": "2s"})
        self.wait_sql("SELECT count(*) FROM server WHERE phase = 'polling' AND fresh_as_of IS NOT NULL")
        polls = self.one("SELECT last_full_sync_at FROM server")
        compared = 0
        while compared < 5 or self.one("SELECT last_full_sync_at FROM server") == polls:
            code, found, said = self.verify("s")
            self.assertEqual((code, found), (0, {}), said)
            compared += 1

    def test_in_doubt(self):
        """A row that says itself that it may be wrong is no difference, and no secret either."""
        self.start("--churn", 20)
        self.wait_live()
        row, = self.chosen(1)
        # 'refused' waits for a later word: the agent asks about no such row.
        self.damage("UPDATE binding SET hostname = 'somebody else', doubt = 'refused' "
                    f"WHERE binding_id = {row['binding_id']}")
        code, found, said = self.verify("s")
        self.assertEqual((code, found), (0, {}), said)
        if self.untouched([row]):
            self.assertIn("1 binding in doubt", said)

    def test_refused(self):
        """What a query would have listed that was not answered is not judged."""
        self.start("--churn", 20)
        self.wait_live()
        # Of v6 one of the link that is asked for last: the first one's answer comes to its end.
        row, = self.chosen(1, "link_address = '2001:db8:7::1'" if self.family == "v6" else "1 = 1")
        self.damage(self.made_up(row["binding_id"]))
        self.sim.ask("fault query-terminated@msg:200")  # of a connection: the agent's has not had so many
        code, found, said = self.verify("s")
        self.assertEqual(code, 1)
        self.assertEqual(found, {}, said)
        self.assertIn("the result is not recorded", said)
        self.assertIsNone(self.one("SELECT last_verify_at FROM server"))

    def test_never_read(self):
        self.sim = self.leasesim("--family", self.family, "--bindings", BINDINGS)
        self.configure(sim_server("s", self.family, self.sim.port))
        self.assertEqual(command("schema", "-c", self.config, "migrate").returncode, 0)
        code, found, said = self.verify("s")
        self.assertEqual((code, found), (1, {}))
        self.assertIn("not in the database yet", said)
        done = command("verify", "-c", self.config, "t")
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown server 't'", done.stderr)

    def test_server_away(self):
        self.start("--churn", 20)
        self.wait_live()
        self.sim.kill()
        code, found, said = self.verify()
        self.assertEqual((code, found), (3, {}))
        self.assertIn("cannot connect", said)


class V4(Verify, EndToEnd):
    family = "v4"


class V6(Verify, EndToEnd):
    family = "v6"

    def test_within_its_scope(self):
        """Partial coverage: what no query of ours asks for is not judged, and what one asks for is."""
        self.sim = self.leasesim("--family", "v6", "--bindings", BINDINGS, "--churn", 20)
        server = sim_server("s", "v6", self.sim.port, links=2)
        server["bulk"]["covers"] = "partial"
        self.configure(server)
        self.agent()
        self.wait_live()
        row, = self.chosen(1, "scope <> 0")
        inside = self.made_up(row["binding_id"])
        self.damage(inside)
        first = self.elsewhere
        # One that no query has listed, told live: of a link that is not asked for.
        self.damage(self.made_up(row["binding_id"]).replace(f"'{first}'", "'2001:db8:9::2'"),
                    "UPDATE binding SET scope = 0, relay_id = NULL, remote_id = NULL WHERE address = '2001:db8:9::2'")
        code, found, said = self.verify("s")
        self.assertEqual(code, 1, said)
        self.assertEqual(set(found), {first})


if __name__ == "__main__":
    main()
