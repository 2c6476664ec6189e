"""What can be done to the environment, version or request that screen 5 looks at: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlbench.domain.release import Candidate, DeployedModel
from mlbench.domain.stages import EnvironmentSpec
from mlbench.tui.served import canary_on, shadow_on, shares_of
from mlbench.tui.situation import Situation

if TYPE_CHECKING:
    from mlbench.engine.serving_queries import EnvironmentNow

MOST_OFFERED = 6


def environment_of(situation: Situation) -> EnvironmentSpec | None:
    """The specification of the environment under the cursor."""
    project, served = situation.surroundings.project, situation.served
    if project is None or served is None:
        return None
    name = served.environment.name
    return next((item for item in project.environments if item.name == name), None)


def model_of(situation: Situation) -> str:
    """The model under the cursor, or the only one of its environment; empty where there is none."""
    served = situation.served
    if served is None:
        return ""
    status = served.environment.status
    models = sorted({**status.deployed, **status.serving})
    return served.model or (models[0] if models else "")


def live_version(now: EnvironmentNow, model: str) -> int | None:
    """The version of a model that is live in an environment."""
    return next(iter(shares_of(now, model)), None)


def asked_version(situation: Situation) -> DeployedModel | None:
    """The version that the try-it form is for: the one under the cursor, else what is live."""
    served, model = situation.served, model_of(situation)
    if served is None or not model:
        return None
    version = served.version or live_version(served.environment, model) or 0
    return served.environment.deployed(model, version)


def others(situation: Situation) -> tuple[Candidate, ...]:
    """The newest candidates and versions of the model that are not live here, versions first."""
    served, model = situation.served, model_of(situation)
    if served is None:
        return ()
    live = live_version(served.environment, model)
    found = [
        row.candidate
        for row in situation.releases.rows
        if row.candidate.model == model and (row.candidate.version or 0) != live
    ]
    return tuple(found[:MOST_OFFERED])


def weights_of(situation: Situation) -> Mapping[int, float]:
    """How requests for the model are shared now."""
    served, model = situation.served, model_of(situation)
    return shares_of(served.environment, model) if served is not None and model else {}


def no_environment(situation: Situation) -> str:
    """Why nothing can be done to an environment."""
    if situation.served is not None:
        return ""
    if not situation.pulse.at:
        return "the servers are looked at for the first time; in a moment it works"
    if situation.pulse.problem:
        return "the project's files have to be mended first; the line below says where"
    return "there is no environment: add [environments.staging] with a port to mlbench.toml"


def not_switchable(situation: Situation) -> str:
    """Why no server can be started or stopped."""
    served = situation.served
    if served is None:
        return no_environment(situation)
    name = served.environment.name
    return f"{name} is being started or stopped" if name in situation.switching else ""


def is_down(situation: Situation) -> str:
    """Why nobody answers in the environment under the cursor."""
    served = situation.served
    if served is None:
        return no_environment(situation)
    status = served.environment.status
    if status.pid is None:
        return f"{status.name} is down: u starts it"
    if not status.serving:
        return f"{status.name} serves nothing yet: p promotes a model to the first environment"
    return ""


def not_askable(situation: Situation) -> str:
    """Why nothing can be asked."""
    said = is_down(situation)
    if said or asked_version(situation) is not None:
        return said
    return "what this version takes is not known; ask the live version of the model"


def no_trial(situation: Situation) -> str:
    """Why there can be no canary, no shadow, no split and no replay."""
    said = is_down(situation)
    if said:
        return said
    if others(situation) or _goes_on(situation):
        return ""
    return f"there is no other version of {model_of(situation)}: a passing run makes a candidate"


def no_replay(situation: Situation) -> str:
    """Why no logged requests can be asked again."""
    served = situation.served
    if served is None:
        return no_environment(situation)
    if not model_of(situation):
        return f"{served.environment.name} has no model yet"
    if not others(situation):
        return f"there is no other version of {model_of(situation)} to ask"
    settings = served.environment.settings
    if not (settings.log_requests and settings.log_inputs):
        return "no inputs are logged: set log_inputs and log_requests in mlbench.toml"
    return ""


def no_logged(situation: Situation) -> str:
    """Why no request can be opened."""
    return "" if situation.logged is not None else "no request is logged yet: a asks the model"


def nothing_served_to_copy(situation: Situation) -> str:
    """Why nothing can be copied."""
    if situation.logged is not None and situation.logged.inputs:
        return ""
    return not_askable(situation)


def named(candidate: Candidate) -> str:
    """What stands after @ in a command: the version, or the run until it has one."""
    return candidate.run if candidate.version is None else str(candidate.version)


def _goes_on(situation: Situation) -> bool:
    served, model = situation.served, model_of(situation)
    if served is None:
        return False
    now = served.environment
    is_shared = len(shares_of(now, model)) > 1
    return is_shared or canary_on(now, model) is not None or shadow_on(now, model) is not None
