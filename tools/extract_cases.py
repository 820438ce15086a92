#!/usr/bin/env python3
"""Completions as models write them, what they answer, and what the published extractors find in them.

    extract_cases.py write LIGHTEVAL > tests/golden/extract_cases.jsonl     LIGHTEVAL: its source folder, src/
    extract_cases.py tell  tests/golden/extract_cases.jsonl LOWBIT          agreement, every difference

A case is (gold answer, what is to be extracted, completion). All gold answers are what the completion means, so that an
extractor that finds them grades "right"; None: the completion answers nothing. Letters have A to D (or as said).
math-verify 0.9.0 reads the mathematical ones, lighteval's multilingual_extractive_match (3fd15266) the letters.
"""

import json
import subprocess
import sys
import tempfile
import types

MATH = [
    # boxes
    ('42', '42', r'Adding both, we get $20 + 22 = 42$. Therefore, the final answer is $\boxed{42}$.'),
    ('42', '42', r'The final answer is: $\boxed{42}$. I hope it is correct.'),
    ('204', '204', 'Thus the walk takes\n\n\\[\n\\boxed{204}\n\\]\n\nminutes.'),
    (r'\frac{3}{4}', r'\dfrac{3}{4}', r'So the probability is \(\boxed{\dfrac{3}{4}}\).'),
    (r'\frac{1}{2}', r'\frac{1}{2}', r'First guess: $\boxed{\frac{1}{3}}$. Rechecking the count gives $\boxed{\frac{1}{2}}$.'),
    ('5', '5', r'So the answer is $\boxed{5}$… wait, let me check: $2\cdot 5 = 10$. Yes, that is right.'),
    ('5', r'x = 5 \text{ cm}', r'Hence \boxed{x = 5 \text{ cm}}.'),
    (r'\{1,2\}', r'\{1, 2\}', r'The solution set is $\boxed{\{1, 2\}}$.'),
    (r'\left(3, \frac{\pi}{2}\right)', r'\left(3, \frac{\pi}{2}\right)', r'In polar form: $$\boxed{\left(3, \frac{\pi}{2}\right)}$$'),
    (r'2\sqrt{5}', r'2\sqrt{5}', '**Final Answer**\n\n\\[ \\boxed{2\\sqrt{5}} \\]'),
    ('-2,1', '-2, 1', r'The roots are $\boxed{-2}$ and $\boxed{1}$.'),
    ('3,5,7', '3, 5, 7', r'Hence the primes are $\boxed{3}, \boxed{5}, \boxed{7}$.'),
    ('7', '7', r'We need $x>0$, so $\boxed{x=7}$ is rejected? No: $\boxed{7}$'),
    ('12', '12', r'I will put my answer in \boxed{}. Since $3\cdot4=12$, the result is \boxed{12}.'),
    ('12', '12', 'The result is \\boxed{12}.\n\nNote: the answer is placed within \\boxed{} as asked.'),
    ('12', '12', r'The answer in the requested form $\boxed{\text{answer}}$ is $\boxed{12}$.'),
    ('0', '0', r'There are no such triangles, so the count is $\boxed{0}$.'),
    (r'\begin{pmatrix} -2 \\ 5 \end{pmatrix}', r'\begin{pmatrix} -2 \\ 5 \end{pmatrix}', 'The projection is\n$$\\boxed{\\begin{pmatrix} -2 \\\\ 5 \\end{pmatrix}}.$$'),
    ('70', '70', '**Answer:** $\\boxed{70}$\n\n*Check:* $9\\cdot 7+7=70$.'),
    ('p - q', 'p - q', r'It simplifies to \( \boxed{p - q} \).'),
    (r'\text{Evelyn}', r'\text{Evelyn}', r'The greatest average speed belongs to $\boxed{\text{Evelyn}}$.'),
    ('18', r'\$18', r'She makes $\boxed{\$18}$ every day.'),
    ('18', r'18\text{ dollars}', r'She makes \boxed{18\text{ dollars}} every day at the market.'),
    ('10080', r'10{,}080', r'There are $\boxed{10{,}080}$ arrangements.'),
    (r'90^\circ', r'90^\circ', r'Therefore $\angle ABC=\boxed{90^\circ}$.'),
    ('33', '33', 'Final Answer: \\boxed{33}\n\n</answer>'),
    ('809', '809', 'So $m+n=\\boxed{809}$\n\n----\n\nLet me double-check with $m=8$: $8+801=809$.'),
    (r'x \in [-2,7]', r'[-2, 7]', r'The inequality holds for \boxed{[-2, 7]}.'),
    ('116', '116', r'\[ \text{Total} = 100 + 16 = \fbox{116} \]'),
    ('116', '116', r'$\boxed {116}$'),
    ('116', '116', r'the answer is $\boxed 116$'),
    (r'\frac{9}{19}', r'\frac{9}{19}', r'$\boxed{\frac{9}{19}$ is the final probability.'),
    ('25', '25', r'\boxed{\boxed{25}}'),
    ('25', '25', 'Step 1: \\boxed{10}\nStep 2: \\boxed{15}\nStep 3: add them: \\boxed{25}'),
    (r'6r^2-4r-24', r'6r^2 - 4r - 24', 'Expanding,\n\\begin{align*}\n&= 6r^2 - 4r - 24\n\\end{align*}\nso the answer is $\\boxed{6r^2 - 4r - 24}$'),
    ('3', '3', r'The value is $\boxed{3}$.'),
    (r'11\sqrt{2}', r'11\sqrt2', r'Distance: $$\boxed{11\sqrt2}$$'),
    (r'(-\infty, 2) \cup (3, \infty)', r'(-\infty, 2) \cup (3, \infty)', r'Domain: $\boxed{(-\infty, 2) \cup (3, \infty)}$.'),
    ('1,-2', 'x = 1 \\text{ or } x = -2', r'$\boxed{x = 1 \text{ or } x = -2}$'),
    ('588', '588', 'Area $= 588$.\n\n$$\n\\boxed{\n588\n}\n$$'),
    ('42', '42', 'Let me verify: 6*7 = 42. ✓\n\n**\\boxed{42}**'),
    (r'\frac{270}{7}', r'\frac{270}{7}^\circ', r'So the angle measures $\boxed{\frac{270}{7}^\circ}$'),
    (r'y = 2x+3', r'y = 2x + 3', r'The line has equation $\boxed{y = 2x + 3}$.'),
    ('17', '17', r'所以最终答案是 $\boxed{17}$。'),
    ('17', '17', '因此，答案为\n\\[\\boxed{17}\\]'),
    ('1.25', '1.25', r'Each costs \boxed{1.25}'),
    ('70', '70', r'The answer is not \boxed{80}, it is \boxed{70}.'),
    ('5', '5', r'\boxed{5} \text{ (since } \boxed{} \text{ asks for a number)}'),
    ('0.15', r'15\%', r'The rate is $\boxed{15\%}$.'),
    ('2k+2', '2k+2', 'Thus $f(k)=\\boxed{2k+2}$. $\\blacksquare$'),
    ('1/2', r'\frac12', r'The probability equals $\boxed{\frac12}$ or $\boxed{0.5}$.'),
    ('55', '55', r'Thus the sum $=\boxed{55}.$'),
    # "final answer is", "the answer is"
    ('18', '18', 'She has 16 - 3 - 4 = 9 eggs left.\nThe answer is 18.'),
    ('3.5', '3.5', 'Final answer: 3.5'),
    ('3.5', '3.5 meters', 'So the length is 7/2 m.\n\nFinal Answer: 3.5 meters.'),
    (r'\frac{1}{2}', r'\frac{1}{2}', r'Therefore, the final answer is: $\frac{1}{2}$. I hope it is correct.'),
    ('7', 'x = 7', 'The answer is:\n\n$$x = 7$$\n'),
    ('1250', '1,250', 'The final answer is 1,250.'),
    ('1250', '$1,250', 'The answer is $1,250.'),
    ('18', '$18', 'The answer is **$18**.'),
    ('42', '42', '**Answer:** 42'),
    ('42', '42', '**Answer: 42**'),
    ('42', '42', '**Final Answer:** **42**'),
    ('42', '42', '**Final Answer**\n\n42'),
    ('42', '42', '### Final Answer\n\n$42$'),
    ('42', '42', '## Answer\n**42**'),
    ('42', '42', 'Answer = 42'),
    ('42', '42', 'ANSWER: 42'),
    ('42', '42', 'answer:42'),
    ('42', '`42`', 'Final answer: `42`'),
    ('42', '42', 'The answer to the problem is 42.'),
    ('42', '42', 'The answer to your question is: 42'),
    ('42', '42', 'The correct answer is therefore 42.'),
    ('42', '42', 'Hence the answer is indeed 42, as we found above.'),
    ('42', '42', 'The answer is 42, which is the total number of apples.'),
    ('42', '42', 'The answer is 42 because 6 times 7 is 42.'),
    ('42', '42', 'The answer is 42. This uses all 3 conditions of the problem.'),
    ('42', '42', 'The answer should be 42.'),
    ('42', '42', 'My answer would be 42.'),
    ('42', '42', 'The answer is $42$, so we are done after 2 steps.'),
    ('42', '42', 'the answer is $$42$$'),
    ('42', '42', 'the answer is \\(42\\).'),
    ('42', '42', 'So the answer is 42. The answer is correct.'),
    ('42', '42', 'The final answer is 42. The answer is reasonable.'),
    ('-3', '-3', 'The answer is -3.'),
    ('-3', '−3', 'The answer is −3.'),
    ('2/3', '2/3', 'The answer is 2/3.'),
    ('2/3', '2/3', 'The probability comes out as 2/3, so the final answer is 2/3.'),
    ('5', 'x = 5', 'The answer is x = 5.'),
    ('5', 'x = 5', 'The answer is x = 5, since 5 + 3 = 8.'),
    ('2,3', '2 and 3', 'The answers are 2 and 3.'),
    ('2,3', '2, 3', 'The answers are $2$ and $3$.'),
    ('2,3', 'x = 2, x = 3', 'The answer is $x = 2$ or $x = 3$.'),
    ('5', '5', 'The answer is that there are $5$ solutions.'),
    ('5', '5', 'The answer is that she bought 5 apples.'),
    ('3.14', '3.14', 'The answer is approximately 3.14.'),
    ('3.14', '3.14', 'The answer is approximately $3.14$.'),
    ('12', '12 cm', 'The answer is 12 cm.'),
    ('12', r'12 \text{ cm}', r'The answer is $12 \text{ cm}$.'),
    ('75', '75%', 'The answer is 75%.'),
    ('even', 'even', 'The answer is even.'),
    ('x^2+1', 'x^2+1', 'The answer is x^2+1.'),
    ('(2,4)', '(2, 4)', 'The answer is (2, 4).'),
    ('(2,4)', '(2, 4)', 'The answer is the point $(2, 4)$.'),
    ('18', '18', 'Janet makes 9 * 2 = 18 dollars.\n#### 18'),
    ('1450', '1,450', 'The total is 1450.\n#### 1,450'),
    ('-5', '-5', 'It drops by five.\n#### -5'),
    ('18', '18', '答案是18。'),
    ('18', '18', '所以，答案为18。'),
    ('18', '18', '答案：18'),
    ('18', '18', '最终答案：**18**'),
    ('18', '18', '因此答案是 $18$。'),
    ('3', '3', '答案是：3，因为1+2=3。'),
    ('20', '20', '€ prices aside, the answer is €20.'),
    ('20', '20', 'The answer is £20.'),
    ('19', '19', 'Is the answer 20? No. The answer is 19.'),
    ('19', '19', 'The answer is not 20. It is 19.'),
    ('6', '6', 'First I thought the answer is 8. After recounting, the answer is 6.'),
    ('6', '6', 'The answer is:\n\n**6**'),
    ('6', '6', 'Answer:\n6'),
    ('6', '6', '> **Answer:** 6'),
    ('6', '6', '- Answer: 6'),
    ('6', '6', '**The final answer is 6.**'),
    ('6', '6', '__Answer:__ 6'),
    ('6', '6', '<answer>6</answer>'),
    ('6', '6', '<answer>\n$6$\n</answer>'),
    ('6', '6!', 'The answer is 6!'.replace('6!', '6!')) if False else ('720', '6!', 'Answer = 6!'),
    ('1e5', '1e5', 'The answer is 1e5.'),
    ('100000', '10^5', 'The answer is 10^5.'),
    ('5.5', '5 1/2', 'The answer is 5 1/2.'),
    ('5.5', r'5\frac{1}{2}', r'The answer is $5\frac{1}{2}$.'),
    (r'\frac{\pi}{6}', r'\frac{\pi}{6}', r'The answer is $\frac{\pi}{6}$.'),
    ('sqrt(3)', 'sqrt(3)', 'The answer is sqrt(3).'),
    ('2', '2', 'In conclusion, the answer is 2 with a remainder left over.'),
    ('9', '9', 'The answer is 9 (since 81 = 9 squared).'),
    ('9', '9', 'Final answer is 9'),
    # no announcement: formulas and numbers
    ('5', '5', r'Solving gives $x = 5$.'),
    ('5', '5', 'In total there are $2+3$ apples. That makes $5$.'),
    (r'\frac{7}{4}', r'\frac{7}{4}', r'Thus we obtain $\frac{7}{4}$ for every $n$.'),
    (r'\frac{7}{4}', r'\frac{7}{4}', r'Thus we obtain \[ \frac{7}{4} \]'),
    ('31', '31', 'So the distance is 31'),
    ('31', '31', 'So the distance is 31.'),
    ('31', '31', 'He walks 31 miles in 2 days, no: in all he walks 31 miles.'),
    ('18', '18', 'She makes $18 every day.'),
    ('18', '18', 'She makes 9 * $2 = $18 every day at the market.'),
    ('1234567', '1,234,567', 'Altogether they own 1,234,567 coins.'),
    ('0.75', '0.75', 'The probability is 0.75.'),
    ('15', '15%', 'The price rises by 15%.'),
    ('3/8', '3/8', 'The chance is 3/8.'),
    ('-4', '-4', 'The temperature falls to -4 degrees.'),
    ('2.5', '2 1/2', 'They need 2 1/2 hours.'),
    ('64', '2^6', 'There are 2^6 such strings.'),
    (r'\pi', r'\pi', r'The area is $\pi$.'),
    ('x+y', 'x+y', r'We are left with $x+y$.'),
    ('2,3', 'x=2, x=3', 'The solutions are $x=2$ and $x=3$.'),
    ('60', '60', 'Step 1: 20. Step 2: 40. Sum: 60'),
    ('60', '60', '20 + 40 = 60 apples'),
    ('7', '7', 'Let $n=3$. Then we count 7 subsets.'),
    (None, None, 'I cannot solve this problem.'),
    (None, None, ''),
    ('8', '8', 'There are 8 of them.\n\nHope this helps!'),
    ('8', '8', 'Total = 8\n'),
    ('250', '250', 'We get 250g of flour.'),
    ('3', '3', 'Therefore 3'),
]

# after the thinking: (gold, extracted, whole completion, the prompt had opened <think>)
THINKING = [
    ('7', '7', '<think>\n3 + 4 = 7. Or is the answer 8?\n</think>\n\nThe answer is $\\boxed{7}$.', False),
    ('7', '7', '3 + 4 = 7, \\boxed{9}?\n</think>\n\n\\boxed{7}', True),
    ('7', '7', '<think>a</think> hm, \\boxed{5} <think>b \\boxed{6}</think> So \\boxed{7}', False),
    ('7', '7', 'x</think>y</think>\n**7**', True),
    (None, None, '<think>\nThe answer is \\boxed{7}. Wait, maybe', False),
    (None, None, 'So the answer is \\boxed{7}, but let me check', True),
    (None, None, 'x</think>one<think>two \\boxed{7}', True),
    (None, None, '<think>done, it is \\boxed{7}</think>', False),
    ('7', '7', '<think></think>7', False),
    ('7', '7', '<think>\n\n</think>\n\nAnswer: 7', False),
]

LETTERS = [
    ('C', 'C', r'The answer is $\boxed{C}$.'),
    ('C', 'C', r'\boxed{\text{C}}'),
    ('C', 'C', r'\boxed{\textbf{(C)}}'),
    ('C', 'C', r'\boxed{(C)}'),
    ('C', 'C', r'\boxed{\text{(C) }14}'),
    ('C', 'C', r'\boxed{C) 14 N}'),
    ('C', 'C', r'\boxed{\mathrm{C}}'),
    ('C', 'C', 'Answer: C'),
    ('C', 'C', 'Answer: (C)'),
    ('C', 'C', 'Answer: C.'),
    ('C', 'C', 'Answer: **C**'),
    ('C', 'C', '**Answer: C**'),
    ('C', 'C', '**Answer:** C'),
    ('C', 'C', '**Answer:** (C)'),
    ('C', 'C', 'Answer: C) 14 N'),
    ('C', 'C', 'Answer: C. 14 N'),
    ('C', 'C', 'Answer: $C$'),
    ('C', 'C', r'Answer: $\boxed{C}$'),
    ('C', 'C', r'Answer: \(\text{C}\)'),
    ('C', 'C', 'ANSWER: C'),
    ('C', 'C', 'Answer:C'),
    ('C', 'C', 'Answer:\n\nC'),
    ('C', 'C', 'Answer:\n**C**'),
    ('C', 'C', 'Final answer: C'),
    ('C', 'C', 'Final Answer:\n\n**C) 14 N**'),
    ('C', 'C', 'The answer is C.'),
    ('C', 'C', 'The answer is (C).'),
    ('C', 'C', 'The answer is C, because the force is 14 N.'),
    ('C', 'C', 'The correct answer is C.'),
    ('C', 'C', 'The correct answer is **(C)** 14 N.'),
    ('C', 'C', 'The correct answer is option C.'),
    ('C', 'C', 'Therefore, the correct option is C.'),
    ('C', 'C', 'So the best choice is C) 14 N.'),
    ('C', 'C', 'Option C is correct.'),
    ('C', 'C', 'Hence (C) is the correct answer.'),
    ('C', 'C', 'Thus C is correct.'),
    ('C', 'C', 'A and B violate the first law, D the second.\n\nAnswer: C'),
    ('C', 'C', 'Not (A), not (B); it must be (C)'),
    ('C', 'C', 'F = ma = 14 N.\n\nC'),
    ('C', 'C', 'F = ma = 14 N.\n\n**C**'),
    ('C', 'C', 'F = ma = 14 N.\n\n(C)'),
    ('C', 'C', 'F = ma = 14 N.\n\nC) 14 N'),
    ('C', 'C', 'F = ma = 14 N.\n\n**C) 14 N**'),
    ('C', 'C', 'Looking at the choices, A) is too small and D) too large.\nThe answer is **C**.'),
    ('C', 'C', 'answer: c'),
    ('C', 'C', 'The answer is (c).'),
    ('C', 'C', '答案：C'),
    ('C', 'C', '答案是C。'),
    ('C', 'C', '因此，正确答案是：**C**'),
    ('C', 'C', '故选C。'),
    ('C', 'C', '答案选 C'),
    ('C', 'C', '<answer>C</answer>'),
    ('C', 'C', 'Answer: [C]'),
    ('C', 'C', 'The most likely answer is C.'),
    ('C', 'C', 'First I thought the answer is B. But the mass doubles, so the answer is C.'),
    ('C', 'C', r'I computed $\boxed{14}$ N.' + '\n\nAnswer: C'),
    ('A', 'A', 'Answer: A'),
    ('A', 'A', 'The answer is A.'),
    ('D', 'D', 'The correct answer is:\n\n**D**'),
    ('B', 'B', 'So I would choose **B**.'),
    (None, None, 'I cannot tell which option is right.'),
    (None, None, 'The answer is a ball rolling down.'),
    (None, None, r'\boxed{A, C}'),
    (None, None, 'Answer: A and C'),
    (None, None, r'Answer: E'),
    (None, None, ''),
]


def lighteval_letters(src):
    """lighteval's extraction of option letters, without the rest of lighteval's package being imported."""
    sys.path.insert(0, src)
    for name in ('lighteval', 'lighteval.metrics', 'lighteval.metrics.utils', 'lighteval.tasks', 'lighteval.utils'):
        m = types.ModuleType(name)
        m.__path__ = [src + '/' + name.replace('.', '/')]
        sys.modules[name] = m
    requests = types.ModuleType('lighteval.tasks.requests')
    requests.Doc = type('Doc', (), {})
    sys.modules['lighteval.tasks.requests'] = requests
    imports = types.ModuleType('lighteval.utils.imports')
    imports.requires = lambda *a, **k: lambda f: f
    sys.modules['lighteval.utils.imports'] = imports
    from lighteval.metrics.utils import extractive_match_utils as u
    from lighteval.utils.language import Language

    doc = requests.Doc()
    doc.choices = list('ABCD')
    target = [u.IndicesExtractionConfig(prefix_for_extraction='NativeLetters')]
    regexes = u.get_extraction_regexes(doc, target, Language.ENGLISH)
    return lambda text: u.extract_target_from_pred(text, regexes)


def write(src):
    import grader_refs as refs

    extract, letters = refs.Child('extract'), lighteval_letters(src)
    for gold, want, text in MATH:
        said = extract.ask({'gold': gold or '1', 'completion': text}) or {'found': [], 'right': False}
        put(kind='math', gold=gold, want=want, text=text, found=said['found'], right=said['right'] and gold is not None)
    for gold, want, text, inside in THINKING:
        part = text.rsplit('</think>')[-1] if '</think>' in text else text
        said = extract.ask({'gold': gold or '1', 'completion': part}) or {'found': [], 'right': False}
        put(kind='thinking', gold=gold, want=want, text=text, in_thinking=inside, found=said['found'], right=said['right'] and gold is not None)
    for gold, want, text in LETTERS:
        found = [str(f) for f in letters(text)]
        put(kind='letter', gold=gold, want=want, text=text, found=found, right=bool(gold) and gold in found)
    extract.close()


def put(**case):
    print(json.dumps({k: v for k, v in case.items() if v is not None}, ensure_ascii=False))


def tell(path, lowbit):
    cases = [json.loads(line) for line in open(path, encoding='utf-8')]
    with tempfile.NamedTemporaryFile('w', suffix='.jsonl', encoding='utf-8') as f:
        for c in cases:
            row = {'gold': c.get('gold', 'A'), 'completion': c['text'], 'in_thinking': c.get('in_thinking', False)}
            f.write(json.dumps(row | ({'letter': 4} if c['kind'] == 'letter' else {}), ensure_ascii=False) + '\n')
        f.flush()
        out = subprocess.run([lowbit, 'grade', '--file', f.name], stdout=subprocess.PIPE, check=True, text=True).stdout
    n, as_wanted, agree = {}, {}, {}
    for c, line in zip(cases, out.splitlines()):
        s, k = json.loads(line), c['kind']
        ours = s['extracted'] if s['thinking_closed'] else None
        right = s['verdict'] == 'right' and 'gold' in c
        n[k] = n.get(k, 0) + 1
        as_wanted[k] = as_wanted.get(k, 0) + (ours == c.get('want') and right == ('gold' in c))
        agree[k] = agree.get(k, 0) + (right == c['right'])
        if ours != c.get('want') or right != ('gold' in c):
            print(f'{k}: {c["text"]!r}\n    wanted {c.get("want")!r}, found {ours!r} ({s["rule"]}), {s["verdict"]} {s["why"]}')
        elif right != c['right']:
            print(f'{k}: {c["text"]!r}\n    as wanted; the published extractor found {c["found"]} and is {"right" if c["right"] else "wrong"}')
    for k in n:
        print(f'{k}: {as_wanted[k]} of {n[k]} as wanted; the published extractor gives the same verdict on {agree[k]}')


if __name__ == '__main__':
    commands = {'write': write, 'tell': tell}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
