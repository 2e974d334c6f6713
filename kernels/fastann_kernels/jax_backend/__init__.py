"""The JAX backend: a `Program` traced into one jitted `lax.scan` over batches, for CPU, GPU and TPU."""

from __future__ import annotations

from fastann_kernels.jax_backend.executor import JaxBackend, JaxExecutor

backend = JaxBackend()

__all__ = ["JaxBackend", "JaxExecutor", "backend"]
