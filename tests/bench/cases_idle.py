"""What many servers cost that have nothing to tell."""

import time

import meter
from figures import Figure
from world import Stage, server_entry

SERVERS = 500
BINDINGS = 10  # of each
REST = 15.0    # seconds until what the connecting has left behind is done


def settled(stage, servers):
    """An agent whose servers are all live, and have been for a while."""
    sim = stage.leasesim("--bindings", BINDINGS, "--occupied", 1, "--churn", 0, "--max-connections", 2 * SERVERS)
    agent = stage.agent(*(server_entry(sim.port, name=f"s{n}") for n in range(servers)))
    live = "SELECT count(*) FROM server WHERE phase = 'live'"
    stage.wait(agent, lambda: stage.one(live) == servers, "all to be live", 0.2)
    time.sleep(REST)
    return agent


def transactions(stage):
    return stage.one("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")


def idle(world, options):
    out = []
    for engine in ("postgresql", "sqlite"):
        with Stage(world, engine) as stage:
            alone = meter.resident_bytes(settled(stage, 1).pid)
        with Stage(world, engine) as stage:
            agent = settled(stage, SERVERS)
            cost = stage.begin(agent)
            before = transactions(stage) if engine == "postgresql" else 0
            time.sleep(options.idle)
            count = transactions(stage) - before if engine == "postgresql" else None
            spent = cost()
            resident = meter.resident_bytes(agent.pid)
            name = f"{engine}, {SERVERS} servers"
            out += [Figure(f"{name}: agent", spent.agent_cpu / spent.seconds * 100, "% of a core"),
                    Figure(f"{name}: resident", resident / 2**20, "MiB", details={"one_server_bytes": alone}),
                    Figure(f"{name}: resident for each", (resident - alone) / (SERVERS - 1) / 1024, "KiB")]
            if count is not None:
                out += [Figure(f"{name}: transactions", count / spent.seconds, "1/s"),
                        Figure(f"{name}: database server", spent.server_cpu / spent.seconds * 100, "% of a core"),
                        Figure(f"{name}: log", spent.wal_bytes / spent.seconds, "octets/s")]
    return out
