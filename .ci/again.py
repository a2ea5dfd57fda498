"""Run the few tests that failed beside the others alone, three times: a fault fails again.

What holds asked for time that a busy machine did not give. It is named, for it is the next thing to mend.
"""

import json
import subprocess
import sys
from pathlib import Path

MOST = 3
ROUNDS = 3
TESTS_FAILED = 1  # pytest's exit code where every test was run

status = int(sys.argv[1])
cache = Path(".pytest_cache/v/cache/lastfailed")
failed = list(json.loads(cache.read_text())) if cache.exists() else []
if status != TESTS_FAILED or not 0 < len(failed) <= MOST:
    sys.exit(status)
command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *failed]
for number in range(1, ROUNDS + 1):
    print(f"\nalone, round {number} of {ROUNDS}:", *failed, sep="\n  ", flush=True)
    if status := subprocess.run(command, check=False).returncode:
        sys.exit(status)
print("\nunsteady, to be mended next:", *failed, sep="\n  ")
