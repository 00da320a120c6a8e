"""What the decoders of one process of the node may take."""

from __future__ import annotations

from dicomnode.assemble import DecoderLimits
from dicomnode.settings import AssembleSettings


def decoder_limits(settings: AssembleSettings, workers: int = 1) -> DecoderLimits:
    """Return what the decoders of one of so many workers may take by dicomnode.toml."""
    whole = DecoderLimits(processes=settings.decoders)
    return DecoderLimits(
        processes=settings.decoders or max(whole.count // workers, 1),
        memory_bytes=int(settings.decoder_memory_gb * 1e9),
        time_s=settings.decoder_time_s,
    )
