"""A private certificate authority, made with the openssl program."""

import os
import pathlib
import subprocess


def _openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """Issues certificates for names; `ca` is the file to trust."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca = self.folder / "ca.pem"
        self._key = self.folder / "ca.key"
        # CA:TRUE and no keyUsage: such authorities exist and must be accepted.
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                 "-subj", "/CN=Test authority", "-addext", "basicConstraints=critical,CA:TRUE",
                 "-keyout", str(self._key), "-out", str(self.ca))

    def issue(self, name, *, days=30, names=None, addresses=True):
        """Returns (certificate file, key file) for a DNS name, with 127.0.0.1 and ::1 as further names for a directory unless
        addresses is False. names: the DNS names it is good for, if they are not `name`, which is then the subject only."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        good_for = [f"DNS:{each}" for each in names or (name,)] + (["IP:127.0.0.1", "IP:::1"] if addresses else [])
        extensions.write_text(f"subjectAltName={','.join(good_for)}\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                 "-keyout", str(key), "-out", str(request))
        _openssl("x509", "-req", "-in", str(request), "-CA", str(self.ca), "-CAkey", str(self._key), "-CAcreateserial",
                 "-days", str(days), "-extfile", str(extensions), "-out", str(certificate))
        os.chmod(key, 0o644)  # the node reads it as another user; it is worth nothing
        return certificate, key
