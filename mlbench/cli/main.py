"""The one entry of the command line: parses, loads the command asked for, phrases errors."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mlbench.domain.errors import HungUpError, MlbenchError, UsageError, nearest

# What each command does, in the words of `mlbench --help`; its file is cli/commands/NAME.py.
COMMANDS = {
    "init": "write an mlbench.toml from what is in the folder",
    "demo": "copy the sample project and open the workbench on it",
    "doctor": "check the installation and the project's health",
    "status": "how each stage stands, with every reason",
    "run": "bring stages up to date",
    "stop": "stop what runs",
    "lock": "write mlbench.lock: what each stage was built from and gave",
    "verify": "build stages again in a snapshot and compare with what is recorded",
    "watch": "the loop without a screen",
    "runs": "the history of runs",
    "show": "everything about one run",
    "diff": "what differs between runs",
    "logs": "what the stages of a run printed",
    "restore": "bring a run's outputs and params back, here or in a worktree",
    "note": "say something about a run",
    "tag": "mark a run with words, or with key=value",
    "star": "mark a run as worth keeping",
    "baseline": "make a run what others are compared with",
    "archive": "hide runs from the history, and lose nothing of them",
    "delete": "take runs out of the record, with what lies under them",
    "undo": "take the last note, tag, star, baseline, archiving or deletion back",
    "import": "bring in the runs of another tracker",
    "gc": "clean the cache, and what crashes left",
    "sweep": "try many parameters side by side, and follow how that goes",
    "models": "versions and candidates with gates and parity",
    "card": "print a model card, or put words into it",
    "export": "export a run's models by hand, and give them versions",
    "gates": "a run against the gates of today, or past promotions against a gate",
    "promote": "make a model what an environment serves",
    "rollback": "make an environment serve what it served before",
    "traffic": "which versions share the requests for a model, seen or set",
    "canary": "give a version a growing share of the requests, which decides on it",
    "shadow": "copy requests to a version, whose answers are compared and never returned",
    "ledger": "what was live when, by whom",
    "serve": "run the environments' servers in the foreground",
    "predict": "ask a served model",
    "requests": "what an environment was asked, and what it answered",
    "feedback": "labels that came after their requests",
    "replay": "logged requests, asked again of a candidate or version",
}
INTERRUPTED, HUNG_UP = 130, 129


@dataclass(frozen=True, slots=True)
class OpenWorkbench:
    """What a command ends with when the workbench is to be opened on a folder."""

    folder: Path


Ending = int | OpenWorkbench


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, with the nearest spelling, and ends with status 2."""

    def error(self, message: str) -> NoReturn:
        """Phrase argparse's complaint as every other message."""
        if "invalid choice" in message:
            word = message.split("'")[1]
            message = f'there is no command "{word}"{nearest(word, COMMANDS)}'
        print(f"mlbench: {message}; `{self.prog} --help` lists what there is", file=sys.stderr)
        raise SystemExit(2)


def run(arguments: Sequence[str]) -> Ending:
    """Carry out one command line; gives the exit status, or asks for the workbench."""
    # A service manager's stop ends a command as orderly as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's wish
        signal.signal(signal.SIGHUP, _hang_up)
    try:
        return _run(arguments)
    except HungUpError:
        return HUNG_UP
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _hang_up(*_: object) -> NoReturn:
    raise HungUpError


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser of the chosen command alone, of all for None, and just their names for no command.

    A parser takes argparse a third of a millisecond, and every command would wait for all of them.
    """
    parser = _Parser(
        prog="mlbench",
        description="The terminal workbench for the local way from experiment to deployment. "
        "Without a command it opens the workbench on this folder.",
    )
    parser.add_argument("-C", dest="folder", metavar="DIR", default=".", help="work in this folder")
    parser.add_argument("--debug", action="store_true", help="show Python's traceback of an error")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    # With its prog said, argparse need not look at the terminal's width for it.
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", parser_class=_Parser, prog=parser.prog
    )
    for name in (chosen,) if chosen in COMMANDS else COMMANDS:
        sentence = COMMANDS[name]
        command = commands.add_parser(name, help=sentence, description=sentence.capitalize() + ".")
        if chosen in (name, None):
            # `import` is no name for a module.
            file = "import_" if name == "import" else name
            module = importlib.import_module(f"mlbench.cli.commands.{file}")
            module.configure(command)
            command.set_defaults(carry_out=module.run)
    return parser


def _run(arguments: Sequence[str]) -> Ending:
    options = build_parser(_chosen(arguments)).parse_args(_with_keys(arguments))
    if options.version:
        from importlib.metadata import version

        print(f"mlbench {version('mlbench')}")
        return 0
    folder = Path(options.folder)
    try:
        if not folder.is_dir():
            raise UsageError(f"{folder}: there is no such folder")
        if options.command is None:
            return _workbench(folder)
        ending: Ending = options.carry_out(options)
    except MlbenchError as error:
        if options.debug:
            raise
        print(f"mlbench: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        raise
    except Exception as error:
        if options.debug:
            raise
        print(f"mlbench: internal error: {error!r}; --debug shows where", file=sys.stderr)
        return 1
    return ending


def _with_keys(arguments: Sequence[str]) -> list[str]:
    """`--sort -KEY` as one word: argparse would take -KEY for an option."""
    words: list[str] = []
    for word in arguments:
        if words and words[-1] == "--sort" and word[:1] == "-" and word[:2] != "--":
            words[-1] = f"--sort={word}"
        else:
            words.append(word)
    return words


def _chosen(arguments: Sequence[str]) -> str:
    """The command among the words, so that only its file is imported; empty where there is none."""
    skip = False
    for word in arguments:
        if skip:
            skip = False
        elif word == "-C":
            skip = True
        elif word in ("-h", "--help"):
            # Of everything, for it comes before any command.
            return ""
        elif not word.startswith("-"):
            return word
    return ""


def _workbench(folder: Path) -> Ending:
    from mlbench.engine.session import check_project

    check_project(folder)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "the workbench needs a terminal; `mlbench watch` is the loop without a screen"
        )
    return OpenWorkbench(folder)
