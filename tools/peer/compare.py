"""Do ours and theirs compute the same? Rounds of both, one after the other; the table and the JSON."""
import contextlib
import datetime
import json
import platform
import signal
import statistics
import time


def check_same_work(ours, peer, name, tolerance):
    """`ours` and the peer: losses of the first steps, the first gradient's norm. Step 1: losses within 1e-3, norms within 1 %.
    Later losses differ by at most `tolerance` of the first."""
    mine, norm = ours
    theirs = peer.losses(1)
    their_norm = peer.gradient_norm()
    theirs += peer.losses(len(mine) - 1)
    differences = {"first_loss": abs(mine[0] - theirs[0]) / abs(theirs[0]), "gradient_norm": abs(norm - their_norm) / abs(their_norm),
                   f"losses_of_{len(mine)}_steps": max(abs(a - b) for a, b in zip(mine, theirs)) / abs(theirs[0])}
    print("losses, kdengine:", " ".join(f"{x:.5g}" for x in mine))
    print(f"losses, {name}:", " ".join(f"{x:.5g}" for x in theirs))
    print("relative differences: " + ", ".join(f"{what} {value:.1e}" for what, value in differences.items()), flush=True)
    first, norm_difference, worst = differences.values()
    if not (first <= 1e-3 and norm_difference <= 1e-2 and worst <= tolerance):
        raise ValueError(f"kdengine and {name} do not compute the same")
    return differences


class Limit:
    """Seconds for everything; of a peer, one part and what is compiled for it may take a third of them. 0: as long as it takes.
    Never interrupts kdengine: its answer would be taken for that to a later question."""

    def __init__(self, seconds):
        self.seconds, self.start = seconds, time.monotonic()

    def over(self):
        return 0 < self.seconds < time.monotonic() - self.start

    @contextlib.contextmanager
    def a_third(self):
        def give_up(*_):
            raise TimeoutError(f"took more than {self.seconds / 3:.0f} s")

        signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, self.seconds / 3)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def interleave(competitors, parts, rounds, repeats, limit):
    """part -> name -> seconds. A competitor that lacks a part or fails at it is left out of it."""
    seconds, failed = {}, {}
    for round_number in range(rounds + 1):  # round 0 warms up
        if limit.over() and round_number > 1:
            break
        for part in parts:
            for name, one in competitors.items():
                if (part, name) in failed:
                    continue
                try:
                    with limit.a_third() if name != "kdengine" else contextlib.nullcontext():
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
    wide = max(map(len, seconds), default=0) + 1
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
