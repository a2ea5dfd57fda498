"""Freed memory goes back to the system; what is set aside is looked through when asked, the rest always."""

import json
import subprocess
import sys

import pytest

HOLES = """
import ctypes, json, sys, threading
import numpy as np
from runtime import heap
if sys.argv[1] == "compact":
    heap.keep_compact()
class Told(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
told = ctypes.CDLL(None).mallinfo2
told.restype = Told
np.zeros(1 << 21)  # freed: glibc raises the size from which blocks are mapped
kept = []
def work():
    for _ in range(40):
        blocks = [np.zeros(12_500) for _ in range(20)]
        kept.append(np.zeros(100))  # a small one that stays above them
threads = [threading.Thread(target=work) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
print(json.dumps(told().fordblks))
"""
CYCLES = """
import gc, json, weakref
from runtime import heap
class Node: pass
def cycle():
    node = Node(); node.me = node
    return weakref.ref(node)
gc.disable()
old = cycle()
heap.set_aside()
seen = len(gc.get_objects())
new = cycle()
heap.tidy()
first = old() is None, new() is None
heap.look_through()
print(json.dumps([seen, *first, old() is None]))
"""


def told(code, *arguments):
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_threads_leave_no_holes():
    assert told(HOLES, "compact") < 1_000_000 < told(HOLES, "as it comes")


def test_what_was_set_aside_is_looked_through_when_asked_and_the_rest_is_collected():
    seen, old, new, later = told(CYCLES)
    assert seen < 1000
    assert (old, new, later) == (False, True, True)
