#!/usr/bin/env python3
"""Makes tests/golden/data/mr_ben.jsonl: replies, and what the published scorer of MR-Ben makes of them.

    make_mr_ben_fixtures.py MRBEN OUT [SEED]

MRBEN is a checkout of dvlab-research/Mr-Ben; its parse_model_response and calculate_mr_score run as they are (clients of
servers replaced by empty modules). Replies are invented: headings with and without asterisks, missing, doubled, in other
words; steps as people write them. Two kinds of lines:

    {"reply", "gold": "incorrect; 3", "coding": false, "right": true}         one reply: right as the script counts it
    {"score": {SUBJECT: 0.31, …}, "samples": [[SUBJECT, CLUSTER, GOLD, REPLY], …]}    0.2·max(0, MCC) + 0.3·step, no reason
"""
import contextlib
import io
import json
import random
import sys
import types


class Stub(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


for name in ("openai", "anthropic", "mistralai", "mistralai.client", "tqdm"):
    sys.modules[name] = Stub(name)
root = sys.argv[1]
sys.path.insert(0, root)
from script.evaluate import EVAL_KEY, calculate_mr_score  # noqa: E402
from script.utils import parse_model_response  # noqa: E402

rnd = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)


def heading(name):
    return rnd.choice(["%s:", "**%s:**", "**%s**:", "*%s*:", "%s", "***%s:***", "**%s**", "### %s:", "%s: :"]) % name


def word(truth):
    other = {"correct": "incorrect", "incorrect": "correct"}[truth]
    w = truth if rnd.random() < 0.7 else other
    return rnd.choice([" %s\n", " %s.\n", " '%s'\n", "\n%s\n\n", " **%s**\n", " %s (see below)\n", " [%s]\n", " The solution is %s\n",
                       " “%s”\n", " %sé\n", "%s\n"]) % rnd.choice([w, w, w.capitalize(), w.upper()])


def step(truth, padded_numbers):
    n = truth if rnd.random() < 0.7 else str(rnd.randint(0, 31))
    forms = [" Step %s\n", " step %s.\n", " **Step %s**\n", " Step %s: wrong sign\n", "Step %s", " Step  %s\n", " Step 0%s\n", " STEP %s\n\n",
             " [Step %s]\n", " N/A\n", " Step %s²\n", "\u00a0Step %s\n"]
    if padded_numbers:
        forms += [" %s\n", "%s", " %s. \n", "\n%s\n"]
    form = rnd.choice(forms)
    return form % n if "%" in form else form


def reply(correct, first, padded):
    truth = "correct" if correct else "incorrect"
    parts = [heading("Solution Analysis"), " The third step is fine.\n", heading("Solution Correctness"), word(truth),
             heading("First Error Step"), step(first if not correct else "1", padded), heading("Error Reason"), " because\n"]
    if rnd.random() < 0.1:
        del parts[2 * rnd.randint(0, 3)]
    if rnd.random() < 0.1:
        parts += rnd.choice([parts, parts[2:], parts[4:]])
    return "".join(parts)


def judged(correct, first, text, subject):
    with contextlib.redirect_stdout(io.StringIO()):
        c, s, r = parse_model_response(text)
    return {"Model_Solution_Correctness": "correct" if correct else "incorrect",
            "Model_Solution_First_Error_Step": "N/A" if correct else first, "Subject": subject,
            EVAL_KEY: {"solution_correctness": c, "first_error_step": s, "error_reason": r},
            "Error_Reason_Correctness_Analysis": {"error_reason_correctness": "Wrong"}}


SAID = "Solution Correctness: %s\nFirst Error Step: %s\nError Reason: x"


def right(data):
    """Whether the script counts both tasks of a sample, read off its score of the sample beside others."""
    if data["Model_Solution_Correctness"] == "incorrect":
        hit = judged(True, "1", SAID % ("correct", "N/A"), "x")
        return calculate_mr_score({"x": [data, hit]})["x"] > 0.4         # 0.5; without the step 0.2; else 0
    hit = judged(False, "2", SAID % ("incorrect", "Step 2"), "x")
    miss = judged(False, "2", SAID % ("correct", "N/A"), "x")
    return calculate_mr_score({"x": [data, hit, miss]})["x"] > 0.2       # 0.25; else 0.15


with open(sys.argv[2], "w", encoding="utf-8") as f:
    n_right = 0
    for i in range(400):
        correct, first = rnd.random() < 0.4, str(rnd.randint(1, 12))
        text = reply(correct, first, True)
        ok = right(judged(correct, first, text, "x"))
        n_right += ok
        f.write(json.dumps({"reply": text, "gold": "correct" if correct else "incorrect; " + first, "right": ok}) + "\n")
    for _ in range(3):
        samples, data = [], {}
        for subject in ("biology", "math", "physics"):
            data[subject] = []
            for cluster in range(15):
                for _ in range(3):
                    correct, first = rnd.random() < 0.5, str(rnd.randint(1, 5))
                    text = reply(correct, first, False)
                    data[subject].append(judged(correct, first, text, subject))
                    samples.append([subject, cluster, "correct" if correct else "incorrect; " + first, text])
        f.write(json.dumps({"score": calculate_mr_score(data), "samples": samples}) + "\n")
print(n_right, "of 400 replies right")
