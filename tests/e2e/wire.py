"""A DHCP leasequery server that a test plays by hand: an encoder and a parser of its own, independent of proto/.

The test listens, takes a connection, reads a query and sends whatever it likes, right or wrong. Numbers: RFC 6926,
RFC 7724 (v4), RFC 5460, RFC 5007, RFC 7653 (v6). Times are Unix seconds everywhere. At the end a tap: it forwards
connections to another server, and keeps what the agent sent on each of them.
"""

import collections
import ipaddress
import socket
import struct
import threading
import time

from harness import PATIENCE

EPOCH_2000 = 946684800  # of the base-times of v6
COOKIE = bytes.fromhex("63825363")
SERVER_ID = {"v4": bytes([192, 0, 2, 99]), "v6": bytes.fromhex("000300010200000000ff")}

STATUS = {"v4": {"QueryTerminated": 2, "MalformedQuery": 3, "NotAllowed": 4, "DataMissing": 5, "ConnectionActive": 6,
                 "CatchUpComplete": 7},
          "v6": {"QueryTerminated": 11, "MalformedQuery": 8, "NotAllowed": 10, "DataMissing": 12,
                 "ConnectionActive": None, "CatchUpComplete": 13, "NotSupported": 14}}
QUERY_TYPES = {"v4": {14: "bulk", 16: "active", 18: "tls"}, "v6": {14: "bulk", 22: "active", 23: "tls"}}


def frame(message):
    return struct.pack(">H", len(message)) + message


# ---- v4 ----

def option4(code, value):
    """Long values in pieces, as RFC 3396 has it."""
    pieces = [value[i:i + 255] for i in range(0, len(value), 255)] or [b""]
    return b"".join(bytes([code, len(piece)]) + piece for piece in pieces)


def u32(n):
    return struct.pack(">I", n)


def message4(kind, xid, options=b"", ciaddr=0, mac=b""):
    head = struct.pack(">BBBBIHHIIII", 2, 1 if mac else 0, len(mac), 0, xid, 0, 0, ciaddr, 0, 0, 0)
    return head + mac.ljust(16, b"\0") + bytes(192) + COOKIE + option4(53, bytes([kind])) + options + b"\xff"


def parse4(message):
    options = collections.OrderedDict()
    rest = message[240:]
    while rest and rest[0] != 255:
        if rest[0] == 0:
            rest = rest[1:]
            continue
        length = rest[1]
        options[rest[0]] = options.get(rest[0], b"") + rest[2:2 + length]
        rest = rest[2 + length:]
    return options


# ---- v6 ----

def option6(code, value):
    return struct.pack(">HH", code, len(value)) + value


def message6(kind, xid, options=b""):
    return bytes([kind]) + xid.to_bytes(3, "big") + options


def parse6(octets):
    options = collections.OrderedDict()
    while octets:
        code, length = struct.unpack(">HH", octets[:4])
        options[code] = octets[4:4 + length]
        octets = octets[4 + length:]
    return options


class Closed(Exception):
    """The agent closed the connection."""


class Query:
    """One query that the agent sent, and the means to answer it."""

    def __init__(self, connection, message):
        self.connection = connection
        self.family = connection.server.family
        self.message = message
        self.replied = False
        v4 = self.family == "v4"
        if v4:
            self.xid = int.from_bytes(message[4:8], "big")
            self.options = parse4(message)
            kind = self.options[53][0]
        else:
            self.xid = int.from_bytes(message[1:4], "big")
            self.options = parse6(message[4:])
            kind = message[0]
        self.kind = QUERY_TYPES[self.family].get(kind, kind)

        def when(code):
            value = self.options.get(code)
            return int.from_bytes(value, "big") + (0 if v4 else EPOCH_2000) if value is not None else None
        inside = self.options
        if not v4 and 44 in self.options:  # the bulk query's own options stand in OPTION_LQ_QUERY
            query = self.options[44]
            self.query_type, self.link = query[0], str(ipaddress.IPv6Address(query[1:17]))
            inside = {**self.options, **parse6(query[17:])}
        self.asked = inside
        self.start, self.end = when(154 if v4 else 101), when(155 if v4 else 102)
        self.asks = self.kind  # ... and 'question' for a bulk query about one client or address
        if self.kind == "bulk" and (61 in self.options or message[2] if v4 else self.query_type in (1, 2)):
            self.asks = "question"

    # Answers.

    def send(self, message):
        self.connection.send(frame(message))

    def base(self, at):
        if at is None:
            return b""
        return option4(152, u32(at)) if self.family == "v4" else option6(100, u32(at - EPOCH_2000))

    def binding(self, n, base, client="a", lifetime=3600, xid=None, more=b"", age=0, link=None, also=()):
        """The message of binding number n: `client` holds it for `lifetime`; 0 = nobody does any more. For v6: `link` is
        where the client is, not told without it; `also` are other bindings that it holds and the message lists.
        """
        xid = self.xid if xid is None else xid
        mac = client_mac(client)
        if self.family == "v4":
            options = option4(54, SERVER_ID["v4"]) + self.base(base)
            options += option4(61, b"\x01" + mac) + option4(91, u32(age))
            options += option4(51, u32(lifetime)) if lifetime else option4(156, b"\x04")
            return message4(13 if lifetime else 11, xid, options + more,
                            int(ipaddress.IPv4Address(address("v4", n))), mac)
        data = option6(1, b"\0\3\0\1" + mac) + option6(46, u32(age))
        for number, valid in {n: lifetime, **{other: 3600 for other in also}}.items():
            lease = ipaddress.IPv6Address(address("v6", number)).packed
            data += option6(5, lease + u32(valid // 2) + u32(valid))
        if link:  # the header of the relay's message (RFC 5007 §4.1.2.4)
            link, peer = (ipaddress.IPv6Address(text).packed for text in (link, "fe80::1"))
            data += option6(47, peer + b"\x0c\0" + link + peer)
        return self._wrap6(option6(45, data) + self.base(base) + more, xid)

    def _wrap6(self, options, xid=None):
        xid = self.xid if xid is None else xid
        if self.replied:
            return message6(17, xid, options)
        self.replied = True
        return message6(15, xid, option6(1, self.options[1]) + option6(2, SERVER_ID["v6"]) + options)

    def cut_option(self, n, base, client="z", v4_code=0xdd, v6_code=0x44):
        """A lease whose last option runs past the end of the message. It names the VPN, so whose lease it is, is not known:
        in v4 the address still is.
        """
        if self.family == "v4":  # without the end option
            return self.binding(n, base, client, more=bytes([v4_code, 255, 0]))[:-1]
        return self.binding(n, base, client, more=bytes([0, v6_code, 255, 255, 0]))

    def lease(self, n, base, client="a", lifetime=3600, **more):
        self.send(self.binding(n, base, client, lifetime, **more))

    def ended(self, n, base, client="a"):
        self.lease(n, base, client, lifetime=0)

    def status(self, name, base=None, text=""):
        """A status at message level: in v6 of a REPLY or DATA, in v4 a DHCPLEASEQUERYSTATUS."""
        code = STATUS[self.family].get(name) if name else None
        if self.family == "v4":
            options = option4(151, bytes([code]) + text.encode()) if code is not None else b""
            return self.send(message4(17, self.xid, options + self.base(base)))
        options = option6(13, struct.pack(">H", code) + text.encode()) if code is not None else b""
        self.send(self._wrap6(options + self.base(base)))

    def accept(self, base=None):
        """v6 begins with a REPLY; a v4 server says nothing (RFC 7724 §7.4)."""
        if self.family == "v6":
            self.status(None, base)

    def done(self, base=None, name=None, text=""):
        """The end of a bulk query. In v6, one that found nothing has a REPLY and no DONE (RFC 5460 §5.2.2)."""
        code = STATUS[self.family][name] if name else None
        if self.family == "v4":
            options = option4(151, bytes([code]) + text.encode()) if code is not None else b""
            return self.send(message4(15, self.xid, options + self.base(base)))
        options = option6(13, struct.pack(">H", code) + text.encode()) if code is not None else b""
        if not self.replied:
            return self.send(self._wrap6(options + self.base(base)))
        self.send(message6(16, self.xid, options + self.base(base)))

    def catch_up_complete(self, base):
        self.status("CatchUpComplete", base)


class Connection:
    def __init__(self, server, peer):
        self.server = server
        self.socket = peer
        self.socket.settimeout(PATIENCE)
        self.begun_at = time.monotonic()

    def _read(self, octets):
        out = b""
        while len(out) < octets:
            try:
                part = self.socket.recv(octets - len(out))
            except ConnectionResetError:
                part = b""
            if not part:
                raise Closed(f"after {len(out)} of {octets} octets")
            out += part
        return out

    def query(self):
        """The next query; Closed if the agent has none."""
        length, = struct.unpack(">H", self._read(2))
        query = Query(self, self._read(length))
        self.server.queries.append(query)
        return query

    def send(self, octets):
        self.server.spoke_at = self.server.spoke_at or time.monotonic()
        try:
            self.socket.sendall(octets)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed(str(e)) from e

    def wait_closed(self):
        """Until the agent closes; what it still sends is dropped."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Server:
    """Listens on a port of its own and hands out connections in the order in which they came."""

    def __init__(self, family, secure=None):
        """`secure` makes another socket of each that the agent opened: one that speaks TLS."""
        self.family = family
        self.secure = secure or (lambda peer: peer)
        self.queries = []  # all that were ever read
        self.arrivals = []  # time.monotonic() of each connection
        self.spoke_at = None  # likewise of the first message that it sent
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._waiting = collections.deque()
        self._given = []
        self._came = threading.Condition()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with self._came:
                self.arrivals.append(time.monotonic())
                self._waiting.append(peer)
                self._came.notify_all()

    def connection(self):
        with self._came:
            if not self._came.wait_for(lambda: self._waiting, PATIENCE):
                raise AssertionError(f"the agent did not connect in {PATIENCE:.0f} s")
            connection = Connection(self, self.secure(self._waiting.popleft()))
            self._given.append(connection)
            return connection

    def query(self, kind):
        """A new connection and its first query, which must be of this kind."""
        query = self.connection().query()
        assert query.kind == kind, f"expected a query of kind {kind}, not {query.kind}"
        return query

    def stop_listening(self):
        """From now on connections to this port are refused."""
        if self._thread.is_alive():
            self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join(PATIENCE)
        self._listener.close()

    def close(self):
        self.stop_listening()
        for peer in [*self._waiting, *self._given]:
            peer.close()


def address(family, n):
    return f"10.1.{n >> 8}.{n & 255}" if family == "v4" else f"2001:db8:1::{n:x}"


def client_mac(client):
    return (b"\x02" + client.encode() * 5)[:6]


def client_id(family, client):
    return (b"\x01" if family == "v4" else b"\0\3\0\1") + client_mac(client)


# content types of TLS records (RFC 8446 §5.1), and the upgrade requests but for their transaction-id
HANDSHAKE, RECORDS = 22, (20, 21, 22, 23)


def is_upgrade(family, message):
    if family == "v6":
        return len(message) == 4 and message[0] == 23
    fixed = bytes([1, 0, 0, 0]) + message[4:8] + bytes(228)
    return len(message) == 244 and message == fixed + bytes.fromhex("63825363") + bytes([53, 1, 18, 255])


def clear_text(family, mode, octets):
    """What of these octets neither is the upgrade request nor looks like TLS; None if nothing."""
    if mode == "starttls" and octets:
        if len(octets) < 2:
            return octets
        length, = struct.unpack(">H", octets[:2])
        if not is_upgrade(family, octets[2:2 + length]):
            return octets
        octets = octets[2 + length:]
    first = True
    while len(octets) >= 5:
        kind, major, _, length = struct.unpack(">BBBH", octets[:5])
        if kind not in RECORDS or major != 3 or first and kind != HANDSHAKE:
            return octets
        octets, first = octets[5 + length:], False
    return None


class Recorder:
    def __init__(self, port):
        self.target = port
        self.sent = []  # of each connection, a bytearray
        self._sockets = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                agent, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), PATIENCE)
            except OSError:
                agent.close()
                continue
            server.settimeout(None)
            kept = bytearray()
            with self._lock:
                self.sent.append(kept)
                self._sockets += [agent, server]
            threading.Thread(target=self._forward, args=(agent, server, kept), daemon=True).start()
            threading.Thread(target=self._forward, args=(server, agent, None), daemon=True).start()

    @staticmethod
    def _forward(source, target, kept):
        try:
            while part := source.recv(65536):
                if kept is not None:
                    kept += part
                target.sendall(part)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def connections(self):
        with self._lock:
            return [bytes(kept) for kept in self.sent]

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for end in self._sockets:
                end.close()
