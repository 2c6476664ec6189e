"""What a stage should declare is said below it, in print and in the events."""

from __future__ import annotations

import json

from tests.support import SmallProject


def test_an_undeclared_read_is_said_with_the_line_to_add(small: SmallProject) -> None:
    small.write("extra.csv", "1\n")
    small.write("report.py", small.read("report.py") + 'open("extra.csv").read()\n')
    done = small.cli("run", "--json")
    ended = [json.loads(line) for line in done.stdout.splitlines()]
    (report,) = [e for e in ended if e["event"] == "stage_finished" and e["stage"] == "report"]
    (sentence,) = report["advice"]
    assert "extra.csv" in sentence
    assert 'deps = ["extra.csv"]' in sentence
    printed = small.cli("run", "report", "--force").stderr
    assert f"    ! {sentence}" in printed
