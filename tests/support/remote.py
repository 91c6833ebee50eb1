"""Another server, of a few lines, which answers as a test tells it to: for answers that no node would give."""

import http.server
import json
import ssl
import threading

import machine


class Remote:
    """answers: {path prefix: function (path) -> (status, headers, body)}. `asked` lists the requests that came, as (path, headers).
    A body may be a function that writes it. Anything else is 404 M_UNRECOGNIZED."""

    def __init__(self, name, authority, address="127.0.0.1"):
        self.name, self.answers, self.asked = name, {}, []
        self.port = machine.free_port()
        self.place = f"{address}:{self.port}"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(name))
        self._server = http.server.ThreadingHTTPServer((address, self.port), self._handler())
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _handler(remote):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                remote.asked.append((self.path, dict(self.headers)))
                for prefix, answer in list(remote.answers.items()):
                    if self.path.startswith(prefix):
                        return self.give(*answer(self.path))
                return self.give(404, {"Content-Type": "application/json"}, json.dumps(error("M_UNRECOGNIZED")).encode())

            def give(self, status, headers, body):
                self.send_response(status)
                length = {} if callable(body) else {"Content-Length": str(len(body))}
                for name, value in {**length, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    body(self.wfile) if callable(body) else self.wfile.write(body)
                except OSError:
                    pass  # the other side has had enough
                self.close_connection |= "Content-Length" in headers

            def log_message(self, *arguments):
                pass

        return Handler

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


def error(errcode, text="no"):
    return {"errcode": errcode, "error": text}


def answer_json(status, body):
    return lambda path: (status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def multipart(content, headers=None, boundary="b1", first="Content-Type: application/json\r\n\r\n{}"):
    """As servers send files to each other."""
    head = "".join(f"{name}: {value}\r\n" for name, value in (headers or {"Content-Type": "text/plain"}).items())
    body = f"--{boundary}\r\n{first}\r\n--{boundary}\r\n{head}\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return lambda path: (200, {"Content-Type": f"multipart/mixed; boundary={boundary}"}, body)
