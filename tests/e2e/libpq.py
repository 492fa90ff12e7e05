"""PostgreSQL through libpq, which is there wherever the program under test is: Python's standard library has no driver.

Rows are what sqlite3.Row is, and values what SQLite has for the same column (storage/README.md, "Engines"), so that tests
need not know the engine: bytes for bytea, Unix seconds for timestamptz, 0 and 1 for boolean, an address without its prefix
length for inet. One thread at a time may use a connection.
"""

import ctypes
import ctypes.util
import datetime
import select

COMMAND_OK, TUPLES_OK = 1, 2
SQLSTATE = ord("C")
CONNECTION_OK = 0


class Notification(ctypes.Structure):
    _fields_ = [("channel", ctypes.c_char_p), ("pid", ctypes.c_int), ("payload", ctypes.c_char_p)]


def load():
    pq = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
    p, s, i = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
            ("PQconnectdb", p, [s]), ("PQstatus", i, [p]), ("PQerrorMessage", s, [p]), ("PQfinish", None, [p]),
            ("PQexec", p, [p, s]), ("PQexecParams", p, [p, s, i, p, ctypes.POINTER(s), p, p, i]),
            ("PQresultStatus", i, [p]), ("PQresultErrorField", s, [p, i]), ("PQresultErrorMessage", s, [p]),
            ("PQclear", None, [p]), ("PQntuples", i, [p]), ("PQnfields", i, [p]), ("PQfname", s, [p, i]),
            ("PQftype", ctypes.c_uint, [p, i]), ("PQgetvalue", s, [p, i, i]), ("PQgetisnull", i, [p, i, i]),
            ("PQbackendPID", i, [p]), ("PQsocket", i, [p]), ("PQconsumeInput", i, [p]),
            ("PQnotifies", ctypes.POINTER(Notification), [p]), ("PQfreemem", None, [p]),
            ("PQsetNoticeProcessor", p, [p, p, p])):
        function = getattr(pq, name)
        function.restype, function.argtypes = result, arguments
    return pq


PQ = None  # loaded when first needed: tests over SQLite do without


class Error(Exception):
    """What the server said. `sqlstate` is None if there was no server to say anything."""

    def __init__(self, text, sqlstate=None):
        super().__init__(text.strip())
        self.sqlstate = sqlstate

    @property
    def disconnected(self):
        return self.sqlstate is None or self.sqlstate.startswith(("08", "57P"))

    @property
    def missing(self):
        """No such table, or no such schema."""
        return self.sqlstate in ("42P01", "3F000")


class Row(tuple):
    """A tuple whose columns also go by name, as those of sqlite3.Row."""

    columns = {}

    def __getitem__(self, key):
        return tuple.__getitem__(self, self.columns[key] if isinstance(key, str) else key)

    def keys(self):
        return list(self.columns)


def moment(text):
    at = datetime.datetime.fromisoformat(text).timestamp()
    return int(at) if at == int(at) else at


CONVERSIONS = {
    16: lambda text: int(text == "t"),                       # boolean
    17: lambda text: bytes.fromhex(text.removeprefix("\\x")),  # bytea
    20: int, 21: int, 23: int, 26: int,
    700: float, 701: float,
    1700: lambda text: float(text) if "." in text else int(text),  # numeric, the type of sums
    869: lambda text: text.split("/")[0],                    # inet
    650: lambda text: text.split("/")[0],                    # cidr
    1184: moment,                                            # timestamptz
}


class Connection:
    def __init__(self, conninfo, *statements):
        """`statements` are run at once: SET ..."""
        global PQ
        PQ = PQ or load()
        self._handle = PQ.PQconnectdb(conninfo.encode())
        if PQ.PQstatus(self._handle) != CONNECTION_OK:
            text = PQ.PQerrorMessage(self._handle).decode(errors="replace")
            self.close()
            raise Error(text)
        PQ.PQsetNoticeProcessor(self._handle, ctypes.cast(self._silent, ctypes.c_void_p), None)
        self.execute("SET timezone = 'UTC'; SET datestyle = 'ISO'; SET bytea_output = 'hex'; "
                     "SET client_encoding = 'UTF8'; SET application_name = 'leasemirror tests'")
        for statement in statements:
            self.execute(statement)

    _silent = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)(lambda *_: None)

    @property
    def pid(self):
        """Of the backend."""
        return PQ.PQbackendPID(self._handle)

    def execute(self, sql):
        """One statement or several, without values."""
        return self._rows(PQ.PQexec(self._open(), sql.encode()))

    def query(self, sql, *values):
        """One statement, with $1 ... or ? where the values go."""
        pieces = sql.split("?")
        sql = "".join(f"{piece}${n}" for n, piece in enumerate(pieces[:-1], 1)) + pieces[-1]
        texts = (ctypes.c_char_p * max(len(values), 1))(*map(parameter, values))
        return self._rows(PQ.PQexecParams(self._open(), sql.encode(), len(values), None, texts, None, None, 0))

    def notifications(self, patience):
        """What came by LISTEN, as (channel, payload); waits for the first one."""
        handle = self._open()
        found = []
        while not found:
            PQ.PQconsumeInput(handle)
            while told := PQ.PQnotifies(handle):
                found.append((told.contents.channel.decode(), told.contents.payload.decode()))
                PQ.PQfreemem(told)
            if not found and not select.select([PQ.PQsocket(handle)], [], [], patience)[0]:
                break
        return found

    def close(self):
        if self._handle:
            PQ.PQfinish(self._handle)
        self._handle = None

    def _open(self):
        if not self._handle:
            raise Error("the connection is closed")
        return self._handle

    def _rows(self, result):
        try:
            if PQ.PQresultStatus(result) not in (COMMAND_OK, TUPLES_OK):
                state = PQ.PQresultErrorField(result, SQLSTATE)
                text = PQ.PQresultErrorMessage(result) or PQ.PQerrorMessage(self._handle)
                raise Error(text.decode(errors="replace"), state.decode() if state else None)
            columns = range(PQ.PQnfields(result))
            kind = type("Row", (Row,), {"columns": {PQ.PQfname(result, c).decode(): c for c in columns}})
            convert = [CONVERSIONS.get(PQ.PQftype(result, c), str) for c in columns]

            def value(r, c):
                text = PQ.PQgetvalue(result, r, c)
                if not text and PQ.PQgetisnull(result, r, c):
                    return None
                return convert[c](text.decode())
            return [kind([value(r, c) for c in columns]) for r in range(PQ.PQntuples(result))]
        finally:
            PQ.PQclear(result)


def parameter(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, (bytes, bytearray)):
        return b"\\x" + bytes(value).hex().encode()
    return str(value).encode()
