"""`python -m variet_gui`: the terminal command, and the entry of every helper process."""

from __future__ import annotations

import sys

from variet_gui.helpers import Helper, run_helper


def main() -> int:
    """Dispatch a hidden sub-command at once, without importing the rest; hand everything else to the terminal."""
    if len(sys.argv) > 1 and sys.argv[1] in {helper.value for helper in Helper}:
        return run_helper(Helper(sys.argv[1]), sys.argv[2:])
    from variet_gui.cli import main as run_cli

    return run_cli()


if __name__ == "__main__":
    sys.exit(main())
