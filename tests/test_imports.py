"""Which way the packages depend on each other, that importing is light, and that the backends stay alike."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import fastann_kernels
import pytest

import fastann

PACKAGES = {"fastann": Path(fastann.__file__).parent, "fastann_kernels": Path(fastann_kernels.__file__).parent}

#: From the ground up: a part imports parts of its own level and of those below.
LEVELS = (
    {"errors", "optional", "random", "spec"},
    {"activations", "initializers", "layers", "losses", "metrics", "optimizers", "regularizers", "schedules", "utils"},
    {"lowering", "datasets", "evaluation", "preprocessing"},
    {"callbacks", "training"},
    {"models"},
    {"many"},
    {"io", "plots", "comparing", "finder", "units"},
    {"bench", "gallery", "scaling"},
    {"cli"},
)
LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}

#: Methods of a model that end in a part above it import that part when they are called.
UPWARD_WHEN_CALLED: dict[tuple[str, str], str] = {
    ("models", "io"): "Model.save, save_weights and load_weights write and read files",
    ("models", "scaling"): "Model.fit with batch_size='auto' asks for advice",
}

HEAVY = (
    "numba", "llvmlite", "jax", "jaxlib", "scipy", "sklearn", "matplotlib", "pandas", "polars", "pyarrow", "rich",
    "typer", "jinja2", "narwhals", "safetensors", "threadpoolctl",
)  # fmt: skip


class Import(NamedTuple):
    """One import: of `target`, in the function body of a module or (not `called`) at its top."""

    module: str
    target: str
    called: bool


def module_name(package: str, path: Path) -> str:
    parts = path.relative_to(PACKAGES[package]).with_suffix("").parts
    return ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts)))


@cache
def modules() -> dict[str, ast.Module]:
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            found[module_name(package, path)] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def _walk(module: str, node: ast.AST, called: bool) -> list[Import]:
    """Collect imports below `node`, leaving out those for type checkers only."""
    found: list[Import] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            found += [Import(module, alias.name, called) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module} imports relatively; the rest of the project does not"
            base = str(child.module)
            inside = {f"{base}.{alias.name}" for alias in child.names} & set(modules())
            found += [Import(module, target, called) for target in inside or {base}]
        else:
            found += _walk(module, child, called or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))
    return found


@cache
def imports() -> list[Import]:
    return [found for name, tree in modules().items() for found in _walk(name, tree, called=False)]


def part_of(module: str) -> str:
    """`fastann.layers.dense` belongs to `layers`."""
    return module.split(".")[1] if "." in module else ""


def test_the_kernels_know_nothing_of_the_network_api():
    assert [
        i for i in imports() if i.module.startswith("fastann_kernels") and i.target.split(".")[0] == "fastann"
    ] == []


@pytest.mark.parametrize(
    ("libraries", "folder"),
    [(("numba", "llvmlite"), "numba_backend"), (("jax", "jaxlib"), "jax_backend")],
)
def test_only_a_backend_imports_its_library(libraries, folder):
    own = f"fastann_kernels.{folder}"
    users = {i.module for i in imports() if i.target.split(".")[0] in libraries}
    assert users, "the walk found none: it is broken"
    # what is compared in benchmarks uses each library as its users do
    compared = "fastann.bench.contenders."
    assert [name for name in users if not f"{name}.".startswith((f"{own}.", compared))] == []


def test_nothing_else_reaches_into_a_backend():
    inner = ("fastann_kernels.numba_backend", "fastann_kernels.jax_backend")
    reached = {(i.module, i.target) for i in imports() if i.target.startswith(inner)}
    assert [(m, t) for m, t in reached if not m.startswith(".".join(t.split(".")[:2]))] == []


def test_every_part_has_a_level():
    parts = {part_of(name) for name in modules() if name.startswith("fastann.")} - {"__main__"}
    assert parts - set(LEVEL) == set()


def test_parts_import_downward_only():
    wrong = []
    for i in imports():
        here, there = part_of(i.module), part_of(i.target)
        inside = i.module.startswith("fastann.") and i.target.startswith("fastann.")
        if not inside or here == "__main__" or LEVEL[there] <= LEVEL[here]:
            continue
        if not (i.called and (here, there) in UPWARD_WHEN_CALLED):
            wrong.append(f"{i.module} -> {i.target}")
    assert wrong == []


def test_importing_is_light():
    """`import fastann` loads no library that takes long; nor does using everything but plots and the command."""
    script = f"import sys, fastann; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    assert run(script) == ""
    script = (
        "import sys, fastann\n"
        "for name in sorted(set(fastann.__all__) - {'plots'}): getattr(fastann, name)\n"
        "fastann.Sequential([fastann.Input((3,)), fastann.layers.Dense(2, 'relu')]).count_params()\n"
        "print(*({'numba', 'jax', 'sklearn', 'matplotlib', 'pandas', 'rich', 'typer'} & set(sys.modules)))"
    )
    assert run(script) == ""


def run(script: str) -> str:
    """Run a script in a new interpreter that finds the same packages, and return what it prints."""
    places = sorted({str(folder.parent) for folder in PACKAGES.values()})
    setup = f"import sys; sys.path[:0] = {places!r}\n"
    done = subprocess.run([sys.executable, "-c", setup + script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_is(package):
    silent = [name for name, tree in modules().items() if name.split(".")[0] == package and not ast.get_docstring(tree)]
    assert silent == []


#: Files of one backend alone: machinery that the other one gets from its library.
ONE_SIDED = {
    "numba_backend": {
        "arguments": "the table of what the epoch loop is given; JAX takes arrays",
        "blas": "calls the matrix multiplication of SciPy; JAX brings its own",
        "broadcasting": "loops that repeat short axes; jax.numpy broadcasts",
        "building": "compiles kernels in several processes; XLA compiles a program as a whole",
        "by_address": "calls machine code from within a kernel",
        "calls": "how an instruction reads the buffers of the epoch loop; JAX hands it arrays",
        "compiling": "makes machine code of kernels, with the settings that all share",
        "direct": "calls machine code at an address; XLA has its own",
        "early": "imports Numba without scipy.linalg",
        "elementary": "exp and tanh that vectorise; XLA has its own",
        "frame": "arrays at addresses by name; JAX hands them on",
        "halves": "rounds to bfloat16, which Numba has no type for",
        "layout": "where values lie in the buffers; XLA decides that",
        "machine_code": "keeps machine code on disk and loads it without Numba; JAX has a cache of its own",
        "measures": "losses and metrics that are called by address; JAX traces them",
        "operations": "instructions compiled on their own, called by address; JAX traces them",
        "patches": "the cells under a filter as a matrix; XLA convolves by itself",
        "panels": "parts of matrices copied in the order in which they are multiplied; XLA has its own way",
        "products": "products of matrices, written in LLVM's language; XLA has its own",
        "plan": "turns a program into tables of integers; JAX traces it",
        "shuffling": "shuffles as NumPy does, faster; beside a step of JAX NumPy's time does not count",
        "steps": "divides the optimizer's work among threads; XLA does",
        "team": "threads that share a batch; XLA has its own",
        "units": "the epoch loop in parts that are compiled alone; JAX traces a program as a whole",
        "vectors": "vector instructions, written in LLVM's language; XLA has its own",
        "walk": "walks over tables of integers; JAX traces the program",
        "windows": "where a window lies in an image; jax.lax slides it",
    },
    "jax_backend": {
        "context": "what an instruction knows of its batch; Numba hands over buffers, see `calls`",
        "eigen": "which library XLA multiplies with; Numba calls BLAS",
        "measuring": "deltas for the norms of gradients; Numba has them in its buffers",
        "passes": "steps cut into calls that are compiled alike; Numba's loop takes any number",
        "placing": "brings rows to the device; Numba reads them where they are",
        "precisions": "what XLA is asked for at each product; in Numba a precision is the type of the buffers",
        "records": "brings records from the device; Numba writes them where they are read",
        "states": "brings tensors to the device and back; Numba trains the host's vectors",
    },
}


def files(backend: str) -> set[str]:
    return {path.stem for path in (PACKAGES["fastann_kernels"] / backend).glob("*.py")}


def test_both_backends_have_the_same_files():
    numba, jax = files("numba_backend"), files("jax_backend")
    assert numba - jax <= set(ONE_SIDED["numba_backend"]), "say in ONE_SIDED why JAX needs no such file"
    assert jax - numba <= set(ONE_SIDED["jax_backend"]), "say in ONE_SIDED why Numba needs no such file"


#: Kernels whose parameters differ by the nature of the backend.
DIFFERENT = {
    "activate": "Numba's table holds the number of an activation, JAX is given its name",
    "update": "Numba loops over one flat vector, JAX over tensors",
    **dict.fromkeys(
        ("conv2d", "depthwise_conv2d", "max_pool2d", "average_pool2d", "pad2d"),
        "Numba's kernel takes flat arrays and a geometry, JAX's the instruction",
    ),
}


def kernels(backend: str, file: str) -> dict[str, list[str]]:
    tree = modules()[f"fastann_kernels.{backend}.{file}"]
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    return {node.name: [a.arg for a in (*node.args.posonlyargs, *node.args.args)] for node in functions}


@pytest.mark.parametrize("file", sorted((files("numba_backend") & files("jax_backend")) - {"__init__", "executor"}))
def test_kernels_of_one_name_begin_with_the_same_parameters(file):
    numba, jax = kernels("numba_backend", file), kernels("jax_backend", file)
    shared = sorted(set(numba) & set(jax) - set(DIFFERENT))
    for name in shared:
        count = min(2, len(numba[name]), len(jax[name]))
        assert numba[name][:count] == jax[name][:count], f"{file}.{name}"
