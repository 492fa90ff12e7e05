"""The daemon as an operator meets it: signals, the database in all its states, and the commands beside it."""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import stat
import struct
import subprocess
import termios

from harness import (EndToEnd, Process, changes_of, command, logged_time, main, program, sim_server, sqlite_only, wait_until,
                     yaml_server)

NOBODY = 65534


class Lifecycle(EndToEnd):
    def start(self, *options, family="v4"):
        self.sim = self.leasesim("--family", family, *options)
        self.configure(sim_server("s", family, self.sim.port))
        return self.agent()

    def start_and_stop(self):
        """A database that has been in use."""
        agent = self.start("--bindings", 500)
        self.wait_live()
        self.assertEqual(agent.terminate(), 0)

    def lock(self):
        """Another program that keeps the database locked for writing; a function that lets it go."""
        release, end = self.db.lock()
        self.addCleanup(end)
        return release

    def assert_refused(self, pattern):
        """Exit code 3 with the reason, by `run` and by the commands that look at the database."""
        agent = self.agent()
        self.assertEqual(agent.wait(), 3)
        agent.log.wait(pattern)
        status = command("status", "-c", self.config)
        self.assertNotEqual(status.returncode, 0)
        self.assertRegex(status.stderr, pattern)


def screen_of(octets):
    """What a terminal shows of it, line by line: of all that it knows, what the log uses."""
    lines, row, returned = [""], 0, True
    for part in re.findall(r"\x1b\[(?:\d+A|J)|\r|\n|[^\x1b\r\n]+|\x1b", octets.decode(errors="replace")):
        if part == "\r":
            returned = True
        elif part == "\n":
            row += 1
            lines[row:] = lines[row:] or [""]
            returned = True
        elif part == "\x1b[J":
            assert returned, "erased in the middle of a line"
            lines[row:] = [""]
        elif part.endswith("A") and part.startswith("\x1b"):
            row -= int(part[2:-1])
            assert row >= 0
        else:
            lines[row] = part if returned else lines[row] + part
            returned = False
    return lines


class Terminal(Lifecycle):
    def test_a_load_shows_how_far_it_is_below_the_log(self):
        self.sim = self.leasesim("--bindings", 4000, "--rate-limit", 800)
        self.configure(sim_server("s", "v4", self.sim.port))
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        agent = Process([program("LEASEMIRROR"), "run", "-c", str(self.config)], stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL, stderr=its)
        self.addCleanup(agent.kill)
        os.close(its)
        self.addCleanup(os.close, ours)
        shown = b""
        while b"phase server=s from=catch_up to=live" not in shown:
            shown += os.read(ours, 65536)
        agent.send_signal(signal.SIGTERM)
        try:
            while octets := os.read(ours, 65536):
                shown += octets
        except OSError:  # EIO: nobody has the other end open any more
            pass
        self.assertEqual(agent.wait(), 0)
        said = [int(count) for count in re.findall(rb"s  (\d+) bindings, \d+ per second", shown)]
        self.assertGreater(len(set(said)), 1, shown)
        self.assertEqual(said, sorted(said))
        lines = screen_of(shown)
        self.assertEqual(lines.pop(), "")
        for line in lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[0-9:.]{12}Z (debug|info|warn) [a-z_-]+( |$)")
        self.assertTrue(any("full-bulk-done server=s" in line for line in lines))


class Signals(Lifecycle):
    def test_sigterm_commits_what_is_whole(self):
        agent = self.start("--bindings", 3000, "--churn", 500)
        self.wait_live()
        changed = changes_of(self)
        wait_until(changed, "a commit under way")
        self.assertEqual(agent.terminate(), 0)
        agent.log.wait("stopping")
        self.assert_sound()
        server = self.server()
        self.assertEqual((server["phase"], server["connected_since"]), ("down", None))
        kept = server["base_time"]
        self.assertIsNotNone(kept)
        agent = self.agent()
        agent.log.wait(f"active-query .*start={logged_time(kept)}$")
        self.sim.ask("stop-churn")
        self.wait_live()
        self.assert_equal_to(self.sim)

    def test_sigterm_during_the_first_bulk(self):
        agent = self.start("--bindings", 5000, "--rate-limit", 2000)
        self.wait_sql("SELECT count(*) > 100 FROM binding")
        self.assertEqual(agent.terminate(), 0)
        self.assert_sound()
        self.assertIsNone(self.server()["base_time"])

    def test_second_sigterm_leaves_at_once(self):
        agent = self.start("--bindings", 500, "--churn", 200)
        self.wait_live()
        release = self.lock()  # the orderly stop has to wait for it ...
        mark = len(agent.log)
        agent.send_signal(signal.SIGTERM)
        agent.log.wait("stopping", mark)
        self.assertIsNone(agent.child.poll())
        agent.send_signal(signal.SIGTERM)  # ... and this one does not
        self.assertEqual(agent.wait(), 128 + signal.SIGTERM)
        release()
        self.assert_sound()
        self.sim.ask("stop-churn")
        self.agent()
        self.wait_live()
        self.assert_equal_to(self.sim)

    def test_sigterm_does_not_wait_for_ever(self):
        agent = self.start("--bindings", 500, "--churn", 200)
        self.wait_live()
        release = self.lock()
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(), 0)
        agent.log.join()
        agent.log.wait("stop-incomplete")
        release()
        self.assert_sound()
        self.sim.ask("stop-churn")
        self.agent()
        self.wait_live()
        self.assert_equal_to(self.sim)

    def test_sighup_adds_and_removes_servers(self):
        """One by one: the others keep their connections."""
        agent = self.start("--bindings", 300)
        self.wait_live()
        accepted = self.sim.stats()["accepted"]
        second = self.leasesim("--family", "v6", "--bindings", 300)
        both = [sim_server("s", "v4", self.sim.port), sim_server("second", "v6", second.port)]
        self.configure(*both)
        agent.send_signal(signal.SIGHUP)
        agent.log.wait("reloading")
        self.wait_live("second")
        self.wait_live("s")
        self.assert_equal_to(self.sim)
        self.assert_equal_to(second, "second")
        self.assertEqual(self.sim.stats()["accepted"], accepted, "the first server must not be touched")

        changed = {**both[1], "request_options": [23]}
        self.configure(changed, both[0], log={"format": "json"})
        accepted_second = second.stats()["accepted"]
        agent.send_signal(signal.SIGHUP)
        agent.log.wait('"event":"server-ends","server":"second"')
        wait_until(lambda: second.stats()["accepted"] > accepted_second, "the changed server to be connected to anew")
        self.wait_live("second")
        self.assertEqual(self.sim.stats()["accepted"], accepted)

        self.configure(changed)
        agent.send_signal(signal.SIGHUP)
        self.wait_sql("SELECT count(*) FROM server WHERE name = 's' AND phase = 'disabled' AND owner IS NULL")
        wait_until(lambda: self.sim.stats()["connections"] == 0, "the removed server to be left")
        self.assertEqual(self.server("second")["phase"], "live")
        second.ask("churn 50")
        wait_until(changes_of(self), "updates of the other to flow on")
        self.wait_sql("SELECT servers = 1 FROM agent")
        self.configure(changed, both[0])
        agent.send_signal(signal.SIGHUP)
        self.wait_live("s")
        second.ask("stop-churn")
        self.assert_equal_to(self.sim)
        self.assert_equal_to(second, "second")
        self.assertEqual(agent.terminate(), 0)

    def test_sighup_with_a_mistake_changes_nothing(self):
        agent = self.start("--bindings", 300)
        self.wait_live()
        self.config.write_text("servers: [ { name: s, famly: v4 } ]\n")
        agent.send_signal(signal.SIGHUP)
        agent.log.wait("config_error.*famly")
        connections = self.sim.stats()["accepted"]
        self.sim.ask("churn 50")
        wait_until(changes_of(self), "updates to flow on")
        self.assertEqual(self.sim.stats()["accepted"], connections)
        self.assertEqual(agent.terminate(), 0)

    def test_sighup_with_what_a_reload_cannot_change(self):
        """All stays as it was, and the log says which section asks for a restart."""
        agent = self.start("--bindings", 300)
        self.wait_live()
        self.configure(sim_server("other", "v4", self.sim.port), limits={"bulk_connections": 3},
                       storage={"batch": {"rows": 100}})
        agent.send_signal(signal.SIGHUP)
        agent.log.wait("config_error.*storage, limits changed.*restart")
        self.assertEqual(self.rows("SELECT count(*) FROM server")[0][0], 1)
        self.sim.ask("churn 50")
        wait_until(changes_of(self), "updates to flow on")
        self.assertEqual(agent.terminate(), 0)

    def test_many_signals(self):
        """Reloads one upon the other, then an end: none is lost, and none kills."""
        agent = self.start("--bindings", 300)
        self.wait_live()
        for _ in range(20):
            agent.send_signal(signal.SIGHUP)
        self.assertEqual(agent.terminate(), 0)
        self.assert_sound()


@sqlite_only("the file, and who may write to it")
class File(Lifecycle):
    def test_sigterm_before_the_database_can_be_had(self):
        self.start_and_stop()
        release = self.lock()
        agent = self.agent()
        agent.log.wait("database .*waiting")
        self.assertEqual(agent.terminate(), 0)
        release()

    def test_locked_while_running(self):
        agent = self.start("--bindings", 500, "--churn", 300)
        self.wait_live()
        release = self.lock()
        agent.log.wait("database .*locked")
        before = self.one("SELECT base_time FROM server")
        self.sim.ask("stop-churn")
        self.assertIsNone(agent.child.poll())
        release()
        agent.log.wait("database-back")
        self.wait_sql("SELECT base_time > ? FROM server", before)
        self.assert_equal_to(self.sim)
        self.assertEqual(self.sim.stats()["bulk_queries"], 1)

    def test_locked_at_the_start(self):
        self.start_and_stop()
        release = self.lock()
        agent = self.agent()
        agent.log.wait("database .*locked.*waiting")
        release()
        agent.log.wait("started")
        self.wait_live()
        self.assert_equal_to(self.sim)

    def test_put_back_to_an_earlier_copy_while_running(self):
        """What was committed since then is lost; the agent sees it, and asks the server for it again."""
        agent = self.start("--bindings", 500, "--churn", 300)
        self.wait_live()
        file = sqlite3.connect(self.db.path, timeout=30)
        copy = sqlite3.connect(self.dir / "copy.db")
        self.addCleanup(file.close)
        self.addCleanup(copy.close)
        file.backup(copy)
        newest = self.one("SELECT max(seq) FROM binding_change")
        self.wait_sql("SELECT max(seq) > ? FROM binding_change", newest + 300)
        mark = len(agent.log)
        copy.backup(file)
        agent.log.wait("database .*put back to an earlier state.*beginning anew", mark)
        agent.log.wait("started", mark)
        self.sim.ask("stop-churn")
        self.wait_live()
        self.assert_equal_to(self.sim)
        self.assert_sound()
        self.assertIsNone(agent.child.poll())
        self.assertEqual(self.sim.stats()["bulk_queries"], 1)
        self.assertEqual(agent.terminate(), 0)

    def unprivileged(self):
        """Root may write to anything, so read-only needs another user."""
        if os.geteuid() != 0:
            return {}
        binary = self.dir / "leasemirror"
        shutil.copy(program("LEASEMIRROR"), binary)
        binary.chmod(0o755)
        self.addCleanup(os.environ.__setitem__, "LEASEMIRROR", os.environ["LEASEMIRROR"])
        os.environ["LEASEMIRROR"] = str(binary)
        for path in [self.dir, *self.dir.iterdir()]:
            os.chown(path, NOBODY, NOBODY)
        return {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    def test_read_only_file(self):
        self.start_and_stop()
        for path in self.dir.glob("leases.db*"):
            path.chmod(0o444)
        self.db.path.with_name("leases.db.lock").chmod(0o644)
        agent = self.agent(**self.unprivileged())
        agent.log.wait("database .*read-only.*waiting")
        self.assertIsNone(agent.child.poll())
        for path in self.dir.glob("leases.db*"):
            path.chmod(0o644)
        agent.log.wait("started")
        self.wait_live()
        self.assertEqual(agent.terminate(), 0)

    def test_directory_that_does_not_exist(self):
        self.sim = self.leasesim("--bindings", 10)
        self.db.path = self.dir / "none" / "leases.db"
        self.configure(sim_server("s", "v4", self.sim.port))
        self.assert_refused("there is no directory .*/none for the database")
        (self.dir / "none").mkdir()
        agent = self.agent()
        agent.log.wait("started")
        self.wait_live()

    def test_not_a_database(self):
        self.db.path.write_text("This is the diary of somebody else. " * 100)
        before = self.db.path.read_bytes()
        self.configure(yaml_server("s", "v4", 9))
        self.assert_refused("not a (SQLite )?database")
        self.assertEqual(self.db.path.read_bytes(), before)

    def test_database_of_another_program(self):
        other = sqlite3.connect(self.db.path)
        other.execute("CREATE TABLE photo (name TEXT)")
        other.commit()
        other.close()
        self.configure(yaml_server("s", "v4", 9))
        self.assert_refused(re.escape(str(self.db.path)))
        tables = [row[0] for row in self.rows("SELECT name FROM sqlite_schema")]
        self.assertEqual(tables, ["photo"])

    def test_second_agent(self):
        """It is refused, says who has the database, and takes over when that one has gone."""
        first = self.start("--bindings", 500, "--churn", 100)
        self.wait_live()
        second = self.agent()
        second.log.wait(f"database .*process {first.pid};.*waiting")
        changed = changes_of(self)
        wait_until(changed, "the first agent to go on")
        first.kill()
        second.log.wait("started")
        second.log.wait("active-query")
        self.sim.ask("stop-churn")
        self.wait_live()
        self.assert_equal_to(self.sim, was_killed=True)
        self.assertEqual(second.terminate(), 0)

    def test_database_replaced_under_the_agent(self):
        """Writing on to a file that nobody can see any more would be a silent loss."""
        agent = self.start("--bindings", 300, "--churn", 100)
        self.wait_live()
        for path in self.dir.glob("leases.db*"):
            path.rename(path.with_name("moved-" + path.name))
        self.assertEqual(agent.wait(), 1)
        agent.log.wait("removed or replaced")


class Schema(Lifecycle):
    def test_newer_schema(self):
        self.start_and_stop()
        before = [tuple(row) for row in self.rows("SELECT * FROM server")]
        self.db.set_schema_version(9999)
        self.assert_refused("schema version 9999.*upgrade")
        self.assertEqual([tuple(row) for row in self.rows("SELECT * FROM server")], before)

    def test_print_migrate_version(self):
        self.configure(yaml_server("s", "v4", 9))
        printed = command("schema", "-c", self.config, "print")
        self.assertEqual(printed.returncode, 0)
        self.assertIn("CREATE TABLE binding", printed.stdout)
        self.assertFalse(self.db.has_tables())
        migrated = command("schema", "-c", self.config, "migrate")
        self.assertEqual(migrated.returncode, 0, migrated.stderr)
        self.assertEqual(command("schema", "-c", self.config, "version").returncode, 0)
        # The printed text is what was made.
        made = self.db.catalog()
        self.assertGreater(len(made), 15)
        self.assertEqual(self.db.catalog_of(printed.stdout), made)


class Commands(Lifecycle):
    def test_status(self):
        self.start("--bindings", 400)
        empty = command("status", "-c", self.config)
        self.assertIn(empty.returncode, (0, 3))  # the database may not be there yet
        self.wait_live()
        table = command("status", "-c", self.config)
        self.assertEqual((table.returncode, table.stderr), (0, ""))
        self.assertRegex(table.stdout, r"(?m)^SERVER .*PHASE")
        self.assertRegex(table.stdout, r"(?m)^s +v4 +live +\d+ ")
        lines = command("status", "-c", self.config, "--json")
        self.assertEqual(lines.returncode, 0)
        told, = map(json.loads, lines.stdout.splitlines())
        row = self.server()
        for key in ("name", "family", "endpoint", "coverage", "bindings", "gaps_open", "clock_skew_ms"):
            self.assertEqual(told[key], row[key], key)
        self.assertEqual(told["server"], "s")
        self.assertEqual(told["server_identity"], row["server_identity"].hex())
        self.assertRegex(told["base_time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_nobody_at_work(self):
        """Killed, stopped by the system, or ended: `status`, `status --check` and SQL say so."""
        def check():
            return command("status", "-c", self.config, "--check")

        def alive():
            return self.one("SELECT CAST(agent_alive AS INTEGER) FROM server_overview")

        self.configure(sim_server("s", "v4", 9))
        self.assertNotEqual(check().returncode, 0)
        agent = self.start("--bindings", 400)
        self.wait_live()
        fine = check()
        self.assertEqual((fine.returncode, fine.stdout, fine.stderr), (0, "all is well with 1 server\n", ""))
        self.assertEqual(alive(), 1)
        self.assertEqual(tuple(self.rows("SELECT name, pid, servers FROM agent")[0]),
                         (self.server()["owner"], agent.pid, 1))

        agent.send_signal(signal.SIGSTOP)
        wait_until(lambda: not alive(), "the stopped agent to be missed")
        gone = check()
        self.assertEqual(gone.returncode, 1)
        self.assertRegex(gone.stdout, rf"s: no agent is at work on it: '\S+-{agent.pid}' gave its last sign of life ")
        table = command("status", "-c", self.config)
        self.assertRegex(table.stdout, r"(?m)^s +v4 +no agent +\d+ ")
        told = json.loads(command("status", "-c", self.config, "--json").stdout)
        self.assertEqual((told["phase"], told["agent_alive"]), ("live", False))
        agent.send_signal(signal.SIGCONT)
        wait_until(lambda: check().returncode == 0, "the agent to be back")

        agent.kill()
        wait_until(lambda: check().returncode == 1, "the killed agent to be missed")
        again = self.agent()
        self.wait_live()
        wait_until(lambda: check().returncode == 0, "the next agent to be seen")
        self.assertEqual(again.terminate(), 0)
        ended = check()
        self.assertEqual(ended.returncode, 1)
        self.assertRegex(ended.stdout, rf"'\S+-{again.pid}' was stopped ")

    def test_check(self):
        self.configure(yaml_server("s", "v4", 9))
        good = command("check", "-c", self.config)
        self.assertEqual(good.returncode, 0, good.stderr)
        self.config.write_text("servers:\n  - name: s\n    famly: v4\n")
        wrong = command("check", "-c", self.config)
        self.assertEqual(wrong.returncode, 2)
        self.assertRegex(wrong.stdout + wrong.stderr, r":3:\d+.*famly")
        self.assertIn("family", wrong.stdout + wrong.stderr)
        self.assertEqual(command("check", "-c", self.dir / "nothing").returncode, 2)
        self.assertEqual(command("run", "-c", self.dir / "nothing").returncode, 2)

    def test_check_connect(self):
        v4, v6 = self.leasesim("--family", "v4"), self.leasesim("--family", "v6")
        kea = self.leasesim("--family", "v6", "--personality", "kea")
        self.configure(sim_server("four", "v4", v4.port), sim_server("six", "v6", v6.port))
        good = command("check", "-c", self.config, "--connect")
        self.assertEqual(good.returncode, 0, good.stdout + good.stderr)
        self.assertRegex(good.stdout, r"four +reachable +bulk: yes +active: yes")
        self.assertRegex(good.stdout, r"six +reachable +bulk: yes +active: yes")
        self.assertFalse(self.db.has_tables(), "a check writes nothing")
        self.configure(sim_server("kea", "v6", kea.port, mode="active"))
        wrong = command("check", "-c", self.config, "--connect")
        self.assertEqual(wrong.returncode, 1, wrong.stdout)
        port = v4.port
        v4.kill()
        self.configure(sim_server("gone", "v4", port), sim_server("six", "v6", v6.port))
        gone = command("check", "-c", self.config, "--connect")
        self.assertEqual(gone.returncode, 3, gone.stdout)
        self.assertRegex(gone.stdout, "gone +not reachable: .*refused")

    def test_usage(self):
        for arguments, code in ((["--help"], 0), (["--version"], 0), ([], 2), (["sing"], 2), (["run"], 2),
                                (["schema", "-c", self.config], 2), (["decode", self.dir / "nothing"], 2)):
            with self.subTest(arguments):
                done = command(*arguments)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertTrue(done.stdout if code == 0 else done.stderr)

    def test_nothing_listens(self):
        """With the admin port off, the agent has no listening socket at all."""
        agent = self.start("--bindings", 100)
        self.wait_live()
        inodes = {os.stat(f"/proc/{agent.pid}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{agent.pid}/fd")
                  if stat.S_ISSOCK(os.stat(f"/proc/{agent.pid}/fd/{fd}").st_mode)}
        for table in ("tcp", "tcp6", "udp", "udp6"):
            with open(f"/proc/net/{table}", encoding="ascii") as lines:
                for line in list(lines)[1:]:
                    fields = line.split()
                    listening = fields[3] == "0A" or table.startswith("udp")
                    self.assertFalse(listening and int(fields[9]) in inodes, line)


if __name__ == "__main__":
    main()
