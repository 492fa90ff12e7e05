#!/usr/bin/env python3
"""kill_rounds.py [--rounds N] [--seed S] [--engine sqlite|postgresql]: kill -9 at random moments, and nothing is lost.

Four DHCP servers (leasesim, both families) whose clients are always busy, one agent, and for PostgreSQL a server of its
own and two writers. Each round kills something with -9 at a moment that the dice choose among commits and log lines: the
agent, one backend of PostgreSQL, all of PostgreSQL, a reader of the change feed; or the DHCP server fails. Two readers
follow the feed all the while and never forget what they saw: one asks the table for what is above its cursor as fast as
it can, the other is `leasemirror watch --since`. Every few rounds the clients rest, and then

  - each mirror equals its server, attribute by attribute, and no gap is open,
  - both readers have seen each row of the feed once, in order, as it stands in the table: no hole and no repeat,
  - check_history.py finds nothing.

    LEASEMIRROR=build/release/agent/leasemirror LEASESIM=build/release/tests/leasesim/leasesim tests/kill_rounds.py

It prints its seed and a line per round. --seed repeats the choices; what the moments hit is up to the machine.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent / "e2e"))
import check_history  # noqa: E402
import cluster  # noqa: E402
import databases  # noqa: E402
import harness  # noqa: E402
from harness import PATIENCE, wait_until  # noqa: E402

BINDINGS, CHURN = 400, 60  # of each DHCP server; changes per second
ROUNDS_BETWEEN_CHECKS = 10
# Of what happens at such a line, a kill may hit the middle.
MOMENTS = r"active-query|bulk-query|started|database|gap|reconcil|catch-up|live"
COLUMNS = "seq, server_id, change, state, address, prefix_len, client_id"


def seen(row):
    """What a reader keeps of a row, whether it has it from SQL or as JSON."""
    client = row["client_id"]
    return (row["seq"], row["change"], row["state"], row["address"], row["prefix_len"],
            client.hex() if isinstance(client, bytes) else client)


class Reader:
    """Somebody who follows the feed, in a thread. `rows` is all that it ever saw."""

    def __init__(self, name):
        self.name = name
        self.rows = []
        self.cursor = 0
        self.failure = None
        self.ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def end(self):
        self.ended = True
        self.stop_waiting()
        self._thread.join(PATIENCE)

    def stop_waiting(self):
        pass

    def _run(self):
        try:
            while not self.ended:
                self.follow()
                time.sleep(0.02)  # the database is away
        except Exception:  # for the main thread to raise
            self.failure = traceback.format_exc()

    def see(self, row):
        self.rows.append(seen(row))
        self.cursor = row["seq"]


class Poller(Reader):
    """Asks the table for what is above its cursor, again and again."""

    def __init__(self, database):
        super().__init__("the poller")
        self._database = database

    def follow(self):
        db = None
        try:
            db = self._database.connect()
            while not self.ended:
                rows = db.query(f"SELECT {COLUMNS} FROM binding_change WHERE seq > ? ORDER BY seq LIMIT 1000",
                                self.cursor)
                for row in rows:
                    self.see(row)
                if not rows:
                    time.sleep(0.001)
        except Exception as error:
            if not databases.is_away(error):
                raise
        finally:
            if db:
                db.close()


class Watcher(Reader):
    """`leasemirror watch`, started anew whenever it has ended, from the last row that it told."""

    def __init__(self, config):
        super().__init__("leasemirror watch")
        self._config = config
        self._process = None

    def follow(self):
        self._process = harness.Process(
            [harness.program("LEASEMIRROR"), "watch", "-c", str(self._config), "--since", str(self.cursor), "--json"],
            stdin=harness.subprocess.DEVNULL, stdout=harness.subprocess.PIPE, stderr=harness.subprocess.DEVNULL)
        with self._process.child.stdout as lines:
            for line in lines:
                if line.endswith("\n"):  # what a kill cut off is told again
                    self.see(json.loads(line))
        self._process.wait()

    def kill(self):
        if self._process and self._process.child.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    stop_waiting = kill


class Rounds:
    def __init__(self, engine, seed):
        self.dice = random.Random(seed)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="leasemirror-kill-rounds-"))
        self.config = self.dir / "leasemirror.yaml"
        self.agents, self.sims, self.readers, self.cluster = [], {}, [], None
        if engine == "postgresql":
            self.cluster = cluster.Cluster()
            self.db = databases.Postgres(self.cluster.url(), "leasemirror")
            self.db.create()
        else:
            self.db = databases.Sqlite(self.dir / "leases.db")

    def begin(self):
        for n, family in enumerate(("v4", "v6", "v4", "v6")):
            self.sims[f"s{n}"] = family, harness.Leasesim("--family", family, "--bindings", BINDINGS, "--churn", CHURN,
                                                          "--seed", n, "--links", 8)
        servers = [harness.sim_server(name, family, sim.port) for name, (family, sim) in self.sims.items()]
        storage = {**self.db.storage(), "record_renewals": True, "writers": 2 if self.cluster else 1}
        self.config.write_text(json.dumps({"storage": storage, "servers": servers, "admin": {"listen": "off"},
                                           "log": {"level": "debug"}}))
        self.start_agent()
        self.watcher = Watcher(self.config)
        self.poller = Poller(self.db)
        self.readers = [self.poller.start(), self.watcher.start()]

    def end(self):
        for reader in self.readers:
            reader.end()
        for agent in self.agents[-1:]:
            agent.kill()
        for _, sim in self.sims.values():
            sim.kill()
        if self.cluster:
            self.cluster.remove()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start_agent(self):
        self.agents.append(harness.Agent(self.config))

    @property
    def agent(self):
        return self.agents[-1]

    # When.

    def wait_moment(self):
        """Until the feed has grown by some rows, or the log by a line of a certain kind; and a little longer."""
        rows = self.dice.choice((0, 1, 10, 60, 300))
        line = self.dice.random() < 0.3
        delay = self.dice.choice((0, 0, self.dice.uniform(0, 0.03)))
        began, mark = len(self.poller.rows), len(self.agent.log)

        def come():
            self.look_after()
            if len(self.poller.rows) - began >= rows:
                return f"{len(self.poller.rows) - began} rows"
            if line:
                for text in self.agent.log.since(mark):
                    if match := harness.re.search(MOMENTS, text):
                        return f"the line '{match[0]}'"
            return None
        what = wait_until(come, f"the feed to grow by {rows} rows")
        time.sleep(delay)  # not for anything: a moment between the events is as good as one at them
        return what

    def look_after(self):
        """Nobody has given up."""
        for reader in self.readers:
            if reader.failure:
                raise AssertionError(f"{reader.name} failed: {reader.failure}")
        if self.agent.child.poll() is not None:
            raise AssertionError(f"the agent ended with {self.agent.child.returncode}")

    # What. Each says in words what it did.

    def strike(self):
        kinds = [(self.kill_agent, 6), (self.stop_agent, 1), (self.kill_watch, 1), (self.trouble_server, 2)]
        if self.cluster:
            kinds += [(self.kill_backend, 4), (self.terminate_backend, 2), (self.kill_cluster, 4),
                      (self.kill_both, 2), (self.restart_cluster, 1)]
        return self.dice.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]()

    def kill_agent(self):
        self.agent.kill()
        self.start_agent()
        return "kill -9 of the agent"

    def stop_agent(self):
        code = self.agent.terminate()
        if code not in (0, -signal.SIGTERM):  # the signal itself ends one that has just been started
            raise AssertionError(f"the agent ended with {code} on SIGTERM")
        self.start_agent()
        return "SIGTERM to the agent"

    def kill_watch(self):
        self.watcher.kill()
        return "kill -9 of leasemirror watch"

    def trouble_server(self):
        name = self.dice.choice(sorted(self.sims))
        what = self.dice.choice(("restart", "fault cut@now", "fault data-missing=1@now"))
        self.sims[name][1].ask(what)
        return f"DHCP server {name}: {what}"

    def backends(self):
        """Of the agent and of the readers among our programs."""
        rows = self.cluster.execute("SELECT pid, coalesce(nullif(left(query, 50), ''), state) AS doing FROM "
                                    "pg_stat_activity WHERE application_name LIKE 'leasemirror%' AND "
                                    "application_name <> 'leasemirror tests' ORDER BY pid")
        return [(row["pid"], " ".join((row["doing"] or "").split())) for row in rows]

    def kill_backend(self):
        found = self.backends()
        if not found:
            return self.kill_cluster()
        pid, doing = self.dice.choice(found)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        # PostgreSQL throws everybody out then, and begins anew from its log.
        wait_until(lambda: not cluster.is_running(pid), "the backend to die")
        self.cluster.wait_ready()
        return f"kill -9 of a backend ({doing})"

    def terminate_backend(self):
        found = self.backends()
        for pid, _ in found:
            self.cluster.execute(f"SELECT pg_terminate_backend({pid})")
        return f"{len(found)} backends terminated"

    def kill_cluster(self):
        self.cluster.kill()
        self.cluster.start()
        return "kill -9 of PostgreSQL"

    def kill_both(self):
        first, second = self.dice.sample((self.agent.kill, self.cluster.kill), 2)
        first()
        second()
        self.start_agent()
        self.cluster.start()
        return "kill -9 of PostgreSQL and of the agent"

    def restart_cluster(self):
        self.cluster.stop()
        self.cluster.start()
        return "PostgreSQL stopped and started"

    # Then.

    def check(self):
        """The clients rest; everything must be as the head of this file says. How it was, in words."""
        for _, sim in self.sims.values():
            sim.ask("stop-churn")
        for name, (_, sim) in self.sims.items():
            found = ["nothing was compared"]

            def equal():
                self.look_after()
                found[:] = harness.differences(sim.dump(), self.db, name, in_doubt=False)[:5]
                server = self.db.rows("SELECT * FROM server WHERE name = ?", name)
                return not found and server and server[0]["gaps_open"] == 0 and server[0]["phase"] == "live"
            wait_until(equal, lambda: f"the mirror of {name} to equal the server; it differs in {found}, server: "
                                      f"{[dict(row) for row in self.db.rows('SELECT * FROM server')]}")
        rows = self.compare_feed()
        db = self.db.connect()
        try:
            wrong = check_history.problems(db, renewals=True)
        finally:
            db.close()
        if wrong:
            raise AssertionError(f"check_history: {len(wrong)} things wrong, such as\n" + "\n".join(wrong[:10]))
        return f"equal; {rows} rows in the feed, seen once each"

    def compare_feed(self):
        end = self.db.rows("SELECT max(seq) AS seq FROM binding_change")[0]["seq"]
        for reader in self.readers:
            def come():
                self.look_after()
                return reader.cursor >= end
            wait_until(come, lambda: f"{reader.name} to come to {end}; it is at {reader.cursor}")
        table = [seen(row) for row in
                 self.db.rows(f"SELECT {COLUMNS} FROM binding_change WHERE seq <= ? ORDER BY seq", end)]
        for reader in self.readers:
            rows = [row for row in list(reader.rows) if row[0] <= end]
            if rows != table:
                numbers, there = [row[0] for row in rows], [row[0] for row in table]
                repeats = sorted({n for n in numbers if numbers.count(n) > 1}) if len(numbers) < 10**5 else "many rows"
                raise AssertionError(
                    f"{reader.name} saw {len(rows)} rows, there are {len(table)}; not seen: "
                    f"{sorted(set(there) - set(numbers))[:20]}, not there: {sorted(set(numbers) - set(there))[:20]}, "
                    f"twice: {repeats}, other: {[pair for pair in zip(rows, table) if pair[0] != pair[1]][:3]}")
        return len(table)

    def stir(self):
        for _, sim in self.sims.values():
            sim.ask(f"churn {CHURN}")

    def assert_no_report(self):
        for agent in self.agents:
            for line in agent.log.since():
                if harness.re.search("Sanitizer|runtime error:|Assertion .* failed|terminate called", line):
                    raise AssertionError(f"agent {agent.pid}: {line}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), default="postgresql")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    rounds = Rounds(options.engine, options.seed)
    try:
        rounds.begin()
        for number in range(1, options.rounds + 1):
            began = time.monotonic()
            moment = rounds.wait_moment()
            what = rounds.strike()
            print(f"round {number}: after {moment}: {what}", flush=True)
            if number % ROUNDS_BETWEEN_CHECKS == 0 or number == options.rounds:
                print(f"check: {rounds.check()} ({time.monotonic() - began:.1f} s)", flush=True)
                rounds.stir()
        rounds.assert_no_report()
    except AssertionError as error:
        print(f"FAILED, seed {options.seed}: {error}")
        for agent in rounds.agents[-2:]:
            print(f"--- log of agent {agent.pid}", *agent.log.since()[-60:], sep="\n")
        if rounds.cluster:
            print("--- log of PostgreSQL", rounds.cluster.log.read_text(errors="replace")[-5000:], sep="\n")
        sys.exit(1)
    finally:
        rounds.end()


if __name__ == "__main__":
    main()
