#!/usr/bin/env python3
"""Makes tests/golden/data/bench_prompts.jsonl: rows of benchmarks and what the published code asks for them.

    make_bench_prompts.py QRM MRBEN OUT [TASK=FILE…]

QRM and MRBEN are checkouts of ruikangliu/Quantized-Reasoning-Models (any commit with
lighteval_custom/tasks/reasoning.py) and dvlab-research/Mr-Ben. Their prompt functions are run as they are; only the
packages that they import for other purposes (lighteval, clients of servers) are replaced by empty ones. A line of OUT is

    {"task": "math500", "row": {…}, "prompts": ["…"]}

with one prompt, or four for gpqa_diamond: with the gold option at each place. GPQA may not be published and MR-Ben is
large: their rows are invented here, with every character that a prompt could stumble over. Rows of the other sets are the
few below (GSM8K and MATH: MIT licence). TASK=FILE adds the rows of a whole file (JSON lines, or MR-Ben's JSON), for a
comparison that is not committed: build/tests/golden/test_bench_prompts OUT.
"""
import json
import re
import sys
import types


class Anything:
    def __init__(self, *a, **k):
        self.__dict__.update(k)

    def __call__(self, *a, **k):
        return self

    def __getattr__(self, name):
        return Anything()


class Stub(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()


def stub(*names):
    for name in names:
        parts = name.split(".")
        for i in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:i]), Stub(".".join(parts[:i])))


def load(path, fix=lambda s: s):
    text = fix(open(path, encoding="utf-8").read())
    module = types.ModuleType("published")
    exec(compile(text, path, "exec"), module.__dict__)
    return module


stub("lighteval_custom.metrics.dynamic_metrics", "lighteval.tasks.lighteval_task", "lighteval.tasks.requests",
     "lighteval.utils.language", "openai", "anthropic", "mistralai.client", "tqdm")
# f"{line["x"]}" is Python 3.12; the same with other quotes is any Python 3
old_python = lambda s: re.sub(r'line\["(\w+)"\]', r"line['\1']", s) if sys.version_info < (3, 12) else s

AIME25 = [
    {"id": "0", "problem": "Find the sum of all integer bases $b>9$ for which $17_{b}$ is a divisor of $97_{b}$.",
     "answer": "70"},
]
AIME24 = [
    {"ID": "2024-I-0", "Problem": "An invented problem: find $1+1$.\nGive it {as} it is, with \\frac{1}{2} and 50% of \"it\".",
     "Solution": "It is $2$.", "Answer": 2},
]
MATH = [
    {"problem": "Evaluate $i^6+i^{16}+i^{-26}$.", "solution": "… \\boxed{-1}", "answer": "-1",
     "subject": "Intermediate Algebra", "level": 3, "unique_id": "test/intermediate_algebra/1.json"},
    {"problem": "If $f(x) = \\frac{3x-2}{x-2}$, what is the value of $f(-2) +f(-1)+f(0)$? Express your answer as a common "
                "fraction.", "solution": "… $\\boxed{\\frac{14}{3}}$", "answer": "\\frac{14}{3}", "subject": "Algebra",
     "level": 3, "unique_id": "test/algebra/2584.json"},
]
GSM8K = [
    {"question": "A robe takes 2 bolts of blue fiber and half that much white fiber.  How many bolts in total does it take?",
     "answer": "It takes 2/2=<<2/2=1>>1 bolt of white fiber\nSo the total amount of fabric is 2+1=<<2+1=3>>3 bolts of "
               "fabric\n#### 3"},
    {"question": "An invented one: a ship carries 1,100 and then 1,180 boxes.\n\nHow many?  ",
     "answer": "<<1100+1180=2280>>\n#### 2,280"},
]
GPQA = [
    {"Record ID": "recINVENTED0000001", "Question": "Which of these {A} is \"invented\"?\n\n$\\alpha$ decays, 50% of it,\nü → ñ",
     "Correct Answer": "This one, with a comma\n", "Incorrect Answer 1": "10^-4 eV", "Incorrect Answer 2": "{B} \\n %s",
     "Incorrect Answer 3": " none "},
    {"Record ID": "recINVENTED0000002", "Question": "2 + 2?", "Correct Answer": "4", "Incorrect Answer 1": "3",
     "Incorrect Answer 2": "5", "Incorrect Answer 3": "22"},
]
ODD = ["plain", "it's", 'a "quote"', "both ' and \"", "back\\slash and \\n", "tab\tline\nreturn\rend", "", "ünïcödé → ∑ 数学 ①",
       "\u00a0\u2009\u200b\u2028\u202e\ufeff", "\x01\x1b\x7f\x85\xad", "emoji 😀 \U000e0001", "{braces} %s {0}"]


def mr_ben(subject, correctness, step, steps, **more):
    return {"Question_UUID": "00000000-0000-0000-0000-00000000000%d" % len(more), "Subject": subject,
            "Question": "An invented question with {braces}\nand 'quotes'", "Options": "A: 1 \nB: 2 \nC: 3 \nD: 4 ",
            "Ground_Truth_Answer": "A", "Sampled_Model": "GPT3.5", "Model_Solution_Steps": steps,
            "Model_Solution_Correctness": correctness, "Model_Solution_First_Error_Step": step, **more}


MR_BEN = [
    mr_ben("college_biology", "correct", "N/A", ["Step 1: one", "Step 2: it's two", "Solution: Choice_A"]),
    mr_ben("high_school_physics", "incorrect", "7", ODD),
    mr_ben("college_math", "incorrect", "1", []),
    mr_ben("coding", "incorrect", "    return 1", "def f():\n    '''doc'''\n    return 1\n"),
]


def main():
    qrm, mrben, out = sys.argv[1:4]
    r = load(qrm + "/lighteval_custom/tasks/reasoning.py", old_python)
    m = load(mrben + "/script/utils.py")
    r.Doc = lambda **k: types.SimpleNamespace(**k)
    ask = {"gsm8k": r.gsm8k_prompt_fn, "math500": r.prompt_fn, "aime24": r.aime24_prompt_fn, "aime25": r.aime25_prompt_fn}

    def prompts(task, row):
        if task == "mr_ben":
            data = {"x": [dict(row)]}
            m.process_subject_data(data, 0, None)
            return [data["x"][0]["Query_Prompt"]]
        if task != "gpqa_diamond":
            row = dict(row)
            if task == "aime24":
                row.setdefault("Problem", row.get("problem"))
                row.setdefault("Answer", row.get("answer"))
            row.setdefault("problem", row.get("question"))
            row.setdefault("solution", "")
            return [ask[task](row).query]
        four = []
        for place in range(4):
            r.random = types.SimpleNamespace(randint=lambda a, b: place)
            doc = r.gpqa_prompt_fn(row)
            assert doc.gold_index == place
            four.append(doc.query)
        return four

    cases = [(t, row) for t, rows in (("gsm8k", GSM8K), ("math500", MATH), ("aime24", AIME24), ("aime25", AIME25),
                                      ("gpqa_diamond", GPQA), ("mr_ben", MR_BEN)) for row in rows]
    for arg in sys.argv[4:]:
        task, path = arg.split("=", 1)
        text = open(path, encoding="utf-8").read()
        if task == "mr_ben":
            rows = [s for group in json.loads(text).values() for s in group]
        else:
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
        cases += [(task, row) for row in rows]
    with open(out, "w", encoding="utf-8") as f:
        for task, row in cases:
            f.write(json.dumps({"task": task, "row": row, "prompts": prompts(task, row)}) + "\n")
    print(len(cases), "rows")


main()
