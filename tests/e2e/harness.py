"""Real processes for the end-to-end tests: the agent, the simulated server, and how to wait for what they do.

Nothing here sleeps for a time in which something "should" have happened: every wait is for a condition, and ends with
a failure that says what was waited for. LEASEMIRROR and LEASESIM name the two programs; PATIENCE (seconds, default 60)
bounds each wait and may be raised for slow builds. ENGINE=postgresql has the same scenarios run over PostgreSQL, each
in a schema of its own (databases.py): ENGINE=postgresql LEASEMIRROR=... LEASESIM=... python3 test_sync.py
"""

import calendar
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

import databases
from databases import PATIENCE, Moment

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent))
import check_history  # noqa: E402

ENGINE = os.environ.get("ENGINE", "sqlite")
POLL = 0.02  # seconds between two looks at a condition that nothing announces


def sqlite_only(why):
    return unittest.skipIf(ENGINE != "sqlite", f"about SQLite alone: {why}")


def logged_time(unix_seconds):
    """A time as the log writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_seconds))


def program(variable):
    path = os.environ.get(variable)
    if not path or not os.access(path, os.X_OK):
        sys.exit(f"{variable} must name the program to test (it is {path!r})")
    return path


def wait_until(condition, what, patience=PATIENCE):
    """The first true value of condition(); the only place that waits for what cannot be listened to."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s in vain: {what() if callable(what) else what}")
        time.sleep(POLL)


class Lines:
    """Lines of a pipe, kept by a thread, so that the writer never waits for us."""

    def __init__(self, pipe):
        self._lines = []
        self._open = True
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe):
        with pipe:
            for line in pipe:
                with self._changed:
                    self._lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def __len__(self):
        with self._changed:
            return len(self._lines)

    def since(self, mark=0):
        with self._changed:
            return self._lines[mark:]

    def wait(self, pattern, mark=0, patience=PATIENCE):
        """The first line from number `mark` on that matches."""
        deadline = time.monotonic() + patience
        with self._changed:
            while True:
                for line in self._lines[mark:]:
                    if re.search(pattern, line):
                        return line
                mark = len(self._lines)
                left = deadline - time.monotonic()
                if left <= 0 or not self._open:
                    tail = "\n".join(self._lines[-30:])
                    raise AssertionError(f"no line with {pattern!r} in {patience:.0f} s; the last ones:\n{tail}")
                self._changed.wait(left)

    def join(self):
        self._thread.join(PATIENCE)


class Process:
    def __init__(self, arguments, **popen):
        self.child = subprocess.Popen(arguments, text=True, errors="replace", **popen)

    @property
    def pid(self):
        return self.child.pid

    def send_signal(self, number):
        self.child.send_signal(number)

    def wait(self, patience=PATIENCE):
        return self.child.wait(patience)

    def kill(self):
        """kill -9, of this process and no other."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(PATIENCE)


class Agent(Process):
    """`leasemirror run`. Its log is `log`."""

    def __init__(self, config, **popen):
        super().__init__([program("LEASEMIRROR"), "run", "-c", str(config)], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **popen)
        self.log = Lines(self.child.stderr)

    def terminate(self):
        """SIGTERM; the exit code."""
        self.send_signal(signal.SIGTERM)
        code = self.wait()
        self.log.join()
        return code

    def kill(self):
        super().kill()
        self.log.join()


def command(*arguments, input_bytes=b"", **popen):
    """A command of leasemirror that ends by itself."""
    done = subprocess.run([program("LEASEMIRROR"), *map(str, arguments)], input=input_bytes, capture_output=True,
                          timeout=PATIENCE, **popen)
    done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    return done


class Leasesim(Process):
    """The simulated server, commanded over its standard input (tests/leasesim/README.md)."""

    def __init__(self, *options):
        super().__init__([program("LEASESIM"), "--listen", "127.0.0.1:0", *map(str, options)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=sys.stderr)
        first = self.child.stdout.readline()
        match = re.match(r"listening 127\.0\.0\.1:(\d+)$", first.rstrip("\n"))
        if not match:
            raise AssertionError(f"leasesim did not say where it listens: {first!r}")
        self.port = int(match[1])
        self.udp_port = None  # with --udp 127.0.0.1:0
        if "--udp" in options:
            self.udp_port = int(self.child.stdout.readline().rstrip("\n").rpartition(":")[2])

    def ask(self, line):
        """The answer to one command: the lines before its last one, and what follows 'ok' there."""
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        lines = []
        while True:
            answer = self.child.stdout.readline()
            if not answer:
                raise AssertionError(f"leasesim ended at {line!r}")
            answer = answer.rstrip("\n")
            if answer.startswith("error"):
                raise AssertionError(f"leasesim: {answer}")
            if re.match(r"ok\b", answer):
                return lines, answer[2:].strip()
            lines.append(answer)

    def dump(self):
        lines, count = self.ask("dump")
        assert len(lines) == int(count)
        return [json.loads(line) for line in lines]

    def stats(self):
        return json.loads(self.ask("stats")[1])

    def kill(self):
        super().kill()
        self.child.stdin.close()
        self.child.stdout.close()


def yaml_server(name, family, port, **more):
    """One entry of `servers`. JSON is YAML, so values are written as such."""
    entry = {"name": name, "family": family, "address": "127.0.0.1", "port": port,
             "timeouts": {"connect": "20s", "receive": "60s", "data": "60s", "retry": "400ms"}}
    for key, value in more.items():
        if isinstance(value, dict):
            entry.setdefault(key, {}).update(value)
        else:
            entry[key] = value
    return entry


def sim_server(name, family, port, links=8, **more):
    """An entry for a leasesim: everything in v4, each of its links in v6."""
    if family == "v6":
        queries = [{"link": f"2001:db8:{n:x}::1"} for n in range(links)]
        more.setdefault("bulk", {}).update({"queries": queries, "covers": "all"})
    return yaml_server(name, family, port, **more)


class EndToEnd(unittest.TestCase):
    """A directory, a database, and processes that end with the test."""

    engine = ENGINE

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="leasemirror-e2e-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.db = self.make_database()
        self.addCleanup(lambda: self.db.drop())
        self.config = self.dir / "leasemirror.yaml"
        self.agents = []
        # In one half of the scenarios, always the same ones.
        self.record_renewals = zlib.crc32(self.id().encode()) % 2 == 1

    def make_database(self):
        return databases.for_test(self.engine, self.dir)

    def run(self, result=None):
        failed = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > failed:
            for number, agent in enumerate(getattr(self, "agents", [])):
                print(f"--- {self.id()}: log of agent {number}, pid {agent.pid}", file=sys.stderr)
                print("\n".join(agent.log.since()[-60:]), file=sys.stderr)

    def configure(self, *servers, **more):
        text = {"storage": {**self.db.storage(), "record_renewals": self.record_renewals},
                "servers": list(servers), "admin": {"listen": "off"}, "log": {"level": "debug"}}
        for key, value in more.items():
            text.setdefault(key, {}).update(value)
        # A new file in the place of the old one: a reload must never see half of it.
        fresh = self.config.with_suffix(".new")
        fresh.write_text(json.dumps(text, indent=1))
        fresh.rename(self.config)

    def agent(self, **popen):
        agent = Agent(self.config, **popen)
        self.agents.append(agent)
        self.addCleanup(self.assert_no_report, agent)
        self.addCleanup(agent.kill)
        return agent

    def assert_no_report(self, agent):
        """In a build with sanitizers: none of them had anything to say."""
        lines = agent.log.since()
        for number, line in enumerate(lines):
            if re.search("Sanitizer|runtime error:|Assertion .* failed|terminate called", line):
                self.fail("\n".join(lines[number:number + 150]))

    def leasesim(self, *options):
        sim = Leasesim(*options)
        self.addCleanup(sim.kill)
        return sim

    # What readers of the database see.

    def rows(self, sql, *values):
        """The rows of a query; none as long as there is no database, or no table in it."""
        return self.db.rows(sql, *values)

    def one(self, sql, *values):
        rows = self.rows(sql, *values)
        return rows[0][0] if rows else None

    def server(self, name="s"):
        rows = self.rows("SELECT * FROM server WHERE name = ?", name)
        return rows[0] if rows else None

    def wait_sql(self, sql, *values, patience=PATIENCE):
        """Until the first column of the first row is true."""
        def state():
            servers = [dict(row) for row in self.rows("SELECT * FROM server")]
            return f"{sql} {values}\nservers: {servers}"
        return wait_until(lambda: self.one(sql, *values), state, patience)

    def wait_live(self, name="s"):
        self.wait_sql("SELECT count(*) FROM server WHERE name = ? AND phase = 'live' AND gaps_open = 0", name)

    # What must always hold.

    def assert_sound(self):
        """Of the files, the sums and the history: true at any moment, whatever goes on."""
        self.assertIsNone(self.db.damage())
        db = self.db.connect()
        try:
            wrong = check_history.problems(db, self.record_renewals)
        finally:
            db.close()
        self.assertEqual(wrong[:10], [], f"{len(wrong)} things wrong with the history")

    def assert_equal_to(self, sim, name="s", was_killed=False):
        """Once the server is quiet, the rows in force are its bindings (agent/README.md, "Promises").

        An agent that was killed asks about four rows in doubt a minute. So some may differ that say that they are in
        doubt; where there are many, a full bulk settles them (agent/README.md, "Doubt").
        """
        difference = []

        def equal():
            difference[:] = differences(sim.dump(), self.db, name, in_doubt=not was_killed)[:5]
            doubts = self.one("SELECT count(*) FROM binding JOIN server USING (server_id) WHERE name = ? "
                              "AND doubt IS NOT NULL", name) or 0
            if doubts > ASKED_ONE_BY_ONE:
                difference.append(f"{doubts} are in doubt")
            return not difference
        wait_until(equal, lambda: f"the mirror of {name} to equal the server; it differs in {difference}")
        wait_until(lambda: (self.server(name) or {"gaps_open": 1})["gaps_open"] == 0, f"gaps of {name} to close")
        self.assert_sound()


BYTES = ("client_id", "relay_id", "remote_id", "circuit_id", "subscriber_id")
WORDS = ("family", "state", "hw_type", "hw_addr", "link_address", "relay_address", "hostname", "data_source")
TIMES = ("client_last_seen", "state_since", "expires_at", "preferred_until")
TIMES_TO_COME = ("renew_at", "rebind_at")  # leasesim tells them only while they are still to come
TOLERANCE = 2
ABOUT_TO_EXPIRE = 4  # what expires this soon may already have been ended by one side and not by the other
ASKED_ONE_BY_ONE = 64  # doubts; where there are more, a full bulk asks for all of them


def unix(text):
    """The server's ISO 8601 text as Unix seconds."""
    if text is None:
        return None
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def key_of(row):
    return (row["vpn_id"], row["kind"], row["address"], row["prefix_len"])


def differences(truth, db, name, in_doubt=True):
    """How the rows in force differ from leasesim's dump, in words; times within two seconds are equal.

    Without `in_doubt` a row may differ that says that it is in doubt.
    """
    now = int(time.time())
    found = {key_of(row): row for row in db.rows(
        "SELECT binding.* FROM binding JOIN server USING (server_id) WHERE name = ? AND state = 'active' "
        "AND (expires_at IS NULL OR expires_at > ?)", name, Moment(now))}
    out = []
    for told in truth:
        row = found.pop(key_of(told), None)
        if told["expires_at"] is not None and unix(told["expires_at"]) <= now + ABOUT_TO_EXPIRE:
            continue
        if row is None:
            out.append(f"{key_of(told)} is missing")
            continue
        if row["doubt"] is not None and not in_doubt:
            continue
        for column in BYTES:
            value = row[column].hex() if row[column] is not None else None
            if value != told[column]:
                out.append(f"{key_of(told)}: {column} is {value}, the server says {told[column]}")
        for column in WORDS:
            if row[column] != told[column]:
                out.append(f"{key_of(told)}: {column} is {row[column]!r}, the server says {told[column]!r}")
        for column in TIMES + TIMES_TO_COME:
            said = unix(told[column])
            if said is None and column in TIMES_TO_COME:
                continue
            if (row[column] is None) != (said is None) or said is not None and abs(row[column] - said) > TOLERANCE:
                out.append(f"{key_of(told)}: {column} is {row[column]}, the server says {said}")
    for key, row in found.items():
        if row["doubt"] is not None and not in_doubt:
            continue
        if row["expires_at"] is None or row["expires_at"] > now + ABOUT_TO_EXPIRE:
            age = ", ".join(f"{column} {row[column]}"
                            for column in ("doubt", "via", "base_time", "seen_run", "expires_at"))
            out.append(f"{key} is in force here, but not at the server: {age}")
    return out


def changes_of(case):
    """A function that tells whether anybody committed something since it was last asked."""
    state, end = case.db.commits()
    case.addCleanup(end)
    seen = [state()]

    def changed():
        now = state()
        before, seen[0] = seen[0], now
        return now != before
    return changed


def main():
    unittest.main(verbosity=2)
