#!/usr/bin/env python3
"""pause, resume and resync: from a command, through the database, to the agent."""

import json
import signal

from harness import EndToEnd, changes_of, command, main, sim_server, wait_until, yaml_server


class Orders(EndToEnd):
    def start(self, *options):
        self.sim = self.leasesim("--family", "v4", "--seed", 3, *options)
        self.configure(sim_server("s", "v4", self.sim.port))
        agent = self.agent()
        self.wait_live()
        return agent

    def order(self, *arguments):
        return command(*arguments, "-c", self.config)

    def told(self, *arguments):
        done = self.order(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, done.stderr

    def status(self):
        return json.loads(command("status", "-c", self.config, "--json").stdout)

    def test_pause_and_resume(self):
        agent = self.start("--bindings", 500, "--churn", 100)
        out, err = self.told("pause", "s")
        self.assertEqual((out, err), ("s is paused, until 'leasemirror resume s'\n", ""))
        self.wait_sql("SELECT phase = 'disabled' FROM server")
        agent.log.wait("paused")
        wait_until(lambda: self.sim.stats()["connections"] == 0, "the connections to be closed")
        told = self.status()
        self.assertRegex(told["paused_by"], r"^\S+@\S+$")
        self.assertIsNotNone(told["paused_at"])
        table = command("status", "-c", self.config)
        self.assertRegex(table.stdout, r"(?m)^s +v4 +disabled ")
        self.assertIn(f"paused by {told['paused_by']}", table.stdout)
        check = command("status", "-c", self.config, "--check")
        self.assertEqual(check.returncode, 0)
        self.assertRegex(check.stdout, r"^all is well with 1 server; s: paused by \S+@\S+ ")
        self.assertEqual(self.told("pause", "s")[0], "s was paused already\n")

        self.assertEqual(agent.terminate(), 0)
        out, err = self.told("resync", "s")
        self.assertRegex(err, r"^it waits: no agent is at work on it: ")
        again = self.agent()
        again.log.wait("paused")
        self.assertEqual(self.sim.stats()["connections"], 0)
        wait_until(lambda: command("status", "-c", self.config, "--check").returncode == 0, "the agent to be seen")
        self.assertRegex(self.told("resync", "s")[1], r"^it waits: paused by ")

        self.assertEqual(self.told("resume", "s"), ("s is resumed\n", ""))
        self.wait_live()
        again.log.wait("full-bulk .*cause=resync")
        self.wait_sql("SELECT resync_asked_at IS NULL FROM server")
        self.assertEqual(self.told("resume", "s")[0], "s was not paused\n")
        self.sim.ask("stop-churn")
        self.assert_equal_to(self.sim)

    def test_resync_mends_what_somebody_changed(self):
        agent = self.start("--bindings", 400)
        self.assert_equal_to(self.sim)
        last = self.one("SELECT max(seq) FROM binding_change")
        one, other = [row[0] for row in self.rows(
            "SELECT binding_id FROM binding WHERE state = 'active' ORDER BY binding_id LIMIT 2")]
        self.db.change(f"UPDATE binding SET hostname = 'nobody' WHERE binding_id = {one}",
                       f"UPDATE binding SET subscriber_id = NULL, link_address = NULL WHERE binding_id = {other}",
                       f"UPDATE binding SET link_address = '192.0.2.254' WHERE binding_id = {other}")
        out, err = self.told("resync", "s")
        self.assertEqual(out, "a full read of s is asked for; 'leasemirror status' shows when it has ended\n")
        self.assertEqual(err, "")
        agent.log.wait("full-bulk .*cause=resync")
        agent.log.wait("resync-done")
        self.wait_sql("SELECT resync_asked_at IS NULL FROM server")
        self.assert_equal_to(self.sim)
        changes = self.rows(f"SELECT change FROM binding_change WHERE seq > {last}")
        self.assertEqual([row[0] for row in changes], ["updated"] * 2)

    def test_a_server_that_is_removed_and_forgotten(self):
        agent = self.start("--bindings", 200)
        west = self.leasesim("--family", "v4", "--seed", 4, "--bindings", 100)
        both = [sim_server("s", "v4", self.sim.port), sim_server("west", "v4", west.port)]
        self.configure(*both)
        refused = self.order("forget", "--server", "west", "--yes")
        self.assertEqual((refused.returncode, refused.stdout), (2, ""))
        self.assertIn("'west' is in ", refused.stderr)
        agent.send_signal(signal.SIGHUP)
        self.wait_live("west")
        last = self.one("SELECT max(seq) FROM binding_change")
        self.configure(both[0])
        worked = self.order("forget", "--server", "west", "--yes")
        self.assertEqual(worked.returncode, 1)
        self.assertRegex(worked.stderr, rf"agent '\S+-{agent.pid}' works 'west': remove it from that agent's configuration")
        agent.send_signal(signal.SIGHUP)
        self.wait_sql("SELECT phase = 'disabled' FROM server WHERE name = 'west'")
        in_force = self.one("SELECT bindings FROM server WHERE name = 'west'")
        asked = self.order("forget", "--server", "west")
        self.assertEqual(asked.returncode, 2)
        self.assertIn("add --yes", asked.stderr)
        out, err = self.told("forget", "--server", "west", "--yes")
        self.assertIn(f"{in_force} of them were in force: the change feed tells of the end", out)
        self.assertEqual(err, "")
        names = [json.loads(line)["name"] for line in command("status", "-c", self.config, "--json").stdout.splitlines()]
        self.assertEqual(names, ["s"])
        self.assertEqual(self.one("SELECT count(*) FROM lease WHERE server <> 's'"), 0)
        ends = self.one("SELECT count(*) FROM binding_change WHERE seq > ? AND change = 'ended'", last)
        self.assertEqual(ends, in_force)
        again = self.order("forget", "--server", "west", "--yes")
        self.assertEqual(again.returncode, 2)
        self.assertIn("the database has no server 'west'", again.stderr)
        self.sim.ask("churn 50")
        wait_until(changes_of(self), "the other server to go on")

    def test_mistakes(self):
        self.configure(sim_server("s", "v4", 9), yaml_server("w", "v6", 9))
        unknown = self.order("pause", "t")
        self.assertEqual((unknown.returncode, unknown.stdout), (2, ""))
        self.assertIn("leasemirror pause: unknown server 't'", unknown.stderr)
        nothing = self.order("resync", "w")
        self.assertEqual(nothing.returncode, 2)
        self.assertIn("bulk.queries is empty", nothing.stderr)
        no_database = self.order("resume", "s")
        self.assertIn(no_database.returncode, (1, 3))
        self.assertIn("leasemirror resume: ", no_database.stderr)
        agent = self.agent()
        agent.log.wait("started")
        self.configure(sim_server("s", "v4", 9), sim_server("north", "v4", 9))
        early = self.order("pause", "north")
        self.assertEqual(early.returncode, 1)
        self.assertIn("no agent has opened 'north' yet", early.stderr)


if __name__ == "__main__":
    main()
