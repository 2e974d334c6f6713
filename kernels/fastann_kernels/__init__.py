"""The machines that run fastann's programs: one instruction set, one implementation for Numba and one for JAX.

This package knows nothing of layers, models or callbacks; see `fastann_kernels.program` for what it runs and
`fastann_kernels.backend` for how it is called.
"""
