"""What a script of COPY commands would take for the same rows: the baselines over PostgreSQL.

Everything is fed from one file by one psql, in transactions of as many rows as the agent's. The file is made before, outside
of what is measured.
"""

import dataclasses
import itertools
import random
import shutil
import subprocess

import cluster
import meter

PIECE = 2000  # rows in a transaction: storage.batch.rows
OWN = ("binding_id", "epoch", "seen_run", "scope", "assignment_id", "boundary_at")  # of the agent: nobody by hand has them
TABLES = ("binding", "binding_change", "assignment")


def psql(stage, *arguments, **popen):
    found = shutil.which("psql") or cluster.programs() / "psql"
    return meter.Child([found, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", stage.db.url, *arguments], **popen)


class Copies:
    """The rows that the agent left, as files, and a schema for tables like those that they came from."""

    def __init__(self, stage, conditions=None):
        """The agent has ended: its tables are emptied, so that the server has no work with them meanwhile."""
        conditions = conditions or {}
        self.stage = stage
        self.source = stage.db.schema
        self.columns = {table: self._columns(table) for table in TABLES}
        for table in TABLES:
            with open(self.path(table), "wb") as out:
                psql(stage, "-c", f"SET synchronize_seqscans = off; COPY (SELECT {', '.join(self.columns[table])} "
                                  f"FROM {self.source}.{table} {conditions.get(table, '')}) TO STDOUT", stdout=out)
        self.rows = self.count("binding")
        stage.rows(f"TRUNCATE {', '.join(TABLES)}")

    def path(self, name):
        return self.stage.directory / f"{name}.copy"

    def _columns(self, table):
        """Those that have a value of their own."""
        return [row[0] for row in self.stage.rows(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = ?::regclass AND attnum > 0 AND NOT attisdropped "
            "AND attgenerated = '' ORDER BY attnum", f"{self.source}.{table}")]

    def in_pieces(self, table, rows=PIECE):
        with open(self.path(table), "rb") as lines:
            while piece := list(itertools.islice(lines, rows)):
                yield piece

    def count(self, table):
        return sum(len(piece) for piece in self.in_pieces(table))

    def key(self):
        """The columns of the unique index that finds a binding by its address."""
        return self.stage.one(
            "SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM pg_index AS i "
            "CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n) "
            "JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
            "WHERE i.indrelid = ?::regclass AND i.indisunique AND i.indpred IS NULL GROUP BY i.indexrelid "
            "HAVING bool_or(a.attname = 'address')", f"{self.source}.binding")

    def load(self, script):
        """That script over the tables of the schema `bare`, and its cost."""
        stage = self.stage
        stage.rows("CHECKPOINT")
        cost = stage.begin()
        child = psql(stage, "-f", script, stdout=subprocess.DEVNULL)
        spent = cost()
        script.unlink()
        loaded = stage.one("SELECT count(*) FROM bare.binding")
        if loaded != self.rows:
            raise SystemExit(f"the baseline loaded {loaded} rows of {self.rows}")
        stage.rows("DROP SCHEMA bare CASCADE")
        return meter.Bare(self.rows, child.seconds, child.cpu + spent.server_cpu, wal_bytes=spent.wal_bytes)

    def fresh_tables(self, *tables):
        self.stage.rows("DROP SCHEMA IF EXISTS bare CASCADE")
        self.stage.rows("CREATE SCHEMA bare")
        for table in tables:
            self.stage.rows(f"CREATE TABLE bare.{table} (LIKE {self.source}.{table} INCLUDING ALL)")


def write_copy(out, table, columns, lines):
    out.write(f"COPY {table} ({', '.join(columns)}) FROM STDIN;\n".encode())
    out.writelines(lines)
    out.write(b"\\.\n")


def staging(columns):
    """An empty table with these columns of `binding`."""
    return (f"CREATE TEMP TABLE staging ON COMMIT DELETE ROWS AS SELECT {', '.join(columns)} FROM bare.binding LIMIT 0;\n"
            .encode())


def exactly(copies):
    """COPY of the rows of the three tables into tables like them."""
    copies.fresh_tables(*TABLES)
    script = copies.path("exactly.sql")
    with open(script, "wb") as out:
        for pieces in itertools.zip_longest(*(copies.in_pieces(table) for table in TABLES)):
            out.write(b"BEGIN;\n")
            for table, piece in zip(TABLES, pieces):
                if piece:
                    write_copy(out, f"bare.{table}", copies.columns[table], piece)
            out.write(b"COMMIT;\n")
    return copies.load(script)


def by_hand(copies):
    """What an operator would write: COPY into a staging table, INSERT ... ON CONFLICT from there into `binding` alone."""
    copies.fresh_tables("binding")
    key = copies.key()
    for column in OWN:
        copies.stage.rows(f"ALTER TABLE bare.binding DROP COLUMN IF EXISTS {column}")
    columns = [c for c in copies.columns["binding"] if c not in OWN]
    kept = [n for n, c in enumerate(copies.columns["binding"]) if c not in OWN]
    names, changed = ", ".join(columns), [c for c in columns if c not in key.split(", ")]
    upsert = (f"INSERT INTO bare.binding ({names}) SELECT {names} FROM staging ON CONFLICT ({key}) DO UPDATE SET "
              + ", ".join(f"{c} = excluded.{c}" for c in changed) + ";\n")
    script = copies.path("by_hand.sql")
    with open(script, "wb") as out:
        out.write(staging(columns))
        for piece in copies.in_pieces("binding"):
            out.write(b"BEGIN;\n")
            cells = (line.rstrip(b"\n").split(b"\t") for line in piece)
            write_copy(out, "staging", columns, [b"\t".join([line[n] for n in kept]) + b"\n" for line in cells])
            out.write(upsert.encode() + b"COMMIT;\n")
    return copies.load(script)


RENEWED = ("client_last_seen", "expires_at", "renew_at", "base_time", "updated_at")


def renewals(stage, events, seqs, assignments):
    """As many UPDATEs as there were events, in random order, and the rows that they left in feed and history, by COPY.

    `seqs` and `assignments`: those above the first number up to the second.
    """
    copies = Copies(stage, {"binding_change": f"WHERE seq > {seqs[0]} AND seq <= {seqs[1]}",
                            "assignment": f"WHERE assignment_id > {assignments[0]} AND assignment_id <= {assignments[1]}"})
    copies.fresh_tables(*TABLES)
    columns = copies.columns["binding"]
    with open(copies.path("binding"), "rb") as lines:
        psql(stage, "-c", f"COPY bare.binding ({', '.join(columns)}) FROM STDIN", stdin=lines)
    stage.rows("VACUUM ANALYZE bare.binding")
    names = ("server_id", "binding_id", *RENEWED)
    places = [columns.index(name) for name in names]
    with open(copies.path("binding"), "rb") as lines:
        cells = (line.rstrip(b"\n").split(b"\t") for line in lines)
        known = [b"\t".join([line[n] for n in places]) + b"\n" for line in cells]
    # The planner knows nothing of the staging table: left alone, it may read all of the other one each time.
    update = ("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "
              "UPDATE bare.binding AS b SET via = 'active', " + ", ".join(f"{c} = s.{c} + interval '1 s'" for c in RENEWED)
              + " FROM staging AS s WHERE b.server_id = s.server_id AND b.binding_id = s.binding_id;\n")
    left = {table: copies.in_pieces(table, -(-copies.count(table) * PIECE // events)) for table in TABLES[1:]}
    chance = random.Random(1)
    script = copies.path("renewals.sql")
    with open(script, "wb") as out:
        out.write(staging(names))
        for first in range(0, events, PIECE):
            out.write(b"BEGIN;\n")
            write_copy(out, "staging", names, chance.sample(known, min(PIECE, events - first, len(known))))
            out.write(update.encode())
            for table, pieces in left.items():
                write_copy(out, f"bare.{table}", copies.columns[table], next(pieces, []))
            out.write(b"COMMIT;\n")
    done = copies.load(script)
    return dataclasses.replace(done, rows=events, details={table: copies.count(table) for table in left})
