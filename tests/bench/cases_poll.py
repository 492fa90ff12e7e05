"""Servers that are polled: a full bulk that changes nothing, and one after which all that was there has ended."""

import pathlib
import sqlite3
import time

import bare_postgres
from figures import Figure
from world import Stage, server_entry

POLL_INTERVAL = "30d"  # each poll here is asked for: the agent counts from when it has read all, the database may be behind
LOOK = 0.005  # seconds between two looks
UNCONFIGURED = 40  # times: each takes away what is from a random binding to the last one


class Polled:
    """An agent that polls a server: first load done, the next poll not begun."""

    def __init__(self, stage, bindings, family="v4", sim_options=()):
        self.stage = stage
        self.sim = stage.quiet_server(bindings, family, sim_options)
        entry = server_entry(self.sim.port, family=family, mode="bulk", bulk={"poll_interval": POLL_INTERVAL})
        self.agent = stage.agent(entry)
        stage.wait(self.agent, self._last_full_sync, "the first load")
        self.rows = stage.one("SELECT bindings FROM server")
        stage.next_sign(self.agent)  # of life: with it PostgreSQL has counted all that was written before

    def _last_full_sync(self):
        return self.stage.one("SELECT last_full_sync_at FROM server")

    def poll(self, look=lambda: None):
        """Another full bulk, from the moment when the server is asked until it is done: its Cost and what the agent wrote.

        Written are the octets that it has given to the system: over SQLite to the log and, at checkpoints, the database.
        """
        before, queries = self._last_full_sync(), self.sim.stats()["bulk_queries"]
        self.stage.command("resync", "bench")
        self.stage.wait(self.agent, lambda: self.sim.stats()["bulk_queries"] > queries, "the next bulk", LOOK)
        written = written_bytes(self.agent.pid)
        cost = self.stage.begin(self.agent, self.sim)
        self.stage.wait(self.agent, lambda: look() or self._last_full_sync() != before, "the end of the bulk", LOOK)
        return cost(), written_bytes(self.agent.pid) - written


def written_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    raise KeyError("wchar")


def read_sqlite(path):
    """Seconds and processor time of reading all columns of the table once."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    began, cpu = time.monotonic(), time.process_time()
    for _ in db.execute("SELECT * FROM binding"):
        pass
    spent = time.monotonic() - began, time.process_time() - cpu
    db.close()
    return spent


def read_postgres(stage):
    cost = stage.begin()
    child = bare_postgres.psql(stage, "-c", f"COPY {stage.db.schema}.binding TO '/dev/null'")
    return child.seconds, child.cpu + cost().server_cpu


def updates(stage):
    return stage.one("SELECT n_tup_upd FROM pg_stat_user_tables WHERE schemaname = ? AND relname = 'binding'",
                     stage.db.schema)


def unchanged(world, bindings, engine, label, family, sim_options=()):
    with Stage(world, engine) as stage:
        polled = Polled(stage, bindings, family, sim_options)
        rows, agent = polled.rows, polled.agent
        updated = updates(stage) if engine == "postgresql" else None
        cost, written = polled.poll()
        agent.terminate()
        details = {"bindings": rows, "seconds": cost.seconds, "leasesim_cpu_us": cost.sim_cpu / rows * 1e6}
        if engine == "postgresql":
            read = read_postgres(stage)
            details |= {"rows_written": updates(stage) - updated, "wal_bytes": cost.wal_bytes}
            side = [Figure(f"{label}: rows written", details["rows_written"] / rows, "rows/binding"),
                    Figure(f"{label}: log", cost.wal_bytes / rows, "octets/binding")]
        else:
            read = read_sqlite(stage.db.path)
            details["written_bytes"] = written
            side = [Figure(f"{label}: written", written / rows, "octets/binding")]
        whole = Figure(label, rows / cost.seconds, "bindings/s", "reading the table once", rows / read[0],
                       cost.agent_cpu / rows * 1e6, cost.server_cpu / rows * 1e6 or None, read[1] / rows * 1e6, details)
        return [whole, *side]


def unchanged_case(engine):
    def case(world, options):
        return (unchanged(world, options.bindings, engine, "v4", "v4")
                + unchanged(world, options.bindings, engine, "v6 as Kea, without base-time", "v6", ("--personality", "kea")))
    return case


class Pauses:
    """The longest time for which a reader sees no commit, and PostgreSQL's longest transaction."""

    def __init__(self, stage):
        self._stage = stage
        self._state, end = stage.db.commits()
        stage.callback(end)
        self._seen, self._at = None, None  # from the first look on
        self.longest = self.transaction = 0.0

    def look(self):
        now, state = time.monotonic(), self._state()
        self.longest = max(self.longest, now - (self._at or now))
        if state != self._seen:
            self._seen, self._at = state, now
        if self._stage.engine == "postgresql":
            found = self._stage.one("SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::float8 "
                                    "FROM pg_stat_activity "
                                    "WHERE backend_type = 'client backend' AND backend_xid IS NOT NULL")
            self.transaction = max(self.transaction, found or 0.0)


def reconcile(world, options):
    out = []
    for engine in ("postgresql", "sqlite"):
        with Stage(world, engine) as stage:
            polled = Polled(stage, options.bindings)
            for _ in range(UNCONFIGURED):
                polled.sim.ask(f"fault unconfigure={options.bindings}@now")
            pauses = Pauses(stage)
            cost, _ = polled.poll(pauses.look)
            ended = polled.rows - stage.one("SELECT bindings FROM server")
            details = {"ended": ended, "seconds": cost.seconds, "wal_bytes": cost.wal_bytes}
            out += [Figure(f"{engine}: ended", ended / cost.seconds, "bindings/s", agent_cpu_us=cost.agent_cpu / ended * 1e6,
                           server_cpu_us=cost.server_cpu / ended * 1e6 or None, details=details),
                    Figure(f"{engine}: longest time without a commit", pauses.longest * 1000, "ms")]
            if engine == "postgresql":
                out.append(Figure(f"{engine}: longest transaction", pauses.transaction * 1000, "ms"))
    return out
