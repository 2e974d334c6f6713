"""The contract between the network API and the backends: what a `Program` is.

A `Program` describes one network with its losses, metrics and update rule as plain, hashable data. It holds no
arrays, no learning rates and no penalties: whatever a user may change between two epochs is a run-time argument (see
`fastann_kernels.backend.Steps`), so that a backend may compile a program once and keep it.

Letters used for sizes: B rows of a batch, P length of the flat parameter vector, S number of slots of the update rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod

Attribute = str | int | float | bool

#: Element-wise activations, and two that work on the last axis. Their order is their code in tables: append only.
ACTIVATIONS = (
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus", "softsign", "hard_sigmoid",
    "sigmoid", "tanh", "exponential", "softmax", "log_softmax", "relu6",
)  # fmt: skip

#: The number an activation takes, by name; it is the attribute `alpha` of an instruction.
ACTIVATION_ALPHA = {"leaky_relu": 0.2, "elu": 1.0, "relu": 0.0}

#: Loss operations, each a value per row; all but `callable` are also metric operations. Order as above: append only.
LOSSES = (
    "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error",
    "half_squared_error", "huber", "log_cosh", "binary_crossentropy", "categorical_crossentropy",
    "sparse_categorical_crossentropy", "hinge", "squared_hinge", "categorical_hinge", "kl_divergence", "poisson",
    "cosine_similarity",
)  # fmt: skip

#: Metric operations beside the losses. Their codes follow those of the losses: append only.
METRICS = (
    "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy", "top_k_categorical_accuracy",
    "sparse_top_k_categorical_accuracy", "accuracy",
)  # fmt: skip

#: Targets that are integer class labels, one column a row, instead of one column a class.
SPARSE = frozenset(
    {"sparse_categorical_crossentropy", "sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy"}
)

#: Instructions. `reshape` moves no data. Order as above: append only.
OPERATIONS = (
    "dense", "activation", "dropout", "reshape",
    "add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate", "scale", "normalize", "prelu",
    "batch_norm", "layer_norm", "gaussian_noise", "activity_penalty", "embedding",
    "conv2d", "depthwise_conv2d", "max_pool2d", "average_pool2d", "pad2d", "random_flip", "random_affine",
)  # fmt: skip

#: Update rules with the columns of `Steps.coefficients` that follow the common ones, and their slots in order.
UPDATES: dict[str, tuple[str, ...]] = {
    "sgd": ("lr", "momentum", "carried"),
    "rmsprop": ("lr", "rho", "momentum", "epsilon"),
    "adagrad": ("lr", "epsilon"),
    "adam": ("alpha", "beta_1", "beta_2", "epsilon"),
    "nadam": ("lr", "beta_1", "beta_2", "epsilon", "m_scale", "g_scale", "v_scale"),
    "adamax": ("alpha", "beta_1", "beta_2", "epsilon"),
    "lion": ("lr", "beta_1", "beta_2"),
}

#: The first columns of `Steps.coefficients`, whatever the rule.
COMMON_COEFFICIENTS = ("decay", "clipvalue", "clipnorm", "global_clipnorm", "ema_momentum", "ema_overwrite")


@dataclass(frozen=True)
class Value:
    """One array of the program, shape (B, *shape); `shape` leaves the batch out."""

    shape: tuple[int, ...]

    @cached_property
    def size(self) -> int:
        """Elements a row."""
        return prod(self.shape)


@dataclass(frozen=True)
class Parameter:
    """One tensor in the flat parameter vector, at [offset, offset + size), C order; kernels are (in, out).

    `decay` says whether decoupled weight decay applies, `penalized` whether an L1 or L2 penalty may be non-zero
    (its size is the run-time argument `Steps.penalties`).
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    trainable: bool = True
    decay: bool = True
    penalized: bool = False

    @cached_property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Instruction:
    """One operation: values read, the value written, parameters used and constants.

    | op | inputs, params | attributes |
    |---|---|---|
    | dense | x (..., I); kernel (I, O), bias (O,) if `use_bias` | use_bias; activation (no softmax), alpha |
    | activation | x | activation, alpha |
    | dropout | x | rate in [0, 1), stream: the number folded into the key |
    | reshape | x | none |
    | add, multiply, average, maximum, minimum | two or more of one rank; axes of length 1 are repeated | none |
    | subtract | two, likewise | none |
    | concatenate | two or more | axis: of a row, 0 is the first behind the batch |
    | scale | x | scale, offset |
    | normalize | x (..., C); mean, variance (C,) | epsilon, invert |
    | prelu | x; slopes of x's rank, axes of length 1 are shared | none |
    | batch_norm | x (..., C); gamma if `scale`, beta if `center`, moving_mean, moving_variance, (C,) | momentum,
      epsilon, scale, center, frozen |
    | layer_norm | x; gamma if `scale`, beta if `center`, of the last `axes` axes | axes, epsilon, scale, center |
    | gaussian_noise | x | stddev, stream |
    | activity_penalty | x | l1, l2 |
    | embedding | x: whole numbers; table (V, D) | none |
    | conv2d | x (H, W, I); kernel (kh, kw, I / groups, O), bias (O,) if `use_bias` | use_bias, groups, stride_h,
      stride_w, dilation_h, dilation_w, pad_top, pad_left |
    | depthwise_conv2d | x (H, W, I); kernel (kh, kw, I, M), bias (I M,) if `use_bias` | as conv2d without groups |
    | max_pool2d, average_pool2d | x (H, W, C) | pool_h, pool_w, stride_h, stride_w, pad_top, pad_left |
    | pad2d | x (H, W, C) | pad_top, pad_left |
    | random_flip | x (H, W, C) | horizontal, vertical, stream |
    | random_affine | x (H, W, C) | angle_low, angle_high, shift_h_low, ..., see below, stream |

    `dense` works on the last axis: z = x @ W + b, output f(z).

    scale: y = scale x + offset.
    normalize: y = (x - mean) / s with s = max(sqrt(variance), epsilon); with `invert` the way back, y = mean + s x.
    prelu: y = x where x > 0, slope x elsewhere.

    batch_norm: y = gamma (x - mean) / sqrt(var + epsilon) + beta. In training mean and (biased) var are those of the
    batch, over all axes but the last, and afterwards moving <- momentum moving + (1 - momentum) batch; otherwise, and
    when `frozen`, they are the moving ones. The moving values change only in steps whose update is made.
    layer_norm: the same over the last `axes` axes of each row, with statistics of the row.

    gaussian_noise, in training: y = x + stddev n. From bits[2 i] and bits[2 i + 1] for flat index i of (B, *shape):
    u = ((bits >> 9) + 0.5) 2^-23 for both, n = sqrt(-2 ln u_0) cos(2 pi u_1).

    activity_penalty: y = x; the batch's loss += (l1 sum |x| + l2 sum x^2) / B (training and evaluation), B the rows
    of the batch, as in Keras 3.

    conv2d: y[p, q, o] = b[o] + sum_{i, j, c} W[i, j, c, o] x[p stride_h + i dilation_h - pad_top, q stride_w + ...
    - pad_left, c], cells outside x being 0; the cells past the bottom and right follow from the output's shape. Output
    channels [g O / groups, (g + 1) O / groups) read input channels [g I / groups, (g + 1) I / groups).
    depthwise_conv2d: the same with y[p, q, c M + m] = sum_{i, j} W[i, j, c, m] x[..., c].
    max_pool2d: the largest cell of the window that lies inside x; its first one in reading order gets the gradient.
    average_pool2d: the mean of the cells of the window that lie inside x.
    pad2d: zeros around x; bottom and right follow from the output's shape.

    random_flip, in training: row r is flipped left-right if `horizontal` and bits[2 r] < 2^31, up-down if `vertical`
    and bits[2 r + 1] < 2^31.
    random_affine, in training: five numbers low + u_k (high - low) with u_k = (bits[8 r + k] >> 8) 2^-24 are drawn for
    row r: the angle a in radians (attributes angle_low, angle_high), shifts s_h, s_w in cells (shift_h_low, ...) and
    zooms z_h, z_w (zoom_h_low, ...; z_w = z_h with `zoom_square`), in this order. Output cell (p, q) is read at
        (p', q') = c + R (z_h (p - c_h), z_w (q - c_w)) - (s_h, s_w),  R = [[cos a, sin a], [-sin a, cos a]]
    with c the centre ((H - 1) / 2, (W - 1) / 2), by `interpolation` "bilinear" or "nearest"; `fill` says what lies
    outside: "constant" (`fill_value`), "nearest" (edge repeated), "reflect" (edge repeated once: d c b a | a b c d |
    d c b a) or "wrap".
    """

    op: str
    inputs: tuple[int, ...]
    output: int
    params: tuple[int, ...] = ()
    attributes: tuple[tuple[str, Attribute], ...] = ()

    def get(self, name: str, default: Attribute = 0) -> Attribute:
        """Return the attribute `name`, or `default` where the instruction has none."""
        for key, value in self.attributes:
            if key == name:
                return value
        return default


@dataclass(frozen=True)
class Loss:
    """One loss: a value per row from a prediction and its target, averaged over the batch.

    loss of a batch = weight * sum_i w_i l_i / (B * positions), the sum over rows and, where the prediction has
    leading axes besides B, over those positions too; w_i the sample weights (1 if none are given).

    Attributes:
        op: a name of `LOSSES`, or "callable".
        prediction: the value that metrics and `predict` see.
        logits: the value that the loss works on and the gradient enters, or -1. With logits >= 0 the crossentropies
            are computed from logits (log-sum-exp, softplus): nothing is clipped and nothing overflows. If it differs
            from `prediction`, the instruction that makes the prediction (softmax or sigmoid) has no backward pass of
            its own. With logits == -1 they are computed from probabilities, clipped to [1e-7, 1 - 1e-7], rows of the
            categorical one first divided by their sum.
        column: first column of the target in the packed target matrix.
        target_shape: shape of the target, batch left out; () for sparse labels of a (B, K) prediction.
        weight: the entry of `loss_weights`.
        weight_column: column of the sample weights.
        delta: Huber's threshold. smoothing: label smoothing (y (1 - s) + s / K; binary: y (1 - s) + s / 2).
        function: for op "callable", f(y_true, y_pred) -> loss per row; JAX only.
    """

    op: str
    prediction: int
    logits: int = -1
    column: int = 0
    target_shape: tuple[int, ...] = ()
    weight: float = 1.0
    weight_column: int = 0
    delta: float = 1.0
    smoothing: float = 0.0
    axis: int = -1
    function: Callable[..., object] | None = None

    @property
    def sparse(self) -> bool:
        return self.op in SPARSE


@dataclass(frozen=True)
class Metric:
    """One streaming mean: sum of w_i m_i and sum of w_i over all positions of a batch (w_i = 1 unless `weighted`).

    Metrics see `prediction`, after softmax or sigmoid, unless the model itself ends in logits. `logits` >= 0 marks a
    crossentropy computed from that value, as in `Loss`. `threshold` belongs to binary_accuracy (p > threshold), `k`
    to the top-k ones; `delta` and `smoothing` as in `Loss`.
    """

    op: str
    prediction: int
    logits: int = -1
    column: int = 0
    target_shape: tuple[int, ...] = ()
    weighted: bool = False
    weight_column: int = 0
    threshold: float = 0.5
    k: int = 5
    delta: float = 1.0
    smoothing: float = 0.0

    @property
    def sparse(self) -> bool:
        return self.op in SPARSE


@dataclass(frozen=True)
class UpdateRule:
    """How gradients change parameters; the numbers come with each step as a row of coefficients.

    Attributes:
        op: a key of `UPDATES`.
        slots: initial value of each state vector, so len(slots) == S. Order:
            sgd: momentum v (only with flag "momentum"); rmsprop: v, then momentum buffer (flag "momentum"), then mean
            gradient (flag "centered"); adagrad: accumulator; adam, nadam, adamax: m, v (u), then v_hat (flag
            "amsgrad"); lion: m. With flag "ema" the last slot is the moving average of the weights.
        flags: sorted subset of: amsgrad, centered, clipnorm, clipvalue, decay, ema, global_clipnorm, momentum,
            nesterov.

    One step, over trainable tensors only (Keras 3's formulas and order):
        1. g <- gradient of loss + penalties
        2. clipnorm: g <- g * min(1, c / ||g||) for each tensor; global_clipnorm: the same with the norm over all
           tensors; clipvalue: g <- clip(g, -c, c)
        3. decay: w <- w - w * decay where the parameter says so (decay = learning rate * weight_decay)
        4. the rule:
            sgd       v <- carried v - lr g;  w <- w + v;  nesterov: w <- w + momentum v - lr g
                      without momentum: w <- w - lr g;  carried is momentum, but where a change of lr is corrected for
            rmsprop   v <- rho v + (1 - rho) g^2;  d = v + eps
                      centered: a <- rho a + (1 - rho) g, d = v - a^2 + eps
                      u = lr g / sqrt(d);  momentum: b <- momentum b + u, w <- w - b, else w <- w - u
            adagrad   a <- a + g^2;  w <- w - lr g / sqrt(a + eps)
            adam      m <- m + (1 - beta_1)(g - m);  v <- v + (1 - beta_2)(g^2 - v)
                      w <- w - alpha m / (sqrt(v) + eps);  amsgrad: with v_hat <- max(v_hat, v) for v
            nadam     m, v as adam;  w <- w - lr (m_scale m + g_scale g) / (sqrt(v_scale v) + eps)
            adamax    m as adam;  u <- max(beta_2 u, |g|);  w <- w - alpha m / (u + eps)
            lion      w <- w - lr sign(beta_1 m + (1 - beta_1) g);  m <- beta_2 m + (1 - beta_2) g
        5. ema: e <- ema_momentum e + (1 - ema_momentum) w;  ema_overwrite != 0: w <- e
    Bias corrections are inside the coefficients (alpha, m_scale, ...), computed once on the host in float64.
    """

    op: str
    slots: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of `Steps.coefficients`."""
        return COMMON_COEFFICIENTS + UPDATES[self.op]


@dataclass(frozen=True)
class Program:
    """A network, lowered: instructions in order of execution over numbered values and one flat parameter vector.

    Inputs are packed side by side in one row: input i reads the next `values[inputs[i]].size` columns of the data
    matrix. `outputs` are what `predict` returns, packed likewise. `update` is None for a model that is not compiled
    for training.
    """

    values: tuple[Value, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    instructions: tuple[Instruction, ...]
    parameters: tuple[Parameter, ...]
    losses: tuple[Loss, ...] = ()
    metrics: tuple[Metric, ...] = ()
    update: UpdateRule | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(tuple(getattr(self, f) for f in self.__dataclass_fields__)))

    def __hash__(self) -> int:
        return self._hash  # type: ignore[attr-defined, no-any-return]

    @cached_property
    def parameter_count(self) -> int:
        """P, the length of the flat vector."""
        return sum(p.size for p in self.parameters)

    @cached_property
    def input_columns(self) -> int:
        return sum(self.values[i].size for i in self.inputs)

    @cached_property
    def output_columns(self) -> int:
        return sum(self.values[i].size for i in self.outputs)

    @cached_property
    def target_columns(self) -> int:
        return max((loss.column + prod(loss.target_shape) for loss in self.losses), default=0)

    @cached_property
    def multiplications(self) -> int:
        """Multiplications with weights that one row takes on its way forward: what measures the work of a step."""
        total = 0
        for i in self.instructions:
            if i.op in ("dense", "conv2d", "depthwise_conv2d"):
                kernel = self.parameters[i.params[0]]
                total += self.values[i.output].size // self.values[i.output].shape[-1] * kernel.size
        return total

    @cached_property
    def fused(self) -> frozenset[int]:
        """Values whose producing activation is differentiated inside a loss."""
        return frozenset(x.prediction for x in self.losses if x.logits >= 0 and x.logits != x.prediction)
