"""The flags of llama-server that have no row in the parameter table on purpose, and why. Data only.

Together with the table this covers every flag that `llama-server --help` prints; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from variet_gui.i18n import Message, msg


class Reason(Enum):
    """Why a flag has no row."""

    PANEL = "panel"
    ADDRESS = "address"
    SECRET = "secret"  # noqa: S105 (a word for a kind of flag, not a secret)
    ACCESS = "access"
    DOWNLOAD = "download"
    ROUTER = "router"
    PRINTS = "prints"
    OTHER_USE = "other use"
    PER_REQUEST = "per request"
    SPECIALIST = "specialist"
    VIDEO = "video"
    WEB_PAGE = "web page"
    NO_EFFECT = "no effect"
    REMOVED = "removed"

    @property
    def text(self) -> Message:
        """Return the reason as a sentence."""
        return _TEXTS[self]

    @property
    def kept_on_import(self) -> bool:
        """Whether a pasted command line keeps such a flag among its extra arguments."""
        return self in _KEPT

    @property
    def refused_as_extra(self) -> bool:
        """Whether such a flag is left off even when it stands among the extra arguments.

        It would break the panel, or show a secret in the list of processes.
        """
        return self in _REFUSED


_KEPT = frozenset({Reason.OTHER_USE, Reason.PER_REQUEST, Reason.SPECIALIST, Reason.VIDEO, Reason.WEB_PAGE})
_REFUSED = frozenset({Reason.ADDRESS, Reason.SECRET, Reason.ROUTER, Reason.PRINTS})

_TEXTS = {
    Reason.PANEL: msg("The panel sets this itself: it reads the log and the state of the server."),
    Reason.ADDRESS: msg("The panel decides where the server listens and what it is called."),
    Reason.SECRET: msg("Keys and tokens do not belong on a command line, where every program can read them."),
    Reason.ACCESS: msg("It gives the model or other programs access to files, commands or other servers."),
    Reason.DOWNLOAD: msg("It fetches files from the internet; the panel starts files that are on disk."),
    Reason.ROUTER: msg("It belongs to a server that manages several models; the panel does that."),
    Reason.PRINTS: msg("It prints something and ends."),
    Reason.OTHER_USE: msg("It belongs to another use of llama-server, such as embeddings or code completion."),
    Reason.PER_REQUEST: msg("It is chosen with each request."),
    Reason.SPECIALIST: msg("It is for measuring or developing llama.cpp."),
    Reason.VIDEO: msg("It concerns video, which the panel does not send."),
    Reason.WEB_PAGE: msg("It concerns llama-server's own web page, which the panel turns off, or pages that call it."),
    Reason.NO_EFFECT: msg("It does nothing any more."),
    Reason.REMOVED: msg("It was removed from llama-server."),
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One flag with all its spellings."""

    flags: tuple[str, ...]
    values: int
    """How many values stand behind it."""
    reason: Reason


def _flags(reason: Reason, values: int, *spellings: str) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(tuple(spelling.split()), values, reason) for spelling in spellings)


LEFT_OUT: tuple[LeftOut, ...] = (
    *_flags(
        Reason.PANEL,
        0,
        "--offline",
        "--metrics",
        "--props",
        "--slots --no-slots",
        "--ui --webui --no-ui --no-webui",
        "-v --verbose --log-verbose",
        "--log-disable",
        "--log-jsonl --no-log-jsonl",
        "--log-prefix --no-log-prefix",
        "--log-timestamps --no-log-timestamps",
    ),
    *_flags(
        Reason.PANEL,
        1,
        "-lv --verbosity --log-verbosity",
        "--log-file",
        "--log-colors",
        "--cors-origins",
    ),
    *_flags(Reason.ADDRESS, 0, "--reuse-port"),
    *_flags(Reason.ADDRESS, 1, "--host", "--port", "-a --alias", "--api-prefix", "--ssl-key-file", "--ssl-cert-file"),
    *_flags(Reason.SECRET, 1, "--api-key", "--api-key-file", "-hft --hf-token"),
    *_flags(
        Reason.ACCESS,
        0,
        "-ag --agent -no-ag --no-agent",
        "--ui-mcp-proxy --webui-mcp-proxy --no-ui-mcp-proxy --no-webui-mcp-proxy",
    ),
    *_flags(
        Reason.ACCESS, 1, "--tools", "--tools-runtime", "--mcp-servers-config", "--mcp-servers-json", "--media-path"
    ),
    *_flags(
        Reason.DOWNLOAD,
        0,
        "--mmproj-auto --no-mmproj --no-mmproj-auto",
        "--embd-gemma-default",
        "--fim-qwen-1.5b-default",
        "--fim-qwen-3b-default",
        "--fim-qwen-7b-default",
        "--fim-qwen-7b-spec",
        "--fim-qwen-14b-spec",
        "--fim-qwen-30b-default",
        "--gpt-oss-20b-default",
        "--gpt-oss-120b-default",
        "--vision-gemma-4b-default",
        "--vision-gemma-12b-default",
    ),
    *_flags(
        Reason.DOWNLOAD,
        1,
        "-mu --model-url",
        "-dr --docker-repo",
        "-hf -hfr --hf-repo",
        "-hff --hf-file",
        "-mmu --mmproj-url",
        "--spec-draft-hf -hfd -hfrd --hf-repo-draft",
    ),
    *_flags(Reason.ROUTER, 0, "--models-autoload --no-models-autoload"),
    *_flags(Reason.ROUTER, 1, "--models-dir", "--models-preset", "--models-max"),
    *_flags(
        Reason.PRINTS,
        0,
        "-h --help --usage",
        "--version",
        "--license",
        "-cl --cache-list",
        "--completion-bash",
        "--list-devices",
    ),
    *_flags(Reason.OTHER_USE, 0, "--embedding --embeddings", "--rerank --reranking", "--spm-infill", "-sp --special"),
    *_flags(Reason.OTHER_USE, 1, "--pooling", "--embd-normalize", "-r --reverse-prompt"),
    *_flags(Reason.PER_REQUEST, 0, "--ignore-eos", "-bs --backend-sampling", "-e --escape --no-escape"),
    *_flags(
        Reason.PER_REQUEST,
        1,
        "--samplers",
        "--sampler-seq --sampling-seq",
        "--top-nsigma --top-n-sigma",
        "--xtc-probability",
        "--xtc-threshold",
        "--typical --typical-p",
        "--repeat-last-n",
        "--dry-multiplier",
        "--dry-base",
        "--dry-allowed-length",
        "--dry-penalty-last-n",
        "--dry-sequence-breaker",
        "--adaptive-target",
        "--adaptive-decay",
        "--dynatemp-range",
        "--dynatemp-exp",
        "--mirostat",
        "--mirostat-lr",
        "--mirostat-ent",
        "-l --logit-bias",
        "--grammar",
        "--grammar-file",
        "-j --json-schema",
        "-jf --json-schema-file",
    ),
    *_flags(Reason.WEB_PAGE, 0, "--cors-credentials --no-cors-credentials"),
    *_flags(
        Reason.WEB_PAGE,
        1,
        "--cors-methods",
        "--cors-headers",
        "--path",
        "--ui-config --webui-config",
        "--ui-config-file --webui-config-file",
    ),
    *_flags(Reason.SPECIALIST, 0, "--perf --no-perf", "--lora-init-without-apply", "--spec-default"),
    *_flags(
        Reason.SPECIALIST,
        1,
        "--tags",
        "--log-prompts-dir",
        "--control-vector",
        "--control-vector-scaled",
        "--spec-synth-len",
        "--spec-synth-rates",
        "--spec-draft-cpu-mask -Cd --cpu-mask-draft",
        "--spec-draft-cpu-range -Crd --cpu-range-draft",
        "--spec-draft-cpu-strict --cpu-strict-draft",
        "--spec-draft-prio --prio-draft",
        "--spec-draft-poll --poll-draft",
        "--spec-draft-cpu-mask-batch -Cbd --cpu-mask-batch-draft",
        "--spec-draft-cpu-strict-batch --cpu-strict-batch-draft",
        "--spec-draft-prio-batch --prio-batch-draft",
        "--spec-draft-poll-batch --poll-batch-draft",
    ),
    *_flags(Reason.SPECIALIST, 2, "--control-vector-layer-range"),
    *_flags(Reason.VIDEO, 1, "--video-fps", "--video-timestamp-interval", "--video-ffmpeg-dir"),
    *_flags(Reason.NO_EFFECT, 1, "-dt --defrag-thold"),
    *_flags(
        Reason.REMOVED,
        1,
        "--spec-draft-ctx-size --ctx-size-draft -cd",
        "--spec-ngram-size-n",
        "--spec-ngram-size-m",
        "--spec-ngram-min-hits",
    ),
    *_flags(
        Reason.REMOVED,
        0,
        "--memory-f32",
        "--low-vram",
        "--mul-mat-q -nommq --no-mul-mat-q",
        "--slots-endpoint-disable",
        "--log-test",
        "--log-enable",
        "--log-new",
        "--log-append",
        "--no-penalize-nl",
        "--simple-io",
        "--no-display-prompt",
        "-dkvc --dump-kv-cache",
        "--tts-use-guide-tokens",
    ),
    *_flags(
        Reason.REMOVED,
        1,
        "-gan --grp-attn-n",
        "-gaw --grp-attn-w",
        "-spf --system-prompt-file",
        "-gqa --gqa",
        "-eps --rms-norm-eps",
        "--log-format",
        "-ld --logdir",
        "--lora-base",
        "-mv --model-vocoder",
        "-hfv -hfrv --hf-repo-v",
        "-hffv --hf-file-v",
    ),
    *_flags(Reason.REMOVED, 2, "--spec-replace --spec-draft-replace"),
)
