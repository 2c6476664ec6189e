"""One model's shadow: what it answers to copied requests, beside what the live version did."""

from __future__ import annotations

import math
from dataclasses import replace

from mlbench.domain.errors import ServingError
from mlbench.domain.records import dataclass
from mlbench.domain.release import DeployedModel
from mlbench.serving.protocol.building import build_response
from mlbench.serving.protocol.parsing import InferenceRequest, parse_request
from mlbench.serving.protocol.rows import build_predictions, parse_rows
from mlbench.serving.protocol.tensors import Array
from mlbench.serving.running.loading import LoadedModel, load
from mlbench.serving.traffic.answers import predictions_of, tensors_of
from mlbench.serving.traffic.comparing import Comparison, compare
from mlbench.serving.traffic.copies import Copied
from mlbench.serving.traffic.counted import Counted


@dataclass(frozen=True, slots=True)
class Pair:
    """A live version and the one that shadows it."""

    live: DeployedModel
    shadow: DeployedModel


class Shadowed:
    """Answers copies for one model and counts how its answers compare."""

    def __init__(self, pair: Pair, before: Counted | None = None) -> None:
        """Load the shadow; one that can't be says why. `before` is what was counted so far."""
        self._pair = pair
        live, shadow = pair.live, pair.shadow
        known = before is not None and (before.version, before.live) == (
            shadow.version,
            live.version,
        )
        fresh = Counted(shadow.name, shadow.version, live.version)
        self.counted = before if before is not None and known else fresh
        self._model: LoadedModel | None = None
        try:
            self._model = load(shadow)
        except ServingError as error:
            self.counted = replace(self.counted, why=str(error))

    def take(self, copied: Copied) -> None:
        """Answer one copy and compare; whatever goes wrong counts as the shadow's failure."""
        counted = replace(self.counted, dropped=self.counted.dropped + copied.dropped)
        self.counted = counted
        if self._model is None or copied.version != str(self._pair.live.version):
            return
        try:
            found = self._compared(self._model, copied)
        except Exception as error:
            words = " ".join(str(error).split())[:300] or type(error).__name__
            self.counted = replace(counted, failed=counted.failed + 1, why=words)
            return
        if found.missing or not math.isfinite(found.max_abs_error):
            lacks = f"its answer lacks {', '.join(found.missing)}, or has it in another shape"
            why = lacks if found.missing else "a score is NaN or infinite where the live one is not"
            counted = replace(counted, failed=counted.failed + 1, why=why)
        else:
            largest = max(counted.max_abs_error, found.max_abs_error)
            counted = replace(counted, max_abs_error=largest)
        self.counted = replace(
            counted,
            compared=counted.compared + max(found.rows, 1),
            flips=counted.flips + len(found.flips),
        )

    def _compared(self, model: LoadedModel, copied: Copied) -> Comparison:
        """Compare as the client would see both: from the answers' bodies."""
        if copied.is_rows:
            request = parse_rows(copied.body, model.signature)
            outputs = model.infer(request.inputs)
            body = self._rows_answer(request, outputs)
            return compare(predictions_of(copied.reply), predictions_of(body))
        request = parse_request(copied.body, copied.header_length, model.signature)
        outputs = model.infer(request.inputs)
        classes = self._pair.live.signature.classes, model.signature.classes
        body, length = build_response("", "", request, outputs, "", classes[1])
        ranked = frozenset(asked.name for asked in request.outputs if asked.classes)
        return compare(
            tensors_of(copied.reply, copied.reply_header_length, ranked),
            tensors_of(body, length, ranked),
            *classes,
        )

    def _rows_answer(self, request: InferenceRequest, outputs: dict[str, Array]) -> bytes:
        return build_predictions("", "", request, outputs, "", self._pair.shadow.signature)
