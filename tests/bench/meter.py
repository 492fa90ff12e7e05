"""What processes use up, as the kernel counts it: processor time and memory."""

import dataclasses
import os
import pathlib
import subprocess
import time

import cluster

TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Bare:
    """What a baseline took: seconds, and processor time of all that it needed."""

    rows: int
    seconds: float
    cpu: float
    details: dict = dataclasses.field(default_factory=dict)
    wal_bytes: int = 0

    @property
    def cpu_us(self):
        return self.cpu / self.rows * 1e6


def stat_fields(pid):
    """Of /proc/PID/stat, from the third one on: the second is a name, with any characters in it."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def cpu_seconds(pid, with_ended_children=False):
    fields = stat_fields(pid)
    return sum(map(int, fields[11:15 if with_ended_children else 13])) / TICKS


def peak_resident_bytes(pid):
    return status_bytes(pid, "VmHWM")


def resident_bytes(pid):
    return status_bytes(pid, "VmRSS")


def status_bytes(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def postgres_cpu_seconds(postmaster, without=()):
    """Of all processes that the server has and had, but for those backends: they are our own, and only look."""
    while True:
        ended = cpu_seconds(postmaster, with_ended_children=True)
        total = ended
        for pid in cluster.children_of(postmaster):
            if pid not in without:
                try:
                    total += cpu_seconds(pid)
                except OSError:
                    break  # it has just ended, and the postmaster has its time
        # One that ended in between would count twice or not at all.
        if cpu_seconds(postmaster, with_ended_children=True) == ended:
            return total


class Child:
    """What a program that ends by itself took."""

    def __init__(self, arguments, **popen):
        began = time.monotonic()
        child = subprocess.Popen([str(a) for a in arguments], stderr=subprocess.PIPE, text=True, errors="replace", **popen)
        said = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        child.stderr.close()
        self.seconds = time.monotonic() - began
        self.cpu = usage.ru_utime + usage.ru_stime
        if child.returncode != 0:
            raise SystemExit(f"{arguments[0]} ended with {child.returncode}: {said[-2000:]}")
