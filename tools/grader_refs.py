"""The references that the grader is compared with: math-verify, and sympy behind a small reader of answers.

Both run in a child process that is killed when it does not answer in time, and started again. math-verify is asked as
an evaluation asks it: the gold answer as a formula, the answer as the box of a completion. The reader knows the shapes
that answers have (numbers, expressions, lists, tuples, sets, intervals, unions, matrices, equations); what it does not
know is 'n/a', never a guess.

math-verify 0.9.0, sympy 1.14.0.
"""

import json
import re
import select
import subprocess
import sys

TIMEOUT_S = 20


class Child:
    """One child that answers JSON lines; None for a question that took too long or killed it."""

    def __init__(self, what):
        self.what, self.p, self.n_lost = what, None, 0

    def ask(self, question):
        if self.p is None or self.p.poll() is not None:
            self.p = subprocess.Popen(
                [sys.executable, __file__, self.what],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            select.select([self.p.stdout], [], [], 60)
            self.p.stdout.readline()  # "ready"
        try:
            self.p.stdin.write(json.dumps(question) + '\n')
            self.p.stdin.flush()
            if select.select([self.p.stdout], [], [], TIMEOUT_S)[0]:
                line = self.p.stdout.readline()
                if line:
                    return json.loads(line)
        except BrokenPipeError:
            pass
        self.p.kill()
        self.p.wait()
        self.p, self.n_lost = None, self.n_lost + 1
        return None

    def close(self):
        if self.p is not None:
            self.p.stdin.close()
            self.p.wait()


def is_complex(gold):
    return bool(re.fullmatch(r'-?\d+ ?[-+] ?\d+i', gold))


# ---- math-verify ----


def as_gold(gold):
    return f'${gold}$'


def as_completions(answer):
    """The answer as a model would give it: in a box, its layout and full stop outside; words also as prose."""
    bold = answer.startswith('**') and answer.endswith('**')
    inner = answer[2:-2] if bold else answer
    inner = re.sub(r'(?:[.~\s]|\\[,;\\]|\\quad|\\ ?$)+$', '', inner.replace('\\displaystyle ', ''))
    for a, b in (('$$', '$$'), ('\\(', '\\)'), ('\\[', '\\]'), ('$', '$'), ('\\boxed{', '}')):
        if inner.startswith(a) and inner.endswith(b) and len(inner) > len(a + b) and '$' not in inner[len(a) : -len(b)]:
            inner = inner[len(a) : -len(b)]
            break
    out = [f'The final answer is $\\boxed{{{inner.strip()}}}$.']
    if re.search(r'[A-Za-z]{4}|[^\x00-\x7f]', answer) and not re.search(r'[\\${}]|sqrt', answer):
        out.append(f'The final answer is {answer.rstrip(".")}.')
    return out


def math_verify(question):
    """Right if it finds any of the completions right."""
    import math_verify as mv

    gold = mv.parse(as_gold(question['gold']))
    answers = [mv.parse(c) for c in as_completions(question['answer'])]
    if not gold or not any(answers):
        return {'verdict': 'n/a', 'gold': str(gold), 'answer': str(answers)}
    said = any(a and mv.verify(gold, a) for a in answers)
    return {'verdict': 'R' if said else 'W', 'gold': str(gold)[:200], 'answer': str(answers)[:300]}


def math_verify_extract(question):
    import math_verify as mv

    found = mv.parse(question['completion'])
    said = bool(found) and mv.verify(mv.parse(as_gold(question['gold'])), found)
    return {'found': [str(f)[:200] for f in found], 'right': said}


# ---- sympy ----


class NotRead(Exception):
    pass


def brace_end(s, at):
    depth = 0
    for i in range(at, len(s)):
        if s[i] == '{':
            depth += 1
        elif s[i] == '}':
            depth -= 1
            if not depth:
                return i
    raise NotRead('braces')


def paren_end(s, at):
    depth = 0
    for i in range(at, len(s)):
        depth += (s[i] == '(') - (s[i] == ')')
        if not depth:
            return i
    raise NotRead('brackets')


UNICODE = {
    '−': '-', '–': '-', '×': '*', '·': '*', '⋅': '*', '÷': '/', 'π': '\\pi ', '∞': '\\infty ', '∪': '\\cup ', '√': '\\sqrt ',
    '°': '^\\circ ', '±': '\\pm ', '²': '^2', '³': '^3', '½': '\\frac{1}{2}', '¼': '\\frac{1}{4}', '¾': '\\frac{3}{4}',
    '⅓': '\\frac{1}{3}', '⅔': '\\frac{2}{3}', '∈': '\\in ', '≤': '\\le ', '≥': '\\ge ',
}  # fmt: skip
UNITS = r'\\(?:text|mbox|textrm|mathrm)\{\s*(?:[a-zA-Z. ]+)\}(?:\^\{?\d\}?)?|\\?%|\^\s*\{?\\circ\s*\}?|\\\$'


def plain(s):
    """LaTeX to what sympy's parser reads: \\frac{a}{b} to ((a)/(b)) and so on."""
    out, i = '', 0
    while i < len(s):
        m = re.match(r'\\[dtc]?frac\s*', s[i:])
        if m:
            i += m.end()
            parts = []
            for _ in range(2):
                while s[i : i + 1] == ' ':
                    i += 1
                if s[i : i + 1] == '{':
                    e = brace_end(s, i)
                    parts.append(plain(s[i + 1 : e]).strip())
                    i = e + 1
                elif i < len(s) and s[i] != '\\':
                    parts.append(s[i])
                    i += 1
                else:
                    e = re.match(r'\\[a-z]+', s[i:])
                    if not e:
                        raise NotRead('frac')
                    parts.append(plain(e[0] + ' '))
                    i += e.end()
            mixed = re.search(r'(^|[^\w.)}])(\d+)\s*$', out)
            if mixed and all(re.fullmatch(r'\d+', p) for p in parts) and int(parts[0]) < int(parts[1]):
                out = out[: mixed.start(2)] + f'({mixed[2]}+(({parts[0]})/({parts[1]})))'
            else:
                out += f'(({parts[0]})/({parts[1]}))'
            continue
        m = re.match(r'\\sqrt\s*(?:\[(\d+)\])?\s*', s[i:])
        if m:
            i += m.end()
            if s[i : i + 1] == '{':
                e = brace_end(s, i)
                arg, i = plain(s[i + 1 : e]), e + 1
            elif s[i : i + 1] == '(':
                e = s.find(')', i)
                arg, i = plain(s[i + 1 : e]), e + 1
            else:
                e = re.match(r'\d+|[a-z]', s[i:])  # √66 in plain text; LaTeX's \sqrt66 does not occur
                if not e:
                    raise NotRead('sqrt')
                arg, i = e[0], i + e.end()
            out += f'(root(({arg}),{m[1] or 2}))'
            continue
        m = re.match(r'\\(sin|cos|tan|cot|arctan|ln|log)\s*(?:_\s*(?:(\d)|\{(\d+)\}))?\s*', s[i:])
        if m:
            i += m.end()
            if s[i : i + 1] == '{':
                e = brace_end(s, i)
                arg, i = plain(s[i + 1 : e]), e + 1
            elif s[i : i + 1] == '(':
                e = paren_end(s, i)
                arg, i = plain(s[i + 1 : e]), e + 1
            else:
                e = re.match(r'\\frac\{[^{}]*\}\{[^{}]*\}|\\pi|\d+|[a-z]', s[i:])
                if not e:
                    raise NotRead('function')
                arg, i = plain(e[0]), i + e.end()
            name = {'arctan': 'atan', 'ln': 'log'}.get(m[1], m[1])
            out += f'({name}({arg}' + (f',{m[2] or m[3]}))' if m[2] or m[3] else '))')
            continue
        m = re.match(r'\\binom\s*\{(\d+)\}\s*\{(\d+)\}', s[i:])
        if m:
            out += f'(binomial({m[1]},{m[2]}))'
            i += m.end()
            continue
        if s[i] == '{':
            e = brace_end(s, i)
            out += '(' + plain(s[i + 1 : e]) + ')'
            i = e + 1
            continue
        out += s[i]
        i += 1
    return out


def number_words(s):
    """A repeating decimal as a fraction; thousands separators away."""

    def repeat(m):
        whole, fixed, over = m[1] or '0', m[2] or '', m[3]
        d = 10 ** len(fixed) * (10 ** len(over) - 1)
        n = int(whole + fixed + over) - int(whole + fixed)
        return f'\\frac{{{n}}}{{{d}}}'

    s = re.sub(r'(\d*)\.(\d*)\\overline\{(\d+)\}', repeat, s)
    s = re.sub(r'(?<=\d)(?:\{,\}|,\\!\s*)(?=\d{3})', '', s)
    while re.fullmatch(r'[-$\\ ]*\d{1,3}(?:,\d{3})+(?:\.\d+)?.*', s) and not re.search(r'\d,\d{1,2}(?!\d)', s):
        s = re.sub(r'(\d),(\d{3})(?!\d)', r'\1\2', s, count=1)
    return s


FUNCTIONS = {'pi', 'root', 'sqrt', 'cot', 'sin', 'cos', 'tan', 'atan', 'log', 'binomial'}


def scalar(s, percent=False):
    import sympy as sp
    from sympy.parsing.sympy_parser import (
        convert_xor, implicit_multiplication, parse_expr, rationalize, standard_transformations,
    )  # fmt: skip

    hundred = bool(re.search(r'\d\s*\\?%\s*$', s))
    if re.search(r'thousand|million', s):
        raise NotRead(s)
    s = re.sub(r'\\(sin|cos|tan)\s*\(?(\d+)\s*\^\s*\\circ\)?', r'\\\1(\2*pi/180)', s)
    s = s.replace('\\mathrm{i}', 'i')
    s = re.sub(UNITS, ' ', s.replace('\\degree', '^\\circ'))
    s = re.sub(r'(?<=\d)\s*(dollars|degrees|cents|percent|units|inches|cm(\^2)?)\b', ' ', s)
    s = re.sub(r'(?<![\w.^/*+])(-?)(\d+) +(\d+)/(\d+)\s*$', r'\1(\2+\3/\4)', s)
    s = re.sub(r'^\s*\$', '', s)
    s = re.sub(r'\\(?:cdot|times|ast)\b', '*', s)
    s = re.sub(r'\\div\b', '/', s)
    s = re.sub(r'(?<![\d.])0+(?=\d)', '', plain(s))
    s = re.sub(r'\\pi\b|\bpi\b', ' pi ', s)
    s = s.replace('\\', ' \\')
    if re.search(r'\\|[^\w\s+\-*/^().!,]|,(?!\d+\)\))', s):
        raise NotRead(s)
    words = set(re.findall(r'[A-Za-z]+', s)) - FUNCTIONS
    out = re.sub(r'([A-Za-z]+)', lambda m: m[0] if m[0] not in words else ' '.join(m[0]), s)
    names = {n: sp.Symbol(n) for w in words for n in w}
    if 'i' in names:
        names['i'] = sp.I
    if any(len(w) > 3 for w in words):
        raise NotRead(s)
    names |= {n: getattr(sp, n) for n in FUNCTIONS}
    if 'e^' in s:
        names['e'] = sp.E
    try:
        e = parse_expr(
            out.strip(),
            local_dict=names,
            transformations=standard_transformations + (convert_xor, implicit_multiplication, rationalize),
        )
    except NotRead:
        raise
    except Exception as x:
        raise NotRead(f'{s}: {x}')
    if not isinstance(e, sp.Expr):
        raise NotRead(s)
    return e / 100 if percent and hundred else e


def split_top(s, pattern):
    """Pieces of s between matches of pattern outside brackets and braces."""
    parts, depth, last, i = [], 0, 0, 0
    while i < len(s):
        if s[i] in '([{':
            depth += 1
        elif s[i] in ')]}':
            depth -= 1
        m = None if depth else re.match(pattern, s[i:])
        if m and m.end():
            parts.append(s[last:i])
            i += m.end()
            last = i
            continue
        i += 1
    return parts + [s[last:]]


def read(s, percent=False):
    """A shape: ('scalar', e), ('list', [..]), ('tuple', '(', [..], ')'), ('union', {..}), ('matrix', M), ('eq', l, r)"""
    import sympy as sp

    for k, v in UNICODE.items():
        s = s.replace(k, v)
    s = s.strip()
    s = re.sub(r'^\*\*(.*)\*\*$', r'\1', s)
    for a, b in (('$$', '$$'), ('\\(', '\\)'), ('\\[', '\\]'), ('$', '$'), ('\\boxed{', '}'), ('\\displaystyle', '')):
        if s.startswith(a) and s.endswith(b) and len(s) > len(a + b):
            s = s[len(a) : len(s) - len(b)].strip()
    s = re.sub(r'(?:[.~\s]|\\[,;\\]|\\quad|\\ ?$)+$', '', s)
    s = number_words(s)
    m = re.fullmatch(r'\\begin\{([bp]?matrix)\}(.*)\\end\{\1\}', s, re.S)
    if m:
        rows = [r for r in re.split(r'\\\\', m[2]) if r.strip()]
        return ('matrix', sp.Matrix([[scalar(c) for c in r.split('&')] for r in rows]))
    m = re.fullmatch(r'(?:\\text)?[{(]?(\d+)[})]?\s*_\s*(?:(\d)|\{\s*(?:\\text\{)?(\d+)\}?\s*\})', s)
    if m:
        return ('based', m[1], int(m[2] or m[3]))
    m = re.fullmatch(r'(?:[a-z]\([a-zA-Z]\)|\\mathbf\{v\}|\(x,y\))\s*=(.*)', s, re.S)
    if m:
        return read(m[1], percent)
    s = re.sub(r'\\left|\\right|\\[,;:! ]|\\quad|\\displaystyle|~', ' ', s)
    s = re.sub(r'\\(?:text|mathrm|mathbf)\{\s*(-?[\d./]+)\s*\}', r'\1', s)
    s = re.sub(r'\\text\{\s*(and|or)\s*\}|\b(and|or)\b', ',', s)
    s = re.sub(r',\s*,', ',', s).strip()
    if '\\cup' in s:
        return ('union', [read(p, percent) for p in re.split(r'\\cup', s)])
    m = re.fullmatch(r'x\s*\\in(.*)', s, re.S)
    if m:
        return read(m[1], percent)
    if re.search(r'<|>|\\le|\\ge', s):
        raise NotRead(s)
    sides = split_top(s, '=')
    if len(sides) == 2:
        l, r = (read(p, percent) for p in sides)
        if l[0] == 'scalar' and l[1].is_Symbol and len(split_top(sides[1], ',')) > 1:
            return r
        if l[0] != 'scalar' or r[0] != 'scalar':
            if l[0] == 'scalar' and l[1].is_Symbol:
                return r
            raise NotRead(s)
        return ('eq', l[1], r[1])
    if len(sides) > 2:
        # a list of x = a, x = b
        items = [split_top(p, '=') for p in split_top(s, ',')]
        if all(len(i) == 2 and i[0].strip() == items[0][0].strip() for i in items):
            return ('list', [x for i in items for x in members(i[1], percent)])
        raise NotRead(s)
    t = s.replace('\\{', '{').replace('\\}', '}')
    if re.fullmatch(r'\{.*\}', t) and brace_end(t, 0) == len(t) - 1:
        return ('list', members(t[1:-1], percent))
    if t[:1] in '([' and t[-1:] in ')]' and len(split_top(t[1:-1], ',')) > 1:
        if '(' not in t[1:-1] or split_top(t[1:-1], ','):
            return ('tuple', t[0], [end(p, percent) for p in split_top(t[1:-1], ',')], t[-1])
    if len(split_top(t, ',')) > 1 or '\\pm' in t:
        return ('list', members(t, percent))
    return ('scalar', scalar(s, percent))


def end(s, percent):
    import sympy as sp

    m = re.fullmatch(r'\s*([-+]?)\s*(\\infty|infinity|inf|oo)\s*', s)
    if m:
        return -sp.oo if m[1] == '-' else sp.oo
    return scalar(s, percent)


def members(s, percent):
    out = []
    for p in split_top(s, ','):
        p = re.sub(r'^\s*x\s*=', '', p)
        for q in (p.replace('\\pm', '+'), p.replace('\\pm', '-')) if '\\pm' in p else (p,):
            out.append(scalar(q, percent))
    return out


def same(a, b):
    import sympy as sp

    if a == b:
        return True
    if a.is_infinite or b.is_infinite:
        return False
    d = sp.expand(a - b)
    if d == 0:
        return True
    if not d.free_symbols:
        v = d if d.is_Rational else abs(sp.N(d, 80))
        return bool(v == 0 if d.is_Rational else v < sp.Float(10) ** -60) if v.is_number else sp.simplify(d) == 0
    return sp.simplify(d) == 0


def alike(g, a):
    if g[0] == 'eq' and a[0] == 'eq':
        import sympy as sp

        p, q = sp.expand(g[1] - g[2]), sp.expand(a[1] - a[2])
        if p == 0 or q == 0:
            return p == q
        return not sp.simplify(p / q).free_symbols
    if g[0] == 'eq' and a[0] == 'scalar':
        return any(l.is_Symbol and same(r, a[1]) for l, r in ((g[1], g[2]), (g[2], g[1])))
    if a[0] == 'eq' and g[0] == 'scalar':
        return any(l.is_Symbol and same(r, g[1]) for l, r in ((a[1], a[2]), (a[2], a[1])))
    if g[0] == 'tuple' and a[0] == 'list':
        return g[1] == '(' and g[3] == ')' and len(g[2]) == len(a[1]) and all(map(same, g[2], a[1]))
    if g[0] == 'list' and a[0] == 'scalar' or g[0] == 'scalar' and a[0] == 'list':
        x, y = (g[1], [a[1]]) if g[0] == 'list' else (a[1], [g[1]])
        return len(x) == 1 and same(x[0], y[0])
    if g[0] != a[0]:
        return False
    if g[0] == 'scalar':
        return same(g[1], a[1])
    if g[0] == 'based':
        return g == a
    if g[0] == 'matrix':
        return g[1].shape == a[1].shape and all(same(x, y) for x, y in zip(g[1], a[1]))
    if g[0] == 'tuple':
        return g[1] == a[1] and g[3] == a[3] and len(g[2]) == len(a[2]) and all(map(same, g[2], a[2]))
    eq = same if g[0] == 'list' else alike
    left = list(a[1])
    if len(left) != len(g[1]):
        return False
    for x in g[1]:
        hit = next((y for y in left if eq(x, y)), None)
        if hit is None:
            return False
        left.remove(hit)
    return True


def by_sympy(question):
    try:
        # p% is p, or p/100 where the other side has no sign and is that
        for percent in (False, True):
            g, a = read(question['gold'], percent), read(question['answer'], percent)
            if alike(g, a):
                return {'verdict': 'R'}
        return {'verdict': 'W'}
    except NotRead as e:
        return {'verdict': 'n/a', 'why': str(e)[:100]}
    except Exception as e:
        return {'verdict': 'n/a', 'why': repr(e)[:100]}


def serve(f):
    print('ready', flush=True)
    for line in sys.stdin:
        try:
            said = f(json.loads(line))
        except Exception as e:
            said = {'verdict': 'n/a', 'why': repr(e)[:100]}
        print(json.dumps(said), flush=True)


if __name__ == '__main__':
    serve({'math-verify': math_verify, 'sympy': by_sympy, 'extract': math_verify_extract}[sys.argv[1]])
