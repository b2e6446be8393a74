"""The published datasets that torchvision knows: MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100, with their classes."""

from __future__ import annotations

from dataclasses import dataclass

IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


@dataclass(frozen=True)
class Published:
    """One of the published datasets.

    Attributes:
        torchvision_name: name of torchvision's class of it, which holds its addresses and checksums.
        folder: name of its folder in `KDCORE_DATA` when that has torchvision's layout.
        image_shape: (C, H, W).
        sizes: size in bytes of each file that is downloaded.
        validation_share: share of the train pictures that become the validation split: the last ones, or with parquet
            files, those that `hold_out` chooses.
        superclasses: class name -> superclass; a class that is missing has none.
    """

    name: str
    torchvision_name: str
    folder: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    sizes: tuple[int, ...]
    validation_share: float
    superclasses: dict[str, str]

    @property
    def is_idx(self) -> bool:
        """Whether the original files are four IDX files; otherwise they are one archive with a CIFAR folder."""
        return len(self.sizes) == len(IDX_FILES)


_CIFAR100 = {
    "aquatic mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food containers": "bottle bowl can cup plate",
    "fruit and vegetables": "apple mushroom orange pear sweet_pepper",
    "household electrical devices": "clock keyboard lamp telephone television",
    "household furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large carnivores": "bear leopard lion tiger wolf",
    "large man-made outdoor things": "bridge castle house road skyscraper",
    "large natural outdoor scenes": "cloud forest mountain plain sea",
    "large omnivores and herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium-sized mammals": "fox porcupine possum raccoon skunk",
    "non-insect invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles 1": "bicycle bus motorcycle pickup_truck train",
    "vehicles 2": "lawn_mower rocket streetcar tank tractor",
}
_CIFAR100_SUPERCLASS = {name: family for family, names in _CIFAR100.items() for name in names.split()}
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR10_SUPERCLASS = {
    name: "vehicle" if name in ("airplane", "automobile", "ship", "truck") else "animal" for name in _CIFAR10
}
_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_FASHION_SUPERCLASS = {
    **dict.fromkeys(("T-shirt/top", "Pullover", "Coat", "Shirt"), "top"),
    **dict.fromkeys(("Sandal", "Sneaker", "Ankle boot"), "shoe"),
}

PUBLISHED: dict[str, Published] = {
    spec.name: spec
    for spec in (
        Published(
            name="mnist",
            torchvision_name="MNIST",
            folder="MNIST",
            class_names=tuple("0123456789"),
            image_shape=(1, 28, 28),
            sizes=(9_912_422, 28_881, 1_648_877, 4_542),
            validation_share=1 / 12,
            superclasses={},
        ),
        Published(
            name="fashion-mnist",
            torchvision_name="FashionMNIST",
            folder="FashionMNIST",
            class_names=_FASHION,
            image_shape=(1, 28, 28),
            sizes=(26_421_880, 29_515, 4_422_102, 5_148),
            validation_share=1 / 12,
            superclasses=_FASHION_SUPERCLASS,
        ),
        Published(
            name="cifar10",
            torchvision_name="CIFAR10",
            folder="CIFAR10",
            class_names=_CIFAR10,
            image_shape=(3, 32, 32),
            sizes=(170_498_071,),
            validation_share=0.1,
            superclasses=_CIFAR10_SUPERCLASS,
        ),
        Published(
            name="cifar100",
            torchvision_name="CIFAR100",
            folder="CIFAR100",
            class_names=tuple(sorted(_CIFAR100_SUPERCLASS)),
            image_shape=(3, 32, 32),
            sizes=(169_001_437,),
            validation_share=0.1,
            superclasses=_CIFAR100_SUPERCLASS,
        ),
    )
}
