"""A wire tap: forwards TCP connections to a server, and keeps what the agent sent on each of them."""

import socket
import struct
import threading

from harness import PATIENCE

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
