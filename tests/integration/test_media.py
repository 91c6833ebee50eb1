"""The content repository: what is uploaded comes back, to whom it may, as what it is."""

import concurrent.futures
import email.message
import hashlib
import random
import threading
import time

import pytest

import pictures
from client import quote

UPLOAD = "/_matrix/media/v3/upload"
DOWNLOAD = "/_matrix/client/v1/media/download"
THUMBNAIL = "/_matrix/client/v1/media/thumbnail"


def upload(user, content, content_type="image/png", **query):
    answer = user.request("POST", UPLOAD, params=query, data=content, headers={"Content-Type": content_type})
    assert answer.status_code == 200, answer.text
    return answer.json()["content_uri"].removeprefix("mxc://")


def reserve(user):
    return user.post("/_matrix/media/v1/create")["content_uri"].removeprefix("mxc://")


def put(user, where, content, **more):
    return user.request("PUT", f"{UPLOAD}/{where}", data=content, headers={"Content-Type": "text/plain"}, **more)


def download(user, where, **query):
    return user.request("GET", f"{DOWNLOAD}/{where}", params=query)


def thumbnail(user, where, width, height, **query):
    return user.request("GET", f"{THUMBNAIL}/{where}", params={"width": width, "height": height, **query})


def disposition(answer):
    """(inline or attachment, file name or None), as a mail program would read it."""
    message = email.message.Message()
    message["Content-Disposition"] = answer.headers["Content-Disposition"]
    return message.get_content_disposition(), message.get_filename()


def failed(answer):
    return answer.status_code, answer.json()["errcode"]


def test_what_is_uploaded_comes_back(user, other):
    content = bytes(range(256)) * 1000
    where = upload(user, content, "application/x-thing", filename="thing.bin")
    answer = download(other, where)
    assert answer.content == content
    assert answer.headers["Content-Type"] == "application/x-thing"
    assert answer.headers["Content-Length"] == str(len(content))
    assert disposition(answer) == ("attachment", "thing.bin")


def test_safety_headers(user):
    """Client-server API, "Content repository": how content is to be served."""
    answer = download(user, upload(user, pictures.png(4, 4)))
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'; script-src 'none';")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_an_empty_file(user):
    where = upload(user, b"", "text/plain")
    answer = download(user, where)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("name", ["plain.txt", "two words.txt", "Straße ☕.png", 'a "quoted" \\ name', "100%.txt", "a;b=c.txt"])
def test_file_names_come_back(user, name):
    where = upload(user, b"x", "text/plain", filename=name)
    assert disposition(download(user, where)) == ("inline", name)
    assert disposition(download(user, f"{where}/{quote('other ' + name)}")) == ("inline", "other " + name)


def test_no_name_and_no_type(user):
    answer = user.request("POST", UPLOAD, data=b"x")
    where = answer.json()["content_uri"].removeprefix("mxc://")
    answer = download(user, where)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment"


def test_how_large_an_upload_may_be(user):
    for path in ("/_matrix/client/v1/media/config", "/_matrix/media/v3/config"):
        assert user.get(path) == {"m.upload.size": 50 << 20}
        user.get(path, token=None, expect=(401, "M_MISSING_TOKEN"))


def test_too_large_an_upload(make_node):
    node = make_node("small.localhost", {"media": {"max_upload": "64K"}}).start()
    user = node.client("alice")
    assert len(download(user, upload(user, b"x" * 65536)).content) == 65536

    def pieces():
        for _ in range(8):
            yield b"x" * 16384

    for body in (b"x" * 65537, pieces()):
        assert failed(user.request("POST", UPLOAD, data=body)) == (413, "M_TOO_LARGE")


def test_uploads_outlive_a_kill(make_node):
    """What was answered is on the disk."""
    node = make_node("killed.localhost").start()
    user = node.client("alice")
    where = upload(user, b"x" * 100000, "text/plain")
    node.kill9()
    node.start()
    assert download(user, where).content == b"x" * 100000


def store_of(node):
    return node.folder / "data/media"


def stored(node):
    return sorted(path.name for path in (store_of(node) / "content").glob("*/*"))


def test_a_kill_during_uploads_leaves_nothing_half_written(make_node):
    """Each file that is there afterwards is whole, belongs to an id, and every one that was acknowledged is there."""
    node = make_node("killed.localhost").start()
    user = node.client("alice")
    acknowledged, running = [], threading.Event()

    def bring(number):
        twin = user.twin()
        while not running.is_set():
            content = random.randbytes(random.randrange(1, 400000))
            try:
                acknowledged.append((upload(twin, content, "text/plain"), content))
            except OSError:
                return

    for _ in range(4):
        running.clear()
        threads = [threading.Thread(target=bring, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(random.uniform(0.2, 0.8))
        node.kill9()
        running.set()
        for thread in threads:
            thread.join()
        node.start()
    assert len(acknowledged) > 20
    for where, content in acknowledged:
        assert download(user, where).content == content
    rows = node.sql("SELECT DISTINCT sha256 FROM media").split()
    assert stored(node) == sorted(rows)
    for path in (store_of(node) / "content").glob("*/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert not list((store_of(node) / "unfinished").iterdir())


def test_what_a_kill_left_in_disorder_is_put_right(make_node):
    """A file in its place whose id the database never heard of, and a copy that was half forgotten."""
    node = make_node("disorder.localhost").start()
    user = node.client("alice")
    kept, gone = upload(user, b"kept", "text/plain"), hashlib.sha256(b"gone").hexdigest()
    node.kill9()
    (store_of(node) / "content" / gone[:2] / gone).write_bytes(b"gone")
    for sha256 in (gone, stored(node)[0], stored(node)[1]):
        (store_of(node) / "unfinished" / f"{sha256}-abc").write_bytes(b"half")
    node.start()
    assert not list((store_of(node) / "unfinished").iterdir())
    assert stored(node) == [hashlib.sha256(b"kept").hexdigest()]
    assert download(user, kept).content == b"kept"


def test_an_upload_that_the_database_refuses_leaves_nothing(make_node):
    node = make_node("refused.localhost").start()
    user = node.client("alice")
    node.sql("ALTER TABLE media ADD CONSTRAINT none CHECK (content_type <> 'text/refused')")
    assert user.request("POST", UPLOAD, data=b"x", headers={"Content-Type": "text/refused"}).status_code == 500
    assert stored(node) == []
    assert not list((store_of(node) / "unfinished").iterdir())


def test_a_user_has_a_quota(make_node):
    """"Security considerations" of the content repository: 403 and M_FORBIDDEN. It is the user's own."""
    node = make_node("quota.localhost", {"media": {"user_quota": "100K"}}).start()
    user, other = node.client("alice"), node.client("bob")
    first = upload(user, b"x" * 90000)
    assert failed(user.request("POST", UPLOAD, data=b"y" * 20000)) == (403, "M_FORBIDDEN")
    reserved = reserve(user)
    assert failed(put(user, reserved, b"y" * 20000)) == (403, "M_FORBIDDEN")
    upload(other, b"y" * 20000)
    # Small ones are not free.
    for number in range(4):
        answer = user.request("POST", UPLOAD, data=b"%d" % number)
    assert failed(answer) == (403, "M_FORBIDDEN")
    assert download(user, first).content == b"x" * 90000


def test_equal_files_are_stored_once(make_node):
    node = make_node("once.localhost").start()
    user = node.client("alice")
    first, second = upload(user, b"the same"), upload(user, b"the same")
    assert first != second
    assert download(user, first).content == download(user, second).content
    assert len([path for path in (node.folder / "data/media/content").glob("*/*")]) == 1
    assert not list((node.folder / "data/media/unfinished").iterdir())


def test_uploads_at_the_same_time(user):
    contents = [bytes([number % 4]) * 50000 for number in range(24)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lambda content: upload(user.twin(), content), contents))
    assert len(set(places)) == len(places)
    for place, content in zip(places, contents):
        assert download(user, place).content == content


# Ids that are given out before their content ("POST /_matrix/media/v1/create")


def test_a_reserved_id_gets_its_content(node, user, other):
    answer = user.post("/_matrix/media/v1/create")
    where = answer["content_uri"].removeprefix("mxc://")
    assert abs(answer["unused_expires_at"] / 1000 - time.time() - 24 * 3600) < 60
    assert failed(put(other, where, b"mine")) == (403, "M_FORBIDDEN")
    assert failed(download(other, where, timeout_ms=0)) == (504, "M_NOT_YET_UPLOADED")
    assert put(user, where, b"late").json() == {}
    assert failed(put(user, where, b"later")) == (409, "M_CANNOT_OVERWRITE_MEDIA")
    assert download(other, where).content == b"late"


def test_unknown_ids(node, user):
    assert failed(put(user, f"{node.server_name}/neverseen", b"x")) == (404, "M_NOT_FOUND")
    assert failed(put(user, "elsewhere.example/neverseen", b"x")) == (404, "M_NOT_FOUND")
    assert failed(download(user, f"{node.server_name}/neverseen")) == (404, "M_NOT_FOUND")
    assert failed(thumbnail(user, f"{node.server_name}/neverseen", 32, 32)) == (404, "M_NOT_FOUND")


def test_expired_reservation(node, user):
    where = reserve(user)
    node.sql(f"UPDATE media SET expires_ts = 1 WHERE media_id = '{where.split('/')[1]}'")
    assert failed(put(user, where, b"x")) == (404, "M_NOT_FOUND")
    assert failed(download(user, where)) == (404, "M_NOT_FOUND")


def test_whoever_waits_gets_it_when_it_comes(user, other):
    """timeout_ms: no thread of the node is held, so that many may wait."""
    where = reserve(user)
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(download, other.twin(), where, timeout_ms=20000) for _ in range(40)]
        time.sleep(0.5)
        assert not any(each.done() for each in waiting)
        began = time.monotonic()
        assert other.get("/account/whoami")["user_id"] == other.user_id
        put(user, where, b"at last")
        assert [each.result().content for each in waiting] == [b"at last"] * 40
        assert time.monotonic() - began < 5


def test_whoever_waits_too_long_is_told(user):
    where = reserve(user)
    began = time.monotonic()
    assert failed(download(user, where, timeout_ms=700)) == (504, "M_NOT_YET_UPLOADED")
    assert 0.6 < time.monotonic() - began < 5


def test_few_ids_can_be_reserved(user, other):
    for _ in range(20):
        where = reserve(user)
    user.post("/_matrix/media/v1/create", expect=(429, "M_LIMIT_EXCEEDED"))
    reserve(other)
    put(user, where, b"x")
    reserve(user)


def test_a_node_that_stops_lets_those_go_who_wait(make_node):
    node = make_node("stops.localhost").start()
    user = node.client("alice")
    where = reserve(user)

    def wait():
        try:
            download(user.twin(), where, timeout_ms=60000)
        except OSError:
            pass

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.3)
    assert node.stop() == 0
    waiting.join(10)
    assert not waiting.is_alive()


# Thumbnails


@pytest.mark.parametrize("asked, method, got", [
    ((32, 32), "crop", (32, 32)),
    ((96, 96), "crop", (96, 96)),
    ((40, 40), "crop", (96, 96)),
    ((320, 240), "scale", (320, 160)),
    ((64, 64), "scale", (320, 160)),
    ((640, 480), None, (640, 320)),
    ((4000, 4000), "scale", (1000, 500)),
    ((32767, 1), "scale", (1000, 500)),
    ((800, 800), "crop", (800, 500)),
])
def test_thumbnail_sizes(user, asked, method, got):
    """Not smaller than asked for, of the listed sizes, and never larger than the original."""
    where = upload(user, pictures.png(1000, 500), filename="original.png")
    answer = thumbnail(user, where, *asked, **({"method": method} if method else {}))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "image/png"
    assert disposition(answer) == ("inline", "thumbnail.png")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
    assert pictures.size(answer.content) == got


def test_thumbnails_show_the_picture(user):
    rows = pictures.pixels(thumbnail(user, upload(user, pictures.halves(800, 400)), 320, 240).content)
    assert len(rows) == 160
    for row in rows:
        assert all(colour[0] > 250 and colour[2] < 5 for colour in row[:155])
        assert all(colour[0] < 5 and colour[2] > 250 for colour in row[165:])


@pytest.mark.parametrize("image, got", [("JPEG", "image/jpeg"), ("WEBP", "image/jpeg")])
def test_thumbnails_of_other_kinds(user, image, got):
    answer = thumbnail(user, upload(user, getattr(pictures, image), "image/x-whatever"), 32, 32, method="crop")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, got)
    assert pictures.size(answer.content) == (32, 32)


@pytest.mark.parametrize("animated, kind", [("true", "webp animation"), ("false", "png"), (None, "png")])
def test_animated_thumbnails(user, animated, kind):
    where = upload(user, pictures.gif(5, side=64), "image/gif")
    answer = thumbnail(user, where, 32, 32, **({"animated": animated} if animated else {}))
    assert pictures.kind(answer.content) == kind
    assert answer.headers["Content-Type"] == f"image/{kind.split()[0]}"


def test_animated_webp(user):
    moving = thumbnail(user, upload(user, pictures.gif(5, side=64), "image/gif"), 96, 96, animated="true").content
    assert pictures.kind(moving) == "webp animation"
    where = upload(user, moving, "image/webp")
    assert pictures.kind(thumbnail(user, where, 32, 32, method="crop", animated="true").content) == "webp animation"
    still = thumbnail(user, where, 32, 32, method="crop")
    assert pictures.kind(still.content) in ("png", "jpeg")
    assert pictures.size(still.content) == (32, 32)


def test_what_cannot_move_stands_still(user):
    answer = thumbnail(user, upload(user, pictures.png(64, 64)), 32, 32, animated="true")
    assert pictures.kind(answer.content) == "png"


@pytest.mark.parametrize("query", [
    {"width": "0"}, {"width": "-1"}, {"height": "x"}, {"width": "1.5"}, {"width": str(2**31 - 1)}, {"width": str(2**63)}, {"height": str(-2**63)},
    {"width": ""}, {"method": "stretch"}, {"animated": "maybe"}, {"timeout_ms": "soon"},
])
def test_bad_thumbnail_parameters(user, query):
    where = upload(user, pictures.png(8, 8))
    answer = user.request("GET", f"{THUMBNAIL}/{where}", params={"width": 32, "height": 32, **query})
    assert failed(answer) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize("query", [{"width": 32}, {"height": 32}, {}])
def test_thumbnail_sizes_are_required(user, query):
    where = upload(user, pictures.png(8, 8))
    assert failed(user.request("GET", f"{THUMBNAIL}/{where}", params=query)) == (400, "M_MISSING_PARAM")


def test_many_who_want_a_thumbnail_cause_one(make_node):
    node = make_node("thumbs.localhost").start()
    user = node.client("alice")
    where = upload(user, pictures.png(2000, 2000))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: thumbnail(user.twin(), where, 96, 96, method="crop"), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(list((node.folder / "data/media/thumbnails").glob("*/*"))) == 1
    # And it is made again when somebody has tidied up.
    for path in (node.folder / "data/media/thumbnails").glob("*/*"):
        path.unlink()
    assert thumbnail(user, where, 96, 96, method="crop").content == answers[0].content


def test_thumbnails_stay_under_their_cap(make_node):
    """The oldest go, and come back when they are wanted."""
    node = make_node("thumbs.localhost", {"media": {"thumbnail_cache": "30K"}}).start()
    user = node.client("alice")
    wheres = [upload(user, pictures.noise(200, 200, seed)) for seed in range(6)]

    def kept():
        return {path.name[:64]: path.stat().st_size for path in (store_of(node) / "thumbnails").glob("*/*")}

    for where in wheres:
        assert thumbnail(user, where, 96, 96, method="crop").status_code == 200
        assert sum(kept().values()) <= 30 * 1024 + 30000
    assert 0 < len(kept()) < 4
    oldest = hashlib.sha256(pictures.noise(200, 200, 0)).hexdigest()
    assert oldest not in kept()
    assert pictures.size(thumbnail(user, wheres[0], 96, 96, method="crop").content) == (96, 96)
    assert oldest in kept()


def test_there_are_no_url_previews(node, user):
    """The endpoint is one that this server does not have."""
    for path in ("/_matrix/client/v1/media/preview_url", "/_matrix/media/v3/preview_url"):
        answer = user.request("GET", path, params={"url": f"{node.url}/_matrix/client/versions"})
        assert failed(answer) == (404, "M_UNRECOGNIZED")


def test_guests_may_look_and_not_upload(node, user):
    guest = node.client()
    answer = guest.post("/register?kind=guest", {}, token=None)
    guest.token = answer["access_token"]
    where = upload(user, pictures.png(64, 64))
    assert download(guest, where).status_code == 200
    assert thumbnail(guest, where, 32, 32).status_code == 200
    assert guest.request("POST", UPLOAD, data=b"x").status_code == 403
