"""Random histories by the million: `python -m tests.model --steps 1000000`, on all cores."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace

from tests.model.disk import WHOLE_SECOND_NS
from tests.model.guards import GUARDS
from tests.model.histories import History
from tests.model.laws import Violation
from tests.model.profiles import Profile

STEPS_A_HISTORY = 400


@dataclass(frozen=True)
class Told:
    """What one history came to; `broken` says which law it broke at its last step."""

    seed: int
    steps: int
    events: Counter[str]
    outcomes: Counter[str]
    broken: str | None


def tell(seed: int, steps: int = STEPS_A_HISTORY) -> Told:
    """Go through one history until it ends or breaks a law."""
    history = History(seed, profile_of(seed))
    broken = None
    done = 0
    while done < steps and broken is None:
        done += 1
        try:
            history.step()
        except Violation as violation:
            broken = str(violation)
    return Told(seed, done, history.world.events, history.outcomes, broken)


def profile_of(seed: int) -> Profile:
    """Histories of everything, and in turn those that one of the guards needs."""
    wide = Profile()
    profile = GUARDS[seed // 2 % len(GUARDS)].profile if seed % 2 else wide
    is_coarse = seed % 8 in (6, 7)
    return replace(profile, granularity=WHOLE_SECOND_NS) if is_coarse else profile


def main() -> int:
    """Print steps, events, outcomes and seconds; 1 where a law was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000, help="of all histories together")
    parser.add_argument("--seed", type=int, help="go through this one history alone")
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # A history that is gone through again has to be the same one.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.model", *sys.argv[1:]])
    began = time.monotonic()
    if given.seed is not None:
        told = [tell(given.seed, given.steps)]
    else:
        seeds = range(given.first, given.first + -(-given.steps // STEPS_A_HISTORY))
        with multiprocessing.Pool(given.jobs) as pool:
            told = []
            for each in pool.imap_unordered(tell, seeds, chunksize=4):
                told.append(each)
                if each.broken:
                    print(_how(each), flush=True)
    _report(told, time.monotonic() - began)
    return 1 if any(each.broken for each in told) else 0


def _report(told: list[Told], seconds: float) -> None:
    steps = sum(each.steps for each in told)
    print(f"{steps:,} steps in {len(told):,} histories, {seconds:.0f} s")
    for title, counts in (
        ("events", sum((each.events for each in told), Counter[str]())),
        ("outcomes", sum((each.outcomes for each in told), Counter[str]())),
    ):
        print(f"{title}: " + ", ".join(f"{count:,} {name}" for name, count in counts.most_common()))
    broken = [each for each in told if each.broken]
    print("\n".join(map(_how, broken)) if broken else "no law was broken")


def _how(told: Told) -> str:
    again = f"python -m tests.model --seed {told.seed} --steps {told.steps}"
    return f"BROKEN at step {told.steps}: {told.broken}\n  again with: {again}"


if __name__ == "__main__":
    sys.exit(main())
