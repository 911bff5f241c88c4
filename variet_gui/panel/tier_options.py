"""What the operator decides about a tier beside its launch settings, written into the catalog at once.

Its port, whether it outlives the panel, whether it starts with it, and from where it can be reached. Each change makes
a revision; undo is for launch settings. All of it holds from the tier's next start on, but for one: a server that was
to keep running ends with the panel as soon as that is no longer wanted.
"""

from __future__ import annotations

import asyncio

from variet_gui.catalog.tiers import LOOPBACK
from variet_gui.i18n import Message, msg
from variet_gui.panel.keys import Keys
from variet_gui.panel.workspace import Workspace

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what the operator chooses in so many words, and only with an API key
"""Every network that the computer is in."""


class PortTaken(Exception):  # noqa: N818 - what is the case, as everywhere in this house
    """A port that cannot be this tier's; `message` says whose it is."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


class TierOptions:
    """Changes tiers of one catalog. Every method raises `CatalogError` or `OSError` as `Tune.save`, and `KeyError`."""

    def __init__(self, workspace: Workspace, keys: Keys) -> None:
        self._workspace = workspace
        self._keys = keys

    async def set_port(self, role: str, port: int) -> None:
        """Keep another port for the tier.

        Raises:
            PortTaken: another tier of the catalog has it.
        """
        catalog = self._workspace.catalog
        for other in catalog.tiers if catalog else ():
            if other.port == port and other.role != role:
                raise PortTaken(
                    msg("Port {port} belongs to {role}; every tier has its own.", port=port, role=other.role)
                )
        await self._workspace.change_tier(role, port=port)

    async def set_keep_running(self, role: str, wanted: bool) -> None:
        """Let the tier's server run on when the panel closes, from its next start on; or end it with the panel."""
        await self._workspace.change_tier(role, keep_running=wanted)

    async def set_start_with_panel(self, role: str, wanted: bool) -> None:
        """Start the tier whenever the window opens, or connect to it; or leave that to the operator."""
        await self._workspace.change_tier(role, start_with_panel=wanted)

    async def open_to_network(self, role: str) -> str | None:
        """Let other computers reach the tier from its next start on; return the API key they need, if it is new.

        A key that was made before stays, and was shown then. It is there before the catalog says that the tier is open.
        """
        self._workspace.tier(role)
        before = await asyncio.to_thread(self._keys.read, role)
        key = await asyncio.to_thread(self._keys.ensure, role)
        await self._workspace.change_tier(role, listen=EVERYWHERE)
        return None if before else key

    async def close_to_network(self, role: str) -> None:
        """Let this computer alone reach the tier from its next start on. Its key stays for the next time."""
        await self._workspace.change_tier(role, listen=LOOPBACK)

    async def renew_key(self, role: str) -> str:
        """Make a new API key for the tier and return it; the old one holds until the tier is started again."""
        self._workspace.tier(role)
        return await asyncio.to_thread(self._keys.renew, role)
