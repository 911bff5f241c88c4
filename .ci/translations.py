"""Bring the translations up to date with the code, or check that they are.

python .ci/translations.py            collect all texts, update every .po, compile every .mo
python .ci/translations.py --check    fail on a text that is missing, untranslated, fuzzy, or not compiled
"""

from __future__ import annotations

import io
import string
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "resources" / "translations"
KEYWORDS = {"msg": None, "tr": None, "ntr": (1, 2)}


def collect() -> Catalog:
    """Return every text that the code marks for translation, without places: they would change with every edit."""
    catalog = Catalog(project="variet", charset="utf-8", creation_date=datetime(2026, 1, 1, tzinfo=UTC))
    for _file, _line, text, comments, _context in extract_from_dir(
        ROOT / "variet_gui", [("**.py", "python")], keywords=KEYWORDS, comment_tags=("i18n:",), strip_comment_tags=True
    ):
        catalog.add(text, flags=["python-brace-format"] if "{" in str(text) else [], auto_comments=comments)
    return catalog


def read(path: Path) -> Catalog:
    """Return the .po file at `path`."""
    with path.open("rb") as file:
        return read_po(file, locale=path.parent.parent.name)


def places(text: str) -> set[str]:
    """Return the names of the `{places}` in `text`."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def problems_of(message: Message) -> list[str]:
    """Return what is wrong with one translated text."""
    texts = message.string if isinstance(message.string, tuple | list) else (message.string,)
    if not all(texts):
        return ["untranslated"]
    if message.fuzzy:
        return ["fuzzy"]
    sources = message.id if isinstance(message.id, tuple | list) else (message.id,)
    allowed = set().union(*(places(source) for source in sources))
    return [f"other places than {sorted(allowed)}" for text in texts if places(text) - allowed]


def compiled(catalog: Catalog) -> bytes:
    """Return the .mo file of `catalog`."""
    target = io.BytesIO()
    write_mo(target, catalog)
    return target.getvalue()


def main() -> int:
    """Update, or with --check only check."""
    check = "--check" in sys.argv[1:]
    source = collect()
    bad: list[str] = []
    for path in sorted(FOLDER.glob("*/LC_MESSAGES/variet.po")):
        catalog = read(path)
        known = {message.id for message in catalog if message.id}
        wanted = {message.id for message in source if message.id}
        name = path.parent.parent.name
        if check:
            bad += [f"{name}: not in variet.po: {text!r}" for text in sorted(wanted - known, key=str)]
            bad += [f"{name}: no longer used: {text!r}" for text in sorted(known - wanted, key=str)]
        else:
            catalog.update(source, no_fuzzy_matching=True)
            catalog.obsolete.clear()
            with path.open("wb") as file:
                write_po(file, catalog, width=110, sort_output=True, omit_header=False, ignore_obsolete=True)
            catalog = read(path)
        for message in catalog:
            if message.id:
                bad += [f"{name}: {problem}: {message.id!r}" for problem in problems_of(message)]
        binary = path.with_suffix(".mo")
        if not check:
            binary.write_bytes(compiled(catalog))
        elif not binary.exists() or binary.read_bytes() != compiled(catalog):
            bad.append(f"{name}: variet.mo is not compiled from variet.po")
    print("\n".join(bad) or "translations: complete")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
