"""The mutations of ``make faults-selftest`` fit the tree as it is."""

from __future__ import annotations

import ast

import pytest

from tests.faults.selftest import MUTATIONS, ROOT, Edit, Mutation, OutOfDate, mutated, sources


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_fits_the_tree_and_its_test_is_there(mutation: Mutation) -> None:
    """Each text stands once, what comes of it can still be read, and the named test exists."""
    texts = sources()
    for file, text in mutated(mutation, texts).items():
        assert text != texts[file]
        if file.endswith(".py"):
            ast.parse(text)
    file, _, test = mutation.test.partition("::")
    assert f"def {test}(" in (ROOT / file).read_text()


def test_a_text_that_is_not_there_is_an_error() -> None:
    """Otherwise nothing would be taken out, and the test would rightly pass."""
    gone = Mutation("gone", [Edit("a.py", "x = 1", "x = 2")], "t", "because")
    assert mutated(gone, {"a.py": "x = 1\n"}) == {"a.py": "x = 2\n"}
    for text in ("x = 3\n", "x = 1\nx = 1\n"):
        with pytest.raises(OutOfDate, match=r"gone: a\.py holds this [02] times"):
            mutated(gone, {"a.py": text})
