"""What the command lines of the suite share: exit codes, and errors in one line."""

import argparse
from typing import NoReturn

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


class OneLineParser(argparse.ArgumentParser):
    """Errors of the command line in one line, like all others."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_INPUT, f"{self.prog}: {message}; --help lists the flags\n")
