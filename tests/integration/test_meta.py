"""What the node says about itself, and what it says to paths that it does not know."""

import pytest

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization",
}


def test_versions(node):
    answer = node.request("GET", "/_matrix/client/versions")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert {"v1.1", "v1.12"} <= set(answer.json()["versions"])


def test_well_known_client_points_at_public_baseurl(node):
    answer = node.request("GET", "/.well-known/matrix/client")
    assert answer.json()["m.homeserver"]["base_url"] == node.url
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_well_known_server_points_at_public_baseurl(node):
    answer = node.request("GET", "/.well-known/matrix/server")
    assert answer.json() == {"m.server": f"127.0.0.1:{node.port}"}


def test_federation_version(node):
    server = node.request("GET", "/_matrix/federation/v1/version").json()["server"]
    assert server["name"] == "Comity"
    assert server["version"]


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/_matrix/client/v3/no_such_thing", 404),
    ("GET", "/_matrix/no_such_api", 404),
    ("GET", "/_matrix/federation/v1/no_such_thing", 404),
    ("GET", "/_matrix/key/v2/no_such_thing", 404),
    ("POST", "/_matrix/client/versions", 405),
    ("DELETE", "/_matrix/federation/v1/version", 405),
])
def test_unknown_is_unrecognized(node, method, path, status):
    """Client-server API, "Common error codes", M_UNRECOGNIZED: 404 for a path, 405 for a method that is not known."""
    answer = node.request(method, path)
    assert answer.status_code == status
    assert answer.json()["errcode"] == "M_UNRECOGNIZED"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/_matrix/client/versions", "/_matrix/client/v3/sync", "/_matrix/client/v3/no_such_thing"])
def test_preflight(node, path):
    """Client-server API, "Web Browser Clients": OPTIONS is answered for every path, without a token."""
    answer = node.request("OPTIONS", path)
    assert answer.status_code in (200, 204)
    for name, value in CORS.items():
        given = {part.strip() for part in answer.headers[name].split(",")}
        assert {part.strip() for part in value.split(",")} <= given


def test_capabilities_need_a_token(node):
    answer = node.request("GET", "/_matrix/client/v3/capabilities")
    assert (answer.status_code, answer.json()["errcode"]) == (401, "M_MISSING_TOKEN")
    answer = node.request("GET", "/_matrix/client/v3/capabilities", headers={"Authorization": "Bearer nonsense"})
    assert (answer.status_code, answer.json()["errcode"]) == (401, "M_UNKNOWN_TOKEN")


def test_capabilities(user):
    capabilities = user.get("/capabilities")["capabilities"]
    versions = capabilities["m.room_versions"]
    assert versions["default"] == "12"
    assert {"10", "11", "12"} <= {name for name, state in versions["available"].items() if state == "stable"}
    assert capabilities["m.change_password"]["enabled"] is True
    assert capabilities["m.profile_fields"] == {"enabled": True}


def test_networks_and_calls_that_are_not_there(user):
    """Clients ask before they show a directory or ring somebody."""
    assert user.get("/thirdparty/protocols") == {}
    assert user.get("/thirdparty/location?alias=%23a:localhost") == []
    assert user.get("/thirdparty/user?userid=%40a:localhost") == []
    for what in ("protocol", "location", "user"):
        user.get(f"/thirdparty/{what}/irc", expect=(404, "M_NOT_FOUND"))
    assert user.get("/voip/turnServer") == {}
