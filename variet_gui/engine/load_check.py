"""Is it really what the catalog says? What a loaded server is, against what it was started as.

"found 1 CUDA device" was once a line in a log that nobody read, and half a machine worked for days. Here it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import TypeAlias

from variet_gui.catalog.tiers import Tier
from variet_gui.engine.device_findings import compare_devices
from variet_gui.engine.findings import Finding
from variet_gui.engine.load_report import LoadReport, is_gpu
from variet_gui.engine.readiness import model_argument, same_model
from variet_gui.events import Fix, ParameterValue, ServerStatus, Severity
from variet_gui.i18n import Message, msg

_SHOW_LOG = Fix(msg("Show the log"), action="show_log")
_Check: TypeAlias = Callable[["_Loaded"], Finding | None]


class _Loaded:
    """What the checks look at."""

    def __init__(self, tier: Tier, status: ServerStatus, report: LoadReport) -> None:
        self.tier, self.status, self.report = tier, status, report
        self.values: Mapping[str, ParameterValue] = status.values or {}


def differences(tier: Tier, status: ServerStatus, report: LoadReport) -> tuple[Finding, ...]:
    """Return in what a server that is ready differs from what it was started as; empty when in nothing.

    Args:
        tier: as the catalog has it.
        status: of the server, with the values it was started with and what it says of itself.
        report: what its log said of the load.
    """
    loaded = _Loaded(tier, status, report)
    return tuple(found for check in _CHECKS if (found := check(loaded)) is not None)


def _devices(it: _Loaded) -> Finding | None:
    return compare_devices(it.tier, it.report)


def _layers(it: _Loaded) -> Finding | None:
    """A build without a GPU "offloads" as well; that is what the devices are for."""
    wanted, got = it.values.get("n_gpu_layers"), it.report.layers_offloaded
    if got is None or isinstance(wanted, bool):
        return None
    if isinstance(wanted, int) and wanted >= 0:
        meant = min(wanted, got.total)
    elif wanted == "all":
        meant = got.total
    else:
        return None
    if got.count == meant:
        return None
    return _finding(
        "layers_differ",
        msg(
            "{count} of {total} layers are on GPUs; {wanted} were asked for.",
            count=got.count,
            total=got.total,
            wanted=meant,
        ),
    )


def _context(it: _Loaded) -> Finding | None:
    wanted, got = it.values.get("ctx_size"), it.status.context_size
    if not isinstance(wanted, int) or wanted <= 0 or got is None:
        return None
    slots = 1 if it.values.get("kv_unified") is True else (it.status.slots or 1)
    if got >= wanted // slots:
        return None
    return _finding(
        "context_differs",
        msg(
            "The context is {got} tokens for each request; {wanted} were asked for.",
            got=got,
            wanted=wanted // slots,
        ),
    )


def _slots(it: _Loaded) -> Finding | None:
    wanted, got = it.values.get("parallel", 1), it.status.slots
    if not isinstance(wanted, int) or wanted < 1 or got is None or got == wanted:
        return None
    return _finding(
        "slots_differ", msg("It works on {got} requests at a time; {wanted} were asked for.", got=got, wanted=wanted)
    )


def _flash_attention(it: _Loaded) -> Finding | None:
    wanted, got = it.values.get("flash_attn"), it.report.flash_attention
    if got is None or wanted not in ("on", "off") or got is (wanted == "on"):
        return None
    return _finding(
        "flash_attention_differs",
        msg("Flash attention is off, although it was asked for.")
        if wanted == "on"
        else msg("Flash attention is on, although it was to be off."),
    )


def _projector(it: _Loaded) -> Finding | None:
    """The projector sits where it was meant to: on a GPU or in the computer's memory."""
    if not it.values.get("mmproj"):
        return None
    homes = [part.device for part in it.report.buffers if part.projector_mib]
    on_gpu = any(is_gpu(device) for device in homes)
    meant = it.values.get("mmproj_offload") is not False and it.values.get("mmproj_device") != "none"
    if not homes or on_gpu is meant or (meant and not it.report.gpus_in_use):
        return None
    return _finding(
        "projector_elsewhere",
        msg("The projector works on the CPU; it was meant for a GPU. Pictures take much longer there.")
        if meant
        else msg("The projector is on {device}; it was meant for the CPU.", device=", ".join(homes)),
    )


def _vision(it: _Loaded) -> Finding | None:
    if not it.values.get("mmproj") or it.status.vision is not False:
        return None
    return _finding(
        "vision_missing", msg("It was started with a projector and says that it takes no pictures."), Severity.ERROR
    )


def _model(it: _Loaded) -> Finding | None:
    asked, runs = model_argument(it.status.argv), it.status.model_path
    if same_model(asked, runs):
        return None
    return _finding(
        "model_differs",
        msg(
            "It runs {runs}; it was started with {asked}.",
            runs=PurePath(runs or "?").name,
            asked=PurePath(asked or "?").name,
        ),
        Severity.ERROR,
    )


def _fitted(it: _Loaded) -> Finding | None:
    shrunk = it.report.context_shrunk
    if shrunk is None or it.values.get("ctx_size"):
        return None
    return _finding(
        "context_shrunk",
        msg(
            "llama-server made the context smaller so that the model fits: {after} tokens instead of {before}.",
            after=shrunk.after,
            before=shrunk.before,
        ),
    )


def _pipeline(it: _Loaded) -> Finding | None:
    if not it.report.pipeline_dropped:
        return None
    return _finding(
        "pipeline_dropped",
        msg("GPU memory was too short for pipeline copies, and llama-server went on without them: the cards are full."),
        Severity.INFO,
    )


_CHECKS: tuple[_Check, ...] = (
    _devices,
    _model,
    _vision,
    _projector,
    _layers,
    _context,
    _fitted,
    _slots,
    _flash_attention,
    _pipeline,
)


def _finding(code: str, text: Message, severity: Severity = Severity.WARNING) -> Finding:
    return Finding(severity, code, text, (_SHOW_LOG,))
