"""What a machine has of what the suite needs."""
import glob
import os
import re
import shutil
import subprocess
import sys


def output_of(*command):
    """The command's standard output, or None if it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def version_of(pattern, text):
    found = re.search(pattern, text or "")
    return tuple(int(word) for word in found.groups()) if found else None


def device_name():
    """The GPU's name, or None."""
    names = (output_of("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader") or "").splitlines()
    return names[0].strip() if names else None


def add_cuda_to_path():
    """nvcc and compute-sanitizer are often installed, but not on the PATH."""
    for folder in [os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"] + sorted(glob.glob("/usr/local/cuda-*"), reverse=True):
        if folder and not shutil.which("nvcc") and os.path.exists(os.path.join(folder, "bin/nvcc")):
            os.environ["PATH"] += os.pathsep + os.path.join(folder, "bin")


def cudnn_roots():
    wheels = [os.path.join(path, "nvidia/cudnn") for path in sys.path if path.endswith("-packages")]
    nvcc = shutil.which("nvcc")
    toolkit = [os.path.dirname(os.path.dirname(os.path.realpath(nvcc)))] if nvcc else []
    return [os.environ.get("CUDNN_ROOT", "")] + toolkit + ["/usr", "/usr/local", "/usr/local/cudnn"] + wheels


def find_cudnn():
    """(root, version) of the first cuDNN with headers, or (None, None)."""
    for root in filter(None, cudnn_roots()):
        for header in glob.glob(root + "/include/cudnn_version.h") + glob.glob(root + "/include/*-linux-gnu/cudnn_version.h"):
            with open(header) as file:
                version = version_of(r"CUDNN_MAJOR (\d+)[\s\S]*?CUDNN_MINOR (\d+)", file.read())
            if version:
                return root, version
    return None, None


def linkable_cudnn(root, folder):
    """A wheel has libcudnn.so.9 only, a linker wants libcudnn.so: `folder` gets links to both. Else `root` itself."""
    libraries = glob.glob(root + "/lib/libcudnn.so.[0-9]*")
    if not libraries or os.path.exists(root + "/lib/libcudnn.so"):
        return root
    os.makedirs(folder + "/lib", exist_ok=True)
    for name, target in [("include", root + "/include"), ("lib/libcudnn.so", libraries[0])] + [
            ("lib/" + os.path.basename(path), path) for path in glob.glob(root + "/lib/libcudnn*.so.*")]:
        link = os.path.join(folder, name)
        if os.path.lexists(link):
            os.remove(link)
        os.symlink(target, link)
    return folder


HEADERS = {  # what the build finds by a header: package -> (header, library or None)
    "nlohmann-json": ("nlohmann/json.hpp", None), "CLI11": ("CLI/CLI.hpp", None), "fmt": ("fmt/format.h", "fmt"),
    "stb": ("stb/stb_image.h", None), "protobuf": ("google/protobuf/message.h", "protobuf"), "xxhash": ("xxhash.h", "xxhash"),
    "zlib": ("zlib.h", "z"), "gtest": ("gtest/gtest.h", "gtest"), "boost-context": ("boost/context/fiber.hpp", "boost_context"),
    "benchmark": ("benchmark/benchmark.h", "benchmark")}
DEPS = {"oneDNN": "onednn/include/oneapi/dnnl/dnnl.hpp", "the ONNX schema": "onnx/onnx.proto"}


def missing_libraries(prefixes, deps):
    missing = []
    for name, (header, library) in HEADERS.items():
        found = any(os.path.exists(os.path.join(prefix, "include", header)) for prefix in prefixes)
        if library:
            found = found and any(glob.glob(os.path.join(prefix, folder, f"lib{library}.*"))
                                  for prefix in prefixes for folder in ("lib", "lib64", "lib/*-linux-gnu"))
        if not found:
            missing.append(name)
    if not any(os.access(os.path.join(prefix, "bin/protoc"), os.X_OK) for prefix in prefixes) and not shutil.which("protoc"):
        missing.append("protoc")
    return missing + [name for name, path in DEPS.items() if not os.path.exists(os.path.join(deps, path))]


def missing_tools():
    wanted = {"g++ >= 12": ("g++", "-dumpversion", r"(\d+)", (12,)), "cmake >= 3.22": ("cmake", "--version", r"(\d+)\.(\d+)", (3, 22)),
              "ninja": ("ninja", "--version", r"(\d+)", (0,))}
    return [name for name, (program, flag, pattern, least) in wanted.items()
            if (version_of(pattern, output_of(program, flag)) or (-1,)) < least]


def missing_cuda(deps):
    missing = []
    if (version_of(r"release (\d+)\.(\d+)", output_of("nvcc", "--version")) or (0,)) < (12, 4):
        missing.append("nvcc >= 12.4")
    root, version = find_cudnn()
    if root is None or version < (9, 8):
        missing.append("cuDNN >= 9.8" + (f" ({root} has {version[0]}.{version[1]})" if root else ""))
    frontend = [os.path.join(deps, "cudnn_frontend/include"), "/usr/include", "/usr/local/include"]
    if not any(os.path.exists(os.path.join(folder, "cudnn_frontend.h")) for folder in frontend):
        missing.append("cudnn-frontend headers")
    return missing


def pytorch():
    """PyTorch's version if it sees a GPU, else None."""
    code = "import torch; assert torch.cuda.is_available(); print(torch.__version__)"
    return (output_of(sys.executable, "-c", code) or "").strip() or None
