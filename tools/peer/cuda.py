"""PyTorch's step on a GPU: eager, compiled, and as strong as it gets. fp16 with dynamic loss scaling, channels_last.

The batch is copied from pinned memory in every step, as kdengine's is. Blocks are timed with device events and no host
synchronisation inside.
"""
import os

import torch

from peer.cpu import distillation_loss, gradient_norm_of
from peer.network import fold_batch_norms, load_network, load_safetensors, turned

VARIANTS = ("eager", "compiled", "strongest")
PARTS = ("step", "teacher", "student", "loss", "optimizer", "loss/131072/4096/f16")


class Peer:
    """eager: AMP. compiled: torch.compile (CUDA graphs included by its mode) over the same. strongest: batch norms folded
    into a half-precision teacher, compiled, and the whole step, optimiser too, replayed as one CUDA graph."""

    def __init__(self, arguments, saved, variant):
        self.variant, self.mode = variant, arguments.compile_mode
        self.strong = variant == "strongest"
        self.teacher = self._network(arguments.teacher, os.path.join(saved, "teacher.bin")).eval()
        self.student = self._network(arguments.student, os.path.join(saved, "student.bin"))
        if self.strong:
            self.teacher = fold_batch_norms(self.teacher).half()
        batch = load_safetensors(os.path.join(saved, "batch.bin"))
        self.host_images = turned(batch["images"]).contiguous(memory_format=torch.channels_last).pin_memory()
        self.host_labels = batch["labels"].long().pin_memory()
        self.images, self.labels = self.host_images.cuda(), self.host_labels.cuda()
        # fused: one launch, and no host synchronisation for the loss scale.
        self.optimizer = torch.optim.SGD(self.student.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True,
                                         fused=variant != "eager")
        self.scaler = torch.cuda.amp.GradScaler(init_scale=1024.0)
        self.graphs, self.alone, self.norm = {}, {}, None
        self._forward_teacher = self._compiled(self._teacher_logits)
        self._forward_step = self._compiled(self._step_loss)
        self._forward_student = self._compiled(self._student_loss)
        self._loss = self._compiled(lambda logits, guide, labels: distillation_loss(logits.float(), guide.float(), labels))

    def _network(self, architecture, weights):
        return load_network(architecture, weights).to(memory_format=torch.channels_last).cuda()

    def _compiled(self, function):
        if self.variant == "eager":
            return function
        # Inside one graph of our own, the compiler's own graphs have no place.
        mode = "max-autotune-no-cudagraphs" if self.strong and self.mode == "max-autotune" else self.mode
        return torch.compile(function, mode="default" if self.strong and mode == "reduce-overhead" else mode)

    def _teacher_logits(self, images):
        if self.strong:
            return self.teacher(images.half()).float()
        with torch.autocast("cuda", torch.float16):
            return self.teacher(images)

    def _step_loss(self, images, guide, labels):
        with torch.autocast("cuda", torch.float16):
            return distillation_loss(self.student(images).float(), guide.float(), labels)

    def _student_loss(self, images, labels):
        with torch.autocast("cuda", torch.float16):
            return torch.nn.functional.cross_entropy(self.student(images).float(), labels)

    def _update(self, make_loss, with_norm=False):
        self.optimizer.zero_grad(set_to_none=True)
        loss = make_loss()
        self.scaler.scale(loss).backward()
        if with_norm:  # here: the optimiser may or may not leave the gradients scaled
            self.norm = gradient_norm_of(self.student) / self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    def _teacher(self):
        with torch.no_grad():
            return self._forward_teacher(self.images)

    def _step(self, with_norm=False):
        guide = self._teacher()
        return self._update(lambda: self._forward_step(self.images, guide, self.labels), with_norm)

    def _student(self):
        return self._update(lambda: self._forward_student(self.images, self.labels))

    def _upload(self):
        self.images.copy_(self.host_images, non_blocking=True)
        self.labels.copy_(self.host_labels, non_blocking=True)

    def _replayed(self, name, work):
        """The work as one CUDA graph, captured when first asked for, after three runs beside it."""
        if name not in self.graphs:
            beside = torch.cuda.Stream()
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                for _ in range(3):
                    work()
            torch.cuda.current_stream().wait_stream(beside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                result = work()
            self.graphs[name] = graph, result
        graph, result = self.graphs[name]
        graph.replay()
        return result

    def _run(self, name, work):
        if self.strong:
            return self._replayed(name, work)
        if self.variant == "compiled":
            torch.compiler.cudagraph_mark_step_begin()
        return work()

    def run_step(self):
        self._upload()
        return self._run("step", self._step)

    def run_teacher(self):
        return self._run("teacher", self._teacher)

    def run_student(self):
        self._upload()
        return self._run("student", self._student)

    def run_optimizer(self):
        self.optimizer.step()

    def _loss_alone(self, classes, batch, dtype):
        key = classes, batch, dtype
        if key not in self.alone:
            self.alone.clear()
            logits, guide = (torch.randn(batch, classes, device="cuda").to(dtype) for _ in range(2))
            labels = torch.randint(classes, (batch,), device="cuda")
            if self.strong:
                from peer.triton_loss import checked_loss
                self.alone[key] = checked_loss(logits, guide, labels)
            else:
                logits.requires_grad_()
                self.alone[key] = lambda: torch.autograd.grad(self._loss(logits, guide, labels), logits)
        return self._run_plain(self.alone[key])

    def _run_plain(self, work):
        if self.variant == "compiled":
            torch.compiler.cudagraph_mark_step_begin()
        return work()

    def run(self, part):
        if part.startswith("loss"):
            words = part.split("/")
            classes = int(words[1]) if len(words) > 1 else self.student.fc.out_features
            batch = int(words[2]) if len(words) > 2 else len(self.labels)
            return self._loss_alone(classes, batch, torch.float16 if words[-1] == "f16" else torch.float32)
        return getattr(self, "run_" + part)()

    def losses(self, steps):
        """Of steps as they are before any capture: capturing one runs it, too."""
        losses = []
        for _ in range(steps):
            self._upload()
            if self.variant == "compiled":
                torch.compiler.cudagraph_mark_step_begin()
            losses.append(self._step(with_norm=True).item())
        return losses

    def gradient_norm(self):
        """Of the last of losses()."""
        return self.norm

    def seconds(self, part, repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            self.run(part)
        end.record()
        end.synchronize()
        return [start.elapsed_time(end) * 1e-3 / repeats]
