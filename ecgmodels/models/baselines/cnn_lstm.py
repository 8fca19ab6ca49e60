"""The CNN-LSTM of Oh et al. 2018; what differs from it is told in `cnn_lstm_plan`.

Axes: b batch, c channels, t time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecgmodels.models.baselines.cnn_lstm_plan import resolve_cnn_lstm
from ecgmodels.models.baselines.config import CNNLSTMConfig
from ecgmodels.models.baselines.network import BaselineNetwork
from ecgmodels.models.baselines.pooling import maximum_of_2
from ecgmodels.models.layers import conv
from ecgmodels.models.masking import SignalMask


class CNNLSTM(BaselineNetwork):
    """The network that `config` describes; its exact sizes are in `plan`."""

    def __init__(self, config: CNNLSTMConfig) -> None:
        plan = resolve_cnn_lstm(config)
        super().__init__(config, plan.head)
        self.plan = plan
        self.convolutions = nn.ModuleList(
            conv(layer.in_channels, layer.channels, layer.kernel) for layer in plan.convolutions
        )
        self.lstm = nn.LSTM(plan.convolutions[-1].channels, plan.units, batch_first=True)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def pool(self, x: Tensor, mask: SignalMask) -> Tensor:
        for convolution in self.convolutions:
            x, mask = maximum_of_2(convolution(x).relu_(), mask), mask.strided(2)
        states_btc, (last_1bc, _) = self.lstm(x.squeeze(2).transpose(1, 2))
        if mask.valid is None:
            return last_1bc[0]
        # It reads forward, so the state at a recording's last position knows nothing of padding.
        segment = torch.arange(len(states_btc), device=states_btc.device)
        return states_btc[segment, mask.positions[:, 0] - 1]
