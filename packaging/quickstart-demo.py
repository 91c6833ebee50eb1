#!/usr/bin/env python3
"""What the quickstart does as a client: signs people in, makes the shared room, and says what runs where. Standard library only."""

import hashlib
import hmac
import json
import os
import pathlib
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent


class Node:
    """A homeserver as its clients see it."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"

    def call(self, method, path, body=None, token=None, patience=0):
        """The answer's JSON; ends the program with what went wrong, after trying again for `patience` seconds."""
        end = time.monotonic() + patience
        while True:
            answer, problem = self._try(method, path, body, token)
            if problem is None:
                return answer
            if time.monotonic() > end:
                sys.exit(problem)
            time.sleep(0.3)

    def _try(self, method, path, body, token):
        request = urllib.request.Request(self.base + path, method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer), None
        except urllib.error.HTTPError as error:
            return None, f"{method} {path}: {error.code} {error.read().decode(errors='replace')}"

    def login(self, user, password):
        return self.call("POST", "/_matrix/client/v3/login", {
            "type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password,
            "initial_device_display_name": "quickstart"})


def load(path):
    return json.loads(path.read_text()) if path.exists() else {}


def save(path, value):
    """Whole or not at all, and for root's eyes only: it holds tokens."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(value, file, indent=1)
    new.rename(path)


def people_of(company):
    """The uids of a company's people in the demo directory."""
    uids, inside = [], False
    for line in (HERE / "ldap" / "demo.ldif").read_text().splitlines():
        if line.startswith("dn: "):
            inside = line.startswith("dn: uid=") and f"ou={company}," in line
        elif inside and line.startswith("uid: "):
            uids.append(line[5:])
    return uids


def make_admin(node, folder):
    """An administrator, made with the registration secret as Synapse's register_new_matrix_user does."""
    secret = (folder / "registration-secret").read_text().strip()
    password = secrets.token_urlsafe(12)
    nonce = node.call("GET", "/_synapse/admin/v1/register")["nonce"]
    mac = hmac.new(secret.encode(), "\0".join((nonce, "admin", password, "admin")).encode(), hashlib.sha1).hexdigest()
    answer = node.call("POST", "/_synapse/admin/v1/register",
                       {"nonce": nonce, "username": "admin", "password": password, "admin": True, "mac": mac})
    return {"user_id": answer["user_id"], "password": password, "token": answer["access_token"]}


def sign_in_people(state, name, company, port):
    """Each person signs in over the directory once, which makes the account."""
    folder = state / name
    known = load(folder / "accounts.json")
    node = Node(port)
    if "admin" not in known:
        known["admin"] = make_admin(node, folder)
        save(folder / "accounts.json", known)
    for uid in people_of(company):
        if uid in known:
            continue
        answer = node.login(uid, uid + "-demo")
        known[uid] = {"user_id": answer["user_id"], "password": uid + "-demo", "token": answer["access_token"]}
        save(folder / "accounts.json", known)
        print("signed in", answer["user_id"])


def everybody(state, name):
    """The accounts of a node's people, the administrator left out."""
    accounts = load(state / name / "accounts.json")
    accounts.pop("admin", None)
    return list(accounts.values())


def participant_of(name):
    """The service account with which a node itself takes part in encrypted rooms."""
    return f"@comity:{name}"


def make_room(state, arguments):
    """One encrypted room of all people of all nodes: NAME=PORT... The first person of the first node makes it, everybody joins."""
    if (state / "room.json").exists():
        return
    nodes = [(name, Node(port)) for name, port in (argument.split("=") for argument in arguments)]
    people = [(node, person) for name, node in nodes for person in everybody(state, name)]
    host, creator = people[0]
    room = host.call("POST", "/_matrix/client/v3/createRoom", {
        "preset": "private_chat", "name": "Acme and Globex", "topic": "Two companies, one room",
        "invite": [person["user_id"] for _, person in people[1:]] + [participant_of(name) for name, _ in nodes],
        "initial_state": [{"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}],
    }, creator["token"])["room_id"]
    query = urllib.parse.urlencode({"server_name": nodes[0][0], "via": nodes[0][0]})
    for node, person in people[1:]:
        node.call("POST", f"/_matrix/client/v3/join/{urllib.parse.quote(room, safe='')}?{query}", {}, person["token"], patience=20)
        print("joined", person["user_id"])
    save(state / "room.json", {"room_id": room, "creator": creator["user_id"], "people": len(people)})


class Listener:
    """`comity listen` of one node in the background."""

    def __init__(self, comity, state, name, room):
        self.name = name
        self.config = str(state / name / "comity.conf")
        self.comity, self.room = comity, room
        self.process = subprocess.Popen([comity, "listen", "--config", self.config, "--room", room, "--last", "5", "--json",
                                         "--timeout", "90"], stdout=subprocess.PIPE, text=True)

    def say(self, text):
        subprocess.run([self.comity, "say", "--config", self.config, "--room", self.room, text], check=True, timeout=90,
                       stdout=subprocess.DEVNULL)

    def hear(self, text):
        """Waits for that text from somebody else, and returns what was decrypted."""
        for line in self.process.stdout:
            heard = json.loads(line)
            if (heard.get("content") or {}).get("body") == text and not heard["own"]:
                return heard
        sys.exit(f"the participant of {self.name} did not hear: {text}")

    def stop(self):
        self.process.kill()
        self.process.wait()


def wait_for_members(node, token, room, wanted):
    end = time.monotonic() + 60
    path = f"/_matrix/client/v3/rooms/{urllib.parse.quote(room, safe='')}/joined_members"
    while not set(wanted) <= set(node.call("GET", path, token=token)["joined"]):
        if time.monotonic() > end:
            sys.exit("the participants did not join the room")
        time.sleep(0.2)


def greet(state, comity, arguments):
    """The participant of each node says a sentence, and the other tells what it decrypted: NAME=PORT..."""
    room = load(state / "room.json")
    names = [argument.split("=")[0] for argument in arguments]
    nodes = [Node(argument.split("=")[1]) for argument in arguments]
    listeners = [Listener(comity, state, name, room["room_id"]) for name in names]
    greetings = []
    try:
        for node, name in zip(nodes, names):
            wait_for_members(node, everybody(state, name)[0]["token"], room["room_id"], [participant_of(each) for each in names])
        for speaker, hearer in ((listeners[0], listeners[1]), (listeners[1], listeners[0])):
            text = f"Hello {hearer.name}, this is {speaker.name} at {time.strftime('%H:%M:%S')}"
            speaker.say(text)
            heard = hearer.hear(text)
            sealed = "encrypted" if heard["encrypted"] else "NOT ENCRYPTED"
            greetings.append(f"{hearer.name} decrypted from {heard['sender']} ({sealed}): {heard['content']['body']}")
    finally:
        for listener in listeners:
            listener.stop()
    save(state / "room.json", {**room, "greetings": greetings})
    print("\n".join(greetings))


def parse(arguments):
    """directory=PORT:PID and NAME=COMPANY:CLIENT:FEDERATION:PID, as the quickstart hands them over."""
    port, pid = arguments[0].split("=")[1].split(":")
    directory = {"url": f"ldaps://127.0.0.1:{port}", "pid": int(pid)}
    nodes = []
    for argument in arguments[1:]:
        name, rest = argument.split("=", 1)
        company, client, federation, pid = rest.split(":")
        nodes.append({"name": name, "company": company, "homeserver": f"http://localhost:{client}",
                      "federation": f"https://127.0.0.1:{federation}", "pid": int(pid)})
    return directory, nodes


def collect(state, arguments):
    directory, nodes = parse(arguments)
    directory["log"] = str(state / "log" / "directory.log")
    for node in nodes:
        accounts = load(state / node["name"] / "accounts.json") if os.access(state / node["name"], os.R_OK) else {}
        node["log"] = str(state / "log" / (node["name"] + ".log"))
        node["config"] = str(state / node["name"] / "comity.conf")
        node["admin"] = accounts.pop("admin", None)
        node["accounts"] = [{"user_id": each["user_id"], "password": each["password"]} for each in accounts.values()]
    report = {"running": all(part["pid"] for part in [directory, *nodes]), "directory": directory, "nodes": nodes}
    if (state / "room.json").exists() and os.access(state / "room.json", os.R_OK):
        report["room"] = load(state / "room.json")
    return report


def running(part):
    return f"process {part['pid']}" if part["pid"] else "NOT RUNNING"


def describe_text(report):
    for node in report["nodes"]:
        print(f"{node['name']}  ({running(node)})")
        print(f"  homeserver URL   {node['homeserver']}")
        print(f"  federation       {node['federation']}")
        for account in node["accounts"]:
            print(f"  account          {account['user_id']:<28} password {account['password']}")
        if node["admin"]:
            print(f"  administrator    {node['admin']['user_id']:<28} password {node['admin']['password']}")
            print(f"  admin token      {node['admin']['token']}")
        print(f"  configuration    {node['config']}")
        print(f"  log              {node['log']}")
        print()
    print(f"directory  ({running(report['directory'])})")
    print(f"  URL              {report['directory']['url']}  cn=comity,dc=demo  password comity-demo")
    print(f"  log              {report['directory']['log']}")
    print()


def describe_room(room):
    print(f"encrypted room  {room['room_id']}")
    print(f"  people           {room['people']}, made by {room['creator']}")
    for line in room.get("greetings", []):
        print(f"  greeting         {line}")
    print()


def describe(state, form, arguments):
    report = collect(state, arguments)
    if form == "json":
        print(json.dumps(report, indent=1))
    else:
        describe_text(report)
        if "room" in report:
            describe_room(report["room"])
    return 0 if report["running"] else 3


def main():
    command, state = sys.argv[1], pathlib.Path(sys.argv[2])
    if command == "people":
        return sign_in_people(state, *sys.argv[3:6])
    if command == "room":
        return make_room(state, sys.argv[3:])
    if command == "greet":
        return greet(state, sys.argv[3], sys.argv[4:])
    if command == "describe":
        return describe(state, sys.argv[3], sys.argv[4:])
    sys.exit(f"unknown command {command}")


sys.exit(main())
