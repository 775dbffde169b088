"""Millpool for training loops of PyTorch.

import millpool, millpool.torch

data = millpool.connect().dataset("/train")
for images, labels in millpool.torch.DataLoader(data, batch_size=256, shuffle=True, transform=decode, device="cuda"):
    ...
"""

from __future__ import annotations

from millpool.torch.data_loader import DataLoader
from millpool.torch.planned_sampler import PlannedSampler

__all__ = ["DataLoader", "PlannedSampler"]
