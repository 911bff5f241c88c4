"""The catalog file: read, checked, written in one step, never overwritten when somebody else changed it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variet_gui.catalog.tiers import SCHEMA, Catalog, LaunchProfile
from variet_gui.catalog.validation import CatalogError, read_catalog
from variet_gui.catalog.whole_file import write_whole
from variet_gui.i18n import msg, tr

__all__ = ["CatalogChangedOutside", "CatalogError", "CatalogStore"]


class CatalogChangedOutside(CatalogError):  # noqa: N818 - what is the case, as everywhere in this house
    """The file is not as it was when it was read: saving would lose what somebody else wrote."""

    def __init__(self, file: Path) -> None:
        message = msg("{file} was changed by another program. Reload it before saving.", file=file)
        super().__init__(file, "", tr("another content"), msg("the file as it was read"), message)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """How the file was when it was last read or written."""

    modified_ns: int
    size: int
    sha256: str


class CatalogStore:
    """One catalog file. Its methods block on the disk and may be called from any thread."""

    def __init__(self, path: Path, template: Path) -> None:
        self.path = path
        self._template = template
        self._lock = threading.Lock()
        self._catalog: Catalog | None = None
        self._data: dict[str, Any] = {}
        self._stamp: _Stamp | None = None

    def load(self) -> Catalog:
        """Read the file, making it from the template when there is none. The file itself is never changed.

        Raises:
            CatalogError: it cannot be read, or is no catalog that this program understands.
        """
        with self._lock:
            if not self.path.exists():
                self._create()
            content, stamp = self._read()
            catalog, data = read_catalog(content, self.path)
            self._catalog, self._data, self._stamp = catalog, data, stamp
            return catalog

    def save(self, catalog: Catalog, *, overwrite: bool = False) -> None:
        """Write `catalog` in one step: afterwards the file is the old one or the new one, never a part.

        Keys that this program does not know are kept, and names stay in the order of the file.

        Raises:
            CatalogChangedOutside: the file is not as it was read, and `overwrite` is False.
            CatalogError: `catalog` itself is wrong; nothing was written.
            OSError: the disk refused; the file is as it was.
        """
        with self._lock:
            self._save(catalog, overwrite)

    def save_profile(self, role: str, profile: LaunchProfile) -> Catalog:
        """Write the parameters, extra arguments and environment of one tier and return the whole catalog.

        Raises:
            KeyError: no tier is called `role`.
            CatalogError, OSError: as `save`.
        """
        catalog = self._catalog or self.load()
        update = profile.as_stored()
        old = catalog.tier(role)
        changed = {name: value for name, value in update.items() if getattr(old, name) != value}
        tiers = [tier.model_copy(update=changed) if tier.role == role else tier for tier in catalog.tiers]
        with self._lock:
            return self._save(catalog.model_copy(update={"tiers": tiers}), overwrite=False)

    def changed_outside(self) -> bool:
        """Whether the file is not as it was last read or written here. A mere touch is no change."""
        with self._lock:
            try:
                status = self.path.stat()
            except OSError:
                return False
            stamp = self._stamp
            if stamp is not None and (status.st_mtime_ns, status.st_size) == (stamp.modified_ns, stamp.size):
                return False
            return self._content_changed()

    # ---------------------------------------------------------------------------------------------------- reading

    def _read(self) -> tuple[bytes, _Stamp]:
        try:
            with self.path.open("rb") as file:
                content = file.read()
                status = os.fstat(file.fileno())
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return content, _Stamp(status.st_mtime_ns, len(content), hashlib.sha256(content).hexdigest())

    def _create(self) -> None:
        try:
            content = self._template.read_bytes()
        except OSError as error:
            raise _unreadable(self._template, error) from error
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, content)
        except OSError as error:
            problem = error.strerror or str(error)
            message = msg("{file} cannot be made: {problem}", file=self.path, problem=problem)
            raise CatalogError(self.path, "", problem, msg("a place that can be written"), message) from error

    def _content_changed(self) -> bool:
        """Compare the content itself: the clock of a file system is too coarse to be trusted before a save."""
        if not self.path.exists():
            return False  # there is nothing that could be lost
        return self._stamp is None or self._read()[1].sha256 != self._stamp.sha256

    # ---------------------------------------------------------------------------------------------------- writing

    def _save(self, catalog: Catalog, overwrite: bool) -> Catalog:
        new = {"schema": SCHEMA} | catalog.model_dump(by_alias=True, exclude_unset=True, warnings=False)
        content = _encoded(_in_order_of(self._data, new), self.path)
        # What is written must be readable again: the same check as for a file.
        checked, data = read_catalog(content, self.path)
        if not overwrite and self._content_changed():
            raise CatalogChangedOutside(self.path)
        write_whole(self.path, content)
        self._catalog, self._data, self._stamp = checked, data, self._read()[1]
        return checked


def _encoded(data: dict[str, Any], file: Path) -> bytes:
    try:
        text = json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise CatalogError(file, "", str(error), msg("values that JSON can hold")) from error
    try:
        return (text + "\n").encode()
    except UnicodeEncodeError:
        # Half a character in a text of somebody else's: JSON can say it in its own escapes.
        return (json.dumps(data, indent=2, allow_nan=False) + "\n").encode()


def _in_order_of(old: object, new: Any) -> Any:
    """Return `new` with its names in the order of `old`; what is new comes last. Tiers are matched by their role."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [name for name in old if name in new] + [name for name in new if name not in old]
        return {name: _in_order_of(old.get(name), new[name]) for name in names}
    if isinstance(old, list) and isinstance(new, list):
        by_role = {entry.get("role"): entry for entry in old if isinstance(entry, dict) and "role" in entry}
        earlier = [*old, *[None] * len(new)]
        return [
            _in_order_of(by_role.get(entry.get("role"), before) if isinstance(entry, dict) else before, entry)
            for entry, before in zip(new, earlier, strict=False)
        ]
    # 70 stays 70, though the program holds it as 70.0. A bool equals a number too, and is another thing.
    return old if old == new and not isinstance(old, bool) and not isinstance(new, bool) else new


def _unreadable(file: Path, error: OSError) -> CatalogError:
    if file.is_dir():
        message = msg("{file} is a folder, not a file.", file=file)
        return CatalogError(file, "", tr("a folder"), msg("a file"), message)
    problem = error.strerror or str(error)
    message = msg("{file} cannot be read: {problem}", file=file, problem=problem)
    return CatalogError(file, "", problem, msg("a file that can be read"), message)
