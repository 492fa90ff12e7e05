"""Each sentence in deploy/README.md, "What it says, and what to do", is what a program says: somebody makes the mistake here.

A row of the table without a test, a test without a row, and a sentence that has changed fail. Words in capitals stand for what
differs.
"""

import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import cluster  # noqa: E402
from certificates import DAY, Authority, directory_of  # noqa: E402
from harness import EndToEnd, Lines, Process, command, main, sim_server, yaml_server  # noqa: E402
from page import first_cells, section_of  # noqa: E402

PAGE = "deploy/README.md"
HEADING = "## What it says, and what to do"
SECRET = "correct horse"
PLACEHOLDERS = "ADDRESS DATABASE DIRECTORY FILE IDENTIFIER N NAME NAMES REASON ROLE SERVER TIME WORD".split()


def pattern_of(sentence):
    """What stands for what differs matches anything."""
    parts = re.split(rf"\b({'|'.join(PLACEHOLDERS)})\b", sentence)
    return "".join(re.escape(part) if n % 2 == 0 else ".+" for n, part in enumerate(parts))


def documented():
    return [cell.strip("`") for cell in first_cells(section_of(PAGE, HEADING))]


class Sentences(EndToEnd):
    """`said`: all that was printed in a test."""

    def setUp(self):
        super().setUp()
        self.said = ""

    def give(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    def says(self, *arguments, code, **popen):
        done = command(*arguments, **popen)
        self.said += done.stdout + done.stderr
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        return done

    def runs(self, code):
        """The daemon ends with this code."""
        agent = self.agent()
        self.assertEqual(agent.wait(), code)
        agent.log.join()
        self.said = "\n".join(agent.log.since())

    def shows(self, beginning):
        """The one sentence of the page that begins so was said."""
        found = [sentence for sentence in documented() if sentence.startswith(beginning)]
        self.assertEqual(len(found), 1, f"{len(found)} sentences of {PAGE} begin with {beginning!r}")
        unquoted = self.said.replace("\\\"", "\"")
        self.assertTrue(re.search(pattern_of(found[0]), unquoted), f"{found[0]}\nis not in\n{self.said}")

    def server(self, act):
        """A server of TCP that does `act` with each connection; its port."""
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        self.addCleanup(listening.close)
        self.addCleanup(listening.shutdown, socket.SHUT_RDWR)

        def serve():
            while True:
                try:
                    act(listening.accept()[0])
                except OSError:
                    return
        threading.Thread(target=serve, daemon=True).start()
        return listening.getsockname()[1]

    def with_database(self, path):
        self.configure(yaml_server("s", "v4", 1), storage={"url": f"sqlite://{path}"})

    def cannot_use(self, beginning):
        """Every command says the same of this database, and ends with the same code."""
        for arguments in (["status"], ["who", "10.0.0.1"], ["schema", "migrate"], ["verify"], ["watch"], ["resync", "s"],
                          ["check", "--connect"]):
            self.said = ""
            self.says(arguments[0], "-c", self.config, *arguments[1:], code=3)
            self.shows(beginning)
        self.runs(3)
        self.shows(beginning)


class Servers(Sentences):
    def start(self, act, **more):
        self.configure(yaml_server("s", "v4", self.server(act), **more))

    def test_refused(self):
        probe = socket.socket()
        probe.bind(("127.0.0.1", 0))  # and nobody listens
        self.addCleanup(probe.close)
        self.configure(yaml_server("s", "v4", probe.getsockname()[1]))
        self.says("check", "-c", self.config, "--connect", code=3)
        self.shows("cannot connect to ADDRESS port N: Connection refused")

    def test_closed(self):
        self.start(lambda connection: connection.close())
        self.says("query", "-c", self.config, "s", code=1)
        self.shows("the server closed the connection without an answer")

    def test_silent(self):
        kept = []
        self.start(kept.append, timeouts={"data": "500ms"})
        self.says("query", "-c", self.config, "s", code=1)
        self.shows("no reply to the bulk query")
        for connection in kept:
            connection.close()

    def test_everything_is_refused(self):
        sim = self.leasesim("--family", "v4", "--personality", "kea")
        self.configure(yaml_server("s", "v4", sim.port))
        self.says("query", "-c", self.config, "s", code=1)
        self.shows("the query for everything failed")

    def test_nothing_to_ask(self):
        self.configure(yaml_server("s", "v6", 1))
        self.says("query", "-c", self.config, "s", code=2)
        self.shows("'SERVER' (v6): DHCPv6 has no query for everything")

    def test_port_67(self):
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        self.configure(yaml_server("s", "v4", 1), requestor={"giaddr": "127.0.0.1", "port": taken.getsockname()[1]})
        self.says("query", "-c", self.config, "s", "--udp", "--mac", "02:00:00:00:00:01", code=3)
        self.shows("ADDRESS port N is taken on this host")


class Tls(Sentences):
    @classmethod
    def setUpClass(cls):
        cls.pki = directory_of(cls)
        cls.ca = Authority(cls.pki)
        cls.ours = cls.ca.issue("agent", None)

    def check(self, *options, pair=None):
        if pair:
            options = (*options, "--tls", "starttls", "--tls-cert", pair.cert, "--tls-key", pair.key, "--tls-ca", self.ca.cert)
        self.connect(self.leasesim("--family", "v4", *options).port)

    def connect(self, port):
        self.configure(yaml_server("s", "v4", port, tls={
            "mode": "starttls", "ca": str(self.ca.cert), "cert": str(self.ours.cert), "key": str(self.ours.key)}))
        self.says("check", "-c", self.config, "--connect", code=3)

    def test_refused(self):
        self.check()
        self.shows("the server refused TLS")

    def test_closed_on_the_upgrade(self):
        self.connect(self.server(lambda connection: (connection.recv(1000), connection.close())))
        self.shows("the server closed the connection on DHCPTLS")

    def test_expired(self):
        self.check(pair=self.ca.issue("old", begins=-2 * DAY, ends=-DAY))
        self.shows("the server's certificate (CN=NAME) expired on")

    def test_another_name(self):
        self.check(pair=self.ca.issue("elsewhere", "DNS:elsewhere.example"))
        self.shows("the server's certificate (CN=NAME) is for")

    def test_another_authority(self):
        self.check(pair=Authority(self.pki, "other").issue("server"))
        self.shows("the server's certificate (CN=NAME) does not come from")


class Typing(Sentences):
    def setUp(self):
        super().setUp()
        self.configure(yaml_server("east-v4", "v4", 1))

    def is_a_mistake(self, beginning):
        """To check, to run, and to whoever reads the file."""
        for name in ("check", "status"):
            self.said = ""
            self.says(name, "-c", self.config, code=2)
            self.shows(beginning)
        self.runs(2)
        self.shows(beginning)

    def test_unknown_server(self):
        for name in ("resync", "verify", "query"):
            self.said = ""
            self.says(name, "-c", self.config, "eats-v4", code=2)
            self.shows("unknown server 'SERVER'")

    def test_unknown_key(self):
        self.config.write_text("storage: { url: sqlite:///x.db }\nserver: []\n")
        self.is_a_mistake("unknown key 'WORD'")

    def test_tls_without_mode(self):
        self.configure(yaml_server("east-v4", "v4", 1, tls={"ca": "ca.pem", "cert": "a.pem", "key": "a.key"}))
        self.is_a_mistake("servers[N].tls.mode: missing")

    def test_a_secret_for_everybody(self):
        self.give("password", "x").chmod(0o644)
        self.configure(yaml_server("east-v4", "v4", 1),
                       storage={"url": "postgresql://a@127.0.0.1/b", "password_file": "password"})
        self.is_a_mistake("'FILE' can be read or written by others")

    def test_five_octets(self):
        for name in ("who", "forget"):
            self.said = ""
            self.says(name, "-c", self.config, "--mac", "02:00:00:00:01", code=2)
            self.shows("--mac: expected a hardware address")

    def test_no_yes(self):
        done = self.says("forget", "-c", self.config, "--mac", "02:00:00:00:00:01", input_bytes=b"n\n", code=2)
        self.assertEqual(done.stdout, "")
        self.shows("removes the history of IDENTIFIER for good")

    def test_still_configured(self):
        self.says("schema", "-c", self.config, "migrate", code=0)
        self.says("forget", "-c", self.config, "--server", "east-v4", "--yes", code=2)
        self.shows("'SERVER' is in FILE")

    def test_nobody_to_obey(self):
        self.says("schema", "-c", self.config, "migrate", code=0)
        self.says("resync", "-c", self.config, "east-v4", code=1)
        self.shows("no agent has opened 'SERVER' yet")

    def test_no_capture(self):
        self.says("decode", self.give("text", "only some words\n" * 200), code=1)
        self.shows("it seems to be text")


class Files(Sentences):
    """What is wrong with an SQLite file."""

    def simulated(self):
        self.configure(sim_server("s", "v4", self.leasesim("--family", "v4").port))

    def migrated(self):
        self.simulated()
        self.says("schema", "-c", self.config, "migrate", code=0)

    def test_a_directory(self):
        (self.dir / "leases").mkdir()
        self.with_database(self.dir / "leases")
        self.cannot_use("FILE is a directory")

    def test_no_directory(self):
        self.with_database(self.dir / "nowhere" / "leases.db")
        self.cannot_use("there is no directory DIRECTORY")

    def test_no_database(self):
        self.with_database(self.give("notes", "my notes, and more of them\n" * 200))
        self.cannot_use("file is not a database")

    def test_nothing_there_yet(self):
        self.with_database(self.dir / "leases.db")
        self.says("status", "-c", self.config, code=3)
        self.shows("there is no database FILE yet")

    def test_newer(self):
        self.migrated()
        self.db.set_schema_version(99)
        self.cannot_use("FILE has schema version N, and")

    def test_older(self):
        self.migrated()
        self.db.set_schema_version(6)
        self.says("status", "-c", self.config, code=3)
        self.shows("FILE has schema version N and needs")

    def test_another_agent(self):
        self.simulated()
        first = self.agent()
        first.log.wait("started")
        second = self.agent()
        self.said = second.log.wait("error database")
        self.shows("FILE is open for writing in another leasemirror")
        self.assertEqual(first.terminate(), 0)
        second.log.wait("started")

    def test_locked(self):
        self.migrated()
        release, end = self.db.lock()
        self.addCleanup(end)
        agent = self.agent()
        self.said = agent.log.wait("error database")
        self.shows("another program has it locked for writing")
        release()
        agent.log.wait("started")

    def test_no_agent(self):
        self.simulated()
        agent = self.agent()
        agent.log.wait("to=live")
        self.assertEqual(agent.terminate(), 0)
        self.says("status", "-c", self.config, "--check", code=1)
        self.shows("no agent is at work on it")


class Server(Sentences):
    """A PostgreSQL server of its own."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cluster.Cluster()
        cls.addClassCleanup(cls.cluster.remove)

    def use(self, **more):
        password_file = more.pop("password_file", None)
        storage = {"url": self.cluster.url(**more)}
        if password_file:
            storage["password_file"] = password_file
        self.configure(yaml_server("s", "v4", 1), storage=storage)

    def waits(self, beginning):
        """`status` says so at once, and the daemon waits: it may be mended there."""
        self.says("status", "-c", self.config, code=3)
        self.shows(beginning)
        agent = self.agent()
        self.said = agent.log.wait("error database")
        self.shows(beginning)
        self.assertEqual(agent.terminate(), 0)


class Postgres(Server):
    def test_away(self):
        self.configure(yaml_server("s", "v4", 1), storage={"url": f"postgresql://a@127.0.0.1:{cluster.free_port()}/b"})
        self.waits("is the server running")

    def test_password(self):
        self.cluster.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{SECRET}' IN ROLE secretive")
        self.give("password", "wrong\n").chmod(0o600)
        self.use(user="guarded", password_file="password")
        self.waits("FATAL:  password authentication failed")

    def test_no_role(self):
        self.use(user="nobody")
        self.waits("FATAL:  role \"ROLE\" does not exist")

    def test_no_database(self):
        self.use(database="nowhere")
        self.waits("FATAL:  database \"DATABASE\" does not exist")

    def test_read_only(self):
        self.cluster.execute("CREATE DATABASE quiet")
        self.cluster.execute("ALTER DATABASE quiet SET default_transaction_read_only = on")
        self.use(database="quiet")
        agent = self.agent()
        self.said = agent.log.wait("error database")
        self.shows("the server is read-only")
        self.assertEqual(agent.terminate(), 0)

    def test_no_ssl(self):
        self.use(sslmode="require")
        self.waits("server does not support SSL")


class Pooler(Server):
    """pgbouncer between the agent and the server, as Debian has it."""

    def pool(self, mode):
        port = cluster.free_port()
        directory = pathlib.Path(tempfile.mkdtemp(prefix="leasemirror-pgbouncer-"))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        settings = directory / "pgbouncer.ini"
        settings.write_text(f"[databases]\n* = host=127.0.0.1 port={self.cluster.port} user={cluster.OWNER}\n[pgbouncer]\n"
                            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = {mode}\n"
                            "unix_socket_dir =\n")
        pooler = Process([*cluster.as_owner(directory), "/usr/sbin/pgbouncer", settings], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(pooler.kill)
        lines = Lines(pooler.child.stderr)
        lines.wait("process up")
        self.configure(yaml_server("s", "v4", 1), storage={
            "url": f"postgresql://{cluster.OWNER}@127.0.0.1:{port}/postgres", "schema": f"pooled_{mode}"})

    def test_transactions(self):
        """Also for an agent that is alone with it, and so would get the same session each time."""
        self.pool("transaction")
        self.waits("no session of our own in DATABASE")
        self.says("check", "-c", self.config, "--connect", code=3)
        self.assertEqual(self.cluster.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'pooled_transaction'"), [])

    def test_sessions(self):
        self.pool("session")
        agent = self.agent()
        agent.log.wait("started")
        self.assertEqual(agent.terminate(), 0)


class Page(EndToEnd):
    def test_each_sentence_has_a_test(self):
        """And each test a sentence: what shows() and its like are called with, in this very file."""
        source = pathlib.Path(__file__).read_text()
        shown = {match.replace('\\"', '"') for match in re.findall(r'(?:shows|cannot_use|waits|is_a_mistake)\("((?:[^"\\]|\\")+)"', source)}
        for sentence in documented():
            self.assertEqual(len([beginning for beginning in shown if sentence.startswith(beginning)]), 1, sentence)
        for beginning in shown:
            self.assertEqual(len([s for s in documented() if s.startswith(beginning)]), 1, beginning)


if __name__ == "__main__":
    main()
