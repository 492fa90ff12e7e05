#!/usr/bin/env python3
"""check_history.py URL [--schema S] [--renewals]: whether the history in a leasemirror database agrees with itself.

  a  replaying binding_change in the order of seq, from nothing, gives the table binding
  b  assignments of one address on one server never overlap; one is open exactly where a binding is in force; each
     'assigned' and 'ended' of the feed has its boundary of an assignment, and none is without
  c  binding_count, server.bindings, server.doubts and server.gaps_open are what counting says
  d  no seq twice

It reads everything in one transaction, so the agent may be at work meanwhile; it only reads. The feed must be whole:
nothing removed by retention or `forget`. --renewals: storage.record_renewals has been on from the beginning, so that
the times are told whole and compared too. Exit code 0: nothing found; 1: lines that say what; 2: usage.
"""

import argparse
import collections
import json
import pathlib
import sys

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent / "e2e"))
import databases  # noqa: E402

KEY = ("server_id", "vpn_id", "kind", "address", "prefix_len")
NUMBERS = ("hw_type",)
BYTES = ("relay_id", "remote_id", "circuit_id", "subscriber_id")
WORDS = ("end_reason", "hw_addr", "link_address", "relay_address", "hostname", "data_source")
TIMES = ("client_last_seen", "state_since", "preferred_until", "renew_at", "rebind_at")
MEMBERS = {*NUMBERS, *BYTES, *WORDS, *TIMES, "options", "client_id"}


def key_of(row):
    return tuple(row[name] for name in KEY)


def iso(seconds):
    """As the feed writes times."""
    return None if seconds is None else str(databases.Moment(seconds))


def members_of(row):
    """A row of binding in the words of `detail`."""
    told = {name: row[name] for name in NUMBERS + WORDS}
    told.update({name: row[name].hex() if row[name] is not None else None for name in BYTES})
    told.update({name: iso(row[name]) for name in TIMES})
    told["options"] = json.loads(row["options"]) if row["options"] is not None else None
    return told


class Hold:
    """From an 'assigned' to its 'ended', as the feed tells it."""

    def __init__(self, row):
        self.began = row
        self.ended = None
        self.end_reason = None
        self.clients = {row["client_id"]}  # all that it was told to be in the hands of


class Replay:
    """What a consumer of the feed makes of it, for one key."""

    def __init__(self, key, wrong):
        self.key = key
        self.state = None  # none: nothing was told yet
        self.client = None
        self.expires_at = None
        self.members = {}
        self.holds = []
        self._wrong = wrong

    @property
    def in_force(self):
        return self.state == "active"

    def say(self, row, text):
        self._wrong.append(f"feed {row['seq']}, {row['change']} of {self.key}: {text}")

    def apply(self, row):
        detail = json.loads(row["detail"])
        if not MEMBERS.issuperset(detail):
            self.say(row, f"unknown members in detail: {sorted(set(detail) - MEMBERS)}")
        getattr(self, f"_{row['change']}")(row, detail)
        self.state, self.expires_at = row["state"], row["expires_at"]
        self.client = bytes.fromhex(detail["client_id"] or "") or None if "client_id" in detail else row["client_id"]
        detail.pop("client_id", None)
        self.members.update(detail)
        if self.in_force != (self.members.get("end_reason") is None):
            self.say(row, f"state {self.state} with end_reason {self.members.get('end_reason')}")

    def _assigned(self, row, detail):
        if self.in_force:
            self.say(row, f"it was in force, held by {self.client}, and had not ended")
        if row["state"] != "active":
            self.say(row, f"the state is {row['state']}")
        if "client_id" in detail:
            self.say(row, "the client stands in detail")
        self.members = {}
        self.holds.append(Hold(row))

    def _renewed(self, row, detail):
        if not self.in_force or row["state"] != "active":
            self.say(row, f"from state {self.state} to {row['state']}")
        self._compare_but_times(row, detail)

    def _updated(self, row, detail):
        if self.in_force != (row["state"] == "active"):
            self.say(row, f"from state {self.state} to {row['state']}")
        if self.in_force:
            self.holds[-1].clients.add(row["client_id"])

    def _ended(self, row, detail):
        if not self.in_force:
            return self.say(row, f"the state was {self.state}")
        if row["state"] == "active":
            self.say(row, "the state is active")
        if row["client_id"] != self.client:
            self.say(row, f"names {row['client_id']}, and {self.client} had it")
        hold = self.holds[-1]
        hold.ended, hold.end_reason = row, detail.get("end_reason")

    def _compare_but_times(self, row, detail):
        """A renewal changes nothing but times."""
        if row["client_id"] != self.client:
            self.say(row, f"the client was {self.client}, and is {row['client_id']}")
        for name, value in detail.items():
            if name not in TIMES:
                self.say(row, f"{name} changed to {value!r}")


def replay(feed, wrong):
    """By key; d on the way."""
    told = {}
    last = None
    for row in feed:
        if last is not None and row["seq"] <= last:
            wrong.append(f"feed {row['seq']}: after {last}")
        last = row["seq"]
        key = key_of(row)
        if key not in told:
            told[key] = Replay(key, wrong)
        told[key].apply(row)
    return told


def compare_bindings(bindings, told, renewals, wrong):
    for key, row in bindings.items():
        if key not in told:
            wrong.append(f"binding {key}: the feed knows nothing of it")
            continue
        mine, last = members_of(row), told[key]
        here = {"state": row["state"], "client_id": row["client_id"], **mine}
        there = {"state": last.state, "client_id": last.client, **{name: last.members.get(name) for name in mine}}
        if renewals:
            here["expires_at"], there["expires_at"] = row["expires_at"], last.expires_at
        for name in here:
            if (renewals or name not in TIMES) and here[name] != there[name]:
                wrong.append(f"binding {key}: {name} is {here[name]!r}, the feed says {there[name]!r}")
    for key in told.keys() - bindings.keys():
        wrong.append(f"binding {key}: it is not there, the feed says {told[key].state}")


def ordered(assignments):
    """By time; where several begin and end in one second, in the order in which they were written."""
    return sorted(assignments, key=lambda row: (row["began_at"], row["ended_at"] is None, row["ended_at"] or 0,
                                                row["assignment_id"]))


def chains(assignments):
    """Those that follow one another because the client moved make up one hold."""
    found = []
    for row in assignments:
        if found and found[-1][-1]["end_reason"] == "moved" and found[-1][-1]["ended_at"] == row["began_at"]:
            found[-1].append(row)
        else:
            found.append([row])
    return found


def check_assignments(key, assignments, binding, told, wrong, began_afresh):
    def say(text):
        wrong.append(f"assignment of {key}: {text}")

    for before, after in zip(assignments, assignments[1:]):
        if before["ended_at"] is None or before["ended_at"] > after["began_at"]:
            say(f"{before['assignment_id']} ends at {iso(before['ended_at'])}, and {after['assignment_id']} begins "
                f"at {iso(after['began_at'])}")
    opened = [row for row in assignments if row["ended_at"] is None]
    in_force = binding is not None and binding["state"] == "active"
    if len(opened) != int(in_force):
        say(f"{len(opened)} are open, and the binding is {binding['state'] if binding else 'not there'}")
    if binding is not None:
        open_id = opened[0]["assignment_id"] if opened else None
        if binding["assignment_id"] != open_id:
            say(f"the open one is {open_id}, the binding names {binding['assignment_id']}")
        if assignments:
            last = assignments[-1]["began_at"] if opened else assignments[-1]["ended_at"]
            if binding["boundary_at"] != last:
                say(f"the last boundary is {iso(last)}, the binding says {iso(binding['boundary_at'])}")
    compare_holds(chains(assignments), told.holds if told else [], began_afresh, say)


def compare_holds(found, told, began_afresh, say):
    if len(found) != len(told):
        return say(f"{len(found)} holds, and the feed tells of {len(told)}")
    for chain, hold in zip(found, told):
        first, last = chain[0], chain[-1]
        name = f"{first['assignment_id']} to {last['assignment_id']}, feed {hold.began['seq']}"
        for row in chain:
            if row["client_id"] is not None and row["client_id"] not in hold.clients:
                say(f"{name}: held by {row['client_id']}, the feed says {hold.clients}")
        if hold.began["client_id"] is not None and first["client_id"] != hold.began["client_id"]:
            say(f"{name}: begun by {first['client_id']}, the feed says {hold.began['client_id']}")
        if first["began_at"] > hold.began["at"]:
            say(f"{name}: it begins after it was told of")
        # A fresh start in what may be another clock of the agent's makes beginnings unsure after they were told.
        if first["began_inferred"] > hold.began["inferred"] and not began_afresh:
            say(f"{name}: the beginning is inferred, and not so in the feed")
        if (last["ended_at"] is None) != (hold.ended is None):
            say(f"{name}: ended at {iso(last['ended_at'])}, which the feed does not say")
        elif hold.ended is not None:
            if last["end_reason"] != hold.end_reason:
                say(f"{name}: ended as {last['end_reason']}, the feed says {hold.end_reason}")
            if last["ended_at"] > hold.ended["at"]:
                say(f"{name}: it ends after that was told")
            if last["ended_inferred"] > hold.ended["inferred"]:
                say(f"{name}: the end is inferred, and not so in the feed")


def check_sums(db, bindings, wrong):
    counted = collections.Counter((row["server_id"], row["state"]) for row in bindings.values())
    kept = {(row["server_id"], row["state"]): row["bindings"] for row in db.query("SELECT * FROM binding_count")}
    for key in sorted(counted.keys() | kept.keys()):
        if counted[key] != kept.get(key, 0):
            wrong.append(f"binding_count {key}: {kept.get(key, 0)}, and there are {counted[key]}")
    open_gaps = collections.Counter(row["server_id"] for row in
                                    db.query("SELECT server_id FROM gap WHERE closed_at IS NULL"))
    doubts = collections.Counter(row["server_id"] for row in bindings.values() if row["doubt"] is not None)
    for row in db.query("SELECT server_id, name, bindings, doubts, gaps_open FROM server"):
        for column, there in (("bindings", counted[row["server_id"], "active"]),
                              ("doubts", doubts[row["server_id"]]),
                              ("gaps_open", open_gaps[row["server_id"]])):
            if row[column] != there:
                wrong.append(f"server {row['name']}: {column} is {row[column]}, and there are {there}")


def problems(db, renewals):
    """What is wrong, in words, in what `db` sees from now on: a connection of databases.py that nobody uses else."""
    db.begin_snapshot()
    wrong = []
    columns = ", ".join(KEY)
    told = replay(db.query(f"SELECT seq, at, {columns}, change, state, client_id, expires_at, detail, inferred "
                           "FROM binding_change ORDER BY seq"), wrong)
    bindings = {key_of(row): row for row in db.query(
        f"SELECT {columns}, state, client_id, expires_at, assignment_id, boundary_at, doubt, options, "
        f"{', '.join(NUMBERS + BYTES + WORDS + TIMES)} FROM binding")}
    compare_bindings(bindings, told, renewals, wrong)
    assignments = collections.defaultdict(list)
    for row in db.query(f"SELECT assignment_id, {columns}, client_id, began_at, ended_at, end_reason, began_inferred, "
                        "ended_inferred FROM assignment"):
        assignments[key_of(row)].append(row)
    afresh = {row["server_id"] for row in db.query("SELECT server_id FROM server WHERE epoch > 0")}
    for key in sorted(assignments.keys() | bindings.keys() | told.keys(), key=str):
        check_assignments(key, ordered(assignments[key]), bindings.get(key), told.get(key), wrong, key[0] in afresh)
    check_sums(db, bindings, wrong)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", metavar="URL", help="storage.url of the configuration")
    parser.add_argument("--schema", help="storage.schema")
    parser.add_argument("--renewals", action="store_true", help="storage.record_renewals has always been on")
    options = parser.parse_args()
    try:
        db = databases.named(options.url, options.schema).connect()
    except ValueError as error:
        parser.error(str(error))
    wrong = problems(db, options.renewals)
    db.close()
    for line in wrong:
        print(line)
    print(f"{len(wrong)} things wrong" if wrong else "the history agrees with itself")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
