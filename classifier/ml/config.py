"""What a training is made of: the preprocessing's specification and the recipes, as validated frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal, get_args

#: What a backbone may start from besides a file: the published weights, or random ones.
IMAGENET: Final = "imagenet"
NO_WEIGHTS: Final = "none"
#: The widths for which Keras publishes ImageNet weights.
PUBLISHED_ALPHAS: Final = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
#: MobileNetV2 refuses smaller inputs.
MIN_NETWORK_SIZE: Final = 32
#: A training that begins with small pictures enlarges them by so many pixels at a time ...
SIZE_STEP: Final = 16
#: ... and reaches the full size after this share of its epochs.
GROWING_SHARE: Final = 0.6
#: What learns; `Recipe` has more.
Trainable = Literal["all", "head", "titles", "reviewed"]


class ConfigurationError(ValueError):
    """A recipe or specification that cannot work; the message says what was expected and what came."""


def _require(condition: bool, *, expected: str, received: object) -> None:
    if not condition:
        raise ConfigurationError(f"expected {expected}, received {received!r}")


@dataclass(frozen=True, slots=True)
class PreprocessingSpec:
    """How any picture becomes the network's input, uint8[N, size, size, 1].

    ``working_size`` is the longest side in pixels at which background and object are looked for;
    ``distance_floor`` (0..255) is the smallest difference from the background that can count as object;
    ``object_share`` is the share of the picture below which what was found is a speck and the picture is blank.
    """

    size: int = 28
    working_size: int = 160
    distance_floor: int = 18
    object_share: float = 0.002

    def __post_init__(self) -> None:
        _require(8 <= self.size <= 224, expected="size from 8 to 224 pixels", received=self.size)
        _require(
            self.size <= self.working_size <= 1024,
            expected=f"working_size from {self.size} to 1024 pixels",
            received=self.working_size,
        )
        _require(0 < self.distance_floor < 256, expected="distance_floor from 1 to 255", received=self.distance_floor)
        _require(0 <= self.object_share < 1, expected="object_share from 0 to 1", received=self.object_share)


_SHARES: Final = (
    "erase_share",
    "shop_share",
    "outlier_share",
    "worn_share",
    "outline_share",
    "edge_share",
    "shoe_pair_share",
    "shorts_share",
    "backpack_share",
)
#: Those that put something else into a picture's place.
_DRAWN_SHARES: Final = ("outlier_share", "shoe_pair_share", "shorts_share", "backpack_share")


@dataclass(frozen=True, slots=True)
class AugmentationSpec:
    """What happens to a training picture before the network sees it.

    ``shift_pixels`` is the largest shift in pixels of the canonical form. The shares lie in 0..1:
    ``erase_share`` of the pictures lose a rectangle; ``shop_share`` are altered the way pictures in shops differ
    from Fashion-MNIST (turned, scaled, framed, worn, with another garment in view, on a soft background);
    ``outlier_share`` are replaced by something that is no clothing, with every group equally probable;
    ``worn_share`` are altered as for shops and in any case worn; ``outline_share`` lose what is within their outline,
    as white and transparent garments do; ``edge_share`` get a frame, bars or an edge that cutting out left. In the
    place of ``shoe_pair_share``, ``shorts_share`` and ``backpack_share``, together at most 1, kinds of clothing are
    drawn that Fashion-MNIST has not: shoes in pairs from above, shorts and skirts, backpacks.
    """

    flip: bool = True
    shift_pixels: int = 2
    erase_share: float = 0.25
    shop_share: float = 0.0
    outlier_share: float = 0.0
    worn_share: float = 0.0
    outline_share: float = 0.0
    edge_share: float = 0.0
    shoe_pair_share: float = 0.0
    shorts_share: float = 0.0
    backpack_share: float = 0.0

    def __post_init__(self) -> None:
        _require(0 <= self.shift_pixels <= 8, expected="shift_pixels from 0 to 8", received=self.shift_pixels)
        for name in _SHARES:
            value = getattr(self, name)
            _require(0 <= value <= 1, expected=f"{name} from 0 to 1", received=value)
        kinds = self.shoe_pair_share + self.shorts_share + self.backpack_share
        _require(kinds <= 1, expected="shares of drawn kinds of together at most 1", received=kinds)

    @property
    def keeps_labels(self) -> bool:
        """Whether every picture goes on showing what its label says."""
        return not any(getattr(self, name) for name in _DRAWN_SHARES)

    def moved_to(self, other: "AugmentationSpec", *, share: float) -> "AugmentationSpec":
        """This specification with its shares moved towards those of another, by ``share`` (0..1) of the way."""
        moved = {name: (1 - share) * getattr(self, name) + share * getattr(other, name) for name in _SHARES}
        return replace(self, **moved)


NO_AUGMENTATION: Final = AugmentationSpec(flip=False, shift_pixels=0, erase_share=0.0)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named way to train a network.

    ``network_size`` is the side in pixels to which the network itself enlarges the canonical form; training begins
    at ``first_size`` (None is the same) and grows. ``trainable`` is "all" (every layer learns), "head" (the backbone
    stays as it came; its features are computed once, for ``feature_copies`` augmented copies of each picture), or
    "titles" or "reviewed" (titles or reviews teach heads on the base in production, and none of the network's numbers
    counts). ``group_loss_weight`` adds the loss over the five groups to that over the ten garments. ``patience``
    is the number of epochs without a better validation loss after which training stops. The shares of
    ``augmentation`` move to those of ``final_augmentation`` (None is the same) over the epochs.
    ``ema_decay`` has the moving average of the weights judged and kept in place of the weights; None has none.
    ``kept_share`` (0..1) is the share in the result that the weights of the networks have with which the training
    began; more than 0 needs an artefact to begin with.
    ``last_layer`` names the layer of MobileNetV2 after which the backbone ends; None is the whole. ``members`` is the
    number of networks that are trained one after the other and label together; ``epochs`` are those of each.
    ``published_column`` names the published result that it answers.
    """

    name: str
    description: str
    network_size: int = 64
    first_size: int | None = None
    alpha: float = 0.35
    epochs: int = 12
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    dropout: float = 0.2
    group_loss_weight: float = 0.5
    patience: int = 4
    ema_decay: float | None = None
    kept_share: float = 0.0
    trainable: Trainable = "all"
    feature_copies: int = 1
    last_layer: str | None = None
    members: int = 1
    published_column: str | None = None
    augmentation: AugmentationSpec = field(default_factory=AugmentationSpec)
    final_augmentation: AugmentationSpec | None = None
    preprocessing: PreprocessingSpec = field(default_factory=PreprocessingSpec)

    def __post_init__(self) -> None:
        _require(bool(self.name), expected="a recipe name", received=self.name)
        _require(
            MIN_NETWORK_SIZE <= self.network_size <= 224,
            expected=f"network_size from {MIN_NETWORK_SIZE} to 224 pixels",
            received=self.network_size,
        )
        _require(
            self.first_size is None or MIN_NETWORK_SIZE <= self.first_size <= self.network_size,
            expected=f"first_size from {MIN_NETWORK_SIZE} to {self.network_size} pixels or none",
            received=self.first_size,
        )
        _require(self.feature_copies >= 1, expected="at least 1 of feature_copies", received=self.feature_copies)
        _require(self.alpha in PUBLISHED_ALPHAS, expected=f"alpha one of {PUBLISHED_ALPHAS}", received=self.alpha)
        _require(self.members in (1, 2, 4), expected="1, 2 or 4 members", received=self.members)
        _require(self.epochs >= 1, expected="at least 1 epoch", received=self.epochs)
        _require(self.batch_size >= 2, expected="a batch_size of at least 2", received=self.batch_size)
        _require(self.learning_rate > 0, expected="a positive learning_rate", received=self.learning_rate)
        _require(self.weight_decay >= 0, expected="weight_decay of 0 or more", received=self.weight_decay)
        _require(0 <= self.dropout < 1, expected="dropout from 0 to below 1", received=self.dropout)
        _require(
            self.group_loss_weight >= 0, expected="group_loss_weight of 0 or more", received=self.group_loss_weight
        )
        _require(self.patience >= 1, expected="a patience of at least 1 epoch", received=self.patience)
        _require(
            self.ema_decay is None or 0 < self.ema_decay < 1,
            expected="ema_decay between 0 and 1 or none",
            received=self.ema_decay,
        )
        _require(0 <= self.kept_share < 1, expected="kept_share from 0 to below 1", received=self.kept_share)
        known = get_args(Trainable)
        _require(self.trainable in known, expected=f"trainable one of {', '.join(known)}", received=self.trainable)
        _require(
            self.trainable == "all" or self.augmentation.keeps_labels,
            expected="an augmentation that keeps labels where only the head learns",
            received=self.augmentation,
        )

    def size_in_epoch(self, epoch: int) -> int:
        """The side in pixels at which the network sees pictures in an epoch, counted from 1.

        It grows in steps of ``SIZE_STEP`` over the first ``GROWING_SHARE`` of the epochs; the last one is at full size.
        """
        if epoch == self.epochs:
            return self.network_size
        first = self.first_size or self.network_size
        sizes: list[int] = [*range(first, self.network_size, SIZE_STEP), self.network_size]
        done = (epoch - 1) / (GROWING_SHARE * self.epochs)
        return sizes[min(int(done * (len(sizes) - 1)), len(sizes) - 1)]

    def augmentation_in_epoch(self, epoch: int) -> AugmentationSpec:
        """What happens to the training pictures in an epoch, counted from 1."""
        if self.final_augmentation is None or self.epochs == 1:
            return self.augmentation
        return self.augmentation.moved_to(self.final_augmentation, share=(epoch - 1) / (self.epochs - 1))


DEFAULT_RECIPE: Final = "default"

_LIGHT: Final = AugmentationSpec(erase_share=0.15)
_DRAWN: Final = AugmentationSpec(
    outlier_share=0.05,
    worn_share=0.15,
    outline_share=0.02,
    edge_share=0.06,
    shoe_pair_share=0.05,
    shorts_share=0.02,
    # With 1 %, beside all the others, twice as many T-shirts were said to be bags in a short trial.
    backpack_share=0.003,
)

_DEFAULT: Final = Recipe(
    name=DEFAULT_RECIPE,
    description="Two networks of MobileNetV2 0.35 at 64 pixels, every layer trained, with what pictures in shops show",
    epochs=16,
    learning_rate=1e-3,
    patience=8,
    ema_decay=0.998,
    group_loss_weight=0.25,
    dropout=0.1,
    members=2,
    augmentation=AugmentationSpec(shop_share=0.25, erase_share=0.05, outlier_share=0.03),
    final_augmentation=AugmentationSpec(shop_share=0.05, erase_share=0.0, outlier_share=0.01),
)

RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            _DEFAULT,
            replace(
                _DEFAULT,
                name="drawn",
                description="As default, and what shops show and Fashion-MNIST has not is drawn to the last epoch: "
                "pairs of shoes, garments on people, shorts, skirts, backpacks, outlines, frames, things of no group",
                augmentation=replace(_DRAWN, shop_share=0.2, erase_share=0.05),
                final_augmentation=replace(_DRAWN, shop_share=0.05, erase_share=0.0),
            ),
            replace(
                _DEFAULT,
                name="continued",
                description="Two epochs more of an artefact's networks with what is drawn, and then the mean of the "
                "weights that they had and have",
                epochs=2,
                learning_rate=3e-4,
                kept_share=0.5,
                augmentation=replace(_DRAWN, shop_share=0.2, erase_share=0.05),
                final_augmentation=None,
            ),
            Recipe(
                name="frozen",
                description="MobileNetV2 0.35 at 96 pixels as ImageNet left it; a linear head on its features",
                network_size=96,
                epochs=40,
                batch_size=256,
                learning_rate=3e-3,
                weight_decay=1e-3,
                trainable="head",
                published_column="MobileNetV2, frozen",
                augmentation=NO_AUGMENTATION,
            ),
            Recipe(
                name="frozen-augmented",
                description="MobileNetV2 0.35 at 96 pixels as ImageNet left it; a linear head on features of three "
                "altered copies of each picture",
                network_size=96,
                epochs=20,
                batch_size=256,
                learning_rate=3e-3,
                weight_decay=1e-3,
                trainable="head",
                feature_copies=3,
                published_column="MobileNetV2, frozen, augmented",
                augmentation=_LIGHT,
            ),
            Recipe(
                name="all-layers",
                description="MobileNetV2 0.35 at 64 pixels, every layer trained, no shop pictures; 224 pixels would "
                "take hours on a CPU",
                epochs=8,
                learning_rate=1e-3,
                ema_decay=0.998,
                published_column="MobileNetV2, all layers trained",
                augmentation=_LIGHT,
            ),
            Recipe(
                name="compact",
                description="MobileNetV2 0.35 at 48 pixels, cut off in its 13th block; every layer trained",
                network_size=48,
                first_size=32,
                epochs=12,
                last_layer="block_13_expand_relu",
                published_column="SqueezeNet 1.1, all layers trained",
                augmentation=_LIGHT,
            ),
            Recipe(
                name="titles",
                description="A head for photographs on what the network in production saw, taught by titles of the "
                "catalogue that name one group; no network is trained, and canonical pictures keep their labels",
                epochs=1,
                trainable="titles",
                augmentation=NO_AUGMENTATION,
            ),
            Recipe(
                name="reviewed",
                description="Heads for photographs and titles on what the network in production saw, taught by "
                "people's labels in this catalogue; no network is trained, and canonical pictures keep their labels",
                epochs=1,
                trainable="reviewed",
                augmentation=NO_AUGMENTATION,
            ),
        )
    }
)


def get_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises ``ConfigurationError`` that lists the known names."""
    try:
        return RECIPES[name]
    except KeyError:
        raise ConfigurationError(f"expected a recipe out of {', '.join(RECIPES)}, received {name!r}") from None


def check_start(recipe: Recipe, *, weights: str) -> None:
    """Refuse a training that learns nothing worth keeping: a head on a backbone whose random weights stay as they are.

    ``weights`` is what the backbone starts from: "imagenet", "none" or a file. Raises ``ConfigurationError``.
    """
    if recipe.trainable == "head" and weights == NO_WEIGHTS:
        raise ConfigurationError(
            f"The recipe {recipe.name} trains a head alone and leaves the backbone as it is: expected weights that "
            "were trained, received none, which are random ones"
        )


def name_imagenet_file(alpha: float) -> str:
    """The name of Keras' file of the published weights, in its cache and where it is downloaded from."""
    return f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_224_no_top.h5"
