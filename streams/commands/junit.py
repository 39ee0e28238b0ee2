"""The results of ``test`` as JUnit XML, which continuous integration shows: a suite for each trigger file."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from triggers.casework.case_runner import CaseResult
from triggers.casework.report import report
from triggers.errors import Problem

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(
    path: Path, results: Iterable[tuple[CaseResult, float]], problems: Sequence[Problem], files: Mapping[str, str]
) -> None:
    """Writes the results, each with its seconds. A file with errors is a suite with one test case for each error.

    ``files`` gives the path of a file that a result names. Raises ``OSError``.
    """
    root = ET.Element("testsuites", name="bank-triggers test")
    suites: dict[str, list[tuple[ET.Element, float]]] = {}
    for problem in problems:
        case = _case(f"{problem.code} line {problem.line}", Path(problem.file).stem, problem.file, problem.line, 0)
        ET.SubElement(case, "error", message=_clean(problem.message), type=problem.code).text = _clean(str(problem))
        suites.setdefault(problem.file, []).append((case, 0.0))
    for result, seconds in results:
        file = files.get(result.file, result.file)
        case = _case(result.case, result.trigger, file, result.line, seconds)
        if not result.passed:
            lines = report(result)
            message = result.problem or "what came is not what was expected"
            ET.SubElement(case, "failure", message=_clean(message), type="case").text = _clean("\n".join(lines))
        suites.setdefault(file, []).append((case, seconds))
    for file, cases in suites.items():
        suite = ET.SubElement(root, "testsuite", name=_clean(file))
        suite.attrib |= _counts([case for case, _ in cases])
        suite.set("time", f"{sum(seconds for _, seconds in cases):.3f}")
        suite.extend(case for case, _ in cases)
    root.attrib |= _counts(root.findall("testsuite/testcase"))
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _case(name: str, trigger: str, file: str, line: int, seconds: float) -> ET.Element:
    return ET.Element(
        "testcase",
        name=_clean(name),
        classname=_clean(trigger),
        file=_clean(file),
        line=str(line),
        time=f"{seconds:.3f}",
    )


def _counts(cases: Sequence[ET.Element]) -> dict[str, str]:
    counted = {kind: sum(case.find(kind) is not None for case in cases) for kind in ("failure", "error")}
    return {"tests": str(len(cases)), "failures": str(counted["failure"]), "errors": str(counted["error"])}


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
