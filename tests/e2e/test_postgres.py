"""The agent and PostgreSQL: roles and their rights, a server that goes and comes, others in the same database.

Whatever is wrong, the agent says what to do about it, waits, goes on by itself, and has lost nothing.
"""

import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import unittest

import cluster
import databases
import libpq
from harness import EndToEnd, PATIENCE, changes_of, command, logged_time, main, program, sim_server, wait_until, yaml_server

ROLES = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "postgresql" / "roles.sql"
SECRET = "s3cret/with:odd@marks%"


def setUpModule():
    """A PostgreSQL server of our own: it is stopped and killed."""
    Server.cluster = cluster.Cluster()
    unittest.addModuleCleanup(Server.cluster.remove)


class Server(EndToEnd):
    """A database for each test; the schema is for the agent to make."""

    engine = "postgresql"
    cluster = None
    count = 0

    def make_database(self):
        Server.count += 1
        self.name = f"leases{self.count}"
        self.cluster.execute(f"CREATE DATABASE {self.name}")
        database = databases.Postgres(self.cluster.url(database=self.name), "leasemirror")
        database.drop = database.disconnect  # it goes with the server
        return database

    def sql(self, text):
        return self.cluster.execute(text, self.name)

    def url(self, **more):
        return self.cluster.url(database=self.name, **more)

    def start(self, *options, family="v4", **storage):
        """An agent with one server; `storage` is its configuration beyond the address of the database."""
        self.sim = self.leasesim("--family", family, *(options or ("--bindings", 200, "--churn", 50)))
        self.configure(sim_server("s", family, self.sim.port), storage=storage)
        return self.agent()

    def end_sessions_of(self, agent):
        """All that this process has with the PostgreSQL server; returns when they are over."""
        inodes = {os.readlink(fd) for fd in pathlib.Path(f"/proc/{agent.pid}/fd").iterdir()}
        ports = {int(line.split()[1].rpartition(":")[2], 16)
                 for line in pathlib.Path(f"/proc/{agent.pid}/net/tcp").read_text().splitlines()[1:]
                 if f"socket:[{line.split()[9]}]" in inodes}
        ended = self.sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = "
                         f"'leasemirror' AND client_port = ANY ('{{{', '.join(map(str, ports))}}}'::int[])")
        self.assertTrue(ended)

    def connections(self):
        """Of the agent."""
        return self.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                        "application_name = 'leasemirror'")[0][0]

    def assert_goes_on(self):
        """The agent comes to have all that the server has."""
        self.sim.ask("stop-churn")
        self.wait_live()
        self.assert_equal_to(self.sim)

    def assert_waits(self, agent, pattern):
        """Says what it is and what to do, and goes on waiting. The line."""
        line = agent.log.wait(f"database .*{pattern}.*waiting")
        self.assertIsNone(agent.child.poll())
        return line

    def role(self, name, options="LOGIN"):
        self.cluster.execute(f"DROP ROLE IF EXISTS {name}; CREATE ROLE {name} {options}")
        self.addCleanup(self.forget_role, name)

    def forget_role(self, name):
        self.sql(f"DROP OWNED BY {name} CASCADE")
        self.cluster.execute(f"DROP ROLE {name}")


class Doubt:
    """Between an agent and its PostgreSQL server: now and then it cuts the line at a COMMIT, before or after it counts."""

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cuts = []  # what is still to be done, the last one first: 'before', 'after'
        self._done = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, when):
        """Returns when it has been done."""
        self.cuts.append(when)
        if not self._done.acquire(timeout=PATIENCE):
            raise AssertionError("no COMMIT came")

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                agent, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pass_on, args=(agent, server), daemon=True).start()

    def _pass_on(self, agent, server):
        ways = {agent: server, server: agent}
        with agent, server:
            while True:
                for ready in select.select(list(ways), [], [])[0]:
                    try:
                        octets = ready.recv(1 << 16)
                        if not octets:
                            return
                        if ready is agent and b"COMMIT\0" in octets and self.cuts:
                            return self._cut(self.cuts.pop(), server, octets)
                        ways[ready].sendall(octets)
                    except OSError:
                        return

    def _cut(self, when, server, octets):
        if when == "after":
            server.sendall(octets)
            server.recv(1 << 16)  # the server's word that it is committed, which nobody gets to hear
        self._done.release()


class Access(Server):
    def test_a_wrong_password(self):
        self.role("guarded", "LOGIN PASSWORD 'right' IN ROLE secretive")
        self.sql(f"GRANT CREATE ON DATABASE {self.name} TO guarded")
        (self.dir / "password").write_text(SECRET + "\n")
        (self.dir / "password").chmod(0o600)
        agent = self.start(url=self.url(user="guarded"), password_file="password")
        self.assert_waits(agent, "password authentication failed.*check user and password")
        status = command("status", "-c", self.config)
        self.assertEqual(status.returncode, 3)
        self.assertIn("password authentication failed", status.stderr)
        self.sql(f"ALTER ROLE guarded PASSWORD '{SECRET}'")
        agent.log.wait("started")
        self.assert_goes_on()
        self.assertEqual(agent.terminate(), 0)
        self.assert_secret(agent, status.stdout + status.stderr)

    def test_a_password_in_the_url(self):
        """It is not shown, neither as it stands in the URL nor as it is."""
        self.role("guarded", f"LOGIN PASSWORD '{SECRET}' IN ROLE secretive")
        self.sql(f"GRANT CREATE ON DATABASE {self.name} TO guarded")
        agent = self.start(url=self.url(user="guarded", password=SECRET))
        agent.log.wait("started .*guarded")
        self.wait_live()
        told = [command(*words, "-c", self.config, *more) for words, more in (
            (["check"], ["--connect"]), (["status"], []), (["schema"], ["version"]), (["schema"], ["print"]))]
        self.cluster.stop()
        try:
            self.assert_trouble(agent)
            told.append(command("status", "-c", self.config))
        finally:
            self.cluster.start()
        self.assert_goes_on()
        self.assertEqual(agent.terminate(), 0)
        self.assert_secret(agent, *(done.stdout + done.stderr for done in told))

    def assert_trouble(self, agent):
        agent.log.wait("database .*reading from the servers waits")

    def assert_secret(self, agent, *texts):
        said = "\n".join([*agent.log.since(), *texts])
        for form in (SECRET, cluster.quote(SECRET, safe=""), "s3cret", "marks"):
            self.assertNotIn(form, said)

    def test_a_database_that_does_not_exist(self):
        self.db.url = self.cluster.url(database="yet_to_come")
        agent = self.start(url=self.db.url)
        self.assert_waits(agent, 'yet_to_come.* does not exist.*create the database')
        self.cluster.execute("CREATE DATABASE yet_to_come")
        agent.log.wait("started")
        self.assert_goes_on()

    def test_a_role_that_does_not_exist(self):
        agent = self.start(url=self.url(user="nobody"))
        self.assert_waits(agent, 'nobody.* does not exist.*check user')
        self.assertEqual(agent.terminate(), 0)

    def test_a_role_that_may_create_no_schema(self):
        self.role("poor")
        agent = self.start(url=self.url(user="poor"))
        line = self.assert_waits(agent, "no right")
        self.do_as_told(line, r"CREATE SCHEMA '\w+' AUTHORIZATION '\w+'")
        agent.log.wait("started")
        self.assert_goes_on()

    def test_a_role_that_may_create_nothing_in_the_schema(self):
        self.role("poor")
        self.sql("CREATE SCHEMA leasemirror; GRANT USAGE ON SCHEMA leasemirror TO poor")
        agent = self.start(url=self.url(user="poor"))
        line = self.assert_waits(agent, "no right")
        self.do_as_told(line, r"GRANT CREATE ON SCHEMA '\w+' TO '\w+'")
        agent.log.wait("started")
        self.assert_goes_on()

    def do_as_told(self, line, pattern):
        """The remedy in the message is one that can be run as it stands (the log puts backslashes before quotes)."""
        found = re.search(pattern, line.replace('\\"', "'"))
        self.assertIsNotNone(found, line)
        self.sql(found[0].replace("'", '"'))

    def test_the_roles_of_deploy(self):
        """The owner migrates, the writer runs the agent, the reader reads, and somebody else does nothing."""
        self.run_roles()
        agent = self.start(url=self.url(user="leasemirror_writer"))
        self.assert_waits(agent, "no right.*schema migrate.*leasemirror_owner")
        owner = self.dir / "owner.yaml"
        owner.write_text(self.config.read_text().replace("leasemirror_writer", "leasemirror_owner"))
        done = command("schema", "-c", owner, "migrate")
        self.assertEqual(done.returncode, 0, done.stderr)
        agent.log.wait("started")
        self.assert_goes_on()
        reader = libpq.Connection(self.url(user="ipam"), "SET search_path = leasemirror")
        self.addCleanup(reader.close)
        for relation in ("lease", "binding", "binding_change", "assignment", "server_overview"):
            self.assertTrue(reader.query(f"SELECT * FROM {relation} LIMIT 1"), relation)
        for statement in ("DELETE FROM binding", "UPDATE server SET owner = 'me'", "CREATE TABLE mine (x int)"):
            self.assert_denied(reader, statement)
        # What takes an index of another kind is the owner's to do, and the writer's to ask for.
        self.assert_denied(reader, "SELECT hash_identifier_index('relay_id')")
        writer = libpq.Connection(self.url(user="leasemirror_writer"), "SET search_path = leasemirror")
        self.addCleanup(writer.close)
        writer.execute("SELECT hash_identifier_index('relay_id')")
        self.assertEqual(reader.query("SELECT amname FROM pg_class AS c JOIN pg_am AS a ON a.oid = c.relam "
                                      "WHERE c.oid = 'leasemirror.binding_relay_id'::regclass")[0][0], "hash")
        self.assert_denied(writer, "SELECT hash_identifier_index('address')")
        stranger = libpq.Connection(self.url(user="stranger"))
        self.addCleanup(stranger.close)
        self.assert_denied(stranger, "SELECT * FROM leasemirror.lease")
        look = self.dir / "reader.yaml"
        look.write_text(self.config.read_text().replace("leasemirror_writer", "ipam"))
        status = command("status", "-c", look)
        self.assertEqual(status.returncode, 0, status.stderr)
        self.assertRegex(status.stdout, r"(?m)^s +v4 +live ")

    def run_roles(self):
        psql = shutil.which("psql") or cluster.programs() / "psql"
        # Twice: it may be run again.
        for _ in range(2):
            done = subprocess.run([psql, "-X", "-q", "-d", self.url(), "-v", "schema=leasemirror", "-f", ROLES],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        for role in ("leasemirror_owner", "leasemirror_writer", "leasemirror_reader"):
            self.addCleanup(self.forget_role, role)
        self.role("ipam", "LOGIN IN ROLE leasemirror_reader")
        self.role("stranger")

    def assert_denied(self, db, statement):
        with self.assertRaises(libpq.Error) as raised:
            db.execute(statement)
        self.assertEqual(raised.exception.sqlstate, "42501", statement)

    def test_a_right_that_is_taken_away(self):
        self.run_roles()
        self.sql("GRANT CREATE ON SCHEMA leasemirror TO leasemirror_writer")
        agent = self.start(url=self.url(user="leasemirror_writer"))
        self.wait_live()
        self.sql("REASSIGN OWNED BY leasemirror_writer TO leasemirror_owner; "
                 "GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA leasemirror TO leasemirror_writer; "
                 "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA leasemirror TO leasemirror_writer; "
                 "REVOKE UPDATE ON ALL TABLES IN SCHEMA leasemirror FROM leasemirror_writer")
        agent.log.wait("database .*permission denied.*GRANT SELECT, INSERT, UPDATE, DELETE.*waits")
        self.sql("GRANT UPDATE ON ALL TABLES IN SCHEMA leasemirror TO leasemirror_writer")
        agent.log.wait("database-back")
        self.assert_goes_on()
        self.assertEqual(self.sim.stats()["bulk_queries"], 1)

    def test_no_connection_left(self):
        self.role("crowd", "LOGIN CONNECTION LIMIT 0")
        self.sql(f"GRANT CREATE ON DATABASE {self.name} TO crowd")
        agent = self.start(url=self.url(user="crowd"))
        self.assert_waits(agent, "too many connections.*connection limit")
        self.sql("ALTER ROLE crowd CONNECTION LIMIT 10")
        agent.log.wait("started")
        self.assert_goes_on()

    def test_a_read_only_database(self):
        self.sql(f"ALTER DATABASE {self.name} SET default_transaction_read_only = on")
        agent = self.start()
        self.assert_waits(agent, "read-only.*primary")
        self.cluster.execute(f"ALTER DATABASE {self.name} RESET default_transaction_read_only")
        agent.log.wait("started")
        self.assert_goes_on()

    def test_sslmode(self):
        """A server without TLS is not spoken to where the URL wants TLS."""
        agent = self.start(url=self.url(sslmode="require"))
        self.assert_waits(agent, "does not support SSL")
        self.assertEqual(self.rows("SELECT * FROM server"), [])
        self.assertEqual(agent.terminate(), 0)


class Neighbours(Server):
    def test_a_foreign_table_with_a_name_of_ours(self):
        """All is left as it is, and a schema of its own is asked for."""
        self.sql("CREATE TABLE server (rack text); INSERT INTO server VALUES ('r17')")
        self.configure(yaml_server("s", "v4", 9), storage={"schema": "public"})
        agent = self.agent()
        self.assertEqual(agent.wait(), 3)
        agent.log.wait("database .*'server'.*not of leasemirror.*storage.schema")
        self.assertEqual([tuple(row) for row in self.sql("SELECT * FROM server")], [("r17",)])
        there = self.sql("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 't'")
        self.assertEqual([tuple(row) for row in there], [("server",)])

    def test_foreign_tables_beside_ours(self):
        self.sql("CREATE TABLE photo (name text); INSERT INTO photo VALUES ('Elba'); "
                 "CREATE VIEW album AS SELECT * FROM photo")
        self.start(schema="public")
        self.db.schema = "public"
        self.assert_goes_on()
        self.assertEqual([tuple(row) for row in self.sql("SELECT * FROM album")], [("Elba",)])

    def test_a_schema_of_its_own_choosing(self):
        self.db.schema = "_leases_of_2026"
        self.start(schema=self.db.schema)
        self.assert_goes_on()
        self.assertEqual(command("status", "-c", self.config).returncode, 0)
        there = self.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        self.assertEqual(there[0][0], 0)

    def test_migrations_at_once(self):
        """Several agents that start on an empty database: one makes the tables, the others wait for it."""
        self.configure(yaml_server("s", "v4", 9))
        running = [subprocess.Popen([program("LEASEMIRROR"), "schema", "-c", self.config, "migrate"],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
        for process in running:
            _, said = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 0, said)

    def test_notify(self):
        """Channel `leasemirror`: once for each transaction that wrote to the feed."""
        listener = libpq.Connection(self.url(), "LISTEN leasemirror")
        self.addCleanup(listener.close)
        self.start("--bindings", 300, "--churn", 200)
        self.wait_live()
        heard = 0
        while heard < 20:
            told = listener.notifications(PATIENCE)
            self.assertTrue(told, "nothing more was told")
            heard += len(told)
            self.assertEqual({channel for channel, _ in told}, {"leasemirror"})
        self.sim.ask("stop-churn")
        self.assert_equal_to(self.sim, was_killed=True)
        self.agents[-1].kill()
        wait_until(lambda: self.connections() == 0, "its last commit to be over")
        wrote = self.one("SELECT count(DISTINCT xmin::text) FROM binding_change")

        def all_heard():
            nonlocal heard
            heard += len(listener.notifications(0))
            return heard >= wrote
        wait_until(all_heard, lambda: f"{wrote} transactions to be told of, not {heard}")
        self.assertEqual(heard, wrote)

    def test_a_further_server_that_another_agent_works(self):
        """A reload that adds it holds up nothing; it begins when the other agent is gone."""
        first = self.start("--bindings", 300, "--churn", 100)
        self.wait_live()
        mine = sim_server("s", "v4", self.sim.port)
        west = self.leasesim("--family", "v4", "--seed", 5, "--bindings", 200)
        theirs = sim_server("west", "v4", west.port)
        self.configure(theirs)
        second = self.agent()
        self.wait_live("west")
        accepted = self.sim.stats()["accepted"]
        self.configure(mine, theirs)
        first.send_signal(signal.SIGHUP)
        first.log.wait(rf"server-waits .*server=west .*is worked by agent '[^ ]*-{second.pid}'")
        wait_until(changes_of(self), "the first agent to go on")
        second.kill()
        self.wait_sql("SELECT owner LIKE ? FROM server WHERE name = 'west'", f"%-{first.pid}")
        self.wait_live("west")
        self.sim.ask("stop-churn")
        self.assert_equal_to(west, "west", was_killed=True)
        self.assert_equal_to(self.sim)
        self.assertEqual(self.sim.stats()["accepted"], accepted)

    def test_a_second_agent_waits(self):
        """It says for whom, disturbs nobody, and begins when the first one is gone."""
        first = self.start("--bindings", 300, "--churn", 100)
        self.wait_live()
        second = self.agent()
        self.assert_waits(second, rf"server 's' is worked by agent '[^ ]*-{first.pid}' \(host [^ ]+, pid {first.pid}\), whose")
        changed = changes_of(self)
        wait_until(changed, "the first agent to go on")
        self.assertEqual(self.rows("SELECT count(*) FROM agent WHERE stopped_at IS NULL")[0][0], 2)
        first.kill()
        second.log.wait("started")
        self.sim.ask("stop-churn")
        self.wait_live()
        self.assert_equal_to(self.sim, was_killed=True)
        self.assertRegex(self.server()["owner"], rf"-{second.pid}$")
        self.assertEqual(second.terminate(), 0)
        self.assertEqual(self.rows("SELECT count(*) FROM agent WHERE stopped_at IS NOT NULL")[0][0], 1)

    def test_a_first_agent_that_lost_its_session(self):
        """The second one takes over; the first finds that out before it writes, waits, and begins when that one ends."""
        first = self.start("--bindings", 300, "--churn", 100)
        self.wait_live()
        second = self.agent()
        self.assert_waits(second, "is worked by agent")
        first.send_signal(signal.SIGSTOP)
        self.end_sessions_of(first)
        second.log.wait("started")
        first.send_signal(signal.SIGCONT)
        first.log.wait("database .*(taken over by agent|worked by agent|holds a lock)")
        self.assert_goes_on()
        self.assertRegex(self.server()["owner"], rf"-{second.pid}$")
        mark = len(first.log)
        self.assertEqual(second.terminate(), 0)
        first.log.wait("started", mark=mark)
        self.assert_goes_on()
        self.assertRegex(self.server()["owner"], rf"-{first.pid}$")
        self.assertEqual(first.terminate(), 0)

    def test_an_agent_with_other_servers(self):
        """At its start it disables none that another agent works, and those of an agent that is gone."""
        first = self.start("--bindings", 100)
        self.wait_live()
        other_sim = self.leasesim("--family", "v6", "--bindings", 100)
        self.configure(sim_server("other", "v6", other_sim.port))
        other = self.agent()
        self.wait_live("other")
        self.wait_live("s")
        first.kill()
        self.assertEqual(other.terminate(), 0)
        self.agent()
        self.wait_sql("SELECT phase = 'disabled' FROM server WHERE name = 's'")

    def test_several_writers(self):
        """storage.writers: as many connections, with the servers spread over them."""
        sims = {f"s{n}": (self.leasesim("--family", family, "--bindings", 400, "--churn", 100, "--seed", n), family)
                for n, family in enumerate(("v4", "v6", "v4", "v6", "v4"))}
        self.configure(*(sim_server(name, family, sim.port) for name, (sim, family) in sims.items()),
                       storage={"writers": 3})
        agent = self.agent()
        for name in sims:
            self.wait_live(name)
        self.assertEqual(self.connections(), 3)
        for sim, _ in sims.values():
            wait_until(lambda: sim.stats()["changes"] > 500, "the clients to be busy")
        self.assert_sound()
        for sim, _ in sims.values():
            sim.ask("stop-churn")
        for name, (sim, _) in sims.items():
            self.assert_equal_to(sim, name)
        self.assertEqual(agent.terminate(), 0)


class Outage(Server):
    def test_away_at_the_start(self):
        self.sim = self.leasesim("--bindings", 100)
        self.configure(sim_server("s", "v4", self.sim.port))
        self.cluster.stop()
        try:
            agent = self.agent()
            self.assert_waits(agent, "is the server running")
            self.assertEqual(agent.terminate(), 0)
            agent = self.agent()
            self.assert_waits(agent, "is the server running")
        finally:
            self.cluster.start()
        agent.log.wait("started")
        self.assert_goes_on()

    def away(self, end, options=("--bindings", 500, "--churn", 200), **storage):
        """The server goes while the agent is at work, stays away for a while, and comes back."""
        agent = self.start(*options, **storage)
        self.wait_live()
        busy = changes_of(self)
        wait_until(busy, "a commit")
        mark = len(agent.log)
        end()
        try:
            agent.log.wait("database .*reading from the servers waits", mark)
            changes = self.sim.stats()["changes"]
            wait_until(lambda: self.sim.stats()["changes"] > changes + 200, "the clients to be busy meanwhile")
            self.assertIsNone(agent.child.poll())
        finally:
            self.cluster.start()
        agent.log.wait("database-back", mark)
        self.assert_goes_on()
        self.assertEqual(self.sim.stats()["bulk_queries"], 1, "nothing may have to be asked for anew")
        self.assertEqual(agent.terminate(), 0)

    def test_stopped_while_running(self):
        self.away(self.cluster.stop)

    def test_killed_while_running(self):
        self.away(self.cluster.kill)

    def test_sigterm_while_it_is_away(self):
        agent = self.start("--bindings", 300, "--churn", 100)
        self.wait_live()
        self.cluster.stop()
        try:
            agent.log.wait("database .*waits")
            agent.send_signal(signal.SIGTERM)
            agent.log.wait("stopping")
            agent.wait()
        finally:
            self.cluster.start()
        self.assert_sound()
        self.agent()
        self.assert_goes_on()

    def test_sigterm_commits_what_is_whole(self):
        agent = self.start("--bindings", 1000, "--churn", 300, writers=2)
        self.wait_live()
        busy = changes_of(self)
        wait_until(busy, "a commit under way")
        self.assertEqual(agent.terminate(), 0)
        server = self.server()
        self.assertEqual((server["phase"], server["connected_since"]), ("down", None))
        self.agent().log.wait(f"active-query .*start={logged_time(server['base_time'])}$")
        self.assert_goes_on()

    def test_terminated_backends(self):
        """By an administrator, in whatever they do; a commit in doubt settles itself."""
        agent = self.start("--bindings", 500, "--churn", 300)
        self.wait_live()
        for _ in range(8):
            busy = changes_of(self)
            wait_until(busy, "commits to go on")
            self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND "
                     "application_name = 'leasemirror'")
        busy = changes_of(self)
        wait_until(busy, "commits to go on")
        self.assert_goes_on()
        self.assertIsNone(agent.child.poll())
        self.assertEqual(self.sim.stats()["bulk_queries"], 1)

    def test_a_commit_without_an_answer(self):
        """Whether it was committed the next attempt finds out: nothing is lost, and nothing is told twice."""
        doubt = Doubt(self.cluster.port)
        self.addCleanup(doubt.close)
        agent = self.start("--bindings", 500, "--churn", 200, url=self.url(hosts=f"127.0.0.1:{doubt.port}"))
        self.wait_live()
        for n in range(8):
            mark = len(agent.log)
            doubt.cut(("before", "after")[n % 2])
            agent.log.wait("database-back", mark)
        agent.log.wait("database .*whether it was committed")
        self.assert_goes_on()
        self.assertEqual(self.sim.stats()["bulk_queries"], 1)
        self.assertEqual(agent.terminate(), 0)

    def test_a_lock_held_by_somebody_else(self):
        agent = self.start("--bindings", 500, "--churn", 100)
        self.wait_live()
        before = self.server()["base_time"]
        other = libpq.Connection(self.url(), "SET search_path = leasemirror")
        self.addCleanup(other.close)
        other.execute("BEGIN; LOCK TABLE binding IN EXCLUSIVE MODE")
        changes = self.sim.stats()["changes"]
        wait_until(lambda: self.sql("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0], "the agent to wait for it")
        wait_until(lambda: self.sim.stats()["changes"] > changes + 200, "the clients to be busy meanwhile")
        self.assertIsNone(agent.child.poll())
        other.execute("COMMIT")
        self.wait_sql("SELECT base_time > ? FROM server", databases.Moment(before))
        self.assert_goes_on()


class Failover(Server):
    def test_a_first_host_that_is_dead_and_one_that_is_read_only(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # and does not listen
            standby = self.cluster.standby()
            self.addCleanup(standby.remove)
            hosts = f"127.0.0.1:{nobody.getsockname()[1]},127.0.0.1:{standby.port},127.0.0.1:{self.cluster.port}"
            self.start(url=self.url(hosts=hosts))
            self.assert_goes_on()

    def test_failover(self):
        """The primary dies, and its standby takes its place, with or without the last of the commits."""
        standby = self.cluster.standby()
        self.addCleanup(standby.remove)
        hosts = f"127.0.0.1:{self.cluster.port},127.0.0.1:{standby.port}"
        agent = self.start("--bindings", 500, "--churn", 200, url=self.url(hosts=hosts))
        self.wait_live()
        wait_until(changes_of(self), "a commit")
        # What the standby has is enough to begin with.
        wait_until(lambda: standby.execute("SELECT count(*) FROM leasemirror.server WHERE phase = 'live'", self.name)[0][0],
                   "the standby to follow")
        self.cluster.kill()
        try:
            agent.log.wait("database ")
            standby.execute("SELECT pg_promote()")
            self.db.url = standby.url(database=self.name)
            self.assert_goes_on()
            self.assertEqual(agent.terminate(), 0)
        finally:
            self.cluster.start()


if __name__ == "__main__":
    main()
