#!/usr/bin/env python3
"""Makes tests/golden/data/lcb: problems in LiveCodeBench's published format, programs, and its own checker's verdicts.

    python3 tools/make_lcb_fixtures.py TESTING_UTIL.PY LIVECODEBENCH.PY tests/golden/data/lcb </dev/null

TESTING_UTIL.PY is lcb_runner/evaluation/testing_util.py of LiveCodeBench (commit 28fef95; run with Python 3.11.7),
LIVECODEBENCH.PY is lighteval_custom/tasks/livecodebench.py of Quantized-Reasoning-Models (commit bf947e2). Problems, tests and programs are made here; nothing of the published data is in them. Each program is judged by
run_test in a process of its own, as check_correctness does it, with stdin empty.

    test.jsonl … test6.jsonl   5 problems each; private tests as JSON, or packed by pickle protocols 2 to 5
    prompts.jsonl              {row, prompt}: what prepare_prompt of LIVECODEBENCH.PY makes of each row
    programs.jsonl             {row, limit, code, right, end, test}: end is 1 or the checker's error code, test the number
                               of the test at which it stopped (0: before the first)
"""
import ast, base64, importlib.util, json, multiprocessing, os, pickle, random, sys, zlib

rng = random.Random(4)
problems, programs = [], []


def words(*a):
    return ' '.join(str(x) for x in a)


def problem(title, tests, func=None, args=None, level='easy'):
    n = len(problems)
    starter = f'class Solution:\n    def {func}(self, {args}):\n        ' if func else ''
    problems.append(dict(title=title, tests=tests, func=func, starter=starter, level=level, id=f'{title}_{n}'))
    return problems[-1]


def program(p, code, limit=6):
    programs.append(dict(row=p['id'], limit=limit, code=code))


# ---- whole programs: the same few lines of solution behind every way to read and write ----

READ = {
    'input': 'def tokens():\n    out = []\n    try:\n        while True: out += input().split()\n'
             '    except EOFError: return out\ndata = tokens()\n',
    'read': 'import sys\ndata = sys.stdin.read().split()\n',
    'readline': 'import sys\ndata = []\nline = sys.stdin.readline()\nwhile line:\n    data += line.split()\n'
                '    line = sys.stdin.readline()\n',
    'alias': 'import sys\ninput = sys.stdin.readline\ndata = input().split()\ndata += input().split()\n'
             'data += input().split()\n',
    'lines': 'import sys\ndata = " ".join(sys.stdin.readlines()).split()\n',
    'iterate': 'import sys\ndata = []\nfor line in sys.stdin:\n    data += line.split()\n',
    'buffer': 'import sys\ndata = [w.decode() for w in sys.stdin.buffer.read().split()]\n',
    'buffer line': 'import sys\ndata = []\nfor _ in range(3): data += sys.stdin.buffer.readline().decode().split()\n',
    'buffer lines': 'import sys\ndata = [w.decode() for line in sys.stdin.buffer.readlines() for w in line.split()]\n',
    'open': 'data = open(0).read().split()\n',
    'builtins': 'import builtins\ndata = builtins.open(0).read().split()\n',
    'from': 'from sys import stdin\ndata = stdin.read().split()\n',
    'from line': 'from sys import stdin\ndata = stdin.readline().split()\ndata += stdin.readline().split()\n',
    'from iterate': 'from sys import stdin\ndata = []\nfor line in stdin: data += line.split()\n',
    'fileinput': 'import fileinput\ndata = []\nfor line in fileinput.input(): data += line.split()\n',
    'os': 'import os\ndata = os.read(0, 1 << 16).decode().split()\n',
    'StringIO': 'import io, sys\nsys.stdin = io.StringIO(sys.stdin.read())\ndata = []\nfor line in sys.stdin: data += '
                'line.split()\n',
}
WRITE = {
    'print': 'print({})\n',
    'write': 'import sys\nsys.stdout.write(str({}) + "\\n")\n',
    'bare': 'import sys\nsys.stdout.write(str({}))\n',
    'spaces': 'print("  ", {}, "  ")\nprint()\nprint()\n',
    'crlf': 'print({}, end="\\r\\n")\n',
    'from': 'from sys import stdout\nstdout.write(str({}))\n',
    'buffer': 'import sys\nsys.stdout.buffer.write(str({}).encode())\n',
    'close': 'import sys\nprint({})\nsys.stdout.close()\n',
    'flush': 'print({}, flush=True)\nimport sys\nsys.stdout.flush()\n',
    'exit': 'print({})\nexit()\n',
    'sys.exit': 'import sys\nprint({})\nsys.exit(3)\n',
    'quit': 'print({})\nquit()\n',
    'raise': 'print({})\nraise SystemExit("done")\n',
    'os._exit': 'import os\nprint({}, flush=True)\nos._exit(0)\n',
    'stderr': 'import sys\nprint("debug", file=sys.stderr)\nprint({})\n',
    'extra': 'print({})\nprint("extra")\n',
    'error': 'print({})\nraise ValueError("late")\n',
    'twice': 'print({}, {})\n',
}


def simple(title, solve, answer, inputs, wrong, level='easy'):
    """solve: lines of Python that make `ans` of `data`; wrong: [(from, to)] that break it."""
    p = problem(title, [(s, str(answer(s)) + '\n') for s in inputs], level=level)
    return p, solve, wrong


def numbers(n, lo, hi):
    return [rng.randint(lo, hi) for _ in range(n)]


def lists(lo, hi, sizes=(1, 3, 8)):
    return [f'{n}\n{words(*numbers(n, lo, hi))}\n' for n in sizes]


def ints(s):
    return [int(w) for w in s.split()]


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


stdin = [
    simple('add', 'a, b = map(int, data[:2])\nans = a + b\n', lambda s: sum(ints(s)),
           ['3 4\n', '10 -4\n', '0 0'], [('a + b', 'a - b'), ('a + b', 'a + b + (a > 9)')]),
    simple('largest', 'xs = list(map(int, data[1:]))\nans = max(xs)\n', lambda s: max(ints(s)[1:]),
           lists(-50, 50), [('max', 'min'), ('data[1:]', 'data')]),
    simple('range', 'xs = sorted(map(int, data[1:]))\nans = xs[-1] - xs[0]\n',
           lambda s: max(ints(s)[1:]) - min(ints(s)[1:]), lists(-9, 99), [('xs[0]', 'xs[1]'), ('- xs', '+ xs')]),
    simple('mean', 'xs = list(map(int, data[1:]))\nans = "%.3f" % (sum(xs) / len(xs))\n',
           lambda s: '%.3f' % (sum(ints(s)[1:]) / ints(s)[0]), lists(1, 20),
           [('%.3f', '%.4f'), ('"%.3f" %', ''), ('%.3f', '%.1f')], 'medium'),
    simple('distinct', 'ans = len(set(data[1:]))\n', lambda s: len(set(ints(s)[1:])), lists(1, 5),
           [('set(data[1:])', 'data[1:]'), ('set(data[1:])', 'set(data)')]),
    simple('reverse', 'ans = " ".join(data[:0:-1])\n', lambda s: words(*ints(s)[:0:-1]), lists(0, 9),
           [('" "', '"  "'), ('" "', '","'), (':0:-1', ':')]),
    simple('halves', 'ans = " ".join(str(int(w) / 2) for w in data[1:])\n',
           lambda s: words(*['%.2f' % (x / 2) for x in ints(s)[1:]]), lists(0, 99),
           [('/ 2)', '/ 2) + "x"'), ('/ 2', '// 2')], 'medium'),
    simple('primes', 'n = int(data[0])\nsieve = [True] * (n + 1)\nans = 0\nfor i in range(2, n + 1):\n    if sieve[i]:\n'
           '        ans += 1\n        for j in range(i * i, n + 1, i): sieve[j] = False\n',
           lambda s: sum(all(i % j for j in range(2, i)) for i in range(2, int(s) + 1)), ['10\n', '2\n', '97\n'],
           [('range(2, n + 1)', 'range(2, n)'), ('i * i, n + 1', 'i * i, n')], 'hard'),
    simple('rows', 'n = int(data[0])\nans = "\\n".join("#" * i for i in range(1, n + 1))\n',
           lambda s: '\n'.join('#' * i for i in range(1, int(s) + 1)), ['1\n', '4\n', '7\n'],
           [('(1, n', '(0, n'), ('"\\n"', '"\\n\\n"'), ('"#"', '" #"')], 'medium'),
    simple('yes', 'ans = "Yes" if int(data[0]) % 3 == 0 else "No"\n', lambda s: 'No' if int(s) % 3 else 'Yes',
           ['3\n', '10\n', '99\n'], [('"Yes"', '"YES"'), ('== 0', '== 1')]),
    simple('power', 'a, b = map(int, data[:2])\nans = a ** b\n', lambda s: ints(s)[0] ** ints(s)[1],
           ['2 10\n', '3 100\n', '7 0\n'], [('a ** b', 'float(a ** b)'), ('a ** b', '"%e" % a ** b'), ('**', '*')],
           'medium'),
    simple('blank', 'ans = "" if data[0] == "0" else data[0]\n', lambda s: '' if s.strip() == '0' else s.strip(),
           ['0\n', '5\n', '0\n'], [('""', '"\\n \\n"'), ('""', '"0"')]),
    simple('fib', 'from functools import lru_cache\n@lru_cache(None)\ndef fib(n): return n if n < 2 else fib(n - 1) + '
           'fib(n - 2)\nans = fib(int(data[0]))\n', lambda s: fib(int(s)), ['1\n', '30\n', '90\n'],
           [('n < 2', 'n < 1'), ('n - 2', 'n - 1')], 'hard'),
    simple('decimal', 'ans = data[0]\n', lambda s: s.strip(), ['1.50\n', '2e3\n', 'nan\n'],
           [('data[0]', 'float(data[0])'), ('data[0]', 'data[0] + "0"'), ('data[0]', 'data[0].upper()')], 'medium'),
    simple('words', 'ans = " ".join(sorted(data))\n', lambda s: ' '.join(sorted(s.split())),
           ['b a\n', 'the quick brown fox\n', 'é à z\n'], [('sorted(data)', 'sorted(set(data))[::-1]'), (' ".join', '".join')]),
]


reads, writes = list(READ), list(WRITE)
for k, (p, solve, wrong) in enumerate(stdin):
    right = READ['read'] + solve + WRITE['print'].format('ans')
    program(p, right)
    for i in range(3):                                  # every way of reading and writing meets some problem
        program(p, READ[reads[(3 * k + i) % len(reads)]] + solve + WRITE['print'].format('ans'))
    for i in range(2):
        w = WRITE[writes[(2 * k + i) % len(writes)]].replace('{}', 'ans')
        program(p, READ['input'] + solve + w)
    for a, b in wrong:
        assert a in solve, (a, solve)
        program(p, READ['read'] + solve.replace(a, b, 1) + WRITE['print'].format('ans'))

# ---- what the wrapping in a function, the alarm and the module do to programs ----

add, largest, fibonacci = stdin[0][0], stdin[1][0], stdin[12][0]
body = 'a, b = map(int, input().split())\n'
for code in (
    'def main():\n    a, b = map(int, input().split())\n    print(a + b)\nif __name__ == "__main__":\n    main()\n',
    "def main():\n    a, b = map(int, input().split())\n    print(a + b)\nif __name__ == '__main__': main()\nx = 1\n",
    'if __name__ == "__main__":\n    a, b = map(int, input().split())\n    print(a + b)\n    exit(0)\n',
    'if "__main__" == __name__:\n    a, b = map(int, input().split())\n    print(a + b)\n',
    'import sys\ndef main():\n    a, b = map(int, sys.stdin.readline().split())\n    print(a + b)\nmain()\n',
    'total = 0\ndef add(x):\n    global total\n    total += x\nfor w in input().split(): add(int(w))\nprint(total)\n',
    'total = 0\ndef add(x):\n    nonlocal total\n    total += x\nfor w in input().split(): add(int(w))\nprint(total)\n',
    'class Solution:\n    def add(self, a, b): return a + b\n' + body + 'print(Solution().add(a, b))\n',
    'class Solver:\n    def add(self, a, b): return a + b\n' + body + 'print(Solver().add(a, b))\n',
    body + 'if a == 3:\n    from math import *\nprint(a + b)\n',
    'from __future__ import annotations\n' + body + 'print(a + b)\n',
    'from math import *\nfrom collections import *\n' + body + 'print(floor(a) + b)\n',
    'import resource\n' + body + 'print(a + b)\n',
    'import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 26)\ndef main():\n'
    '    a, b = map(int, input().split())\n    print(a + b)\nt = threading.Thread(target=main)\nt.start()\nt.join()\n',
    body + 'return print(a + b)\n',
    body + 'print(a + b)\nreturn\nprint(1)\n',
    'a, b = map(int, input().split())\nprint(a + b',
    'a, b = map(int, input().split())\n  print(a + b)\n',
    '# nothing\n',
    'import sys\n',
    'print(sum(map(int, input().split())))\nimport nothing_like_this\n',
    'import math as m\n' + body + 'print(m.floor(a) + b, end="")\n',
    body + 'assert a < 5\nprint(a + b)\n',
    body + 'import os\nos.getcwd()\nprint(a + b)\n',
    body + 'import os\nos.system("true")\nprint(a + b)\n',
    body + 'import subprocess\nsubprocess.run(["true"])\nprint(a + b)\n',
    'import ctypes\nctypes.string_at(8)\n',
    body + 'raise KeyboardInterrupt\n',
    body + 'print(10 ** 60000 > 1, a + b)\n',
    body + 'print(str(10 ** 20000)[:0] + str(a + b))\n',
    body + 'print(str(10 ** 60000)[:0] + str(a + b))\n',
    'x = bytearray(1 << 46)\n',
    'try:\n    a, b = map(int, input().split())\n    print(a + b)\nexcept:\n    print(0)\n',
    'import sys\nsys.stdout = sys.__stdout__\n' + body + 'print(a + b)\n',
    'import sys\nprint(__name__)\n',
    'match input().split():\n    case [a, b]: print(int(a) + int(b))\n',
    'print((lambda s: sum(map(int, s.split())))(input()))\n',
    'from typing import List\ndef f(xs: List[int]) -> int: return sum(xs)\nprint(f([int(w) for w in input().split()]))\n',
    'import sys\ninput = lambda: sys.stdin.readline().rstrip("\\r\\n")\n' + body + 'print(f"{a + b}")\n',
    'def words():\n    yield from input().split()\nprint(sum(int(w) for w in words()))\n',
    'x = input()\ny = input()\nprint(x, y)\n',
    'class TimeoutException(Exception): pass\nraise TimeoutException()\n',
    'from string import *\nfrom operator import *\n' + body + 'print(add(a, b))\n',
    body + 'print(pow(a, 1, 1000003) % 1000003 + b if a > 3 else a + b)\n',
    body + 'print(a + b, file=open("/tmp/never-there/x", "w"))\n',
    'import random\nrandom.seed(1)\n' + body + 'print(a + b + 0 * random.random())\n',
    'print(*map(int, input().split()), sep="+")\n',
    body + 'print(a + b, "\\x1c")\n',
    body + 'print("\\u3000", a + b, "\\u00a0")\n',
    body + 'print(a + b, "\\u200b")\n',
):
    program(add, code)
program(largest, 'n = int(input())\nxs = [int(x) for x in input().split()]\ndef depth(i): return xs[0] if i == 0 else '
                 'max(xs[i % n], depth(i - 1))\nprint(depth(20000))\n')
program(fibonacci, 'import sys\nsys.setrecursionlimit(10 ** 6)\nfrom functools import lru_cache\n@lru_cache(None)\n'
                   'def f(n): return 0 if n == 0 else f(n - 1)\nprint(f(90000) + int(input()))\n')
for code in ('while True: pass\n', 'import time\ntime.sleep(30)\n', 'n = int(input())\nwhile n > 1: pass\nprint(n)\n',
             'import threading\nthreading.Event().wait()\n', 'x = 9 ** 9 ** 8\nprint(x)\n',
             'import time\ntry:\n    time.sleep(30)\nexcept Exception: print(int(input()))\n'):
    program(fibonacci, code, 1)

# ---- functions ----

call = [
    ('addTwo', 'a: int, b: int', [((3, 4), 7), ((10, -4), 6), ((10**20, 1), 10**20 + 1)], 'return a + b',
     ['return a - b', 'return float(a + b)', 'return str(a + b)', 'return True if a + b == 1 else a + b', 'return']),
    ('runningSum', 'nums: List[int]', [(([1, 2, 3],), [1, 3, 6]), (([],), []), (([5],), [5])],
     'return list(accumulate(nums))',
     ['return tuple(accumulate(nums))', 'return accumulate(nums)', 'return deque(accumulate(nums))', 'return nums',
      'return [float(x) for x in accumulate(nums)]', 'return set(accumulate(nums))']),
    ('pairs', 'nums: List[int]', [(([1, 2],), [[1, 2]]), (([1, 2, 3],), [[1, 2], [1, 3], [2, 3]]), (([1],), [])],
     'return [list(c) for c in combinations(nums, 2)]',
     ['return list(combinations(nums, 2))', 'return tuple([a, b] for a, b in combinations(nums, 2))',
      'return [[a, b] for a in nums for b in nums if a != b]', 'return [[float(a), b] for a, b in combinations(nums, 2)]']),
    ('average', 'nums: List[int]', [(([1, 2],), 1.5), (([3],), 3.0), (([1, 1, 2],), 4 / 3)],
     'return sum(nums) / len(nums)',
     ['return round(sum(nums) / len(nums), 5)', 'return Fraction(sum(nums), len(nums))', 'return sum(nums) // len(nums)',
      'import decimal\n        return decimal.Decimal(sum(nums)) / len(nums)', 'return complex(sum(nums) / len(nums), 0)']),
    ('isEven', 'n: int', [((2,), True), ((3,), False), ((0,), True)], 'return n % 2 == 0',
     ['return 1 - n % 2', 'return "true" if n % 2 == 0 else "false"', 'return n % 2', 'print(n % 2 == 0)']),
    ('shout', 's: str', [(('abc',), 'ABC!'), (('é "q"',), 'É "Q"!'), (('',), '!')], 'return s.upper() + "!"',
     ['return s + "!"', 'return [s.upper() + "!"]', 'return s.upper() + "! "', 'return (s.upper() + "!").encode()']),
    ('count', 'words: List[str]', [((['a', 'b', 'a'],), {'a': 2, 'b': 1}), (([],), {}), ((['x'],), {'x': 1})],
     'return dict(Counter(words))',
     ['return Counter(words)', 'return OrderedDict(sorted(Counter(words).items()))', 'return sorted(Counter(words).items())',
      'return {w: 1 for w in words}', 'return defaultdict(int, Counter(words))']),
    ('nothing', 'n: int', [((0,), None), ((1,), [None, 1]), ((2,), [[], {}])],
     'return [None, [None, 1], [[], {}]][n]', ['return [False, [None, 1], [[], {}]][n]', 'return [None, [0, 1], [[], {}]][n]',
                                               'return [None, (None, True), [[], {}]][n]']),
    ('memo', 'n: int', [((1,), 1), ((2,), 3), ((3,), 6)], 'return n * (n + 1) // 2',
     ['self.t = getattr(self, "t", 0) + n\n        return self.t', 'raise SystemExit', 'exit()', 'raise KeyError(n)',
      'return self.memo(n)', 'import os\n        os._exit(0)', 'return n / 0', 'raise KeyboardInterrupt', 'return undefined']),
    ('big', 'n: int', [((5,), 5 ** 50), ((2,), 2 ** 50), ((0,), 0)], 'return n ** 50',
     ['return float(n ** 50)', 'return int(float(n) ** 50)', 'return str(n ** 50)', 'return -0.0 if n == 0 else n ** 50']),
    ('nan', 'n: int', [((1,), 1e999), ((2,), -1e999), ((0,), 0)], 'return [0, math.inf, -math.inf][n]',
     ['return [0, math.nan, -math.inf][n]', 'return [0, 10 ** 400, 0][n]', 'return [False, float("inf"), float("-inf")][n]']),
    ('grid', 'g: List[List[int]], k: int', [(([[1, 2], [3, 4]], 2), [[2, 4], [6, 8]]), (([[]], 3), [[]]), (([], 1), [])],
     'return [[k * x for x in r] for r in g]',
     ['for r in g:\n            for i in range(len(r)): r[i] *= k\n        return g', 'return [r * k for r in g]',
      'return [tuple(k * x for x in r) for r in g]', 'return range(0)']),
]
for name, args, tests, right, wrong in call:
    p = problem(name, [('\n'.join(json.dumps(a) for a in given), json.dumps(want)) for given, want in tests], name, args,
                rng.choice(['easy', 'medium', 'hard']))
    head = f'class Solution:\n    def {name}(self, {args}):\n        '
    program(p, head + right + '\n')
    program(p, f'def {name}({args}):\n    {right}\n')
    for w in wrong:
        program(p, head + w + '\n')
memo, add_two = problems[-4], problems[15]
for code in ('class Solution:\n    def other(self, n): return n\n', 'class Solution(:\n', 'x = 1\n',
             'class Solution:\n    def __init__(self): raise ValueError\n    def memo(self, n): return n\n',
             'class Solution:\n    def memo(self): return 1\n', 'exit()\nclass Solution:\n    def memo(self, n): return n\n',
             'class Solution:\n    seen = []\n    def memo(self, n):\n        self.seen.append(n)\n        return sum(self.seen)\n',
             'class Solution:\n    def memo(self, n, seen=[]):\n        seen.append(n)\n        return sum(seen)\n',
             'import sys\nclass Solution:\n    def memo(self, n):\n        print(n)\n        sys.stdout.close()\n'
             '        return n * (n + 1) // 2\n',
             'class Solution:\n    @staticmethod\n    def memo(n): return n * (n + 1) // 2\n',
             'class Solution:\n    @property\n    def memo(self): return lambda n: n * (n + 1) // 2\n',
             'memo = lambda n: n * (n + 1) // 2\n', 'def memo(n): return n * (n + 1) // 2\nmemo(input())\n',
             'if __name__ == "__main__":\n    class Solution:\n        def memo(self, n): return n\n',
             'from numbers import *\nfrom dataclasses import dataclass\n@dataclass\nclass Solution:\n    x: int = 0\n'
             '    def memo(self, n): return n * (n + 1) // 2\n',
             'class Solution:\n    def memo(self, n):\n        return sum(range(n + 1))\n\nprint(Solution().memo(input()))\n'):
    program(memo, code)
for code in ('class Solution:\n    def memo(self, n):\n        while True: pass\n',
             'while True: pass\ndef memo(n): return n\n',
             'class Solution:\n    def memo(self, n):\n        try:\n            while True: n += 0\n        except Exception:\n'
             '            return n * (n + 1) // 2\n'):
    program(memo, code, 1)
problem('broken_input', [('', '1')], 'f', 'n')
program(problems[-1], 'def f(*n): return 1\n')
problem('broken_output', [('1', '1'), ('1', 'one')], 'f', 'n')
program(problems[-1], 'def f(n): return 1\n')
p = problem('large', [('7\n', '7\n'), ('1 ' * 40000 + '\n', '40000\n')], level='hard')
program(p, 'print(sum(map(int, input().split())))\n')
while len(problems) < 30:
    p = problem('pad', [('1\n', '1\n')])
    program(p, 'print(input())\n')


# ---- files ----

def row(k, p):
    tests = [dict(input=a, output=b, testtype='functional' if p['func'] else 'stdin') for a, b in p['tests']]
    public, private = tests[:1], tests[1:]
    text = json.dumps(private)
    if k % 5:
        text = base64.b64encode(zlib.compress(pickle.dumps(text, 1 + k % 5))).decode()
    meta = {'func_name': p['func']} if p['func'] else {}
    return dict(question_title=p['title'], question_content=f'{p["title"].capitalize()} – problem {k + 1}.\n\nInput\n\nSee the '
                f'tests.\n', platform='leetcode' if p['func'] else 'atcoder', question_id=p['id'], contest_id=f'c{k // 5}',
                contest_date=f'{2023 + (k + 4) // 12}-{(k + 4) % 12 + 1:02d}-15T00:00:00', starter_code=p['starter'],
                difficulty=p['level'], public_test_cases=json.dumps(public), private_test_cases=text,
                metadata=json.dumps(meta))


def judge(run_test, p, code, limit, pipe):
    sample = dict(input_output=json.dumps(dict(inputs=[a for a, _ in p['tests']], outputs=[b for _, b in p['tests']],
                                               fn_name=p['func'])))
    pipe.send(run_test(sample, test=code, debug=False, timeout=limit))


def main():
    util, prompts, out = sys.argv[1:]
    spec = importlib.util.spec_from_file_location('testing_util', util)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.set_int_max_str_digits(50000)
    os.makedirs(out, exist_ok=True)
    for f in range(6):
        with open(f'{out}/test{f + 1 if f else ""}.jsonl', 'w') as file:
            for k in range(5 * f, 5 * f + 5):
                file.write(json.dumps(row(k, problems[k])) + '\n')
    with open(prompts) as file:
        functions = [s for s in ast.parse(file.read()).body if getattr(s, 'name', '') == 'prepare_prompt']
    scope = {}
    exec('from typing import Any\n' + ast.unparse(functions), scope)
    with open(f'{out}/prompts.jsonl', 'w') as file:
        for k, p in enumerate(problems):
            file.write(json.dumps(dict(row=p['id'], prompt=scope['prepare_prompt'](row(k, p)))) + '\n')
    by_id = {p['id']: p for p in problems}
    devnull = os.open(os.devnull, os.O_WRONLY)
    with open(f'{out}/programs.jsonl', 'w') as file:
        for q in programs:
            p = by_id[q['row']]
            here, there = multiprocessing.Pipe()
            stdout = os.dup(1)
            os.dup2(devnull, 1)
            child = multiprocessing.Process(target=judge, args=(module.run_test, p, q['code'], q['limit'], there))
            child.start()
            os.dup2(stdout, 1)
            os.close(stdout)
            there.close()
            child.join((q['limit'] + 1) * len(p['tests']) + 5)
            if child.is_alive():
                child.kill()
            try:
                results, meta = here.recv()
            except EOFError:
                results, meta = [-1], {'error_code': -1}
            right = all(r > 0 for r in results)
            end = 1 if right else meta['error_code']
            loading = 'Error during testing' in meta.get('error_message', '')
            q.update(right=right, end=end, test=0 if right or loading or end == -1 else len(results))
            file.write(json.dumps(q, ensure_ascii=False) + '\n')
    print(len(programs), 'programs,', sum(q['right'] for q in programs), 'right;',
          {e: sum(q['end'] == e for q in programs) for e in (1, -1, -2, -3, -4)})


if __name__ == '__main__':
    main()
