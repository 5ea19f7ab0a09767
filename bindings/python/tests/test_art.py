"""Estimators of the Adversarial Robustness Toolbox."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed")
    import recert.art  # noqa: E402
    from art.estimators.certification import randomized_smoothing as smoothing  # noqa: E402
    from art.estimators.classification import BlackBoxClassifierNeuralNetwork  # noqa: E402

import recert  # noqa: E402
from recert import bounds  # noqa: E402


def estimator(predict, shape=(1, 2, 2), clip=(0, 1)) -> BlackBoxClassifierNeuralNetwork:
    """A function of numpy, which is not asked for gradients."""
    return BlackBoxClassifierNeuralNetwork(
        predict, shape, 2, channels_first=shape[-1] == 2, clip_values=clip
    )


def blackbox(limit: float, shape=(1, 2, 2), clip=(0, 1), width: float = 1.0):
    """Whether images are brighter than a limit, as two scores."""

    def predict(x: np.ndarray) -> np.ndarray:
        assert x.dtype == np.float32 and x.shape[1:] == shape
        mean = x.reshape(len(x), -1).mean(1) / width
        return np.stack([limit - mean, mean - limit], axis=1)

    return estimator(predict, shape, clip)


def test_arts_interface(greys) -> None:
    images, _ = greys
    smoothed = recert.art.NumpyRandomizedSmoothing(blackbox(0.5), sample_size=100, scale=0.25)
    assert isinstance(smoothed, smoothing.NumpyRandomizedSmoothing) and smoothed.alpha == 0.001
    classes, radii = smoothed.certify(images, n=2000, batch_size=500)
    assert classes.tolist() == [0, 0, 0, 1, 1, 1] and (radii > 0).all()
    # The radii that CERTIFY can state, and those of the job.
    possible = bounds.radius(
        bounds.clopper_pearson_lower(np.arange(1000, 2001), 2000, 0.001), 0.25
    )
    assert np.isin(radii, possible).all()
    found = recert.certify(
        blackbox(0.5), images, sigma=0.25, n=2000, n0=100, one_sided=True, id="x", progress=False
    )
    assert np.array_equal(found["radius"], radii)
    scores = smoothed.predict(images)
    assert scores.shape == (6, 2) and scores[0].tolist() == [1, 0] and scores[5].tolist() == [0, 1]
    # At the limit neither class is more probable.
    coin = recert.art.NumpyRandomizedSmoothing(blackbox(0.4), sample_size=100, scale=0.25)
    assert coin.predict(images[2:3]).tolist() == [[0, 0]]
    assert coin.predict(images[2:3], is_abstain=False).sum() == 1
    assert coin.certify(images[2:3], n=500)[0].tolist() == [-1]
    with pytest.raises(ValueError, match="is_abstain"):
        coin.predict(images, is_abstain=1)


def test_each_call_has_noise_of_its_own_and_a_script_the_same_again(greys) -> None:
    images, _ = greys

    def script(seed: int) -> list[float]:
        smoothed = recert.art.NumpyRandomizedSmoothing(blackbox(0.45), sample_size=20, scale=0.25)
        smoothed.seed = seed
        return [float(smoothed.certify(images[1:2], n=500)[1][0]) for _ in range(4)]

    assert script(0) == script(0) and len(set(script(0))) > 1 and script(0) != script(100)


@pytest.mark.parametrize("clip", [(0, 255), (np.zeros(4), np.full(4, 255.0)), None])
def test_radii_are_in_the_units_of_the_inputs(greys, clip) -> None:
    images, _ = greys
    expected = recert.art.NumpyRandomizedSmoothing(blackbox(0.5), sample_size=50, scale=0.25)
    _, radii = expected.certify(images, n=1000)
    # Channels last, and rows of a table.
    for shape in [(2, 2, 1), (4,)]:
        base = blackbox(0.5, shape, clip, 255.0)
        smoothed = recert.art.NumpyRandomizedSmoothing(base, sample_size=50, scale=0.25 * 255)
        classes, wider = smoothed.certify((images * 255).reshape(6, *shape), n=1000)
        assert classes.tolist() == [0, 0, 0, 1, 1, 1]
        assert np.allclose(wider, radii * 255, rtol=1e-6) and (wider <= radii * 255).all()


def test_what_rounding_moves_an_input_by_is_no_part_of_its_radius() -> None:
    scaled = recert.art._Scaled(np.array([[0.1, 0.7], [0.5, 0.25]]), (0, 1))
    there = scaled.images.reshape(2, 2).astype(np.float64)
    moved = np.linalg.norm(there - [[0.1, 0.7], [0.5, 0.25]], axis=1)
    found = scaled.radii(np.array([0.3, 0.3]))
    assert moved[0] > 0 and found[0] <= 0.3 - moved[0] and found[1] == 0.3
    assert found[0] > 0.3 - 1e-6


def test_what_is_no_number_is_for_no_class(greys) -> None:
    """ART takes it for the class at its place, as the largest of numbers with a NaN is the NaN."""
    images, _ = greys

    def broken(x: np.ndarray) -> np.ndarray:
        return np.tile(np.array([[1.0, np.nan]], dtype=np.float32), (len(x), 1))

    base = estimator(broken)
    ours = recert.art.NumpyRandomizedSmoothing(base, sample_size=20, scale=0.25)
    assert [part.tolist() for part in ours.certify(images[:1], n=100)] == [[-1], [0.0]]
    pytest.importorskip("statsmodels", reason="statsmodels is not installed, which ART certifies with")
    theirs = smoothing.NumpyRandomizedSmoothing(base, sample_size=20, scale=0.25)
    classes, radii = theirs.certify(images[:1], n=100)
    assert classes.tolist() == [1] and radii[0] > 0.3


def test_a_script_with_another_import(greys) -> None:
    """One script, with ART's class and with recert's: a model of PyTorch."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("statsmodels", reason="statsmodels is not installed, which ART certifies with")
    images, labels = greys

    def script(kind) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        torch.manual_seed(0)
        np.random.seed(0)
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            classifier = kind(
                model=model, loss=torch.nn.CrossEntropyLoss(), input_shape=(1, 2, 2), nb_classes=2,
                optimizer=torch.optim.Adam(model.parameters(), lr=0.1), clip_values=(0, 1),
                preprocessing=(0.5, 0.25), device_type="cpu", sample_size=100, scale=0.25,
            )
            classifier.fit(images, np.array(labels), batch_size=6, nb_epochs=60)
            classes, radii = classifier.certify(images, n=2000, batch_size=256)
            return classifier.predict(images), classes, radii

    theirs = script(smoothing.PyTorchRandomizedSmoothing)
    ours = script(recert.art.PyTorchRandomizedSmoothing)
    assert ours[0].shape == theirs[0].shape and ours[0].dtype == theirs[0].dtype
    assert np.array_equal(ours[1], theirs[1]) and (ours[1] >= 0).sum() >= 4
    # Of other samples: radii differ by what chance does.
    assert np.abs(ours[2] - theirs[2]).max() < 0.1 and theirs[2].max() > 0.2


def test_jobs_take_arts_classifiers(greys) -> None:
    images, labels = greys
    more = {"sigma": 0.25, "n": 500, "n0": 20, "id": "net", "progress": False}
    found = recert.certify(blackbox(0.5), images, labels, **more)
    assert found.certified_accuracy() == 1
    assert recert.Smooth(blackbox(0.5), 2, 0.25).certify(images[0], 20, 500, 0.001, 100)[0] == 0
    # Channels last.
    last = blackbox(0.5, (2, 2, 1))
    again = recert.certify(last, images, labels, **more)
    assert np.array_equal(found["radius"], again["radius"])
    smoothed = recert.art.NumpyRandomizedSmoothing(blackbox(0.5), sample_size=10)
    for given, words in [(smoothed, "is smoothed"), (blackbox(0.5, clip=(0, 255)), "clip_values")]:
        with pytest.raises(recert.ParameterError, match=words) as caught:
            recert.certify(given, images, **more)
        assert caught.value.field == "classify"


def test_bad_input_is_refused(greys) -> None:
    images, _ = greys
    smoothed = recert.art.NumpyRandomizedSmoothing(blackbox(0.5), sample_size=10)
    with pytest.raises(recert.InputError):
        smoothed.certify(images + 1, n=100)
    with pytest.raises(recert.ParameterError, match="x must be an array of inputs"):
        smoothed.certify(images[:0], n=100)
    smoothed.nb_classes = 3
    with pytest.raises(recert.EngineError, match="nb_classes = 3"):
        smoothed.certify(images, n=100)
