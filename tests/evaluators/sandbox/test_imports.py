"""What heuristics use of NumPy and the standard library works in the seal, where there is no file to load from."""

from __future__ import annotations

import numpy as np
import pytest

from evaluators.sandbox.supervisor import Sandbox
from evaluators.sandbox.warm import STANDARD_LIBRARY

USES = [
    "np.linalg.solve(np.eye(3), np.ones(3)).sum()",
    "np.linalg.eigvalsh(np.diag([1.0, 2.0])).sum()",
    "np.linalg.svd(np.ones((3, 2)))[1].sum()",
    "np.linalg.lstsq(np.eye(2), np.ones(2), rcond=None)[0].sum()",
    "(np.ones((300, 300)) @ np.ones((300, 300))).mean()",
    "np.einsum('ij,jk->ik', np.eye(2), np.eye(2)).sum()",
    "np.random.default_rng(1).permutation(5).sum()",
    "np.random.default_rng().random() < 1",
    "np.random.RandomState(1).rand()",
    "np.random.shuffle(np.arange(5)) is None",
    "abs(np.fft.fft(np.ones(8))).sum()",
    "np.ma.masked_array([1, 2], [0, 1]).sum()",
    "np.polynomial.Polynomial([1, 2])(3)",
    "np.polyfit([0, 1, 2], [0, 1, 2], 1)[0]",
    "np.median([3, 1, 2]) + np.percentile([1, 2, 3], 50)",
    "np.unique([1, 1, 2]).size + np.searchsorted([1, 2, 3], 2)",
    "np.lexsort(([1, 0], [0, 1])).sum() + np.argpartition([3, 1, 2], 1)[0]",
    "np.sort(np.array([(1, 2)], dtype=[('a', int), ('b', int)]), order='b').size",
    "np.vectorize(lambda x: x + 1)(np.arange(3)).sum()",
    "np.apply_along_axis(sum, 0, np.ones((2, 2))).sum()",
    "np.interp(0.5, [0, 1], [0, 1]) + np.trapezoid([1, 1])",
    "np.lib.stride_tricks.sliding_window_view(np.arange(5), 2).sum()",
    "len(str(np.arange(2000.0))) + len(repr(np.float64(1)))",
    "np.array(['b', 'a']).argsort()[0] + np.strings.str_len(np.array(['ab']))[0]",
    "np.datetime64('2020-01-01').astype(int)",
    "np.loadtxt(io.StringIO('1 2')).sum()",
    "np.histogram([1, 2, 3])[0].sum() + np.convolve([1, 1], [1, 1]).sum() + np.cov([1.0, 2.0], [1.0, 2.0])[0, 0]",
    "heapq.nsmallest(2, [3, 1, 2])[0] + len(list(heapq.merge([1], [2])))",
    "len(list(itertools.permutations(range(4)))) + sum(itertools.accumulate([1, 2]))",
    "functools.reduce(operator.add, [1, 2]) + functools.lru_cache(maxsize=None)(len)('ab')",
    "collections.Counter('aab')['a'] + collections.deque([1, 2]).popleft() + collections.OrderedDict(a=1)['a']",
    "bisect.bisect([1, 2, 3], 2) + bisect.insort([1], 2, key=None) if False else 1",
    "math.comb(5, 2) + math.isqrt(10) + cmath.phase(1j)",
    "random.Random(3).sample(range(9), 3)[0] + random.gauss(0, 1) + random.choices([1, 2], k=2)[0]",
    "statistics.median([1, 2]) + statistics.stdev([1.0, 2.0]) + statistics.NormalDist().cdf(0)",
    "dataclasses.asdict(dataclasses.make_dataclass('D', ['a'])(3))['a']",
    "len(typing.get_type_hints(f)) + int(typing.NamedTuple('N', [('a', int)])(1).a)",
    "len(re.sub(r'(\\w+)', r'\\1!', 'ab cd')) + len(re.findall('a', 'aa'))",
    "json.loads(json.dumps({'a': [1, 2]}))['a'][1] + len(pickle.dumps([1]))",
    "copy.deepcopy([[1]])[0][0]",
    "float(decimal.Decimal('1.5')) + float(fractions.Fraction(1, 3))",
    "datetime.datetime(2020, 1, 1).year + datetime.datetime.now().year + time.time() + time.perf_counter()",
    "len(datetime.datetime(2020, 1, 2).strftime('%A')) + datetime.datetime.strptime('2020', '%Y').year",
    "enum.IntEnum('E', 'A B').A + len(string.ascii_letters) + len(textwrap.fill('a b', 1))",
    "len(hashlib.sha256(b'a').digest()) + zlib.crc32(b'a') + len(uuid.uuid4().hex) + secrets.randbelow(3)",
    "len(list(graphlib.TopologicalSorter({1: [2]}).static_order())) + array.array('i', [1])[0]",
    "struct.unpack('<i', bytes(4))[0] + difflib.SequenceMatcher(None, 'ab', 'ab').ratio() + ast.literal_eval('1')",
    "len(traceback.format_exception(ValueError('x'))) + len(inspect.signature(f).parameters)",
    "queue.PriorityQueue().qsize() + len(pathlib.PurePath('a/b').parts) + os.getpid() + threading.Lock().locked()",
    "len('é'.encode('latin-1')) + len('é'.encode('utf-16')) + len(unicodedata.name('é')) + os.cpu_count()",
    "contextlib.nullcontext(1).enter_result + weakref.WeakValueDictionary().__len__() + sys.getsizeof(1)",
    "len(pprint.pformat({'a': 1})) + len(logging.getLogger('x').name) + len(locale.getlocale())",
    "(lambda: warnings.warn('x') or 1)() + abs(calendar.monthrange(2024, 2)[1]) + print('x', flush=True).__sizeof__()",
]


def needed(use: str) -> str:
    """An import of every module that an expression names."""
    names = {name.partition(".")[0] for name in STANDARD_LIBRARY}
    return ", ".join(sorted(name for name in names if f"{name}." in use))


@pytest.mark.parametrize("use", USES)
def test_works_in_the_seal(sandbox: Sandbox, use: str) -> None:
    """The expression has a value, the same again in a second process if it is not about time or chance."""
    modules = needed(use)
    source = (f"import {modules}\n" if modules else "") + f"import numpy as np\ndef f(): return float({use})"
    with sandbox.open(source) as session:
        assert np.isfinite(session.ask("f", []))


def test_every_module_named_can_be_imported(sandbox: Sandbox) -> None:
    """The list holds no misspelt name: all of it imports, in the seal."""
    with sandbox.open(f"import {', '.join(STANDARD_LIBRARY[1:])}\ndef f(): return 1") as session:
        assert session.ask("f", []) == 1


@pytest.mark.parametrize("name", ["scipy", "evaluators", "problems", "socketserver", "multiprocessing", "http.client"])
def test_other_modules_are_not_there(sandbox: Sandbox, name: str) -> None:
    """What a candidate has no use for is missing by its name, as if it were not installed."""
    source = f"def f():\n    try:\n        import {name}\n    except ModuleNotFoundError: return 1\n    return 0"
    with sandbox.open(source) as session:
        assert session.ask("f", []) == 1
