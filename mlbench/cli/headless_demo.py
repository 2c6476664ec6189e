"""The whole loop once, in print: build, gates, export, promotion, and an answer over HTTP."""

from __future__ import annotations

from pathlib import Path

from mlbench.cli.follow import carry_out, session
from mlbench.cli.output import coloured
from mlbench.cli.phrases import gate_line, metrics_line, phrase
from mlbench.domain.commands import Promote, RunStages
from mlbench.domain.errors import MlbenchError
from mlbench.domain.events import CandidateKept, Event, Promoted, RunFinished, StageFinished
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.phrases import duration
from mlbench.engine.queries import Queries
from mlbench.engine.sandbox import Answer, Sandbox

_ENVIRONMENT = "staging"
_HELD_OUT_ROW = 7
_SIDE = 8
_SHADES = " ░▒▓█"


class DemoFailedError(MlbenchError):
    """The loop did not come to its good end; says where."""


class HeadlessDemo:
    """Runs the sample once from nothing to a served model, and leaves no process behind."""

    def __init__(self, folder: Path) -> None:
        """Use a fresh copy of the sample."""
        self._folder = folder
        self._queries = Queries.of(folder)
        self._sandbox = Sandbox(self._queries.layout)
        self._finished: RunFinished | None = None
        self._promoted: Promoted | None = None

    def run(self) -> None:
        """Print every step; DemoFailedError where one does not come about."""
        try:
            with session(self._folder) as line:
                _head("stages")
                carry_out(line, RunStages(), self._on_event)
                self._print_run()
                carry_out(line, Promote(_ENVIRONMENT), self._on_event)
                self._print_promotion()
            request = self._sandbox.request(_ENVIRONMENT, row=_HELD_OUT_ROW)
            self._print_answer(self._sandbox.ask(request))
            self._print_ledger()
        finally:
            for environment in self._sandbox.environments():
                self._sandbox.down(environment)

    def _on_event(self, event: Event, _command: str) -> None:
        if isinstance(event, StageFinished):
            glyph = coloured(event.outcome.glyph, event.outcome.colour)
            took = duration(event.seconds)
            print(f"  {glyph} {event.stage:<10} {event.outcome.word:<10} {took}  {event.message}")
        elif isinstance(event, CandidateKept):
            _head("parity of the exported model")
            for text in phrase(event):
                print(f"  {text}")
        elif isinstance(event, RunFinished):
            self._finished = event
        elif isinstance(event, Promoted):
            self._promoted = event

    def _print_run(self) -> None:
        finished = self._finished
        if finished is None or finished.outcome is not RunOutcome.PASSED:
            raise DemoFailedError("the run did not pass; its stages above say why")
        _head("metrics")
        print(f"  {metrics_line(dict(finished.metrics))}")
        _head("gates")
        for gate in finished.gates:
            print(f"  {gate_line(gate)}")

    def _print_promotion(self) -> None:
        promoted = self._promoted
        if promoted is None:
            raise DemoFailedError(f"nothing was promoted to {_ENVIRONMENT}")
        _head(_ENVIRONMENT)
        print(f"  {promoted.model} v{promoted.version} at {promoted.address}")

    def _print_answer(self, answer: Answer) -> None:
        row, labels = answer.row, answer.lines()
        if row is None or not labels:
            raise DemoFailedError("the server gave no label")
        _head(f"POST {answer.address}/v2/models/{answer.model}/infer   held-out row {row.index}")
        for text in _picture(row.inputs[0]["data"]):
            print(f"  {text}")
        print(f"  served model    {labels[0]}   (version {answer.version})")
        print(f"  original model  {row.answer}")
        print(f"  truth           {row.truth}")
        if labels[0] != row.answer:
            raise DemoFailedError("the served model does not answer as the original does")

    def _print_ledger(self) -> None:
        _head("ledger")
        for entry in self._queries.ledger():
            what = f"{entry.model} v{entry.version} → {entry.environment}"
            print(f"  #{entry.sequence} {entry.at} {entry.action} {what}")


def _picture(values: list[float]) -> list[str]:
    """A digit of 8 × 8 pixels in block characters, two for each pixel."""
    top = max(values) or 1.0
    cells = [_SHADES[round(max(0.0, value) / top * (len(_SHADES) - 1))] * 2 for value in values]
    return ["".join(cells[at : at + _SIDE]) for at in range(0, _SIDE * _SIDE, _SIDE)]


def _head(title: str) -> None:
    print(coloured(title, "strong"), flush=True)
