"""Several servers in one agent, and readers beside it: nobody waits for anybody."""

import pathlib
import subprocess
import sys
import time

import wire
from harness import EndToEnd, changes_of, main, sim_server, wait_until, yaml_server

# A reader of its own process: one transaction around several long queries, as a report would have it.
READER = """
import sys
sys.path.insert(0, sys.argv[1])
import databases
db = databases.named(*sys.argv[2:]).connect(patience=0)
db.begin_snapshot()
def look():
    rows = db.query("SELECT address, client_id, base_time FROM binding ORDER BY address")
    crossed = db.query("SELECT count(*) FROM binding a, binding b WHERE a.binding_id % 40 = b.binding_id % 41")
    return hash(tuple(map(tuple, rows))), crossed[0][0]
first = look()
print("reading", flush=True)
for _ in sys.stdin:
    print("same" if look() == first else "changed", flush=True)
db.close()
"""


class Fleet(EndToEnd):
    def test_bad_servers_delay_no_other(self):
        """One refuses, one says nothing, one stops in a frame, one closes at once: the others are served meanwhile."""
        good = {"v4": self.leasesim("--family", "v4", "--bindings", 2000, "--churn", 200),
                "v6": self.leasesim("--family", "v6", "--bindings", 2000, "--churn", 200)}
        silent, stalled, closing = (wire.Server("v4") for _ in range(3))
        nobody = wire.Server("v4")
        for fake in (silent, stalled, closing, nobody):
            self.addCleanup(fake.close)
        nobody.stop_listening()  # its port refuses from now on
        more = {"timeouts": {"data": "10m", "receive": "10m"}}
        self.configure(yaml_server("nobody", "v4", nobody.port, **more),
                       yaml_server("silent", "v4", silent.port, **more),
                       yaml_server("stalled", "v4", stalled.port, **more),
                       yaml_server("closing", "v4", closing.port, **more),
                       *(sim_server(name, name, sim.port) for name, sim in good.items()))
        self.agent()
        silent.query("bulk")
        half = stalled.query("bulk")
        half.lease(1, int(time.time()), "a")
        half.connection.send(wire.frame(half.binding(2, int(time.time()), "b"))[:100])
        for name in good:
            self.wait_live(name)
        for _ in range(5):
            connection = closing.connection()
            connection.query()
            connection.close()
        self.wait_sql("SELECT last_error LIKE '%refused%' FROM server WHERE name = 'nobody'")
        for name, sim in good.items():
            changed = sim.stats()["changes"]
            wait_until(lambda: sim.stats()["changes"] > changed + 100, "live updates while others are down")
            sim.ask("stop-churn")
        for name, sim in good.items():
            self.assert_equal_to(sim, name)
            self.assertIsNone(self.server(name)["last_error"])
            self.assertEqual(sim.stats()["active_queries"], 1, "one connection from the first minute on")
        self.assertEqual(self.server("silent")["phase"], "bulk")
        self.assertEqual(self.one("SELECT count(*) FROM binding JOIN server USING (server_id) "
                                  "WHERE name = 'stalled'"), 1)
        self.assertNotEqual(self.server("closing")["last_error"], None)

    def test_few_bulk_connections_for_many_servers(self):
        """limits.bulk_connections: a slow server keeps its slot, and the others take turns with what is left."""
        sims = [self.leasesim("--family", "v6" if n % 2 else "v4", "--bindings", 400, "--seed", n) for n in range(6)]
        slow = wire.Server("v4")
        self.addCleanup(slow.close)
        entries = [sim_server(f"s{n}", "v6" if n % 2 else "v4", sim.port) for n, sim in enumerate(sims)]
        self.configure(yaml_server("slow", "v4", slow.port), *entries, limits={"bulk_connections": 2})
        self.agent()
        slow.query("bulk")
        for n, sim in enumerate(sims):
            self.wait_live(f"s{n}")
            self.assert_equal_to(sim, f"s{n}")

    def test_two_servers_with_the_same_addresses(self):
        """Failover partners: a row for each, one lease in the view, which names the other."""
        first = self.leasesim("--bindings", 200, "--seed", 3)
        second = self.leasesim("--bindings", 200, "--seed", 3)
        self.configure(sim_server("first", "v4", first.port), sim_server("second", "v4", second.port))
        self.agent()
        for name, sim in (("first", first), ("second", second)):
            self.wait_live(name)
            self.assert_equal_to(sim, name)
        twice = self.one("SELECT count(*) FROM binding a JOIN binding b USING (vpn_id, kind, address, prefix_len) "
                         "WHERE a.server_id < b.server_id AND a.state = 'active' AND b.state = 'active'")
        self.assertGreater(twice, 50)
        self.assertEqual(self.rows("SELECT address FROM lease GROUP BY vpn_id, kind, address, prefix_len "
                                   "HAVING count(*) > 1"), [])
        self.assertGreater(self.one("SELECT count(*) FROM lease WHERE also_on IS NOT NULL"), 50)


class Readers(EndToEnd):
    def test_readers_and_the_writer_do_not_wait_for_each_other(self):
        sim = self.leasesim("--bindings", 3000, "--churn", 500)
        self.configure(sim_server("s", "v4", sim.port))
        agent = self.agent()
        self.wait_live()
        here = str(pathlib.Path(__file__).resolve().parent)
        reader = subprocess.Popen([sys.executable, "-c", READER, here, *self.db.storage().values()],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(reader.wait)
        self.addCleanup(reader.stdout.close)
        self.addCleanup(reader.stdin.close)
        self.assertEqual(reader.stdout.readline(), "reading\n")
        changed = changes_of(self)
        for _ in range(3):
            for _ in range(10):  # the writer goes on inside the reader's transaction ...
                wait_until(changed, "commits while somebody reads")
            reader.stdin.write("look\n")
            reader.stdin.flush()
            # ... and the reader sees one state of things, without an error: it would not wait for a lock at all.
            self.assertEqual(reader.stdout.readline(), "same\n")
        reader.stdin.close()
        self.assertEqual(reader.wait(), 0)
        self.assertNotIn("database", " ".join(agent.log.since()).replace(" database=", " "))
        sim.ask("stop-churn")
        self.assert_equal_to(sim)


if __name__ == "__main__":
    main()
