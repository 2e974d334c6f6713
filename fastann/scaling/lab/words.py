"""What things are called in pictures and sentences."""

from __future__ import annotations

OPTIMIZER_WORDS = {"sgd": "SGD", "nesterov": "Nesterov momentum", "adam": "Adam"}
BUDGET_WORDS = {"epochs": "equal epochs", "steps": "equal steps", "target": "until the target"}
_RULES = {
    "none": "unchanged",
    "linear": "linear",
    "sqrt": "square root",
    "sde-sqrt": "SDE square root",
    "saturating": "saturating",
}
RULE_WORDS = _RULES | {f"{rule}+warmup": f"{words}, warm-up" for rule, words in _RULES.items() if rule != "none"}


def percent(share: float) -> str:
    """Return a share with its sign, as a percentage; beyond tenfold as a factor.

    >>> percent(0.123), percent(-0.04), percent(11.0)
    ('+12 %', '-4.0 %', '12x')
    """
    if share >= 9:
        return f"{1 + share:,.0f}x"
    return f"{100 * share:+.0f} %" if abs(share) >= 0.095 else f"{100 * share:+.1f} %"


def listed(items: list[str]) -> str:
    """Return items as in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1] if items else "none"


def duration(seconds: float) -> str:
    """Return a time with a fitting unit.

    >>> duration(2.1e-6), duration(0.00018), duration(0.0034), duration(4.2), duration(200)
    ('2.1 us', '180 us', '3.4 ms', '4.2 s', '3.33 min')
    """
    for size, unit in ((60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"
