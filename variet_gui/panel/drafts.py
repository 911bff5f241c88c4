"""Drafts: what is being edited on top of what is saved, with undo and redo. In memory; `draft_file` keeps them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from variet_gui.catalog.differences import Conflict, merge_profiles
from variet_gui.catalog.tiers import LaunchProfile

STEPS = 200
"""How far back undo reaches, for each role."""

PAUSE_S = 1.0
"""Edits of one setting that follow each other within this time are one step: a slider that is dragged."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Edits of one role: the profile that they made, and the saved one that they were made on."""

    base: LaunchProfile
    profile: LaunchProfile


@dataclass(slots=True)
class _History:
    """Everything that is remembered of one role."""

    base: LaunchProfile
    present: LaunchProfile
    past: list[LaunchProfile] = field(default_factory=list)
    future: list[LaunchProfile] = field(default_factory=list)
    last_key: str | None = None
    last_gesture: object | None = None
    last_at: float = 0.0

    def forget_last(self) -> None:
        """The next edit is a step of its own, whatever it edits."""
        self.last_key = self.last_gesture = None


class Drafts:
    """The drafts of all roles. Not locked: whoever owns it calls it from one thread at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, steps: int = STEPS) -> None:
        self._clock = clock
        self._steps = steps
        self._roles: dict[str, _History] = {}
        self.version = 0
        """Grows with every change, so that a keeper of drafts knows when there is something to write."""

    def get(self, role: str) -> LaunchProfile | None:
        """Return the edited profile of `role`, or None when it is as saved."""
        history = self._roles.get(role)
        return None if history is None or history.present == history.base else history.present

    def pending(self) -> Mapping[str, Draft]:
        """Return every draft that differs from what is saved, by role."""
        return {
            role: Draft(history.base, history.present)
            for role, history in self._roles.items()
            if history.present != history.base
        }

    def put(
        self, saved: LaunchProfile, profile: LaunchProfile, *, key: str | None = None, gesture: object | None = None
    ) -> None:
        """Let `profile` be what is edited, as one step that undo takes back.

        Edits of the same `key` become one step when they share a `gesture` (any object, for as long as a slider is
        held), or, without gestures, when they follow each other closely.
        """
        history = self._roles.setdefault(profile.role, _History(saved, saved))
        same_step = self._continues(history, key, gesture)
        if profile == history.present and not same_step:
            history.forget_last()
            return
        history.last_key, history.last_gesture, history.last_at = key, gesture, self._clock()
        if profile == history.present:
            return
        if not same_step:
            history.past = [*history.past, history.present][-self._steps :]
        elif history.past and history.past[-1] == profile:
            history.past.pop()  # the slider came back to where it was: there is nothing to take back
            history.forget_last()
        history.present = profile
        history.future.clear()
        self.version += 1

    def undo(self, role: str) -> bool:
        """Take back one step; False when there is none."""
        return self._step(role, back=True)

    def redo(self, role: str) -> bool:
        """Do again what undo took back; False when there is nothing."""
        return self._step(role, back=False)

    def can_undo(self, role: str) -> bool:
        """Whether there is a step to take back."""
        return role in self._roles and bool(self._roles[role].past)

    def can_redo(self, role: str) -> bool:
        """Whether there is a step to do again."""
        return role in self._roles and bool(self._roles[role].future)

    def settle(self, saved: LaunchProfile) -> None:
        """Note that `saved` is what the file holds now. Undo still reaches behind it."""
        history = self._roles.get(saved.role)
        if history is not None:
            history.base = saved
            history.forget_last()
            self.version += 1

    def rebase(self, saved: LaunchProfile) -> tuple[Conflict, ...]:
        """Move the edits onto `saved`, which somebody else wrote; return where both changed the same setting.

        There the edit stands. Every step of undo and redo is moved along, so that none of them undoes what the other
        wrote.
        """
        history = self._roles.get(saved.role)
        if history is None or history.base == saved:
            return ()

        def moved(profile: LaunchProfile) -> LaunchProfile:
            return merge_profiles(history.base, profile, saved)[0]

        present, conflicts = merge_profiles(history.base, history.present, saved)
        history.past = [moved(profile) for profile in history.past]
        history.future = [moved(profile) for profile in history.future]
        history.base, history.present = saved, present
        history.forget_last()
        self.version += 1
        return conflicts

    def restore(self, draft: Draft) -> None:
        """Take up a draft of an earlier run. Undo reaches back to what was saved then."""
        self._roles[draft.profile.role] = _History(draft.base, draft.profile, past=[draft.base])

    def _continues(self, history: _History, key: str | None, gesture: object | None) -> bool:
        if key is None or key != history.last_key:
            return False
        if gesture is not None or history.last_gesture is not None:
            return gesture is history.last_gesture
        return self._clock() - history.last_at < PAUSE_S

    def _step(self, role: str, *, back: bool) -> bool:
        history = self._roles.get(role)
        if history is None:
            return False
        source, target = (history.past, history.future) if back else (history.future, history.past)
        while source and source[-1] == history.present:
            source.pop()  # the file has come to hold it meanwhile: a step that would change nothing
        if not source:
            return False
        target.append(history.present)
        history.present = source.pop()
        history.forget_last()
        self.version += 1
        return True
