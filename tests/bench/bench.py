#!/usr/bin/env python3
"""The benchmark: each case beside its baseline in the same run. tests/bench/run.sh builds the programs and starts this;
tests/bench/README.md says what the cases mean.

A table goes to stdout, everything that was measured to a JSON file. Times depend on the machine, ratios hardly.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent / "e2e"))
os.environ.setdefault("PATIENCE", "3600")  # of the modules there: many millions of rows take as long as they take
import cases_idle  # noqa: E402
import cases_live  # noqa: E402
import cases_load  # noqa: E402
import cases_poll  # noqa: E402
import figures  # noqa: E402
import world as worlds  # noqa: E402

# In the order in which they run. A case is a function of the world and the options, and gives the figures of one run;
# with False one run is enough: what it measures hardly differs from run to run.
CASES = {
    "first-load-postgresql": (cases_load.first_load_postgresql, True),
    "first-load-sqlite": (cases_load.first_load_sqlite, True),
    "unchanged-postgresql": (cases_poll.unchanged_case("postgresql"), True),
    "unchanged-sqlite": (cases_poll.unchanged_case("sqlite"), True),
    "tls": (cases_load.tls, True),
    "memory": (cases_load.memory, False),
    "disk": (cases_load.disk, False),
    "renewals-postgresql": (cases_live.renewals("postgresql"), True),
    "renewals-sqlite": (cases_live.renewals("sqlite"), True),
    "live": (cases_live.live, True),
    "catch-up-postgresql": (cases_live.catch_up("postgresql"), True),
    "catch-up-sqlite": (cases_live.catch_up("sqlite"), True),
    "idle": (cases_idle.idle, False),
    "reconcile": (cases_poll.reconcile, True),
}


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", metavar="CASE", nargs="*", help=f"default: all of {', '.join(CASES)}")
    parser.add_argument("--bindings", type=int, default=int(os.environ.get("BINDINGS", 1_000_000)),
                        help="of a server ($BINDINGS; default 1000000)")
    parser.add_argument("--runs", type=int, default=int(os.environ.get("RUNS", 5)), help="of each case ($RUNS; default 5)")
    parser.add_argument("--sizes", help="of the servers in the case memory, with commas ($SIZES; default: a fifth of "
                                        "--bindings, and --bindings)", default=os.environ.get("SIZES"))
    parser.add_argument("--seconds", type=float, default=20,
                        help="for which a server is followed in renewals; half of it in live (default 20)")
    parser.add_argument("--idle", type=float, default=float(os.environ.get("IDLE", 60)),
                        help="seconds for which the case idle looks on ($IDLE; default 60)")
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="where the databases are made (default: $TMPDIR)")
    parser.add_argument("--json", type=pathlib.Path, help="where the JSON goes (default: DIR/leasemirror-bench.json)")
    parser.add_argument("--markdown", type=pathlib.Path, help="also write the table there, to be pasted into README.md")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.cases if name not in CASES]:
        parser.error(f"no case {', '.join(unknown)}; there are: {', '.join(CASES)}")
    if chosen.bindings < 1 or chosen.runs < 1:
        parser.error("--bindings and --runs must be at least 1")
    try:
        chosen.sizes = ([int(word) for word in chosen.sizes.split(",")] if chosen.sizes
                        else [max(1, chosen.bindings // 5), chosen.bindings])
    except ValueError:
        parser.error(f"--sizes {chosen.sizes}: not numbers with commas")
    chosen.json = chosen.json or pathlib.Path(chosen.dir) / "leasemirror-bench.json"
    return chosen


def said_by(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine():
    models = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {(models or ['unknown'])[0]}, {memory:.0f} GiB, Linux {platform.release()}"


def about(options):
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "machine": machine(),
            "commit": said_by("git", "describe", "--always", "--dirty"), "program": os.environ["LEASEMIRROR"],
            "postgresql": said_by(str(worlds.cluster.programs() / "postgres"), "--version"), "settings": worlds.POSTGRES,
            "bindings": options.bindings, "runs": options.runs}


def headline(facts):
    return (f"{facts['date']}, commit {facts['commit']}, {facts['bindings']:,} bindings, {facts['runs']} runs; "
            f"{facts['machine']}; {facts['postgresql']}")


def run(options, report):
    world = worlds.World(options.dir)
    try:
        for name in options.cases or CASES:
            case, repeated = CASES[name]
            runs = options.runs if repeated else 1
            done = []
            for number in range(1, runs + 1):
                print(f"{name}: run {number} of {runs}", file=sys.stderr, flush=True)
                done.append(case(world, options))
            report(figures.rows_of(name, done))
    finally:
        world.remove()


def main():
    options = arguments()
    if options.list:
        print("\n".join(CASES))
        return
    for variable in ("LEASEMIRROR", "LEASESIM"):
        worlds.harness.program(variable)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing is left behind
    facts = about(options)
    print(headline(facts), flush=True)
    rows = []

    def report(of_case):
        """After each case: what was measured is not lost when a later one fails."""
        rows.extend(of_case)
        print("\n" + figures.table(of_case), flush=True)
        options.json.write_text(json.dumps({**facts, "rows": [row.as_json() for row in rows]}, indent=1) + "\n")
        if options.markdown:
            options.markdown.write_text(f"{headline(facts)}\n\n{figures.markdown(rows)}\n")

    run(options, report)
    if len({row.case for row in rows}) > 1:
        print("\n" + figures.table(rows))


if __name__ == "__main__":
    main()
