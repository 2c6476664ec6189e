"""Hypothesis looks for wrong answers here, never for slow ones."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
