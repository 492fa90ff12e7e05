#!/usr/bin/env python3
"""How fast a whole agent loads a server's leases into SQLite, and in how much memory. Not a test: prints figures.

    LEASEMIRROR=... LEASESIM=... [STORE_BENCH=...] load_bench.py [--family v4|v6] [--dir DIR] [BINDINGS ...]

For each family and each number of bindings (200000 and 1000000): leasesim, `leasemirror run` and an empty database on
this host, until the full bulk is committed. The rate counts rows; peak RSS is the kernel's (VmHWM) for the agent alone,
and must not grow with the number. The baseline is taken in the same run, right before: rows of the same shape, INSERTed
by a bare loop into a table without indexes, in transactions of the same size (the first line of store_bench; without it
a loop in Python). Times depend on the machine, the ratio hardly.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

POLL = 0.02
BARE_ROWS = 200_000
BATCH = 2000


def program(variable):
    path = os.environ.get(variable)
    if not path or not os.access(path, os.X_OK):
        sys.exit(f"{variable} must name the program (it is {path!r})")
    return path


def bare_rate(directory):
    """Rows per second that SQLite takes with nothing around it."""
    bench = os.environ.get("STORE_BENCH")
    if not bench:
        return bare_rate_in_python(directory)
    # Its first line is all we want; the rest of it would take longer than this whole measurement.
    with subprocess.Popen(["stdbuf", "-oL", bench, str(BARE_ROWS), str(directory)], stdout=subprocess.PIPE,
                          text=True) as child:
        line = child.stdout.readline()
        child.kill()
    match = re.match(r"bare:.*?(\d+) changes/s", line)
    if not match:
        sys.exit(f"store_bench said {line!r}")
    return float(match[1])


def bare_rate_in_python(directory):
    db = sqlite3.connect(directory / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    columns = 34
    db.execute(f"CREATE TABLE bare ({', '.join(f'c{n}' for n in range(columns))})")
    row = ([1, 32, 1795000000, "10.0.0.1", b"0123456789abcdef", "active", "host-1"] * 5)[:columns]
    insert = f"INSERT INTO bare VALUES ({', '.join('?' * columns)})"
    began = time.monotonic()
    for _ in range(0, BARE_ROWS, BATCH):
        db.execute("BEGIN IMMEDIATE")
        db.executemany(insert, [row] * BATCH)
        db.execute("COMMIT")
    rate = BARE_ROWS / (time.monotonic() - began)
    db.close()
    return rate


def status_of(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def configuration(directory, family, port):
    server = {"name": "bench", "family": family, "address": "127.0.0.1", "port": port}
    if family == "v6":
        server["bulk"] = {"queries": [{"link": f"2001:db8:{n:x}::1"} for n in range(8)], "covers": "all"}
    config = {"storage": {"url": f"sqlite://{directory}/leases.db"}, "admin": {"listen": "off"}, "servers": [server]}
    path = directory / "leasemirror.yaml"
    path.write_text(json.dumps(config))
    return path


def loaded(database):
    try:
        db = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)
    except sqlite3.OperationalError:
        return None
    try:
        return db.execute("SELECT bindings FROM server WHERE last_full_sync_at IS NOT NULL").fetchone()
    except sqlite3.OperationalError:
        return None
    finally:
        db.close()


def measure(family, bindings, directory):
    bare = bare_rate(directory)
    sim = subprocess.Popen([program("LEASESIM"), "--family", family, "--bindings", str(bindings), "--occupied", "1"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    agent = None
    try:
        port = int(sim.stdout.readline().rsplit(":", 1)[1])
        config = configuration(directory, family, port)
        began = time.monotonic()
        agent = subprocess.Popen([program("LEASEMIRROR"), "run", "-c", str(config)], stderr=subprocess.DEVNULL)
        while not (row := loaded(directory / "leases.db")):
            if agent.poll() is not None:
                sys.exit(f"leasemirror ended with {agent.returncode}")
            time.sleep(POLL)
        seconds = time.monotonic() - began
        peak, cpu, sim_cpu = status_of(agent.pid, "VmHWM"), cpu_seconds(agent.pid), cpu_seconds(sim.pid)
    finally:
        for child in (agent, sim):
            if child:
                child.kill()
                child.wait()
        sim.stdin.close()
        sim.stdout.close()
    rate = row[0] / seconds
    print(f"{family}  {row[0]:>9} bindings  {seconds:7.2f} s  {rate:8.0f} bindings/s  peak RSS {peak / 1024:5.1f} MiB  "
          f"agent CPU {cpu:6.2f} s  leasesim CPU {sim_cpu:5.2f} s  bare {bare:7.0f} rows/s  ratio {rate / bare:.2f}",
          flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--family", choices=("v4", "v6"), action="append")
    arguments.add_argument("--dir", default=tempfile.gettempdir(), help="where the databases are made")
    arguments.add_argument("bindings", type=int, nargs="*")
    chosen = arguments.parse_args()
    for family in chosen.family or ("v4", "v6"):
        for bindings in chosen.bindings or (200_000, 1_000_000):
            directory = pathlib.Path(tempfile.mkdtemp(prefix="load_bench-", dir=chosen.dir))
            try:
                measure(family, bindings, directory)
            finally:
                shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
