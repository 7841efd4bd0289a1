#!/usr/bin/env python3
"""Registers, shared memory and stack of every kernel in a library, from the code that was built.

Usage: kernel_resources.py CUOBJDUMP LIBRARY. Prints a table; exits 1 if a kernel spills (uses stack or
local memory).
"""
import re
import subprocess
import sys


def resources(cuobjdump, library):
    """(kernel, architecture) -> the numbers cuobjdump prints."""
    text = subprocess.run([cuobjdump, "-res-usage", library], capture_output=True, text=True, check=True)
    architecture, name, found = "", "", {}
    for line in (text.stdout + text.stderr).splitlines():
        arch = re.search(r"arch = (sm_\d+)", line)
        architecture = arch.group(1) if arch else architecture
        function = re.search(r"Function (\S+):", line)
        if function:
            name = function.group(1)
        if "REG:" in line and name:
            found[name, architecture] = {key: int(value) for key, value in re.findall(r"(REG|STACK|SHARED|LOCAL):(\d+)", line)}
            name = ""
    return found


def demangled(names):
    out = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return [re.sub(r"^void |kd::kernels::|\(anonymous namespace\)::|\(.*\)$", "", line) for line in out.splitlines()]


def main():
    found = resources(sys.argv[1], sys.argv[2])
    if not found:
        sys.exit("kernel_resources: no kernels in " + sys.argv[2])
    bad = []
    print(f"{'kernel':<96}{'arch':>7}{'registers':>11}{'shared':>8}{'stack':>7}{'local':>7}")
    keys = sorted(found)
    for (name, architecture), short in zip(keys, demangled([k[0] for k in keys])):
        r = found[name, architecture]
        print(f"{short[:95]:<96}{architecture:>7}{r['REG']:>11}{r['SHARED']:>8}{r['STACK']:>7}{r['LOCAL']:>7}")
        if r["STACK"] or r["LOCAL"]:
            bad.append(short)
    print(f"{len(keys)} kernels, {len(bad)} spill")
    for short in bad:
        print("  " + short)
    sys.exit(1 if bad else 0)


main()
