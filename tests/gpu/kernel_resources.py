#!/usr/bin/env python3
"""Registers, shared memory and spills of every kernel, as ptxas reported them when they were built.

Usage: kernel_resources.py BUILD_FOLDER ARCHITECTURE (sm_90). Prints a table; exits 1 if a kernel spills or has a
stack frame, or if nothing was kept (keep_resources writes OBJECT.resources beside each object).
"""
import pathlib
import re
import subprocess
import sys


def kernels(folder, architecture):
    """(family, mangled name) -> what ptxas said of it."""
    found, name = {}, None
    for file in sorted(pathlib.Path(folder).rglob("*.cu.o.resources")):
        family = file.name.split(".")[0]
        for line in file.read_text().splitlines():
            entry = re.search(r"Compiling entry function '(\S+)' for '(\w+)'", line)
            if entry:
                name = (family, entry.group(1)) if entry.group(2) == architecture else None
                if name:
                    found[name] = {"registers": 0, "shared": 0, "stack": 0, "stores": 0, "loads": 0}
            if not name:
                continue
            frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line)
            if frame:
                found[name].update(zip(("stack", "stores", "loads"), map(int, frame.groups())))
            used = re.search(r"Used (\d+) registers", line)
            if used:
                shared = re.search(r"(\d+) bytes smem", line)
                found[name].update(registers=int(used.group(1)), shared=int(shared.group(1)) if shared else 0)
    return found


def demangled(names):
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return [re.sub(r"^void |kd::kernels::|\(anonymous namespace\)::", "", line).split(">(")[0] for line in text.splitlines()]


def main():
    found = kernels(sys.argv[1], sys.argv[2])
    if not found:
        sys.exit(f"kernel_resources: no kernel of {sys.argv[2]} under {sys.argv[1]}")
    print(f"{'family':<16}{'registers':>10}{'shared':>8}{'stack':>7}{'spills':>8}  kernel")
    bad = 0
    for (family, _), r, short in zip(found, found.values(), demangled([name for _, name in found])):
        spills = r["stores"] + r["loads"]
        bad += spills > 0 or r["stack"] > 0
        print(f"{family:<16}{r['registers']:>10}{r['shared']:>8}{r['stack']:>7}{spills:>8}  {short[:110]}")
    print(f"{len(found)} kernels of {sys.argv[2]}, {bad} with a stack frame or spills")
    sys.exit(1 if bad else 0)


main()
