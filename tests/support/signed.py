"""Requests that a node's own key signs: what another server sees of a hostile administrator."""

import base64
import uuid

import nacl.signing
import requests

from e2ee import b64, canonical


class Impostor:
    """Speaks to other nodes as `node`, with its key."""

    def __init__(self, node):
        self.node = node
        path = next(node.folder.glob("data/**/signing.key"))
        _, version, seed = path.read_text().split()
        self.key_id = f"ed25519:{version}"
        self.secret = nacl.signing.SigningKey(base64.b64decode(seed + "=" * (-len(seed) % 4)))
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = False

    def request(self, to, method, path, content=None):
        signed = {"method": method, "uri": path, "origin": self.node.server_name, "destination": to.server_name}
        if content is not None:
            signed["content"] = content
        signature = b64(self.secret.sign(canonical(signed)).signature)
        header = (f'X-Matrix origin="{self.node.server_name}",destination="{to.server_name}",'
                  f'key="{self.key_id}",sig="{signature}"')
        return self.session.request(method, to.url + path, timeout=60, headers={"Authorization": header},
                                    **({} if content is None else {"json": content}))

    def send_edus(self, to, *edus):
        """One transaction of (type, content) pairs."""
        content = {"origin": self.node.server_name, "origin_server_ts": 1, "pdus": [],
                   "edus": [{"edu_type": kind, "content": content} for kind, content in edus]}
        path = f"/_matrix/federation/v1/send/{uuid.uuid4().hex}"
        response = self.request(to, "PUT", path, content)
        assert response.status_code == 200, response.text
