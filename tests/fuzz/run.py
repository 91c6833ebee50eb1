"""Runs every fuzz target for so many seconds, as many at once as there are cores: run.py BUILD SECONDS JUNIT-XML."""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).resolve().parent


def run(target, seconds):
    """Returns what went wrong, or None. New inputs go to a folder that is thrown away; what crashed is kept."""
    name = target.name.removeprefix("fuzz-")
    found = tempfile.mkdtemp(prefix="cm-fuzz-")
    crashes = target.parent / f"crashes-{name}"
    crashes.mkdir(exist_ok=True)
    dictionary = HERE / f"{name}.dict"
    command = [str(target), f"-max_total_time={seconds}", "-max_len=65536", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
               f"-artifact_prefix={crashes}/", *([f"-dict={dictionary}"] if dictionary.exists() else []), found,
               *[str(folder) for folder in (HERE / "corpus" / name, HERE / "regressions" / name) if folder.exists()]]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    shutil.rmtree(found)
    print(f"{target.name}: status {result.returncode}\n" + "\n".join(result.stderr.splitlines()[-12:]), flush=True)
    return None if result.returncode == 0 else result.stderr[-6000:]


def main():
    build, seconds, report = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    targets = sorted(path for path in pathlib.Path(build, "tests", "fuzz").glob("fuzz-*") if path.is_file() and os.access(path, os.X_OK))
    suite = ElementTree.Element("testsuite", name="fuzz")
    with concurrent.futures.ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        for target, problem in zip(targets, pool.map(lambda each: run(each, seconds), targets)):
            case = ElementTree.SubElement(suite, "testcase", classname="fuzz", name=target.name)
            if problem:
                ElementTree.SubElement(case, "failure").text = "".join(c for c in problem if c.isprintable() or c in "\n\t")
    ElementTree.ElementTree(suite).write(report)
    return 0 if targets and not list(suite.iter("failure")) else 1


sys.exit(main())
