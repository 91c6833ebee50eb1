"""Files of other servers."""

import concurrent.futures
import gzip
import threading
import time

import pytest

import machine
import pictures
from remote import Remote, answer_json, error, multipart
from test_media import DOWNLOAD, disposition, download, failed, put, reserve, thumbnail, upload
from test_media_hostile import memory

pytestmark = pytest.mark.peers

FEDERATION = "/_matrix/federation/v1/media/download/"
OPENLY = "/_matrix/media/v3/download/"


@pytest.fixture
def remote(authority):
    server = Remote("remote.localhost", authority)
    yield server
    server.stop()


def start_beside(make_node, authority, remote, settings=None, name="here.localhost"):
    """A node that knows where the remote is."""
    settings = {**(settings or {}), "federation": {"resolve": f"remote.localhost={remote.place}", "ca_file": authority.ca}}
    return make_node(name, settings).start()


@pytest.fixture
def beside(make_node, authority, remote):
    return start_beside(make_node, authority, remote)


@pytest.fixture
def user(beside):
    return beside.client("alice")


# Between two nodes


@pytest.mark.peers
def test_files_travel(two_nodes):
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    content = bytes(range(256)) * 5000
    where = upload(alice, content, "application/x-thing", filename="Straße.bin")
    for _ in range(2):
        answer = download(bob, where)
        assert answer.content == content
        assert answer.headers["Content-Type"] == "application/x-thing"
        assert disposition(answer) == ("attachment", "Straße.bin")
        assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
    assert disposition(download(bob, f"{where}/mine.bin")) == ("attachment", "mine.bin")
    assert globex.sql(f"SELECT count (*) FROM media WHERE server = 'acme.localhost' AND media_id = '{where.split('/')[1]}'") == "1\n"


@pytest.mark.peers
def test_odd_contents_travel(two_nodes):
    """What looks like the end of a part is none."""
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    for content in (b"", b"\r\n", b"\r\n\r\n", b"--", b"\r\n--\r\n", b"\r\n--b1--\r\n", b"\0" * 10, b"{}\r\n"):
        assert download(bob, upload(alice, content, "text/plain")).content == content


@pytest.mark.peers
def test_thumbnails_of_remote_files(two_nodes):
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    where = upload(alice, pictures.png(1000, 500))
    answer = thumbnail(bob, where, 320, 240)
    assert pictures.size(answer.content) == (320, 160)
    assert failed(thumbnail(bob, upload(alice, b"no image"), 32, 32)) == (400, "M_UNKNOWN")
    too_large = upload(alice, pictures.bomb(40000, 40000))
    assert failed(thumbnail(alice, too_large, 32, 32)) == (413, "M_TOO_LARGE")
    assert failed(thumbnail(bob, too_large, 32, 32)) == (502, "M_TOO_LARGE")


@pytest.mark.peers
def test_waiting_for_a_remote_upload(two_nodes):
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    where = reserve(alice)
    assert failed(download(bob, where, timeout_ms=100)) == (504, "M_NOT_YET_UPLOADED")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(download, bob, where, timeout_ms=20000)
        time.sleep(0.5)
        put(alice, where, b"here it is")
        assert waiting.result().content == b"here it is"


@pytest.mark.peers
def test_what_is_not_there_is_no_fault_of_the_server(two_nodes):
    """An id that does not exist must not keep the node from asking that server for others."""
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    reserved = reserve(alice)
    for _ in range(3):
        assert failed(download(bob, "acme.localhost/neverseen")) == (404, "M_NOT_FOUND")
        assert failed(download(bob, reserved, timeout_ms=0)) == (504, "M_NOT_YET_UPLOADED")
    assert download(bob, upload(alice, b"x", "text/plain")).content == b"x"


def test_CVE_2024_37303_media_unauthenticated_by_servers(node):
    for path in ("download/abcdef", "thumbnail/abcdef?width=32&height=32"):
        answer = node.request("GET", f"/_matrix/federation/v1/media/{path}")
        assert failed(answer) == (401, "M_UNAUTHORIZED")


# With a server that answers as it likes


def test_a_remote_answer(beside, remote, user):
    remote.answers[FEDERATION] = multipart(b"hello", {"content-type": "text/plain; charset=utf-8",
                                                      "content-disposition": "attachment; filename*=utf-8''caf%C3%A9.txt"})
    answer = download(user, "remote.localhost/abcdef")
    assert answer.content == b"hello"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert disposition(answer) == ("inline", "café.txt")
    path, headers = remote.asked[0]
    assert path.startswith(FEDERATION + "abcdef?timeout_ms=")
    assert headers["Authorization"].startswith("X-Matrix ")
    assert download(user, "remote.localhost/abcdef").content == b"hello"
    assert len(remote.asked) == 1


def test_older_servers_are_asked_the_old_way(beside, remote, user):
    remote.answers[OPENLY] = lambda path: (200, {"Content-Type": "image/gif", "Content-Disposition": 'inline; filename="a.gif"'}, b"old")
    answer = download(user, "remote.localhost/abcdef")
    assert (answer.content, answer.headers["Content-Type"], disposition(answer)) == (b"old", "image/gif", ("inline", "a.gif"))
    path, headers = remote.asked[1]
    assert path.startswith(OPENLY + "remote.localhost/abcdef?") and "allow_remote=false" in path
    assert "Authorization" not in headers


def test_callers_share_a_fetch(beside, remote, user):
    def slow(path):
        time.sleep(1)
        return multipart(b"shared")(path)

    remote.answers[FEDERATION] = slow
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: download(user.twin(), "remote.localhost/abcdef").content, range(20)))
    assert answers == [b"shared"] * 20
    assert len(remote.asked) == 1


def test_a_slow_server_keeps_nobody_else_waiting(make_node, authority, remote):
    other = Remote("other.localhost", authority)
    node = make_node("here.localhost", {"federation": {
        "resolve": f"remote.localhost={remote.place};other.localhost={other.place}", "ca_file": authority.ca}}).start()
    user = node.client("alice")

    going_on = threading.Event()

    def slow(path):
        going_on.wait(30)
        return multipart(b"slow")(path)

    remote.answers[FEDERATION] = slow
    other.answers[FEDERATION] = multipart(b"fast")
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        slow_ones = [pool.submit(download, user.twin(), f"remote.localhost/id{number}") for number in range(12)]
        machine.wait_for(lambda: len(remote.asked) > 2, 10, what="the requests")
        assert download(node.client("bob"), "other.localhost/abcdef").content == b"fast"
        assert user.get("/account/whoami")["user_id"] == user.user_id
        assert not any(each.done() for each in slow_ones)
        going_on.set()
        assert {each.result().content for each in slow_ones} == {b"slow"}
    other.stop()


def test_a_node_that_fetches_stops_in_time(beside, remote, user):
    """A server that says nothing holds nobody up."""
    going_on = threading.Event()

    def hang(path):
        going_on.wait(30)
        return multipart(b"late")(path)

    remote.answers[FEDERATION] = hang
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(download, user.twin(), f"remote.localhost/id{number}") for number in range(3)]
        machine.wait_for(lambda: len(remote.asked) == 3, 10, what="the requests")
        assert beside.stop() == 0
        going_on.set()
        for each in waiting:
            assert isinstance(each.exception(), OSError) or each.result().status_code in (502, 503)


def raw(content_type, body):
    return lambda path: (200, {"Content-Type": content_type}, body)


MALFORMED = {
    "no multipart": raw("text/plain", b"hello"),
    "no boundary": raw("multipart/mixed", b"--b1\r\n\r\n{}\r\n--b1\r\n\r\nx\r\n--b1--"),
    "empty boundary": raw('multipart/mixed; boundary=""', b"--\r\n\r\n{}\r\n--\r\n\r\nx\r\n----"),
    "another boundary": raw("multipart/mixed; boundary=b2", b"--b1\r\n\r\n{}\r\n--b1\r\n\r\nx\r\n--b1--"),
    "one part": raw("multipart/mixed; boundary=b1", b"--b1\r\n\r\n{}\r\n--b1--\r\n"),
    "no end": raw("multipart/mixed; boundary=b1", b"--b1\r\n\r\n{}\r\n--b1\r\nContent-Type: text/plain\r\n\r\nx"),
    "nothing": raw("multipart/mixed; boundary=b1", b""),
    "endless head": raw("multipart/mixed; boundary=b1", b"--b1\r\n\r\n{}\r\n--b1\r\n" + b"a: b\r\n" * 50000 + b"\r\nx\r\n--b1--"),
    "status 500": raw("multipart/mixed", b"") and answer_json(500, error("M_UNKNOWN")),
    "redirect": lambda path: (302, {"Location": "https://127.0.0.1:1/"}, b""),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_answers(beside, remote, user, name):
    remote.answers[FEDERATION] = MALFORMED[name]
    assert failed(download(user, "remote.localhost/abcdef")) == (502, "M_UNKNOWN")
    assert beside.sql("SELECT count (*) FROM media") == "0\n"


def test_CVE_2023_41318_media_xss_from_remote(beside, remote, user):
    for number, content_type in enumerate(("text/html", "image/svg+xml", "text/html\x0b", "image/png, text/html", "")):
        remote.answers[FEDERATION] = multipart(b"<script>", {"Content-Type": content_type})
        answer = download(user, f"remote.localhost/id{number}")
        assert disposition(answer)[0] == "attachment"
        assert answer.headers["Content-Security-Policy"].startswith("sandbox;")


def test_class_header_injection_from_remote(beside, remote, user):
    remote.answers[FEDERATION] = multipart(b"x", {"Content-Type": "text/plain",
                                                  "Content-Disposition": "inline; filename*=utf-8''a%0D%0ASet-Cookie%3A%20x"})
    answer = download(user, "remote.localhost/abcdef")
    assert "Set-Cookie" not in answer.headers
    assert disposition(answer) == ("inline", "aSet-Cookie: x")


def test_location_is_followed_once_and_without_signature(make_node, authority, remote):
    elsewhere = Remote("cdn.localhost", authority)
    node = start_beside(make_node, authority, remote, {"outbound": {"ca_file": authority.ca}})
    user = node.client("alice")
    remote.answers[FEDERATION] = multipart(b"", {"Location": f"https://127.0.0.1:{elsewhere.port}/file"})
    elsewhere.answers["/file"] = lambda path: (200, {"Content-Type": "image/gif"}, b"from elsewhere")
    answer = download(user, "remote.localhost/abcdef")
    assert (answer.content, answer.headers["Content-Type"]) == (b"from elsewhere", "image/gif")
    assert "Authorization" not in elsewhere.asked[0][1]
    elsewhere.answers["/file"] = lambda path: (302, {"Location": f"https://127.0.0.1:{elsewhere.port}/more"}, b"")
    assert failed(download(user, "remote.localhost/second")) == (502, "M_UNKNOWN")
    assert [path for path, _ in elsewhere.asked] == ["/file", "/file"]
    elsewhere.stop()


def test_CVE_2024_52594_ssrf_federation_by_media_location(make_node, authority, remote):
    """The remote may send us to public places only: the node may talk to 127.0.0.1 here, and to no other address of its own."""
    inside = Remote("inside.localhost", authority, address="127.0.0.2")
    settings = {"outbound": {"allow": "127.0.0.1/32", "ca_file": authority.ca, "verify_tls": False}}
    node = start_beside(make_node, authority, remote, settings)
    user = node.client("alice")
    inside.answers["/"] = lambda path: (200, {"Content-Type": "text/plain"}, b"secret")
    locations = [f"https://{inside.place}/", f"http://{inside.place}/", "file:///etc/passwd", f"http://127.0.0.1:{node.port}/_matrix/client/versions",
                 "https://10.0.0.1/", "https://169.254.169.254/latest", "/relative", "", "ftp://127.0.0.1/"]
    for number, location in enumerate(locations):
        remote.answers[FEDERATION] = multipart(b"", {"Location": location})
        assert download(user, f"remote.localhost/id{number}").status_code == 502, location
    assert not inside.asked
    inside.stop()


def test_CVE_2021_41281_path_traversal_asks_nobody(beside, remote, user):
    for bad in ("..%2f..%2fetc", "%2e%2e", "a.b", "a%00b", "a%2fb", "~", "a%20b"):
        assert user.request("GET", f"{DOWNLOAD}/remote.localhost/{bad}").status_code in (400, 404)
    for server in ("remote.localhost%2f..", "remote.localhost%00", "remote.localhost%23", "remote.localhost%3f", "user@remote.localhost"):
        assert user.request("GET", f"{DOWNLOAD}/{server}/abcdef").status_code in (400, 404)
    assert not remote.asked


def test_too_large_remote_files(make_node, authority, remote):
    node = start_beside(make_node, authority, remote, {"media": {"max_upload": "100K"}})
    user = node.client("alice")
    for number, size in enumerate((102401, 300000, 5000000)):
        remote.answers[FEDERATION] = multipart(b"x" * size)
        assert failed(download(user, f"remote.localhost/id{number}")) == (502, "M_TOO_LARGE")
    remote.answers[FEDERATION] = multipart(b"x" * 102400)
    assert len(download(user, "remote.localhost/fits").content) == 102400


def stored_bytes(node):
    return sum(path.stat().st_size for path in (node.folder / "data/media/content").glob("*/*"))


def test_CVE_2024_37303_remote_files_stay_under_the_cap(make_node, authority, remote):
    node = start_beside(make_node, authority, remote, {"media": {"remote_cache": "200K"}})
    user = node.client("alice")
    mine = upload(user, b"mine" * 10000, "text/plain")
    remote.answers[FEDERATION] = lambda path: multipart(path.encode() * 100 + b"x" * 20000)(path)
    for number in range(30):
        assert download(user, f"remote.localhost/id{number}").status_code == 200
        assert stored_bytes(node) <= 40000 + 200 * 1024 + 30000
    assert download(user, mine).content == b"mine" * 10000
    asked = len(remote.asked)
    assert download(user, "remote.localhost/id29").status_code == 200
    assert len(remote.asked) == asked
    assert download(user, "remote.localhost/id0").status_code == 200
    assert len(remote.asked) == asked + 1


def test_forgetting_a_copy_spares_what_is_the_same(make_node, authority, remote):
    """A local upload and a copy of another server's are one file, which stays as long as either does."""
    node = start_beside(make_node, authority, remote, {"media": {"remote_cache": "10K"}})
    user = node.client("alice")
    mine = upload(user, b"same" * 1000, "text/plain")
    remote.answers[FEDERATION] = multipart(b"same" * 1000)
    assert download(user, "remote.localhost/same").content == b"same" * 1000
    for number in range(5):
        remote.answers[FEDERATION] = multipart(bytes([number]) * 9000)
        download(user, f"remote.localhost/id{number}")
    assert node.sql("SELECT count (*) FROM media WHERE media_id = 'same'") == "0\n"
    assert download(user, mine).content == b"same" * 1000


def test_CVE_2024_37303_remote_files_are_limited(make_node, authority, remote):
    limits = {"limits": {"enabled": True, "register": "1000;1000", "media": "1;20"}}
    node = start_beside(make_node, authority, remote, limits)
    user = node.client("alice")
    remote.answers[FEDERATION] = multipart(b"x")
    statuses = [download(user, f"remote.localhost/id{number}").status_code for number in range(60)]
    assert 429 in statuses and len(remote.asked) < 40


def test_CVE_2024_37303_remote_bytes_are_metered(make_node, authority, remote):
    limits = {"limits": {"enabled": True, "register": "1000;1000", "media": "1000;1000", "remote_media": "0.01;20"}}
    node = start_beside(make_node, authority, remote, limits)
    user, other = node.client("alice"), node.client("bob")
    remote.answers[FEDERATION] = multipart(b"x" * (9 << 20))
    assert [download(user, f"remote.localhost/id{number}").status_code for number in range(4)] == [200, 200, 429, 429]
    assert len(remote.asked) == 2
    # What is here already costs nothing, and everybody has an allowance.
    assert download(user, "remote.localhost/id0").status_code == 200
    assert download(other, "remote.localhost/id2").status_code == 200


def test_CVE_2024_37303_one_user_cannot_hold_up_the_rest(make_node, authority):
    """Many servers that say nothing, asked by one user."""
    silent = [Remote(f"silent{number}.localhost", authority) for number in range(6)]
    good = Remote("good.localhost", authority)
    places = ";".join(f"{server.name}={server.place}" for server in [*silent, good])
    node = make_node("here.localhost", {"federation": {"resolve": places, "ca_file": authority.ca}}).start()
    greedy, modest = node.client("alice"), node.client("bob")
    going_on = threading.Event()

    def hang(path):
        going_on.wait(30)
        return multipart(b"late")(path)

    for server in silent:
        server.answers[FEDERATION] = hang
    good.answers[FEDERATION] = multipart(b"good")
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        waiting = [pool.submit(download, greedy.twin(), f"{server.name}/id{number}") for number in range(4) for server in silent]
        machine.wait_for(lambda: sum(len(server.asked) for server in silent) >= 4, 10, what="the requests")
        assert download(modest, "good.localhost/abcdef").content == b"good"
        assert not any(each.done() for each in waiting)
        going_on.set()
        assert {each.result().content for each in waiting} == {b"late"}
    for server in [*silent, good]:
        server.stop()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_CVE_2021_21274_outbound_response_size_of_packed_files(beside, remote, user, encoding):
    """Nothing that swells is unpacked."""
    kind, body = multipart(b"x" * (200 << 20))("")[1:]
    remote.answers[FEDERATION] = lambda path: (200, {**kind, "Content-Encoding": encoding}, gzip.compress(body, 1))
    before = memory(beside)
    assert failed(download(user, "remote.localhost/abcdef"))[0] == 502
    assert memory(beside) - before < 60


def test_CVE_2021_21274_outbound_response_size_of_endless_files(beside, remote, user):
    """Cut off when it is too much, or when time is up; and a length is believed as far as it is kept."""
    def endless(wfile):
        wfile.write(b"--b1\r\n\r\n{}\r\n--b1\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            wfile.write(b"x" * (1 << 20))

    remote.answers[FEDERATION] = lambda path: (200, {"Content-Type": "multipart/mixed; boundary=b1", "Content-Length": str(1 << 40)}, endless)
    before = memory(beside)
    assert failed(download(user, "remote.localhost/abcdef")) == (502, "M_TOO_LARGE")
    assert memory(beside) - before < 200
    short = multipart(b"short")("")
    remote.answers[FEDERATION] = lambda path: (200, {**short[1], "Content-Length": "1000"}, short[2])
    assert failed(download(user, "remote.localhost/short"))[0] == 502
    assert beside.sql("SELECT count (*) FROM media") == "0\n"


def test_without_federation_nobody_is_asked(make_node, authority, remote):
    node = make_node("alone.localhost", {"federation": {"enabled": False, "resolve": f"remote.localhost={remote.place}",
                                                        "ca_file": authority.ca}}).start()
    assert failed(download(node.client("alice"), "remote.localhost/abcdef")) == (404, "M_NOT_FOUND")
    assert not remote.asked
