"""Do ours and theirs compute the same? Rounds of both, one after the other; the table and the JSON."""
import datetime
import json
import platform
import statistics


def check_same_work(ours, peer, name, steps, tolerance):
    """Step 1: losses within 1e-3, gradient norms within 1 %. Later losses differ by at most `tolerance` of the first."""
    mine, theirs = ours.losses(steps), peer.losses(1)
    norms = ours.gradient_norm(), peer.gradient_norm()
    theirs += peer.losses(steps - 1)
    worst = max(abs(a - b) for a, b in zip(mine, theirs)) / abs(theirs[0])
    first, norm = abs(mine[0] - theirs[0]) / abs(theirs[0]), abs(norms[0] - norms[1]) / abs(norms[1])
    print("losses, kdengine:", " ".join(f"{x:.5g}" for x in mine))
    print(f"losses, {name}:", " ".join(f"{x:.5g}" for x in theirs))
    print(f"relative differences: first loss {first:.1e}, gradient norm {norm:.1e}, largest of {steps} losses {worst:.1e}", flush=True)
    if not (first <= 1e-3 and norm <= 1e-2 and worst <= tolerance):
        raise ValueError(f"kdengine and {name} do not compute the same")
    return {"first_loss": first, "gradient_norm": norm, f"losses_of_{steps}_steps": worst}


def interleave(competitors, parts, rounds, repeats):
    """part -> name -> seconds. A competitor that lacks a part or fails at it is left out of it."""
    seconds, failed = {}, {}
    for round_number in range(rounds + 1):  # round 0 warms up
        for part in parts:
            for name, one in competitors.items():
                if (part, name) in failed:
                    continue
                try:
                    values = one.seconds(part, repeats)
                except Exception as error:  # a compiler, out of memory, ...: the others go on
                    failed[part, name] = f"{type(error).__name__}: {error}".split("\n")[0]
                    print(f"{name} fails at {part}: {failed[part, name]}", flush=True)
                    continue
                if round_number:
                    seconds.setdefault(part, {}).setdefault(name, []).extend(values)
    return seconds, {f"{part}, {name}": why for (part, name), why in failed.items()}


def cpu_name():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())


def images_of(part, batch_size):
    """Pictures, or rows of logits, that one run of a part works on."""
    words = part.split("/")
    return int(words[2]) if len(words) > 2 else batch_size


def report(head, seconds, memory, output):
    result = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), **head, "peak_memory_mib": memory, "parts": {}}
    wide = max(len(part) for part in seconds) + 1
    print(f"{'':{wide}}{'':26}{'median ms':>10}{'img/s':>11}{'min':>9}{'max':>9}")
    for part, by_name in seconds.items():
        medians = {name: statistics.median(values) for name, values in by_name.items()}
        for name, values in by_name.items():
            print(f"{part:{wide}}{name:26}{medians[name] * 1e3:10.3f}{images_of(part, head['batch_size']) / medians[name]:11.1f}"
                  f"{min(values) * 1e3:9.3f}{max(values) * 1e3:9.3f}")
        entry = {"median_seconds": medians, "min_seconds": {name: min(values) for name, values in by_name.items()},
                 "max_seconds": {name: max(values) for name, values in by_name.items()}}
        others = [name for name in medians if name != "kdengine"]
        if "kdengine" in medians and others:
            entry["ratio_to"] = {name: medians[name] / medians["kdengine"] for name in others}
            entry["ratio_to_better"] = min(entry["ratio_to"].values())
            print(f"{part:{wide}}kdengine is {entry['ratio_to_better']:.2f} x the best of the others")
        result["parts"][part] = entry
    print("memory of the whole step: " + ", ".join(f"{name} {value:.0f} MiB" for name, value in memory.items()))
    if output:
        with open(output, "w") as file:
            json.dump(result, file, indent=2)
            file.write("\n")
