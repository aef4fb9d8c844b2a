import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sweeper.report import artifact_distance
from sweeper.report.artifact_distance import distances


def saved(folder: Path, name: str, **tensors: np.ndarray) -> Path:
    (folder / name).mkdir()
    path = folder / name / "codes.safetensors"
    save_file(tensors, path)
    return path


def test_the_distance_of_tensors_is_the_largest_and_the_frobenius_norm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact_distance, "_CHUNK", 7)  # several chunks, the last one short
    generator = np.random.default_rng(0)
    a, change = generator.normal(size=(10, 3)), generator.normal(size=(10, 3))
    left = saved(tmp_path, "a", atoms=a.astype(np.float32), same=a)
    right = saved(tmp_path, "b", atoms=(a + change).astype(np.float32), same=a)
    atoms, equal = distances(left, right)
    expected = np.linalg.norm(change) / np.linalg.norm(a)
    assert atoms.relative == pytest.approx(expected, rel=1e-5)
    assert atoms.largest == pytest.approx(np.abs(change).max(), rel=1e-5)
    assert (atoms.a, atoms.is_equal) == ("10 × 3 float32", False)
    assert equal.is_equal


def test_other_shapes_and_lone_tensors_have_no_distance(tmp_path: Path) -> None:
    left = saved(tmp_path, "a", atoms=np.zeros((2, 3)), lone=np.zeros(1))
    right = saved(tmp_path, "b", atoms=np.zeros((3, 2)))
    atoms, lone = distances(left, right)
    assert (atoms.a, atoms.b) == ("2 × 3 float64", "3 × 2 float64")
    assert math.isnan(atoms.largest)
    assert (lone.a, lone.b, lone.is_equal) == ("1 float64", "", False)


def test_nan_equals_nan_and_is_infinitely_far_from_numbers(tmp_path: Path) -> None:
    left = saved(tmp_path, "a", x=np.array([np.nan, np.inf, 1.0]), y=np.array([np.nan, 1.0]))
    right = saved(tmp_path, "b", x=np.array([np.nan, np.inf, 1.0]), y=np.array([0.0, 1.0]))
    x, y = distances(left, right)
    assert x.is_equal
    assert y.largest == y.relative == math.inf


def test_integers_and_booleans_have_distances_too(tmp_path: Path) -> None:
    left = saved(tmp_path, "a", n=np.array([250], dtype=np.uint8), on=np.array([True, False]))
    right = saved(tmp_path, "b", n=np.array([5], dtype=np.uint8), on=np.array([True, True]))
    assert [d.largest for d in distances(left, right)] == [245, 1]


def test_columns_of_tables_are_compared_as_numbers_or_as_text(tmp_path: Path) -> None:
    left, right = tmp_path / "a.csv", tmp_path / "b.csv"
    left.write_text("atom,token,loss\n0,the,1.0\n1,of,3.0\n")
    right.write_text("atom,token,loss\n0,the,1.0\n1,to,3.5\n")
    atom, token, loss = distances(left, right)
    assert atom.is_equal
    assert (token.a, math.isnan(token.largest)) == ("2 text", True)
    assert (loss.a, loss.largest) == ("2 float64", 0.5)


def test_a_pickle_that_poses_as_safetensors_is_refused(tmp_path: Path) -> None:
    import pickle

    left, right = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for path in (left, right):
        path.write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(ValueError, match="no safetensors file"):
        distances(left, right)


def test_a_picture_has_no_distance(tmp_path: Path) -> None:
    assert distances(tmp_path / "a.png", tmp_path / "b.png") == []
