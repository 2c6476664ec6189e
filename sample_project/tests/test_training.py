"""Training learns, and learns the same thing again."""

from __future__ import annotations

from model import build_model
from prepare import Digits
from train import train_epochs


def train_briefly(rows: Digits, seed: int) -> tuple[list[float], bytes]:
    """The loss of five epochs, and the bytes of the answers afterwards."""
    model = build_model(hidden=[16], alpha=0.1, learning_rate=0.01, batch_size=32, seed=seed)
    losses = list(train_epochs(model, rows.X, rows.y, epochs=5))
    return losses, model.predict_proba(rows.X).tobytes()


def test_the_loss_falls(held_out: Digits) -> None:
    """Five epochs take away at least half of the loss."""
    losses, _ = train_briefly(held_out, seed=1)
    assert len(losses) == 5
    assert losses[-1] < losses[0] / 2


def test_the_seed_decides_the_model(held_out: Digits) -> None:
    """The same seed gives the same answers to the last bit, another seed others."""
    first, again, other = (train_briefly(held_out, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
