"""What the workbench asks before it promotes or rolls back: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from textual.content import Content

from mlbench.domain.commands import Rollback
from mlbench.domain.names import friendly_name
from mlbench.domain.release import Candidate, GateResult, LedgerEntry
from mlbench.domain.stages import EnvironmentSpec
from mlbench.tui.actions import promotion
from mlbench.tui.deploys import (
    first_environment,
    live_in,
    not_been_in,
    ways_back,
)
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.gates import told_gates
from mlbench.tui.draw.lines import EMPTY, Part, line
from mlbench.tui.questions import WIDTH, Choice, Question
from mlbench.tui.reading import Released
from mlbench.tui.release_reading import GatesToday
from mlbench.tui.situation import NextStep, Situation, next_steps, refusal, subject
from mlbench.tui.words import version_of

PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion that is thought of: what goes where, and what stands there now.

    `refusal` is what the loop said when it refused it lately, `missing` are the environments that
    it should have been in before.
    """

    release: Released
    environment: EnvironmentSpec
    live: LedgerEntry | None = None
    refusal: str = ""
    missing: tuple[str, ...] = ()

    @property
    def candidate(self) -> Candidate:
        """The candidate or version."""
        return self.release.candidate

    @property
    def is_guarded(self) -> bool:
        """Whether the environment takes committed code alone."""
        return bool(self.environment.require) or self.environment.name == PRODUCTION

    @property
    def is_dirty(self) -> bool:
        """Whether its code was not committed when it ran."""
        return self.release.run is not None and self.release.run.code.dirty


def first_promotion(situation: Situation) -> Promotion | None:
    """What p means here."""
    project, release = situation.surroundings.project, subject(situation)
    return _promotion(situation, release, first_environment(project) if project else None)


def next_promotions(situation: Situation) -> tuple[Promotion, ...]:
    """What P means here, the likeliest first; several where several environments are left."""
    steps = [step for step in next_steps(situation) if not step.is_taken]
    made = (_promotion(situation, _row(situation, step), step.environment) for step in steps)
    return tuple(item for item in made if item is not None)


def ask_where(promotions: Sequence[Promotion]) -> Question:
    """Which of several environments; each choice has the environment's name as its value."""
    room = max(len(item.environment.name) for item in promotions)
    choices = []
    for item in promotions:
        candidate, missing = item.candidate, ", ".join(item.missing)
        what = f"{candidate.model} {version_of(candidate)}"
        label = f"{item.environment.name:<{room}}  {what} ({friendly_name(candidate.run)})"
        label += f"  not in {missing} yet" if missing else ""
        choices.append(Choice(label, item.environment.name, "$warn" if missing else ""))
    said = line("Each asks again, with today's gates.")
    return Question("Promote where?", (said,), tuple(choices))


def ask_promote(
    promotion_: Promotion, today: GatesToday | None = None, width: int = WIDTH
) -> Question:
    """The version, what is live now, the gates as they stand today, and what speaks against it.

    Until the gates are judged anew, `today` is None and they are shown as they were judged last.
    """
    known, candidate = promotion_, promotion_.candidate
    place, live = known.environment.name, known.live
    now: Part = (f"v{live.version} ({friendly_name(live.run)})", "bold") if live else "nothing"
    gates = today.gates if today is not None and not today.problem else candidate.gates
    lines = [
        line(
            "It serves ",
            now,
            "; it will serve ",
            (f"{candidate.model} {version_of(candidate)}", "bold $info"),
            f" ({friendly_name(candidate.run)}).",
        ),
        EMPTY,
        line(("Gates", "bold $info"), (f"  {_judged(today)}", "$quiet")),
        *(told_gates(gates, width) or [line(("none", "$quiet"))]),
        *_objections(known, gates),
    ]
    return Question(f"Promote to {place}?", tuple(lines), _choices(known, gates))


def ask_rollback(situation: Situation) -> Question | None:
    """Which environment goes back with which model, and to what; None where none can."""
    ways = ways_back(situation.releases.ledger)
    release = situation.release
    preferred = release.environments if release else ()
    model = release.candidate.model if release else ""
    ordered = sorted(ways, key=lambda way: (way.model != model, way.environment not in preferred))
    choices: list[Choice] = []
    for way in ordered:
        command = Rollback(way.environment, way.model)
        step = f"{way.model} v{way.live.version} → v{way.before.version}"
        label = f"{way.environment}: {step} ({friendly_name(way.before.run)})"
        # Who takes something back is in a hurry: giving a reason is a choice of its own.
        choices += [Choice(label, command), Choice("  … with a reason", command, asks_why=True)]
    said = line("The version before is served again; the ledger says who and when.")
    return Question("Roll back?", (said,), tuple(choices)) if choices else None


def _promotion(
    situation: Situation, release: Released | None, environment: EnvironmentSpec | None
) -> Promotion | None:
    if release is None or environment is None:
        return None
    live = live_in(situation.releases.ledger, environment.name, release.candidate.model)
    said = refusal(situation, release.candidate, environment.name)
    missing = not_been_in(situation.releases.ledger, environment, release.candidate.digest)
    return Promotion(release, environment, live, said, missing)


def _row(situation: Situation, step: NextStep) -> Released:
    rows = situation.releases.rows
    found = next((row for row in rows if row.candidate == step.candidate), None)
    return found or Released(step.candidate)


def _judged(today: GatesToday | None) -> str:
    if today is None:
        return "as judged last; judging them against what is live now …"
    if today.problem:
        return f"as judged last; they can't be judged now: {today.problem}"
    return "as they stand now; the loop judges once more"


def _objections(known: Promotion, gates: Sequence[GateResult]) -> list[Content]:
    """What the loop will refuse it by, in red where nothing but force helps."""
    place, found = known.environment.name, list[Content]()
    refusing = [gate for gate in gates if gate.refuses]
    if refusing:
        count = "a gate refuses" if len(refusing) == 1 else f"{len(refusing)} gates refuse"
        found.append(line((f"✗ {count} it: {place} takes it by force alone", "bold $fail")))
    elif known.refusal and not known.missing:
        found.append(line(("✗ it was refused: ", "bold $fail"), (safe(known.refusal), "$fail")))
    if known.missing:
        said = (
            f"✗ it has not been in {' and '.join(known.missing)}: {place} takes it by force alone"
        )
        found.append(line((said, "bold $fail")))
    parity = known.candidate.parity
    if parity is not None and not parity.passed:
        said = "✗ the exported model's answers are not the original's"
        found.append(line((said, "bold $fail")))
    if known.is_guarded and known.is_dirty:
        warning = f"! from uncommitted code: {place} will refuse it until that is committed"
        found.append(line((warning, "bold $warn")))
    return [EMPTY, *found] if found else []


def _choices(known: Promotion, gates: Sequence[GateResult]) -> tuple[Choice, ...]:
    """The plain promotion first, so that no habit of pressing y ever forces anything."""
    place = known.environment.name
    command = promotion(known.candidate, place)
    choices = [Choice(f"promote to {place}", command)]
    refuses = any(gate.refuses for gate in gates) or bool(known.refusal or known.missing)
    if known.is_guarded and known.is_dirty:
        allowed = replace(command, allow_dirty=True)
        choices.append(Choice("promote the uncommitted code as it is", allowed, "bold $warn"))
    if refuses:
        forced = replace(command, force=True)
        label = "‼ promote by force, with a reason for the ledger"
        choices.append(Choice(label, forced, "bold $fail", asks_why=True))
    return tuple(choices)
