"""check-config, generate-config and version, as an administrator uses them."""

import subprocess

import pytest

import machine


def comity(*arguments):
    return subprocess.run([machine.program(), *arguments], capture_output=True, text=True, timeout=20)


def test_version():
    for spelling in ("version", "--version"):
        result = comity(spelling)
        assert result.returncode == 0
        assert result.stdout.startswith("comity ")


def test_help_lists_commands():
    result = comity("help")
    assert result.returncode == 0
    for command in ("serve", "check-config", "generate-config"):
        assert command in result.stdout


@pytest.mark.parametrize("arguments", [
    [], ["no-such-command"], ["check-config", "--no-such-option"], ["check-config", "more"], ["generate-config"],
    ["user", "lock"], ["user", "lock", "--admin", "ada"], ["say", "--room", "!a:a.example"],
])
def test_wrong_call_is_status_2(arguments):
    assert comity(*arguments).returncode == 2


def test_help_of_a_command_begins_with_its_whole_name():
    assert "comity user add [OPTION" in comity("user", "add", "--help").stdout


def test_generated_config_is_in_order(tmp_path):
    text = comity("generate-config", "--server-name", "acme.example", "--data-dir", str(tmp_path / "data")).stdout
    assert f"data_dir = {tmp_path}/data" in text
    path = tmp_path / "comity.conf"
    path.write_text(text)
    result = comity("check-config", "--config", str(path))
    assert (result.returncode, result.stderr) == (0, "")
    assert "weak" not in result.stdout


SMALL = "[node]\nserver_name = a.example\ndata_dir = /d\n[listen main]\nport = 8008\n"


# The file must be there; what stands in it is not looked at.
def test_application_services_are_said_to_be_without_effect(tmp_path):
    path = tmp_path / "comity.conf"
    path.write_text(f"{SMALL}[appservices]\nfiles = /etc/hosts\n")
    result = comity("check-config", "--config", str(path))
    assert result.returncode == 0
    assert "without effect: [appservices] files" in result.stdout
    path.write_text(SMALL)
    assert "without effect" not in comity("check-config", "--config", str(path)).stdout


def test_serve_says_what_is_without_effect(make_node):
    node = make_node("acme.localhost", {"appservices": {"files": "/etc/hosts"}}).start()
    assert "Without effect: [appservices] files" in node.log_text()


@pytest.mark.parametrize("name", ["", "two words", "acme.example/path", "a:b:c"])
def test_generate_refuses_bad_names(name):
    assert comity("generate-config", "--server-name", name, "--data-dir", "/d").returncode == 1


@pytest.mark.parametrize("line, place", [
    ("[node]\ncolour = red", "[node] colour"),
    ("[colours]\nsky = blue", "[colours]"),
    ("[federation]\nverify_tls = maybe", "[federation] verify_tls"),
])
def test_faults_are_named(tmp_path, line, place):
    path = tmp_path / "comity.conf"
    path.write_text(f"{SMALL}{line}\n")
    result = comity("check-config", "--config", str(path))
    assert result.returncode == 1
    assert place in result.stderr
    assert str(path) in result.stderr


def test_absent_file(tmp_path):
    result = comity("check-config", "--config", str(tmp_path / "absent"))
    assert result.returncode == 1
    assert "absent" in result.stderr
