"""The main job from recordings to a retrained model, as the commands that a user would type.

Uses MIT-BIH where $ECG_DATA_ROOT (by default ../shared/data) has a folder mitdb/, and made-up
recordings otherwise. Everything it writes lies under demo/; run it again and it goes on from there.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
STUDY_FILE = "examples/demo.toml"


def main() -> int:
    recordings = Path(os.environ.get("ECG_DATA_ROOT", PROJECT.parent / "shared/data")) / "mitdb"
    real = recordings.is_dir()
    database = "mitdb" if real else "synthetic"
    home = PROJECT / "demo" / database
    home.mkdir(parents=True, exist_ok=True)
    begun_s = time.monotonic()
    if real:
        print(f"Recordings: the MIT-BIH Arrhythmia Database in {recordings}.")
    else:
        print(f"Recordings: SYNTHETIC, made up for this demo, since {recordings} is not there.")
        print("To see it on real ones, set ECG_DATA_ROOT to a folder that holds mitdb/.")
        recordings = home / "recordings"
    print(f"\n$ export ECGSEARCH_HOME={home}")
    os.environ["ECGSEARCH_HOME"] = str(home)

    if not real and not (recordings / "RECORDS").exists():
        run("ecgsearch", "data", "synthesise", "--out", "recordings", "--records", "40")
    run("ecgsearch", "data", "prepare", database, "--source", str(recordings), "--out", "dataset")
    run("ecgsearch", "run", STUDY_FILE)
    run("ecgsearch", "retrain", "study", "--top", "1", "--workers", "2")
    print(f"\nThat took {time.monotonic() - begun_s:.0f} s. What to type next:\n")
    print("  source .venv/bin/activate")
    print(f"  export ECGSEARCH_HOME={home}")
    print("  ecgsearch pareto study                  # the front again; --json has every detail")
    print("  ecgsearch retrain study --top 3         # more of its members")
    print(f"  optuna-dashboard {home}/study/journal.log")
    print(f"  $EDITOR {STUDY_FILE}             # more candidates: then `ecgsearch run` goes on")
    return 0


def run(*command: str) -> None:
    """Show a command and run it; the demo ends where one fails."""
    print(f"\n$ {shlex.join(command)}", flush=True)
    finished = subprocess.run([sys.executable, "-m", "search", *command[1:]], cwd=PROJECT)
    if finished.returncode != 0:
        sys.exit(finished.returncode)


if __name__ == "__main__":
    sys.exit(main())
