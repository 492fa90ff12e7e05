"""The SQL of storage/README.md, as somebody would paste it, on a mirror of simulated servers; and its tables of columns.

What stands on the page is in the world of leasesim's first seed. Only moments are put in the place of those on the page, since
they were another day's: the month, a second of it, and the cursor of the feed.
"""

import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import EndToEnd, main, sim_server, unix, wait_until  # noqa: E402
from page import first_cells, first_table, in_backticks, section_of, statements_of  # noqa: E402

PAGE = "storage/README.md"


def month(offset):
    """The first day of this month, or of one before or after it."""
    now = time.gmtime()
    months = now.tm_year * 12 + now.tm_mon - 1 + offset
    return f"{months // 12:04}-{months % 12 + 1:02}-01"


class Queries(EndToEnd):
    def setUp(self):
        super().setUp()
        self.east = self.leasesim("--family", "v4")
        self.west = self.leasesim("--family", "v4", "--churn", 200)
        self.core = self.leasesim("--family", "v6", "--links", 4)
        servers = [sim_server("east-v4", "v4", self.east.port), sim_server("west-v4", "v4", self.west.port),
                   sim_server("core-v6", "v6", self.core.port, links=4)]
        servers[2]["bulk"]["covers"] = "partial"  # so one of them lacks something
        self.configure(*servers)
        self.agent()
        self.wait_sql("SELECT count(*) = 3 FROM server WHERE phase = 'live' AND gaps_open = 0")
        self.west.ask("stop-churn")

    def pasted(self, statement):
        """With moments of today in the place of those on the page."""
        moments = {"2026-11-26T01:04:10Z": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "2026-11-01": month(0),
                   "2026-12-01": month(1), "seq > 12005": "seq > 5"}
        moments["2026-11-26 01:04:10Z"] = moments["2026-11-26T01:04:10Z"]
        # All at once: this month may be the one that stands on the page.
        return re.sub("|".join(map(re.escape, moments)), lambda found: moments[found[0]], statement)

    def ask(self, statement):
        db = self.db.connect()
        try:
            return [dict(zip(row.keys(), row)) for row in db.query(self.pasted(statement).rstrip(";"))]
        finally:
            db.close()

    def statements(self):
        lines = section_of(PAGE, "## Ten queries")
        found = [statement for statement, engines in statements_of(lines) if self.engine in engines]
        self.assertGreaterEqual(len(found), 18)
        return found

    def statement(self, part):
        found = [statement for statement in self.statements() if part in statement]
        self.assertEqual(len(found), 1, part)
        return found[0]

    def test_each_runs_as_pasted_and_finds_something(self):
        """Of a mirror in which something is behind, something was lost, and partners differ."""
        self.east.ask("restart")  # without the history of before: what may have been missed is a gap
        wait_until(lambda: self.rows("SELECT 1 FROM gap"), "a gap")
        for statement in self.statements():
            with self.subTest(statement=statement):
                self.assertGreater(len(self.ask(statement)), 0)
        doubts = [s for s, engines in statements_of(section_of(PAGE, "### Table `binding`")) if self.engine in engines]
        self.assertEqual(len(doubts), 1)
        self.assertEqual(self.ask(doubts[0]), [])

    def test_who_has_and_who_had_an_address(self):
        row, = self.ask(self.statement("FROM lease WHERE address = '10.0.0.2'"))
        truth, = self.rows("SELECT client_id_text FROM binding_overview WHERE server = 'east-v4' AND address = '10.0.0.2'")
        self.assertEqual(row["client_id_text"], truth["client_id_text"])
        held = "lease_at(" if self.engine == "postgresql" else "began_at <= "
        then = {row["server"]: row["client_id_text"] for row in self.ask(self.statement(held))}
        self.assertEqual(then["east-v4"], truth["client_id_text"])

    def test_which_prefix_contains_an_address(self):
        part = ">>=" if self.engine == "postgresql" else "WITH RECURSIVE"
        rows = self.ask(self.statement(part))
        self.assertEqual([(row["server"], str(row["address"]), row["prefix_len"]) for row in rows],
                         [("core-v6", "3fff:1:0:100::", 56)])

    def test_a_month_is_billed_to_its_end_and_not_beyond_now(self):
        """What began before the month, what goes on, what ends after the month, and what is not in it at all."""
        begins, ends = (unix(month(n) + "T00:00:00Z") for n in (0, 1))
        now = int(time.time())
        self.agents[-1].kill()
        rows = [("10.99.0.1", begins - 86400, None, begins, now), ("10.99.0.2", begins - 86400, ends + 86400, begins, now),
                ("10.99.0.3", begins - 100, begins + 1, begins, begins + 1), ("10.99.0.4", begins - 100, begins, None, None),
                ("10.99.0.5", ends, None, None, None)]
        for address, began, ended, _, _ in rows:
            self.add_assignment(address, began, ended)
        before = int(time.time())
        billed = {str(row["address"]): row for row in self.ask(self.statement("AS held_until"))
                  if str(row["address"]).startswith("10.99.")}
        after = int(time.time())
        for address, _, _, held_from, held_until in rows:
            if held_from is None:
                self.assertNotIn(address, billed)
                continue
            row = billed[address]
            self.assertEqual(self.seconds(row["held_from"]), held_from)
            if held_until == now:
                self.assertTrue(before <= self.seconds(row["held_until"]) <= min(after + 1, ends))
            else:
                self.assertEqual(self.seconds(row["held_until"]), held_until)
        self.assertEqual(len(billed), 3)

    def seconds(self, value):
        """A time as the engine gives it."""
        return unix(value) if isinstance(value, str) else value

    def add_assignment(self, address, began, ended):
        columns = {"server_id": "1", "vpn_id": "''", "kind": "'address'", "address": f"'{address}'", "prefix_len": "32",
                   "remote_id": "x'01'" if self.engine == "sqlite" else r"'\x01'", "began_inferred": "false",
                   "end_reason": "NULL" if ended is None else "'reported'"}
        for name, value in (("began_at", began), ("ended_at", ended)):
            wrapped = str(value) if self.engine == "sqlite" else f"to_timestamp({value})"
            columns[name] = "NULL" if value is None else wrapped
        if self.engine == "sqlite":
            columns.update(address_key="x'00'", began_inferred="0")
        statement = f"INSERT INTO assignment ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"
        self.db.change(statement)

    def test_which_servers_are_behind(self):
        rows = {row["name"]: row for row in self.ask(self.statement("gaps_open, last_error"))}
        self.assertEqual((set(rows), rows["core-v6"]["coverage"]), ({"core-v6"}, "partial"))

    def test_what_differs_between_two_servers(self):
        def truth():
            held = [{str(row["address"]): (row["client_id"], row["hw_addr"]) for row in self.rows(
                "SELECT address, client_id, hw_addr FROM binding_overview WHERE server = ? AND state = 'active'", server)}
                for server in ("east-v4", "west-v4")]
            return {address for address in set(held[0]) | set(held[1]) if held[0].get(address) != held[1].get(address)}

        def told():
            return {str(row["address"]) for row in self.ask(self.statement("FULL JOIN"))}
        # The last changes may be on their way.
        wait_until(lambda: told() and told() == truth(), lambda: f"{sorted(told())} is {sorted(truth())}")

    def columns_of(self, name):
        if self.engine == "sqlite":
            return {row["name"] for row in self.rows(f"SELECT name FROM pragma_table_xinfo('{name}')")}
        return {row["column_name"] for row in self.rows(
            "SELECT column_name::text AS column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ?",
            self.db.schema, name)}

    def test_every_column_is_explained_and_none_that_is_not_there(self):
        """Of each table, and of the view `lease`."""
        of_one_engine = {"address_key", "last_key", "network", "number"}
        names = ["server", "binding", "binding_change", "assignment", "binding_count", "gap", "quarantine", "agent", "meta"]
        sections = {name: f"### Table `{name}`" for name in names}
        sections["lease"] = "### View `lease`"
        for name, heading in sections.items():
            with self.subTest(name=name):
                told = set(in_backticks(first_cells(first_table(section_of(PAGE, heading)))))
                there = self.columns_of(name)
                self.assertTrue(there)
                self.assertEqual(there - told, set(), "not explained")
                self.assertEqual(told - there - of_one_engine, set(), "not there")

    def test_every_state_is_explained(self):
        """Each word that the schema lets into `state`, `phase`, `end_reason` and `doubt` has a line of its own."""
        told = set(in_backticks(first_cells(section_of(PAGE, "## The contract") + section_of(PAGE, "### Table `binding`"))))
        for column, table in (("state", "binding"), ("phase", "server"), ("end_reason", "assignment")):
            words = self.words_of(table, column)
            self.assertGreater(len(words), 4, column)
            self.assertEqual(words - told, set(), column)

    def words_of(self, table, column):
        """What a CHECK of the schema allows."""
        if self.engine == "sqlite":
            text = self.one("SELECT sql FROM sqlite_schema WHERE name = ?", table)
            listed = re.search(rf"\b{column} IN\s*\(([^)]+)\)", text)
            return set(re.findall(r"'(\w+)'", listed[1]) if listed else re.findall(rf"\b{column} = '(\w+)'", text))
        texts = [row[0] for row in self.rows(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = ?::regclass AND contype = 'c'",
            f'"{self.db.schema}".{table}')]
        return {word for text in texts if re.search(rf"\({column} = ANY", text) for word in re.findall(r"'(\w+)'::text", text)}


if __name__ == "__main__":
    main()
