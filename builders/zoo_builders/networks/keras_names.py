"""Names that Keras itself knows, Keras 2 or Keras 3, so that others are known to be somebody's own.

A test holds them against the two packages.
"""

from zoo_builders.networks.keras_flat import MODELS, WRAPPERS

_SIZED = """
AdaptiveAveragePooling AdaptiveMaxPooling AveragePooling AvgPool Conv ConvLSTM ConvTranspose
Convolution Cropping DepthwiseConv GlobalAveragePooling GlobalAvgPool GlobalMaxPool
GlobalMaxPooling LocallyConnected MaxPool MaxPooling SeparableConv SeparableConvolution
SpatialDropout UpSampling ZeroPadding
"""

_PLAIN = """
Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention AugMix AutoContrast
Average BatchNormalization Bidirectional CategoryEncoding CenterCrop Concatenate
ContrastLimitedAdaptiveHistogramEqualization CutMix Dense DenseFeatures Discretization Dot Dropout
ELU EinsumDense Embedding Equalization Flatten GRU GRUCell GaussianDropout GaussianNoise
GroupNormalization GroupQueryAttention GroupedQueryAttention
HashedCrossing Hashing Identity InputLayer IntegerLookup LSTM
LSTMCell Lambda LayerNormalization LeakyReLU Masking MaxNumBoundingBoxes Maximum MelSpectrogram
Minimum MixUp MultiHeadAttention Multiply Normalization PReLU Permute Pipeline RMSNormalization RNN
RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHeight
RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation
RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling
Reshape Resizing ReversibleEmbedding STFTSpectrogram SimpleRNN SimpleRNNCell Softmax Solarization
SpectralNormalization StackedRNNCells StringLookup Subtract SyncBatchNormalization
TextVectorization ThresholdedReLU TimeDistributed UnitNormalization
QuantizeLayer TFOpLambda TensorFlowOpLayer SlicingOpLambda
"""


def _sizes(name: str) -> tuple[str, ...]:
    """Spell a layer for one, two and three dimensions; `Transpose` stands behind the number."""
    stem, end = (
        (name.removesuffix("Transpose"), "Transpose") if name.endswith("Transpose") else (name, "")
    )
    return tuple(f"{stem}{size}D{end}" for size in (1, 2, 3))


LAYERS = (
    frozenset(_PLAIN.split())
    | {spelled for name in [*_SIZED.split(), "ConvolutionTranspose"] for spelled in _sizes(name)}
    | MODELS
    | frozenset(WRAPPERS)
)
"""Classes of layers, with those that TFMOT wraps around them."""

_ALIKE = """
elu exponential gelu leaky_relu linear log_softmax mish relu relu6 selu sigmoid silu softmax
softplus softsign swish tanh
"""

_OF_KERAS_3 = """
celu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh log_sigmoid soft_shrink sparse_plus
sparse_sigmoid sparsemax squareplus tanh_shrink threshold
"""

OF_KERAS_3 = frozenset(_OF_KERAS_3.split())
"""Activations that Keras 2 lacks, or computes in another way (measured: hard_sigmoid)."""

ACTIVATIONS = frozenset(_ALIKE.split()) | OF_KERAS_3
"""Activations by name."""
