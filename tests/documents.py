"""The documents, and the code blocks in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = ("site", "runs", "data", "build", "tests", "crystalformer")  # made, or documents of another kind
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    and path.relative_to(ROOT).parts[0] not in ELSEWHERE
)

PROGRAMS = re.compile(r"(\.venv/bin/)?(python|make|pip|tensorboard|optuna-dashboard|crystalformer-suite)\b")


@dataclass(frozen=True)
class Block:
    """A code block: document, line where it begins, language ("" where none is named), text."""

    document: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def code_blocks(document: Path) -> Iterator[Block]:
    """Fenced blocks, and indented ones that stand after an empty line outside of lists."""
    lines = document.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        fence = re.match(r"```(\w*)", lines[number])
        indented = lines[number].startswith("    ") and (number == 0 or not lines[number - 1].strip())
        first = number
        if fence:
            number += 1
            while not lines[number].startswith("```"):
                number += 1
            yield Block(document, first + 1, fence[1], "\n".join(lines[first + 1 : number]))
        elif indented:
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number].strip()):
                number += 1
            text = "\n".join(line[4:] for line in lines[first:number]).strip("\n")
            yield Block(document, first + 1, "", text)
            continue
        number += 1


def commands(block: Block) -> Iterator[str]:
    """The command lines of a block without comments; a backslash at the end joins lines."""
    if block.language not in ("", "sh", "bash", "console"):
        return
    for line in block.text.replace("\\\n", " ").splitlines():
        command = " ".join(re.sub(r"\s+#.*$", "", line).removeprefix("$ ").split())
        if PROGRAMS.match(command):
            yield command


def inline_commands(document: Path) -> Iterator[str]:
    """Commands in the text of a document, between backticks."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for code in re.findall(r"`([^`]+)`", text):
        if PROGRAMS.match(code):
            yield " ".join(code.split())
