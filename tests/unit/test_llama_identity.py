import pytest

from exporter.llama.identity import AnsweringProcess, Identity

LETTERS = {"s": Identity.SAME, "u": Identity.UNSURE, "n": Identity.NEW, "x": Identity.SEVERAL}


@pytest.mark.parametrize(
    ("answers", "verdicts"),
    [
        ("aaaa", "ssss"),
        ("....", "ssss"),
        ("a.a.", "ssss"),
        ("aabbbb", "ssuuns"),
        ("abbbccc", "suunuun"),
        ("abab", "suxx"),
        ("aabbbba", "ssuunsx"),
        ("abcccc", "suuuns"),
        ("abcb", "suux"),
        ("ab.bb", "susun"),
    ],
)
def test_who_answers(answers: str, verdicts: str) -> None:
    it = AnsweringProcess()
    assert [it.see(None if answer == "." else answer) for answer in answers] == [LETTERS[v] for v in verdicts]
