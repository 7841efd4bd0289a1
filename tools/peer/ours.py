"""kdbench step --serve, in a process of its own."""
import subprocess
import sys


class Ours:
    def __init__(self, kdbench, arguments, saved):
        command = [kdbench, "step", "--serve", "--save", saved, "--teacher", arguments.teacher, "--student", arguments.student,
                   "--batch-size", str(arguments.batch_size), "--threads", str(arguments.threads), "--device", arguments.device]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            sys.exit("bench_peer: kdbench did not start: " + " ".join(command))

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"bench_peer: kdbench ended at '{line}'")
        return [float(word) for word in answer.split()]

    def seconds(self, part, repeats):
        return self.ask(f"{part} {repeats}")

    def losses(self, steps):
        return self.ask(f"losses {steps}")

    def gradient_norm(self):
        """Of the first step."""
        return self.ask("gradient 1")[0]

    def close(self):
        self.process.stdin.close()
        self.process.wait()
