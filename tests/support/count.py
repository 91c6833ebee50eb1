"""Adds up the results of all runners: count.py UNCOUNTED-FAILURES JUNIT-XML... Status 1 when anything failed or nothing passed."""

import os
import re
import sys
import xml.etree.ElementTree as ElementTree


def cases(path):
    """The test cases of a report, without the control characters that XML forbids and that a test may have printed."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", file.read())
    return ElementTree.fromstring(text.encode()).iter("testcase")


def count(path):
    passed = failed = skipped = 0
    for case in cases(path):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
            print(f"FAILED {os.path.basename(path)[:-4]}: {case.get('classname', '')} {case.get('name', '')}")
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main():
    passed, failed, skipped = 0, int(sys.argv[1]), 0
    for path in sys.argv[2:]:
        if os.path.exists(path):
            counts = count(path)
            passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main())
