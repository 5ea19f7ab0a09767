"""Exports small transformers and their kin with random weights, in the forms that
torch.onnx.export has given them over the years.

    generate.py [NAME ..]

Made with torch 2.15.0, timm 1.0.31, torchvision 0.29.2, onnx 1.23.2, seed 0. The
exporter's notes on where a node comes from are left out.
"""

import io
import sys
import warnings
from pathlib import Path

import onnx
import timm
import torch
import torchvision
from torch import nn
from torchvision.models.convnext import CNBlockConfig

HERE = Path(__file__).parent
VIT = dict(img_size=16, patch_size=4, embed_dim=24, depth=1, num_heads=3, num_classes=10)


def vit(**changes):
    return timm.models.VisionTransformer(**VIT | changes)


# Name, image size, network, and the forms: the exporter ("script" or "export") and opset.
NETWORKS = {
    "vit": (16, vit, ["script14", "script17", "script20", "export18", "export20"]),
    "vit_one": (16, vit, ["one17"]),
    "vit_scaled": (16, lambda: vit(embed_dim=40, num_heads=4, class_token=False, global_pool="avg", init_values=0.1),
                   ["script17", "export18"]),
    "vit_tanh": (16, lambda: vit(act_layer=lambda: nn.GELU(approximate="tanh")), ["script17", "export20"]),
    "vit_silu": (16, lambda: vit(act_layer=nn.SiLU), ["script17"]),
    "deit": (16, lambda: timm.models.deit.VisionTransformerDistilled(**VIT), ["script17"]),
    "vit_torchvision": (16, lambda: torchvision.models.VisionTransformer(
        image_size=16, patch_size=4, num_layers=1, num_heads=3, hidden_dim=24, mlp_dim=48, num_classes=10),
        ["script14", "script17", "export18"]),
    "convnext": (64, lambda: timm.models.ConvNeXt(
        depths=(1,) * 4, dims=(8, 12, 16, 20), num_classes=10, ls_init_value=0.1), ["script14", "script17"]),
    "convnext_torchvision": (32, lambda: torchvision.models.ConvNeXt(
        [CNBlockConfig(16, 24, 1), CNBlockConfig(24, None, 1)], num_classes=10, layer_scale=0.1), ["script17"]),
    "mixer": (16, lambda: timm.models.MlpMixer(img_size=16, patch_size=4, embed_dim=24, num_blocks=1, num_classes=10),
              ["script14", "export20"]),
    "swin": (16, lambda: timm.models.SwinTransformer(
        img_size=16, patch_size=2, embed_dim=12, depths=(2,), num_heads=(2,), window_size=4, num_classes=10),
        ["script11", "script17", "export18"]),
}


def export(model, size, form):
    images, out = torch.randn(1 if form.startswith("one") else 2, 3, size, size), io.BytesIO()
    names = dict(input_names=["images"], output_names=["logits"], opset_version=int(form[-2:]))
    if form.startswith("one"):
        torch.onnx.export(model, (images,), out, dynamo=False, **names)
    elif form.startswith("script"):
        torch.onnx.export(model, (images,), out, dynamo=False,
                          dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}}, **names)
    else:
        torch.onnx.export(model, (images,), out, dynamo=True,
                          dynamic_shapes=[{0: torch.export.Dim("batch")}], **names)
    file = onnx.load_from_string(out.getvalue())
    del file.metadata_props[:], file.graph.metadata_props[:], file.graph.value_info[:]
    for part in [*file.graph.node, *file.graph.initializer, *file.graph.input, *file.graph.output]:
        part.ClearField("doc_string")
        del part.metadata_props[:]
    return file


def main():
    warnings.filterwarnings("ignore")
    for name, (size, build, forms) in NETWORKS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        for form in forms:
            torch.manual_seed(0)
            model = build().eval()
            # What begins as zeros or ones would hide what is done with it.
            for parameter in model.parameters():
                if parameter.dim() > 0 and parameter.std() == 0:
                    nn.init.normal_(parameter, mean=float(parameter.mean()), std=0.2)
            onnx.save(export(model, size, form), HERE / f"{name}_{form}.onnx")


if __name__ == "__main__":
    main()
