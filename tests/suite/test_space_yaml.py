"""Reading YAML: values, lines of keys, merge keys, overrides, and a message instead of a traceback."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.space.node import Node, SpaceError
from suite.space.yaml_file import apply_override, parse_yaml, read_space


def parse(text: str) -> Node | None:
    return parse_yaml(text, lambda line: f"f.yaml:{line + 1}", "")


def read(tmp_path: Path, content: str | bytes) -> Node:
    path = tmp_path / "space.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_space(path)[1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),  # text in YAML 1.1
        ("1.0e-4", 1e-4),
        ("1E5", 1e5),
        ("010", 10),
        ("1_000", 1000),
        ("0x1F", 31),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("'3'", "3"),
        ("~", None),
        ("", None),
        ("true", True),
        ("[1, [a, null]]", [1, ["a", None]]),
        ("{a: {b: 1}, 2: c}", {"a": {"b": 1}, "2": "c"}),
    ],
)
def test_values(text: str, value: object) -> None:
    root = parse(f"a: {text}")
    assert root is not None
    assert root.plain() == {"a": value}


SCALARS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9)
TREES = st.recursive(
    SCALARS | st.text(st.characters(categories=("L", "N")), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(TREES)
def test_json_is_read_as_json(tree: object) -> None:
    root = parse(f"a: {json.dumps(tree, ensure_ascii=False)}")
    assert root is not None
    assert root.plain() == {"a": tree}


def test_every_key_knows_its_line_and_path() -> None:
    root = parse("a: 1\nb:\n  c: 2\n  d: {e: [5,\n      6]}\n")
    assert root is not None
    b = root.mapping()["b"]
    assert (b.where, b.path) == ("f.yaml:2", "b")
    assert b.mapping()["c"].where == "f.yaml:3"
    e = b.mapping()["d"].mapping()["e"]
    assert (e.where, e.path) == ("f.yaml:4", "b.d.e")
    assert [(item.where, item.path) for item in e.distinct("")] == [
        ("f.yaml:4", "b.d.e[0]"),
        ("f.yaml:5", "b.d.e[1]"),
    ]


def test_merge_keys_give_way_to_own_keys_and_earlier_sources() -> None:
    root = parse("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {c: 3, <<: [*x, *y]}\n")
    assert root is not None
    assert root.plain()["z"] == {"a": 1, "b": 1, "c": 3}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a: the key 'a' is given twice (before: {file}:1)"),
        ("a: {b: 1, b: 2}\n", 1, "a.b: the key 'b' is given twice"),
        ("a:\n\tb: 1\n", 2, "not valid YAML: a tab where YAML wants spaces"),
        (
            "a: [1\nb: 2\n",
            2,
            "not valid YAML: expected ',' or ']', but got ':' (while parsing a flow sequence begun",
        ),
        (
            "a: 1\n---\nb: 2\n",
            2,
            "not valid YAML: expected a single document in the stream but found another",
        ),
        ("a: *b\n", 1, "not valid YAML: found undefined alias 'b'"),
        ("a: &a [*a]\n", 1, "a[0]: the alias contains itself"),
        ("a: 1\nb: .inf\n", 2, "b: expected a finite number, got .inf"),
        ("a: !!python/name:os.system x\n", 1, "a: expected a plain value, got the YAML tag"),
        ("a: 99999999999999999999\n", 1, "a: expected a number of at most 64 bits"),
        ("a: 1\n? [b]\n: 2\n", 2, "expected a name before ':', got a sequence"),
        ("- a\n", 1, "expected a mapping (name: ..., data: ...), got ['a']"),
        ('a: "\\ud83d"\n', 1, "a: expected whole characters"),
        ("just text\n", 1, "expected a mapping (name: ..., data: ...), got 'just text'"),
    ],
)
def test_a_faulty_file_is_answered_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    file = tmp_path / "space.yaml"
    with pytest.raises(SpaceError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(f"{file}:{line}: ")
    assert message.format(file=file) in str(error.value)


def test_empty_unreadable_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"space.yaml: the file is empty; expected the keys name, data"):
        read(tmp_path, "# nothing but a comment\n")
    with pytest.raises(SpaceError, match=r"space.yaml:2: expected text in UTF-8, got the byte 0xff"):
        read(tmp_path, b"a: 1\nb: \xff\n")
    with pytest.raises(SpaceError, match=r"not valid YAML: unacceptable character #x0000"):
        read(tmp_path, b"a: \x00\n")
    with pytest.raises(SpaceError, match=r"spce.yaml: no such search-space file; closest: space.yaml"):
        read_space(tmp_path / "spce.yaml")
    with pytest.raises(SpaceError, match=r"cannot be read: Is a directory"):
        read_space(tmp_path)
    with pytest.raises(SpaceError, match=r"space.yaml:1: expected a few levels of nesting"):
        read(tmp_path, "a: " + "[" * 1000)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa: 1\n").plain() == {"a": 1}


@settings(deadline=None)
@given(st.text(st.sampled_from("ab:- \n{}[]&*!|>'\"#%,?<1.\t"), max_size=30))
def test_any_text_is_read_or_refused_with_a_message(text: str) -> None:
    root: Node | SpaceError | None
    try:
        root = parse(text)
    except SpaceError as error:
        root = error
    assert root is None or isinstance(root, Node) or str(root).startswith("f.yaml:")


def overridden(text: str, *settings: str) -> object:
    root = parse(text)
    assert root is not None
    for setting in settings:
        apply_override(root, setting)
    return root.plain()


def test_overrides_replace_add_and_come_in_order() -> None:
    text = "a: {b: 1, c: 2}\nd: x\n"
    assert overridden(text, "a.b=5") == {"a": {"b": 5, "c": 2}, "d": "x"}
    assert overridden(text, "a.b=5", "a.b=6") == {"a": {"b": 6, "c": 2}, "d": "x"}
    assert overridden(text, "a={e: [1, 2]}") == {"a": {"e": [1, 2]}, "d": "x"}
    assert overridden(text, "e.f.g=1e-4") == {"a": {"b": 1, "c": 2}, "d": "x", "e": {"f": {"g": 1e-4}}}
    assert overridden(text, "d.path=my=file.csv") == {"a": {"b": 1, "c": 2}, "d": {"path": "my=file.csv"}}
    assert overridden(text, "a.b=") == {"a": {"b": None, "c": 2}, "d": "x"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("budget.trials", "--set budget.trials: expected key.path=value, such as budget.trials=8"),
        ("=3", "expected key.path=value"),
        ("a..b=3", "expected key.path=value"),
        ("a=[1", "--set a=[1: not valid YAML"),
        ("a={b: 1, b: 2}", "--set a={b: 1, b: 2}: a.b: the key 'b' is given twice"),
        ("include=more.yaml", "--set include=more.yaml: expected include in the file"),
        ("l.0=3", "--set l.0=3: l is a list; set it as a whole, --set l=[...]"),
    ],
)
def test_a_faulty_override_is_answered_with_its_flag(setting: str, message: str) -> None:
    with pytest.raises(SpaceError) as error:
        overridden("a: 1\nl: [1, 2]\n", setting)
    assert message in str(error.value)
