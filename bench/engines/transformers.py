"""Transformers in `direct` on one thread, and in ONNX Runtime on one and on two, in turns.

    transformers.py TIME FOLDER RESULTS [ROUNDS [IMAGES [NETWORK ..]]]

TIME is the example `time` of recert-kernels, built with --release (cargo build
--release -p recert-kernels --example time); FOLDER is for the networks, which are
exported there with random weights if they are not there yet (needs torch, torchvision
and timm; ViT-tiny alone can be made without them, by widen.py); RESULTS is a .tsv that is
appended to. Milliseconds an image by the clock and on the processor; the latter is what
counts where other programs run. On two threads ONNX Runtime divides every operation among
them, and one that has nothing to do sleeps: it would be counted as busy otherwise.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

NETWORKS = ["vit_tiny", "convnext_tiny", "mixer_s32"]


def export(name, file):
    try:
        import timm
        import torch
        import torchvision
    except ImportError:
        if name != "vit_tiny":
            raise
        subprocess.run([sys.executable, Path(__file__).parent / "widen.py", file], check=True)
        return

    build = {
        "vit_tiny": lambda: timm.create_model("vit_tiny_patch16_224"),
        "convnext_tiny": torchvision.models.convnext_tiny,
        "mixer_s32": lambda: timm.create_model("mixer_s32_224"),
    }
    torch.manual_seed(0)
    model, images = build[name]().eval(), torch.randn(1, 3, 224, 224)
    torch.onnx.export(model, (images,), file, dynamo=False, opset_version=17, input_names=["images"],
                      output_names=["logits"], dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}})


class Runtime:
    def __init__(self, file, count, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        # As the example makes them.
        values = np.arange(count * 3 * 224 * 224) * 7919 % 1000 / 500 - 1
        self.images = values.astype(np.float32).reshape(count, 3, 224, 224)
        self.once()

    def once(self):
        """Each image alone, which is fastest for most networks, or all in one batch."""
        wall, busy = time.perf_counter(), time.process_time()
        for image in self.images:
            self.session.run(None, {"images": image[None]})
        return [1e3 * (time.perf_counter() - wall) / len(self.images), 1e3 * (time.process_time() - busy) / len(self.images)]

    def batch(self):
        wall, busy = time.perf_counter(), time.process_time()
        self.session.run(None, {"images": self.images})
        return [1e3 * (time.perf_counter() - wall) / len(self.images), 1e3 * (time.process_time() - busy) / len(self.images)]


def main():
    example, folder, results = sys.argv[1:4]
    rounds, count = (int(v) for v in (sys.argv[4:6] + [9, 4][len(sys.argv[:6]) - 4:]))
    for name in sys.argv[6:] or NETWORKS:
        file = Path(folder) / f"big_{name}.onnx"
        if not file.exists():
            export(name, file)
        direct = subprocess.Popen([example, file, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        alone, pair, seen = Runtime(file, count, 1), Runtime(file, count, 2), {}
        for turn in range(rounds):
            direct.stdin.write("\n")
            direct.stdin.flush()
            ours = [float(v) for v in direct.stdout.readline().split()]
            for system, figures in [("direct", ours), ("onnxruntime, one by one", alone.once()),
                                    ("onnxruntime, batch", alone.batch()),
                                    ("onnxruntime on 2 threads, one by one", pair.once()),
                                    ("onnxruntime on 2 threads, batch", pair.batch())]:
                seen.setdefault(system, []).append(figures)
                with open(results, "a", encoding="utf-8", newline="\n") as out:
                    load = Path("/proc/loadavg").read_text().split()[0]
                    print(name, system, turn, *(f"{v:.3f}" for v in figures), load, sep="\t", file=out)
        direct.stdin.close()
        direct.wait()
        for system, figures in seen.items():
            wall, busy = (statistics.median(column) for column in zip(*figures))
            ratio = statistics.median(ours[1] / its[1] for ours, its in zip(seen["direct"], figures))
            print(f"{name}\t{system}\t{wall:.2f} ms by the clock\t{busy:.2f} ms on the processor\tdirect {ratio:.3f} of it")


if __name__ == "__main__":
    main()
