"""What a script would take for the same rows: the baselines over SQLite."""

import random
import shutil
import sqlite3
import time

import meter

PIECE = 2000  # rows in a transaction: storage.batch.rows
TABLES = {"binding": "binding_id", "binding_change": "seq", "assignment": "assignment_id"}  # and their rowid


def tuned(path):
    """As the agent's own connection is (storage/sqlite/connection.cpp)."""
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("auto_vacuum = NONE", "journal_mode = WAL", "synchronous = NORMAL", "cache_size = -16384",
                   "mmap_size = 0", "secure_delete = FAST", "wal_autocheckpoint = 16384", "journal_size_limit = 67108864"):
        db.execute(f"PRAGMA {pragma}").fetchall()
    return db


def columns_of(db, table):
    """Those that have a value of their own: table_info leaves out generated ones."""
    return ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))


def rows_first(source, target):
    """INSERT ... SELECT of the rows of the three tables into a fresh database with the same schema, indexes afterwards."""
    db = tuned(target)
    db.execute("ATTACH ? AS source", (str(source),))
    catalog = db.execute("SELECT type, name, tbl_name, sql FROM source.sqlite_schema WHERE sql IS NOT NULL").fetchall()
    rows = db.execute("SELECT count(*) FROM source.binding").fetchone()[0]
    last = {t: db.execute(f"SELECT coalesce(max({key}), 0) FROM source.{t}").fetchone()[0] for t, key in TABLES.items()}
    began, cpu = time.monotonic(), time.process_time()
    for kind, _, table, sql in catalog:
        if kind == "table" and table in TABLES:
            db.execute(sql)
    copies = [(f"INSERT INTO main.{t} ({columns}) SELECT {columns} FROM source.{t} WHERE {key} > ? AND {key} <= ?")
              for t, key in TABLES.items() if (columns := columns_of(db, t))]
    for first in range(0, max(last.values()), PIECE):
        db.execute("BEGIN IMMEDIATE")
        for copy in copies:
            db.execute(copy, (first, first + PIECE))
        db.execute("COMMIT")
    for kind, _, table, sql in catalog:
        if kind == "index" and table in TABLES:
            db.execute(sql)
    spent = meter.Bare(rows, time.monotonic() - began, time.process_time() - cpu)
    loaded = db.execute("SELECT count(*) FROM main.binding").fetchone()[0]
    db.close()
    if loaded != rows:
        raise SystemExit(f"the baseline loaded {loaded} rows of {rows}")
    return spent


RENEWED = ("client_last_seen", "expires_at", "renew_at", "base_time", "updated_at")


def renewals(stage, events, seqs, assignments):
    """As many prepared UPDATEs as there were events, in random order, and INSERTs of what they left in feed and history.

    `seqs` and `assignments`: those above the first number up to the second.
    """
    target = stage.directory / "bare.db"
    shutil.copyfile(stage.db.path, target)
    db = tuned(target)
    db.execute("ATTACH ? AS source", (str(stage.db.path),))
    marks = {"binding_change": seqs[0], "assignment": assignments[0]}
    last = {"binding_change": seqs[1], "assignment": assignments[1]}
    for table, mark in marks.items():
        db.execute(f"DELETE FROM main.{table} WHERE {TABLES[table]} > ?", (mark,))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    known = [row[0] for row in db.execute("SELECT binding_id FROM main.binding")]
    columns = {t: columns_of(db, t) for t in marks}
    update = f"UPDATE binding SET via = 'active', {', '.join(f'{c} = {c} + 1' for c in RENEWED)} WHERE binding_id = ?"
    chance = random.Random(1)
    pieces = [[(n,) for n in chance.sample(known, min(PIECE, events - first, len(known)))]
              for first in range(0, events, PIECE)]
    began, cpu = time.monotonic(), time.process_time()
    for number, piece in enumerate(pieces, 1):
        db.execute("BEGIN IMMEDIATE")
        db.executemany(update, piece)
        for table, done in marks.items():
            upto = done + (last[table] - done) // (len(pieces) - number + 1)
            db.execute(f"INSERT INTO main.{table} ({columns[table]}) SELECT {columns[table]} FROM source.{table} "
                       f"WHERE {TABLES[table]} > ? AND {TABLES[table]} <= ?", (done, upto))
            marks[table] = upto
        db.execute("COMMIT")
    spent = time.monotonic() - began, time.process_time() - cpu
    db.close()
    return meter.Bare(events, *spent, {"binding_change": seqs[1] - seqs[0], "assignment": assignments[1] - assignments[0]})
