"""The first load, and what it leaves: time, memory, disk."""

import os

import bare_postgres
import bare_sqlite
import certificates
import meter
from figures import Figure
from world import Stage


def per(seconds, rows):
    return seconds / rows * 1e6


def load_figure(rows, cost, what, against, bare):
    return Figure(what, rows / cost.seconds, "bindings/s", against, bare.rows / bare.seconds, per(cost.agent_cpu, rows),
                  per(cost.server_cpu, rows) or None, bare.cpu_us,
                  {"bindings": rows, "seconds": cost.seconds, "against_seconds": bare.seconds, "wal_bytes": cost.wal_bytes,
                   "leasesim_cpu_us": per(cost.sim_cpu, rows)})


def first_load_postgresql(world, options):
    with Stage(world, "postgresql") as stage:
        agent, sim, rows, cost = stage.first_load(options.bindings)
        agent.terminate()
        sim.kill()
        copies = bare_postgres.Copies(stage)
        hand, exact = bare_postgres.by_hand(copies), bare_postgres.exactly(copies)
        return [load_figure(rows, cost, "first load", "by hand: staging, upsert into binding alone", hand),
                load_figure(rows, cost, "first load", "COPY of exactly the rows left", exact)]


def first_load_sqlite(world, options):
    with Stage(world, "sqlite") as stage:
        agent, sim, rows, cost = stage.first_load(options.bindings)
        agent.terminate()
        sim.kill()
        bare = bare_sqlite.rows_first(stage.db.path, stage.directory / "bare.db")
        return [load_figure(rows, cost, "first load", "the same rows, indexes afterwards", bare)]


def tls(world, options):
    """The first load over TLS, beside the same in clear text."""
    with Stage(world, "sqlite") as stage:
        _, _, rows, clear = stage.first_load(options.bindings)
    with Stage(world, "sqlite") as stage:
        authority = certificates.Authority(stage.directory)
        theirs, ours = authority.issue("server"), authority.issue("agent", None)
        _, _, secure_rows, secure = stage.first_load(
            options.bindings, sim_options=("--tls", "direct", "--tls-cert", theirs.cert, "--tls-key", theirs.key, "--tls-ca",
                                           authority.cert),
            server={"tls": {"mode": "direct", "ca": str(authority.cert), "cert": str(ours.cert), "key": str(ours.key)}})
    beside = meter.Bare(rows, clear.seconds, clear.agent_cpu)
    return [load_figure(secure_rows, secure, "first load over TLS", "the same in clear text", beside)]


def memory(world, options):
    out = []
    for engine in ("sqlite", "postgresql"):
        for bindings in options.sizes:
            with Stage(world, engine) as stage:
                agent, _, rows, _ = stage.first_load(bindings)
                peak = meter.peak_resident_bytes(agent.pid)
                out.append(Figure(f"{engine}, {bindings:,} bindings: peak resident", peak / 2**20, "MiB",
                                  details={"bindings": rows, "bytes": peak}))
    return out


def disk(world, options):
    out = []
    with Stage(world, "sqlite") as stage:
        agent, _, rows, _ = stage.first_load(options.bindings)
        agent.terminate()
        size = os.path.getsize(stage.db.path)
        out.append(Figure("sqlite: the file", size / rows, "octets/binding",
                          details={"bindings": rows, "bytes": size, "log_bytes": os.path.getsize(f"{stage.db.path}-wal")}))
    with Stage(world, "postgresql") as stage:
        agent, _, rows, _ = stage.first_load(options.bindings)
        agent.terminate()
        stage.rows("CHECKPOINT")
        found = stage.rows("SELECT relname::text, pg_table_size(c.oid), pg_indexes_size(c.oid) FROM pg_class AS c "
                           "WHERE relkind = 'r' AND relnamespace = ?::regnamespace ORDER BY 2 DESC", stage.db.schema)
        whole = sum(row[1] + row[2] for row in found)
        out.append(Figure("postgresql: all tables and indexes", whole / rows, "octets/binding",
                          details={"bindings": rows, "bytes": whole}))
        for name, own, indexes in found:
            if own + indexes > whole / 100:
                out.append(Figure(f"postgresql: {name}, its rows", own / rows, "octets/binding"))
                out.append(Figure(f"postgresql: {name}, its indexes", indexes / rows, "octets/binding",
                                  details={row[0]: row[1] for row in stage.rows(
                                      "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index "
                                      "WHERE indrelid = ?::regclass", f"{stage.db.schema}.{name}")}))
    return out
