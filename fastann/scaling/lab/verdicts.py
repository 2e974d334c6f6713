"""What held and what did not, in words: every sentence from numbers with intervals, or "cannot tell"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, takewhile

from fastann.scaling.lab.findings import MARGINS, Findings, OptimizerFindings
from fastann.scaling.lab.fits import best_batch
from fastann.scaling.lab.intervals import Estimate
from fastann.scaling.lab.words import OPTIMIZER_WORDS, RULE_WORDS, duration, listed, percent

YES, NO, UNKNOWN = "yes", "no", "cannot tell"


@dataclass(frozen=True)
class Verdict:
    """A question, its answer ("yes", "no", "in part" or "cannot tell") and the numbers behind it."""

    question: str
    answer: str
    sentence: str


def verdicts(findings: Findings) -> list[Verdict]:
    """Return what the lab has to say."""
    found: list[Verdict] = []
    for name, one in findings.optimizers.items():
        found.append(_regimes(findings, one))
        found += _rule_below(findings, one, "linear" if name != "adam" else "sqrt")
        found.append(_exponent(one))
    found += [_sqrt_against_linear(one) for one in findings.optimizers.values()]
    found += [_furthest(findings, one) for one in findings.optimizers.values()]
    found += [_warmup(one) for one in findings.optimizers.values() if one.edges is not None]
    found += [_noise(findings, one) for one in findings.optimizers.values() if one.noise]
    found += _order(findings)
    found += [_quality(findings, one) for one in findings.optimizers.values()]
    found += [_time(findings, one) for one in findings.optimizers.values()]
    return found


def _finite(estimate: Estimate) -> bool:
    return all(math.isfinite(v) for v in (estimate.value, estimate.low, estimate.high))


def _regimes(findings: Findings, one: OptimizerFindings) -> Verdict:
    """Three regimes: slope -1, a bend inside the range, and a slope near 0 (Shallue et al. 2018)."""
    reach, sizes = one.reaches[1], findings.batch_sizes
    question = f"{OPTIMIZER_WORDS[one.name]}: are there the three regimes of perfect, diminishing and no more scaling?"
    if not _finite(reach.b_crit):
        return Verdict(question, UNKNOWN, f"Too few trainings reach loss {reach.target:g} to fit a critical batch.")
    parts = [
        f"The critical batch for loss {reach.target:g} is {reach.b_crit}, with S_min = {reach.s_min} steps "
        f"(the fit misses the medians by {100 * reach.residual:.0f} % at the root mean square)."
    ]
    small = _slope_sentence(reach.slope_small, reach.small, "small")
    large = _slope_sentence(reach.slope_large, reach.large, "large")
    perfect = reach.slope_small is not None and reach.slope_small.low >= -1.15 and reach.slope_small.high <= -0.85
    flat = reach.slope_large is not None and reach.slope_large.low >= -0.5 and reach.slope_large.value >= -0.3
    bent = sizes[0] < reach.b_crit.low and reach.b_crit.high < sizes[-1]
    parts += [small, large]
    found = [word for word, there in (("perfect", perfect), ("diminishing", bent), ("maximal", flat)) if there]
    parts.append(f"Shown by their intervals: {listed(found)}.")
    return Verdict(question, YES if len(found) == 3 else "in part" if found else UNKNOWN, " ".join(parts))


def _slope_sentence(slope: Estimate | None, sizes: tuple[int, ...], what: str) -> str:
    if slope is None:
        return f"Too few batch sizes are {what} against it for a slope."
    return f"Steps fall with exponent {slope} for batches {sizes[0]} to {sizes[-1]}."


def _rule_below(findings: Findings, one: OptimizerFindings, rule: str) -> list[Verdict]:
    """Did a rule hold at equal epochs up to the critical batch, and where did it break?"""
    comparison, critical = one.comparisons.get(("epochs", rule)), one.reaches[1].b_crit
    name, words = OPTIMIZER_WORDS[one.name], RULE_WORDS[rule]
    if comparison is None:
        return []
    entries = zip(findings.batch_sizes, comparison.regrets, comparison.verdicts, strict=True)
    known = [(size, regret, word) for size, regret, word in entries if regret is not None]
    cells = {size: f"{size} ({percent(r.estimate.value)}, [{percent(r.estimate.low)}, {percent(r.estimate.high)}])"
             for size, r, _ in known}  # fmt: skip
    limit = critical.value
    below = [(size, word) for size, _, word in known if size <= limit]
    groups = {answer: [cells[size] for size, word in below if word == answer] for answer in ("holds", "fails", UNKNOWN)}
    counts = f"at {len(groups['holds'])} of {len(below)} batch sizes"
    if not groups["holds"]:
        answer = NO if groups["fails"] else UNKNOWN
    else:
        answer = YES if len(groups["holds"]) == len(below) else counts
    sentence = (
        f"Anchored at batch {findings.base_batch}, compared at equal epochs with the tuned rate; it holds where the "
        f"loss is shown to be less than {100 * MARGINS['epochs']:.0f} % higher. "
        f"Holds at {listed(groups['holds'])}. Fails at {listed(groups['fails'])}. "
        f"Cannot tell at {listed(groups[UNKNOWN])}."
    )
    below_text = f"up to the critical batch ({limit:,.0f})" if math.isfinite(limit) else "below the critical batch"
    found = [Verdict(f"{name}: did the {words} rule hold {below_text}?", answer, sentence)]
    above = [(size, word) for size, _, word in known if size > findings.base_batch]
    broken = next((size for size, word in above if word == "fails"), None)
    question = f"{name}: where does the {words} rule break on the way up?"
    if broken is None:
        unsure = [cells[size] for size, word in above if word == UNKNOWN]
        answer = "nowhere" if not unsure else UNKNOWN
        text = "It is not shown to fail at any batch above the base." + (
            f" Cannot tell at {listed(unsure)}." if unsure else "")  # fmt: skip
    else:
        times = f", {broken / limit:.2g} times the critical batch" if math.isfinite(limit) else ""
        held = [size for size, word in above if word == "holds" and size < broken]
        answer = f"at {broken}"
        text = (f"First shown to fail at {cells[broken]}{times}; "
                + (f"last shown to hold before that at {cells[held[-1]]}." if held
                   else "it is not shown to hold at any size between."))  # fmt: skip
    return [*found, Verdict(question, answer, text)]


def _exponent(one: OptimizerFindings) -> Verdict:
    below, above = one.exponents["target below"], one.exponents["target above"]
    question = f"{OPTIMIZER_WORDS[one.name]}: how does the best learning rate grow with the batch?"
    if below is None:
        return Verdict(question, UNKNOWN, "Fewer than three batch sizes lie below the critical batch.")
    if not _finite(below):
        return Verdict(question, UNKNOWN, "One seed of the search gives no interval.")
    rules = [name for name, power in (("linear", 1.0), ("square root", 0.5), ("constant", 0.0))
             if below.low <= power <= below.high]  # fmt: skip
    fits = f"the interval holds {listed(rules)}" if rules else "none of 0, 1/2 and 1 lies in the interval"
    text = f"Until the target it grows as B to the power {below} up to the critical batch: {fits}."
    text += (
        f" Above it the power is {above}." if above is not None else " Too few sizes lie above it for a slope there."
    )
    epochs = one.exponents["epochs below"]
    text += f" At equal epochs the power below it is {epochs}." if epochs is not None else ""
    return Verdict(question, f"power {below.value:.2g}", text)


def _sqrt_against_linear(one: OptimizerFindings) -> Verdict:
    question = f"{OPTIMIZER_WORDS[one.name]}: did the square root do better than the linear rule?"
    parts, answers = [], []
    for side, words in (("above", "above the base batch"), ("below", "below the base batch")):
        ratio = one.ratios.get(("sqrt/linear", side))
        if ratio is None:
            continue
        better = YES if ratio.high < 0 else NO if ratio.low > 0 else UNKNOWN
        answers.append(better)
        parts.append(f"{words} it differs by {percent(ratio.value)} [{percent(ratio.low)}, {percent(ratio.high)}]")
    if not parts:
        return Verdict(question, UNKNOWN, "Not both rules were run.")
    answer = answers[0] if len(set(answers)) == 1 else f"{answers[0]} above, {answers[-1]} below"
    return Verdict(
        question, answer, f"Its loss at equal epochs against the linear rule's, over batch sizes: {'; '.join(parts)}."
    )


def _furthest(findings: Findings, one: OptimizerFindings) -> Verdict:
    """Which rule holds at every batch size from the base up to the largest one?"""
    question = f"{OPTIMIZER_WORDS[one.name]}: which rule carries the base's learning rate furthest up?"
    reached, parts = {}, []
    for (budget, rule), comparison in one.comparisons.items():
        words = zip(findings.batch_sizes, comparison.verdicts, strict=True)
        above = [(size, word) for size, word in words if size > findings.base_batch and word]
        if budget != "epochs" or not above:
            continue
        held = [size for size, _ in takewhile(lambda cell: cell[1] == "holds", above)]
        failed = [f"{size}" for size, word in above if word == "fails"]
        reached[rule] = held[-1] if held else 0
        parts.append(f"{RULE_WORDS[rule]} {f'up to {held[-1]}' if held else 'at none'}"
                     + (f" (fails at {listed(failed)})" if failed else ""))  # fmt: skip
    if not reached:
        return Verdict(question, UNKNOWN, "No batch size above the base was compared.")
    furthest = max(reached.values())
    best = [RULE_WORDS[rule] for rule, size in reached.items() if size == furthest]
    answer = f"{'; '.join(best)} (to {furthest})" if furthest else UNKNOWN
    text = "Shown to hold at equal epochs, size after size above the base: " + "; ".join(parts) + "."
    return Verdict(question, answer, text)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _warmup(one: OptimizerFindings) -> Verdict:
    assert one.edges is not None
    ratio = one.edges.overall
    question = f"{OPTIMIZER_WORDS[one.name]}: did warm-up move the edge of divergence?"
    answer = "upwards" if ratio.low > 1.02 else "downwards" if ratio.high < 0.98 else UNKNOWN
    if _finite(ratio) and ratio.low > 0.9 and ratio.high < 1.1:
        answer = NO
    sizes = one.edges.batch_sizes
    text = (
        "A rate still trains if all losses are finite and the training loss ends below the first one. The largest such "
        f"rate is {ratio.value:.3g} times as large with warm-up "
        f"[{ratio.low:.3g}, {ratio.high:.3g}], over batches {sizes[0]} to {sizes[-1]}; "
        f"at the largest batch {one.edges.ratios[-1].value:.3g} times "
        f"[{one.edges.ratios[-1].low:.3g}, {one.edges.ratios[-1].high:.3g}]."
    )
    loss = one.ratios.get(("warmup/linear", "above"))
    if loss is not None:
        text += (f" With the linear rule above the base batch, warm-up changes the loss at equal epochs by "
                 f"{percent(loss.value)} [{percent(loss.low)}, {percent(loss.high)}].")  # fmt: skip
    return Verdict(question, answer, text)


def _noise(findings: Findings, one: OptimizerFindings) -> Verdict:
    reach = one.reaches[1]
    at = reach.steps[findings.batch_sizes.index(findings.base_batch)].value
    question = f"{OPTIMIZER_WORDS[one.name]}: does the noise scale predict the critical batch?"
    if not (math.isfinite(at) and _finite(reach.b_crit)):
        return Verdict(question, UNKNOWN, "There is no critical batch to compare it with.")
    # the critical batch of a target is about the way there: the noise scale halfway, in the logarithm of the steps
    step, scale = min(((s, e) for s, e in one.noise if s > 0), key=lambda entry: abs(math.log(entry[0] / at**0.5)))
    end, last = min(((s, e) for s, e in one.noise if s > 0), key=lambda entry: abs(math.log(entry[0] / at)))
    ratios = [e.value / reach.b_crit.value for e in (scale, last)]
    inside = sum(1 / 3 <= ratio <= 3 for ratio in ratios)
    text = (
        f"At the base batch it is {scale} after {step} steps and {last} after {end}, where the target is reached; the "
        f"fitted critical batch is {reach.b_crit}; the noise scale is {ratios[0]:.2g} and {ratios[1]:.2g} times as "
        "large. A factor of 3 counts as a prediction."
    )
    return Verdict(
        question,
        (NO, "on the way, not at its end" if inside and 1 / 3 <= ratios[0] <= 3 else "at the end only", YES)[inside],
        text,
    )


def _order(findings: Findings) -> list[Verdict]:
    known = {name: one.reaches[1].b_crit for name, one in findings.optimizers.items()}
    names = [name for name in ("sgd", "nesterov", "adam") if name in known and _finite(known[name])]
    if len(names) < 2:
        return []
    text = "; ".join(f"{OPTIMIZER_WORDS[name]} {known[name]}" for name in names)
    apart = all(known[a].high < known[b].low for a, b in pairwise(names))
    against = any(known[a].low > known[b].high for a, b in pairwise(names))
    answer = YES if apart else NO if against else UNKNOWN
    question = "Does the critical batch grow from SGD over momentum to Adam (Zhang et al. 2019)?"
    return [Verdict(question, answer, f"Critical batches for loss {findings.targets[1]:g}: {text}.")]


def _quality(findings: Findings, one: OptimizerFindings) -> Verdict:
    """Does a large batch cost quality, when its rate is tuned?"""
    question = f"{OPTIMIZER_WORDS[one.name]}: does the largest batch end with a worse validation loss than the base?"
    base = findings.batch_sizes.index(findings.base_batch)
    parts, worse = [], []
    for budget, words in (("epochs", "equal epochs"), ("steps", "equal steps")):
        ratio, gap = one.ratios["largest/base", budget], one.gaps[budget]
        worse.append(YES if ratio.low > 0 else NO if ratio.high < MARGINS[budget] else UNKNOWN)
        parts.append(
            f"at {words} its lowest validation loss differs by {percent(ratio.value)} "
            f"[{percent(ratio.low)}, {percent(ratio.high)}], and the gap to the training loss is {gap[-1]} "
            f"against {gap[base]}"
        )
    answer = f"{worse[0]} at equal epochs, {worse[1]} at equal steps" if worse[0] != worse[1] else worse[0]
    return Verdict(question, answer, _sentence("; ".join(parts)))


def _time(findings: Findings, one: OptimizerFindings) -> Verdict:
    """Which batch is fastest on this machine, and does B* say so?"""
    reach, time = one.reaches[1], one.step_time
    question = f"{OPTIMIZER_WORDS[one.name]}: which batch is soonest at the target on this machine?"
    seconds = {
        size: e.value for size, e in zip(findings.batch_sizes, one.seconds, strict=True) if math.isfinite(e.value)
    }
    if not seconds or not _finite(reach.b_crit):
        return Verdict(question, UNKNOWN, "Too few trainings reach the target.")
    best = min(seconds, key=lambda size: seconds[size])
    star = best_batch(reach.curve, time)
    text = (
        f"Steps times the time of a step is least at batch {best} ({duration(seconds[best])}). With t0 = "
        f"{duration(time.overhead)} and {duration(time.per_row)} a row, t0 / c = {time.b_hw:.3g}, and "
        f"B* = sqrt(B_crit t0 / c) = {star:.3g}."
    )
    real = {size: s for size, s in zip(findings.batch_sizes, one.real_seconds, strict=True) if math.isfinite(s)}
    if real:
        winner = min(real, key=lambda size: real[size])
        text += f" Real trainings are soonest at batch {winner} ({duration(real[winner])})."
    return Verdict(question, f"batch {best}", text)
