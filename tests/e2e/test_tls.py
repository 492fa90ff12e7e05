"""Secure mode with real handshakes: against leasesim, against openssl s_server, and against Python's own TLS.

Whatever goes wrong, three things must hold: the reason stands in the log, in `status` and in server.last_error, in words
that say what to do; nothing of a query ever leaves in clear text, which a wire tap between the two proves; and the agent
goes on trying.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess

import wire
from certificates import DAY, Authority, directory_of
from harness import PATIENCE, EndToEnd, Lines, Moment, command, main, sim_server, wait_until, yaml_server
from wire import Recorder, clear_text

MODES = [("v4", "starttls"), ("v6", "starttls"), ("v4", "direct"), ("v6", "direct")]


class Secure(EndToEnd):
    """An authority that signs both sides, and another one that nobody trusts."""

    @classmethod
    def setUpClass(cls):
        cls.pki = directory_of(cls)
        cls.ca = Authority(cls.pki)
        cls.other = Authority(cls.pki, "other-authority")
        cls.server_pair = cls.ca.issue("server", "IP:127.0.0.1,DNS:dhcp.example")
        cls.agent_pair = cls.ca.issue("agent", None)

    def setUp(self):
        super().setUp()
        self.taps = []
        self.mode = None

    def tearDown(self):
        for family, mode, tap in self.taps:
            for octets in tap.connections():
                self.assertIsNone(clear_text(family, mode, octets))
        super().tearDown()

    def tls(self, mode, **more):
        """The agent's side; a key given as None is left out."""
        files = {"mode": mode, "ca": self.ca.cert, "cert": self.agent_pair.cert, "key": self.agent_pair.key, **more}
        return {key: str(value) for key, value in files.items() if value is not None}

    def sim(self, family, mode, *options, pair=None, ca=None):
        pair = pair or self.server_pair
        ca = ca or self.ca
        return self.leasesim("--family", family, "--bindings", "300", "--links", "2", "--tls", mode, "--tls-cert",
                             pair.cert, "--tls-key", pair.key, "--tls-ca", ca.cert, *options)

    def tap(self, family, mode, port):
        tap = Recorder(port)
        self.addCleanup(tap.close)
        self.taps.append((family, mode, tap))
        return tap

    def start(self, family, mode, port, tls=None, **more):
        """An agent that sees the server through a wire tap."""
        more.setdefault("timeouts", {"retry": "100ms"})
        tap = self.tap(family, mode, port)
        self.configure(sim_server("s", family, tap.port, links=2, tls=tls or self.tls(mode), **more))
        return self.agent()

    def wait_reason(self, agent, reason):
        """Until the log, server.last_error and `status` all say so."""
        line = agent.log.wait(r" warn error .*" + reason)
        self.wait_error(reason)
        printed = command("status", "-c", self.config).stdout
        self.assertRegex(printed, "last error.*" + reason)
        return line

    def wait_error(self, reason):
        wait_until(lambda: re.search(reason, self.one("SELECT last_error FROM server") or ""),
                   lambda: f"server.last_error to say {reason!r}: {self.one('SELECT last_error FROM server')!r}")

    def fails(self, family, mode, reason, *options, pair=None, ca=None, tls=None, again=True, **more):
        """An agent that cannot have this server, again and again, for this reason."""
        sim = self.sim(family, mode, *options, pair=pair, ca=ca)
        agent = self.start(family, mode, sim.port, tls, **more)
        self.wait_reason(agent, reason)
        if again:
            wait_until(lambda: len(self.taps[-1][2].connections()) >= 2, "another attempt")
        stats = sim.stats()
        self.assertEqual((stats["clear_queries"], stats["bulk_queries"], stats["active_queries"]), (0, 0, 0))
        self.assertEqual(agent.terminate(), 0)
        for line in agent.log.since():
            self.assertNotIn("PRIVATE KEY", line)
        return agent


class Mirror(Secure):
    """All that works in clear text works over TLS."""

    def test_the_mirror_equals_the_server(self):
        for family, mode in MODES:
            with self.subTest(family=family, mode=mode):
                self.db.drop()
                self.db = self.make_database()
                sim = self.leasesim("--family", family, "--bindings", "3000", "--churn", "200", "--links", "2", "--tls",
                                    mode, "--tls-cert", self.server_pair.cert, "--tls-key", self.server_pair.key,
                                    "--tls-ca", self.ca.cert)
                agent = self.start(family, mode, sim.port)
                self.wait_live()
                sim.ask("stop-churn")
                self.assert_equal_to(sim)
                stats = sim.stats()
                self.assertEqual((stats["clear_queries"], stats["handshakes_failed"]), (0, 0))
                self.assertEqual(stats["upgrade_requests"], stats["handshakes"] if mode == "starttls" else 0)
                self.assertEqual(agent.terminate(), 0)

    def test_the_older_protocol(self):
        sim = self.sim("v6", "starttls", "--tls-max", "1.2")
        self.start("v6", "starttls", sim.port)
        self.wait_live()
        self.assert_equal_to(sim)

    def test_streams_in_odd_pieces_and_cut_off(self):
        """The stream ends without close_notify: what is whole counts, and the rest is asked for again."""
        sim = self.sim("v6", "direct", "--churn", "100", "--fault", "tiny-writes=3000@now*2", "--fault",
                       "hold-frames=5@msg:20*3", "--fault", "tls-cut@msg:40*3")
        agent = self.start("v6", "direct", sim.port)
        agent.log.wait("cut off: closed without close_notify")
        wait_until(lambda: sim.stats()["faults"] >= 3, "the faults to strike")
        self.wait_live()
        sim.ask("stop-churn")
        self.assert_equal_to(sim)

    def test_a_name_and_a_pin(self):
        sim = self.sim("v4", "starttls")
        pins = self.other.pin() + ";" + self.server_pair.pin()
        self.start("v4", "starttls", sim.port, self.tls("starttls", server_name="dhcp.example", pin=pins))
        self.wait_live()
        self.assert_equal_to(sim)

    def test_a_revocation_list_that_does_not_name_the_server(self):
        ca = Authority(self.pki, self.id())
        server, revoked = ca.issue("server"), ca.issue("revoked")
        ca.revoke(revoked)
        sim = self.sim("v4", "direct", pair=server)
        self.start("v4", "direct", sim.port, self.tls("direct", ca=ca.cert, crl=ca.revocation_list()))
        self.wait_live()


class Certificates(Secure):
    """Each way in which a certificate can be wrong."""

    def test_from_an_authority_that_we_do_not_know(self):
        reason = (r"TLS: the server's certificate \(CN=server\) does not come from an authority in \S+ca.pem \(tls.ca\): "
                  "it leads to CN=authority")
        for family, mode in MODES:
            with self.subTest(family=family, mode=mode):
                self.fails(family, mode, reason, tls=self.tls(mode, ca=self.other.cert))

    def test_signed_by_itself(self):
        self.fails("v4", "direct", r"\(CN=other-authority\) is signed by itself and is not in \S+ca.pem", pair=self.other)

    def test_expired(self):
        old = self.ca.issue("old", ends=-3600)
        self.fails("v6", "starttls", r"certificate \(CN=old\) expired on \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", pair=old)

    def test_not_yet_valid(self):
        new = self.ca.issue("new", begins=DAY, ends=9 * DAY)
        self.fails("v4", "starttls", r"certificate \(CN=new\) is not valid before \S+Z; is the clock", pair=new)

    def test_of_another_name(self):
        named = self.ca.issue("named", "DNS:a.example,DNS:b.example,IP:192.0.2.1")
        self.fails("v4", "starttls", r"is for a.example, b.example, 192.0.2.1, not for 127.0.0.1 \(address\)", pair=named)

    def test_of_another_name_than_configured(self):
        self.fails("v6", "direct", r"is for 127.0.0.1, dhcp.example, not for dhcp-b.example \(tls.server_name\)",
                   tls=self.tls("direct", server_name="dhcp-b.example"))

    def test_with_a_name_in_the_subject_alone(self):
        unnamed = self.ca.issue("dhcp.example", None)
        self.fails("v4", "direct", "is for no name or address at all", pair=unnamed,
                   tls=self.tls("direct", server_name="dhcp.example"))

    def test_for_another_purpose(self):
        client = self.ca.issue("client", usage="clientAuth")
        self.fails("v4", "direct", "was not issued for a TLS server", pair=client)

    def test_revoked(self):
        ca = Authority(self.pki, self.id())
        server = ca.issue("server")
        ca.revoke(server)
        self.fails("v6", "starttls", r"certificate \(CN=server\) has been revoked by its authority \(\S+crl.pem, tls.crl\)",
                   pair=server, tls=self.tls("starttls", ca=ca.cert, crl=ca.revocation_list()))

    def test_of_an_authority_whose_revocation_list_is_missing(self):
        self.fails("v4", "direct", r"cannot be checked for revocation: \S+ \(tls.crl\) has no list of the authority",
                   tls=self.tls("direct", crl=self.other.revocation_list()))

    def test_with_another_key_than_pinned(self):
        reason = re.escape(f"(CN=server) has the key {self.server_pair.pin()}, which is not in tls.pin")
        self.fails("v4", "starttls", reason, tls=self.tls("starttls", pin=self.agent_pair.pin()))

    def test_ours_is_of_an_authority_that_the_server_does_not_know(self):
        """With TLS 1.3 it says so only after the handshake, when our query has been sent inside already."""
        for family, mode in MODES:
            for version in ("1.2", "1.3"):
                with self.subTest(family=family, mode=mode, version=version):
                    self.fails(family, mode, r"cannot connect to .*the server refused our certificate \(CN=agent, tls.cert",
                               "--tls-max", version, ca=self.other)


class Refusals(Secure):
    """Each way in which a server can fail to go along with secure mode."""

    def test_answers_to_the_upgrade(self):
        faults = {"tls-refused": "the server refused TLS: TLSConnectionRefused",
                  "tls-status=1": "the server refused TLS: UnspecFail",
                  "tls-close": r"the server closed the connection on (DHCPTLS|STARTTLS) \(closed by the server\)",
                  "tls-wrong-xid": "transaction-id",
                  "tls-clear-octets": "octets in clear text came behind the answer to (DHCPTLS|STARTTLS), before TLS began: "
                                      "somebody on the way may be attacking"}
        for family in ("v4", "v6"):
            for fault, reason in faults.items():
                with self.subTest(family=family, fault=fault):
                    self.fails(family, "starttls", reason, "--fault", f"{fault}@now*0")

    def test_no_answer_to_the_upgrade(self):
        self.fails("v6", "starttls", "the server did not answer STARTTLS in time", "--fault", "tls-no-answer@now*0",
                   timeouts={"retry": "100ms", "connect": "300ms"})

    def test_broken_handshakes(self):
        faults = {"tls-truncated": "TLS: the handshake was cut off: closed by the server",
                  "tls-garbage": "TLS: what the server sent is not TLS"}
        for (family, mode), (fault, reason) in zip(MODES * 2, list(faults.items()) * 4):
            with self.subTest(family=family, mode=mode, fault=fault):
                self.fails(family, mode, reason, "--fault", f"{fault}@now*0")

    def test_a_handshake_that_stalls(self):
        self.fails("v4", "direct", "TLS: the handshake did not end in time", "--fault", "tls-stall@now*0",
                   timeouts={"retry": "100ms", "connect": "300ms"})

    def test_an_old_version(self):
        for family, mode in MODES:
            with self.subTest(family=family, mode=mode):
                self.fails(family, mode, "(wants a version older than 1.2|speaks no TLS newer than 1.1)", "--tls-max", "1.1")

    def test_a_server_without_tls(self):
        sim = self.leasesim("--family", "v4")
        agent = self.start("v4", "starttls", sim.port)
        self.wait_reason(agent, "the server refused TLS: TLSConnectionRefused.*; enable TLS for leasequery there")
        self.assertEqual(sim.stats()["bulk_queries"], 0)

    def test_the_wrong_mode(self):
        starttls = self.sim("v4", "starttls")
        agent = self.start("v4", "direct", starttls.port, timeouts={"retry": "100ms", "connect": "300ms"})
        self.wait_reason(agent, "TLS: the handshake did not end in time; if the server expects DHCPTLS first, set tls.mode")
        agent.terminate()
        direct = self.sim("v6", "direct")
        agent = self.start("v6", "starttls", direct.port)
        self.wait_reason(agent, "closed the connection on STARTTLS.*set tls.mode to direct")

    def test_renegotiation(self):
        """Refused, and said; then the server is asked again."""
        sim = self.sim("v6", "starttls", "--tls-max", "1.2", "--fault", "tls-renegotiate@now*2")
        agent = self.start("v6", "starttls", sim.port)
        self.wait_reason(agent, "the server asked for a renegotiation")
        self.wait_live()
        self.assert_equal_to(sim)
        self.assertEqual(sim.stats()["clear_queries"], 0)


class Files(Secure):
    """The agent's own certificate and key on the disk."""

    def setUp(self):
        super().setUp()
        self.cert, self.key = self.dir / "agent.pem", self.dir / "agent.key"
        self.put(self.agent_pair)

    def put(self, pair):
        """As a tool that renews certificates does: a new file in the place of the old one."""
        for source, target in ((pair.key, self.key), (pair.cert, self.cert)):
            fresh = target.with_suffix(".new")
            shutil.copy(source, fresh)
            fresh.chmod(0o600)
            fresh.rename(target)

    def own(self, mode, **more):
        """Named relative to the configuration."""
        return self.tls(mode, cert="agent.pem", key="agent.key", **more)

    def expires_at(self):
        return self.one("SELECT certificate_expires_at FROM server")

    def end_of(self, pair):
        text = subprocess.run(["openssl", "x509", "-in", pair.cert, "-noout", "-enddate"], capture_output=True, text=True,
                              check=True).stdout
        return int(ssl.cert_time_to_seconds(text.strip().partition("=")[2]))

    def test_the_commands_of_the_readme(self):
        """As they stand there, and then a server that is reached by its name."""
        text = (pathlib.Path(__file__).resolve().parents[2] / "deploy" / "README.md").read_text()
        commands = re.findall(r"^ +(openssl .*)$", text[text.index("\n## Secure mode"):text.index("\n## Operation")], re.M)
        self.assertEqual(len(commands), 5)
        for line in commands:
            subprocess.run(line, shell=True, cwd=self.dir, check=True, capture_output=True)
        pin = re.search(r"`(openssl x509 -in server.pem [^`]*)`", text)[1]
        pin = subprocess.run(pin, shell=True, cwd=self.dir, check=True, capture_output=True, text=True).stdout.strip()
        sim = self.leasesim("--family", "v4", "--bindings", "100", "--tls", "starttls", "--tls-cert", self.dir / "server.pem",
                            "--tls-key", self.dir / "server.key", "--tls-ca", self.dir / "ca.pem")
        self.start("v4", "starttls", sim.port, {"mode": "starttls", "ca": "ca.pem", "cert": "agent.pem", "key": "agent.key",
                                                "server_name": "dhcp.example.net", "pin": f"sha256//{pin}"})
        self.wait_live()
        self.assert_equal_to(sim)

    def test_a_renewed_certificate_is_used_for_the_next_connection(self):
        short, long = self.ca.issue("short", None, ends=40 * DAY), self.ca.issue("long", None, ends=50 * DAY)
        self.put(short)
        sim = self.sim("v4", "starttls")
        agent = self.start("v4", "starttls", sim.port, self.own("starttls"))
        self.wait_live()
        self.wait_sql("SELECT certificate_expires_at = ? FROM server", Moment(self.end_of(short)))
        self.put(long)
        sim.ask("restart")
        self.wait_sql("SELECT certificate_expires_at = ? FROM server", Moment(self.end_of(long)))
        self.wait_live()
        # Files that cannot be used leave those in use that were read before, and that is said once.
        self.cert.write_text("nonsense\n")
        accepted = sim.stats()["accepted"]
        for _ in range(2):
            sim.ask("restart")
            wait_until(lambda: sim.stats()["accepted"] > accepted, "another connection")
            accepted = sim.stats()["accepted"]
            self.wait_live()
        told = [line for line in agent.log.since() if "tls-files" in line]
        self.assertEqual(len(told), 1, told)
        self.assertRegex(told[0], r"warn tls-files server=s text=.*tls.cert \S+agent.pem holds no certificate.*stay in use")
        # Nor is a key that belongs to another certificate; when the right one has come, both are used.
        self.put(short)
        sim.ask("restart")
        self.wait_sql("SELECT certificate_expires_at = ? FROM server", Moment(self.end_of(short)))
        self.wait_live()
        self.assertEqual(agent.terminate(), 0)

    def test_a_certificate_that_is_about_to_end(self):
        self.put(self.ca.issue("ending", None, ends=5 * DAY + 3600))
        sim = self.sim("v6", "direct")
        agent = self.start("v6", "direct", sim.port, self.own("direct"))
        agent.log.wait(r"warn certificate server=s text=\"our certificate \(tls.cert\) expires on \S+Z, in 5 days; renew it")
        self.wait_live()
        self.wait_sql("SELECT certificate_days = 5 FROM server")
        self.assertRegex(command("status", "-c", self.config).stdout, "certificate: 5 days left, until ")
        self.assertIn('"certificate_days":5', command("status", "--json", "-c", self.config).stdout)
        self.assertEqual(agent.terminate(), 0)
        said = [line for line in agent.log.since() if " certificate " in line]
        self.assertEqual(len(said), 1, "once, although there were several connections")

    def complaint(self, code=2):
        """What `run` and `check` say of files that cannot be used; both must say it."""
        self.configure(sim_server("s", "v4", 9, tls=self.own("direct")))
        run, check = command("run", "-c", self.config), command("check", "-c", self.config)
        self.assertEqual((run.returncode, check.returncode), (code, code), run.stderr + check.stderr)
        self.assertEqual(run.stderr, check.stderr)
        return run.stderr

    def test_files_that_cannot_be_used(self):
        self.key.chmod(0o644)
        self.assertRegex(self.complaint(), r"server s: tls.key \S+agent.key can be read or written by others than its "
                                           r"owner; chmod 600 \S+agent.key")
        self.put(self.agent_pair)
        shutil.copy(self.server_pair.key, self.key)
        self.assertRegex(self.complaint(), r"tls.key \S+ is not the key of the certificate in tls.cert \S+agent.pem")
        self.key.write_text("nonsense\n")
        self.assertRegex(self.complaint(), "holds no private key in PEM form without a passphrase")
        subprocess.run(["openssl", "ec", "-in", self.agent_pair.key, "-aes256", "-passout", "pass:secret", "-out", self.key],
                       check=True, capture_output=True)
        self.assertRegex(self.complaint(), "holds no private key in PEM form without a passphrase")
        self.key.unlink()
        self.assertRegex(self.complaint(), r"tls.key \S+ cannot be read: No such file or directory")

    def test_our_certificate_is_out_of_its_time(self):
        """For `check` a mistake; for `run` the trouble of that server alone, and over with the new certificate."""
        former, future = self.ca.issue("former", None, ends=-DAY), self.ca.issue("future", None, begins=DAY)
        other = self.leasesim("--family", "v4", "--bindings", "10")
        sim = self.sim("v4", "starttls")
        tap = self.tap("v4", "starttls", sim.port)
        for pair, said in ((former, r"\(CN=former\) expired on \S+Z; renew it"),
                           (future, r"\(CN=future\) is not valid before \S+Z; is the clock of this host right")):
            with self.subTest(name=pair.cert.stem):
                said = r"the certificate in tls.cert \S+ " + said
                self.put(pair)
                self.db.drop()
                self.db = self.make_database()
                self.configure(sim_server("s", "v4", tap.port, tls=self.own("starttls"), timeouts={"retry": "100ms"}),
                               sim_server("other", "v4", other.port))
                check = command("check", "-c", self.config)
                self.assertEqual(check.returncode, 2)
                self.assertRegex(check.stderr, r"\S+: server s: " + said)
                seen = len(tap.connections())
                agent = self.agent()
                agent.log.wait("warn certificate server=s text=.*" + said)
                agent.log.wait(r" warn error server=s .*cannot connect to \S+ port \d+: TLS: " + said)
                self.wait_live("other")
                mark = len(agent.log)
                agent.send_signal(signal.SIGHUP)
                agent.log.wait("info reloading", mark)
                agent.log.wait("warn certificate server=s text=.*" + said, mark)
                self.assertEqual(len(tap.connections()), seen)
                self.put(self.agent_pair)
                self.wait_live()
                self.assertEqual(agent.terminate(), 0)

    def test_reload_with_files_that_cannot_be_used(self):
        sim = self.sim("v4", "direct")
        agent = self.start("v4", "direct", sim.port, self.own("direct"))
        self.wait_live()
        self.key.chmod(0o666)
        agent.send_signal(signal.SIGHUP)
        agent.log.wait("error config_error .*can be read or written by others.*stays as it was")
        self.put(self.agent_pair)
        mark = len(agent.log)
        agent.send_signal(signal.SIGHUP)
        agent.log.wait("info reloading", mark)
        agent.log.wait("caught-up|to=live", mark)
        self.assertEqual(agent.terminate(), 0)


class OtherPeers(Secure):
    """Servers that are not ours: openssl s_server, and Python's ssl with a server played by hand."""

    def s_server(self, *options, pair=None):
        pair = pair or self.server_pair
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        child = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", pair.cert, "-key", pair.key, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self.addCleanup(lambda: (child.kill(), child.wait(PATIENCE), child.stdin.close()))
        said = Lines(child.stdout)
        said.wait("ACCEPT")
        return port, said

    def test_our_certificate_is_shown(self):
        port, said = self.s_server("-Verify", "1", "-verify_return_error", "-CAfile", str(self.ca.cert))
        self.start("v4", "direct", port)
        said.wait("CN = agent")

    def test_refused_by_s_server(self):
        """It wants a certificate of another authority."""
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version=version):
                port, _ = self.s_server(version, "-Verify", "1", "-verify_return_error", "-CAfile", str(self.other.cert))
                agent = self.start("v4", "direct", port)
                self.wait_reason(agent, "the server refused our certificate .*alert 'unknown CA'")
                agent.terminate()

    def test_old_versions(self):
        for version in ("-tls1", "-tls1_1"):
            with self.subTest(version=version):
                port, _ = self.s_server(version, "-cipher", "ALL:@SECLEVEL=0")
                agent = self.start("v4", "direct", port)
                self.wait_reason(agent, "(wants a version older than 1.2|speaks no TLS newer than 1.1)")
                agent.terminate()

    def test_ciphers_without_forward_secrecy(self):
        rsa = self.ca.issue("rsa", algorithm=("RSA", "rsa_keygen_bits:2048"))
        port, _ = self.s_server("-tls1_2", "-cipher", "AES128-GCM-SHA256", pair=rsa)
        agent = self.start("v4", "direct", port)
        self.wait_reason(agent, "alert 'handshake failure'.*knows no cipher that is allowed here")

    def test_a_weak_key(self):
        rsa = self.ca.issue("weak", algorithm=("RSA", "rsa_keygen_bits:1024"))
        port, _ = self.s_server("-cipher", "ALL:@SECLEVEL=0", pair=rsa)
        agent = self.start("v4", "direct", port)
        self.wait_reason(agent, r"certificate \(CN=weak\) is too weak")

    def played(self, family):
        """A server played by hand, inside Python's TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_pair.cert, self.server_pair.key)
        context.load_verify_locations(self.ca.cert)
        context.verify_mode = ssl.CERT_REQUIRED
        server = wire.Server(family, lambda peer: context.wrap_socket(peer, server_side=True))
        self.addCleanup(server.close)
        return server

    def test_an_independent_server(self):
        for family in ("v4", "v6"):
            with self.subTest(family=family):
                server = self.played(family)
                self.db.drop()
                self.db = self.make_database()
                bulk = {"queries": [{"link": "2001:db8:1::1"}], "covers": "all"} if family == "v6" else {}
                tap = self.tap(family, "direct", server.port)
                self.configure(yaml_server("s", family, tap.port, tls=self.tls("direct"), bulk=bulk))
                agent = self.agent()
                query = server.query("bulk")
                base = int(self.began())
                query.lease(1, base, "a")
                query.done(base)
                active = server.query("active")
                active.accept(base)
                active.catch_up_complete(base)
                active.lease(2, base + 1, "b")
                self.wait_sql("SELECT count(*) = 2 FROM binding WHERE state = 'active'")
                # An orderly end from the other side is told apart from one that is cut off.
                mark = len(agent.log)
                active.connection.socket.unwrap()
                agent.log.wait("the active connection ended: closed by the server", mark)
                active = server.query("active")
                mark = len(agent.log)
                active.accept(base)
                active.lease(3, base + 2, "c")
                self.wait_sql("SELECT count(*) = 3 FROM binding WHERE state = 'active'")
                active.connection.close()
                agent.log.wait("the active connection ended: the TLS stream was cut off", mark)
                self.assertEqual(agent.terminate(), 0)

    def began(self):
        return int(os.stat(self.dir).st_mtime)


class Check(Secure):
    def test_check_connect(self):
        for family, mode in MODES:
            with self.subTest(family=family, mode=mode):
                sim = self.sim(family, mode)
                tap = self.tap(family, mode, sim.port)
                self.configure(sim_server("s", family, tap.port, links=2, tls=self.tls(mode)))
                done = command("check", "--connect", "-c", self.config)
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertRegex(done.stdout, r"s  reachable  bulk: yes  active: yes .*\(TLS: the first certificate ends \S+Z\)")

    def test_what_check_connect_says_of_a_server_that_it_cannot_have(self):
        sim = self.sim("v4", "direct", ca=self.other)
        tap = self.tap("v4", "direct", sim.port)
        self.configure(sim_server("s", "v4", tap.port, tls=self.tls("direct")))
        done = command("check", "--connect", "-c", self.config)
        self.assertEqual(done.returncode, 3, done.stdout)
        self.assertRegex(done.stdout, r"s  not reachable: cannot connect to \S+ port \d+: TLS: the server refused our cert")
        self.configure(sim_server("s", "v4", tap.port, tls=self.tls("direct", ca=self.other.cert)))
        done = command("check", "--connect", "-c", self.config)
        self.assertEqual(done.returncode, 3, done.stdout)
        self.assertRegex(done.stdout, "s  not reachable: .*does not come from an authority in")


if __name__ == "__main__":
    main()
