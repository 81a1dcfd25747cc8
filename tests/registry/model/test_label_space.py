"""What labels are called: by a name that everybody knows, else by length and digest."""

import pytest

from plugins.family import LABELS
from zoo_registry.model.label_space import KNOWN, label_space

CIFAR100 = [f"class{n}" for n in range(100)]
CIFAR100[0], CIFAR100[1], CIFAR100[50], CIFAR100[99] = "apple", "aquarium_fish", "mouse", "worm"


def imagenet(style: int) -> list[str]:
    """Spell 1,000 labels in one of the ways in which their lists come."""
    known = {
        0: ("tench", "n01440764", "tench, Tinca tinca", "n01440764 tench, Tinca tinca"),
        1: ("goldfish", "n01443537", "goldfish, Carassius auratus", "n01443537 goldfish, x"),
        2: ("great_white_shark", "n01484850", "great white shark, man-eater", "n01484850 great x"),
        388: ("giant panda", "n02510455", "giant panda, panda, panda bear", "n02510455 panda"),
        999: ("toilet_tissue", "n15075141", "toilet tissue, toilet paper", "n15075141 paper"),
    }
    return [known[n][style] if n in known else f"label {n}" for n in range(1000)]


@pytest.mark.parametrize("style", range(4))
def test_imagenet_is_known_however_it_is_spelled(style: int) -> None:
    labels = imagenet(style)
    assert label_space(labels) == "imagenet-1k"
    assert label_space(["background", *labels]) == "imagenet-1k"
    assert label_space([f"{n}  {label}" for n, label in enumerate(labels)]) == "imagenet-1k"
    swapped = [labels[1], labels[0], *labels[2:]]
    assert label_space(swapped).startswith("1000-labels-")


def test_small_lists_are_known_too() -> None:
    assert label_space(LABELS) == "cifar10"
    assert label_space([label.upper() for label in LABELS]) == "cifar10"
    assert label_space(LABELS[::-1]).startswith("10-labels-")
    assert label_space(LABELS[:9]).startswith("9-labels-")
    assert label_space([str(n) for n in range(10)]) == "digits"
    assert label_space(["zero", *"123456789"]) == "digits"
    assert label_space(CIFAR100) == "cifar100"
    fashion = "T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag Ankle_boot"
    assert label_space(fashion.split()) == "fashion-mnist"


def test_any_other_list_is_its_length_and_digest() -> None:
    names = ["cat", "dog", "bird"]
    assert label_space(names) == label_space([" Cat", "DOG", "bird\n"])
    assert label_space(names).startswith("3-labels-")
    assert len({label_space(list(order)) for order in (names, names[::-1], names[:2])}) == 3
    assert label_space(["hot dog"]) == label_space(["hot_dog"]) == label_space(["Hot-Dog"])


def test_without_labels_data_set_and_outputs_say_it() -> None:
    assert label_space((), dataset="ImageNet-v2", outputs=1001) == "imagenet-1k"
    assert label_space((), dataset="ILSVRC2012", outputs=1000) == "imagenet-1k"
    assert label_space((), dataset="imagenette", outputs=10) == "10-classes"
    assert label_space((), dataset="CIFAR-10", outputs=10) == "cifar10"
    assert label_space((), dataset="cifar10", outputs=100) == "100-classes"
    assert label_space((), dataset="digits", outputs=0) == ""


def test_every_known_list_has_its_own_name() -> None:
    names = [space.name for space in KNOWN]
    assert len(set(names)) == len(names)
