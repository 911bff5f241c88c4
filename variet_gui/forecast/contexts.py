"""The contexts of one start and their compute buffers: the model's own, and that of multi-token prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from variet_gui.forecast.cache_types import is_known, is_quantised
from variet_gui.forecast.compute import Programme
from variet_gui.forecast.era import Era
from variet_gui.forecast.graph_inputs import BatchSettings
from variet_gui.forecast.layer_graph import GraphSettings
from variet_gui.forecast.layers import Part, Step
from variet_gui.forecast.plan import Plan
from variet_gui.forecast.settings import Settings, sliding_cells
from variet_gui.forecast.shape import ModelShape

PIPELINE_COPIES = 4
"""GGML_SCHED_MAX_COPIES."""
_FLASH_HEADS = frozenset({64, 72, 80, 96, 112, 128, 256, 512})
"""Head widths with equal keys and values (`ggml/src/ggml-cuda/fattn.cu`); 512 only where heads share keys."""
_PAIRS_BEFORE = frozenset({"f16", "q8_0", "q4_0", "bf16"})
"""Older builds took these, and only two of a kind."""
_PIPELINED = frozenset({"CUDA", "RPC"})
"""Back ends with asynchronous work and events; RPC in newer builds only."""
_NOT_ON_CUDA = frozenset({"iq4_nl"})


@dataclass(frozen=True, slots=True)
class ComputeBytes:
    """Per device and in host memory."""

    devices: tuple[int, ...]
    host: int


def flash_on_cuda(model: ModelShape, settings: Settings, era: Era) -> bool:
    """Whether CUDA can compute the attention of this model with these cache types."""
    for layer in model.kinds:
        if not layer.owns_cache or not layer.kv_heads:
            continue
        shared = layer.heads // layer.kv_heads
        if layer.key_length != layer.value_length or layer.key_length not in _FLASH_HEADS:
            return False
        if layer.key_length == max(_FLASH_HEADS) and shared < 2:
            return False
    types = (settings.key_type, settings.value_type)
    if not all(is_known(kind) for kind in types) or not _NOT_ON_CUDA.isdisjoint(types):
        return False
    if era.all_cache_pairs is False and any(is_quantised(kind) for kind in types):
        return types[0] == types[1] and types[0] in _PAIRS_BEFORE
    return True


class Contexts:
    """Measures the compute buffers of one start."""

    def __init__(
        self, model: ModelShape, settings: Settings, plan: Plan, kinds: Sequence[str], *, flash: bool, dry_run: bool
    ) -> None:
        self._model, self._settings, self._plan = model, settings, plan
        self._kinds, self._flash, self._dry_run = kinds, flash, dry_run

    @property
    def pipeline(self) -> bool:
        """Whether every input exists in four copies, so that devices can work on different batches.

        Several RPC devices are taken to be of a build that can do that (`Era.rpc_events`).
        """
        settings = self._settings
        return (
            len(self._kinds) > 1
            and self._plan.all_on_gpu
            and settings.split_mode == "layer"
            and settings.cache_on_gpu
            and not settings.overrides
            and all(kind in _PIPELINED for kind in self._kinds)
        )

    @property
    def _remote(self) -> bool:
        return "RPC" in self._kinds

    def measure(self, era: Era, *, assume: bool) -> ComputeBytes:
        """Return the buffers of all contexts; what is not known of the era is taken to be `assume`."""
        batch = self._batch(era, assume=assume)
        total = self._context(batch, self._plan.steps, self._plan.host_steps, self._model.trunk_layers)
        if self._settings.predicts and self._model.prediction_layers and not self._dry_run:
            more = self._prediction(batch)
            total = ComputeBytes(
                tuple(one + other for one, other in zip(total.devices, more.devices, strict=True)),
                total.host + more.host,
            )
        return total

    def _batch(self, era: Era, *, assume: bool) -> BatchSettings:
        settings = self._settings

        def holds(rule: bool | None) -> bool:
            return assume if rule is None else rule

        tokens = settings.batch_tokens
        outputs = min(tokens, settings.outputs) if holds(era.few_outputs) else tokens
        graph = GraphSettings(
            tokens=tokens,
            sequences=settings.slots,
            streams=settings.streams,
            flash_attention=self._flash,
            turned_values=settings.flash_attention == "off",
            key_type=settings.key_type,
            value_type=settings.value_type,
            scratch=holds(era.reserved_scratch),
            snapshots=1 + settings.draft_tokens,
            fused=holds(era.kept_for_fusion),
            outputs=outputs if self._model.picks_early and outputs < tokens else 0,
        )
        return BatchSettings(
            graph=graph,
            cells=settings.slot_cells,
            sliding_cells=sliding_cells(settings, self._model.window),
            outputs=outputs,
            copies=PIPELINE_COPIES if self.pipeline and (not self._remote or holds(era.rpc_events)) else 1,
            mixed_inputs=holds(era.mixed_inputs),
            wide_masks=not holds(era.narrow_masks),
            dry_run=self._dry_run,
        )

    def _prediction(self, batch: BatchSettings) -> ComputeBytes:
        keys, values = self._settings.draft_types
        graph = replace(batch.graph, key_type=keys, value_type=values, snapshots=1)
        index = self._model.trunk_layers
        step = Step(self._model.layers[index], cache_on_host=not self._settings.cache_on_gpu, predicts=True)
        where = self._plan.placed.layer_device[index]
        steps = tuple((step,) if device == where else () for device in range(len(self._kinds)))
        own = (step,) if where is None else ()
        outputs = min(batch.graph.tokens, self._settings.slots)
        return self._context(replace(batch, graph=graph, outputs=outputs, mixed_inputs=False), steps, own, 1)

    def _context(
        self, batch: BatchSettings, steps: Sequence[Sequence[Step]], host_steps: Sequence[Step], layers: int
    ) -> ComputeBytes:
        programmes: dict[str, Programme] = {}
        devices = []
        first, after_host = not host_steps, bool(host_steps)
        for index, own in enumerate(steps):
            programme = self._programme(programmes, batch, self._kinds[index])
            output = self._plan.placed.output_device == index and (layers > 1 or bool(own))
            # A device may run nothing but what others have no weights for.
            begins = any(step.part is not Part.AWAY for step in own)
            devices.append(programme.device(own, first=first and begins, output=output, after_host=after_host))
            first = first and not begins
            after_host = after_host and not begins
        programme = self._programme(programmes, batch, "CPU")
        everything = [step for own in (*steps, host_steps) for step in own]
        return ComputeBytes(tuple(devices), programme.host(everything, host_steps))

    def _programme(self, made: dict[str, Programme], batch: BatchSettings, kind: str) -> Programme:
        if kind not in made:
            if kind != "CUDA":
                batch = replace(batch, graph=replace(batch.graph, fused=False, scratch=False))
            made[kind] = Programme(self._model, batch)
        return made[kind]
