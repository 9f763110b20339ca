"""The operations of which a tagger may be made: arithmetic, shapes, control flow, reading of its own variables.

A SavedModel is a program. What is not here is refused, so that an operation which a later TensorFlow adds is refused as well.
None of these reaches a file, a network, a process, a table or a clock, prints, draws random numbers or changes a variable.
"""

_ELEMENTWISE = """
Abs Acos Acosh Add AddN AddV2 Asin Asinh Atan Atan2 Atanh Betainc Cast Ceil ClipByValue Cos Cosh Digamma Div DivNoNan Erf Erfc
Erfinv Exp Expm1 Floor FloorDiv FloorMod Igamma Igammac Inv IsFinite IsInf IsNan Lgamma Log Log1p Maximum Minimum Mod Mul
MulNoNan Neg NextAfter Pow RealDiv Reciprocal Rint Round Rsqrt Sigmoid Sign Sin Sinh Sqrt Square SquaredDifference Sub Tan
Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy
"""
_LOGIC = """
All Any ApproximateEqual BitwiseAnd BitwiseOr BitwiseXor Equal Greater GreaterEqual Invert LeftShift Less LessEqual LogicalAnd
LogicalNot LogicalOr NotEqual RightShift Select SelectV2
"""
_NETWORKS = """
AvgPool AvgPool3D BiasAdd BiasAddV1 Conv Conv2D Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 DepthwiseConv2dNative
DepthwiseConv2dNativeBackpropInput Elu FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 L2Loss LRN LeakyRelu LogSoftmax
MaxPool MaxPool3D MaxPoolV2 Relu Relu6 ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor Selu Softmax Softplus
Softsign
"""
_LINEAR_ALGEBRA = """
Angle BatchMatMul BatchMatMulV2 BatchMatMulV3 Cholesky Complex ComplexAbs Conj Cross Diag DiagPart Einsum FFT FFT2D IFFT
IFFT2D IRFFT IRFFT2D Imag LogMatrixDeterminant Lu MatMul MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart
MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixInverse MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3
MatrixSolve MatrixTriangularSolve Qr RFFT RFFT2D Real SelfAdjointEigV2 Svd
"""
_REDUCTIONS = """
ArgMax ArgMin Bincount Bucketize Cumprod Cumsum CumulativeLogsumexp DenseBincount EuclideanNorm Max Mean Min Prod SegmentMax
SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2 SegmentSum SegmentSumV2 Sum TopK TopKV2
UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum
"""
_SHAPES = """
BatchToSpaceND Bitcast BroadcastArgs BroadcastTo CheckNumerics Concat ConcatV2 Const DepthToSpace EnsureShape ExpandDims Fill
Gather GatherNd GatherV2 Identity IdentityN InvertPermutation LinSpace LowerBound MirrorPad OneHot OnesLike Pack Pad PadV2
PlaceholderWithDefault PreventGradient Range Rank Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd
ScatterNdNonAliasingAdd Shape ShapeN Size Slice SpaceToBatchND SpaceToDepth Split SplitV Squeeze StopGradient StridedSlice
TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate Tile Transpose Unique UniqueV2 Unpack
UpperBound Where ZerosLike
"""
_CONTROL = """
Case If NoOp PartitionedCall StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile While EmptyTensorList
TensorListConcat TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem
TensorListLength TensorListPopBack TensorListPushBack TensorListReserve TensorListResize TensorListScatter
TensorListScatterIntoExistingList TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack
"""
_VARIABLES = "DisableCopyOnRead ReadVariableOp ResourceGather ResourceGatherNd"

PURE = frozenset(
    " ".join((_ELEMENTWISE, _LOGIC, _NETWORKS, _LINEAR_ALGEBRA, _REDUCTIONS, _SHAPES, _CONTROL, _VARIABLES)).split()
)
# Outside functions a SavedModel declares its inputs and variables; TensorFlow 2 runs none of that when it loads.
DECLARATIONS = frozenset(("AssignVariableOp", "Placeholder", "VarHandleOp", "VarIsInitializedOp"))
# The two functions with which TensorFlow writes and reads the variables themselves; loading calls neither.
SAVER = frozenset(
    ("AssignVariableOp", "MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename", "StaticRegexFullMatch", "StringJoin")
)
