"""Every mistake that a sweep file can hold, with the one line that names it.

The messages start with `s.yaml`, the path as the user gave it.
"""

from collections.abc import Callable

import pytest

from sweeper.declare.loading import load_sweep
from sweeper.errors import UserError

HEAD = """\
kind: toy
fixed:
  source: s
"""
GOOD = f"{HEAD}space:\n  width: [2, 4]\n"


def space(entry: str) -> str:
    """A sound file but for one entry of its space, on line 5."""
    return f"{HEAD}space:\n  {entry}\n"


def tail(text: str) -> str:
    """A sound file of five lines, and then something more."""
    return f"{GOOD}{text}\n"


def optuna(constraints: str) -> str:
    """A sound file that Optuna tunes, but for its constraints on line 6."""
    return tail(f"search: {{method: optuna, constraints: {constraints}}}\ntrials: 3")


def nulled(text: str) -> str:
    """As `tail`, of a kind that has nulls."""
    return tail(text).replace("toy", "nulled").replace("[2, 4]", "[4, 6]")


DOCUMENT = {
    "empty": ("", ": the file is empty; a sweep file is a mapping with kind and space"),
    "comment only": (
        "# nothing\n",
        ": the file is empty; a sweep file is a mapping with kind and space",
    ),
    "scalar": ("pursuit\n", ": given 'pursuit'; a sweep file is a mapping with kind and space"),
    "list": ("- toy\n", ": given ['toy']; a sweep file is a mapping with kind and space"),
    "unclosed list": (
        "kind: toy\nspace: {width: [1, 2\n",
        ":3: not valid YAML: did not find expected ',' or ']'",
    ),
    "stray indent": (
        "kind: toy\n  space: 3\n",
        ":2: not valid YAML: mapping values are not allowed in this context",
    ),
    "tab": (
        "kind: toy\nspace:\n\twidth: [1]\n",
        ":3: not valid YAML: found character that cannot start any token",
    ),
    "duplicate key": (tail("kind: toy"), ":6: kind: duplicate key 'kind'; first given on line 1"),
    "duplicate field": (
        space("width: [2]\n  width: [4]"),
        ":6: space.width: duplicate key 'width'; first given on line 5",
    ),
    "duplicate in a flow mapping": (
        space("width: {low: 1, high: 2, low: 3}"),
        ":5: space.width.low: duplicate key 'low'; first given on line 5",
    ),
    "python tag": (
        HEAD + "space: !!python/object/apply:os.system [ls]\n",
        ":4: space: tag !!python/object/apply:os.system; tags are not allowed",
    ),
    "str tag": (space("width: !!str 3"), ":5: space.width: tag !!str; tags are not allowed"),
    "local tag": (space("width: !mine [3]"), ":5: space.width: tag !mine; tags are not allowed"),
    "key tag": (space("!!str width: [3]"), ":5: space: tag !!str; tags are not allowed"),
    "anchor": (space("width: &w [2]"), ":5: space.width: anchor &w; anchors are not allowed"),
    "alias bomb": (
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        ":1: a: anchor &a; anchors are not allowed",
    ),
    "alias": (space("width: *w"), ":5: space.width: alias *w; aliases are not allowed"),
    "merge": (space("<<: *w"), ":5: space.<<: alias *w; aliases are not allowed"),
    "second document": (tail("---\nkind: toy"), ":6: a second document; a file holds one"),
    "nested deeply": (
        "kind: toy\nspace: " + "[" * 30 + "]" * 30 + "\n",
        ":2: space[0][0]: nested deeper than 20 levels",
    ),
    "nested very deeply": (
        "kind: toy\nspace: " + "[" * 400_000 + "\n",
        ":2: space[0][0]: nested deeper than 20 levels",
    ),
    "list as a key": ("kind: toy\n? [a]\n: 1\n", ":2: a list or mapping as a key; a key is text"),
    "number as a key": (
        tail("3: 4"),
        ":6: 3: unknown key '3'; allowed: kind, description, first, cases, "
        "fixed, space, beside_null, search, trials, seeds, resources, limits, ...",
    ),
    "nan": (
        space("penalty: {low: .nan, high: 0.5, points: 3}"),
        ":5: space.penalty.low: given .nan; a number must be finite",
    ),
    "inf": (
        space("penalty: [0.1, -.inf]"),
        ":5: space.penalty[1]: given -.inf; a number must be finite",
    ),
    "float overflow": (
        space("penalty: [1e999]"),
        ":5: space.penalty[0]: given 1e999; a number must be finite",
    ),
    "long number": (
        space("width: [" + "9" * 5000 + "]"),
        ":5: space.width[0]: a number of 5,000 characters; at most 100",
    ),
    "Latin-1": (
        "kind: toy\ndescription: caf\xe9\n".encode("latin-1"),
        ":2: not UTF-8; save the file as UTF-8",
    ),
    "UTF-16": (GOOD.encode("utf-16"), ":1: not UTF-8; save the file as UTF-8"),
    "NUL": ("kind: toy\ndescription: a\x00b\n", ":2: a control character; write text only"),
    "escaped control": (
        'kind: toy\ndescription: "a\\x1bb"\n',
        ":2: description: given 'a b'; text must be printable",
    ),
    "surrogate": (
        'kind: toy\ndescription: "a\\ud800b"\n',
        ":2: not valid YAML: found invalid Unicode character escape code",
    ),
    "too big": (GOOD + "#" * 1_000_001, ": more than 1,000,000 bytes; a sweep file is small"),
    "many values": (
        space(f"width: [{'1, ' * 60_000}1]"),
        ":5: space.width[49994]: more than 50,000 values",
    ),
}

KEYS = {
    "unknown key": (tail("spaec: 3"), ":6: spaec: unknown key 'spaec'; did you mean 'space'?"),
    "unknown key like no other": (
        tail("zzz: 3"),
        ":6: zzz: unknown key 'zzz'; allowed: kind, description, first, cases, "
        "fixed, space, beside_null, search, trials, seeds, resources, limits, ...",
    ),
    "no kind": ("space:\n  width: [2]\n", ": 'kind' is missing"),
    "kind misspelt": (
        "kidn: toy\nspace:\n  width: [2]\n",
        ":1: kidn: unknown key 'kidn'; did you mean 'kind'?",
    ),
    "kind list": ("kind: [toy]\n", ":1: kind: given ['toy']; must be text"),
    "unknown kind": ("kind: tyo\n", ":1: kind: unknown kind 'tyo'; did you mean 'toy'?"),
    "fixed list": (
        "kind: toy\nfixed: [source]\n",
        ":2: fixed: given ['source']; must be a mapping",
    ),
    "space scalar": ("kind: toy\nspace: 3\n", ":2: space: given 3; must be a mapping"),
    "space null": ("kind: toy\nspace:\n", ":2: space: given null; must be a mapping"),
    "empty space": (
        HEAD + "space: {}\n",
        ":4: space: space is empty; name a field to vary, or leave space out to run one config",
    ),
    "unknown field": (
        HEAD + "space:\n  widht: [2]\n",
        ":5: space.widht: unknown field 'widht'; did you mean 'width'?",
    ),
    "unknown fixed": (
        HEAD.replace("source", "sourcee") + "space: {width: [2]}\n",
        ":3: fixed.sourcee: unknown field 'sourcee'; did you mean 'source'?",
    ),
    "fixed and varied": (
        HEAD + "  width: 4\nspace:\n  width: [2]\n",
        ":6: space.width: 'width' is fixed too; a field is fixed or varied",
    ),
    "fixed seed": (
        HEAD + "  seed: 3\nspace:\n  width: [2]\n",
        ":4: fixed.seed: seed is given by the key seeds alone; write seeds: [0, 1, 2]",
    ),
    "varied seed": (
        space("seed: [1, 2]"),
        ":5: space.seed: seed is given by the key seeds alone; write seeds: [0, 1, 2]",
    ),
    "required field missing": (
        "kind: toy\nspace:\n  width: [2]\n",
        ": field 'source' is missing; give it under fixed or space",
    ),
    "fixed text for a number": (
        HEAD + "  penalty: abc\nspace:\n  width: [2]\n",
        ":4: fixed.penalty: given 'abc'; must be a number",
    ),
    "no is text": (
        HEAD + "  nonnegative: no\nspace:\n  width: [2]\n",
        ":4: fixed.nonnegative: given 'no'; must be true or false",
    ),
    "fixed word misspelt": (
        HEAD + "  mode: sigend\nspace:\n  width: [2]\n",
        ":4: fixed.mode: given 'sigend'; must be 'plain' or 'signed'; did you mean 'signed'?",
    ),
    "a date is text": (
        HEAD + "  width: 2024-01-01\n",
        ":4: fixed.width: given '2024-01-01'; must be an integer",
    ),
    "nested unknown key": (
        HEAD + "  optimiser: {rl: 3}\n",
        ":4: fixed.optimiser.rl: unknown key 'rl'; allowed: lr, momentum",
    ),
    "nested wrong type": (
        HEAD + "  optimiser: {lr: x}\n",
        ":4: fixed.optimiser.lr: given 'x'; must be a number, unable to parse string as a number",
    ),
    "neither of two types": (
        HEAD + "  n_atoms: 1.5\n",
        ":4: fixed.n_atoms: given 1.5; must be an integer or text",
    ),
    "tuple with a wrong item": (
        HEAD + "  betas: [0.1, x]\n",
        ":4: fixed.betas[1]: given 'x'; must be a number",
    ),
    "tuple too short": (HEAD + "  betas: [0.1]\n", ":4: fixed.betas: item 2 is missing"),
    "description of two lines": (
        "kind: toy\ndescription: |\n  a\n  b\n",
        ":2: description: given 'a b'; a description is one line",
    ),
}

DIMENSIONS = {
    "text without parts": (
        space("n_atoms: {text: 4x, size: [1, 2]}"),
        ":5: space.n_atoms.text: given '4x'; must be text with parts in braces, as in step{step}",
    ),
    "text that is none": (
        space("n_atoms: {text: 4}"),
        ":5: space.n_atoms.text: given 4; must be text with parts in braces, as in step{step}",
    ),
    "part without values": (
        space("n_atoms: {text: '{size}x', sizes: [1, 2]}"),
        ":5: space.n_atoms.text: part {size} of the text has no values; did you mean 'sizes'?",
    ),
    "values without a part": (
        space("n_atoms: {text: '{size}x', size: [1, 2], siz: [3]}"),
        ":5: space.n_atoms.siz: the text has no part {siz}; did you mean 'size'?",
    ),
    "part that is no list": (
        space("n_atoms: {text: '{size}x', size: 1}"),
        ":5: space.n_atoms.size: given 1; a part takes a list of values",
    ),
    "part of a number that prints in many ways": (
        space("n_atoms: {text: '{size}x', size: [1, 0.5]}"),
        ":5: space.n_atoms.size[1]: given 0.5; a part holds text and integers",
    ),
    "text given twice": (
        space("n_atoms: {text: '{size}x', size: [1, '1']}"),
        ":5: space.n_atoms: '1x' is given twice; values must be distinct",
    ),
    "too many texts": (
        space(f"n_atoms: {{text: '{{a}}{{b}}x', a: {list(range(200))}, b: {list(range(200))}}}"),
        ":5: space.n_atoms: 40,000 texts; at most 10,000",
    ),
    "dimension without a range": (
        space("width: 3"),
        ":5: space.width: given 3; a space holds lists of values and ranges {low, high}; "
        "one value goes under fixed",
    ),
    "dimension without a value": (
        space("width:"),
        ":5: space.width: given null; a space holds lists of values and ranges {low, "
        "high}; one value goes under fixed",
    ),
    "empty choice": (space("width: []"), ":5: space.width: given []; must have at least 1 item"),
    "empty choice spelled": (
        space("width: {choice: []}"),
        ":5: space.width.choice: given []; must have at least 1 item",
    ),
    "choice with more": (
        space("width: {choice: [2], log: true}"),
        ":5: space.width: given {choice: [2], log: true}; choice takes one list and "
        "nothing beside it",
    ),
    "choice nested": (
        space("width: [2, [4]]"),
        ":5: space.width[1]: given [4]; a choice holds plain values",
    ),
    "choice twice": (
        space("width: [2, 4, 2]"),
        ":5: space.width: 2 is given twice; values must be distinct",
    ),
    "choice twice in two spellings": (
        space("penalty: [0.5, 5e-1]"),
        ":5: space.penalty: 0.5 is given twice; values must be distinct",
    ),
    "choice outside the field's range": (
        space("width: [2, 400]"),
        ":5: space.width: given 400; must be at most 64",
    ),
    "choice word": (
        space("penalty: {grid: [0.1, x]}"),
        ":5: space.penalty: given 'x'; must be a number",
    ),
    "low above high": (
        space("penalty: {low: 0.5, high: 0.05, points: 3}"),
        ":5: space.penalty: low 0.5 > high 0.05; low must not exceed high",
    ),
    "high missing": (
        space("penalty: {low: 0.5, points: 3}"),
        ":5: space.penalty: 'high' is missing",
    ),
    "low misspelt": (
        space("penalty: {lo: 0.5, high: 0.6, points: 3}"),
        ":5: space.penalty.lo: unknown key 'lo'; did you mean 'low'?",
    ),
    "empty range": (space("penalty: {}"), ":5: space.penalty: 'low' is missing"),
    "text as a bound": (
        space("penalty: {low: a, high: 0.6, points: 3}"),
        ":5: space.penalty.low: given 'a'; must be a number",
    ),
    "type misspelt": (
        space("penalty: {type: flaot, low: 0.1, high: 0.6, points: 3}"),
        ":5: space.penalty.type: given 'flaot'; must be int or float",
    ),
    "log zero": (
        space("penalty: {low: 0, high: 0.6, log: true, points: 3}"),
        ":5: space.penalty: low 0.0 with log; a log range needs low > 0",
    ),
    "log yes": (
        space("penalty: {low: 0.1, high: 0.6, log: yes, points: 3}"),
        ":5: space.penalty.log: given 'yes'; must be true or false",
    ),
    "float no points": (
        space("penalty: {low: 0.1, high: 0.6}"),
        ":5: space.penalty: a range without points; in a grid a float or log range needs "
        "points; add points: 5",
    ),
    "int log no points": (
        space("width: {low: 1, high: 64, log: true}"),
        ":5: space.width: a range without points; in a grid a float or log range needs "
        "points; add points: 5",
    ),
    "float step": (
        space("penalty: {low: 0.1, high: 0.6, step: 0.1}"),
        ":5: space.penalty.step: unknown key 'step'; allowed: type, low, high, log, points",
    ),
    "one point": (
        space("penalty: {low: 0.1, high: 0.6, points: 1}"),
        ":5: space.penalty: 1 point; a range needs at least 2, its ends",
    ),
    "many points": (
        space("penalty: {low: 0.1, high: 0.6, points: 1000000000}"),
        ":5: space.penalty.points: given 1000000000; must be at most 10000",
    ),
    "narrow": (
        space("penalty: {low: 0.1, high: 0.10000000000000002, points: 9}"),
        ":5: space.penalty: 0.1 to 0.10000000000000002 is too narrow for 9 points",
    ),
    "step zero": (
        space("width: {low: 1, high: 6, step: 0}"),
        ":5: space.width.step: given 0; must be at least 1",
    ),
    "step misses": (
        space("width: {low: 1, high: 64, step: 2}"),
        ":5: space.width: step 2 from 1 misses high 64; end at 63 or 65",
    ),
    "step log": (
        space("width: {low: 1, high: 64, step: 2, log: true}"),
        ":5: space.width: step and log or points; a range has a step, or log, or points",
    ),
    "float bound of an int": (
        space("width: {low: 0.5, high: 64}"),
        ":5: space.width.low: given 0.5; must be an integer",
    ),
    "int beyond a float's precision": (
        space("width: {low: 1, high: 99999999999999999999}"),
        ":5: space.width.high: given 99999999999999999999; must be at most 9007199254740992",
    ),
    "more points than integers": (
        space("width: {low: 1, high: 4, points: 9}"),
        ":5: space.width: 9 points; 1 to 4 holds 4",
    ),
    "high outside the field's range": (
        space("penalty: {low: 0.1, high: 1.5, points: 3}"),
        ":5: space.penalty: given 1.5; must be less than 1",
    ),
    "low outside the field's range": (
        space("penalty: {low: 0, high: 0.5, points: 3}"),
        ":5: space.penalty: given 0.0; must be greater than 0",
    ),
    "float range of an int field": (
        space("width: {type: float, low: 1, high: 4, points: 3}"),
        ":5: space.width: given 1.0; must be an integer",
    ),
    "combination refused by the kind": (
        HEAD + "space:\n  mode: [plain, signed]\n  width: [2, 3]\n",
        ":4: space at mode='signed' width=3: mode signed with width 3; a signed width must be even",
    ),
    "fixed combination refused by the kind": (
        HEAD + "  mode: signed\n  width: 3\n",
        ":2: fixed: mode signed with width 3; a signed width must be even",
    ),
    "range on text": (space("null: {low: 1, high: 3}"), ":5: space.null: given 1; must be text"),
}

SEARCH = {
    "method misspelt": (
        tail("search: gird"),
        ":6: search: given 'gird'; must be 'grid', 'random' or 'optuna'; did you mean 'grid'?",
    ),
    "unknown search key": (
        tail("search: {method: optuna, samplr: tpe}\ntrials: 3"),
        ":6: search.samplr: unknown key 'samplr'; did you mean 'sampler'?",
    ),
    "search as a list": (tail("search: [grid]"), ":6: search: given ['grid']; must be a mapping"),
    "sampler": (
        tail("search: {method: optuna, sampler: tp}\ntrials: 3"),
        ":6: search.sampler: given 'tp'; must be 'tpe' or 'random'; did you mean 'tpe'?",
    ),
    "sampler grid": (
        tail("search: {method: grid, sampler: tpe}"),
        ":6: search: sampler with method grid; only optuna has samplers",
    ),
    "seed grid": (
        tail("search: {method: grid, seed: 3}"),
        ":6: search: seed with method grid; a grid draws nothing (replicates: seeds)",
    ),
    "objective misspelt": (
        tail("search: {method: grid, objectives: [eror]}"),
        ":6: search.objectives[0]: unknown metric 'eror'; did you mean 'error'?",
    ),
    "objectives without a list": (
        tail("search: {method: grid, objectives: error}"),
        ":6: search.objectives: given 'error'; must be a list",
    ),
    "objective twice": (
        tail("search: {method: grid, objectives: [error, error]}"),
        ":6: search: an objective is given twice; objectives must be distinct",
    ),
    "objective key": (
        tail("search: {method: grid, objectives: [{metrc: error}]}"),
        ":6: search.objectives[0].metrc: unknown key 'metrc'; did you mean 'metric'?",
    ),
    "objective direction": (
        tail("search: {method: grid, objectives: [{metric: error, direction: minimize}]}"),
        ":6: search.objectives[0].direction: given 'minimize'; must be 'minimise', "
        "'maximise' or 'none'; did you mean 'minimise'?",
    ),
    "objective without direction": (
        tail("search: {method: grid, objectives: [n_dead]}"),
        ":6: search.objectives[0]: 'n_dead' has no direction of its own; add direction: "
        "minimise or maximise",
    ),
    "objective the wrong way": (
        tail("search: {method: optuna, objectives: [{metric: error, direction: maximise}]}"),
        ":6: search.objectives[0]: given direction 'maximise'; kind toy has 'error' to minimise; "
        "leave direction out",
    ),
    "held-out objective": (
        tail("search: {method: optuna, objectives: [error, sealed_error]}\ntrials: 3"),
        ":6: search.objectives[1]: 'sealed_error' is measured on held-out tokens; "
        "choosing by it would spoil them; choose by error, score, total",
    ),
    "held-out default objective": (
        tail("search: optuna\ntrials: 3").replace("kind: toy", "kind: sealed"),
        ":6: search.objectives: 'sealed_error' is measured on held-out tokens; choosing "
        "by it would spoil them; choose by error, score, total",
    ),
    "random no trials": (
        tail("search: random"),
        ":6: search.method: random search without trials; say how many",
    ),
    "optuna no trials": (
        tail("search: {method: optuna}"),
        ":6: search.method: optuna search without trials; say how many",
    ),
    "random no space": (
        HEAD + "search: random\ntrials: 3\n",
        ":4: search.method: random search with nothing in space to vary",
    ),
    "no trials": (tail("trials: 0"), ":6: trials: given 0; must be at least 1"),
    "float trials": (tail("trials: 2.0"), ":6: trials: given 2.0; must be an integer"),
    "trials with an underscore": (
        tail("trials: 1_000"),
        ":6: trials: given '1_000'; must be an integer",
    ),
    "too many random": (
        tail("search: random\ntrials: 100000\nseeds: 2"),
        ":7: trials: 200,000 trials (100,000 x 2 seeds); at most 100,000",
    ),
    "too many grid": (
        HEAD + "space:\n  width: {low: 1, high: 1000000000}\n",
        ":4: space: 1,000,000,000 trials (1,000,000,000); at most 100,000",
    ),
    "too many product": (
        HEAD
        + "space:\n  penalty: {low: 0.1, high: 0.9, points: 1000}\n"
        + "  width: {low: 1, high: 1000}\n  n_atoms: {low: 1, high: 1000}\n",
        ":4: space: 1,000,000,000 trials (1,000 x 1,000 x 1,000); at most 100,000",
    ),
    "seeds zero": (tail("seeds: 0"), ":6: seeds: 0 seeds; from 1 to 10,000"),
    "seeds many": (tail("seeds: 10001"), ":6: seeds: 10001 seeds; from 1 to 10,000"),
    "seeds negative": (tail("seeds: [0, -1]"), ":6: seeds[1]: given -1; must be at least 0"),
    "seeds dup": (tail("seeds: [1, 2, 1]"), ":6: seeds: given [1, 2, 1]; seeds must be distinct"),
    "seeds empty": (tail("seeds: []"), ":6: seeds: given []; must have at least 1 item"),
    "seeds text": (tail("seeds: [a]"), ":6: seeds[0]: given 'a'; must be an integer"),
    "seeds true": (tail("seeds: true"), ":6: seeds: given true; must be a list"),
    "no CPU": (tail("resources: {cpu: 0}"), ":6: resources.cpu: given 0; must be greater than 0"),
    "negative GPU": (
        tail("resources: {gpu: -1}"),
        ":6: resources.gpu: given -1; must be at least 0",
    ),
    "one and a half GPUs": (
        tail("resources: {gpu: 1.5}"),
        ":6: resources: gpu 1.5; above 1 the number of GPUs must be whole",
    ),
    "unknown resource": (
        tail("resources: {gpus: 1}"),
        ":6: resources.gpus: unknown key 'gpus'; did you mean 'gpu'?",
    ),
    "negative retries": (
        tail("limits: {retries: -1}"),
        ":6: limits.retries: given -1; must be at least 0",
    ),
    "half a retry": (
        tail("limits: {retries: 0.5}"),
        ":6: limits.retries: given 0.5; must be an integer",
    ),
    "no time": (
        tail("limits: {trial_timeout_s: 0}"),
        ":6: limits.trial_timeout_s: given 0; must be greater than 0",
    ),
    "no budget": (
        tail("limits: {budget_trial_hours: 0}"),
        ":6: limits.budget_trial_hours: given 0; must be greater than 0",
    ),
    "memory as text": (
        tail("limits: {memory_gib: 8 GiB}"),
        ":6: limits.memory_gib: given '8 GiB'; must be a number",
    ),
    "unknown limit": (
        tail("limits: {trial_timeout: 60}"),
        ":6: limits.trial_timeout: unknown key 'trial_timeout'; did you mean 'trial_timeout_s'?",
    ),
    "budget of GPU hours without GPU": (
        tail("limits: {budget_gpu_hours: 5}"),
        ":6: limits.budget_gpu_hours: given 5; a trial holds no GPU; give resources: {gpu: 1}",
    ),
    "early stopping misspelt": (
        tail("early_stopping: {method: ahsa, metric: error}"),
        ":6: early_stopping.method: given 'ahsa'; must be 'asha' or 'median'; did you mean 'asha'?",
    ),
    "early stopping without metric": (
        tail("early_stopping: {method: asha}"),
        ":6: early_stopping: 'metric' is missing",
    ),
    "early stopping on an unknown metric": (
        tail("early_stopping: {method: asha, metric: err}"),
        ":6: early_stopping.metric: unknown metric 'err'; did you mean 'error'?",
    ),
    "early stopping on held-out tokens": (
        tail("early_stopping: {method: median, metric: sealed_error}"),
        ":6: early_stopping.metric: 'sealed_error' is measured on held-out tokens; "
        "choosing by it would spoil them; choose by error, score, total",
    ),
    "early stopping the wrong way": (
        tail("early_stopping: {method: asha, metric: score, direction: minimise}"),
        ":6: early_stopping.metric: given direction 'minimise'; kind toy has 'score' to maximise; "
        "leave direction out",
    ),
    "early stopping without direction": (
        tail("early_stopping: {method: median, metric: n_dead}"),
        ":6: early_stopping.metric: 'n_dead' has no direction of its own; add direction: "
        "minimise or maximise",
    ),
    "early stopping on what is known at the end only": (
        tail("early_stopping: {method: median, metric: total}"),
        ":6: early_stopping.metric: trials of kind toy do not report 'total' while they run; "
        "reported: error, score, n_dead",
    ),
    "reduction of median": (
        tail("early_stopping: {method: median, metric: error, reduction: 3}"),
        ":6: early_stopping: reduction with method median; only asha has a reduction",
    ),
    "reduction by one": (
        tail("early_stopping: {method: asha, metric: error, reduction: 1}"),
        ":6: early_stopping.reduction: given 1; must be at least 2",
    ),
    "no grace": (
        tail("early_stopping: {method: asha, metric: error, grace: 0}"),
        ":6: early_stopping.grace: given 0; must be at least 1",
    ),
}

CONSTRAINTS = {
    "constraints of a grid": (
        tail("search: {method: grid, constraints: {error: {max: 1}}}"),
        ":6: search: constraints with grid; only optuna's tpe heeds constraints",
    ),
    "constraints of a random sampler": (
        tail("search: {method: optuna, sampler: random, constraints: {error: {max: 1}}}"),
        ":6: search: constraints with sampler random; only optuna's tpe heeds constraints",
    ),
    "constraint on an unknown metric": (
        optuna("{scor: {min: 1}}"),
        ":6: search.constraints.scor: unknown metric 'scor'; did you mean 'score'?",
    ),
    "constraint on held-out tokens": (
        optuna("{sealed_error: {max: 1}}"),
        ":6: search.constraints.sealed_error: 'sealed_error' is measured on held-out tokens; "
        "choosing by it would spoil them; choose by error, score, total",
    ),
    "constraint without a bound": (
        optuna("{error: {}}"),
        ":6: search.constraints.error: a constraint without min or max; give {max: 20}, {min: 1} "
        "or both",
    ),
    "constraint that nothing meets": (
        optuna("{error: {min: 2, max: 1}}"),
        ":6: search.constraints.error: min 2.0 > max 1.0; min must not exceed max",
    ),
    "constraint misspelt": (
        optuna("{error: {maxx: 1}}"),
        ":6: search.constraints.error.maxx: unknown key 'maxx'; did you mean 'max'?",
    ),
    "constraint as a number": (
        optuna("{error: 20}"),
        ":6: search.constraints.error: given 20; must be a mapping",
    ),
    "constraint as text": (
        optuna("{error: {max: '20'}}"),
        ":6: search.constraints.error.max: given '20'; must be a number",
    ),
    "constraints as a list": (
        optuna("[error]"),
        ":6: search.constraints: given ['error']; must be a mapping",
    ),
}

NULLS = {
    "nulls of a kind without": (
        tail("beside_null: [gaussian]"),
        ":6: beside_null: kind toy has no nulls to run beside its trials",
    ),
    "null misspelt": (
        nulled("beside_null: [shuffled, gausian]"),
        ":6: beside_null[1]: given 'gausian'; must be 'none', 'gaussian' or 'shuffled'; "
        "did you mean 'gaussian'?",
    ),
    "real as a null": (
        nulled("beside_null: [none]"),
        ":6: beside_null[0]: given 'none'; that is the real null, which runs anyway",
    ),
    "YAML null as a null": (
        nulled("beside_null: [null]"),
        ":6: beside_null[0]: given null; must be text",
    ),
    "null twice": (
        nulled("beside_null: [gaussian, gaussian]"),
        ":6: beside_null: given ['gaussian', 'gaussian']; nulls must be distinct",
    ),
    "nulls without a list": (
        nulled("beside_null: gaussian"),
        ":6: beside_null: given 'gaussian'; must be a list",
    ),
    "null fixed too": (
        nulled("beside_null: [gaussian]").replace("source: s", "{source: s, 'null': shuffled}"),
        ":3: fixed.null: given 'shuffled'; with beside_null only 'none' can be fixed",
    ),
    "null varied too": (
        nulled("beside_null: [gaussian]").replace("width: [4, 6]", "'null': [none, gaussian]"),
        ":5: space.null: beside_null gives 'null' its values; leave out one of the two",
    ),
    "null that the kind refuses at a point": (
        nulled("beside_null: [gaussian, shuffled]").replace("[4, 6]", "[4, 2]"),
        ":6: beside_null[1] at width=2: null shuffled with width 2; it takes at least 4",
    ),
    "too many with the nulls": (
        nulled("search: random\ntrials: 40000\nbeside_null: [gaussian, shuffled]"),
        ":7: trials: 120,000 trials (40,000 x 3 with the nulls); at most 100,000",
    ),
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(*case, id=name)
        for table in (DOCUMENT, KEYS, DIMENSIONS, SEARCH, CONSTRAINTS, NULLS)
        for name, case in table.items()
    ],
)
def test_a_mistake_gets_one_line_with_place_value_and_rule(
    write: Callable[[str | bytes], str], text: str | bytes, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_sweep(write(text))
    assert str(caught.value) == f"s.yaml{message}"
