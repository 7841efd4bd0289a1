"""PyTorch's eager step on the CPU, f32."""
import os
import time

import torch
from torch.nn import functional

from peer.network import load_network, load_safetensors, turned

VARIANTS = ("contiguous", "channels_last")
PARTS = ("step", "teacher", "student")
TEMPERATURE = 4.0


def distillation_loss(logits, guide, labels):
    """0.1 ce + 0.9 T^2 kl, what kdengine computes by default."""
    soft = functional.kl_div(functional.log_softmax(logits / TEMPERATURE, 1), functional.log_softmax(guide / TEMPERATURE, 1),
                             log_target=True, reduction="batchmean")
    return 0.1 * functional.cross_entropy(logits, labels) + 0.9 * TEMPERATURE ** 2 * soft


def gradient_norm_of(network):
    return torch.sqrt(sum(torch.sum(p.grad.detach().double() ** 2) for p in network.parameters())).item()


class Peer:
    def __init__(self, arguments, saved, variant):
        layout = torch.channels_last if variant == "channels_last" else torch.contiguous_format
        self.teacher, self.student = (load_network(path, os.path.join(saved, name)).to(memory_format=layout)
                                      for path, name in ((arguments.teacher, "teacher.bin"), (arguments.student, "student.bin")))
        self.teacher.eval()
        batch = load_safetensors(os.path.join(saved, "batch.bin"))
        self.images = turned(batch["images"]).contiguous(memory_format=layout)
        self.labels = batch["labels"].long()
        self.optimizer = torch.optim.SGD(self.student.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)

    def run_teacher(self):
        with torch.no_grad():
            return self.teacher(self.images)

    def _update(self, make_loss):
        self.optimizer.zero_grad(set_to_none=True)
        loss = make_loss(self.student(self.images))
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def run_step(self):
        guide = self.run_teacher()
        return self._update(lambda logits: distillation_loss(logits, guide, self.labels))

    def run_student(self):
        return self._update(lambda logits: functional.cross_entropy(logits, self.labels))

    def losses(self, steps):
        return [self.run_step() for _ in range(steps)]

    def gradient_norm(self):
        """Of the last step."""
        return gradient_norm_of(self.student)

    def seconds(self, part, repeats):
        work = getattr(self, "run_" + part)
        out = []
        for _ in range(repeats):
            start = time.perf_counter()
            work()
            out.append(time.perf_counter() - start)
        return out
