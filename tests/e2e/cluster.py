"""A PostgreSQL server of a test's own: on loopback, in a temporary directory, ended with the test, killed at will."""

import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from urllib.parse import quote, urlencode

import libpq

PATIENCE = float(os.environ.get("PATIENCE", "60"))
OWNER = "postgres"
# Processes are killed here, machines are not: what a process wrote is kept by the system, synced or not.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "16MB", "max_connections": "60",
            "unix_socket_directories": "", "listen_addresses": "127.0.0.1", "log_line_prefix": "%m [%p] %u@%d ",
            "timezone": "UTC"}


def programs():
    """The directory with the newest `postgres` that there is."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    if found:
        return found[-1].parent
    here = shutil.which("postgres")
    if not here:
        raise SystemExit("no PostgreSQL server here: deploy/packages.sh test")
    return pathlib.Path(here).resolve().parent


def free_port():
    """Below those that the system gives to whoever asks for any: it stays free while the server is away."""
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(15000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def as_owner(directory):
    """What a command begins with that runs as their owner and ends with the thread that started it; the directory is its."""
    prefix = ["setpriv", "--pdeathsig=QUIT"]
    if os.geteuid() == 0:  # PostgreSQL and pgbouncer refuse to run as root
        prefix += [f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"]
        user = pwd.getpwnam(OWNER)
        os.chown(directory, user.pw_uid, user.pw_gid)
    return prefix


class Cluster:
    """Every role may connect without a password, but those in the role `secretive` only with theirs."""

    def __init__(self, of=None, **settings):
        """`of`: the cluster that this one is to be a standby of."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="leasemirror-postgres-"))
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.settings = {**SETTINGS, **settings}
        self.child = None
        self._as_owner = as_owner(self.directory)
        self.port = free_port()
        if of:
            self._run("pg_basebackup", "-d", of.url(), "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync")
            return self.start()
        self._run("initdb", "-D", self.data, "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
                  "--no-instructions")
        (self.data / "pg_hba.conf").write_text("host all +secretive 127.0.0.1/32 scram-sha-256\n"
                                               "host all,replication all 127.0.0.1/32 trust\n")
        self.start()
        self.execute("CREATE ROLE secretive")

    def _run(self, name, *arguments):
        done = subprocess.run([*self._as_owner, programs() / name, *arguments], capture_output=True, text=True, cwd="/")
        if done.returncode != 0:
            raise AssertionError(f"{name}: {done.stdout}{done.stderr}")

    def standby(self):
        """Another server, which follows this one and may be read."""
        return Cluster(of=self, **self.settings)

    def start(self, patience=PATIENCE):
        """Until it accepts connections."""
        settings = {**self.settings, "port": self.port}
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [*self._as_owner, programs() / "postgres", "-D", self.data,
                 *(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        self.wait_ready(patience)

    def wait_ready(self, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while True:
            try:
                libpq.Connection(self.url()).close()
                return
            except libpq.Error as error:
                if self.child.poll() is not None or time.monotonic() > deadline:
                    tail = self.log.read_text(errors="replace")[-2000:]
                    raise AssertionError(f"PostgreSQL does not start: {error}\n{tail}") from error
            time.sleep(0.02)

    def stop(self, how=signal.SIGINT):
        """An orderly stop, which throws everybody out; SIGTERM would wait for them to leave."""
        if self.child and self.child.poll() is None:
            self.child.send_signal(how)
        if self.child:
            self.child.wait(PATIENCE)

    def kill(self):
        """kill -9, of all its processes."""
        self.child.send_signal(signal.SIGSTOP)  # no more children
        family = [self.child.pid, *children_of(self.child.pid)]
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.child.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while any(map(is_running, family)):  # orphans, for somebody else to reap
            if time.monotonic() > deadline:
                raise AssertionError("processes of PostgreSQL outlive kill -9")
            time.sleep(0.01)

    def remove(self):
        """Ends it, whatever its state, and removes all that it has."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, user=OWNER, database="postgres", password=None, hosts=None, **parameters):
        secret = f":{quote(password, safe='')}" if password else ""
        hosts = hosts or f"127.0.0.1:{self.port}"
        query = f"?{urlencode(parameters)}" if parameters else ""
        return f"postgresql://{user}{secret}@{hosts}/{database}{query}"

    def execute(self, sql, database="postgres"):
        """Rows of one or several statements, begun anew if the server goes away meanwhile, or they lose a deadlock."""
        deadline = time.monotonic() + PATIENCE
        while True:
            db = None
            try:
                db = libpq.Connection(self.url(database=database))
                return db.execute(sql)
            except libpq.Error as error:
                if not (error.disconnected or error.sqlstate == "40P01") or time.monotonic() > deadline:
                    raise
            finally:
                if db:
                    db.close()
            time.sleep(0.02)


def children_of(parent):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                    found.append(int(entry.name))
            except (OSError, IndexError):
                pass
    return found


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
