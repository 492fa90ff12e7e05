"""Certificates made for one test by the openssl command: authorities, good ones, and each way in which one can be bad."""

import base64
import hashlib
import pathlib
import shutil
import subprocess
import tempfile
import time

DAY = 86400

CA_CONFIG = """
[ca]
default_ca = here
[here]
dir = {dir}
database = $dir/index
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir/issued
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
default_crl_days = 30
unique_subject = no
policy = any
[any]
commonName = supplied
"""


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def utc(at):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(at))


def directory_of(test_class):
    """A directory for its certificates, which ends with the class."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="leasemirror-pki-"))
    test_class.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
    return directory


class Pair:
    """A certificate and its key, in PEM files."""

    def __init__(self, directory, name):
        self.cert = directory / f"{name}.pem"
        self.key = directory / f"{name}.key"

    def new_key(self, algorithm=("EC", "ec_paramgen_curve:P-256")):
        openssl("genpkey", "-algorithm", algorithm[0], "-pkeyopt", algorithm[1], "-out", self.key)
        self.key.chmod(0o600)

    def pin(self):
        """In curl's notation."""
        pem = openssl("x509", "-in", self.cert, "-noout", "-pubkey")
        der = base64.b64decode("".join(line for line in pem.splitlines() if "-" not in line))
        return "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()


class Authority(Pair):
    def __init__(self, directory, name="authority"):
        self.dir = pathlib.Path(directory) / name
        (self.dir / "issued").mkdir(parents=True)
        super().__init__(self.dir, "ca")
        self.new_key()
        openssl("req", "-x509", "-new", "-key", self.key, "-out", self.cert, "-days", 3650, "-subj", f"/CN={name[-60:]}",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        (self.dir / "index").touch()
        (self.dir / "serial").write_text("01\n")
        (self.dir / "crlnumber").write_text("01\n")
        self.config = self.dir / "config"
        self.config.write_text(CA_CONFIG.format(dir=self.dir))

    def issue(self, name, alternative="IP:127.0.0.1", usage=None, begins=-DAY, ends=90 * DAY,
              **key):
        """`begins`, `ends`: seconds from now."""
        pair = Pair(self.dir, name)
        pair.new_key(**key)
        request = self.dir / f"{name}.csr"
        openssl("req", "-new", "-key", pair.key, "-subj", f"/CN={name}", "-out", request)
        extensions = self.dir / f"{name}.ext"
        lines = ["basicConstraints=critical,CA:FALSE"]
        if alternative:
            lines.append(f"subjectAltName={alternative}")
        if usage:
            lines.append(f"extendedKeyUsage={usage}")
        extensions.write_text("\n".join(lines) + "\n")
        now = time.time()
        openssl("ca", "-batch", "-notext", "-config", self.config, "-in", request, "-out", pair.cert, "-extfile",
                extensions, "-startdate", utc(now + begins), "-enddate", utc(now + ends))
        return pair

    def revoke(self, pair):
        openssl("ca", "-batch", "-config", self.config, "-revoke", pair.cert)

    def revocation_list(self):
        crl = self.dir / "crl.pem"
        openssl("ca", "-batch", "-config", self.config, "-gencrl", "-out", crl)
        return crl
