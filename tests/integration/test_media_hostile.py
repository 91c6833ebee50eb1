"""Files that mean harm, and requests for files that do. Named after the rows of the list of known vulnerabilities."""

import concurrent.futures
import http.client
import os
import re
import signal
import socket
import time

import pytest

import machine
import pictures
from client import quote
from test_media import DOWNLOAD, THUMBNAIL, UPLOAD, disposition, download, failed, thumbnail, upload

LEGACY = "/_matrix/media/{}/{}"


def children(node):
    """The processes that the node has started, PostgreSQL's aside."""
    pid = node.process.pid
    listed = (machine.pathlib.Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for path in listed for child in path.read_text().split()]


def memory(node):
    """Resident memory of the node, in MiB; with a sanitizer, which keeps what is freed, 0."""
    if "COMITY_SANITIZED" in os.environ:
        return 0
    for line in open(f"/proc/{node.process.pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0


BAD_PARTS = [".", "..", "../..", "../../etc/passwd", "..\\..\\etc", "/etc/passwd", "a/b", "a.b", "a\\b", "%2e%2e%2f", "%2e%2e", "~", "a b",
             "ü", "a" * 300]


@pytest.mark.parametrize("bad", BAD_PARTS)
def test_CVE_2021_41281_path_traversal(node, user, bad):
    before = sorted(str(path) for path in (node.folder / "data/media").rglob("*"))
    for once in (quote(bad), quote(quote(bad))):
        for where in (f"{node.server_name}/{once}", f"elsewhere.example/{once}", f"{once}/not-an-id.", f"{once}/{once}"):
            for path in (f"{DOWNLOAD}/{where}", f"{THUMBNAIL}/{where}?width=32&height=32"):
                answer = user.request("GET", path)
                assert answer.status_code in (400, 404), path
            assert user.request("PUT", f"{UPLOAD}/{where}", data=b"x").status_code in (400, 404)
    assert sorted(str(path) for path in (node.folder / "data/media").rglob("*")) == before


def test_CVE_2021_41281_path_traversal_NUL(node, user):
    for where in (f"{node.server_name}/a%00b", "a%00b/abcdef", f"{node.server_name}/abc/name%00.txt"):
        assert user.request("GET", f"{DOWNLOAD}/{where}").status_code == 400


@pytest.mark.parametrize("content_type", [
    "text/html", "TEXT/HTML", "text/html; charset=utf-8", "image/svg+xml", "text/xml", "application/xml", "application/xhtml+xml",
    "application/pdf", "text/javascript", "image/png, text/html", "image/png text/html", "", "nonsense", "text/plainx",
    "multipart/related", "image/png/../../html",
])
def test_CVE_2023_41318_media_xss(user, content_type):
    where = upload(user, b"<script>alert(1)</script>", content_type, filename="a.html")
    for path in (where, f"{where}/b.png"):
        answer = download(user, path)
        assert disposition(answer)[0] == "attachment", answer.headers
        assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert thumbnail(user, where, 32, 32).status_code == 400


@pytest.mark.parametrize("content_type", ["image/png", "IMAGE/PNG", "text/plain; charset=utf-8", "audio/ogg;codecs=\"opus\"", "video/mp4"])
def test_listed_types_are_inline(user, content_type):
    answer = download(user, upload(user, b"x", content_type))
    assert disposition(answer)[0] == "inline"
    assert answer.headers["Content-Type"] == content_type


def raw_headers(node, path, token):
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.getheaders()


NAMES = ["a\r\nSet-Cookie: x=1", "a\nSet-Cookie: x=1", 'a"; filename="b', 'a"\r\n\r\n<html>', "a;b;c", "a\\", "\u2028\u202e\u0085evil",
         "x" * 5000, "\x01\x02\x7f", "'; DROP"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_class_header_injection(node, user, name):
    plain = raw_headers(node, f"{DOWNLOAD}/{upload(user, b'x', 'text/plain')}", user.token)
    where = upload(user, b"x", "text/plain", filename=name)
    for path in (f"{DOWNLOAD}/{where}", f"{DOWNLOAD}/{where}/{quote(name)}"):
        headers = raw_headers(node, path, user.token)
        assert [name for name, _ in headers] == [name for name, _ in plain]
        value = dict(headers)["Content-Disposition"]
        assert value.startswith(("inline; filename=\"", "inline; filename*=utf-8''")) or value == "inline"
        assert value.isascii() and value.isprintable() and len(value) < 1000
        assert value.count("filename*=") + value.count('filename="') == (value != "inline")
        assert re.fullmatch(r"""inline(; filename="[^"\\]+"|; filename\*=utf-8''[A-Za-z0-9._~%-]+)?""", value)


@pytest.mark.parametrize("content_type", ["text/plain\x01", "text/plain; a=\"b", "text/plain; a=b; =c", "te xt/plain", "text/plain;;",
                                          "text/" + "p" * 300, "text/plain; charset=\xff"])
def test_class_header_injection_by_type(user, content_type):
    answer = user.request("POST", UPLOAD, data=b"x", headers={"Content-Type": content_type.encode("latin-1")})
    if answer.status_code == 400:
        return
    answer = download(user, answer.json()["content_uri"].removeprefix("mxc://"))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment"


CRAFTED = {
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n" + b"showpage\n" * 50,
    "psd": b"8BPS\0\1" + b"\0" * 200,
    "tiff": b"II*\0\x08\0\0\0" + b"\0" * 200,
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
    "icns": b"icns\0\0\1\0" + b"ic07" + b"\0" * 200,
    "pdf": b"%PDF-1.4\n" + b"\0" * 200,
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 200,
    "exr": b"\x76\x2f\x31\x01" + b"\0" * 200,
    "ppm": b"P6\n4 4\n255\n" + b"x" * 48,
    "bmp": b"BM" + b"\0" * 200,
    "wave": b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 200,
    "avif": b"\0\0\0\x20ftypavif" + b"\0" * 200,
    "nothing": b"",
    "png magic": b"\x89PNG\r\n\x1a\n",
    "png and rubbish": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4,
    "png cut off": pictures.png(600, 600)[:60],
    "png without end of rows": pictures.bomb(600, 600, unpacked=1000),
    "jpeg cut off": pictures.JPEG[:200],
    "jpeg and rubbish": b"\xff\xd8\xff" + bytes(range(256)) * 4,
    "gif and rubbish": b"GIF89a" + bytes(range(256)) * 4,
    "gif of no pixels": b"GIF89a" + b"\0" * 20,
    "webp and rubbish": b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(range(256)) * 4,
    "webp lossless rubbish": b"RIFF\xff\xff\xff\xffWEBPVP8L\xff\xff\xff\x7f" + b"\x2f" + b"\xff" * 500,
}


@pytest.mark.parametrize("name", CRAFTED)
def test_CVE_2024_53863_media_decoder(node, user, name):
    """Each ends in a plain error or a harmless picture, and the node is the same process as before."""
    where = upload(user, CRAFTED[name], "image/png")
    pid = node.process.pid
    for animated in ("false", "true"):
        answer = thumbnail(user, where, 96, 96, animated=animated)
        assert answer.status_code in (200, 400, 413), answer.text
        if not name.startswith(("png", "jpeg", "gif", "webp")) or "rubbish" in name:
            assert failed(answer) == (400, "M_UNKNOWN")
    assert node.running() and node.process.pid == pid
    assert user.get("/account/whoami")["user_id"] == user.user_id


def test_CVE_2021_29453_media_bomb(make_node):
    node = make_node("bomb.localhost").start()
    user = node.client("alice")
    thumbnail(user, upload(user, pictures.png(64, 64)), 32, 32)
    before = memory(node)
    for bomb in (pictures.bomb(), pictures.bomb(2**31 - 1, 100), pictures.bomb(100, 2**31 - 1), pictures.bomb(30000, 30000)):
        answer = thumbnail(user, upload(user, bomb), 96, 96)
        assert answer.status_code in (400, 413), answer.status_code
    assert failed(thumbnail(user, upload(user, pictures.bomb(40000, 40000)), 96, 96)) == (413, "M_TOO_LARGE")
    many = upload(user, pictures.gif(100000), "image/gif")
    assert failed(thumbnail(user, many, 32, 32, animated="true")) == (413, "M_TOO_LARGE")
    assert thumbnail(user, many, 32, 32).status_code in (200, 400, 413)
    assert memory(node) - before < 60
    assert not children_of_workers(node)


def children_of_workers(node):
    return [pid for pid in children(node) if "thumbnail-worker" in
            machine.pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")]


def catch_worker(node, user, where, width):
    """Asks for a thumbnail that takes a while; returns the worker's process id and the answer to come."""
    pool = concurrent.futures.ThreadPoolExecutor(1)
    answer = pool.submit(thumbnail, user.twin(), where, width, width)
    pid = machine.wait_for(lambda: children_of_workers(node), 10, 0.002, "the worker")[0]
    machine.wait_for(lambda: is_confined(pid), 10, 0.002, "its confinement")
    pool.shutdown(wait=False)
    return pid, answer


def is_confined(pid):
    return re.search(r"Max core file size +0 +0", machine.pathlib.Path(f"/proc/{pid}/limits").read_text())


@pytest.fixture
def slow_image():
    """Two hundred megabytes of pixels."""
    return pictures.png(8000, 8000)


def test_CVE_2024_53863_media_decoder_that_crashes(make_node, slow_image):
    """What ends a worker is the image's doing, and is not tried again."""
    node = make_node("crash.localhost").start()
    user = node.client("alice")
    where = upload(user, slow_image)
    pid, answer = catch_worker(node, user, where, 96)
    os.kill(pid, signal.SIGSEGV)
    assert failed(answer.result()) == (400, "M_UNKNOWN")
    assert failed(thumbnail(user, where, 96, 96)) == (400, "M_UNKNOWN")
    assert node.running() and not children_of_workers(node)
    # A killed one is not: that is the kernel, short of memory, or an administrator.
    pid, answer = catch_worker(node, user, where, 700)
    os.kill(pid, signal.SIGKILL)
    assert failed(answer.result())[0] == 503
    assert thumbnail(user, where, 700, 700).status_code == 200


@pytest.mark.slow
def test_CVE_2024_53863_media_decoder_that_hangs(make_node, slow_image):
    """One that ignores its own clocks, too: whoever has taken a worker over might."""
    node = make_node("hang.localhost").start()
    user, other = node.client("alice"), node.client("bob")
    pid, answer = catch_worker(node, user, upload(user, slow_image), 96)
    os.kill(pid, signal.SIGSTOP)
    assert thumbnail(other, upload(other, pictures.png(64, 64)), 32, 32).status_code == 200
    assert failed(answer.result())[0] == 503
    machine.wait_for(lambda: not children_of_workers(node), 5, what="the end of the worker")


def test_the_end_of_the_node_is_the_end_of_its_workers(make_node, slow_image):
    node = make_node("ends.localhost").start()
    user = node.client("alice")
    where = upload(user, slow_image)
    for end in (node.stop, node.kill9):
        pid, answer = catch_worker(node, user, where, 96)
        os.kill(pid, signal.SIGSTOP)
        end()
        machine.wait_for(lambda: not alive(pid), 5, what="the end of the worker")
        assert isinstance(answer.exception(), OSError) or answer.result().status_code == 503
        node.start()


def alive(pid):
    try:
        return "State:\tZ" not in machine.pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_CVE_2021_29453_media_bomb_is_tried_once(node, user):
    """What cannot be made is remembered, so that asking again costs nothing."""
    where = upload(user, pictures.bomb(45000, 45000))
    assert failed(thumbnail(user, where, 32, 32)) == (413, "M_TOO_LARGE")
    tried = node.log_text().count("no thumbnail of")
    for _ in range(20):
        assert failed(thumbnail(user, where, 32, 32)) == (413, "M_TOO_LARGE")
    assert tried > 0 and node.log_text().count("no thumbnail of") == tried


def test_CVE_2021_29453_media_bomb_by_range(user):
    where = upload(user, b"x" * 1000, "text/plain")
    for value in ("bytes=5-2", "bytes=-1", "bytes=9999999999999999999-", "bytes=0-1,2-3,4-5"):
        answer = user.request("GET", f"{DOWNLOAD}/{where}", headers={"Range": value})
        assert answer.status_code in (200, 416)
        assert answer.status_code != 200 or len(answer.content) == 1000


def test_CVE_2024_37303_media_unauthenticated(node, user):
    """The old paths are frozen: nothing that is there is given out on them, and nothing is fetched for them."""
    where = upload(user, pictures.png(64, 64))
    for version in ("v3", "r0"):
        for place in (where, "elsewhere.example/abcdef"):
            for path in (f"download/{place}", f"download/{place}/name.png", f"thumbnail/{place}?width=32&height=32"):
                for token in (None, user.token):
                    answer = user.request("GET", LEGACY.format(version, path), token=token)
                    assert failed(answer) == (404, "M_NOT_FOUND")
    for path in (f"{DOWNLOAD}/{where}", f"{DOWNLOAD}/{where}/name", f"{THUMBNAIL}/{where}?width=32&height=32",
                 f"{DOWNLOAD}/elsewhere.example/abcdef"):
        assert failed(user.request("GET", path, token=None)) == (401, "M_MISSING_TOKEN")
        assert failed(user.request("GET", path, token="nonsense")) == (401, "M_UNKNOWN_TOKEN")
    assert failed(user.request("POST", UPLOAD, data=b"x", token=None)) == (401, "M_MISSING_TOKEN")


def test_CVE_2024_37303_media_is_limited(make_node):
    limits = {"enabled": True, "register": "1000;1000", "media": "1;20"}
    node = make_node("limited.localhost", {"limits": limits}).start()
    user = node.client("alice")
    where = upload(user, b"x", "text/plain")
    answers = [download(user, where).status_code for _ in range(40)]
    assert answers.count(429) >= 15 and answers[0] == 200


def test_CVE_2024_52805_inbound_body_size(node, user):
    """Without a token no body is read; with one, no more than is allowed, and nothing is unpacked."""
    before = memory(node)

    def endless():
        for _ in range(300):
            yield b"x" * (1 << 20)

    for headers in ({}, {"Authorization": f"Bearer {user.token}"}):
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
        try:
            connection.request("POST", UPLOAD, body=endless(), headers=headers, encode_chunked=True)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            assert connection.getresponse().status == (413 if headers else 401)
        except (ConnectionError, http.client.HTTPException):
            pass
        connection.close()
    assert memory(node) - before < 120
    packed = user.request("POST", UPLOAD, data=b"\x1f\x8b" + b"x" * 100, headers={"Content-Encoding": "gzip"})
    assert packed.status_code == 415
    assert node.running()


def begin_upload(node, source, length, sent):
    """A connection from the address `source` on which an upload of `length` bytes is under way, of which `sent` have been sent."""
    connection = socket.create_connection(("127.0.0.1", node.port), timeout=20, source_address=(source, 0))
    connection.sendall(f"POST {UPLOAD} HTTP/1.1\r\nHost: {node.server_name}\r\nAuthorization: Bearer nonsense\r\n"
                       f"Content-Length: {length}\r\n\r\n".encode())
    try:
        connection.sendall(b"x" * sent)
    except OSError:
        pass  # refused already
    return connection


def answered(connection):
    connection.settimeout(0.1)
    try:
        return connection.recv(100).startswith(b"HTTP/1.1 503")
    except socket.timeout:
        return False


def test_CVE_2024_52805_inbound_body_size_of_many_at_a_time(node, user):
    """Uploads that never end hold so much memory of one address, and others get their turn."""
    before = memory(node)
    begun = [begin_upload(node, "127.0.0.3", 20 << 20, 19 << 20) for _ in range(12)]
    try:
        machine.wait_for(lambda: sum(map(answered, begun[6:])) > 0, 20, what="a refusal")
        assert memory(node) - before < 400
        assert download(user, upload(user, b"x" * (10 << 20), "text/plain")).status_code == 200
    finally:
        for connection in begun:
            connection.close()
    # And it is given back.
    begun = [begin_upload(node, "127.0.0.3", 20 << 20, 19 << 20) for _ in range(5)]
    assert not any(map(answered, begun))
    for connection in begun:
        connection.close()
