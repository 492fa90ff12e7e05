"""Backup and restore as deploy/README.md has them: the commands of the page, with paths of the test in the place of its own."""

import pathlib
import re
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import cluster  # noqa: E402
from harness import EndToEnd, command, main, sim_server  # noqa: E402
from page import section_of  # noqa: E402

SECTION = section_of("deploy/README.md", "## Backup and restore")


def documented(beginning):
    """The commands of the page that begin so."""
    found = [line.strip() for line in SECTION if line.startswith("    " + beginning)]
    assert found, beginning
    return found


class Backup(EndToEnd):
    def scenario(self, back_up, restore):
        """A copy while the server changes, more changes, back to the copy: in the end the mirror is equal, and `watch` knows."""
        self.sim = self.leasesim("--bindings", 500, "--churn", 200)
        self.configure(sim_server("s", "v4", self.sim.port), **self.more)
        agent = self.agent()
        self.wait_live()
        back_up()
        then = self.one("SELECT max(seq) FROM binding_change")
        self.wait_sql("SELECT max(seq) > ? FROM binding_change", then + 200)
        self.assertEqual(agent.terminate(), 0)
        ahead = self.one("SELECT max(seq) FROM binding_change")
        restore()
        followed = command("watch", "-c", self.config, "--since", ahead)
        self.assertEqual(followed.returncode, 1, followed)
        self.assertIn("this is another database, or it has lost what it had committed", followed.stderr)
        agent = self.agent()
        self.wait_live()
        self.sim.ask("stop-churn")
        self.assert_equal_to(self.sim)
        self.assert_sound()
        self.assertEqual(agent.terminate(), 0)


@unittest.skipIf(EndToEnd.engine != "sqlite", "of SQLite")
class Sqlite(Backup):
    more = {}

    def here(self, text):
        return text.replace("/var/lib/leasemirror", str(self.dir)).replace("/var/backups", str(self.dir / "backups"))

    def back_up(self):
        (self.dir / "backups").mkdir()
        line, = documented("sqlite3 ")
        statement = self.here(re.search('"(.*)"', line)[1])
        db = sqlite3.connect(f"file:{self.db.path}?mode=ro", uri=True, timeout=60, isolation_level=None)  # the shell, -readonly
        db.execute(statement)
        db.close()

    def restore(self):
        for line in documented("rm ") + documented("install "):
            subprocess.run(self.here(line), shell=True, check=True)
        self.assertEqual(self.db.path.stat().st_mode & 0o777, 0o640)

    def test_back_to_a_copy(self):
        self.db.path = self.dir / "leases.db"
        self.scenario(self.back_up, self.restore)


@unittest.skipIf(EndToEnd.engine != "postgresql", "of PostgreSQL")
class Postgres(Backup):
    @classmethod
    def setUpClass(cls):
        cls.server_of_ours = cluster.Cluster()
        cls.addClassCleanup(cls.server_of_ours.remove)

    def run_documented(self, program):
        line, = documented(program + " ")
        arguments = line.split()[1:]
        connection = ["-h", "127.0.0.1", "-p", str(self.server_of_ours.port), "-U", cluster.OWNER]
        subprocess.run([cluster.programs() / program, *connection, *arguments], check=True, cwd=self.dir)

    def restore(self):
        self.server_of_ours.execute("DROP DATABASE leases WITH (FORCE)")
        self.db.disconnect()
        self.run_documented("createdb")
        self.run_documented("pg_restore")

    def test_back_to_a_copy(self):
        self.server_of_ours.execute("CREATE DATABASE leases")
        self.db.drop()
        self.db.url, self.db.schema = self.server_of_ours.url(database="leases"), "public"
        self.more = {"storage": {"url": self.db.url, "schema": "public"}}
        self.scenario(lambda: self.run_documented("pg_dump"), self.restore)


if __name__ == "__main__":
    main()
