"""Friendly names for runs, when a run began by its id, and sortable ids for commands."""

from __future__ import annotations

import os
import time

_ADJECTIVES = (
    "amber brave bright brisk calm clever cosy crisp daring eager early fair fleet fond gentle "
    "glad golden happy hardy honest humble jolly keen kind lively loyal lucid lucky mellow merry "
    "mild neat nimble noble patient placid plucky polite proud quick quiet ready robust rosy sharp "
    "shiny silent sleek smart snug solid spry steady sunny swift tidy tender vivid warm wise witty"
).split()
_ANIMALS = (
    "badger bear beaver bison bunting crane curlew deer dolphin dove eagle egret elk falcon ferret "
    "finch fox gecko goose grebe hare hawk heron ibis jackdaw jay kestrel kite lark lemur linnet "
    "lynx magpie marten mink mole moose newt nuthatch otter owl panda petrel pika plover puffin "
    "quail rabbit raven robin salmon seal shrew siskin sparrow stoat stork swan teal tern thrush "
    "toad trout turtle viper vole walrus weasel wren"
).split()


def new_command_id() -> str:
    """Sorts by time, unique among processes."""
    return f"{time.time_ns():020d}-{os.urandom(4).hex()}"


def moment_of(run_id: str) -> float:
    """When a run of this id began, in seconds since the epoch; ValueError for another id."""
    # Rarely needed, and its import is not cheap.
    import calendar

    second, _, rest = run_id.rpartition("-")
    whole = calendar.timegm(time.strptime(second, "%Y%m%d-%H%M%S"))
    return whole + int(rest[:4], 16) / 65536


def friendly_name(run_id: str) -> str:
    """`brave-otter`: always the same for one id, from the random part of it."""
    number = int(run_id.rsplit("-", 1)[-1], 16)
    adjective = _ADJECTIVES[number % len(_ADJECTIVES)]
    return f"{adjective}-{_ANIMALS[number // len(_ADJECTIVES) % len(_ANIMALS)]}"
