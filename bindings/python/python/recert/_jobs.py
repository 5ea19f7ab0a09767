"""The jobs. Keywords have the names, meanings and defaults of the command line's options."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Union

from . import _recert
from ._classify import Prepared, prepared
from ._errors import OutputError, ParameterError
from ._images import images_of
from ._ledger import Ledger
from ._progress import Progress, Reporter
from ._tables import (
    Approximation,
    Check,
    Explanation,
    Plan,
    Report,
    Results,
    Sensitivity,
    Training,
    Tuned,
    Verdicts,
)

PathLike = Union[str, "os.PathLike[str]"]
Amount = Union[int, float, str]
"""A count, or a percentage as "5%"."""


def _file_labels(options: dict[str, Any]) -> None:
    """Labels are an option where they are a file, and go with the images where they are none."""
    if not isinstance(options["labels"], (str, os.PathLike)):
        options["labels"] = None


def _ledger_at(path: Any) -> Ledger:
    """The ledger at a path; in a folder that goes with it, where none is given."""
    if path is not None:
        ledger = Ledger._to_be(Path(path))
        # A temporary one that is given is there as long as what comes of it.
        ledger._rests_on = path  # type: ignore[attr-defined]
        return ledger
    folder = tempfile.mkdtemp(prefix="recert-")
    ledger = Ledger._to_be(Path(folder) / "run.recert")
    weakref.finalize(ledger, shutil.rmtree, folder, ignore_errors=True)
    return ledger


def _ledgers(ledger: PathLike | Sequence[PathLike]) -> list[Path]:
    if isinstance(ledger, (str, os.PathLike)):
        return [Path(ledger)]
    return [Path(one) for one in ledger]


def _networks(
    given: Any,
    id: str | Sequence[str] | None,
    num_classes: int | None,
    batch_invariant: bool = False,
    noise_on: Any = None,
    keyword: str = "classify",
) -> list[str | Prepared]:
    """A network, or each of a list of them, with its id."""
    networks = list(given) if isinstance(given, (list, tuple)) else [given]
    ids = [id] * len(networks) if id is None or isinstance(id, str) else list(id)
    if len(ids) != len(networks):
        raise ParameterError(f"{len(networks)} networks have {len(ids)} ids", "id")
    return [
        prepared(
            network, id=name, num_classes=num_classes, batch_invariant=batch_invariant,
            noise_on=noise_on, keyword=keyword,
        )
        for network, name in zip(networks, ids)
    ]


def certify(
    classify: Any,
    images: Any,
    labels: Any = None,
    *,
    sigma: float,
    ledger: PathLike | None = None,
    n: int = 100_000,
    n0: int = 100,
    alpha: float = 0.001,
    one_sided: bool = False,
    until_radius: float | None = None,
    seed: int | str = 0,
    noise: str = "gaussian",
    every: int = 1,
    offset: int = 0,
    limit: int | None = None,
    batch: int | None = None,
    threads: int | None = None,
    shard: str | None = None,
    id: str | None = None,
    num_classes: int | None = None,
    batch_invariant: bool = False,
    noise_on: Any = None,
    progress: Progress = True,
    log: PathLike | None = None,
    via: Any = None,
    via_budget: Amount = "5%",
    via_engine: str | None = None,
    via_precision: str | None = None,
    via_device: str | None = None,
    via_id: str | None = None,
    train: bool = False,
    classes: PathLike | None = None,
    label_offset: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
    engine: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    output: str | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    scale: float | None = None,
    max_memory: int | None = None,
) -> Results:
    """Certify a network from scratch, into a ledger.

    Args:
        classify: the path of an ONNX file; a `torch.nn.Module`, in the type of its weights and on
            their device; or a callable from a batch of float32 `[B, C, H, W]` to classes or logits.
        images: an array `[N, C, H, W]` of float32 in [0, 1] or of uint8, or what `--data` takes: a
            path, or FORMAT:PATH.
        labels: whole numbers, or with images from files a file of them.
        sigma: standard deviation of the noise, in units of pixels in [0, 1].
        ledger: the file to write, or to resume; a temporary one where there is none.
        n, n0: estimation and selection samples per input.
        alpha: failure probability of one certificate.
        one_sided: bound the class's probability alone.
        until_radius: stop each input once it is certified at this radius or cannot be.
        seed: seed of the noise, or "fresh".
        noise: "gaussian", or "integer" for images of 8-bit pixels.
        every, offset, limit: which inputs.
        batch: images in one call; for modules and callables 32 if it is not said.
        threads: workers; for a callable 2, one of which makes noise while the other asks it.
        shard: run one part of the inputs, as "3/16", into a ledger of its own; `merge` unites them.
        id: what a callable is known by in the ledger, or the name of a module.
        num_classes: for a callable that answers with classes.
        batch_invariant: promises that a callable answers an image the same, bit for bit, whatever
            else is in the batch.
        noise_on: where noise is made: "device", where the network is, or "host". For a module that
            is "device" if it is not said. For a callable it is "host", or the device whose tensors
            it takes: "cuda", "cpu", "jax". The noise is the same, bit for bit.
        progress: show it, or a callable that is told how many evaluations are done, and of how many.
        log: also write a log in Cohen's format.
        via, via_budget: certify through this faster version of the network.

    The remaining keywords are those of the command line for data sets in files and for ONNX files.

    Returns:
        The rows, and the ledger.

    Raises:
        recert.Error: in the words of the command line.
        KeyboardInterrupt: what was computed is in the ledger, and the same call goes on from there.
    """
    options = dict(locals())
    for name in ("classify", "images", "ledger", "progress", "id", "noise_on"):
        del options[name]
    given = images_of(images, labels)
    _file_labels(options)
    [network] = _networks([classify], id, num_classes, batch_invariant, noise_on)
    if via is not None:
        [options["via"]] = _networks(
            [via], via_id, num_classes, batch_invariant, noise_on, "via"
        )
    at = _ledger_at(ledger)
    return Results(_recert.certify(at.path, network, given, options, Reporter(progress)), at)


def predict(
    classify: Any,
    images: Any,
    labels: Any = None,
    *,
    sigma: float,
    ledger: PathLike | None = None,
    n: int = 1000,
    alpha: float = 0.001,
    seed: int | str = 0,
    noise: str = "gaussian",
    every: int = 1,
    offset: int = 0,
    limit: int | None = None,
    batch: int | None = None,
    threads: int | None = None,
    shard: str | None = None,
    id: str | None = None,
    num_classes: int | None = None,
    batch_invariant: bool = False,
    noise_on: Any = None,
    progress: Progress = True,
    log: PathLike | None = None,
    train: bool = False,
    classes: PathLike | None = None,
    label_offset: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
    engine: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    output: str | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    scale: float | None = None,
    max_memory: int | None = None,
) -> Results:
    """Predict with the smoothed classifier, without radii. Keywords are those of `certify`."""
    options = dict(locals())
    for name in ("classify", "images", "ledger", "progress", "id", "noise_on"):
        del options[name]
    given = images_of(images, labels)
    _file_labels(options)
    [network] = _networks([classify], id, num_classes, batch_invariant, noise_on)
    at = _ledger_at(ledger)
    return Results(_recert.predict(at.path, network, given, options, Reporter(progress)), at)


def recertify(
    ledger: PathLike,
    classify: Any,
    images: Any = None,
    labels: Any = None,
    *,
    budget: Amount | Sequence[Amount] | None = None,
    target_acr: float | None = None,
    until_radius: float | None = None,
    method: str | Sequence[str] = "auto",
    n_p: Amount | Sequence[Amount] | None = None,
    among: int | None = None,
    gamma: float | None = None,
    one_sided: bool = False,
    alpha: float | None = None,
    limit: int | None = None,
    batch: int | None = None,
    threads: int | None = None,
    shard: str | None = None,
    into: PathLike | None = None,
    id: str | Sequence[str] | None = None,
    num_classes: int | None = None,
    batch_invariant: bool = False,
    noise_on: Any = None,
    progress: Progress = True,
    log: PathLike | None = None,
    train: bool = False,
    classes: PathLike | None = None,
    label_offset: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
    engine: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    output: str | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    scale: float | None = None,
    max_memory: int | None = None,
) -> Results:
    """Recertify a modified network, or several candidates, from the ledger of the original.

    Args:
        ledger: that of the original, into which the new certificates go too.
        classify: the modified network, as for `certify`; or a list of candidates, which run in one
            pass and whose certificates are corrected for the selection among them.
        images: the same as the ledger's, which are its own if they are files and not given.
        budget: evaluations over all inputs, or a percentage of n per input on average; or several.
        target_acr: as few evaluations as are expected to reach this average radius.
        until_radius: stop each input once it is certified at this radius.
        method: auto, irs, zeta, loss, paired, direct, or several.
        n_p: samples of the modified network per input, for methods other than auto.
        among, gamma: the number of candidates to correct for; the threshold of irs.
        alpha: failure probability of a new certificate; by default twice the ledger's.
        into: leave the ledger as it is and write to this one, made as a copy or continued, as each
            `shard` needs one of its own.
        id, noise_on: as for `certify`; ids are a list where `classify` is one.

    Returns:
        The rows; `network` tells candidates apart.
    """
    options = dict(locals())
    for name in ("ledger", "classify", "images", "progress", "id", "noise_on"):
        del options[name]
    if num_classes is None:
        num_classes = _recert.classes_of(Path(ledger))
    networks = _networks(classify, id, num_classes, batch_invariant, noise_on)
    data = None if images is None else images_of(images, labels)
    _file_labels(options)
    at = _ledger_at(ledger if into is None else into)
    return Results(_recert.recertify(Path(ledger), networks, data, options, Reporter(progress)), at)


def plan(
    ledger: PathLike,
    classify: Any,
    images: Any = None,
    labels: Any = None,
    *,
    budget: Amount | Sequence[Amount] | None = None,
    target_acr: float | None = None,
    until_radius: float | None = None,
    method: str | Sequence[str] = "auto",
    among: int | None = None,
    one_sided: bool = False,
    alpha: float | None = None,
    limit: int | None = None,
    id: str | Sequence[str] | None = None,
    num_classes: int | None = None,
    train: bool = False,
    classes: PathLike | None = None,
    label_offset: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
    engine: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    output: str | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    scale: float | None = None,
    max_memory: int | None = None,
) -> Plan:
    """What to expect of `recertify` with the same keywords; nothing is run or written.

    Without a goal, what several budgets are expected to give. The plan reads the original's answers: a
    budget that is chosen by it is outside of the statement of the certificates.

    Returns:
        `.data` as `recert recertify --plan --json` has it, `str()` the tables.
    """
    options = dict(locals())
    for name in ("ledger", "classify", "images", "id"):
        del options[name]
    if num_classes is None:
        num_classes = _recert.classes_of(Path(ledger))
    networks = _networks(classify, id, num_classes)
    data = None if images is None else images_of(images, labels)
    _file_labels(options)
    text, tables = _recert.plan(Path(ledger), networks, data, options)
    return Plan(text, tables)


def approximate(
    model: PathLike,
    *,
    out: PathLike,
    int8: bool = False,
    fp16: bool = False,
    bf16: bool = False,
    prune: float | str | None = None,
    prune_globally: bool = False,
    weight_bits: int = 8,
    layers: Sequence[str] = (),
    all_but: Sequence[str] = (),
    calibration: str | os.PathLike[str] | None = None,
    calibration_limit: int = 500,
    sigma: float | None = None,
    percentile: float | None = None,
    train: bool = False,
    labels: PathLike | None = None,
    classes: PathLike | None = None,
    label_offset: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
    engine: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    output: str | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    scale: float | None = None,
    max_memory: int | None = None,
) -> Approximation:
    """Make a half-precision, int8 or pruned version of a network.

    Args:
        model: an ONNX file.
        out: the file to write, or a folder, which gets NAME.KIND.onnx.
        int8: weights per channel, activations by `calibration`.
        fp16, bf16: weights in half precision.
        prune: the share of weights of every layer to set to zero, as "10%" or 0.1.
        prune_globally: prune over all layers together.
        weight_bits: for int8, bits of a weight, 2 to 8.
        layers, all_but: change these layers alone, or all but these, by the names of their nodes.
        calibration: for int8, the images: a path, or FORMAT:PATH; `train` takes the training set.
        calibration_limit: at most so many of them.
        sigma: noise on them, that which the network will be certified at.
        percentile: clip ranges to the central part of the values, in per cent.

    Returns:
        `.file`, `.data` as `recert approximate --json` has it, `str()` what was changed.
    """
    options = dict(locals())
    for name in ("model", "out"):
        del options[name]
    if calibration is not None:
        options["calibration"] = os.fspath(calibration)
    text, words = _recert.approximate(
        _file(model, "approximate needs"), Path(out), options
    )
    return Approximation(text, words)


def sensitivity(
    ledger: PathLike,
    model: PathLike,
    *,
    change: str | Sequence[str] = (),
    versions: Sequence[PathLike] = (),
    computed_by: str | Sequence[str] = (),
    samples: float = 200,
    inputs: float = 100,
    search: PathLike | None = None,
    calibration: str | os.PathLike[str] | None = None,
    calibration_limit: int = 500,
    percentile: float | None = None,
    train: bool = False,
    labels: PathLike | None = None,
    classes: PathLike | None = None,
    label_offset: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
    data: str | os.PathLike[str] | None = None,
    engine: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    output: str | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    scale: float | None = None,
    max_memory: int | None = None,
    threads: int | None = None,
    batch: int | None = None,
    progress: Progress = True,
) -> Sensitivity:
    """Change each layer of a certified network alone, and see what that does.

    Args:
        ledger: that of the certified network.
        model: the network, an ONNX file.
        change: what a layer becomes: "fp16", "bf16", "int8" to "int2", "prune10%", "prune10%+int8"; or several.
        versions: other files, compared as wholes.
        computed_by: engines that compute these files, or the network's own: "openvino/bf16" (`--as` of the command).
        samples: of an input that networks are compared on, under noise of a seed of its own.
        inputs: the most of the ledger's that are looked at.
        search: the ledger of these samples; beside the certified one by default.
        calibration: images to observe activations on, for integers; `train`, `labels` and so on say how to
            read them.
        data: the inputs, where they are no longer where the ledger says.
        progress: show it, by networks, or a callable that is told how many are done, and of how many.

    Returns:
        `.layers` with intervals, `.svg`, `str()` the table.
    """
    options = _searched(locals())
    options["versions"] = [Path(version) for version in versions]
    ledger, model = Path(ledger), _file(model, "sensitivity needs")
    return Sensitivity(*_recert.sensitivity(ledger, model, options, Reporter(progress)))


def tune(
    ledger: PathLike,
    model: PathLike,
    *,
    space: PathLike | Mapping[str, Any],
    out: PathLike,
    budget: float | str = "50%",
    samples: float = 200,
    inputs: float = 100,
    calibration: str | os.PathLike[str] | None = None,
    calibration_limit: int = 500,
    percentile: float | None = None,
    train: bool = False,
    labels: PathLike | None = None,
    classes: PathLike | None = None,
    label_offset: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
    data: str | os.PathLike[str] | None = None,
    engine: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    output: str | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    scale: float | None = None,
    max_memory: int | None = None,
    threads: int | None = None,
    batch: int | None = None,
    progress: Progress = True,
) -> Tuned:
    """Search among versions of a certified network for a cheaper one that keeps its certificates.

    Args:
        ledger: that of the certified network, with no other network's answers in it; it is left as it is.
        model: the network, an ONNX file.
        space: what to look among and what to find: a TOML file, or its fields as a mapping, with underscores or
            hyphens (`{"changes": ["int8", "int4"], "least_radius": "99%"}`).
        out: the folder for networks and ledgers; the same call goes on from what is there.
        budget: evaluations of each chosen network for its certificates.
        samples, inputs, calibration, data: as of `sensitivity`.

    Returns:
        `.networks`, `.best`, `.svg`, `str()` the table.
    """
    options = _searched(locals())
    fields = "{}"
    if isinstance(space, Mapping):
        named = {name.replace("_", "-"): _setting(value) for name, value in space.items()}
        fields = json.dumps(named)
    else:
        options["space_file"] = Path(space)
    ledger, model, folder = Path(ledger), _file(model, "tune needs"), Path(out)
    return Tuned(*_recert.tune(ledger, model, fields, folder, options, Reporter(progress)))


def _searched(given: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of a search that are options."""
    others = ("ledger", "model", "space", "out", "progress")
    options = {name: value for name, value in given.items() if name not in others}
    for name in ("calibration", "data"):
        if options[name] is not None:
            options[name] = os.fspath(options[name])
    return options


def train(
    config: PathLike | None = None,
    *,
    out: PathLike,
    threads: int | None = None,
    progress: Progress = True,
    **settings: Any,
) -> Training:
    """Train a network through the bounds that verify it, into an ONNX file.

    The package has to be built with the feature `train`; it says how where it is not.

    Args:
        config: a file of settings, as of `recert train`.
        out: the file to write.
        threads: no result depends on their number.
        progress: show it, by epochs, or a callable that is told how many are done, and of how many.
        settings: those of `recert train`, with underscores, before the file's: `eps="8/255"`.

    Returns:
        `.file`, `.epochs`, `.validation`, `.test`, `.page`, `.remarks`.

    Raises:
        recert.Error: in the words of the command line.
        KeyboardInterrupt: the epochs that are done are kept, and the same call goes on from there.
    """
    named = {name.replace("_", "-"): _setting(value) for name, value in settings.items()}
    try:
        given = json.dumps({name: value for name, value in named.items() if value is not None})
    except TypeError as error:
        raise ParameterError(f"a setting cannot be that: {error}") from error
    file = None if config is None else Path(config)
    found, page = _recert.train(file, given, Path(out), threads, Reporter(progress))
    return Training(found, page)


def _setting(value: Any) -> Any:
    """A setting as JSON has it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Fraction):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else value


def verify(
    model: PathLike | None = None,
    images: Any = None,
    labels: Any = None,
    *,
    eps: float | str | Fraction | None = None,
    norm: str | None = None,
    transform: str | None = None,
    vnnlib: PathLike | None = None,
    from_ledger: PathLike | None = None,
    original: PathLike | None = None,
    weights_within: float | str | None = None,
    method: str = "cascade",
    complete: bool = False,
    timeout: float | timedelta | None = None,
    cells: int | None = None,
    memory: int | None = None,
    ledger: PathLike | None = None,
    every: int = 1,
    offset: int = 0,
    limit: int | None = None,
    threads: int | None = None,
    shard: str | None = None,
    progress: Progress = True,
    train: bool = False,
    classes: PathLike | None = None,
    label_offset: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
    engine: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    output: str | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    scale: float | None = None,
    max_memory: int | None = None,
) -> Verdicts:
    """Verify by bounds, without noise: every image near an input has its class.

    Args:
        model: an ONNX file.
        images, labels: as for `certify`.
        eps: how near, in units of pixels in [0, 1], exactly: "2/255", Fraction(2, 255), or a short
            decimal number, as 0.1.
        norm: "linf" or "l2".
        transform: a transformation instead, as "rotate=-30..30,brightness=-0.01..0.01".
        vnnlib: a VNN-LIB file instead, or a folder of them with an instances.csv.
        from_ledger: begin from the original network's verification in this ledger (`--from` of the
            command line); results go there too.
        original: with it, the original's file, whose bounds are transferred.
        weights_within: verify all networks whose weights are within a step of the file's.
        method, complete, cells: how a verdict is looked for.
        timeout: seconds for one input, or a timedelta.
        memory: bytes for coefficients of bounds.
        ledger: keep results here.
    """
    options = dict(locals())
    for name in ("model", "images", "progress"):
        del options[name]
    given = None if images is None else images_of(images, labels)
    _file_labels(options)
    path = None if model is None else _file(model)
    return Verdicts(_recert.verify(path, given, options, Reporter(progress)))


def _file(model: Any, who: str = "bounds need") -> str:
    """The path of a network whose operations are needed."""
    if not isinstance(model, (str, os.PathLike)):
        kind = type(model).__name__
        raise ParameterError(
            f"{who} the path of an ONNX file, not a {kind}: export the network", "model"
        )
    return os.fspath(model)


def explain(
    model: PathLike,
    images: Any,
    labels: Any = None,
    *,
    eps: float | str | Fraction,
    norm: str = "linf",
    versus: PathLike | None = None,
    method: str = "crown",
    seed: int = 0,
    html: PathLike | None = None,
    pictures: int = 50,
    memory: int | None = None,
    every: int = 1,
    offset: int = 0,
    limit: int | None = None,
    threads: int | None = None,
    progress: Progress = True,
    train: bool = False,
    classes: PathLike | None = None,
    label_offset: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
    engine: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    output: str | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    scale: float | None = None,
    max_memory: int | None = None,
) -> Explanation:
    """Explain proofs by bounds: which hidden neurons each rests on.

    Args:
        model, images, labels, eps, norm: as for `verify`.
        versus: another version of the network, to compare with.
        method: ibp, crown or alpha-crown.
        html: also write a page, with pictures of this many inputs (`pictures`).
    """
    options = dict(locals())
    for name in ("model", "images", "progress", "html"):
        del options[name]
    if html is None:
        options["pictures"] = 0
    given = images_of(images, labels)
    _file_labels(options)
    found = _recert.explain(_file(model), given, options, Reporter(progress))
    text, table, page = found
    if html is not None and page is not None:
        _write(html, page)
    return Explanation(text, table)


def merge(
    out: PathLike, ledgers: Sequence[PathLike], *, partial: bool = False
) -> Ledger:
    """Unite the ledgers of a run's shards, or any of one run, in the one at `out`.

    Args:
        out: the ledger to make, or one to add to. It is replaced when all is done.
        ledgers: in any order.
        partial: whether shards may be missing, which is logged as a warning then.
    """
    lacking = _recert.merge(Path(out), [Path(ledger) for ledger in ledgers], partial)
    for words in lacking:
        logging.getLogger("recert").warning("%s", words)
    return Ledger(out)


def check(
    ledger: PathLike | Sequence[PathLike],
    *,
    rerun: int | None = None,
    model: Any = (),
    exports: Mapping[str, PathLike] | None = None,
    images: Any = None,
    id: str | Sequence[str] | None = None,
    num_classes: int | None = None,
    vnnlib: PathLike | Sequence[PathLike] = (),
    engine: str | None = None,
    seed: int | None = None,
    train: bool = False,
    labels: PathLike | None = None,
    classes: PathLike | None = None,
    label_offset: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
) -> Any:
    """Check a ledger, or several: derive everything again by code that shares nothing with what made
    it.

    Args:
        ledger: the ledger, or a list of them.
        rerun: also run this many answers of each network again.
        model: for `rerun`, the network, or a list of them, as for `certify`.
        exports: for `rerun`, the ONNX files that modules and callables were exported to, by the names
            that these have in the ledger.
        images: for `rerun`, the images, where the ledger does not find them by itself.
        id: for callables, what they are known by in the ledger; a list where `model` is one.
        engine: for `rerun`, the engine that runs files, such as "reference".
        seed: for `rerun`, seed of the choice.

    Returns:
        A `Check`, or a list of them; each is true where nothing is wrong.
    """
    options = dict(locals())
    for name in ("ledger", "model", "images", "id", "num_classes"):
        del options[name]
    options["exports"] = [(name, os.fspath(file)) for name, file in (exports or {}).items()]
    networks = _networks(model, id, num_classes, noise_on="host", keyword="model")
    if (networks or exports) and rerun is None:
        raise ParameterError("a network is run again with a number of samples alone", "rerun")
    data = None if images is None else images_of(images)
    found = json.loads(_recert.check(_ledgers(ledger), networks, data, options))
    checks = [Check(one) for one in found]
    return checks[0] if isinstance(ledger, (str, os.PathLike)) else checks


def report(
    ledger: PathLike | Sequence[PathLike],
    *,
    html: PathLike | None = None,
    radii: Sequence[float] | None = None,
    network: str | None = None,
    run: str | None = None,
    brief: bool = False,
    title: str = "Robustness certificates",
) -> Report:
    """Report on a ledger, or on several.

    Args:
        ledger: the ledger, or a list of them, in the order to show them.
        html: also write one self-contained page.
        radii: radii at which to state certified accuracy.
        network, run: only these, by name.
        brief: one table alone, a line per run.
        title: title of the report.
    """
    ledgers = _ledgers(ledger)
    options = {"radii": radii, "network": network, "run": run, "brief": brief, "title": title}
    if html is not None and Path(html).resolve() in [one.resolve() for one in ledgers]:
        raise ParameterError(f"{html} is one of the ledgers", "html")
    text, table, page, warnings = _recert.report(ledgers, html is not None, options)
    if html is not None and page is not None:
        _write(html, page)
    return Report(text, table, warnings)


def _write(path: PathLike, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"writing {path} failed: {error}") from error
