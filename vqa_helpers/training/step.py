"""One step: the gradients of a batch, and what is counted on the way.

On a GPU a step of these models is some hundred kernels of a few microseconds each, which take
longer to launch than to run. A `CapturedStep` launches them once, as a CUDA graph, and from then on
replays them on other batches of the same shape. Knows nothing of optimisers, epochs or tables.
"""

import logging
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vqa_helpers.training.batches import Batch
from vqa_helpers.training.losses import LossFunction
from vqa_helpers.training.team import ALONE, Team

log = logging.getLogger(__name__)

PRECISIONS = ("auto", "float32", "bfloat16")
WARM_UP = 2  # batches of a shape before it is captured; libraries choose their ways in the first


def resolve_precision(precision: str, device: torch.device) -> str:
    """What "auto" means: bfloat16 where the GPU has it in silicon, else float32."""
    if precision != "auto":
        return precision
    with_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if with_it else "float32"


class Step:
    """The gradients of a batch, left in the parameters.

    Args:
        precision: "float32", or "bfloat16": matrix products in half floats, everything that sums
            up in single precision (weights, LSTM states, norms, loss, gradients).

    Attributes:
        counts: (3,) the sum of the losses, of their weights, and the hits since `start`.
    """

    def __init__(
        self, model: nn.Module, loss: LossFunction, device: torch.device, precision: str = "float32"
    ) -> None:
        self.model = model
        self.loss = loss
        self.device = device
        self.half = precision == "bfloat16"
        self._parameters = list(model.parameters())
        self.counts = torch.zeros(3, device=device)

    def start(self) -> None:
        """Begin to count anew."""
        self.counts.zero_()

    def __call__(self, batch: Batch) -> None:
        """Leave the gradients of the batch's mean loss, in place of any others."""
        self._forget()
        total, weight = self._count(self.model, batch)
        (total / weight).backward()

    def _forget(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def _count(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The sum of the losses and that of their weights; both are counted, and the hits."""
        # A cache of half weights would outlive the capture in whose memory they lie.
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.half, cache_enabled=False
        ):
            logits = network(batch.image, batch.question, batch.lengths)  # (B, A)
        logits = logits.float()
        losses, weights = self.loss(logits, batch.target, batch.soft)  # (B,) each
        total, weight = losses.sum(), weights.sum()
        # Summed on the device: reading a number back at each step would make the device wait.
        hits = (logits.detach().argmax(1) == batch.target).sum()
        self.counts += torch.stack([total.detach(), weight, hits.to(total.dtype)])
        return total, weight


class SharedStep(Step):
    """The same in pieces, one after another for less memory, or by several processes at once.

    However the batch is cut, its gradient is that of the sum of the losses over the sum of their
    weights. (With batch normalisation a piece is normalised by its own rows, those of all
    processes together, and the result is not quite that of the whole.)

    Args:
        pieces: at most so many, of two questions at least in every process.
        team: the processes, each with its share of the batch.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: LossFunction,
        device: torch.device,
        precision: str = "float32",
        pieces: int = 1,
        team: Team = ALONE,
    ) -> None:
        self.network = team.joined(model)  # first: it puts other batch norms into the model
        super().__init__(model, loss, device, precision)
        self.pieces = pieces
        self.team = team

    def __call__(self, batch: Batch) -> None:
        """Leave the gradients of the mean loss of all processes' shares, in place of any others."""
        self._forget()
        weights = []
        *first, last = batch.cut(self.pieces)
        with nullcontext() if self.team.count == 1 else self.network.no_sync():
            for piece in first:  # nothing is told the other processes before the last one
                weights.append(self._add(piece))
        weights.append(self._add(last))
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        # The processes' gradients were averaged, not summed.
        factor = self.team.count / self.team.sum(torch.stack(weights).sum())
        torch._foreach_mul_(gradients, factor.to(gradients[0].dtype))

    def _add(self, piece: Batch) -> Tensor:
        total, weight = self._count(self.network, piece)
        total.backward()
        return weight


@dataclass
class _Capture:
    """A captured step: the graph, the batch it reads, and the gradients it writes."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    gradients: list[Tensor | None]


class CapturedStep(Step):
    """The same, replayed as a CUDA graph for every shape of batch that comes again.

    What cannot be captured is launched kernel by kernel, as a `Step` is, and the log says so once.
    """

    def __init__(
        self, model: nn.Module, loss: LossFunction, device: torch.device, precision: str = "float32"
    ) -> None:
        super().__init__(model, loss, device, precision)
        self._prepare()
        self._stream = torch.cuda.Stream(device)
        self._memory = torch.cuda.graph_pool_handle()  # for all: one runs at a time

    def _prepare(self) -> None:
        self._met: Counter[tuple] = Counter()
        self._captures: dict[tuple, _Capture] = {}
        self._possible = True

    def __call__(self, batch: Batch) -> None:
        """Leave the gradients of the batch's mean loss, in place of any others."""
        if not self._possible:
            return super().__call__(batch)
        shape = tuple(tensor.shape for tensor in batch.tensors())
        self._met[shape] += 1
        if self._met[shape] <= WARM_UP:
            return self._warm_up(batch)
        if shape not in self._captures:
            try:
                self._captures[shape] = self._capture(batch)
            except RuntimeError as error:
                reason = str(error).split("\n")[0]
                log.warning("a step cannot be captured (%s); steps are launched singly", reason)
                self._possible = False
                return super().__call__(batch)
        return self._replay(self._captures[shape], batch)

    def _warm_up(self, batch: Batch) -> None:
        """A step on the stream that captures."""
        here = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            super().__call__(batch)
        here.wait_stream(self._stream)

    def _capture(self, batch: Batch) -> _Capture:
        """Record a step without doing it."""
        graph, copy = torch.cuda.CUDAGraph(), batch.clone()
        chance = torch.cuda.default_generators[torch.cuda.current_device()]
        saved = chance.clone_state()
        try:
            with torch.cuda.graph(
                graph, self._memory, self._stream, capture_error_mode="thread_local"
            ):  # of this thread: another may be copying the next batch
                super().__call__(copy)
        except RuntimeError:
            # Dropout's generator would go on waiting for the end of the capture.
            chance.graphsafe_set_state(saved.graphsafe_get_state())
            raise
        return _Capture(graph, copy, [parameter.grad for parameter in self._parameters])

    def _replay(self, captured: _Capture, batch: Batch) -> None:
        for mine, given in zip(captured.batch.tensors(), batch.tensors(), strict=True):
            mine.copy_(given)
        captured.graph.replay()
        for parameter, gradient in zip(self._parameters, captured.gradients, strict=True):
            parameter.grad = gradient


def make_step(
    model: nn.Module,
    loss: LossFunction,
    device: torch.device,
    precision: str,
    capture: bool,
    pieces: int = 1,
    team: Team = ALONE,
) -> Step:
    """The step that suits the device and the processes."""
    if pieces > 1 or team.count > 1:
        return SharedStep(model, loss, device, precision, pieces, team)
    kind = CapturedStep if capture and device.type == "cuda" else Step
    return kind(model, loss, device, precision)
