#!/usr/bin/env python3
"""Writes the seeds of tests/fuzz/corpus that are not written by hand: python3 tests/fuzz/make_seeds.py.

From models/ and models/recipes, and files made here byte by byte. ONNX seeds are text here, encoded by protoc.
Needs build/fuzz (fuzz_seeds) for the seeds of the model reader.
"""
import json
import pathlib
import shutil
import struct
import subprocess
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/fuzz/corpus"


def seed(reader, name, data):
    folder = CORPUS / reader
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def recipes():
    for path in sorted((ROOT / "models/recipes").glob("*.json")):
        seed("recipe", path.name, path.read_bytes())
    whole = {"about": "x", "search": {"lr": {"from": 0.01, "to": 0.3, "scale": "log"}, "terms.kl.weight": [1, 2]},
             "teacher": ["a.bin", "b.bin"], "train": "fc*", "epochs": 3, "teacher-join": [0, 2], "flip": 0.5, "new-head": True,
             "head-hidden": [8], "baseline": True, "lr": 0.1,
             "stages": [{"terms": [{"term": "kl", "weight": 0.5, "warmup": 1, "temperature": 2},
                                   {"term": "hint", "at": [["@1", "@1", 1]], "ramp": [0, 2, 0, 1]}]},
                        {"replace-from": 0.1, "replace-to": 1, "opt": "adam", "sched": "multi-step", "milestones": [1]}]}
    seed("recipe", "whole", json.dumps(whole))
    for key, value in {"loss": "ce=0.1,kl=0.9", "alpha": 2, "opt": "nesterov", "sched": "cosin", "terms": [], "stages": [],
                       "use-teachers": [7], "teacher-weights": [1, 1], "teacher-join": [1], "replace-to": 1, "lrr": 1,
                       "accumulate": 4, "head-hidden": 3, "epochs": 1e300, "search": {"lr": {"from": 1}}, "seed": 2**64 - 1,
                       "flip": "0.5"}.items():
        seed("recipe", f"key_{key}", json.dumps({key: value, "teacher": ["t"], "momentum": 0, "pipeline": "graph"}))
        seed("recipe", f"only_{key}", json.dumps({key: value}))
    at = [["a"], "same", [["a", "b", 2**63]], [["a", "b", 9]], [["a", "b", -1]]]
    for i, value in enumerate(at):
        seed("recipe", f"at_{i}", json.dumps({"teacher": ["t"], "terms": [{"term": "hint", "at": value}]}))
    for i, term in enumerate([{}, {"term": "kll"}, {"term": "kl", "at": []}, {"term": "kl", "ramp": 1}, {"term": "kl", "wamup": 1},
                              {"term": "kl", "ramp": [1, 2, 3, 4], "warmup": 1}, {"term": "kl", "weight": []}, 3,
                              {"term": "mutual", "model": "a.json"}, {"term": "mutual", "model": 3}, {"term": "kl", "weight": True}]):
        seed("recipe", f"term_{i}", json.dumps({"teacher": ["t"], "terms": [term]}))
    for i, space in enumerate([3, {"lr": []}, {"lr": 3}, {"lr": {"from": 2, "to": 1}}, {"lr": {"from": 0, "to": 1, "scale": "log"}},
                               {"lr": {"from": 0, "to": 1, "scale": "lgo"}}, {"lr": {"form": 0}}, {"lr": ["x"]}]):
        seed("recipe", f"search_{i}", json.dumps({"search": space}))
    seed("recipe", "deep", "[" * 5000)
    seed("recipe", "huge_number", '{"lr": 1e999}')
    seed("recipe", "no_utf8", b'{"loss": "\xff\xfe"}')


SMALL = {"input_size": [6, 6], "input_channels": 1, "classes": 3, "stem": {"kind": "cifar", "channels": 2},
         "stages": [{"block": "basic", "channels": 2, "blocks": 1},
                    {"block": "bottleneck", "channels": 1, "blocks": 1, "stride": 2, "shortcut": "B"}]}


def students():
    for path in sorted((ROOT / "models").glob("*.json")):
        seed("student", path.name, path.read_bytes())
    def variant(name, **changes):
        seed("student", name + ".json", json.dumps({**SMALL, **changes}))
    variant("small", dropout=0.1, activation="silu", preprocess={"mean": [0, 0, 0], "std": [1, 1, 1], "resize": 8, "colour": "GRAY"})
    variant("small_a", stages=[{"block": "basic", "channels": 4, "blocks": 2, "stride": 2, "shortcut": "A"}])
    variant("imagenet", stem={"kind": "imagenet", "channels": 2}, input_channels=3)
    variant("narrowing", stages=[{"block": "basic", "channels": 1, "blocks": 1, "stride": 2, "shortcut": "A"}])
    variant("many_blocks", stages=[{"block": "basic", "channels": 1, "blocks": 1000}] * 3)
    variant("wide", stages=[{"block": "basic", "channels": 65536, "blocks": 1000}])
    variant("fraction", classes=2.5)
    variant("many_classes", classes=2**62)
    variant("colour", preprocess={"colour": "RGB"})
    variant("no_std", preprocess={"std": [0, 1, 1]})
    variant("short_std", preprocess={"std": [1, 1]})
    variant("stride", stages=[{"block": "basic", "channels": 1, "blocks": 1, "stride": 2147483647}])
    variant("unknown_block", stages=[{"block": "basik", "channels": 1, "blocks": 1}])
    variant("no_stages", stages=[])
    variant("rate", dropout=-1e300)


def image_files():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    def png(w, h, depth, colour, rows, interlace=0, extra=b""):
        return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlace)) + extra +
                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    palette = chunk(b"PLTE", bytes(range(48)))
    for depth, colour, size in ((8, 2, 3), (8, 6, 4), (8, 0, 1), (16, 2, 6), (8, 4, 2)):
        rows = b"".join(bytes([y % 5]) + bytes((x * 7 + y) % 256 for x in range(5 * size)) for y in range(5))
        seed("image", f"{depth}_{colour}.png", png(5, 5, depth, colour, rows))
    for depth in (1, 2, 4, 8):
        seed("image", f"palette_{depth}.png", png(4, 2, depth, 3, (b"\0" + bytes((4 * depth + 7) // 8)) * 2, 0, palette + chunk(b"tRNS", b"\1\2")))
    seed("image", "interlaced.png", png(3, 3, 8, 0, bytes(40), 1))
    seed("image", "bomb.png", png(1, 1, 8, 0, bytes(4 << 20)))
    seed("image", "huge.png", png(15000, 15000, 8, 2, b"\0"))
    for bits, colours in ((24, b""), (32, b""), (8, bytes(1024)), (4, bytes(64)), (1, bytes(8)), (16, b"")):
        row = (3 * bits + 31) // 32 * 4
        data = colours + bytes(i % 251 for i in range(row * 3))
        seed("image", f"{bits}.bmp", b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54 + len(colours)) +
             struct.pack("<IiiHHIIiiII", 40, 3, -3 if bits == 24 else 3, 1, bits, 0, 0, 0, 0, 0, 0) + data)
    seed("image", "p6.ppm", b"P6 # made\n3 2\n255\n" + bytes(range(18)))
    seed("image", "p5_16.pgm", b"P5\n2 2\n65535\n" + bytes(range(8)))
    for kind, bits in ((2, 24), (10, 24), (3, 8), (2, 16), (1, 8), (2, 32), (11, 8)):
        mapped = kind == 1
        seed("image", f"{kind}_{bits}.tga", struct.pack("<BBBHHBHHHHBB", 0, int(mapped), kind, 0, 4 if mapped else 0, 24 if mapped else 0,
             0, 0, 2, 2, bits, 0x20 if bits == 32 else 0) + (bytes(12) if mapped else b"") + (b"\x81" if kind >= 8 else b"") + bytes(range(20)))
    seed("image", "plain.gif", b"GIF89a" + struct.pack("<HHBBB", 2, 2, 0x80, 0, 0) + bytes(6) + b"!\xf9\x04\x01\0\0\1\0" +
         b"," + struct.pack("<HHHHB", 0, 0, 2, 2, 0x40) + b"\2\3\x44\2\5\0;")
    seed("image", "huge.gif", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b";")
    source = b"P6\n9 9\n255\n" + bytes((x * 5) % 256 for x in range(243))
    for name, flags in (("baseline", []), ("progressive", ["-progressive"]), ("grey", ["-grayscale"]), ("restart", ["-restart", "1"]),
                        ("sampled", ["-sample", "1x1"]), ("sampled_2x1", ["-sample", "2x1"]), ("sampled_1x2", ["-sample", "1x2"])):
        if shutil.which("cjpeg"):
            made = subprocess.run(["cjpeg", "-quality", "60", *flags], input=source, capture_output=True, check=True)
            seed("image", name + ".jpg", made.stdout)
    if shutil.which("cjpeg"):
        whole = (CORPUS / "image/progressive.jpg").read_bytes()
        scan = whole[whole.index(b"\xff\xda"):-2]
        seed("image", "scans.jpg", whole[:-2] + scan[:12] * 120 + b"\xff\xd9")


def datasets():
    def files(flags, *entries):
        return b"\n".join([bytes([flags])] + [f"#{kind} {name} {times}\n".encode() + content for kind, name, times, content in entries])
    def idx(magic, *numbers):
        return struct.pack(f">{1 + len(numbers)}I", magic, *numbers)
    for kind, end in (("FILE", ""), ("GZIP", ".gz")):
        parts = [(kind, f"{part}-{what}-ubyte{end}", 1, content) for part in ("train", "t10k") for what, content in
                 (("images-idx3", idx(0x803, 3, 2, 2) + bytes(12)), ("labels-idx1", idx(0x801, 3) + b"\0\1\2"))]
        seed("dataset", f"idx_{kind.lower()}", files(1, *parts))
        seed("dataset", f"idx_{kind.lower()}_dev", files(8 + 2, *parts))
        seed("dataset", f"idx_{kind.lower()}_missing", files(0, *parts[:3]))
    seed("dataset", "idx_lies", files(1, ("FILE", "train-images-idx3-ubyte", 1, idx(0x803, 2**32 - 1, 4096, 4096)),
                                      ("FILE", "train-labels-idx1-ubyte", 1, idx(0x801, 2**32 - 1))))
    seed("dataset", "idx_label", files(1, ("FILE", "train-images-idx3-ubyte", 1, idx(0x803, 1, 1, 1) + b"a"),
                                       ("FILE", "train-labels-idx1-ubyte", 1, idx(0x801, 1) + b"\x0a")))
    seed("dataset", "gzip_broken", files(1, ("FILE", "train-images-idx3-ubyte.gz", 1, b"\x1f\x8b\x08\0\0\0\0\0\0\3garbage"),
                                         ("FILE", "train-labels-idx1-ubyte", 1, b"")))
    names = b"".join(b"c%d\n" % i for i in range(10))
    cifar = [("FILE", f"data_batch_{i}.bin", 439, bytes(7)) for i in range(1, 6)]
    seed("dataset", "cifar10", files(0, ("FILE", "batches.meta.txt", 1, names), ("FILE", "test_batch.bin", 439, b"\0\1\2\3\4\5\6"), *cifar))
    seed("dataset", "cifar10_label", files(1, ("FILE", "batches.meta.txt", 1, names), *[(k, n, t, b"\x63" * 7) for k, n, t, _ in cifar]))
    seed("dataset", "cifar10_size", files(1, ("FILE", "batches.meta.txt", 1, names), ("FILE", "data_batch_1.bin", 1, b"abc")))
    names = b"".join(b"c%d\n" % i for i in range(100))
    seed("dataset", "cifar100", files(1, ("FILE", "fine_label_names.txt", 1, names), ("FILE", "train.bin", 1537, b"\1\2"),
                                      ("FILE", "test.bin", 1537, b"\1\2")))
    seed("dataset", "cifar100_names", files(1, ("FILE", "fine_label_names.txt", 1, b"one"), ("FILE", "train.bin", 1537, b"\1\2")))
    grey = b"P5\n1 1\n255\na"
    folder = [("FILE", f"{split}/{name}/{i}.pgm", 1, grey) for split in ("train", "val") for name in ("cat", "dog") for i in range(2)]
    seed("dataset", "folder", files(0, *folder))
    seed("dataset", "folder_extra", files(16, *folder, ("FILE", "extra/cat/a.pgm", 1, grey), ("FILE", "extra/x.pgm", 1, grey)))
    seed("dataset", "folder_extra_mixed", files(16, *folder, ("FILE", "extra/cat/a.pgm", 1, grey), ("FILE", "extra/cow/x.pgm", 1, grey)))
    seed("dataset", "folder_classes", files(0, *folder[:-2]))
    seed("dataset", "folder_half", files(0, *folder[:4]))
    seed("dataset", "folder_empty", files(0, *folder, ("FOLDER", "train/emu", 1, b"")))
    seed("dataset", "split", files(4, *[(k, n[6:], t, c) for k, n, t, c in folder[:4]]))
    seed("dataset", "split_missing", files(0, *[(k, n[6:], t, c) for k, n, t, c in folder[:4]]))
    seed("dataset", "pictures", files(1, ("FILE", "a.pgm", 1, grey), ("FILE", "b.PGM", 1, grey)))
    seed("dataset", "unreadable", files(0, ("FILE", "a.png", 1, b"no picture")))
    seed("dataset", "loop", files(16, *folder, ("FOLDER", "extra/a", 1, b""), ("LINK", "extra/a/b", 1, b"extra"), ("LINK", "extra/a/c", 1, b"extra")))
    seed("dataset", "nothing", files(0, ("FILE", "readme", 1, b"")))


def checkpoints():
    position = {"epoch": 1, "step": 2, "loss_sum": 0.5, "correct": 3, "seconds": 1.5, "term_sums": [0.0] * 16, "best_top1": 10.0,
                "best_epoch": 1, "skipped": 0, "teacher_top1": -1}
    def file(metadata, tensors=None, data=b"\0\0\x80\x3f\0\0\0\0"):
        header = {"__metadata__": metadata}
        header.update(tensors or {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                                  "b": {"dtype": "I32", "shape": [1, 1], "data_offsets": [4, 8]}})
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data
    def whole(config="{}", **changes):
        return {"format": "kdengine-checkpoint", "position": json.dumps({**position, **changes}), "config": config}
    for terms in (8, 16, 32):
        seed("checkpoint", f"whole_{terms}", file(whole(term_sums=[0.0] * terms)))
    seed("checkpoint", "metrics", file(whole()) + b'#METRICS\n{"epoch": 1}\n{"epoch": 9}\n')
    seed("checkpoint", "metrics_bad", file(whole()) + b'#METRICS\n{"epoch": "x"}\n')
    seed("checkpoint", "metrics_array", file(whole()) + b"#METRICS\n[]\n")
    seed("checkpoint", "another_config", file(whole('{"lr": 7}')))
    seed("checkpoint", "config_list", file(whole("[1]")))
    seed("checkpoint", "negative", file(whole(epoch=-1)))
    seed("checkpoint", "fraction", file(whole(epoch=1.5)))
    seed("checkpoint", "nothing", file({"a": "b"}))
    seed("checkpoint", "metadata_number", file({"a": 3}))
    for i, entry in enumerate([{"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}, {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
                               {"dtype": "F32", "shape": [2**62, 16], "data_offsets": [0, 4]}, {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
                               {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]}, {"dtype": "F32", "shape": 3, "data_offsets": [0, 4]},
                               {"dtype": "F32", "shape": [1] * 9, "data_offsets": [0, 4]}, {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]},
                               {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, {"dtype": "F16", "shape": [2], "data_offsets": [0, 4], "x": 1}]):
        seed("checkpoint", f"tensor_{i}", file(whole(), {"a": entry}))
        seed("model", f"tensor_{i}", file(whole(), {"a": entry}))


# ONNX models as protobuf text; %s: nodes and initialisers.
ONNX = """ir_version: 8 opset_import { version: 13 } graph { %s
input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_param: "N" } dim { dim_value: 1 } dim { dim_value: 2 } dim { dim_value: 2 } } } } }
output { name: "y" } }"""


def node(op, inputs, output, *attributes):
    text = f'node {{ op_type: "{op}" {" ".join(f"input: {json.dumps(i)}" for i in inputs)} output: "{output}"'
    for name, value in attributes:
        if isinstance(value, list):
            text += f' attribute {{ name: "{name}" type: INTS {" ".join(f"ints: {v}" for v in value)} }}'
        elif isinstance(value, float):
            text += f' attribute {{ name: "{name}" type: FLOAT f: {value} }}'
        elif isinstance(value, str):
            text += f' attribute {{ name: "{name}" type: STRING s: {json.dumps(value)} }}'
        else:
            text += f' attribute {{ name: "{name}" type: INT i: {value} }}'
    return text + " }\n"


def constant(name, dims, values, kind=1):
    field = {1: "float_data", 7: "int64_data", 11: "double_data", 6: "int32_data", 10: "int32_data"}[kind]
    return f'initializer {{ name: "{name}" data_type: {kind} {" ".join(f"dims: {d}" for d in dims)} {" ".join(f"{field}: {v}" for v in values)} }}\n'


def onnx():
    head = node("Flatten", ["f"], "g", ("axis", 1)) + node("Gemm", ["g", "w", "b"], "y", ("transB", 1), ("alpha", 1.0))
    weights = constant("w", [2, 4], [1] * 8) + constant("b", [2], [0, 1])
    kernel = constant("k", [1, 1, 1, 1], [2])
    vector = "".join(constant(n, [1], [1]) for n in ("s", "m", "v", "o"))
    def model(name, *parts):
        text = ONNX % "".join(parts)
        made = subprocess.run(["protoc", f"-I{ROOT}/build/deps/onnx", "--encode=onnx.ModelProto", "onnx.proto"], input=text.encode(),
                              capture_output=True, check=True)
        seed("onnx", name, made.stdout)
    conv = node("Conv", ["x", "k"], "c", ("kernel_shape", [1, 1]), ("strides", [1, 1]), ("pads", [0, 0, 0, 0]), ("group", 1), ("dilations", [1, 1]))
    model("conv", conv, node("Relu", ["c"], "f"), head, weights, kernel)
    model("norm", conv, node("BatchNormalization", ["c", "s", "o", "m", "v"], "f", ("epsilon", 1e-5)), head, weights, kernel, vector)
    for op, attributes in (("MaxPool", [("kernel_shape", [1, 1]), ("strides", [1, 1])]), ("AveragePool", [("kernel_shape", [1, 1]), ("ceil_mode", 0)]),
                           ("Clip", []), ("Sigmoid", []), ("HardSigmoid", [("alpha", 0.16666667), ("beta", 0.5)]), ("HardSwish", []),
                           ("Identity", []), ("Dropout", []), ("Softmax", [("axis", 1)]), ("Transpose", [("perm", [0, 1, 3, 2])]),
                           ("ReduceMean", [("axes", [2, 3]), ("keepdims", 1)]), ("LeakyRelu", []), ("Sqrt", []), ("Exp", []), ("Pad", [("pads", [0] * 8)])):
        model("op_" + op, node(op, ["x"], "f", *attributes), head, weights)
    for op in ("Add", "Mul", "Sub", "Div"):
        model("op_" + op, node(op, ["x", "s"], "f"), head, weights, vector)
        model("self_" + op, node(op, ["x", "x"], "f"), head, weights, vector)
        model("const_" + op, node(op, ["i", "j"], "r"), node("Concat", ["r", "i"], "t", ("axis", 0)), node("Identity", ["x"], "f"), head, weights,
              constant("i", [2], [4, 6], 7), constant("j", [1], [2], 7))
    model("min_max", node("Clip", ["x", "l", "h"], "f"), head, weights, constant("l", [], [0]), constant("h", [], [6]))
    shape = (node("Shape", ["x"], "a") + node("Gather", ["a", "z"], "n", ("axis", 0)) + node("Unsqueeze", ["n", "z1"], "n1") +
             node("Concat", ["n1", "rest"], "r", ("axis", 0)) + node("Reshape", ["x", "r"], "g") + node("Gemm", ["g", "w", "b"], "y", ("transB", 1)))
    model("shape", shape, weights, constant("z", [], [0], 7), constant("z1", [1], [0], 7), constant("rest", [1], [-1], 7))
    model("slice", node("Slice", ["x", "i", "j", "i2"], "f"), node("Slice", ["r", "i", "j"], "q"), head, weights, constant("r", [3], [1, 2, 3], 7),
          constant("i", [1], [0], 7), constant("j", [1], [9223372036854775807], 7), constant("i2", [1], [3], 7))
    model("concat", node("Concat", ["x", "x"], "c", ("axis", 1)), node("GlobalAveragePool", ["c"], "f"), node("Flatten", ["f"], "g"),
          node("MatMul", ["g", "w"], "y"), constant("w", [2, 2], [1] * 4))
    folded = [("Cast", ["r"], [("to", 7)]), ("Transpose", ["p"], []), ("Squeeze", ["r1", "zero"], []), ("Unsqueeze", ["r", "zero"], []), ("Shape", ["p"], []),
              ("Range", ["e", "e4", "e1"], []), ("ConstantOfShape", ["r1"], []), ("Floor", ["p"], []), ("Gather", ["r", "r1"], []),
              ("Slice", ["r", "zero", "r1"], []), ("Concat", ["r", "r1"], [("axis", 0)]), ("Reshape", ["p", "r2"], []), ("Expand", ["p", "r2"], []),
              ("Equal", ["r", "r"], []), ("Where", ["r", "r", "r"], []), ("Mod", ["r", "r"], []), ("Neg", ["r"], []), ("ReduceProd", ["r"], [])]
    for op, inputs, attributes in folded:
        model("fold_" + op, node(op, inputs, "q", *attributes), node("Identity", ["x"], "f"), head, weights, constant("r", [3], [0, 1, 2], 7),
              constant("p", [2, 2], [1, 2, 3, 4]), constant("r1", [1], [2], 7), constant("zero", [1], [0], 7), constant("r2", [2], [2, 2], 7),
              constant("e", [], [0], 7), constant("e1", [], [1], 7), constant("e4", [], [4], 7))
    for name, dims, values in (("nan", [2, 4], ["nan"] * 8), ("negative", [-2, -4], [1] * 8), ("zero", [0, 4], []), ("overflow", [2**40, 2**40], [1]),
                               ("missing", [1000, 1000, 1000], [])):
        model("weight_" + name, node("Identity", ["x"], "f"), head, constant("w", dims, values), constant("b", [2], [0, 1]))
    model("cycle", node("Relu", ["b1"], "a1"), node("Relu", ["a1"], "b1"), head, weights)
    model("dangling", node("Relu", ["nowhere"], "f"), head, weights)
    model("twice", node("Relu", ["x"], "f"), node("Relu", ["x"], "f"), head, weights, weights)
    model("constant_of_shape", node("ConstantOfShape", ["n"], "q"), node("Identity", ["x"], "f"), head, weights, constant("n", [2], [100000, 100000], 7))
    model("expand", node("Expand", ["e"], "q"), node("Range", ["e", "h", "e"], "q2"), node("Identity", ["x"], "f"), head, weights,
          constant("e", [], [1], 7), constant("h", [], [2**62], 7))
    for dims, location in (("2", "/etc/passwd"), ("2", "../x"), ("2", "w.data")):
        model("external_" + pathlib.Path(location).name, node("Identity", ["x"], "f"), head, constant("b", [2], [0, 1]),
              f'initializer {{ name: "w" data_type: 1 dims: {dims} dims: 4 data_location: EXTERNAL external_data {{ key: "location" value: "{location}" }} '
              'external_data { key: "offset" value: "9223372036854775807" } }')


def models():
    program = ROOT / "build/fuzz/bin/fuzz_seeds"
    small = [str(CORPUS / "student" / name) for name in ("small.json", "small_a.json", "imagenet.json")]
    folder = CORPUS / "model"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([str(program), str(folder), *small], check=True)
    whole = (folder / "small.bin").read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header, data = json.loads(whole[8:8 + length]), whole[8 + length:]
    def changed(name, change):
        copy = json.loads(json.dumps(header))
        graph = json.loads(copy["__metadata__"]["graph"])
        change(copy["__metadata__"], graph, copy)
        if "graph" in copy["__metadata__"]:
            copy["__metadata__"]["graph"] = json.dumps(graph)
        text = json.dumps(copy).encode()
        seed("model", name, struct.pack("<Q", len(text)) + text + data)
    for key in ("format", "format_version", "graph", "preprocess", "class_names", "name"):
        changed("no_" + key, lambda meta, graph, file, key=key: meta.pop(key))
    changed("version", lambda meta, graph, file: meta.update(format_version="9"))
    changed("names", lambda meta, graph, file: meta.update(class_names='["a", "b"]'))
    changed("names_numbers", lambda meta, graph, file: meta.update(class_names="[1, 2, 3]"))
    changed("names_object", lambda meta, graph, file: meta.update(class_names="{}"))
    changed("std", lambda meta, graph, file: meta.update(preprocess='{"resize":0,"crop":[6,6],"mean":[0,0,0],"std":[1,0,1],"colour":"GRAY"}'))
    changed("crop", lambda meta, graph, file: meta.update(preprocess='{"resize":0,"crop":[6,7],"mean":[0,0,0],"std":[1,1,1],"colour":"GRAY"}'))
    changed("colour", lambda meta, graph, file: meta.update(preprocess='{"resize":0,"crop":[6,6],"mean":[0,0,0],"std":[1,1,1],"colour":"CMYK"}'))
    changed("stride", lambda meta, graph, file: graph["nodes"][0]["attributes"].update(stride=[0, 1]))
    changed("pad", lambda meta, graph, file: graph["nodes"][0]["attributes"].update(pad=[2**31 - 1] * 4))
    changed("dilation", lambda meta, graph, file: graph["nodes"][0]["attributes"].update(dilation=[2**31 - 1] * 2))
    changed("groups", lambda meta, graph, file: graph["nodes"][0]["attributes"].update(groups=2**31 - 1))
    changed("op", lambda meta, graph, file: graph["nodes"][0].update(op="conv3d"))
    changed("training_op", lambda meta, graph, file: graph["nodes"][0].update(op="optimizer_update"))
    changed("dangling", lambda meta, graph, file: graph["nodes"][0].update(inputs=["nowhere", "conv1.weight"]))
    changed("twice", lambda meta, graph, file: graph["nodes"].append(graph["nodes"][-1]))
    changed("zero", lambda meta, graph, file: graph["leaves"][0].update(shape=[1, 0, 0, 1]))
    changed("large", lambda meta, graph, file: graph["leaves"][0].update(shape=[1, 2**40, 2**40, 1]))
    changed("role", lambda meta, graph, file: graph["leaves"][1].update(role="activation"))
    changed("logits", lambda meta, graph, file: graph.update(logits="input"))
    changed("tensor_name", lambda meta, graph, file: file.update(other=file.pop("fc.bias")))


for make in (recipes, students, image_files, datasets, checkpoints, onnx, models):
    make()
    print(make.__name__)
