"""One step: the gradients of a batch, and what is counted on the way.

On a GPU a step of these models is some hundred kernels of a few microseconds each, which take
longer to launch than to run. A `CapturedStep` launches them once, as a CUDA graph, and from then on
replays them on other batches of the same shape. Knows nothing of optimisers, epochs or tables.
"""

import logging
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vqa_helpers.training.batches import Batch
from vqa_helpers.training.gradients import add_gradients
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
        network: as `Team.joined` returned it.
        precision: "float32" or "bfloat16".
        parts: of a batch, computed one after another.
        team: the processes that share each batch.

    Attributes:
        counts: (3,) the sum of the losses, of their weights, and the hits since `start`, of this
            process's share.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: LossFunction,
        precision: str = "float32",
        parts: int = 1,
        team: Team = ALONE,
    ) -> None:
        self.network = network
        self.loss = loss
        self.half = precision == "bfloat16"
        self.parts = parts
        self.team = team
        self._parameters = list(network.parameters())
        self.device = self._parameters[0].device
        self.counts = torch.zeros(3, device=self.device)

    def start(self) -> None:
        """Begin to count anew."""
        self.counts.zero_()

    def __call__(self, batch: Batch) -> None:
        """Leave the gradients of the batch's mean loss, in place of any others."""
        for parameter in self._parameters:
            parameter.grad = None
        # Summed on the device: reading a number back at each step would make the device wait.
        self.counts += add_gradients(
            self.network, batch, self.loss, self.parts, self.team, self.half
        )


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

    def __init__(self, network: nn.Module, loss: LossFunction, precision: str = "float32") -> None:
        super().__init__(network, loss, precision)
        self._prepare()
        self._stream = torch.cuda.Stream(self.device)
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
    network: nn.Module,
    loss: LossFunction,
    precision: str,
    capture: bool,
    parts: int = 1,
    team: Team = ALONE,
) -> Step:
    """The step that suits the device; one in parts, or shared, is not captured."""
    on_gpu = next(network.parameters()).device.type == "cuda"
    if capture and on_gpu and parts == team.count == 1:
        return CapturedStep(network, loss, precision)
    return Step(network, loss, precision, parts, team)
