"""Builds the stand-in for libnvidia-ml and lets a test change its cards while the sampler runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("nvml_stub.c")


class NvmlStub:
    """A folder with `libnvidia-ml.so.1`, the text file that it answers from, and the record of its calls."""

    def __init__(self, folder: Path, *defines: str) -> None:
        """Compile the library into `folder`. `defines`: preprocessor names, such as "WITHOUT_POWER"."""
        gcc = shutil.which("gcc")
        if gcc is None:
            pytest.fail("gcc is needed to build the stand-in for libnvidia-ml: apt-get install gcc libc6-dev")
        self.folder = folder
        self._state = folder / "state.txt"
        self._calls = folder / "calls.txt"
        library = folder / "libnvidia-ml.so.1"
        command = [gcc, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wl,-soname,libnvidia-ml.so.1"]
        command += [*(f"-D{name}" for name in defines), "-o", str(library), str(SOURCE)]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            pytest.fail(f"the stand-in for libnvidia-ml does not compile:\n{built.stderr}")
        self.set()

    def set(self, **values: object) -> None:
        """Replace everything the stub answers. Keys as in nvml_stub.c, with "__" for the dot: `gpu0__used=512`."""
        text = "".join(f"{key.replace('__', '.')} {value}\n" for key, value in values.items())
        fresh = self._state.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._state)

    def calls(self) -> list[str]:
        """Return the names of all calls so far, oldest first."""
        return self._calls.read_text().split() if self._calls.exists() else []

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to meet this library instead of a driver."""
        before = os.environ.get("LD_LIBRARY_PATH")
        return {
            "LD_LIBRARY_PATH": f"{self.folder}{os.pathsep}{before}" if before else str(self.folder),
            "VARIET_NVML_STUB": str(self._state),
            "VARIET_NVML_STUB_CALLS": str(self._calls),
        }
