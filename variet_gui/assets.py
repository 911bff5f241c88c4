"""Find `config/`, `resources/` and `models/` in a checkout, an installed wheel and a frozen build alike."""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent
_BUNDLED = Path(getattr(sys, "_MEIPASS", _PACKAGE)) / "_assets"


def in_checkout() -> bool:
    """Whether the program runs from a source checkout (then `config/` lies beside the package)."""
    return (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "config").is_dir()


def config_template(name: str) -> Path:
    """Return a shipped template of `config/`, such as `engine_models.json`.

    Raises:
        FileNotFoundError: the installation is incomplete; the message names the file.
    """
    return _asset("config", name)


def resource(*parts: str) -> Path:
    """Return a shipped file or folder of `resources/`.

    Raises:
        FileNotFoundError: the installation is incomplete; the message names the file.
    """
    return _asset("resources", *parts)


def demo_projector() -> Path:
    """Return the shipped vision projector of the demo's language model.

    Raises:
        FileNotFoundError: the installation is incomplete; the message names the file.
    """
    return _asset("models", "demo", "mmproj-variet-demo-vision-F16.gguf")


def checkout_models() -> Path | None:
    """Return `models/` of the checkout, or None in an installed program."""
    return _CHECKOUT / "models" if in_checkout() else None


def _asset(*parts: str) -> Path:
    root = _CHECKOUT if in_checkout() else _BUNDLED
    path = root.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: this installation of Variet is incomplete, install it again")
    return path
