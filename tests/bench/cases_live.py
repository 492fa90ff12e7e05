"""A server that is followed: how many events a second the mirror takes, and how soon they are there to be read."""

import bisect
import collections
import dataclasses
import pathlib
import statistics
import subprocess
import sys
import time

import bare_postgres
import bare_sqlite
import libpq
import tap
from figures import Figure
from world import Stage, server_entry

ASKED = 50_000  # events a second: more than anybody takes
WARM_UP = 2.0   # seconds at most, before events count, and after the last one
RATES = (20, 2_000, 10_000)  # events a second; at 20 they mostly come alone
LOOK = 0.001


def followed(stage, bindings, tapped=False):
    """An agent that has loaded a server and follows it, which is quiet; and, if asked for, what lies between them."""
    sim = stage.quiet_server(bindings)
    between = Tap(stage, sim.port) if tapped else None
    agent = stage.agent(server_entry(between.port if between else sim.port))
    stage.wait(agent, lambda: is_live(stage), "the server to be live")
    return sim, agent, between


def is_live(stage):
    return stage.one("SELECT count(*) FROM server WHERE phase = 'live'")


@dataclasses.dataclass
class Window:
    """What the agent wrote between two of its signs of life."""

    cost: object
    seconds: float
    events: int    # changes of bindings, by the agent's own count
    seqs: tuple    # of the feed: written were those above the first one up to the second
    assignments: tuple


def window(stage, agent, seconds):
    """From one sign of life on, and until one comes that is `seconds` later."""
    def marks():
        return (stage.one("SELECT coalesce(max(seq), 0) FROM binding_change"),
                stage.one("SELECT coalesce(max(assignment_id), 0) FROM assignment"))
    stage.next_sign(agent)  # tells of a time in which there was nothing to do
    stage.next_sign(agent)
    before, cost, began = marks(), stage.begin(agent), time.monotonic()
    events, at = 0.0, began
    while at < began + seconds:
        rate = stage.next_sign(agent)
        now = time.monotonic()
        events += rate * (now - at)
        at = now
    return Window(cost(), at - began, round(events), *zip(before, marks()))


def renewals(engine):
    bare = bare_postgres if engine == "postgresql" else bare_sqlite

    def case(world, options):
        with Stage(world, engine) as stage:
            sim, agent, _ = followed(stage, options.bindings)
            sim.ask(f"churn {ASKED}")
            took = window(stage, agent, options.seconds)
            agent.terminate()
            sim.kill()
            done = bare.renewals(stage, took.events, took.seqs, took.assignments)
            return [Figure("renewals, changes and ends, as they come", took.events / took.seconds, "events/s",
                           "UPDATEs and INSERTs of as many rows", done.rows / done.seconds,
                           took.cost.agent_cpu / took.events * 1e6, took.cost.server_cpu / took.events * 1e6 or None,
                           done.cpu_us,
                           {"events": took.events, "seconds": took.seconds, "wal_bytes": took.cost.wal_bytes,
                            "rows_beside": done.details})]
    return case


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
    """How long each change was seen after the last message about its address, in seconds, if that came after `since`."""
    out = []
    for at, address in seen:
        times = told.get(address, [])
        place = bisect.bisect_right(times, at)
        if place and times[place - 1] >= since:
            out.append(at - times[place - 1])
    return sorted(out)


def latency(world, engine, options):
    with Stage(world, engine) as stage:
        sim, agent, between = followed(stage, options.bindings, tapped=True)
        feed = Feed(stage)
        length = options.seconds / 2
        warm_up = min(WARM_UP, length / 2)
        between.record()
        seen, counted_from = {}, {}
        for rate in RATES:
            sim.ask(f"churn {rate}")
            counted_from[rate] = time.monotonic() + warm_up
            seen[rate] = list(feed.read(counted_from[rate] + length))
            sim.ask("stop-churn")
            seen[rate] += feed.read(time.monotonic() + warm_up)  # what was on its way
        agent.kill()
        between.end()
        told, count = collections.defaultdict(list), collections.Counter()
        for at, address in tap.messages_of(between.path):
            told[address].append(at)
            count[max(rate for rate in RATES if counted_from[rate] - warm_up <= at)] += 1
        out = []
        for rate in RATES:
            found = delays(told, seen[rate], counted_from[rate])
            if not found:
                raise SystemExit(f"at {rate} events/s no change was seen")
            details = {"changes": len(found), "messages_per_second": count[rate] / (warm_up + length),
                       "largest_ms": found[-1] * 1000}
            name = f"{engine}, {rate:,} events/s"
            out += [Figure(f"{name}: p50", statistics.median(found) * 1000, "ms", details=details),
                    Figure(f"{name}: p99", found[int(len(found) * 0.99)] * 1000, "ms")]
        return out


def live(world, options):
    return [figure for engine in ("postgresql", "sqlite") for figure in latency(world, engine, options)]


def catch_up(engine):
    def case(world, options):
        """As many changes as there are bindings, while the agent was away."""
        with Stage(world, engine) as stage:
            agent, sim, rows, first = stage.first_load(options.bindings)
            stage.wait(agent, lambda: is_live(stage), "the server to be live")
            agent.terminate()
            before = sim.stats()["changes"]
            sim.ask(f"churn {ASKED}")
            while sim.stats()["changes"] - before < rows:
                time.sleep(0.01)
            sim.ask("stop-churn")
            changes = sim.stats()["changes"] - before
            told = sim.stats()["messages"]
            cost = stage.begin(sim=sim)
            agent = stage.agent(server_entry(sim.port))
            stage.wait(agent, lambda: sim.stats()["messages"] > told and is_live(stage), "the end of the catch-up")
            spent = cost(agent)
            told = sim.stats()["messages"] - told
            return [Figure("catch-up after an outage", told / spent.seconds, "messages/s", "first load, bindings/s",
                           rows / first.seconds, spent.agent_cpu / told * 1e6, spent.server_cpu / told * 1e6 or None,
                           (first.agent_cpu + first.server_cpu) / rows * 1e6,
                           {"changes": changes, "messages": told, "seconds": spent.seconds, "wal_bytes": spent.wal_bytes})]
    return case
