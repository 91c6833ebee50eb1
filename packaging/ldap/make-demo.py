#!/usr/bin/env python3
"""Prints demo.ldif: two companies with six people and three groups each, for the quickstart and the tests.

A person's password is the uid and "-demo". Run it again only to change the people.
"""

import base64
import hashlib

SUFFIX = "dc=demo"

PEOPLE = {
    "acme": [
        ("ada", "Ada", "Brandt", ["engineering", "board"]),
        ("bela", "Béla", "Kovács", ["engineering"]),
        ("chidi", "Chidi", "Okafor", ["engineering"]),
        ("dana", "Dana", "Levi", ["sales"]),
        ("emre", "Emre", "Yıldız", ["sales"]),
        ("freya", "Freya", "Nilsen", ["sales", "board"]),
    ],
    "globex": [
        ("gita", "Gita", "Rao", ["research", "board"]),
        ("hugo", "Hugo", "Lefèvre", ["research"]),
        ("ines", "Inês", "Duarte", ["research"]),
        ("jonas", "Jonas", "Weber", ["logistics"]),
        ("kaori", "Kaori", "Tanaka", ["logistics"]),
        ("luca", "Luca", "Conti", ["logistics", "board"]),
    ],
}


def ssha(password: str) -> str:
    """A salted hash as slapd reads it. The salt is of the name, so that the file stays the same from run to run."""
    salt = hashlib.sha256(b"salt of " + password.encode()).digest()[:8]
    digest = hashlib.sha1(password.encode() + salt).digest()
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


def entry(dn: str, *lines: tuple[str, str]) -> None:
    print("dn: " + dn)
    for name, value in lines:
        if value.isascii():
            print(f"{name}: {value}")
        else:
            print(f"{name}:: {base64.b64encode(value.encode()).decode()}")
    print()


def person(company: str, uid: str, given: str, surname: str) -> None:
    name = f"{given} {surname}"
    entry(
        f"uid={uid},ou=people,ou={company},{SUFFIX}",
        ("objectClass", "inetOrgPerson"),
        ("uid", uid),
        ("cn", name),
        ("givenName", given),
        ("sn", surname),
        ("displayName", name),
        ("mail", f"{uid}@{company}.localhost"),
        ("userPassword", ssha(uid + "-demo")),
    )


def company(name: str) -> None:
    base = f"ou={name},{SUFFIX}"
    entry(base, ("objectClass", "organizationalUnit"), ("ou", name))
    for unit in ("people", "groups"):
        entry(f"ou={unit},{base}", ("objectClass", "organizationalUnit"), ("ou", unit))
    for uid, given, surname, _ in PEOPLE[name]:
        person(name, uid, given, surname)
    for group in sorted({group for *_, groups in PEOPLE[name] for group in groups}):
        members = [uid for uid, _, _, groups in PEOPLE[name] if group in groups]
        entry(
            f"cn={group},ou=groups,{base}",
            ("objectClass", "groupOfNames"),
            ("cn", group),
            *[("member", f"uid={uid},ou=people,{base}") for uid in members],
        )


def main() -> None:
    print("# Made by make-demo.py. A person's password is the uid and \"-demo\".\n")
    entry(SUFFIX, ("objectClass", "dcObject"), ("objectClass", "organization"), ("dc", "demo"), ("o", "Demo"))
    entry(
        f"cn=comity,{SUFFIX}",
        ("objectClass", "organizationalRole"),
        ("objectClass", "simpleSecurityObject"),
        ("cn", "comity"),
        ("description", "Whom the nodes search as"),
        ("userPassword", ssha("comity-demo")),
    )
    for name in PEOPLE:
        company(name)


main()
