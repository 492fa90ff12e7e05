"""What the scenarios of `leasemirror query` have in common.

The database of the configuration must not exist when a test ends: query never opens it.
"""

import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from harness import BYTES, TIMES, TIMES_TO_COME, WORDS, Leasesim, Lines, command, key_of, program, unix

CLOSE = 10  # seconds between two equal times: a loaded machine may hold a message back that tells the server's time
DUID = "000300010200deadbeef"
COLUMNS = {"server", "also_on", "vpn_id", "kind", "family", "address", "prefix_len", "state", "client_id", "hw_type",
           "hw_addr", "hostname", "client_last_seen", "state_since", "expires_at", "preferred_until", "renew_at",
           "rebind_at", "link_address", "relay_address", "relay_id", "remote_id", "circuit_id", "subscriber_id",
           "options", "data_source", "base_time", "via"}


class Asking(unittest.TestCase):
    """A configuration, servers that end with the test, and the command."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="leasemirror-query-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.config = self.dir / "leasemirror.yaml"

    def tearDown(self):
        self.assertEqual([p.name for p in self.dir.iterdir() if p.name != self.config.name], [])

    def configure(self, *servers, **requestor):
        self.config.write_text(json.dumps({"storage": {"url": f"sqlite://{self.dir}/leases.db"},
                                           "requestor": {"duid": DUID, **requestor}, "servers": list(servers)}))

    def leasesim(self, *options):
        sim = Leasesim(*options)
        self.addCleanup(sim.kill)
        return sim

    def query(self, *arguments):
        done = command("query", "-c", self.config, *arguments)
        self.assertNotRegex(done.stderr, "Sanitizer|runtime error:|Assertion .* failed|terminate called")
        return done

    def rows(self, *arguments, code=0):
        """The rows that --json gives; each has the columns of the contract."""
        done = self.query(*arguments, "--json")
        self.assertEqual(done.returncode, code, done.stderr)
        out = [json.loads(line) for line in done.stdout.splitlines()]
        for row in out:
            self.assertEqual(set(row) | {"also_on"}, COLUMNS)
        self.stderr = done.stderr
        return out

    def begin(self, *arguments):
        """The command, running; its streams as lines."""
        child = subprocess.Popen([program("LEASEMIRROR"), "query", "-c", str(self.config), *map(str, arguments)],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (child.kill(), child.wait()))
        return child, Lines(child.stdout), Lines(child.stderr)

    def assert_refused(self, pattern, *arguments, code=2):
        done = self.query(*arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertRegex(done.stderr, pattern)

    def assert_same(self, rows, truth, **differing):
        """The rows are the server's bindings, attribute by attribute."""
        self.assertEqual(sorted(map(key_of, rows)), sorted(map(key_of, truth)))
        told = {key_of(row): row for row in truth}
        for row in rows:
            other = {**told[key_of(row)], **differing}
            for column in BYTES + WORDS:
                self.assertEqual(row[column], other[column], (column, row))
            for column in TIMES + TIMES_TO_COME:
                one, two = unix(row[column]), unix(other[column])
                if two is None and column in TIMES_TO_COME:
                    continue
                self.assertEqual(one is None, two is None, (column, row, other))
                self.assertTrue(one is None or abs(one - two) <= CLOSE, (column, row, other))


def with_most(truth, column):
    """The value of a column that the most rows have, so that a filter by it has something to find and to leave out."""
    values = [row[column] for row in truth if row[column]]
    return max(values, key=values.count)
