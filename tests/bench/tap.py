#!/usr/bin/env python3
"""A relay between the agent and a server, which notes when what the server says goes by.

    tap.py PORT FILE

relays whoever connects to 127.0.0.1:PORT, and prints on stdout where it listens. From the line `record` on stdin on it
writes to FILE, for each piece of octets from the server: HEAD, and the octets. It ends with its stdin.
"""

import os
import selectors
import socket
import struct
import sys
import time

HEAD = struct.Struct("<QII")  # CLOCK_MONOTONIC in nanoseconds, number of the connection, number of octets
PIECE = 1 << 16


class Way:
    """One direction of one connection."""

    def __init__(self, source, target, number, is_server):
        self.source, self.target, self.number, self.is_server = source, target, number, is_server


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(f"listening 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    loop = selectors.DefaultSelector()
    loop.register(listener, selectors.EVENT_READ)
    loop.register(sys.stdin.fileno(), selectors.EVENT_READ)
    count, recording = 0, False
    with open(sys.argv[2], "wb", buffering=1 << 20) as out:
        while True:
            for key, _ in loop.select():
                if key.fileobj is listener:
                    agent, _ = listener.accept()
                    server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
                    count += 1
                    for end in (agent, server):
                        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    loop.register(server, selectors.EVENT_READ, Way(server, agent, count, True))
                    loop.register(agent, selectors.EVENT_READ, Way(agent, server, count, False))
                elif isinstance(key.data, Way):
                    forward(loop, key.data, out if recording else None)
                elif os.read(sys.stdin.fileno(), 100):
                    recording = True
                else:
                    return


def forward(loop, way, out):
    try:
        octets = way.source.recv(PIECE)
        at = time.monotonic_ns()
        if octets:
            way.target.sendall(octets)
    except OSError:
        octets = b""
    if octets and out and way.is_server:
        out.write(HEAD.pack(at, way.number, len(octets)) + octets)
    if not octets:  # one side has ended: so does the other
        for end in (way.source, way.target):
            loop.unregister(end)
            end.close()


def messages_of(path):
    """(when the last octet went by, in seconds; its address as text) of each DHCPv4 message about an address."""
    rest = {}
    with open(path, "rb") as recorded:
        while head := recorded.read(HEAD.size):
            at, number, size = HEAD.unpack(head)
            octets = rest.get(number, b"") + recorded.read(size)
            place = 0
            while len(octets) - place >= 2:
                end = place + 2 + int.from_bytes(octets[place:place + 2], "big")
                if end > len(octets):
                    break
                address = octets[place + 14:place + 18]  # ciaddr
                if address != b"\0\0\0\0":
                    yield at / 1e9, socket.inet_ntoa(address)
                place = end
            rest[number] = octets[place:]


if __name__ == "__main__":
    main()
