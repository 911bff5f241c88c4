"""Variants: launch settings that a tier keeps under names of their own, such as "demo day" or "long context"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from variet_gui.catalog.launch_checks import LONGEST_NAME, is_variant_name
from variet_gui.catalog.tiers import LaunchProfile, Variant
from variet_gui.i18n import Message, msg
from variet_gui.panel.workspace import Workspace


class VariantRefused(Exception):  # noqa: N818 - what is the case, as everywhere in this house
    """A name that cannot be used, is taken, or is not there."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


@dataclass(frozen=True, slots=True)
class Variants:
    """The variants of every tier. They stand in the catalog file; loading one changes the draft alone.

    Whatever is awaited writes the file and may raise CatalogError or OSError as `Workspace.change` does.
    """

    workspace: Workspace

    def list(self, role: str) -> Mapping[str, Variant]:
        """Return the variants of `role` by name, in the order in which they were kept."""
        return dict(self.workspace.tier(role).variants)

    def profile(self, role: str, name: str) -> LaunchProfile:
        """Return what the variant would launch.

        Raises:
            VariantRefused: there is none of that name.
        """
        return LaunchProfile.of_stored(role, self._get(role, name))

    def load(self, role: str, name: str) -> LaunchProfile:
        """Make the variant the draft of `role`, as one step that undo takes back.

        Raises:
            VariantRefused: there is none of that name.
        """
        return self.workspace.put(self.profile(role, name))

    async def save_as(self, role: str, name: str, note: str | None = None, *, replace: bool = False) -> None:
        """Keep the draft of `role` under `name`. The draft stays a draft.

        Raises:
            VariantRefused: the name cannot be used, or is taken and `replace` is False.
        """
        self._check_name(name)
        variants = dict(self.workspace.tier(role).variants)
        if name in variants and not replace:
            raise _taken(role, name)
        stored = self.workspace.draft(role).as_stored()
        variants[name] = Variant(**stored, note=note) if note else Variant(**stored)
        await self.workspace.change_tier(role, variants=variants)

    async def rename(self, role: str, old: str, new: str) -> None:
        """Call the variant `old` by the name `new`; its place in the order stays.

        Raises:
            VariantRefused: there is no `old`, or `new` cannot be used or is taken.
        """
        self._get(role, old)
        self._check_name(new)
        variants = self.workspace.tier(role).variants
        if new in variants and new != old:
            raise _taken(role, new)
        renamed = {new if name == old else name: variant for name, variant in variants.items()}
        await self.workspace.change_tier(role, variants=renamed)

    async def delete(self, role: str, name: str) -> None:
        """Remove the variant. The revision that this makes still shows what it was.

        Raises:
            VariantRefused: there is none of that name.
        """
        self._get(role, name)
        rest = {other: variant for other, variant in self.workspace.tier(role).variants.items() if other != name}
        await self.workspace.change_tier(role, variants=rest)

    def _get(self, role: str, name: str) -> Variant:
        variant = self.workspace.tier(role).variants.get(name)
        if variant is None:
            raise VariantRefused(msg("{role} has no variant called {name}.", role=role, name=name))
        return variant

    @staticmethod
    def _check_name(name: str) -> None:
        if not is_variant_name(name):
            raise VariantRefused(
                msg(
                    "A variant needs a name in one line of up to {count} characters, without spaces around it.",
                    count=LONGEST_NAME,
                )
            )


def _taken(role: str, name: str) -> VariantRefused:
    return VariantRefused(msg("{role} already has a variant called {name}.", role=role, name=name))
