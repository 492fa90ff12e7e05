"""A server that is followed: how many events a second the mirror takes, and how soon they are there to be read."""

import bisect
import collections
import statistics
import subprocess
import sys
import time
import pathlib

import bare_postgres
import bare_sqlite
import libpq
import tap
from figures import Figure
from world import Stage, server_entry

ASKED = 50_000  # events a second: more than anybody takes
WARM_UP = 2.0   # seconds
RATES = (20, 2_000, 10_000)  # events a second; at 20 they mostly come alone
LOOK = 0.001


def followed(stage, bindings, tapped=False):
    """An agent that has loaded a server and follows it, which is quiet; and, if asked for, what lies between them."""
    sim = stage.leasesim("--bindings", bindings, "--occupied", 1, "--relays", 1000, "--churn", 0)
    between = Tap(stage, sim.port) if tapped else None
    agent = stage.agent(server_entry(between.port if between else sim.port))
    stage.wait(agent, lambda: stage.one("SELECT count(*) FROM server WHERE phase = 'live'"), "the server to be live")
    return sim, agent, between


def renewals(engine):
    bare = bare_postgres if engine == "postgresql" else bare_sqlite

    def case(world, options):
        with Stage(world, engine) as stage:
            sim, agent, _ = followed(stage, options.bindings)
            marks = [stage.one("SELECT max(seq) FROM binding_change"), stage.one("SELECT max(assignment_id) FROM assignment")]
            sim.ask(f"churn {ASKED}")
            rates = signs_of_life(stage, agent, options.seconds)
            cost, seconds, events = rates
            agent.terminate()
            sim.kill()
            done = bare.renewals(stage, events, *marks)
            return [Figure("renewals, changes and ends, as they come", events / seconds, "events/s",
                           "UPDATEs and INSERTs of as many rows", done.rows / done.seconds, cost.agent_cpu / events * 1e6,
                           cost.server_cpu / events * 1e6 or None, done.cpu_us,
                           {"events": events, "seconds": seconds, "wal_bytes": cost.wal_bytes, "against_rows": done.details})]
    return case


def signs_of_life(stage, agent, seconds):
    """From one sign of life of the agent until one that comes `seconds` later: the cost, the time, and the changes it wrote."""
    def sign():
        return tuple(stage.rows("SELECT heartbeat_at, rate FROM agent")[0])

    def next_sign(after):
        return stage.wait(agent, lambda: (now := sign()) != after and now, "a sign of life")
    last = next_sign(next_sign(sign()))  # the first one tells of a time in which there was nothing to do
    cost, began = stage.begin(agent), time.monotonic()
    events, at = 0.0, began
    while time.monotonic() < began + seconds:
        last = next_sign(last)
        now = time.monotonic()
        events += last[1] * (now - at)
        at = now
    return cost(), at - began, round(events)


class Tap:
    """tap.py between an agent and the server at a port."""

    def __init__(self, stage, port):
        self.path = stage.directory / "tapped"
        self._child = subprocess.Popen([sys.executable, pathlib.Path(__file__).with_name("tap.py"), str(port), self.path],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stage.callback(self.end)
        self.port = int(self._child.stdout.readline().rpartition(":")[2])

    def record(self):
        self._child.stdin.write("record\n")
        self._child.stdin.flush()

    def end(self):
        """What was recorded is in the file."""
        if not self._child.stdin.closed:
            self._child.stdin.close()
            self._child.wait()
            self._child.stdout.close()


class Feed:
    """A reader of the change feed as consumers are: woken by NOTIFY over PostgreSQL, looking often over SQLite."""

    SQL = "SELECT seq, address, change FROM binding_change WHERE seq > ? ORDER BY seq"

    def __init__(self, stage):
        self._db = stage.db.connect()
        stage.callback(self._db.close)
        self._listens = isinstance(self._db, libpq.Connection)
        if self._listens:
            self._db.execute("LISTEN leasemirror")
        self._last = self._db.query("SELECT max(seq) FROM binding_change")[0][0]
        self._version = None

    def read(self, until):
        """(when it was there, address) of each change that a message told, for as long as said."""
        while time.monotonic() < until:
            if self._listens:
                if not self._db.notifications(until - time.monotonic()):
                    continue
            elif (version := self._db.query("PRAGMA data_version")[0][0]) == self._version:
                time.sleep(LOOK)
                continue
            else:
                self._version = version
            rows = self._db.query(self.SQL, self._last)
            at = time.monotonic()
            for row in rows:
                self._last = row[0]
                if row[2] in ("assigned", "updated"):  # an end may come of the clock alone
                    yield at, row[1]


def delays(told, seen, since):
    """Of each change that was seen: how long after the last message about its address, in seconds."""
    by_address = collections.defaultdict(list)
    for at, address in told:
        by_address[address].append(at)
    out = []
    for at, address in seen:
        times = by_address.get(address, [])
        place = bisect.bisect_right(times, at)
        if place and times[place - 1] >= since:
            out.append(at - times[place - 1])
    return sorted(out)


def latency(world, engine, rate, options):
    with Stage(world, engine) as stage:
        sim, agent, between = followed(stage, options.bindings, tapped=True)
        feed = Feed(stage)
        between.record()
        sim.ask(f"churn {rate}")
        began = time.monotonic()
        seen = list(feed.read(began + WARM_UP + options.seconds / 2))
        sim.ask("stop-churn")
        seen += feed.read(time.monotonic() + WARM_UP)
        agent.kill()
        between.end()
        told = list(tap.messages_of(between.path))
        found = delays(told, seen, began + WARM_UP)
        if not found:
            raise SystemExit("no change was seen")
        details = {"changes": len(found), "messages_per_second": len(told) / (WARM_UP + options.seconds / 2),
                   "largest_ms": found[-1] * 1000}
        name = f"{engine}, {rate:,} events/s"
        return [Figure(f"{name}: p50", statistics.median(found) * 1000, "ms", details=details),
                Figure(f"{name}: p99", found[int(len(found) * 0.99)] * 1000, "ms")]


def live(world, options):
    return [figure for engine in ("postgresql", "sqlite") for rate in RATES for figure in latency(world, engine, rate, options)]
