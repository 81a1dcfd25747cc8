"""What expressions and folders say before anything is read."""

from pathlib import Path

import pytest
from PIL import Image

from zoo_builders.data import splits
from zoo_builders.running.project import Project
from zoo_registry.model.errors import InvalidManifest

MANIFEST = """schema: edgezoo/v1
model: some
version: 1.0.0
license: mit
base: {{network: mobilenet_v2, args: {{resolution: 32, classes: 2}}}}
data:
  source: image-folder
  args: {{path: photos, size: [32, 32]}}
  splits: {{{cuts}}}
{more}
variants: {{fp32: []}}
"""
REST = 'validation: "all[:10%]", calibration: "all[:5%]"'


def shared(left: str, right: str, **counts: int) -> float:
    return splits.shared(splits.parse(left), splits.parse(right), counts)


@pytest.mark.parametrize(
    ("left", "right", "least"),
    [
        ("train[80%:]", "train[:90%]", 0.5),
        ("train[90%:]", "train[:90%]", 0.0),
        ("train", "train[:50%]", 0.5),
        ("train[:50%]", "train", 1.0),
        ("test", "train", 0.0),
        ("train[-200:]", "train[:200]", 0.0),
        ("train[:200]", "train", 1.0),
        ("train[10%:20%]+test", "test[:50%]+train[:15%]", 0.5),
        ("train[:10]+train[20:30]", "train[5:25]+train[8:26]", 0.55),
    ],
)
def test_what_expressions_share_whatever_the_size(left: str, right: str, least: float) -> None:
    assert shared(left, right) == pytest.approx(least, abs=0.06)


def test_sizes_decide_where_they_are_known() -> None:
    assert shared("train[-200:]", "train[:200]", train=300) == 0.5
    assert shared("train[90%:]", "train[:200]", train=210) == pytest.approx(11 / 21)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for index in range(100):
        folder = tmp_path / "photos" / ("cat" if index % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (index, 0, 0)).save(folder / f"{index}.png")
    (tmp_path / "photos" / "cat" / "1.heic").write_bytes(b"")
    (tmp_path / "photos" / "bird").mkdir()
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / ".zoo"))
    return tmp_path


def told(root: Path, cuts: str, more: str = "") -> tuple[str, ...]:
    path = root / "some.yaml"
    path.write_text(MANIFEST.format(cuts=f"{cuts}, {REST}", more=more))
    return Project().read(path).found.told


def test_an_overlap_is_refused_by_its_expressions(photos: Path) -> None:
    with pytest.raises(InvalidManifest, match=r"50\.0% of test \(all\[80%:\]\) are also in train"):
        told(photos, 'train: "all[:90%]", test: "all[80%:]"')


def test_a_small_one_is_told_with_what_is_not_read(photos: Path) -> None:
    assert told(photos, 'train: "all[:81]", test: "all[80:]"', "  max_overlap: 0.1") == (
        "5.0% of test (all[80:]) are also in train (all[:81])",
        "100.0% of validation (all[:10%]) are also in train (all[:81])",
        "1 files were not read: 1 .heic",
        "no example lies in bird: such a folder is no class",
    )


def test_the_survey_counts_what_lies_there(photos: Path) -> None:
    (photos / "some.yaml").write_text(
        MANIFEST.format(cuts=f'train: "all[:50%]", test: "all[50%:]", {REST}', more="")
    )
    survey = Project().read(photos / "some.yaml").found.survey
    assert survey is not None
    assert (survey.counts, survey.classes) == ({"all": 100}, ("cat", "dog"))


def test_linked_folders_count_in_the_digest(photos: Path) -> None:
    outside = photos / "outside"
    outside.mkdir()
    Image.new("RGB", (8, 8)).save(outside / "x.png")
    (photos / "photos" / "fish").symlink_to(outside, target_is_directory=True)
    (outside / "circle").symlink_to(photos / "photos", target_is_directory=True)
    before = Project().tree.digest(photos / "photos")
    Image.new("RGB", (8, 8), (1, 2, 3)).save(outside / "y.png")
    assert Project().tree.digest(photos / "photos") != before
