"""The mirror equals a simulated server: after the load, under churn, and however often the agent is killed."""

import random

from harness import EndToEnd, Moment, changes_of, logged_time, main, sim_server, wait_until


class Sync:
    """Each scenario in both families; see V4 and V6 at the end."""

    family = ""

    def start(self, *options, **more):
        self.sim = self.leasesim("--family", self.family, *options)
        self.configure(sim_server("s", self.family, self.sim.port, **more))
        return self.agent()

    def test_load_churn_and_quiet(self):
        """What the server holds at the end is what the database holds, attribute by attribute."""
        self.start("--bindings", 2000, "--churn", 300, "--vpns", 2 if self.family == "v4" else 0)
        self.wait_live()
        changes = self.sim.stats()["changes"]
        wait_until(lambda: self.sim.stats()["changes"] > changes + 500, "the server's clients to be busy")
        self.sim.ask("stop-churn")
        self.assert_equal_to(self.sim)
        # How it lists a client's leases is learned from answers, and until then there may be many doubts, and a full bulk.
        self.wait_sql("SELECT phase = 'live' AND coverage = 'full' AND last_error IS NULL FROM server")
        self.assertTrue(self.one("SELECT count(*) FROM binding WHERE via = 'active'"))
        self.assertTrue(self.one("SELECT count(*) FROM binding WHERE state <> 'active'"))
        self.assertEqual(self.one("SELECT count(*) FROM quarantine"), 0)
        # In one statement, so in one moment: dozens of leases a second end in the seconds after the churn.
        (lease, in_force), = self.rows(
            "SELECT (SELECT count(*) FROM lease), (SELECT count(*) FROM binding WHERE state = 'active' AND "
            f"(expires_at IS NULL OR expires_at > {self.db.now}))")
        self.assertEqual(lease, in_force)

    def test_killed_during_bulk(self):
        agent = self.start("--bindings", 6000, "--churn", 20, "--rate-limit", 2000 if self.family == "v4" else 300)
        self.wait_sql("SELECT count(*) > 300 FROM binding")
        agent.kill()
        self.assertIsNone(self.one("SELECT base_time FROM server"), "no base-time may be kept before the bulk ended")
        self.assert_sound()
        self.sim.ask("stop-churn")
        self.agent()
        self.wait_live()
        self.assert_equal_to(self.sim, was_killed=True)

    def test_killed_during_catch_up(self):
        agent = self.start("--bindings", 2000, "--churn", 1000)
        self.wait_live()
        agent.kill()
        kept = self.one("SELECT base_time FROM server")
        changes = self.sim.stats()["changes"]
        wait_until(lambda: self.sim.stats()["changes"] > changes + 1500, "the server to have something to replay")
        self.sim.ask("churn 20")
        # The replay never ends, so whatever is heard meanwhile belongs to the catch-up.
        faults = self.sim.stats()["faults"]
        self.sim.ask("fault no-catch-up-complete@now")
        agent = self.agent()
        agent.log.wait(f"active-query .*start={logged_time(kept)}")
        self.wait_sql("SELECT count(*) > 50 FROM binding WHERE via = 'active' AND base_time > ?", Moment(kept))
        self.wait_sql("SELECT count(*) FROM server WHERE phase = 'catch_up'")
        # Not before it has struck: it would wait for the next agent.
        wait_until(lambda: self.sim.stats()["faults"] > faults, "the end of the replay to be withheld")
        agent.kill()
        self.assertEqual(self.one("SELECT base_time FROM server"), kept, "catch-up must not move the base-time")
        self.sim.ask("stop-churn")
        agent = self.agent()
        agent.log.wait(f"active-query .*start={logged_time(kept)}")
        self.wait_live()
        self.assert_equal_to(self.sim, was_killed=True)

    def test_killed_with_an_open_gap(self):
        # Refused twice, the recovery is a slow full bulk: it is on its way when the gap can be seen.
        agent = self.start("--bindings", 1500, "--churn", 200, "--rate-limit", 600)
        self.wait_live()
        self.sim.ask("fault refuse@now*2")
        self.sim.ask("fault data-missing=2@now")
        self.wait_sql("SELECT gaps_open FROM server")
        agent.kill()
        self.assertTrue(self.rows("SELECT * FROM gap WHERE closed_at IS NULL"), "the gap had been closed already")
        self.sim.ask("stop-churn")
        self.agent()
        self.wait_sql("SELECT count(*) FROM gap")
        self.wait_sql("SELECT count(*) = 0 FROM gap WHERE closed_at IS NULL")
        self.wait_live()
        self.assert_equal_to(self.sim, was_killed=True)
        for row in self.rows("SELECT * FROM gap"):
            self.assertEqual((row["cause"], row["outcome"]), ("DataMissing", "recovered"))
            self.assertGreaterEqual(row["closed_at"], row["opened_at"])
            self.assertLessEqual(row["gap_from"], row["gap_to"])

    def test_killed_at_random_moments(self):
        seed = random.SystemRandom().randrange(10**6)
        print(f"moments from seed {seed}")
        dice = random.Random(seed)
        agent = self.start("--bindings", 3000, "--churn", 300, "--rate-limit", 6000)
        self.wait_sql("SELECT count(*) FROM server")
        for _ in range(6):
            changed = changes_of(self)
            for _ in range(dice.randrange(1, 12)):
                wait_until(changed, "a commit")
            if dice.random() < 0.3:
                self.sim.ask(dice.choice(["restart", "fault data-missing=1@now", "fault cut@now"]))
            agent.kill()
            self.assert_sound()
            agent = self.agent()
        self.sim.ask("stop-churn")
        self.wait_live()
        self.assert_equal_to(self.sim, was_killed=True)

    def test_server_restarts_without_its_history(self):
        agent = self.start("--bindings", 1500, "--churn", 300)
        self.wait_live()
        mark = len(agent.log)
        self.sim.ask("restart")
        agent.log.wait("gap .*cause=DataMissing", mark)
        self.sim.ask("stop-churn")
        self.wait_live()
        self.assert_equal_to(self.sim)
        gaps = self.rows("SELECT * FROM gap")
        self.assertTrue(gaps)
        for gap in gaps:
            self.assertIsNotNone(gap["closed_at"])
        self.assertGreater(self.sim.stats()["data_missing"], 0)

    def test_server_loses_leases_with_its_clock(self):
        """A clock that went back makes the base-time worthless: a fresh start, and the mirror is right again."""
        self.step_clock(-3600000, "back")
        self.assertLess(self.server()["clock_skew_ms"], -3500000)

    def test_server_sets_its_clock_ahead(self):
        """Servers keep the moment when a lease ends, so all leases end an hour earlier than they told."""
        self.step_clock(3600000, "forward")
        self.assertGreater(self.server()["clock_skew_ms"], 3500000)

    def step_clock(self, milliseconds, where):
        agent = self.start("--bindings", 800, "--churn", 100)
        self.wait_live()
        self.sim.ask(f"step-clock {milliseconds}")
        agent.log.wait(f"fresh-start .*the server's clock went {where}")
        self.sim.ask("stop-churn")
        self.wait_live()
        self.assert_equal_to(self.sim)
        self.assertEqual((self.server()["coverage"], self.server()["doubts"]), ("full", 0))


class V4(Sync, EndToEnd):
    family = "v4"


class V6(Sync, EndToEnd):
    family = "v6"


if __name__ == "__main__":
    main()
