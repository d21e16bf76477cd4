"""The schema of a network: its layers with the values of fields that a layer leaves out, or a class of the user's."""

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from src.config.section import PER_MEMBER, Section
from src.config.shapes import ConvPool, Dense, LayerShape, ShapeError, Tied, chain, same_padding

if TYPE_CHECKING:
    from src.config.data import DataConfig

Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "prelu", "rrelu"]
Pooling = Literal["max", "l2", "avg", "none"]
Padding = Literal["same"] | Annotated[int, Field(ge=0)]
Norm = Literal["none", "batch", "group"]
NORMS_OVER_EXAMPLES: tuple[str, ...] = (
    "batch",
)  # norms that need at least two values of each map or unit in a mini-batch
# The tasks that train one layer with tied weights, and the activations of its units that they accept.
TIED_ACTIVATIONS: dict[str, tuple[str, ...]] = {"reconstruct": ("sigmoid", "tanh", "relu"), "contrast": ("sigmoid",)}
PartName = Literal["norm", "activation", "pool"]
Initialisation = Literal["chapter", "fan_in", "he", "glorot"]


class ConvLayer(Section):
    """One convolution with its parts; a field that is left out has the model's value, but dropout is then 0."""

    conv: int = Field(ge=1)  # feature maps
    field: int | None = Field(None, ge=1)
    stride: int | None = Field(None, ge=1)
    padding: Padding | None = None
    norm: Norm | None = None
    groups: int | None = Field(None, ge=1)
    activation: Activation | None = None
    pool: Pooling | None = None
    pool_size: int | None = Field(None, ge=1)
    pool_stride: int | None = Field(None, ge=1)
    bias: bool | None = None
    order: list[PartName] | None = None
    dropout: float | None = Field(None, ge=0, lt=1)  # of each value that goes into the layer


class FcLayer(Section):
    """One fully connected layer; a field that is left out has the model's value."""

    fc: int = Field(ge=1)  # units
    norm: Norm | None = None
    groups: int | None = Field(None, ge=1)
    activation: Activation | None = None
    bias: bool | None = None
    dropout: float | None = Field(None, ge=0, lt=1)  # of the layer's inputs


def _layer_kind(value: Any) -> str | None:
    keys = set(value) if isinstance(value, dict) else {"conv" if isinstance(value, ConvLayer) else "fc"}
    return next((kind for kind in ("conv", "fc") if kind in keys), None)


Layer = Annotated[
    Annotated[ConvLayer, Tag("conv")] | Annotated[FcLayer, Tag("fc")],
    Discriminator(
        _layer_kind,
        custom_error_type="layer",
        custom_error_message="must be a layer such as {conv: 20, field: 5, pool: max} or {fc: 100, activation: relu}",
    ),
]


def _dotted(name: str) -> str:
    if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", name) is None:
        raise ValueError
    return name


def _plain(value: Any) -> Any:
    """`value`, if it consists of what JSON can hold. Raises ValueError."""
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError


class ModelConfig(Section):
    """The layers before the softmax: `maps` and `hidden` in short, or any list in `layers`; or a class in `target`."""

    # The user's own network: a class of torch.nn.Module, by its dotted name, that takes a mini-batch of inputs
    # (B, *example) and gives outputs (B, outputs). It replaces all fields below but `start`.
    target: Annotated[str, AfterValidator(_dotted)] | None = None
    args: Annotated[dict[str, Any], AfterValidator(_plain)] = Field({})  # the keyword arguments that build it
    per_member: list[str] = Field([])  # those of `args` that may differ in a stack, as they change no shape

    maps: list[Annotated[int, Field(ge=1)]] = Field([])  # feature maps of each convolution
    hidden: list[Annotated[int, Field(ge=1)]] = Field([])  # units of each fully connected layer
    layers: list[Layer] | None = None  # replaces maps and hidden
    activation: Activation = "sigmoid"
    field: int = Field(5, ge=1)  # side of the local receptive field, pixels
    stride: int = Field(1, ge=1)
    padding: Padding = 0  # pixels of zeros on each side of a convolution's input; same: half the field, which is odd
    norm: Norm = "none"
    groups: int | None = Field(None, ge=1)  # norm=group; None: up to 8 of four maps or units or more
    pool: Pooling = "max"
    pool_size: int = Field(2, ge=1)
    pool_stride: int | None = Field(None, ge=1)  # None: pool_size
    bias: bool = True  # whether layers before the softmax have biases
    order: list[PartName] | None = None  # behind a convolution; None: norm, activation, pool; [N6]'s without a norm
    init: Initialisation = "chapter"
    start: str | None = Field(
        None, min_length=1
    )  # folder of a run whose weights are the initial ones, as far as they fit
    dropout: float = Field(0.0, ge=0, lt=1, json_schema_extra=PER_MEMBER)  # inputs of every fully connected layer
    dropout_convention: Literal["chapter", "inverted"] = "chapter"

    def all_layers(self) -> list[ConvLayer | FcLayer]:
        """The layers before the softmax, in order; fields that they leave out are None."""
        if self.layers is not None:
            return list(self.layers)
        return [*(ConvLayer(conv=maps) for maps in self.maps), *(FcLayer(fc=units) for units in self.hidden)]

    def shapes(self, data: "DataConfig", task: str = "classify") -> list[LayerShape]:
        """Every layer with its sizes, the softmax last; the one tied layer for tasks that train one; [] for a class.

        Raises ShapeError where a layer does not fit its input or the task.
        """
        if self.target is not None:
            return []
        plan = [self._shape(number, layer) for number, layer in enumerate(self.all_layers(), start=1)]
        image = data.channels, data.height, data.width
        if task in TIED_ACTIVATIONS:
            return chain(image, [self._tied(plan, task)])
        return chain(image, [*plan, Dense(outputs=data.outputs(task), activation="none")])

    def _tied(self, plan: list[LayerShape], task: str) -> Tied:
        """The only layer of a task with tied weights."""
        if len(plan) != 1 or not isinstance(plan[0], Dense):
            raise ShapeError(
                f"task={task} trains one fully connected layer, not {len(plan)} layer{'s' if len(plan) != 1 else ''}"
                f"{' with a convolution' if any(isinstance(one, ConvPool) for one in plan) else ''}; accepted: "
                "model.maps=[] and one number in model.hidden, such as [500]"
            )
        layer, accepted = plan[0], TIED_ACTIVATIONS[task]
        if layer.activation not in accepted:
            raise ShapeError(
                f"activation = {layer.activation!r}: units of task={task} have another one; accepted: "
                f"{', '.join(accepted)}"
            )
        if layer.norm != "none" or not layer.bias or any(self.dropouts_by_layer()):
            raise ShapeError(f"task={task} has neither norm nor dropout, and always biases; accepted: without them")
        return Tied(outputs=layer.outputs, activation=layer.activation)

    def _shape(self, number: int, layer: ConvLayer | FcLayer) -> LayerShape:
        """The shape of a layer, with the model's values for the fields that it leaves out."""

        def value(key: str) -> Any:
            own = getattr(layer, key)
            return getattr(self, key) if own is None else own

        both = {key: value(key) for key in ("activation", "norm", "groups", "bias")}
        if isinstance(layer, FcLayer):
            return Dense(outputs=layer.fc, **both)
        field, padding, order, pool = (value(key) for key in ("field", "padding", "order", "pool"))
        pool_size = 1 if pool == "none" else value("pool_size")
        pool_stride = 1 if pool == "none" else value("pool_stride") or pool_size
        return ConvPool(
            maps=layer.conv,
            field=field,
            stride=value("stride"),
            padding=same_padding(number, field) if padding == "same" else padding,
            pool="none" if pool in ("max", "avg") and pool_size == pool_stride == 1 else pool,
            pool_size=pool_size,
            pool_stride=pool_stride,
            order=None if order is None else tuple(order),
            dropout=layer.dropout or 0.0,
            **both,
        )

    def dropouts(self) -> list[float]:
        """Dropout probability of the inputs of every fully connected layer, the softmax last."""
        kinds = [*map(type, self.all_layers()), None]
        return [p for kind, p in zip(kinds, self.dropouts_by_layer(), strict=True) if kind is not ConvLayer]

    def dropouts_by_layer(self) -> list[float]:
        """Dropout probability of the inputs of every layer, the softmax last; a convolution that says nothing has 0."""
        usual = {ConvLayer: 0.0, FcLayer: self.dropout}
        own = [usual[type(layer)] if layer.dropout is None else layer.dropout for layer in self.all_layers()]
        return [*own, self.dropout]
