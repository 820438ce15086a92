#!/usr/bin/env python3
"""The proof of the grader: pairs made from the gold answers of MATH-500, GSM8K and AIME, and who says what of them.

    grader_pairs.py make  DATA > pairs.jsonl           {gold, answer, expect, transform, source}; DATA is ../shared/data
    grader_pairs.py ask   pairs.jsonl > asked.jsonl    adds what math-verify and sympy say (minutes)
    grader_pairs.py tell  asked.jsonl LOWBIT           grades with `lowbit grade --file`, prints the agreement by transform
                                                       and every disagreement
    grader_pairs.py write asked.jsonl > tests/golden/grader_pairs.tsv

Each gold answer is spelled in other ways that keep its value (R) or change it (W); `expect` follows from how the pair
was made, with sympy's arithmetic but not its parser or its opinion. Of every gold answer a fixed, seeded choice is kept.
The reading of a gold answer (grader_refs.read) is the only thing that construction and reference share.
"""

import json
import math
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import sympy as sp

import grader_refs as refs

SEED = 20261126
# Beyond what every grader is meant to know (other order and form, layout, decimals, units; off by one, sign, swapped).
HARD = {'as inequality', 'base', 'other base', 'continued fraction', 'cube root', 'function', 'logarithm', 'mixed number',
        'near decimal', 'near fraction', 'near value', 'nested root', 'plain', 'repeating', 'scale', 'trigonometry', 'unicode',
        'wrong brackets'}  # fmt: skip
N_FORMULA, N_INTEGER = (18, 13), (6, 5)  # pairs kept of a gold answer: equal, unequal


# ---- spellings of expressions ----


def tex(e, **how):
    return sp.latex(e, **how)


def plain(e, power='^'):
    return str(e).replace('**', power).replace('I', 'i')


def summed(terms, spell):
    out = ''
    for t in terms:
        s = spell(t)
        if not out:
            out = s
        elif s.startswith('-'):
            out += ' - ' + s[1:].lstrip()
        else:
            out += ' + ' + s
    return out


def factors(rng, t):
    """A product with its factors in another order."""
    if t.is_Atom or not t.is_Mul or t.as_numer_denom()[1] != 1:
        return tex(t)
    c, rest = t.as_coeff_Mul()
    parts = [tex(f) if not f.is_Add else f'({tex(f)})' for f in sp.Mul.make_args(rest)]
    if c not in (1, -1):
        parts.append(tex(abs(c)))
    rng.shuffle(parts)
    return ('-' if c < 0 else '') + ' \\cdot '.join(parts)


def decimal(q):
    """Exact decimal text of a rational, or None."""
    n, d, k = abs(q.p), q.q, 0
    while (n * 10**k) % d:
        k += 1
        if k > 9:
            return None
    s = str(n * 10**k // d).rjust(k + 1, '0')
    return ('-' if q < 0 else '') + (s[: len(s) - k] + ('.' + s[len(s) - k :] if k else ''))


def repeating(q):
    """a.b\\overline{c}, or None."""
    n, d = abs(q.p), q.q
    whole, r = divmod(n, d)
    seen, ds = {}, ''
    while r and r not in seen and len(ds) < 24:
        seen[r] = len(ds)
        r *= 10
        ds += str(r // d)
        r %= d
    if not r or r not in seen:
        return None
    k = seen[r]
    return f'{"-" if q < 0 else ""}{whole}.{ds[:k]}\\overline{{{ds[k:]}}}'


def frac(n, d, cmd='frac'):
    return f'{"-" if n < 0 else ""}\\{cmd}{{{abs(n)}}}{{{d}}}'


def near(e, digits):
    """A decimal close to an inexact value."""
    return str(sp.N(e, digits))


# ---- transformations: each yields (name, text, 'R' or 'W') ----


def layout(rng, gold):
    """The same LaTeX, written otherwise."""
    worded = re.search(r'\\(text|mbox)', gold)
    yield 'dollars', f'${gold}$' if '\\$' not in gold else f'\\({gold}\\)', 'R'
    yield 'parentheses', f'\\({gold}\\)', 'R'
    yield 'display', f'\\[ {gold} \\]', 'R'
    yield 'boxed', f'\\boxed{{{gold}}}', 'R'
    yield 'full stop', gold + '.', 'R'
    yield 'trailing space', gold + rng.choice(['\\,', '\\ ', ' \\;', '~', '\\\\', '\\quad ', '\\,.']), 'R'
    yield 'displaystyle', '\\displaystyle ' + gold, 'R'
    if '\\frac' in gold:
        yield 'dfrac', gold.replace('\\frac', '\\dfrac'), 'R'
        yield 'tfrac', gold.replace('\\frac', '\\tfrac'), 'R'
    if '(' in gold and not worded and '\\left' not in gold:
        big = re.sub(r'(?<!\\)[(\[]', lambda m: '\\left' + m[0], gold)
        yield 'left right', re.sub(r'(?<!\\)[)\]]', lambda m: '\\right' + m[0], big), 'R'
    if '\\left' in gold:
        yield 'left right', gold.replace('\\left', '').replace('\\right', ''), 'R'
    if not worded and '\\!' not in gold and 'matrix' not in gold and not re.fullmatch(r'-?\d+', gold):
        tokens = re.findall(r'\\[A-Za-z]+|\\.|[\d.]+|\S', gold)
        tight = ''.join(t + (' ' if re.fullmatch(r'\\[A-Za-z]+', t) else '') for t in tokens)
        if ',' not in gold:
            yield 'spacing', ' '.join(tokens), 'R'
            yield 'spacing', re.sub(r'([+\-=])', r'\\, \1 \\;', tight), 'R'
        yield 'spacing', tight, 'R'
    if re.search(r'\\sqrt\{\d\}', gold):
        yield 'short root', re.sub(r'\\sqrt\{(\d)\}', r'\\sqrt \1', gold), 'R'
    for a, b in (('\\pi', 'π'), ('\\infty', '∞'), ('\\cup', '∪'), ('^\\circ', '°'), ('\\pm', '±'), ('\\in ', '∈')):
        if a in gold and not worded:
            yield 'unicode', gold.replace(a, b), 'R'
    if re.search(r'(^|[(,\s])-\d', gold) and not worded:
        yield 'unicode', gold.replace('-', '−'), 'R'


def integer(rng, gold, q, source):
    n = int(q)
    k = rng.randint(2, 9)
    yield 'decimal', f'{n}.0', 'R'
    yield 'decimal', f'{n}.00', 'R'
    yield 'fraction', frac(n * k, k), 'R'
    yield 'fraction', f'{n * k}/{k}', 'R'
    yield 'sum', f'{n - k} + {k}', 'R'
    yield 'difference', f'{n + k} - {k}', 'R'
    yield 'label', f'{rng.choice("xntr")} = {n}', 'R'
    yield 'brackets', f'\\left({n}\\right)', 'R'
    yield 'text', f'\\text{{{n}}}', 'R'
    yield 'bold', f'\\mathbf{{{n}}}', 'R'
    yield 'markdown', f'**{n}**', 'R'
    yield 'units', f'{n} \\text{{ {rng.choice(["apples", "cm", "hours", "miles", "students", "square units"])}}}', 'R'
    yield 'units', f'{n}\\,\\mathrm{{{rng.choice(["cm", "m", "kg"])}}}', 'R'
    yield 'power', f'{n}^{{1}}', 'R'
    if n >= 0:
        yield 'money', f'\\${n}', 'R'
        yield 'money', f'{n} dollars', 'R'
        yield 'percent', f'{n}\\%', 'R'
        yield 'root', f'\\sqrt{{{n * n}}}', 'R'
        if '.' not in gold and '\\' not in gold and '^' not in gold:
            yield 'degrees', f'{n}^\\circ', 'R'
        if source.startswith('aime') and n < 100:
            yield 'leading zero', f'{n:03d}', 'R'
    if 1 < n < 24:
        b = rng.choice([2, 3, 5])
        yield 'logarithm', f'\\log_{b} {b**n}' if b**n < 10**6 else f'\\log_2 {2**n}', 'R'
        yield 'logarithm', f'\\log_{{{b}}} \\left({b**n + 1}\\right)', 'W'
        yield 'binomial', f'\\binom{{{n}}}{{1}}', 'R'
        yield 'binomial', f'\\binom{{{n}}}{{2}}' if n != 3 else '\\binom{4}{2}', 'W'
        yield 'cube root', f'\\sqrt[3]{{{n**3}}}', 'R'
    if n > 0:
        yield 'logarithm', f'e^{{\\ln {n}}}', 'R'
        yield 'logarithm', f'\\ln {n}', 'W'
    if abs(n) == 1:
        yield 'trigonometry', f'{n}\\cdot\\tan\\frac{{\\pi}}{{4}}', 'R'
        yield 'trigonometry', ('-' if n < 0 else '') + '\\sin 90^\\circ', 'R'
        yield 'trigonometry', f'\\cos\\frac{{\\pi}}{{{4}}}', 'W'
    if n == 0:
        yield 'trigonometry', '\\sin \\pi', 'R'
        yield 'trigonometry', '\\cos 0', 'W'
    yield 'near value', f'{n} + 10^{{-{rng.choice([12, 20, 30])}}}', 'W'
    yield 'near value', f'{n}.{"0" * rng.choice([8, 14, 25])}1', 'W'
    if abs(n) > 3 and not sp.isprime(abs(n)):
        d = min(sp.primefactors(abs(n)))
        yield 'product', f'{d} \\cdot {n // d}' if n > 0 else f'-{d} \\times {-n // d}', 'R'
    if abs(n) >= 1000:
        yield 'thousands', f'{n:,}', 'R'
        yield 'thousands', f'{n:,}'.replace(',', '{,}'), 'R'
        yield 'thousands', f'{n:,}'.replace(',', ',\\!'), 'R'
        z = len(str(n)) - len(str(n).rstrip('0'))
        if z:
            m = str(abs(n)).rstrip('0')
            m = m[0] + ('.' + m[1:] if m[1:] else '')
            sign = '-' if n < 0 else ''
            yield 'scientific', f'{sign}{m} \\times 10^{{{len(str(abs(n))) - 1}}}', 'R'
    for f in range(3, 8):
        if n == math.factorial(f):
            yield 'factorial', f'{f}!', 'R'
    for b in (2, 3):
        e = round(math.log(n, b)) if n > 1 else 0
        if e > 1 and b**e == n:
            yield 'power', f'{b}^{{{e}}}', 'R'
    wrong = [
        ('off by one', n + 1), ('off by one', n - 1), ('tenfold', n * 10), ('sign', -n), ('square', n * n),
        ('doubled', 2 * n), ('digits swapped', int(str(abs(n))[::-1])), ('digit dropped', int(str(abs(n))[:-1] or 0)),
    ]  # fmt: skip
    for name, v in wrong:
        if v != n:
            way = rng.choice(['{}', '{}', '{}.0', '\\boxed{{{}}}', '{}\\text{{ units}}', 'x = {}', '${}$'])
            yield name, way.format(v), 'W'
    yield 'near decimal', f'{n}.{rng.choice(["01", "1", "001", "5"])}', 'W'
    yield 'near decimal', near(sp.Rational(n) - sp.Rational(1, 1000), len(str(abs(n))) + 3), 'W'
    if n not in (0, 1, -1):
        yield 'inverse', frac(1, n) if n > 0 else f'-\\frac{{1}}{{{-n}}}', 'W'
        yield 'hundredth', decimal(sp.Rational(n, 100)), 'W'
        yield 'scale', f'{n} \\text{{ thousand}}', 'W'
        yield 'other number', f'{n}i', 'W'
        yield 'variable', f'{n}x', 'W'
        yield 'root', f'\\sqrt{{{abs(n) + 1}}}' if abs(n) > 1 else '\\sqrt{7}', 'W'


def rational(rng, gold, q):
    n, d, k = int(q.p), int(q.q), rng.randint(2, 9)
    s = '-' if n < 0 else ''
    yield 'plain', f'{n}/{d}', 'R'
    yield 'plain', f'{n} / {d}', 'R'
    yield 'fraction', frac(n, d), 'R'
    if abs(n) < 10 and d < 10:
        yield 'fraction', f'{s}\\frac{abs(n)}{d}', 'R'
    yield 'not reduced', frac(n * k, d * k), 'R'
    yield 'not reduced', f'{n * k}/{d * k}', 'R'
    yield 'brackets', f'\\left({frac(n, d, "dfrac")}\\right)', 'R'
    yield 'sign inside', f'\\frac{{{-n}}}{{-{d}}}', 'R'
    if n < 0:
        yield 'sign inside', f'\\frac{{{n}}}{{{d}}}', 'R'
    yield 'product', f'{n} \\cdot \\frac{{1}}{{{d}}}', 'R'
    yield 'division', f'{n} \\div {d}', 'R'
    yield 'label', f'x = {frac(n, d)}', 'R'
    yield 'units', f'{frac(n, d)} \\text{{ {rng.choice(["hours", "cm", "miles"])}}}', 'R'
    a = rng.randint(1, 9)
    yield 'sum', f'{a} + {n - a * d}/{d}' if n > a * d else f'{a} - {a * d - n}/{d}', 'R'
    yield 'power', f'{n} \\cdot {d}^{{-1}}', 'R'
    yield 'near value', f'{frac(n, d)} + 10^{{-{rng.choice([12, 20, 30])}}}', 'W'
    if decimal(q) is None:
        yield 'near value', near(q, rng.choice([12, 16, 25])), 'W'
    if 0 < n < 12 and d < 5:
        yield 'logarithm', f'\\log_{{{2**d}}} {2**n}', 'R'
        yield 'logarithm', f'\\log_{{{2**n}}} {2**d}', 'W'
    if n > 0:
        yield 'logarithm', f'e^{{-\\ln {frac(d, n)}}}' if n > 1 else f'e^{{-\\ln {d}}}', 'R'
    if (abs(n), d) == (1, 2):
        yield 'trigonometry', s + rng.choice(['\\sin\\frac{\\pi}{6}', '\\cos 60^\\circ', '\\sin(30^\\circ)', '\\cos(\\pi/3)']), 'R'
        yield 'trigonometry', s + rng.choice(['\\sin\\frac{\\pi}{3}', '\\cos 30^\\circ']), 'W'
    yield 'cube root', f'{s}\\sqrt[3]{{{frac(abs(n) ** 3, d**3)}}}', 'R'
    yield 'root', f'{s}\\sqrt{{{frac(n * n, d * d)}}}', 'R'
    yield 'root', f'{s}\\frac{{\\sqrt{{{n * n}}}}}{{{d}}}', 'R'
    cf = sp.continued_fraction(abs(q))
    if 1 < len(cf) < 5:
        text = str(cf[-1])
        for a in cf[-2::-1]:
            text = f'{a} + \\frac{{1}}{{{text}}}'
        yield 'continued fraction', f'-\\left({text}\\right)' if n < 0 else text, 'R'
    if abs(n) > d:
        w, r = divmod(abs(n), d)
        yield 'mixed number', f'{s}{w}\\frac{{{r}}}{{{d}}}', 'R'
        yield 'mixed number', f'{s}{w} \\tfrac{{{r}}}{{{d}}}', 'R'
        yield 'mixed number', f'{s}{w} {r}/{d}', 'R'
        yield 'mixed number', f'{s}{w + (r > d // 2)} {r}/{d}' if r > d // 2 else f'{s}{w + 1}\\frac{{{r}}}{{{d}}}', 'W'
    if decimal(q):
        yield 'decimal', decimal(q), 'R'
        yield 'decimal', decimal(q) + '00', 'R'
        if abs(q) < 1:
            yield 'decimal', decimal(q).replace('0.', '.', 1), 'R'
        yield 'percent', f'{decimal(q * 100)}\\%', 'R'
        yield 'percent', f'{decimal(q * 100)}%', 'R'
        yield 'percent', f'{decimal(q * 100 + 1)}\\%', 'W'
        yield 'decimal', decimal(q * 10), 'W'
        yield 'decimal', decimal(q + sp.Rational(1, 100)), 'W'
        if len(decimal(q)) > 6:
            yield 'near decimal', str(round(float(q), len(decimal(q).split('.')[1]) - 2)), 'W'
    else:
        if repeating(q):
            yield 'repeating', repeating(q), 'R'
        yield 'near decimal', near(q, 3), 'W'
        yield 'near decimal', near(q, 5), 'W'
    glyph = {'1/2': '½', '1/4': '¼', '3/4': '¾', '1/3': '⅓', '2/3': '⅔'}.get(f'{n}/{d}')
    if glyph:
        yield 'unicode', glyph, 'R'
    wrong = [
        ('swapped', 1 / q), ('off by one', sp.Rational(n + 1, d)), ('off by one', sp.Rational(n - 1, d)),
        ('off by one', sp.Rational(n, d + 1)), ('sign', -q), ('off by one', q + 1), ('doubled', 2 * q),
        ('complement', 1 - q),
    ]  # fmt: skip
    for name, v in wrong:
        if v != q:
            p, r = int(v.p), int(v.q)
            yield name, rng.choice([frac(p, r), f'{p}/{r}', frac(p, r, 'dfrac'), f'$\\frac{{{p}}}{{{r}}}$']), 'W'
    yield 'denominator dropped', str(n), 'W'
    yield 'variable', f'\\frac{{{n}x}}{{{d}}}', 'W'


def expression(rng, gold, e):
    """Surds, multiples of pi, complex numbers, polynomials."""
    free = sorted(e.free_symbols, key=str)
    terms = list(sp.Add.make_args(sp.expand(e)))
    k = rng.choice([2, 3, 5])
    real = e.is_real and not free

    def shuffled():
        t = terms[:]
        rng.shuffle(t)
        return t

    yield 'reordered', summed(shuffled(), tex), 'R'
    yield 'reordered', summed(shuffled(), lambda t: factors(rng, t)), 'R'
    yield 'reordered', summed(terms[::-1], lambda t: tex(t, mul_symbol='times')), 'R'
    yield 'plain', plain(e), 'R'
    yield 'plain', plain(sp.expand(e), '**'), 'R'
    if not re.search(r'cot', gold):
        yield 'plain', plain(e).replace('*', ' ').replace('sqrt', 'sqrt'), 'R'
    yield 'brackets', f'\\left({tex(e)}\\right)', 'R'
    yield 'label', f'{f"f({free[0]})" if len(free) == 1 else "S" if free else "x"} = {tex(e)}', 'R'
    yield 'not reduced', f'\\frac{{{tex(sp.expand(k * e))}}}{{{k}}}', 'R'
    yield 'factored out', f'\\frac{{1}}{{{k}}}\\left({tex(sp.expand(k * e))}\\right)', 'R'
    yield 'sum', f'{tex(sp.expand(e - k))} + {k}', 'R'
    yield 'sign inside', f'-({summed(shuffled(), lambda t: tex(-t))})', 'R'
    yield 'power', f'({tex(e)})^1', 'R'
    yield 'zero added', f'{tex(e)} + 0', 'R'
    f = sp.factor(e)
    if f != e and not f.is_Atom:
        yield 'factored', tex(f), 'R'
        yield 'factored', plain(f), 'R'
    if sp.expand(e) != e:
        yield 'expanded', tex(sp.expand(e)), 'R'
    t = sp.together(e)
    if t != e:
        yield 'one fraction', tex(t), 'R'
    if e.is_real and not free and e > 0:
        yield 'logarithm', f'e^{{\\ln({tex(e)})}}', 'R'
        yield 'cube root', f'\\sqrt[3]{{({tex(e)})^3}}', 'R'
    if e.is_real and not free:
        yield 'near value', f'{tex(e)} + 10^{{-{rng.choice([12, 20, 30])}}}', 'W'
        yield 'near value', near(e, rng.choice([12, 16, 25])), 'W'
    if e.has(sp.pi):
        yield 'trigonometry', tex(e).replace('\\pi', '(4\\arctan 1)'), 'R'
        yield 'trigonometry', tex(e).replace('\\pi', '(2\\arctan 1)'), 'W'
    for r, right, wrong in ((3, '2\\sin 60^\\circ', '2\\sin 30^\\circ'), (3, '\\tan\\frac{\\pi}{3}', '\\tan\\frac{\\pi}{6}'),
                            (2, '2\\cos\\frac{\\pi}{4}', '\\cos\\frac{\\pi}{4}'), (5, '4\\cos\\frac{\\pi}{5} - 1', '4\\cos\\frac{\\pi}{5}')):  # fmt: skip
        c = sp.expand(e).coeff(sp.sqrt(r))
        if c != 0 and real and sp.expand(e - c * sp.sqrt(r)).is_rational:
            rest = sp.expand(e - c * sp.sqrt(r))
            yield 'trigonometry', f'{tex(c)} \\cdot ({right}) + {tex(rest)}', 'R'
            yield 'trigonometry', f'{tex(c)} \\cdot ({wrong}) + {tex(rest)}', 'W'
    roots = [a for a in sp.preorder_traversal(e) if a.is_Pow and a.exp == sp.Rational(1, 2) and a.base.is_Integer]
    if '\\pi' in gold:
        yield 'unicode', gold.replace('\\pi', 'π'), 'R'
        yield 'near decimal', near(e, 6), 'W'
        yield 'near decimal', tex(e).replace('\\pi', '3.14' if e != sp.pi else '3.1416'), 'W'
        yield 'near fraction', near(e.subs(sp.pi, sp.Rational(22, 7)), 8), 'W'
    if roots and real:
        r = roots[0].base
        root = sp.sqrt(r)
        c = sp.expand(e).coeff(root)
        rest = sp.expand(e - c * root)
        add = f' + {tex(rest)}' if rest else ''
        m = c * r
        if c != 0 and rest.is_rational and c.is_rational:
            q = m.q if m.q != 1 else ''
            up = f'\\frac{{{abs(m.p)}}}{{{q}\\sqrt{{{r}}}}}'
            yield 'not rationalized', ('-' if c < 0 else '') + up + add, 'R'
            sq = c * c * r
            inside = tex(sq)
            yield 'under one root', ('-' if c < 0 else '') + f'\\sqrt{{{inside}}}' + add, 'R'
            yield 'power', f'{tex(c)} \\cdot {r}^{{1/2}}' + add, 'R'
            yield 'power', f'{plain(c)}*{r}**(1/2)' + (f' + {plain(rest)}' if rest else ''), 'R'
            yield 'split root', f'{tex(c)} \\cdot \\frac{{\\sqrt{{{r * 4}}}}}{{2}}' + add, 'R'
            if abs(c) != 1 and c.q == 1 and not rest:
                yield 'unicode', f'{c}√{r}', 'R'
            if c.q == 1 and r < 10:
                yield 'short root', f'{"" if c == 1 else "-" if c == -1 else c}\\sqrt{r}' + add, 'R'
            if e > 0:
                yield 'nested root', f'\\sqrt{{{tex(sp.expand(e * e))}}}', 'R'
            yield 'radicand', summed([c * sp.sqrt(r + 1), rest] if rest else [c * sp.sqrt(r + 1)], tex), 'W'
            yield 'other root', f'{tex(c)}\\sqrt[3]{{{r}}}' + add, 'W'
            yield 'root dropped', tex(c * r + rest), 'W'
            if c not in (1, -1):
                yield 'dropped factor', tex(root + rest), 'W'
                if c.q == 1 and c * c != r * r:
                    yield 'swapped', f'{r}\\sqrt{{{abs(c)}}}' + add, 'W'
        yield 'near decimal', near(e, 4), 'W'
        yield 'near decimal', near(e, 6), 'W'
    if e.has(sp.I):
        re_, im = sp.re(e), sp.im(e)
        yield 'reordered', f'{im}i + {re_}' if re_ > 0 else f'{im}i - {-re_}', 'R'
        yield 'letter i', tex(e).replace('i', '\\mathrm{i}'), 'R'
        yield 'factors', f'{re_} + i \\cdot ({im})', 'R'
        yield 'complex product', f'i({im} - ({re_})i)', 'R'
        yield 'conjugate', tex(sp.conjugate(e)), 'W'
        if re_ != im:
            yield 'swapped', tex(im + re_ * sp.I), 'W'
        yield 'i dropped', tex(re_ + im), 'W'
        yield 'modulus', tex(abs(e)), 'W'
    if free:
        v = free[0]
        other = next(s for s in map(sp.Symbol, 'tuvwz') if s not in free)
        yield 'another letter', tex(e.subs(v, other)), 'W'
        if e.is_polynomial(v):
            yield 'horner', plain(sp.horner(sp.expand(e), wrt=v)), 'R'
            if sp.degree(e, v) == 2:
                a_, b_, c_ = sp.Poly(e, v).all_coeffs()
                h = b_ / (2 * a_)
                yield 'square completed', f'{tex(a_)}\\left({v} + {tex(h)}\\right)^2 + {tex(c_ - a_ * h * h)}', 'R'
                if h:
                    yield 'square completed', f'{tex(a_)}\\left({v} - {tex(h)}\\right)^2 + {tex(c_ - a_ * h * h)}', 'W'
            yield 'cancelled', f'\\frac{{({tex(e)})({v}+7)}}{{{v}+7}}', 'R'
            yield 'exponent', tex(sp.expand(e) + terms[0] * v - terms[0]), 'W'
            yield 'exponent', tex(sp.expand(e * v)), 'W'
    wrong = [('off by one', e + 1), ('off by one', e - 1), ('sign', -e), ('doubled', 2 * e), ('square', e * e)]
    if not e.has(sp.cot):
        wrong.append(('inverse', 1 / e))
    i = rng.randrange(len(terms))
    if len(terms) > 1:
        wrong += [('dropped term', e - terms[i]), ('sign of a term', sp.expand(e - 2 * terms[i]))]
    c, mono = terms[i].as_coeff_Mul()
    wrong += [('off by one', sp.expand(e + mono)), ('off by one', sp.expand(e - mono))]
    if abs(c) != 1:
        wrong.append(('dropped factor', sp.expand(e - terms[i] + mono)))
    for name, w in wrong:
        if sp.expand(w - e) != 0:
            yield name, rng.choice([tex(w), tex(w), plain(w), f'${tex(w)}$', f'\\boxed{{{tex(w)}}}']), 'W'


def spelled(rng, q):
    """A member of a tuple or list, in one of its ways."""
    if q == sp.oo or q == -sp.oo:
        return rng.choice(['\\infty', '+\\infty', '∞', 'inf'] if q > 0 else ['-\\infty', '-∞'])
    if q.is_Integer:
        return rng.choice([str(q), f'{q}.0', frac(2 * int(q), 2), str(q)])
    if q.is_Rational:
        return rng.choice([f'{q.p}/{q.q}', frac(q.p, q.q, 'dfrac'), frac(3 * q.p, 3 * q.q)] + ([decimal(q)] if decimal(q) else []))
    return rng.choice([tex(q), plain(q), factors(rng, q)])


def spoiled(rng, v):
    """The members with one changed, and the name of the change."""
    v = list(v)
    i = rng.choice([j for j in range(len(v)) if not v[j].is_infinite])
    how = rng.choice(['off by one', 'sign'] if v[i] != 0 else ['off by one'])
    v[i] = v[i] + rng.choice([-1, 1]) if how == 'off by one' else -v[i]
    return how, v


def brackets(o, inner, c, rng=None):
    way = rng.choice(['{}{}{}', '\\left{}{}\\right{}', '{} {} {}']) if rng else '{}{}{}'
    return way.format(o, inner, c)


def tuples(rng, gold, o, v, c):
    interval = o == '[' or c == ']' or any(x.is_infinite for x in v) or gold == '(-\\sqrt{3}, \\sqrt{3})'
    texs = [tex(x) for x in v]
    for sep in (', ', ',\\ ', ' , ', ',\\;'):
        yield 'spacing', brackets(o, sep.join(texs), c, rng), 'R'
    for _ in range(5):
        yield 'members spelled', brackets(o, ', '.join(spelled(rng, x) for x in v), c, rng), 'R'
    yield 'plain', brackets(o, ', '.join('oo' if x == sp.oo else plain(x) for x in v), c), 'R'
    name = 'x \\in' if interval else '(x,y) =' if len(v) == 2 else 'v ='
    yield 'label', f'{name} {gold}', 'R'
    for _ in range(4):
        how, w = spoiled(rng, v)
        yield how, brackets(o, ', '.join(tex(x) for x in w), c, rng), 'W'
    if len(set(v)) > 1:
        yield 'swapped members', brackets(o, ', '.join(texs[::-1]), c), 'W'
    yield 'member dropped', brackets(o, ', '.join(texs[:-1]), c) if len(v) > 2 else texs[0], 'W'
    yield 'member added', brackets(o, ', '.join(texs + ['1']), c), 'W'
    if interval:
        for a, b in (('(', ')'), ('(', ']'), ('[', ')'), ('[', ']')):
            open_inf = (a == '[' and v[0] == -sp.oo) or (b == ']' and v[1] == sp.oo)
            if (a, b) != (o, c) and not open_inf:
                yield 'wrong brackets', brackets(a, ', '.join(texs), b), 'W'
        other = {'<': '\\le', '\\le': '<', '>': '\\ge', '\\ge': '>'}
        lo = '\\le' if o == '[' else '<'
        hi = '\\le' if c == ']' else '<'
        if v[0] == -sp.oo:
            yield 'as inequality', f'x {hi} {texs[1]}', 'R'
            yield 'as inequality', f'x {other[hi]} {texs[1]}', 'W'
        elif v[1] == sp.oo:
            gt = '\\ge' if o == '[' else '>'
            yield 'as inequality', f'x {gt} {texs[0]}', 'R'
            yield 'as inequality', f'x {other[gt]} {texs[0]}', 'W'
        else:
            yield 'as inequality', f'{texs[0]} {lo} x {hi} {texs[1]}', 'R'
            yield 'as inequality', f'{texs[0]} {lo} x {hi} {tex(v[1] + 1)}', 'W'
    else:
        yield 'bare list', ', '.join(texs), 'R'
        yield 'wrong brackets', f'[{", ".join(texs)}]', 'W'


def lists(rng, gold, v, braces):
    def put(members, way):
        return way.format(', '.join(members))

    ways = ['{}', '\\{{{}\\}}', '\\left\\{{ {} \\right\\}}']
    for _ in range(6):
        w = list(v)
        rng.shuffle(w)
        yield 'reordered', put([tex(x) for x in w], rng.choice(ways)), 'R'
        rng.shuffle(w)
        yield 'members spelled', put([spelled(rng, x) for x in w], rng.choice(ways)), 'R'
    texs = [tex(x) for x in v]
    yield 'and', ' \\text{ and } '.join([', '.join(texs[:-1]), texs[-1]]), 'R'
    yield 'and', ', '.join(texs[:-1]) + (',' if len(v) > 2 else '') + ' and ' + texs[-1], 'R'
    yield 'or', 'x = ' + ' \\text{ or } x = '.join(texs), 'R'
    yield 'label', f'x = {gold}', 'R'
    for _ in range(5):
        how, w = spoiled(rng, v)
        if Counter(w) != Counter(v):
            yield how, put([tex(x) for x in w], rng.choice(ways)), 'W'
    yield 'member dropped', put(texs[:-1], rng.choice(ways)), 'W'
    yield 'member dropped', texs[0], 'W'
    yield 'member added', put(texs + ['11'], rng.choice(ways)), 'W'
    yield 'sum of members', tex(sp.expand(sum(v))), 'W'


def plus_minus(rng, gold):
    """a ± b·√c, and inside a set."""
    if gold == '1 \\pm \\sqrt{19}':
        a, b, c = 1, 1, 19
    elif gold == '3 \\pm 2 \\sqrt{2}':
        a, b, c = 3, 2, 2
    else:
        return
    t = f'{b if b > 1 else ""}\\sqrt{{{c}}}'
    yield 'plus minus', f'{a} + {t}, {a} - {t}', 'R'
    yield 'plus minus', f'\\{{{a} - {t}, {a} + {t}\\}}', 'R'
    yield 'plus minus', f'x = {a} \\pm {t}', 'R'
    yield 'plus minus', f'{a} \\pm \\sqrt{{{b * b * c}}}', 'R'
    yield 'plus minus', f'{a} ± {b if b > 1 else ""}√{c}', 'R'
    yield 'plus minus', f'\\frac{{{2 * a} \\pm {2 * b}\\sqrt{{{c}}}}}{{2}}', 'R'
    yield 'plus minus', f'{a} + {t} \\text{{ and }} {a} - {t}', 'R'
    yield 'plus minus', f'{a} \\mp {t}', 'R'
    yield 'only one', f'{a} + {t}', 'W'
    yield 'only one', f'{a} - {t}', 'W'
    yield 'off by one', f'{a} \\pm {b + 1}\\sqrt{{{c}}}', 'W'
    yield 'off by one', f'{a + 1} \\pm {t}', 'W'
    yield 'sign', f'-{a} \\pm {t}', 'W'
    yield 'radicand', f'{a} \\pm {b}\\sqrt{{{c + 1}}}', 'W'


def equation(rng, gold, l, r):
    d = sp.expand(l - r)
    k = rng.choice([2, 3, -1])
    yield 'sides swapped', f'{tex(r)} = {tex(l)}', 'R'
    yield 'multiplied', f'{tex(sp.expand(k * l))} = {tex(sp.expand(k * r))}', 'R'
    yield 'on one side', f'{tex(d)} = 0', 'R'
    yield 'on one side', f'0 = {tex(sp.expand(-d))}', 'R'
    yield 'plain', f'{plain(l)} = {plain(r)}', 'R'
    t = list(sp.Add.make_args(d))
    rng.shuffle(t)
    half = len(t) // 2
    yield 'reordered', f'{summed(t[:half], tex) or 0} = {summed(t[half:], lambda x: tex(-x))}', 'R'
    yield 'reordered', f'{summed(t, tex)} = 0', 'R'
    if l.is_Symbol:
        yield 'right side', tex(r), 'R'
        if str(l) == 'y':
            yield 'function', f'f(x) = {tex(r)}', 'R'
        yield 'right side', tex(r + 1), 'W'
        yield 'right side', tex(-r), 'W'
    for name, w in (('off by one', d + 1), ('off by one', d + t[0].as_coeff_Mul()[1]), ('sign of a term', d - 2 * t[0])):
        if sp.simplify(w / d).free_symbols or not d.free_symbols:
            yield name, f'{tex(sp.expand(w))} = 0', 'W'
    if len(d.free_symbols) > 1:
        a, b = sorted(d.free_symbols, key=str)[:2]
        w = d.subs({a: b, b: a}, simultaneous=True)
        if sp.simplify(w / d).free_symbols:
            yield 'swapped', f'{tex(w)} = 0', 'W'
    yield 'inequality', f'{tex(l)} < {tex(r)}', 'W'


def matrix(rng, gold, m):
    def put(m, env, cell=tex, row=' \\\\ '):
        return f'\\begin{{{env}}} ' + row.join(' & '.join(cell(x) for x in m.row(i)) for i in range(m.rows)) + f' \\end{{{env}}}'

    yield 'environment', put(m, 'bmatrix'), 'R'
    yield 'environment', f'\\left( {put(m, "matrix")} \\right)', 'R'
    yield 'row ends', put(m, 'pmatrix', row='\\\\') .replace(' \\end', '\\\\ \\end'), 'R'
    for _ in range(4):
        yield 'members spelled', put(m, rng.choice(['pmatrix', 'bmatrix']), lambda x: spelled(rng, x)), 'R'
    yield 'spacing', gold.replace(' ', ''), 'R'
    yield 'spacing', gold.replace(' ', '  '), 'R'
    yield 'label', f'\\mathbf{{v}} = {gold}', 'R'
    for i in range(m.rows * m.cols):
        w = m.copy()
        w[i] = w[i] + rng.choice([1, -1])
        yield 'off by one', put(w, 'pmatrix'), 'W'
    yield 'sign', put(-m, 'pmatrix'), 'W'
    if m.rows != m.cols:
        yield 'transposed', put(m.T, 'pmatrix'), 'W'
    if m.rows > 1 and m.row(0) != m.row(1):
        w = m.copy()
        w.row_swap(0, 1)
        yield 'rows swapped', put(w, 'pmatrix'), 'W'
    yield 'member dropped', put(m[: m.rows - 1, :], 'pmatrix'), 'W'


def union(rng, gold, parts):
    def put(ps, cup=' \\cup '):
        return cup.join(brackets(p[1], ', '.join(tex(x) for x in p[2]), p[3], rng) for p in ps)

    yield 'reordered', put(parts[::-1]), 'R'
    yield 'unicode', put(parts, ' ∪ '), 'R'
    yield 'spacing', put(parts, '\\cup'), 'R'
    yield 'label', f'x \\in {put(parts)}', 'R'
    for _ in range(3):
        yield 'members spelled', ' \\cup '.join(
            brackets(p[1], ', '.join(spelled(rng, x) for x in p[2]), p[3], rng) for p in parts), 'R'  # fmt: skip
    for i in range(len(parts)):
        yield 'member dropped', put(parts[:i] + parts[i + 1 :]), 'W'
        p = parts[i]
        j = 0 if p[2][1].is_infinite else 1
        turned = (p[0], '[' if j == 0 else p[1], p[2], ']' if j == 1 else p[3])
        yield 'wrong brackets', put(parts[:i] + [turned] + parts[i + 1 :]), 'W'
        how, v = spoiled(rng, p[2])
        yield how, put(parts[:i] + [(p[0], p[1], v, p[3])] + parts[i + 1 :]), 'W'
    yield 'intersection', put(parts, ' \\cap '), 'W'


def words(rng, gold):
    m = re.fullmatch(r'\\text\{\(([A-E])\)\}', gold)
    if m:
        c = m[1]
        for way in ('{}', '({})', '\\text{{{}}}', '\\textbf{{({})}}', '**{}**', '\\mathrm{{{}}}', '({}).', '\\textbf{{{}}}', '${}$'):
            yield 'letter', way.format(c), 'R'
            other = rng.choice([x for x in 'ABCDE' if x != c])
            yield 'another letter', way.format(other), 'W'
        yield 'letter', c + '.', 'R'
        return
    w = re.fullmatch(r'\\text\{(\w+)\}', gold)[1]
    for way in ('{}', '\\text{{{}}}', '\\textbf{{{}}}', '\\mathrm{{{}}}', '**{}**', '{}.', '\\text{{{}.}}', '\\text{{ {} }}'):
        yield 'words', way.format(w), 'R'
    yield 'letter case', w.upper(), 'R'
    yield 'letter case', f'\\text{{{w.swapcase()}}}', 'R'
    others = {'even': ['odd', 'neither'], 'east': ['west', 'north', 'eas'], 'ellipse': ['circle', 'parabola', 'eclipse']}
    for o in others.get(w, ['Carla', 'Angela', 'Kai']):
        yield 'other words', f'\\text{{{o}}}', 'W'
        yield 'other words', o, 'W'
    yield 'other words', f'\\text{{not {w}}}', 'W'
    yield 'other words', f'\\text{{{w}}} \\text{{ or }} \\text{{{others.get(w, ["Carla"])[0]}}}', 'W'
    yield 'number', '1', 'W'


def based(rng, gold, digits, base):
    yield 'base', f'{digits}_{base}', 'R'
    yield 'base', f'{digits}_{{{base}}}', 'R'
    yield 'base', f'{digits}_{{\\text{{{base}}}}}', 'R'
    yield 'base', f'({digits})_{base}', 'R'
    yield 'base', f'\\text{{{digits}}}_{base}', 'R'
    yield 'off by one', f'{int(digits) + (1 if int(digits[-1]) + 1 < base else -1)}_{base}', 'W'
    yield 'other base', f'{digits}_{{{base + 1}}}', 'W'
    yield 'digits swapped', f'{digits[::-1]}_{base}', 'W'
    yield 'tenfold', f'{digits}0_{base}', 'W'
    yield 'value', f'{int(digits, base) + 1}', 'W'


def measured(rng, gold, n):
    """Numbers with a unit, degrees or money in the gold answer."""
    v = tex(n) if n.is_Integer or decimal(n) is None else decimal(n)
    if '\\circ' in gold or 'degrees' in gold:
        for way in ('{}', '{}^\\circ', '{}^{{\\circ}}', '{}°', '{} degrees', '{}\\text{{ degrees}}', '{}^{{\\circ}}.', '{}\\degree'):
            yield 'degrees', way.format(v), 'R'
        wrong = ['{}', '{}^\\circ', '{}°', '{} \\text{{ degrees}}']
    elif '\\$' in gold:
        for way in ('{}', '\\${}', '${}', '{} dollars', '{} \\text{{ dollars}}', '\\text{{\\${}}}', 'x = {}', '\\$ {}'):
            yield 'money', way.format(v), 'R'
        yield 'decimal', '\\$' + (f'{v}.00' if n.is_Integer else decimal(n) + '0'), 'R'
        if n > 999:
            yield 'thousands', f'\\${int(n):,}', 'R'
        yield 'scale', f'{v} \\text{{ million}}', 'W'
        wrong = ['{}', '\\${}', '{} dollars', '{}.00']
    else:
        unit = re.search(r'\{\s*(\w+)', gold)[1]
        square = '^2' in gold
        for way in ('{}', '{} \\text{{ %s}}' % unit + ('^2' if square else ''), '{}\\,\\mathrm{{%s}}' % unit + ('^{{2}}' if square else '')):
            yield 'units', way.format(v), 'R'
        if unit == 'cm':
            yield 'units', f'{v} cm^2', 'R'
            yield 'units', f'{v} cm²', 'R'
        yield 'label', f'A = {v}', 'R'
        wrong = ['{}', '{} \\text{{ %s}}' % unit + ('^2' if square else '')]
    for name, w in (('off by one', n + 1), ('off by one', n - 1), ('tenfold', 10 * n), ('sign', -n), ('doubled', 2 * n)):
        yield name, rng.choice(wrong).format(tex(w) if w.is_Integer or decimal(w) is None else decimal(w)), 'W'


def transforms(rng, gold, source):
    yield from layout(rng, gold)
    if re.match(r'\\text\{', gold):
        yield from words(rng, gold)
        return
    shape = refs.read(gold)
    if shape[0] == 'scalar':
        e = shape[1]
        unit = re.search(r'\\text|\\mbox|\\circ|\\\$', gold)
        if unit:
            yield from measured(rng, gold, e)
        elif e.is_Integer:
            yield from integer(rng, gold, e, source)
        elif e.is_Rational:
            yield from rational(rng, gold, e)
        else:
            yield from expression(rng, gold, e)
    elif shape[0] == 'tuple':
        if gold.startswith('x'):
            gold = gold.split('\\in')[1].strip()
            yield 'label', gold, 'R'
        yield from tuples(rng, gold, shape[1], shape[2], shape[3])
    elif shape[0] == 'list':
        yield from plus_minus(rng, gold)
        yield from lists(rng, gold, shape[1], gold.startswith('\\{'))
    elif shape[0] == 'union':
        yield from union(rng, gold, shape[1])
    elif shape[0] == 'matrix':
        yield from matrix(rng, gold, shape[1])
    elif shape[0] == 'based':
        yield from based(rng, gold, shape[1], shape[2])
    elif shape[0] == 'eq':
        yield from equation(rng, gold, shape[1], shape[2])


# ---- commands ----


def golds(data):
    """(gold, source), each gold answer once; of GSM8K's numbers every fifth."""
    seen = {}

    def rows(name):
        return [json.loads(line) for line in open(Path(data) / name, encoding='utf-8')]

    for r in rows('math500/test.jsonl'):
        seen.setdefault(r['answer'], 'math500')
    for name in ('aime24', 'aime25'):
        for r in rows(f'{name}/test.jsonl'):
            text = str(r.get('answer') or re.search(r'\\boxed\{(\d+)\}', r['solution'])[1])
            seen.setdefault(str(int(float(text.strip('$')))), name)
    gsm = sorted({r['answer'].split('####')[1].strip().replace(',', '') for r in rows('gsm8k/test.jsonl')})
    for g in gsm[::5]:
        seen.setdefault(g, 'gsm8k')
    return list(seen.items())


def make(data):
    n = Counter()
    for gold, source in golds(data):
        rng = random.Random(f'{SEED} {gold}')
        got, clash = {}, []
        for name, answer, expect in transforms(rng, gold, source):
            if answer is None or answer == gold or '\n' in answer or '\t' in answer:
                continue
            if got.setdefault(answer, (name, expect))[1] != expect:
                clash.append(answer)
        assert not clash, (gold, clash)
        keep = N_INTEGER if re.fullmatch(r'-?\d+', gold) else N_FORMULA
        for expect, k in zip('RW', keep):
            choice = [(a, t) for a, (t, x) in got.items() if x == expect]
            by_name = defaultdict(list)  # every kind of transformation before a second of the same
            for a, t in rng.sample(choice, len(choice)):
                by_name[t].append(a)
            order = rng.sample(sorted(by_name), len(by_name))
            picked, depth = [], 0
            while len(picked) < min(k, len(choice)):
                picked += [(by_name[t][depth], t) for t in order if depth < len(by_name[t])]
                depth += 1
            for a, t in picked[:k]:
                n[expect] += 1
                print(json.dumps({'gold': gold, 'answer': a, 'expect': expect, 'transform': t, 'source': source},
                                 ensure_ascii=False))  # fmt: skip
    print(f'{sum(n.values())} pairs: {n["R"]} equal, {n["W"]} unequal', file=sys.stderr)


def load(path):
    return [json.loads(line) for line in open(path, encoding='utf-8')]


def ask(path):
    mv, sy = refs.Child('math-verify'), refs.Child('sympy')
    for pair in load(path):
        for name, child in (('math_verify', mv), ('sympy', sy)):
            t = time.time()
            said = child.ask({'gold': pair['gold'], 'answer': pair['answer']}) or {'verdict': 'timeout'}
            pair[name], pair[name + '_ms'] = said['verdict'], round((time.time() - t) * 1e3, 1)
        print(json.dumps(pair, ensure_ascii=False), flush=True)
    mv.close(), sy.close()
    print(f'children lost: math-verify {mv.n_lost}, sympy {sy.n_lost}', file=sys.stderr)


def grade(pairs, lowbit):
    with tempfile.NamedTemporaryFile('w', suffix='.jsonl', encoding='utf-8') as f:
        for p in pairs:
            f.write(json.dumps({'gold': p['gold'], 'answer': p['answer']}, ensure_ascii=False) + '\n')
        f.flush()
        out = subprocess.run([lowbit, 'grade', '--time', '--file', f.name], stdout=subprocess.PIPE, check=True, text=True).stdout
    said = [json.loads(line) for line in out.splitlines()]
    assert len(said) == len(pairs)
    return said


LETTER = {'right': 'R', 'wrong': 'W', 'unknown': 'U'}


def is_hard(pair):
    return pair['transform'] in HARD or refs.is_complex(pair['gold'])


def tell(path, lowbit):
    pairs = load(path)
    said = grade(pairs, lowbit)
    total, agree = Counter(), Counter()
    bad, others = [], []
    for p, s in zip(pairs, said):
        ours = LETTER[s['verdict']]
        right = ours == 'R'
        hard = is_hard(p)
        for who, want in (('construction', p['expect']), ('math-verify', p['math_verify']), ('sympy', p['sympy'])):
            if want not in 'RW':
                total[who, 'n/a'] += 1
                continue
            for set_ in ('all', 'hard' if hard else 'plain'):
                total[who, set_] += 1
                agree[who, set_] += right == (want == 'R')
        key = (p['transform'], p['expect'])
        total[key] += 1
        agree[key] += right == (p['expect'] == 'R')
        total['unknown', p['expect']] += ours == 'U'
        if right != (p['expect'] == 'R'):
            bad.append((p, s))
        elif p['math_verify'] in 'RW' and right != (p['math_verify'] == 'R'):
            others.append((p, s))
    for set_ in ('all', 'plain', 'hard'):
        for who in ('construction', 'math-verify', 'sympy'):
            k = who, set_
            print(f'{set_:6}{who:14} {agree[k]} of {total[k]} agree ({agree[k] / total[k]:.2%})')
    print(f'without a verdict: math-verify {total["math-verify", "n/a"]}, sympy {total["sympy", "n/a"]}')
    us = sorted((s['us'], p['gold'], p['answer']) for p, s in zip(pairs, said))
    print(f'time: median {us[len(us) // 2][0]:.0f} us, 99 % {us[len(us) * 99 // 100][0]:.0f} us, worst {us[-1][0] / 1e3:.1f} ms ({us[-1][1]} || {us[-1][2]})')
    for who in ('math_verify', 'sympy'):
        n = [p for p in pairs if p[who] in 'RW']
        print(f'{who} agrees with the construction on {sum(p[who] == p["expect"] for p in n) / len(n):.2%} of {len(n)}')
    print(f'unknown: {total["unknown", "R"]} equal, {total["unknown", "W"]} unequal')
    print('\nby transformation:')
    names = sorted(k for k in total if k[1] in 'RW' and k[0] != 'unknown')
    for k in names:
        print(f'  {k[1]} {k[0]:20} {agree[k]:5} of {total[k]:5}{"" if agree[k] == total[k] else "   <"}')
    print('\nnot as constructed:')
    for p, s in bad:
        print(f'  {p["expect"]} {p["transform"]:18} {p["gold"]}  ||  {p["answer"]}   lowbit {s["verdict"]} ({s["why"]}); '
              f'math-verify {p["math_verify"]}, sympy {p["sympy"]}')  # fmt: skip
    print('\nas constructed, math-verify differs:')
    for p, s in others:
        print(f'  {p["expect"]} {p["transform"]:18} {p["gold"]}  ||  {p["answer"]}   math-verify {p["math_verify"]}, sympy {p["sympy"]}')


def write(path):
    for p in load(path):
        how = p['transform'] + ('*' if is_hard(p) else '')
        print(p['expect'], p['math_verify'][0].upper(), p['sympy'][0].upper(), how, p['gold'], p['answer'], sep='\t')


if __name__ == '__main__':
    commands = {'make': make, 'ask': ask, 'tell': tell, 'write': write}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
