"""What the build needs beyond CUDA, cuDNN, CMake, ninja and a compiler, in one file for a machine without network.

usr/: headers and libraries of the system's packages (Debian, Ubuntu), as they lie under /usr, static ones where there are any.
deps/: build/deps without its downloads. CMake finds both by the flags of cmake_flags().
"""
import os
import re
import subprocess
import tarfile

PACKAGES = ["nlohmann-json3-dev", "libcli11-dev", "libfmt-dev", "libstb-dev", "libprotobuf-dev", "protobuf-compiler", "zlib1g-dev",
            "libxxhash-dev", "libgtest-dev", "libbenchmark-dev", "libboost-context-dev"]
RUNTIME = r"^(libfmt|libprotobuf|libprotoc|libbenchmark|libboost-context)\d"  # the shared libraries behind them
STATIC = ("libprotobuf.so", "libxxhash.so", "libz.so")  # left out: the linker then takes the .a
UNWANTED = r"/(doc|man|pkgconfig|lintian|src)/|/libprotobuf-lite|/libstb\."


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def packages():
    """Those of PACKAGES, and what they need of the same kind."""
    found, todo = [], list(PACKAGES)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.append(name)
        needs = output_of("dpkg-query", "-W", "-f=${Depends}", name)
        for need in re.findall(r"[a-z0-9.+-]+(?=[ (,|:]|$)", needs):
            if re.match(RUNTIME, need) or re.match(r"libboost-context[\d.]+-dev$", need):
                todo.append(need)
    return found


def boost_headers(root):
    """Boost's headers are many; only those that the tests include, and what tells compilers apart."""
    includes = [line for folder in ("tests", "src") for path, _, files in os.walk(os.path.join(root, folder)) for name in files
                for line in open(os.path.join(path, name), errors="replace") if re.match(r"#include <boost/", line)]
    source = "".join(sorted(set(includes)))
    listed = subprocess.run(["g++", "-std=c++20", "-x", "c++", "-M", "-"], input=source, check=True, capture_output=True, text=True).stdout
    files = set(re.findall(r"/usr/include/boost/\S+", listed)) | {"/usr/include/boost/version.hpp"}
    for folder in ("config", "context", "predef"):
        files |= {os.path.join(path, name) for path, _, names in os.walk("/usr/include/boost/" + folder) for name in names}
    cmake = output_of("sh", "-c", "ls -d /usr/lib/*/cmake/Boost-* /usr/lib/*/cmake/BoostDetect* /usr/lib/*/cmake/boost_headers-*").split()
    return files | {os.path.join(path, name) for folder in cmake if os.path.isdir(folder) for path, _, names in os.walk(folder)
                    for name in names} | {path for path in cmake if os.path.isfile(path)}


def system_files(root):
    files = boost_headers(root)
    for name in packages():
        for path in output_of("dpkg", "-L", name).splitlines():
            # A package may still name /lib what lies under /usr/lib.
            path = "/usr" + path if path.startswith("/lib/") else path
            if (os.path.isfile(path) or os.path.islink(path)) and not re.search(UNWANTED, path) and not path.endswith(STATIC):
                files.add(path)
    return sorted(path for path in files if path.startswith("/usr/"))


def write(root, target):
    deps = os.path.join(root, "build/deps")
    subprocess.run([os.path.join(root, "tools/setup")], check=True)

    def wanted(entry):
        parts = entry.name.split("/")
        return None if len(parts) > 1 and parts[1] in ("venv", "wheels", "unpacked") else entry

    partial = target + ".partial"
    with tarfile.open(partial, "w:gz", compresslevel=6) as archive:
        for path in system_files(root):
            archive.add(path, path.lstrip("/"), recursive=False)
        archive.add(os.path.realpath(deps), "deps", filter=wanted)
    os.replace(partial, target)
    return os.path.getsize(target) / 2 ** 20


def unpack(source, folder):
    """Again only if the file has changed."""
    stamp, mark = os.path.join(folder, ".from"), f"{os.path.abspath(source)} {os.path.getsize(source)} {os.path.getmtime(source)}"
    if os.path.exists(stamp) and open(stamp).read() == mark:
        return
    subprocess.run(["rm", "-rf", folder], check=True)
    os.makedirs(folder)
    with tarfile.open(source) as archive:
        archive.extractall(folder)
    with open(stamp, "w") as file:
        file.write(mark)


def folders_of_libraries(folder):
    libraries = os.path.join(folder, "usr/lib")
    return [libraries] + [os.path.join(libraries, name) for name in sorted(os.listdir(libraries)) if name.endswith("-linux-gnu")]


def cmake_flags(folder):
    """Debian's folders for libraries are named, as CMake looks there on Debian only."""
    prefixes = [os.path.join(folder, "usr")] + [os.path.join(path, "cmake") for path in folders_of_libraries(folder)]
    return ["-DCMAKE_PREFIX_PATH=" + ";".join(prefixes), "-DCMAKE_LIBRARY_PATH=" + ";".join(folders_of_libraries(folder)),
            "-DKD_DEPS=" + os.path.join(folder, "deps")]
