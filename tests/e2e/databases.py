"""The database of a scenario, of whatever engine, as the readers of its tables see it.

A connection has query(sql, *values) and close(). The values of rows are the same in both engines (libpq.py); in SQL
write `?` where a value goes, Moment(seconds) where it is compared with a time, and Database.now for the present.
"""

import atexit
import os
import pathlib
import sqlite3
import time
import uuid
from urllib.parse import unquote, urlsplit

import cluster
import libpq

PATIENCE = float(os.environ.get("PATIENCE", "60"))


def is_away(error):
    """Whether this says that there is no database, or no table in it: yet, or for the moment."""
    if isinstance(error, libpq.Error):
        return error.missing or error.disconnected
    return isinstance(error, sqlite3.OperationalError) and any(
        words in str(error) for words in ("no such table", "unable to open"))


class Moment(int):
    """Unix seconds, to be compared with a column of times."""

    def __str__(self):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self))

    def __repr__(self):
        return f"Moment({int(self)})"


class SqliteConnection:
    def __init__(self, path, patience=PATIENCE):
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=patience, isolation_level=None)
        self._db.row_factory = sqlite3.Row

    def query(self, sql, *values):
        return self._db.execute(sql, tuple(int(v) if isinstance(v, Moment) else v for v in values)).fetchall()

    def begin_snapshot(self):
        """From here to the end of the connection it sees one state of things."""
        self._db.execute("BEGIN")
        self._db.execute("SELECT * FROM sqlite_schema LIMIT 1").fetchall()

    def close(self):
        self._db.close()


class Sqlite:
    engine = "sqlite"
    now = "unixepoch()"

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def storage(self):
        """Of the configuration."""
        return {"url": f"sqlite://{self.path}"}

    def connect(self, patience=PATIENCE):
        return SqliteConnection(self.path, patience)

    def rows(self, sql, *values):
        """The rows of a query; none as long as there is no database, or no table in it."""
        db = None
        try:
            db = self.connect()
            return db.query(sql, *values)
        except sqlite3.OperationalError as e:
            if is_away(e):
                return []
            raise
        finally:
            if db:
                db.close()

    def damage(self):
        """What is wrong with the files; None if nothing is."""
        said = self.rows("PRAGMA integrity_check")
        return None if said and said[0][0] == "ok" else f"integrity_check: {[tuple(row) for row in said]}"

    def commits(self):
        """A function whose value is another one after a commit of somebody else, and a function that ends it."""
        db = self.connect()
        return (lambda: db.query("PRAGMA data_version")[0][0]), db.close

    def lock(self):
        """Keeps everybody from writing: a function that lets them again, and a function that ends it."""
        other = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        return (lambda: other.execute("ROLLBACK")), other.close

    def has_tables(self):
        return self.path.exists()

    CATALOG = "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY 1, 2"

    def catalog(self):
        return [tuple(row) for row in self.rows(self.CATALOG)]

    def catalog_of(self, text):
        """What there would be after these statements, in an empty database."""
        other = sqlite3.connect(":memory:")
        other.executescript(text)
        found = other.execute(self.CATALOG).fetchall()
        other.close()
        return found

    def set_schema_version(self, version):
        self.change(f"PRAGMA user_version = {version}")

    def change(self, *statements):
        """What somebody does to it behind the agent's back, beside it."""
        other = sqlite3.connect(self.path, timeout=PATIENCE)
        for statement in statements:
            other.execute(statement)
        other.commit()
        other.close()

    def drop(self):
        pass


class PostgresConnection(libpq.Connection):
    def __init__(self, url, schema, patience=PATIENCE):
        milliseconds = max(1, int(patience * 1000))
        super().__init__(url, f'SET search_path = "{schema}"', f"SET lock_timeout = {milliseconds}",
                         f"SET statement_timeout = {int(PATIENCE * 1000)}")

    def begin_snapshot(self):
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")


class Postgres:
    """A schema in a server that is there."""

    engine = "postgresql"
    now = "statement_timestamp()"  # as the views have it

    def __init__(self, url, schema):
        self.url = url
        self.schema = schema
        self._db = None

    def storage(self):
        return {"url": self.url, "schema": self.schema}

    def connect(self, patience=PATIENCE):
        return PostgresConnection(self.url, self.schema, patience)

    def rows(self, sql, *values):
        """The rows of a query; none as long as there is no server, no schema, or no table in it."""
        try:
            if not self._db:
                self._db = self.connect()
            return self._db.query(sql, *values)
        except libpq.Error as e:
            if e.disconnected:
                self.disconnect()
            if is_away(e):
                return []
            raise

    def damage(self):
        return None

    def commits(self):
        db = self.connect()

        def state():
            """Each batch of the agent writes the row of its server."""
            return [tuple(row) for row in db.query("SELECT server_id, xmin::text FROM server ORDER BY server_id")]
        return state, db.close

    def lock(self):
        other = self.connect()
        other.execute("BEGIN; LOCK TABLE server, binding IN EXCLUSIVE MODE")
        return (lambda: other.execute("ROLLBACK")), other.close

    def has_tables(self):
        return bool(self.catalog())

    def catalog(self):
        return [tuple(row) for row in self.rows(
            "SELECT 'relation', relkind::text, relname::text FROM pg_class WHERE relnamespace = "
            "(SELECT oid FROM pg_namespace WHERE nspname = ?) UNION ALL "
            "SELECT 'function', '', proname::text FROM pg_proc WHERE pronamespace = "
            "(SELECT oid FROM pg_namespace WHERE nspname = ?) ORDER BY 1, 2, 3", self.schema, self.schema)]

    def catalog_of(self, text):
        other = Postgres(self.url, f"{self.schema}_printed")
        try:
            other.create()
            other.connect_and(text.replace(f'"{self.schema}"', f'"{other.schema}"'))
            return other.catalog()
        finally:
            other.drop()

    def set_schema_version(self, version):
        self.connect_and(f"UPDATE meta SET number = {version} WHERE name = 'leasemirror_schema_version'")

    def create(self):
        self.connect_and(f'CREATE SCHEMA IF NOT EXISTS "{self.schema}"')

    def disconnect(self):
        if self._db:
            self._db.close()
        self._db = None

    def drop(self):
        self.disconnect()
        self.connect_and(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE')

    def change(self, *statements):
        """What somebody does to it behind the agent's back, beside it."""
        self.connect_and(*statements)

    def connect_and(self, *statements):
        db = self.connect()
        try:
            for statement in statements:
                db.execute(statement)
        finally:
            db.close()


def named(url, schema=None):
    """The database that a storage.url names."""
    if url.startswith("sqlite://"):
        return Sqlite(url.removeprefix("sqlite://"))
    if urlsplit(url).scheme in ("postgresql", "postgres"):
        return Postgres(url, schema or "public")
    raise ValueError(f"neither sqlite:// nor postgresql://: {unquote(url)}")


def test_server():
    """URL of a PostgreSQL server for tests: the one that ctest has started, else one of our own, for this process."""
    url = os.environ.get("LEASEMIRROR_TEST_POSTGRES")
    if url and not url.startswith("postgres"):
        url = pathlib.Path(url).read_text().strip()  # a file that holds it
    if not url:
        if not _own:
            _own.append(cluster.Cluster())
            atexit.register(_own[0].remove)
        url = _own[0].url()
    return url


_own = []


def for_test(engine, directory):
    """An empty database, which nobody else has."""
    if engine == "sqlite":
        return Sqlite(directory / "leases.db")
    database = Postgres(test_server(), f"e2e_{uuid.uuid4().hex[:12]}")
    database.create()
    return database
