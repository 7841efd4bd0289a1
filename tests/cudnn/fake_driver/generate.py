#!/usr/bin/env python3
"""Writes the source of a libcuda.so.1 that lets cuDNN build its plans on a machine without a GPU.

Usage: generate.py LINK_STUB OUTPUT.cpp. Every function of the toolkit's link stub returns error 34
(CUDA_ERROR_STUB_LIBRARY), but those that load a compiled kernel and ask for its attributes pretend
to succeed. Nothing can be run with it.
"""
import subprocess
import sys

# Success; the first argument points to the result: a handle, or a number.
GIVES_HANDLE = ["cuLibraryLoadData", "cuLibraryGetKernel", "cuLibraryGetModule", "cuKernelGetFunction",
                "cuModuleLoadData", "cuModuleLoadDataEx", "cuModuleGetFunction"]
GIVES_NUMBER = ["cuKernelGetAttribute", "cuFuncGetAttribute"]
SUCCEEDS = ["cuInit", "cuLibraryUnload", "cuKernelSetAttribute", "cuFuncSetAttribute", "cuModuleUnload"]
BY_HAND = ["cuDriverGetVersion", "cuGetProcAddress", "cuGetProcAddress_v2"]

HEAD = """#include <cstring>

namespace {
constexpr int kSuccess = 0, kStub = 34, kNotFound = 500;
int token;  // what handles point to
struct Entry {
  const char* name;
  void* function;
};
const Entry* find(const char* name);
}  // namespace

extern "C" {
int cuDriverGetVersion(int* version) {
  *version = VERSION;
  return kSuccess;
}
int cuGetProcAddress_v2(const char* name, void** function, int, unsigned long long, int* status) {
  const Entry* entry = find(name);
  *function = entry ? entry->function : nullptr;
  if (status) *status = entry ? 0 : 1;
  return entry ? kSuccess : kNotFound;
}
int cuGetProcAddress(const char* name, void** function, int version, unsigned long long flags) {
  return cuGetProcAddress_v2(name, function, version, flags, nullptr);
}
"""
TAIL = """const Entry* find(const char* name) {
  for (const Entry& entry : kTable) {
    if (std::strcmp(entry.name, name) == 0) return &entry;
  }
  return nullptr;
}
}  // namespace
"""


def body(name):
    if name in GIVES_HANDLE:
        return f"int {name}(void** out, ...) {{ return *out = &token, kSuccess; }}"
    if name in GIVES_NUMBER or name.startswith("cuOccupancy"):
        return f"int {name}(int* out, ...) {{ return *out = 1, kSuccess; }}"
    return f"int {name}(...) {{ return {'kSuccess' if name in SUCCEEDS else 'kStub'}; }}"


def main():
    stub, output = sys.argv[1:]
    listed = subprocess.run(["nm", "-D", "--defined-only", stub], check=True, capture_output=True, text=True)
    names = sorted({fields[2] for line in listed.stdout.splitlines()
                    if len(fields := line.split()) == 3 and fields[1] in "TW" and fields[2].startswith("cu")})
    missing = set(GIVES_HANDLE + GIVES_NUMBER + SUCCEEDS + BY_HAND) - set(names)
    if missing:
        sys.exit(f"{stub} lacks {', '.join(sorted(missing))}")
    lines = [HEAD] + [body(name) for name in names if name not in BY_HAND]
    lines += ['}  // extern "C"', "", "namespace {", "const Entry kTable[] = {"]
    lines += [f'    {{"{name}", reinterpret_cast<void*>({name})}},' for name in names]
    lines += ["};", TAIL]
    with open(output, "w") as file:
        file.write("\n".join(lines))


main()
