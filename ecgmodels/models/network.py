"""What training, prediction and export ask of every network."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ecgmodels.models.base import ModelConfig


class ECGNetwork(nn.Module):
    """A network from segments to logits; a family's own is built as `Network(config)`.

    In evaluation mode a segment's output depends on nothing but that segment's valid samples: not
    on other segments of the batch, on what stands beyond a mask, nor on how far it is padded.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def forward(
        self,
        signal: Tensor,
        features: Tensor,
        feature_mask: Tensor,
        signal_mask: Tensor | None = None,
        template: Tensor | None = None,
    ) -> Tensor:
        """Return the classes' logits.

        Args:
            signal: float32 [batch, lead, time], normalised. With a mask, time may be any length
                up to the configured samples, and beyond.
            features: float32 [batch, feature], normalised, 0 where missing.
            feature_mask: bool [batch, feature], True where the feature is known.
            signal_mask: bool [batch, time], True where the signal is the recording's, which is a
                stretch from the beginning of at least one sample; None where all of it is.
            template: float32 [batch, lead, time], the recording's median beat, normalised as the
                signal is; given exactly where `config.template` is set.

        Returns:
            float32 [batch, class] (bfloat16 under autocast).
        """
        raise NotImplementedError

    def undecayed_parameters(self) -> Iterator[nn.Parameter]:
        """Yield what weight decay should leave alone: norms and biases."""
        return (parameter for parameter in self.parameters() if parameter.ndim == 1)
