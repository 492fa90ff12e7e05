"""What Wireshark's dissectors make of the octets that two programs exchanged.

Relays stand between a requestor and a server and keep what passes; pcap files are made of it with headers of our own,
on ports 67 and 547, where the dissectors expect such messages. So the same octets are dissected on every machine, also
on one that does not let us capture. LiveCapture does that, where it may.

The dissectors (tshark 4.0) stop in silence at an option that runs past its container: an octet that no option covers is
therefore counted as malformed here, as much as what they complain of.
"""

import collections
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import xml.etree.ElementTree as ElementTree

from harness import PATIENCE, Lines, Process, wait_until

BULK, PLAIN = "dhcpv6.bulk_leasequery", "dhcpv6"  # two dissectors: for TCP, and for a datagram
RAW_IP = 101  # LINKTYPE_RAW
REQUESTOR, SERVER = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])

# What the dissectors complain of without reason. Nothing else is forgiven.
TOLERATED = {
    # RFC 4704 section 4 knows no leasequery; RFC 5007 section 4.1.2.2 has the server return what it was asked for.
    "This message type is not permitted to use OPTION_CLIENT_FQDN",
    # They take the Relay-forward in OPTION_LQ_RELAY_DATA for text. It is dissected as a message of its own: relayed().
    "Trailing stray characters",
    # A query for everything, an address that nobody had: hlen 0 (RFC 6926 sections 7.2 and 8.2).
    "Client address not given",
    # RFC 7653 came after them. They read the options all the same.
    *(f"Message Type {n} not allowed by DHCPv6 Bulk Leasequery" for n in (7, 22, 23)),
}
CONTAINERS = {44, 45}  # LQ_QUERY and CLIENT_DATA, whose options the dissectors look into


def frames(octets):
    """Whole messages of a TCP stream, without their lengths."""
    out = []
    while len(octets) >= 2:
        end = 2 + struct.unpack(">H", octets[:2])[0]
        if len(octets) < end:
            break
        out.append(octets[2:end])
        octets = octets[end:]
    return out


# ---- what passes between two programs ----

Passed = collections.namedtuple("Passed", "transport connection from_server octets")


class Recorder:
    """In the order in which it passed; each piece is kept before it goes on."""

    def __init__(self):
        self._passed = []
        self._lock = threading.Lock()

    def keep(self, *passed):
        with self._lock:
            self._passed.append(Passed(*passed))

    def passed(self):
        with self._lock:
            return list(self._passed)

    def octets_from_server(self):
        """Over TCP."""
        return sum(len(one.octets) for one in self.passed() if one.transport == "tcp" and one.from_server)

    def messages(self, from_server=None):
        """Every message that is whole, of all connections."""
        streams = collections.OrderedDict()
        out = []
        for one in self.passed():
            if from_server not in (None, one.from_server):
                continue
            if one.transport == "udp":
                out.append(one.octets)
            else:
                streams.setdefault((one.connection, one.from_server), []).append(one.octets)
        for pieces in streams.values():
            out += frames(b"".join(pieces))
        return out


class TcpRelay:
    """Listens on `port`, and connects each who comes to the server."""

    def __init__(self, server_port, recorder):
        self._to, self._recorder = ("127.0.0.1", server_port), recorder
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._to)
            self._open += [near, far]
            name = (self.port, near.getpeername()[1])
            for source, sink, from_server in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pass, args=(source, sink, name, from_server), daemon=True).start()

    def _pass(self, source, sink, name, from_server):
        try:
            while octets := source.recv(65536):
                self._recorder.keep("tcp", name, from_server, octets)
                sink.sendall(octets)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # one of the two is gone, and so shall the other be
            for end in (source, sink):
                end.close()

    def close(self):
        for one in self._open:
            one.close()


class UdpRelay:
    """The same for datagrams, on `address`. Answers go back to whoever asked last, or to `reply_port` there."""

    def __init__(self, recorder, address="127.0.0.1", reply_port=None):
        self._recorder, self._reply_port = recorder, reply_port
        self.server_port = None  # to be set before anything is asked: in v4 the server must know our far_port first
        self.address, self._near, self._far = address, self._bound(address), self._bound("127.0.0.1")
        self.port, self.far_port = self._near.getsockname()[1], self._far.getsockname()[1]
        self._asked = None
        for work in (self._ask, self._answer):
            threading.Thread(target=work, daemon=True).start()

    @staticmethod
    def _bound(address):
        out = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        out.bind((address, 0))
        return out

    def _ask(self):
        try:
            while True:
                octets, self._asked = self._near.recvfrom(65536)
                self._recorder.keep("udp", self.port, False, octets)
                self._far.sendto(octets, ("127.0.0.1", self.server_port))
        except OSError:
            return

    def _answer(self):
        try:
            while True:
                octets, _ = self._far.recvfrom(65536)
                self._recorder.keep("udp", self.port, True, octets)
                self._near.sendto(octets, (self.address, self._reply_port) if self._reply_port else self._asked)
        except OSError:
            return

    def close(self):
        self._near.close()
        self._far.close()


# ---- files of packets ----

def _ip(protocol, from_server, payload):
    ends = SERVER + REQUESTOR if from_server else REQUESTOR + SERVER
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + ends + payload


def datagram(octets, port, from_server=True):
    ports = (port, 40000) if from_server else (40000, port)
    return _ip(17, from_server, struct.pack(">HHHH", *ports, 8 + len(octets), 0) + octets)


def _segments(one, port, client_port, sent):
    """`sent`: how much of the connection was sent before, by (connection, from_server)."""
    for at in range(0, len(one.octets), 60000):
        piece = one.octets[at:at + 60000]
        key, back = (one.connection, one.from_server), (one.connection, not one.from_server)
        ports = (port, client_port) if one.from_server else (client_port, port)
        head = struct.pack(">HHIIBBHHH", *ports, 1 + sent[key], 1 + sent[back], 0x50, 0x18, 65535, 0, 0)
        sent[key] += len(piece)
        yield _ip(6, one.from_server, head + piece)


def packets(passed, port):
    """IP packets of what a Recorder kept, as if the server had listened on `port`: all whole messages."""
    streams = collections.defaultdict(bytes)
    for one in passed:
        streams[one.connection, one.from_server] += one.octets
    left = {key: sum(2 + len(message) for message in frames(octets)) for key, octets in streams.items()}
    sent, clients = collections.Counter(), {}
    out = []
    for one in passed:
        if one.transport == "udp":
            out.append(datagram(one.octets, port, one.from_server))
            continue
        key = (one.connection, one.from_server)
        octets = one.octets[:left[key]]  # a requestor that has left may have left in the middle of one
        left[key] -= len(octets)
        client_port = clients.setdefault(one.connection, 40000 + len(clients))
        out += _segments(one._replace(octets=octets), port, client_port, sent)
    return out


def write_pcap(path, ip_packets):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, RAW_IP))
        for n, packet in enumerate(ip_packets):
            file.write(struct.pack("<IIII", n, 0, len(packet), len(packet)) + packet)
    return path


# ---- what tshark says ----

class Dissected:
    """One message: its type, the values of its fields, and what is wrong with it."""

    def __init__(self, proto):
        self.name = proto.get("name")
        self.bare = self.name == BULK and int(proto.get("size")) == 6  # no options at all
        self._fields = collections.defaultdict(list)
        self.problems = []
        for field in proto.iter("field"):
            self._fields[field.get("name")].append(field.get("show"))
            if field.get("name") == "_ws.expert.message" and field.get("show") not in TOLERATED:
                self.problems.append(field.get("show"))
        for one in proto.iter("proto"):  # this one, and those that relays have wrapped
            first, size = int(one.get("pos")), int(one.get("size"))
            if one.get("name") == BULK:
                options = one.find("field[@show='DHCPv6 Options']")
                self._cover(options if options is not None else one, first + 6, first + size)
            elif one.get("name") == PLAIN:
                relayed_on = one.find("field[@name='dhcpv6.msgtype']").get("show") == "12"
                self._cover(one, first + (34 if relayed_on else 4), first + size)

    def __repr__(self):
        return f"{self.name} type {self.type}: {self.problems}"

    @property
    def type(self):
        name = {"dhcp": "dhcp.option.dhcp", BULK: f"{BULK}.msgtype"}.get(self.name, "dhcpv6.msgtype")
        values = self._fields[name]
        return int(values[0], 0) if values else None

    def values(self, name):
        return self._fields[name]

    def _cover(self, element, at, end):
        """Options follow one another without a gap from octet `at` of the packet to octet `end`."""
        for option in element.findall("field[@name='dhcpv6.option.type_str']"):
            code, length = (int(option.find(f"field[@name='dhcpv6.option.{of}']").get("show"), 0)
                            for of in ("type", "length"))
            start = int(option.get("pos"))
            if start != at:
                break
            at = start + 4 + length
            if code in CONTAINERS:
                self._cover(option, start + 4 + (17 if code == 44 else 0), at)
        if at != end:
            self.problems.append(f"options end {end - at} octets before what holds them")


def tshark(path, *arguments):
    """Every DHCP message in a file of packets, in order, as Dissected."""
    if not shutil.which("tshark"):
        raise AssertionError("tshark is not installed: deploy/packages.sh test")
    done = subprocess.run(["tshark", "-n", "-r", str(path), "-T", "pdml", *arguments], capture_output=True,
                          timeout=PATIENCE, env={**os.environ, "LC_ALL": "C.UTF-8"})
    if done.returncode != 0:
        raise AssertionError(f"tshark: {done.stderr.decode(errors='replace')}")
    out = []
    for packet in ElementTree.fromstring(done.stdout).iter("packet"):
        here = [Dissected(proto) for proto in packet.findall("proto") if proto.get("name") in (BULK, PLAIN, "dhcp")]
        # A message without options, such as STARTTLS: the bulk dissector looks for the first one before it asks
        # whether there is any. That is one complaint for each.
        broken = len(packet.findall("proto[@name='_ws.malformed']")) - sum(one.bare for one in here)
        if broken > 0:
            if not here:
                raise AssertionError("malformed, and no DHCP message at all")
            here[-1].problems.append(f"{broken} malformed in this packet")
        out += here
    return out


def relayed(messages):
    """The Relay-forward messages in the OPTION_LQ_RELAY_DATA of v6 messages."""
    def options(octets):
        while len(octets) >= 4:
            code, length = struct.unpack(">HH", octets[:4])
            yield code, octets[4:4 + length]
            octets = octets[4 + length:]
    out = []
    for message in messages:
        for code, value in options(message[4:]):
            inside = options(value) if code == 45 else [(code, value)]
            out += [data[16:] for inner, data in inside if inner == 47]
    return out


# ---- live ----

class LiveCapture(Process):
    """dumpcap on the loopback interface. `why_not` says why there is none, where the system does not permit it."""

    MARK = b"leasemirror-dissection-mark"

    def __init__(self, path, *ports):
        self.path, self.why_not = path, None
        self._mark_port = ports[0]
        wanted = " or ".join(f"port {port}" for port in ports)
        try:
            super().__init__(["dumpcap", "-q", "-i", "lo", "-f", wanted, "-w", str(path)], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        except OSError as error:
            self.why_not = str(error)
            return
        self._said = Lines(self.child.stderr)
        # It says where it writes once the interface is open: from then on no packet is missed.
        wait_until(lambda: self._line("^File: ") or self.child.poll() is not None, "dumpcap to begin or to end")
        if not self._line("^File: "):
            self._said.join()
            self.why_not = " ".join(line for line in self._said.since() if not line.startswith("Capturing on"))

    def _line(self, pattern):
        return any(re.search(pattern, line) for line in self._said.since())

    def end(self):
        """Once all that was sent before is in the file; the number of packets that were lost."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(self.MARK, ("127.0.0.1", self._mark_port))
        wait_until(lambda: self.MARK in self.path.read_bytes(), "the last packet to be in the capture")
        self.send_signal(signal.SIGINT)
        self.wait()
        self._said.join()
        said = "\n".join(self._said.since())
        dropped = re.search(r"Packets received/dropped on interface .*: \d+/(\d+)", said)
        return int(dropped[1]) if dropped else 0
