"""Where a case happens: databases, servers and agents of its own, which end with it.

The programs and the databases are those of the end-to-end tests (tests/e2e/harness.py, databases.py, cluster.py); what is
theirs alone is that nothing here is set up to be quick: PostgreSQL syncs, and has the memory that an operator gives it.
"""

import contextlib
import dataclasses
import itertools
import json
import pathlib
import shutil
import tempfile
import time

import cluster
import databases
import harness
import meter

POLL = 0.02  # seconds between two looks at a condition that nothing announces
POSTGRES = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "1GB", "max_wal_size": "4GB",
            "max_connections": "100"}


def server_entry(port, name="bench", family="v4", links=8, **more):
    """All of a leasesim, and every other key at its default."""
    entry = {"name": name, "family": family, "address": "127.0.0.1", "port": port, **more}
    if family == "v6":
        queries = [{"link": f"2001:db8:{n:x}::1"} for n in range(links)]
        entry.setdefault("bulk", {}).update({"queries": queries, "covers": "all"})
    return entry


@dataclasses.dataclass
class Cost:
    """Of a stretch of time: seconds, processor time of agent, database server and leasesim, octets of PostgreSQL's log."""

    seconds: float
    agent_cpu: float
    server_cpu: float
    wal_bytes: int
    sim_cpu: float


class World:
    """One directory, and one PostgreSQL server, which is started when it is first asked for."""

    def __init__(self, directory):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="leasemirror-bench-", dir=directory))
        tempfile.tempdir = str(self.directory)  # of whatever is made from here on, that of the server too
        self.directory.chmod(0o755)
        self._cluster = None
        self._indexes = {}
        self.numbers = itertools.count(1)

    def indexes(self, engine):
        """The names of all indexes of the schema, as it is before anything is loaded."""
        if engine not in self._indexes:
            with Stage(self, engine) as stage:
                stage.configure(server_entry(67))
                stage.command("schema", "migrate")
                self._indexes[engine] = stage.indexes()
        return self._indexes[engine]

    @property
    def cluster(self):
        if not self._cluster:
            self._cluster = cluster.Cluster(**POSTGRES)
        return self._cluster

    def remove(self):
        if self._cluster:
            self._cluster.remove()
        shutil.rmtree(self.directory, ignore_errors=True)


class Stage(contextlib.ExitStack):
    """One run of one case: an empty database, and processes that end with it."""

    def __init__(self, world, engine):
        super().__init__()
        self.world = world
        self.engine = engine
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="stage-", dir=world.directory))
        self.directory.chmod(0o755)
        self.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self._config = self.directory / "leasemirror.yaml"
        if engine == "sqlite":
            self.db = databases.Sqlite(self.directory / "leases.db")
        else:
            self.db = databases.Postgres(world.cluster.url(), f"bench_{next(world.numbers)}")
            self.db.create()
            self.callback(self.db.drop)
            self._look = self.db.connect()
            self.callback(self._look.close)
            self.rows("CHECKPOINT")

    def rows(self, sql, *values):
        """The rows of a query; none as long as there is no table for it."""
        if self.engine == "sqlite":
            return self.db.rows(sql, *values)
        try:
            return self._look.query(sql, *values)
        except databases.libpq.Error as error:
            if databases.is_away(error):
                return []
            raise

    def one(self, sql, *values):
        found = self.rows(sql, *values)
        return found[0][0] if found else None

    def leasesim(self, *options):
        sim = harness.Leasesim(*options)
        self.callback(sim.kill)
        return sim

    def quiet_server(self, bindings, family="v4", options=()):
        """A leasesim that holds as many bindings, with the relays of a network of that size, and changes nothing yet."""
        return self.leasesim("--family", family, "--bindings", bindings, "--occupied", 1, "--relays", 1000, "--churn", 0,
                             *options)

    def indexes(self):
        """The names of those that are there, and can be used."""
        if self.engine == "sqlite":
            return {row[0] for row in self.rows("SELECT name FROM sqlite_schema WHERE type = 'index'")}
        return {row[0] for row in self.rows("SELECT relname::text FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid "
                                            "WHERE indisvalid AND relnamespace = ?::regnamespace", self.db.schema)}

    def configure(self, *servers):
        self._config.write_text(json.dumps({"storage": self.db.storage(), "admin": {"listen": "off"}, "servers": servers}))

    def command(self, *words):
        """A command of leasemirror that ends by itself, with our configuration."""
        done = harness.command(*words, "-c", self._config)
        if done.returncode != 0:
            raise SystemExit(f"leasemirror {' '.join(words)}: {done.stderr}")

    def agent(self, *servers):
        self.configure(*servers)
        agent = harness.Agent(self._config)
        self.callback(agent.kill)
        return agent

    def wait(self, agent, condition, what, poll=POLL):
        """The first true value of the condition, for as long as the agent lives."""
        deadline = time.monotonic() + databases.PATIENCE
        while not (value := condition()):
            if agent.child.poll() is not None:
                raise SystemExit("the agent ended:\n" + "\n".join(agent.log.since()[-20:]))
            if time.monotonic() > deadline:
                raise SystemExit(f"waited in vain for {what}")
            time.sleep(poll)
        return value

    def next_sign(self, agent):
        """Waits for the agent's next sign of life, and gives the changes per second that it wrote since the one before."""
        def sign():
            return tuple(self.rows("SELECT heartbeat_at, rate FROM agent ORDER BY started_at DESC LIMIT 1")[0])
        last = sign()
        return self.wait(agent, lambda: (now := sign()) != last and now, "a sign of life")[1]

    def begin(self, agent=None, sim=None):
        """A function that gives the Cost since now. Without an agent, one that is yet to start may be given to it."""
        def now(agent):
            postgres = self.engine == "postgresql"
            return (time.monotonic(), meter.cpu_seconds(agent.pid) if agent else 0.0,
                    self.server_cpu() if postgres else 0.0,
                    int(self.one("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")) if postgres else 0,
                    meter.cpu_seconds(sim.pid) if sim else 0.0)
        began = now(agent)
        return lambda started=agent: Cost(*(a - b for a, b in zip(now(started), began)))

    def server_cpu(self):
        """Processor time of the database server so far, without the connection by which we look."""
        return meter.postgres_cpu_seconds(self.world.cluster.child.pid, without=(self._look.pid,))

    def first_load(self, bindings, family="v4", sim_options=(), server=None):
        """The agent, the server, the bindings and what it cost.

        From the agent's start until the full read has ended and no index is lacking. `server`: keys of its entry in the
        configuration.
        """
        needed = self.world.indexes(self.engine)
        sim = self.quiet_server(bindings, family, sim_options)
        cost = self.begin(sim=sim)
        agent = self.agent(server_entry(sim.port, family=family, **(server or {})))
        rows = self.wait(agent, lambda: self.one("SELECT bindings FROM server WHERE last_full_sync_at IS NOT NULL"),
                         "the first load")
        self.wait(agent, lambda: needed <= self.indexes(), "all indexes")
        return agent, sim, rows, cost(agent)
