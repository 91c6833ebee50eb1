"""Sign-in against a real directory (slapd), and against ones that misbehave."""

import contextlib
import shutil
import socket
import ssl
import threading
import time

import pytest

import machine
from authority import Authority

pytestmark = pytest.mark.peers

FORBIDDEN = (403, "M_FORBIDDEN")


def login(node, user, password, *, expect=200, **more):
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password, **more}
    return node.client().post("/login", body, expect=expect)


def proof(user_id, password):
    return {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user_id}, "password": password}


@pytest.fixture(scope="module")
def company(authority):
    """A node of acme with a slapd of its own, whose log of what it was asked can be read."""
    from directory import Directory
    from node import Node
    slapd = Directory(authority, debug="stats", first_lines="allow bind_anon_cred bind_anon_dn\n").start()
    node = Node("acme.localhost", {"ldap": slapd.settings("acme")}).start()
    node.directory = slapd
    yield node
    node.stop()
    node.remove()
    slapd.remove()


def signed_in(node, answer):
    client = node.client()
    client.user_id, client.token, client.device_id = answer["user_id"], answer["access_token"], answer["device_id"]
    return client


def test_first_sign_in_makes_an_account(company):
    answer = login(company, "ada", "ada-demo")
    assert answer["user_id"] == "@ada:acme.localhost"
    ada = signed_in(company, answer)
    assert ada.get("/profile/@ada:acme.localhost")["displayname"] == "Ada Brandt"
    threepids = ada.get("/account/3pid")["threepids"]
    assert [(one["medium"], one["address"]) for one in threepids] == [("email", "ada@acme.localhost")]
    assert company.sql("SELECT origin, password_hash IS NULL, admin FROM account WHERE user_id = '@ada:acme.localhost'") == \
        "ldap|t|f\n"
    # Later sign-ins find it again, in whatever form the name is typed.
    for name in ("ADA", "@ada:acme.localhost"):
        assert login(company, name, "ada-demo")["user_id"] == "@ada:acme.localhost"
    body = {"type": "m.login.password", "password": "ada-demo",
            "identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "Ada@acme.localhost"}}
    assert company.client().post("/login", body)["user_id"] == "@ada:acme.localhost"


def test_names_beyond_ascii(company):
    bela = signed_in(company, login(company, "bela", "bela-demo"))
    assert bela.get(f"/profile/{bela.user_id}/displayname") == {"displayname": "Béla Kovács"}


def test_sign_in_by_start_tls(directory, make_node):
    node = make_node("globex.localhost", {"ldap": directory.settings("globex", start_tls=True)}).start()
    assert login(node, "gita", "gita-demo")["user_id"] == "@gita:globex.localhost"
    login(node, "gita", "wrong", expect=FORBIDDEN)
    # People of the other company are not below this one's base.
    login(node, "ada", "ada-demo", expect=FORBIDDEN)


def test_wrong_passwords_and_strangers(company):
    assert login(company, "ada", "wrong", expect=FORBIDDEN) == login(company, "nobody", "wrong", expect=FORBIDDEN)
    login(company, "chidi", "ada-demo", expect=FORBIDDEN)
    assert company.sql("SELECT count(*) FROM account WHERE user_id = '@chidi:acme.localhost'") == "0\n"


def test_class_ldap_injection(company):
    for name in ("*", "ad*", "a*a", "a)(uid=ada", "*)(uid=*", "\\2a", "\\61da", "ada,ou=people", "ada+cn=Ada Brandt", "uid=ada",
                 "ada\0", "\0", "ada)(|(cn=*", "ada ", " ada", "(ada)", "&", "=ada", "ada=", "cn=comity,dc=demo"):
        for password in ("ada-demo", "wrong", "comity-demo"):
            login(company, name, password, expect=FORBIDDEN)
    # What is of the grammar of names, and special in DNs, is searched for as it is and found nowhere.
    log = company.directory.log_text()
    assert "(uid=a=b)" not in log
    login(company, "a=b+c/d", "ada-demo", expect=FORBIDDEN)
    log = company.directory.log_text()
    assert 'uid=a=b+c/d)' in log
    assert "*" not in "".join(line for line in log.splitlines() if "filter=" in line)


def test_class_ldap_unauthenticated_bind(company):
    """The demo directory does not, but this slapd is told to allow binds with a name and no password."""
    before = company.directory.log_text().count(" BIND ")
    for password in ("", None, "\0", "\0ada-demo", "ada-demo\0"):
        login(company, "ada", password, expect=FORBIDDEN)
    company.client().post("/login", {"type": "m.login.password", "user": "ada"}, expect=FORBIDDEN)
    assert company.directory.log_text().count(" BIND ") == before
    ada = signed_in(company, login(company, "ada", "ada-demo"))
    before = company.directory.log_text().count(" BIND ")
    for password in ("", "\0", None):
        ada.delete("/devices/X", {"auth": proof("ada", password)}, expect=(401, "M_FORBIDDEN"))
    assert company.directory.log_text().count(" BIND ") == before


def test_class_ldap_unauthenticated_bind_of_the_node(directory, make_node, tmp_path):
    """A bind_password_file without a password does not search as nobody."""
    empty = machine.make_folder() / "empty"
    empty.write_text("\n")
    node = make_node("acme.localhost", {"ldap": {**directory.settings("acme"), "bind_password_file": empty}}).start()
    assert node.client().request("POST", "/login", json={"type": "m.login.password", "user": "ada", "password": "ada-demo"}) \
        .status_code >= 500
    shutil.rmtree(empty.parent)


def test_CVE_2025_62425_uia_asks_the_directory(company):
    ada = signed_in(company, login(company, "ada", "ada-demo"))
    ada.delete("/devices/X", {"auth": proof("ada", "wrong")}, expect=(401, "M_FORBIDDEN"))
    ada.delete("/devices/X", {"auth": proof("bela", "bela-demo")}, expect=FORBIDDEN)
    ada.delete("/devices/X", {"auth": proof("ada", "ada-demo")})
    # The directory's passwords are changed there.
    ada.post("/account/password", {"new_password": "x", "auth": proof("ada", "ada-demo")}, expect=FORBIDDEN)


def secret_register(node, name, admin):
    import hashlib
    import hmac
    nonce = node.client().get("/_synapse/admin/v1/register")["nonce"]
    parts = [nonce, name, "local password", "admin" if admin else "notadmin"]
    mac = hmac.new(b"registration secret", "\0".join(parts).encode(), hashlib.sha1).hexdigest()
    body = {"nonce": nonce, "username": name, "password": "local password", "admin": admin, "mac": mac}
    return node.client().request("POST", "/_synapse/admin/v1/register", json=body)


def test_class_idp_account_linking(authority, make_node):
    """A name of the directory never opens an account that was not made for that very entry."""
    from directory import Directory
    slapd = Directory(authority)
    try:
        slapd.add("\n".join(["dn: uid=boss,ou=people,ou=acme,dc=demo", "objectClass: inetOrgPerson", "uid: boss", "cn: Eve",
                             "sn: Eve", "userPassword: eve-demo", ""]))
        # The local administrator was there before the directory was.
        node = make_node("acme.localhost").start()
        assert secret_register(node, "boss", True).status_code == 200
        node.stop()
        slapd.start()
        node.settings["ldap"] = slapd.settings("acme")
        node.start()
        for name in ("boss", "BOSS", "Boss", "@boss:acme.localhost"):
            login(node, name, "eve-demo", expect=FORBIDDEN)
        for twin in ("bоss", "boss\u200b", "ｂoss"):
            login(node, twin, "eve-demo", expect=FORBIDDEN)
        login(node, "boss", "local password")
        # Nor is a name of the directory given to somebody else before its owner comes.
        assert secret_register(node, "ada", True).json()["errcode"] == "M_USER_IN_USE"
        node.client().post("/register", {"username": "ada", "password": "x", "auth": {"type": "m.login.dummy"}},
                           expect=(400, "M_USER_IN_USE"))
        login(node, "ada", "ada-demo")
        # A local password for an account of the directory is no way in.
        node.sql("UPDATE account SET password_hash = (SELECT password_hash FROM account WHERE user_id = '@boss:acme.localhost')"
                 " WHERE user_id = '@ada:acme.localhost'")
        login(node, "ada", "local password", expect=FORBIDDEN)
        # Somebody else gets the name of one who left: not the account.
        node.sql("UPDATE account SET external_id = 'another entry' WHERE user_id = '@ada:acme.localhost'")
        login(node, "ada", "ada-demo", expect=FORBIDDEN)
        # And without a directory its accounts are closed.
        node.stop()
        node.settings["ldap"] = {}
        node.start()
        login(node, "ada", "local password", expect=FORBIDDEN)
    finally:
        slapd.remove()


def test_name_that_two_entries_have(authority, make_node):
    from directory import Directory
    slapd = Directory(authority)
    try:
        entry = ["objectClass: inetOrgPerson", "cn: Twin", "sn: Twin", "userPassword: twin-demo", ""]
        slapd.add("\n".join(["dn: cn=one,ou=people,ou=acme,dc=demo", "uid: twin", "cn: one", *entry,
                             "dn: cn=two,ou=people,ou=acme,dc=demo", "uid: twin", "cn: two", *entry,
                             "dn: cn=both,ou=people,ou=acme,dc=demo", "uid: left", "uid: right", "cn: both", *entry]))
        slapd.start()
        node = make_node("acme.localhost", {"ldap": slapd.settings("acme")}).start()
        for name in ("twin", "left", "right"):
            login(node, name, "twin-demo", expect=FORBIDDEN)
    finally:
        slapd.remove()


@pytest.fixture
def kept(authority, make_node):
    """A node of acme and the directory's keeper: kept.modify(...) changes entries."""
    from directory import KEEPER, Directory
    slapd = Directory(authority, last_lines=KEEPER).start()
    settings = {**slapd.settings("acme"), "user_filter": "(&(objectClass=inetOrgPerson)(!(employeeType=former)))"}
    node = make_node("acme.localhost", {"ldap": settings}).start()
    node.modify = lambda dn, *lines: slapd.modify("\n".join([f"dn: {dn}", *lines, ""]))
    yield node
    slapd.remove()


ADA = "uid=ada,ou=people,ou=acme,dc=demo"


def test_people_who_are_disabled(kept):
    ada = signed_in(kept, login(kept, "ada", "ada-demo"))
    kept.modify(ADA, "changetype: modify", "add: employeeType", "employeeType: former")
    login(kept, "ada", "ada-demo", expect=FORBIDDEN)
    ada.delete("/devices/X", {"auth": proof("ada", "ada-demo")}, expect=(401, "M_FORBIDDEN"))
    # Another who is disabled before the first sign-in gets no account.
    kept.modify("uid=bela,ou=people,ou=acme,dc=demo", "changetype: modify", "add: employeeType", "employeeType: former")
    login(kept, "bela", "bela-demo", expect=FORBIDDEN)
    assert kept.sql("SELECT user_id FROM account WHERE origin = 'ldap'").split() == ["@ada:acme.localhost"]
    kept.modify(ADA, "changetype: modify", "delete: employeeType")
    login(kept, "ada", "ada-demo")
    # A password that the directory took away is no empty one.
    kept.modify(ADA, "changetype: modify", "delete: userPassword")
    for password in ("ada-demo", "", None):
        login(kept, "ada", password, expect=FORBIDDEN)


def test_people_who_move_and_get_other_names(kept):
    ada = signed_in(kept, login(kept, "ada", "ada-demo"))
    kept.modify("ou=berlin,ou=people,ou=acme,dc=demo", "changetype: add", "objectClass: organizationalUnit", "ou: berlin")
    kept.modify(ADA, "changetype: moddn", "newrdn: uid=ada", "deleteoldrdn: 0", "newsuperior: ou=berlin,ou=people,ou=acme,dc=demo")
    assert login(kept, "ada", "ada-demo")["user_id"] == ada.user_id
    kept.modify("uid=ada,ou=berlin,ou=people,ou=acme,dc=demo", "changetype: modrdn", "newrdn: uid=adakovacs", "deleteoldrdn: 1")
    for name in ("adakovacs", "ada", ada.user_id):
        assert login(kept, name, "ada-demo")["user_id"] == ada.user_id
        login(kept, name, "wrong", expect=FORBIDDEN)
    ada.delete("/devices/X", {"auth": proof(ada.user_id, "ada-demo")})
    # The name goes to somebody else: the account does not.
    kept.modify("uid=bela,ou=people,ou=acme,dc=demo", "changetype: modrdn", "newrdn: uid=ada", "deleteoldrdn: 1")
    login(kept, "ada", "bela-demo", expect=FORBIDDEN)
    assert login(kept, "adakovacs", "ada-demo")["user_id"] == ada.user_id
    assert kept.sql("SELECT count(*) FROM account WHERE origin = 'ldap'") == "1\n"
    # Out of the company's part of the tree.
    kept.modify("uid=adakovacs,ou=berlin,ou=people,ou=acme,dc=demo", "changetype: moddn", "newrdn: uid=adakovacs", "deleteoldrdn: 0",
                "newsuperior: ou=people,ou=globex,dc=demo")
    login(kept, "adakovacs", "ada-demo", expect=FORBIDDEN)


def test_class_idp_account_linking_people_who_are_removed(kept):
    ada = signed_in(kept, login(kept, "ada", "ada-demo"))
    kept.modify(ADA, "changetype: delete")
    login(kept, "ada", "ada-demo", expect=FORBIDDEN)
    ada.delete("/devices/X", {"auth": proof("ada", "ada-demo")}, expect=(401, "M_FORBIDDEN"))
    # Another entry of that name is another person, until who runs the node says that it is not.
    kept.modify(ADA, "changetype: add", "objectClass: inetOrgPerson", "uid: ada", "cn: Ada", "sn: Again", "userPassword: again-demo")
    login(kept, "ada", "again-demo", expect=FORBIDDEN)
    assert "user relink" in kept.log_text()
    assert kept.run("user", "relink", "ada").returncode == 0
    assert login(kept, "ada", "again-demo")["user_id"] == ada.user_id


def test_mail_that_two_people_have(kept):
    """The first to sign in has it; the other signs in as well, by name."""
    kept.modify("uid=bela,ou=people,ou=acme,dc=demo", "changetype: modify", "replace: mail", "mail: ADA@acme.localhost")
    login(kept, "ada", "ada-demo")
    bela = signed_in(kept, login(kept, "bela", "bela-demo"))
    assert bela.get("/account/3pid")["threepids"] == []
    body = {"type": "m.login.password", "identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "ada@acme.localhost"}}
    kept.client().post("/login", {**body, "password": "bela-demo"}, expect=FORBIDDEN)
    assert kept.client().post("/login", {**body, "password": "ada-demo"})["user_id"] == "@ada:acme.localhost"


# Directories that are not what they should be


START_TLS = b"1.3.6.1.4.1.1466.20037"


@contextlib.contextmanager
def trap(answer=None, tls=None, start_tls=False):
    """A listener that takes down all it is sent. answer(data): what to send back, once; tls: (certificate, key), which it begins
    with, or when start_tls once it was asked to."""
    server = socket.create_server(("127.0.0.1", 0))
    seen, open_sockets = [], []

    def talk(connection):
        try:
            if start_tls:
                assert START_TLS in connection.recv(4096)
                # ExtendedResponse with resultCode success (0) for message 1.
                connection.sendall(bytes.fromhex("300c02010178070a010004000400"))
            if tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*tls)
                connection = context.wrap_socket(connection, server_side=True)
            while data := connection.recv(4096):
                seen.append(data)
                if answer and answer(data):
                    connection.sendall(answer(data))
        except OSError:
            pass

    def accept():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                open_sockets.append(connection)
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1], seen
    finally:
        # shutdown wakes the thread that waits in accept.
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        for connection in open_sockets:
            connection.close()


def settings(directory, uri, **more):
    return {"ldap": {**directory.settings("acme"), "uri": uri, **more}}


def fails(node):
    answer = node.client().request("POST", "/login", json={"type": "m.login.password", "user": "ada", "password": "ada-demo"})
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"] == "The directory is not available"


def test_CVE_2020_15719_ldap_tls_certificates(authority, directory, make_node, tmp_path_factory):
    stranger = Authority(machine.make_folder())
    certificates = {
        "another authority": stranger.issue("127.0.0.1"),
        "another name": authority.issue("elsewhere.localhost", addresses=False),
        "out of date": authority.issue("stale.localhost", days=-1),
        # The name stands only where certificates carried it long ago.
        "common name only": authority.issue("localhost", addresses=False, names=("other.localhost",)),
    }
    for start_tls in (False, True):
        for what, certificate in certificates.items():
            with trap(tls=certificate, start_tls=start_tls) as (port, seen):
                host = "localhost" if what == "common name only" else "127.0.0.1"
                scheme = "ldap" if start_tls else "ldaps"
                node = make_node("acme.localhost", settings(directory, f"{scheme}://{host}:{port}", start_tls=start_tls)).start()
                fails(node)
                assert not seen, f"{what}: it was told {seen}"
                assert node.sql("SELECT count(*) FROM account WHERE origin = 'ldap'") == "0\n"
                node.stop()
    shutil.rmtree(stranger.folder)


def test_CVE_2020_15719_ldap_tls_refused(directory, make_node):
    # ExtendedResponse with resultCode protocolError (2) for message 1.
    refusal = bytes.fromhex("300c02010178070a010204000400")
    with trap(answer=lambda data: refusal) as (port, seen):
        node = make_node("acme.localhost", settings(directory, f"ldap://127.0.0.1:{port}", start_tls=True)).start()
        fails(node)
        assert START_TLS in b"".join(seen)
        assert b"comity-demo" not in b"".join(seen) and b"ada" not in b"".join(seen)


def test_CVE_2020_15719_plain_ldap_is_not_configurable(directory, make_node):
    node = make_node("acme.localhost", settings(directory, directory.uri, start_tls=False))
    node.write_config()
    result = node.run("check-config")
    assert result.returncode == 1 and "start_tls" in result.stderr


def test_class_ldap_stall(directory, make_node):
    with trap() as (port, seen):
        node = make_node("acme.localhost").start()
        local = node.client("local")
        node.stop()
        node.settings["ldap"] = settings(directory, f"ldaps://127.0.0.1:{port}")["ldap"]
        node.start()
        threads = [threading.Thread(target=fails, args=(node,)) for _ in range(20)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        for _ in range(20):
            asked = time.monotonic()
            local.get("/account/whoami")
            assert time.monotonic() - asked < 1
            time.sleep(0.02)
        for thread in threads:
            thread.join()
        assert time.monotonic() - began < 30
        local.another_device()
        # Once it is known not to answer, it is not waited for.
        began = time.monotonic()
        fails(node)
        assert time.monotonic() - began < 2


def test_class_use_after_free_of_what_waits_at_the_stop(directory, make_node):
    """Calls still wait for a thread when the node is told to stop: they are answered, or not, and do no harm."""
    def in_threads(count, work):
        def run():
            with contextlib.suppress(Exception):
                work()

        for _ in range(count):
            threading.Thread(target=run, daemon=True).start()
        time.sleep(0.5)

    with trap() as (port, seen):
        node = make_node("acme.localhost").start()
        local = node.client("local")
        node.stop()
        node.settings["ldap"] = settings(directory, f"ldaps://127.0.0.1:{port}")["ldap"]
        node.start()
        in_threads(20, lambda: fails(node))
        in_threads(5, lambda: local.post("/delete_devices", {"devices": ["X"]}))
        assert node.stop(seconds=20) == 0


def test_class_ldap_stall_referrals(authority, directory, make_node):
    from directory import Directory
    with trap(tls=authority.issue("trap.localhost")) as (port, seen):
        slapd = Directory(authority)
        try:
            slapd.add("\n".join(["dn: ou=elsewhere,ou=people,ou=acme,dc=demo", "objectClass: referral", "objectClass: extensibleObject",
                                 "ou: elsewhere", f"ref: ldaps://127.0.0.1:{port}/ou=people,ou=acme,dc=demo", ""]))
            slapd.start()
            node = make_node("acme.localhost", {"ldap": slapd.settings("acme")}).start()
            login(node, "ada", "ada-demo")
            login(node, "nobody", "ada-demo", expect=FORBIDDEN)
            assert not seen
        finally:
            slapd.remove()


def test_directory_that_is_down_and_comes_back(authority, make_node):
    from directory import Directory
    slapd = Directory(authority)
    try:
        node = make_node("acme.localhost", {"ldap": slapd.settings("acme")}).start()
        fails(node)
        assert node.sql("SELECT count(*) FROM account WHERE origin = 'ldap'") == "0\n"
        # Nor is a name given away that may be somebody's there.
        node.client().post("/register", {"username": "new", "password": "x", "auth": {"type": "m.login.dummy"}}, expect=503)
        slapd.start()
        machine.wait_for(lambda: node.client().request("POST", "/login", json={
            "type": "m.login.password", "user": "ada", "password": "ada-demo"}).status_code == 200, 15, every=0.5,
            what="the directory to be asked again")
        # Who is signed in stays so without it, and local accounts do not need it.
        ada = signed_in(node, login(node, "ada", "ada-demo"))
        assert node.run("user", "add", "local", input="local password\n").returncode == 0
        slapd.stop()
        ada.get("/account/whoami")
        fails(node)
        login(node, "local", "local password")
    finally:
        slapd.remove()
