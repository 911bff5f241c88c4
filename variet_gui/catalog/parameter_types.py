"""What a row of the parameter table is made of. The rows are in `parameter_table`, the functions in `parameters`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from variet_gui.events import ParameterValue
from variet_gui.i18n import Message, msg

LARGEST_INTEGER = 2**31 - 1
"""llama-server reads whole numbers with std::stoi into an int."""


class Kind(Enum):
    """What the value of a parameter is; decides the widget, the check and the spelling."""

    INTEGER = "integer"
    """A whole number, or one of `words`."""
    FRACTION = "fraction"
    """A number with a decimal point."""
    CHOICE = "choice"
    """One of `choices`; several joined by commas where `many` says so."""
    SWITCH = "switch"
    """On or off, stored as a bool."""
    PATH = "path"
    """A file or folder; relative ones start at the models folder."""
    RATIO = "ratio"
    """A list of proportions, one for each device, stored as a tuple of numbers."""
    TEXT = "text"
    """Anything else; `pattern` says what it must look like."""


class Scale(Enum):
    """How a slider runs between its ends."""

    LINEAR = "linear"
    POWER_OF_TWO = "power of two"


class Cost(Enum):
    """What a change of the parameter may cost."""

    VRAM = "vram"
    HOST_RAM = "host_ram"
    RESTART = "restart"
    """It takes effect at the next start of the server."""

    @property
    def title(self) -> Message:
        """Return the word for people."""
        return _COST_TITLES[self]


_COST_TITLES = {
    Cost.VRAM: msg("GPU memory"),
    Cost.HOST_RAM: msg("main memory"),
    Cost.RESTART: msg("restart"),
}


class Group(Enum):
    """Under which heading a parameter stands, in the order of the page."""

    MODEL = "model"
    CONTEXT = "context"
    PLACEMENT = "placement"
    CACHE = "cache"
    VISION = "vision"
    THREADS = "threads"
    LOADING = "loading"
    SPECULATIVE = "speculative"
    REASONING = "reasoning"
    SERVER = "server"
    SAMPLING = "sampling"

    @property
    def title(self) -> Message:
        """Return the heading."""
        return _GROUP_TITLES[self]


_GROUP_TITLES = {
    Group.MODEL: msg("Model"),
    Group.CONTEXT: msg("Context & batching"),
    Group.PLACEMENT: msg("GPU placement"),
    Group.CACHE: msg("KV cache & attention"),
    Group.VISION: msg("Vision"),
    Group.THREADS: msg("Threads & CPU"),
    Group.LOADING: msg("Loading & memory"),
    Group.SPECULATIVE: msg("Speculative decoding"),
    Group.REASONING: msg("Reasoning & template"),
    Group.SERVER: msg("Server"),
    Group.SAMPLING: msg("Sampling defaults"),
}


@dataclass(frozen=True, slots=True)
class Removed:
    """A spelling that newer builds refuse or ignore, and what it means today."""

    flag: str
    note: Message
    """Why it is not carried over as it stands, in one sentence."""
    aliases: tuple[str, ...] = ()
    since_build: int | None = None
    """The build that removed it; None: not known exactly."""
    takes_value: bool = False
    becomes: ParameterValue | None = None
    """The parameter's value when the flag stands there; None with `takes_value`: the value behind it is carried over;
    None without: the flag has no effect any more."""
    cancels: tuple[str, ...] = ()
    """Removed flags that it took back when they stood before it."""
    environment: tuple[str, ...] = ()
    """LLAMA_ARG_* variables that meant the same."""


@dataclass(frozen=True, slots=True)
class OlderForm:
    """How builds that lack the parameter's flag say one particular value."""

    value: ParameterValue
    flags: tuple[str, ...]
    """Empty: it is what those builds do by themselves."""


@dataclass(frozen=True, eq=False, slots=True)
class Parameter:
    """One launch parameter of llama-server. Numbers are in `unit`."""

    key: str
    """llama.cpp's long flag with underscores: "ctx_size"."""
    flag: str
    """The long flag of the current build: "--ctx-size"."""
    short: str
    """What people read and what is put on the command line: "-c". The same as `flag` where that is what people use."""
    kind: Kind
    group: Group
    label: Message
    help: Message
    """One line: what it does and what it costs."""
    aliases: tuple[str, ...] = ()
    """Every other spelling that some build accepts."""
    default: ParameterValue | None = None
    """What llama-server does by itself; None: that depends on the model or the machine."""
    minimum: float | None = None
    maximum: float | None = None
    """The largest value that is accepted at all; see `slider` for a sensible range."""
    step: float | None = None
    """A step of the slider. Values between steps are accepted."""
    slider: tuple[float, float] | None = None
    """Where a slider begins and ends; None: at `minimum` and `maximum`."""
    scale: Scale = Scale.LINEAR
    unit: str = ""
    """"tokens", "layers", "threads", "MiB", "s", "ms" or nothing."""
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """Words that stand for a number: n_gpu_layers takes "auto" and "all"."""
    specials: Mapping[int, Message] = field(default_factory=dict)
    """Numbers, inside the range or outside, that mean something else: cache_ram -1 is "no limit"."""
    synonyms: Mapping[str, str] = field(default_factory=dict)
    """What a command line may say instead of a choice or word: {"1": "on"}."""
    many: bool = False
    """A comma-separated list; given twice on a command line, the lists are joined."""
    pattern: str | None = None
    """TEXT only: a regular expression for the whole value."""
    example: str = ""
    """TEXT only: a value as it should look, for messages and empty fields."""
    json_object: bool = False
    """TEXT only: the value is a JSON object."""
    folder: bool = False
    """PATH only: a folder, not a file."""
    negative_flag: str | None = None
    """SWITCH only: the flag that turns it off; None: it is turned off by leaving the flag away."""
    negative_aliases: tuple[str, ...] = ()
    switch_values: tuple[str, str] | None = None
    """SWITCH only: what stands behind the flag for (off, on), where the flag takes a value."""
    bare_value: str | None = None
    """What the flag meant in older builds, where it stood alone without a value."""
    words_need: str | None = None
    """`words` are known to builds that know this flag."""
    words_before: Mapping[str, str | None] = field(default_factory=dict)
    """What builds before that take for each word; None: nothing, the flag is left off."""
    costs: frozenset[Cost] = frozenset({Cost.RESTART})
    essential: bool = False
    """Whether it shows without unfolding the advanced groups."""
    since: int | None = None
    """The first build that knows it; None: long ago, or not known exactly. `Capabilities` decide, not this number."""
    until: int | None = None
    """The last build that knows it."""
    environment: str | None = None
    """The environment variable that llama-server reads for it."""
    replaced: tuple[Removed, ...] = ()
    replaced_together: tuple[tuple[frozenset[str], ParameterValue], ...] = ()
    """What several removed flags mean when they stand together."""
    older_forms: tuple[OlderForm, ...] = ()

    @property
    def spellings(self) -> tuple[str, ...]:
        """Return all positive spellings that some build accepts, best first."""
        return tuple(dict.fromkeys((self.short, self.flag, *self.aliases)))

    @property
    def negatives(self) -> tuple[str, ...]:
        """Return all spellings that turn a switch off, best first."""
        return (self.negative_flag, *self.negative_aliases) if self.negative_flag else ()

    @property
    def slider_range(self) -> tuple[float, float] | None:
        """Return where a slider begins and ends, or None for a parameter that has no range."""
        if self.slider is not None:
            return self.slider
        if self.minimum is None or self.maximum is None:
            return None
        return self.minimum, self.maximum


class ParameterError(ValueError):
    """A value that a parameter cannot have: names the key, what was found and what is allowed."""

    def __init__(self, key: str, found: str, allowed: Message) -> None:
        self.key = key
        self.found = found
        self.allowed = allowed
        self.message = msg("{key} cannot be {found}. Allowed: {allowed}.", key=key, found=found, allowed=allowed)
        super().__init__(key, found)

    def __str__(self) -> str:
        """Render the message in the current language."""
        return str(self.message)
