"""A real slapd with the demo directory of packaging/ldap, on loopback ports, with TLS."""

import pwd
import shutil
import signal
import subprocess

import machine

KEEPER = 'rootdn "cn=keeper,dc=demo"\nrootpw keeper-demo\n'
DEMO = machine.REPOSITORY / "packaging" / "ldap"


class Directory:
    """`settings(company)` is the [ldap] group for a node of that company. A person's password is uid + "-demo"."""

    def __init__(self, authority, *, debug="0", first_lines="", last_lines=""):
        """debug: what slapd writes into its log ("stats": each request); first_lines, last_lines: more configuration."""
        self._debug = debug
        self.ca = authority.ca
        self.folder = machine.make_folder()
        self.port, self.tls_port = machine.free_port(), machine.free_port()
        certificate, key = authority.issue("directory.localhost")
        for source, name in ((authority.ca, "ca.pem"), (certificate, "cert.pem"), (key, "key.pem")):
            shutil.copy(source, self.folder / name)
        self.config = self.folder / "slapd.conf"
        self.config.write_text(first_lines + (DEMO / "slapd.conf.in").read_text().replace("@DIR@", str(self.folder)) + last_lines)
        self.password_file = self.folder / "bind-password"
        self.password_file.write_text("comity-demo\n")
        (self.folder / "database").mkdir()
        self.process = None
        self._own()
        self._fill((DEMO / "demo.ldif").read_text())

    def _own(self):
        user = machine.test_user()
        for path in [self.folder, *self.folder.rglob("*")] if user else []:
            shutil.chown(path, user, pwd.getpwnam(user).pw_gid)

    def _identity(self):
        user = machine.test_user()
        return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}

    def _fill(self, ldif):
        """By standard input: the files of the repository may not be the test user's to read."""
        subprocess.run(["/usr/sbin/slapadd", "-f", str(self.config)], input=ldif, text=True, check=True, capture_output=True,
                       **self._identity())

    @property
    def uri(self):
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_uri(self):
        return f"ldaps://127.0.0.1:{self.tls_port}"

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["/usr/sbin/slapd", "-d", self._debug, "-f", str(self.config), "-h", f"{self.uri} {self.tls_uri}"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._identity())
        machine.wait_for(lambda: machine.accepts(self.port) and machine.accepts(self.tls_port), 20, what="slapd")
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=20)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_text(self):
        return (self.folder / "log").read_text(errors="replace")

    def settings(self, company, start_tls=False):
        return {"uri": self.uri if start_tls else self.tls_uri, "start_tls": start_tls, "ca_file": self.ca,
                "bind_dn": "cn=comity,dc=demo", "bind_password_file": self.password_file,
                "user_base": f"ou=people,ou={company},dc=demo"}

    def modify(self, ldif):
        """Changes entries while it runs, as the person who keeps the directory does; make it with last_lines=KEEPER."""
        subprocess.run(["ldapmodify", "-H", self.tls_uri, "-x", "-D", "cn=keeper,dc=demo", "-w", "keeper-demo"], input=ldif, text=True,
                       check=True, capture_output=True, env={"LDAPTLS_CACERT": str(self.ca), "PATH": "/usr/bin"})

    def add(self, ldif):
        """Adds entries; slapd must not run meanwhile."""
        self._fill(ldif)
