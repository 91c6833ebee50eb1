"""What nobody asks for: a node forgets by itself what has grown too old."""

import time

import machine

DAY = 24 * 3600 * 1000


def transactions(node):
    return set(node.sql("SELECT txn_id FROM client_transaction").split())


def test_transaction_ids_are_forgotten(make_node):
    """After a week, and with the device whose they are; those of the last days still make a repeat a repeat."""
    node = make_node().start()
    user = node.new_user()
    room = user.create_room()
    phone = user.another_device()
    events = {txn: client.send(room, "hello", txn=txn)
              for client, txn in ((user, "today"), (user, "lately"), (user, "long-ago"), (phone, "on-the-phone"))}
    user.put("/sendToDevice/org.example/to-device", {"messages": {user.user_id: {"*": {}}}})
    phone.put("/sendToDevice/org.example/phone-to-device", {"messages": {user.user_id: {"*": {}}}})
    for txn, age in (("lately", 6 * DAY), ("long-ago", 8 * DAY)):
        node.sql(f"UPDATE client_transaction SET ts = ts - {age} WHERE txn_id = '{txn}'")
    phone.post("/logout")
    assert transactions(node) == {*events, "to-device", "phone-to-device"}

    node.restart()
    machine.wait_for(lambda: transactions(node) == {"today", "lately", "to-device"}, 10, what="the others to be forgotten")
    assert user.send(room, "hello", txn="today") == events["today"]
    assert user.send(room, "hello", txn="lately") == events["lately"]
    assert user.send(room, "hello", txn="long-ago") != events["long-ago"]


def test_many_transaction_ids_are_forgotten_in_steps(make_node):
    node = make_node().start()
    user = node.new_user()
    room = user.create_room()
    user.send(room, "hello", txn="today")
    node.sql("INSERT INTO client_transaction (user_id, device_id, scope, txn_id, ts)"
             " SELECT user_id, device_id, scope, 'old-' || n, n FROM client_transaction, generate_series (1, 12000) n")
    node.restart()
    machine.wait_for(lambda: transactions(node) == {"today"}, 20, what="the others to be forgotten")


def test_class_fed_row_flood_ids_of_messages_are_forgotten(make_node):
    """What tells a message of another server to a device from its repetition is kept for a week."""
    node = make_node().start()
    age = "extract (epoch FROM now ())::bigint * 1000"
    node.sql("INSERT INTO inbound_to_device (origin, message_id, ts)"
             f" SELECT 'far.test', 'old-' || n, {age} - {8 * DAY} FROM generate_series (1, 12000) n")
    node.sql("INSERT INTO inbound_to_device (origin, message_id, ts)"
             f" VALUES ('far.test', 'today', {age}), ('far.test', 'lately', {age} - {6 * DAY})")
    node.restart()

    def kept():
        return node.sql("SELECT message_id FROM inbound_to_device ORDER BY ts").split()

    machine.wait_for(lambda: kept() == ["lately", "today"], 20, what="the others to be forgotten")


def test_old_refresh_tokens_are_forgotten(make_node):
    """Some time after they have ended: until then a client is told that it is only signed out softly."""
    node = make_node(settings={"accounts": {"refresh_token_lifetime": 1000}}).start()
    user = node.new_user()

    def sign_in(age_days):
        answer = user.post("/login", {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id},
                                      "password": user.password, "refresh_token": True}, token=None)
        node.sql(f"UPDATE refresh_token SET created_ts = created_ts - {age_days * DAY}::bigint"
                 f" WHERE device_id = '{answer['device_id']}'")
        return answer["device_id"]

    ages = {sign_in(days): days for days in (0, 29, 31)}
    node.restart()
    machine.wait_for(lambda: len(node.sql("SELECT device_id FROM refresh_token").split()) < 3, 10, what="one to be forgotten")
    assert {ages[device] for device in node.sql("SELECT device_id FROM refresh_token").split()} == {0, 29}


def test_class_fed_key_storage_of_strange_servers_is_forgotten(make_node):
    """Of those that no room has heard of: after some weeks, and all but the newest. Old events may need the others."""
    node = make_node().start()
    user = node.new_user()
    user.create_room()
    now = int(time.time() * 1000)

    def add(names, valid_until, fetched=now):
        node.sql(f"INSERT INTO server_key (server, key_id, public_key, valid_until_ts, fetched_ts)"
                 f" SELECT name, 'ed25519:' || n, 'x', {valid_until}, {fetched} FROM {names}, generate_series (1, 2) n")
        node.sql(f"INSERT INTO server_key_document SELECT name, '{{}}', {valid_until}, {fetched} FROM {names}")

    def known(column="server"):
        return node.sql(f"SELECT DISTINCT {column} FROM server_key ORDER BY 1").split()

    node.sql("WITH them AS (INSERT INTO sym (text) VALUES ('@left:known.example:8448') RETURNING id)"
             " INSERT INTO member (room, user_id, membership, local, event, sender, position)"
             " SELECT room, them.id, 'leave', false, event, sender, position FROM member, them")
    add("(VALUES ('known.example:8448'), ('old.example')) AS v (name)", now - 22 * DAY)
    add("(VALUES ('late.example')) AS v (name)", now - 20 * DAY)
    node.restart()
    machine.wait_for(lambda: known() == ["known.example:8448", "late.example", "localhost"], 10, what="one to be forgotten")
    assert node.sql("SELECT server FROM server_key_document ORDER BY 1").split() == ["known.example:8448", "late.example"]

    add("(SELECT 's' || n || '.example' AS name FROM generate_series (1, 6000) n) AS v", now + 7 * DAY, now - DAY)
    node.restart()
    machine.wait_for(lambda: len(known()) == 5002, 20, what="the oldest to be forgotten")
    assert "late.example" in known()
