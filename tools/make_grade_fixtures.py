#!/usr/bin/env python3
"""Makes tests/golden/grade_pairs.tsv: verdict (R right, W wrong), gold answer, answer; one pair a line.

Gold answers come from data/abacus and from random polynomials, rational functions, surds and numbers; answers are
transformations of them that keep the value (reordered, expanded, factored, unreduced, decimal, other spelling) or
change it (off by one, sign, swapped, wrong coefficient). sympy decides whether a value was really kept or changed.

    python3 tools/make_grade_fixtures.py > tests/golden/grade_pairs.tsv      # sympy 1.14.0, seed 1
"""

import json
import random
import re

import sympy as sp

rng = random.Random(1)
pairs = {}
x, y, z, a, b = sp.symbols('x y z a b')


def same(p, q):
    return sp.simplify(sp.expand(sp.together(p - q))) == 0 or sp.simplify(p - q) == 0


def add(verdict, gold, answer):
    gold, answer = gold.strip(), answer.strip()
    if gold != answer and '\t' not in gold + answer:
        pairs.setdefault((gold, answer), verdict)
        assert pairs[gold, answer] == verdict, (gold, answer)


# ---- numbers ----


def frac(n, d, cmd='frac'):
    sign = '-' if n < 0 else ''
    if cmd == 'plain':
        return f'{n}/{d}'
    if cmd == 'short' and 0 < abs(n) < 10 and 0 < d < 10:
        return f'{sign}\\frac{abs(n)}{d}'
    return f'{sign}\\{"frac" if cmd == "short" else cmd}{{{abs(n)}}}{{{d}}}'


def decimal(q):
    """Exact decimal text, or None."""
    d = q.q
    for p in (2, 5):
        while d % p == 0:
            d //= p
    if d != 1:
        return None
    k = 0
    while (q * 10**k).q != 1:
        k += 1
    n = int(abs(q) * 10**k)
    s = str(n).rjust(k + 1, '0')
    s = s[:-k] + '.' + s[-k:] if k else s
    return ('-' if q < 0 else '') + s


def thousands(n, sep=','):
    return f'{n:,}'.replace(',', sep)


def spell_number(q):
    """Spellings of a rational, all of the same value."""
    n, d, k = int(q.p), int(q.q), rng.randint(2, 9)
    out = (
        [frac(n, d, c) for c in ('frac', 'dfrac', 'tfrac', 'plain', 'short')]
        if d > 1
        else [str(n), f'{n}.0', f'{n}/1']
    )
    out += [
        frac(n * k, d * k),
        frac(n * k, d * k, 'plain'),
        f'\\left({frac(n, d, "dfrac")}\\right)',
        f'x = {frac(n, d)}',
        f'${frac(n, d, "plain")}$',
        f'\\frac{{{-n}}}{{{-d}}}',
        f'{n}\\cdot\\frac{{1}}{{{d}}}',
        f'-({frac(-n, d, "plain")})',
    ]
    m = rng.randint(-9, 9)
    out += [f'{m} + {frac(n - m * d, d)}' if n - m * d >= 0 else f'{m} {frac(n - m * d, d)}']
    if d > 1 and abs(n) > d:
        w, r = divmod(abs(n), d)
        sign = '-' if n < 0 else ''
        out += [f'{sign}{w}\\frac{{{r}}}{{{d}}}', f'{sign}{w} {r}/{d}']
    if decimal(q):
        out += [decimal(q), decimal(q) + ('00' if '.' in decimal(q) else '.00')]
    if d == 1 and abs(n) > 999:
        out += [thousands(n), thousands(n, ',\\!'), thousands(n, '{,}'), f'{n} \\text{{ units}}', f'\\text{{{n}}}']
    if d == 1:
        out += [
            f'\\boxed{{{n}}}',
            f'{n + 7} - 7',
            f'{n}^{{1}}',
            f'\\$ {n}' if n >= 0 else f'{n}',
            f'{n}\\text{{ apples}}',
        ]
    return out


def spoil_number(q):
    n, d = int(q.p), int(q.q)
    out = [
        q + 1,
        q - 1,
        -q,
        sp.Rational(n + 1, d),
        sp.Rational(n, d + 1),
        q * 10,
        q + sp.Rational(1, 10**9),
        sp.Rational(d, n) if n else q + 2,
    ]
    return [v for v in out if v != q]


def number(gold, q, n_right, n_wrong):
    right = spell_number(q)
    for s in rng.sample(right, min(n_right, len(right))):
        add('R', gold, s)
    for v in rng.sample(spoil_number(q), n_wrong):
        add('W', gold, rng.choice(spell_number(v)))
    if q.q > 1 and decimal(q) is None:
        add('W', gold, f'{float(q):.6f}')


# ---- polynomials and rational functions ----


def term(c, powers, first, style):
    """c·Π v^e as LaTeX."""
    star = {'tight': '', 'cdot': ' \\cdot ', 'star': '*'}[style]
    vs = [
        (
            str(v)
            if e == 1
            else f'{v}^{e}' if e < 10 and style == 'tight' else f'{v}^{{{e}}}' if style != 'star' else f'{v}**{e}'
        )
        for v, e in powers
        if e
    ]
    rng.shuffle(vs)
    m = abs(c)
    cs = (
        []
        if m == 1 and vs
        else [str(m) if m.q == 1 else f'\\frac{{{m.p}}}{{{m.q}}}' if style != 'star' else f'({m.p}/{m.q})']
    )
    body = star.join(cs + vs)
    return ('-' if c < 0 else '') + body if first else (' - ' if c < 0 else ' + ') + body


def spell_poly(p, style='tight'):
    terms = [(c, list(zip(p.gens, e))) for e, c in p.terms()]
    rng.shuffle(terms)
    return ''.join(term(c, e, i == 0, style) for i, (c, e) in enumerate(terms)) or '0'


def spell_expr(e):
    """Any sympy expression in sympy's LaTeX or plain notation."""
    return rng.choice(
        [
            sp.latex(e),
            sp.latex(e, fold_short_frac=True),
            sp.latex(e, mul_symbol='dot'),
            str(e),
            str(e).replace('**', '^'),
        ]
    )


def horner(p):
    c = [sp.Rational(v) for v in p.all_coeffs()]
    s = f'({c[0]})'
    for v in c[1:]:
        s = f'({s}{p.gen} + ({v}))'
    return s


def polynomial(gold, p, n_right, n_wrong):
    e = p.as_expr()
    right = [
        spell_poly(p),
        spell_poly(p, 'cdot'),
        spell_poly(p, 'star'),
        spell_expr(sp.factor(e)),
        spell_expr(sp.expand(e)),
        f'\\left({spell_poly(p)}\\right)',
        f'{spell_poly(p)} + 0',
        f'\\frac{{{spell_poly(p * 6)}}}{{6}}',
        f'\\frac{{({spell_poly(p)})(x + 2)}}{{x+2}}',
        f'-1({spell_poly(-p)})',
        f'f(x) = {spell_poly(p)}',
    ]
    if len(p.gens) == 1 and not p.is_zero:
        right.append(horner(p))
    for s in rng.sample(right, min(n_right, len(right))):
        add('R', gold, s)
    for _ in range(n_wrong):
        kind = rng.randrange(4)
        m, c = rng.choice(p.terms())
        mono = sp.prod(v**k for v, k in zip(p.gens, m))
        v = p.gens[rng.randrange(len(p.gens))]
        q = sp.Poly(e + [mono, -2 * c * mono, c * mono * (v - 1), rng.choice([1, -1])][kind], *p.gens)
        if not same(q.as_expr(), e):
            add('W', gold, rng.choice([spell_poly(q), spell_expr(sp.factor(q.as_expr())), spell_expr(q.as_expr())]))


def random_poly(gens, n_terms, degree, fractions=False):
    p = sp.Integer(0)
    while p == 0:
        for _ in range(n_terms):
            c = sp.Rational(rng.choice([-1, 1]) * rng.randint(1, 20), rng.randint(1, 6) if fractions else 1)
            p += c * sp.prod(v ** rng.randint(0, degree) for v in gens)
    return sp.Poly(p, *gens)


def rational_function():
    gens = rng.choice([(x,), (x,), (x, y), (a, b)])
    n, d = random_poly(gens, 3, 2), random_poly(gens, 2, 1)
    if len(d.terms()) < 2:
        d += sp.Poly(gens[0] + 1, *gens)
    if d.is_zero or n.is_zero:
        return
    e = n.as_expr() / d.as_expr()
    gold = f'\\frac{{{spell_poly(n)}}}{{{spell_poly(d)}}}'
    right = [
        f'({spell_poly(n)})/({spell_poly(d)})',
        spell_expr(sp.factor(e)),
        spell_expr(sp.cancel(e)),
        spell_expr(sp.together(1 + e) - 1),
        f'({spell_poly(n)})({spell_poly(d)})^{{-1}}',
        f'\\dfrac{{{spell_poly(-n)}}}{{{spell_poly(-d)}}}',
    ]
    if len(gens) == 1:
        right.append(spell_expr(sp.apart(e, gens[0])))
    for s in rng.sample(right, 4):
        add('R', gold, s)
    for w in (1 / e, -e, e + 1, n.as_expr() / (d.as_expr() + 1)):
        if not same(w, e):
            add('W', gold, spell_expr(w))


# ---- lists, tuples, surds ----


def several(gold, values, ordered):
    def render(vs):
        return (rng.choice(['(%s)', '\\left(%s\\right)', '( %s )']) if ordered else '%s') % rng.choice(
            [', ', ',\\ ', ' , ']
        ).join(vs)

    spelled = [rng.choice(spell_number(v)) for v in values]
    spelled = [
        s if '=' not in s and ',' not in s and '$' not in s and 'text' not in s else str(v)
        for s, v in zip(spelled, values)
    ]
    add('R', gold, render(spelled))
    add('R', gold, render([frac(int(v.p), int(v.q)) if v.q > 1 else str(v) for v in values]))
    other = list(values)
    i = rng.randrange(len(other))
    other[i] += rng.choice([-1, 1])
    if ordered or sorted(other) != sorted(values):
        add('W', gold, render([str(v) for v in other]))
    flipped = [-v for v in values]
    if flipped != list(values) and (ordered or sorted(flipped) != sorted(values)):
        add('W', gold, render([str(v) for v in flipped]))
    add('W', gold, render([str(v) for v in list(values) + [values[0] + 3]]))
    turned = list(values)[::-1]
    if turned != list(values):
        add('W' if ordered else 'R', gold, render([str(v) for v in turned]))
    if not ordered:
        add('R', gold, '\\{%s\\}' % ', '.join(str(v) for v in turned))
        add('R', gold, ' \\text{ and } '.join(str(v) for v in turned))
        add('R', gold, 'x = %s' % ' \\text{ or } x = '.join(str(v) for v in values))


def surd():
    k, m = rng.randint(1, 9), rng.choice([2, 3, 5, 6, 7, 10, 13, 15])
    c = rng.randint(-9, 9)
    e = c + k * sp.sqrt(m)
    gold = sp.latex(e)
    for r in (
        f'{c} + \\sqrt{{{k * k * m}}}',
        f'{k}\\sqrt{{{m}}} + {c}',
        f'\\frac{{{k * m}}}{{\\sqrt{{{m}}}}} + {c}',
        f'{c}+{k}*sqrt({m})',
        f'{c} + {k} \\cdot {m}^{{1/2}}',
    ):
        add('R', gold, r)
    for w in (c - k * sp.sqrt(m), e + 1, c + (k + 1) * sp.sqrt(m), c + k * sp.sqrt(m + 1)):
        assert w != e
        add('W', gold, sp.latex(w))
    add('W', gold, f'{float(e):.4f}')


def complex_number():
    p, q, r, s = (rng.choice([-1, 1]) * rng.randint(1, 9) for _ in range(4))
    e = sp.expand((p + q * sp.I) * (r + s * sp.I))
    gold = sp.latex(e)
    add('R', gold, f'({p} + ({q})i)({r} + ({s})i)')
    add('R', gold, f'{sp.im(e)}i + {sp.re(e)}')
    add('R', gold, f'\\frac{{{2 * sp.re(e)} + ({2 * sp.im(e)})i}}{{2}}')
    if sp.im(e):
        add('W', gold, sp.latex(sp.conjugate(e)))
    add('W', gold, sp.latex(e + 1))
    add('W', gold, sp.latex(-e) if e else '1')


# ---- the answers of the miniature benchmarks ----


def parse_number(s):
    m = re.fullmatch(r'(-?)\\frac\{(\d+)\}\{(\d+)\}', s)
    return sp.Rational(int(m[1] + m[2]), int(m[3])) if m else sp.Rational(s)


def from_gold(gold):
    if 'x' in gold:
        polynomial(gold, sp.Poly(sp.sympify(re.sub(r'(\d)x', r'\1*x', gold).replace('^', '**')), x), 5, 3)
    elif gold.startswith('('):
        several(gold, [parse_number(s.strip()) for s in gold[1:-1].split(',')], True)
    elif ',' in gold:
        several(gold, [parse_number(s.strip()) for s in gold.split(',')], False)
    else:
        number(gold, parse_number(gold), 4, 3)


def main():
    golds = []
    for family, n in (('algebra', 10**6), ('contest', 20), ('chain', 20)):
        with open(f'data/abacus/{family}.jsonl') as f:
            rows = sorted({json.loads(line)['answer'] for line in f})
        kind = {}
        for s in rows:
            kind.setdefault(
                (
                    'poly'
                    if 'x' in s
                    else 'tuple' if s[0] == '(' else 'list' if ',' in s else 'frac' if 'frac' in s else 'int'
                ),
                [],
            ).append(s)
        for group in sorted(kind):
            golds += rng.sample(kind[group], min(len(kind[group]), n, 40))
    for g in golds:
        from_gold(g)
    for i in range(30):
        gens = rng.choice([(x, y), (x, y, z), (a, b)])
        p = random_poly(gens, rng.randint(2, 5), 3, i % 2 == 0)
        polynomial(spell_poly(p), p, 4, 3)
        q = sp.Rational(rng.randint(-(10**12), 10**12), rng.choice([1, 1, 3, 7, 8, 125, 1000]))
        number(str(q), q, 4, 3)
    for _ in range(25):
        rational_function()
        surd()
    for _ in range(20):
        complex_number()
    for (gold, answer), verdict in sorted(pairs.items()):
        print(verdict, gold, answer, sep='\t')


main()
