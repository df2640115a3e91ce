"""Batch normalisation over the rows of all processes, so that sharing a batch does not change it.

PyTorch's own runs on GPUs alone; the one here does the same arithmetic wherever processes can talk.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm


class _Sum(torch.autograd.Function):
    """The sum over processes, of values forward and of gradients backward."""

    @staticmethod
    def forward(context, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total


class SharedBatchNorm(BatchNorm):
    """`nn.BatchNorm1d` or `2d` whose statistics are those of all processes' rows together.

    The processes may hold different numbers of rows. A frozen one is the ordinary layer.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 4):
            raise ValueError(f"expected (B, C) or (B, C, H, W), not {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """(B, C) or (B, C, H, W), the same back."""
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        over = [0, *range(2, values.dim())]
        wide = [1, -1, *[1] * (values.dim() - 2)]
        own = values.new_full((1,), values.numel() / self.num_features)
        sums = _Sum.apply(torch.cat([values.sum(over), own]))  # (C + 1,): one message, not two
        total, count = sums[:-1], sums[-1].detach()
        mean = total / count  # (C,)
        centred = values - mean.view(wide)
        variance = _Sum.apply(centred.square().sum(over)) / count
        if self.momentum:  # 0 where an encoder computes a block for the second time
            self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(wide) + self.bias.view(wide)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def share_batch_norms(model: nn.Module) -> nn.Module:
    """Replace every batch norm by a shared one with the very same parameters and statistics."""
    on_gpu = any(parameter.is_cuda for parameter in model.parameters())
    if on_gpu:
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, BatchNorm) and not isinstance(child, SharedBatchNorm):
                setattr(module, name, _shared(child))
    return model


def _shared(norm: BatchNorm) -> SharedBatchNorm:
    made = SharedBatchNorm(norm.num_features, norm.eps, norm.momentum)
    made.weight, made.bias = norm.weight, norm.bias
    for name, statistic in norm.named_buffers():
        setattr(made, name, statistic)
    return made.train(norm.training)
