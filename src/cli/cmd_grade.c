/* cli/cmd_grade.c – `lowbit grade`: whether an answer is the gold answer, what was understood of both, and why. */
#include "base/file.h"
#include "base/jsonl.h"
#include "cli/cmd.h"
#include "eval/answer_extract.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COMPLETION = 64 << 20 };

/* One thing to grade: an answer, or the completion that holds it. */
typedef struct question {
    const char *gold;
    const char *answer;          /* NULL: it is taken from the completion */
    lb_completion completion;
    int n_options;               /* > 0: the answer is a letter */
    bool words;                  /* it is words */
} question;

typedef struct graded {
    lb_grade g;
    char *answer;                /* owned: what was compared, whole; NULL: nothing was found */
    lb_answer_rule rule;         /* of a completion */
    bool closed;                 /* its thinking */
    double us;                   /* what it took */
} graded;

static const char *verdict_text(lb_verdict v) { return v == LB_RIGHT ? "right" : v == LB_WRONG ? "wrong" : "unknown"; }

static bool form_of(const char *name, lb_answer_form *form)
{
    if (strcmp(name, "box") == 0) *form = LB_FORM_BOX;
    else if (strcmp(name, "line") == 0) *form = LB_FORM_LINE;
    else return false;
    return true;
}

/* ---- grading ---- */

/* Which rule finds what in a completion, for show; the graders do the same for themselves. */
static bool find_in(const question *q, graded *r, lb_err *err)
{
    const char *part;
    lb_buf b = {0};
    char letter = 0;
    bool found;
    if (!lb_answer_part(q->completion.text, q->completion.in_thinking, &part, &r->closed)) part = q->completion.text;
    if (q->n_options) {
        found = lb_answer_find_letter(part, q->n_options, &letter, &r->rule);
        if (found) lb_buf_byte(&b, letter);
    } else if (q->words) {
        found = r->g.extracted[0] != 0;              /* a line or a box: words have no rules of their own */
        if (found) lb_buf_str(&b, r->g.extracted);
    } else {
        found = lb_answer_find(part, &b, &r->rule);
    }
    if (!lb_buf_ok(&b, "the answer", err)) return false;
    if (found) r->answer = lb_buf_take(&b, "the answer", err);
    else lb_buf_free(&b);
    return !found || r->answer;
}

static bool grade(const question *q, graded *r, lb_err *err)
{
    *r = (graded){.closed = true};
    double t = lb_now_s();
    if (!q->answer) {
        if (q->n_options) lb_grade_letter(q->gold, &q->completion, q->n_options, &r->g);
        else if (q->words) lb_grade_text(q->gold, &q->completion, &r->g);
        else lb_grade_math(q->gold, &q->completion, &r->g);
        r->us = 1e6 * (lb_now_s() - t);
        return find_in(q, r, err);
    }
    if (q->n_options) {
        char c = 0;
        bool found = lb_answer_letter(q->answer, q->n_options, &c), right = found && c == q->gold[0] && !q->gold[1];
        lb_grade_same(&r->g, right ? LB_RIGHT : LB_WRONG);
        if (!found) snprintf(r->g.why, sizeof r->g.why, "no option letter was found");
        else if (!right) snprintf(r->g.why, sizeof r->g.why, "the letter is %.20s", q->gold);
    } else {
        lb_answer_compare(q->gold, q->answer, &r->g);
    }
    r->us = 1e6 * (lb_now_s() - t);
    r->answer = strdup(q->answer);
    return r->answer || lb_fail_mem(err, strlen(q->answer), "the answer");
}

/* Gold letters are checked once, here: a gold answer that cannot be right is a mistake of whoever asks. */
static bool check(question *q, const char *where, lb_err *err)
{
    static const char *const letters[] = {"A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M",
                                          "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z"};
    if (!q->gold[strspn(q->gold, " \t\n")]) return lb_fail(err, LB_EUSAGE, "%s: the gold answer is empty", where);
    if (!q->n_options) return true;
    char c = q->gold[0] >= 'a' && q->gold[0] <= 'z' ? (char)(q->gold[0] - 32) : q->gold[0];
    if (q->gold[1] || c < 'A' || c >= 'A' + q->n_options)
        return lb_fail(err, LB_EUSAGE, "%s: the gold answer is '%.40s', wanted one of the letters A to %c", where,
                       q->gold, 'A' + q->n_options - 1);
    q->gold = letters[c - 'A'];
    return true;
}

/* ---- telling it ---- */

/* The lines of lb_answer_explain: what it is, and, of a number, its value. */
typedef struct explained {
    lb_buf text;                 /* owned */
    const char *is, *value;      /* borrowed from text; value "" where there is none */
    bool ok;
} explained;

static explained explain(const char *answer)
{
    static const char key[] = "value ";
    explained x = {.is = "", .value = ""};
    x.ok = lb_answer_explain(answer, &x.text);
    if (!x.text.p) return x;
    x.is = x.text.p;
    for (char *p = x.text.p; *p; p++) {
        if (*p != '\n') continue;
        *p = 0;
        const char *next = p + 1 + strspn(p + 1, " ");
        if (strncmp(next, key, sizeof key - 1) == 0) x.value = next + sizeof key - 1;
    }
    return x;
}

static json_t *understood(const char *answer)
{
    explained x = explain(answer);
    json_t *o = json_pack("{s:s, s:b, s:s}", "text", answer, "understood", x.ok, "as", x.is);
    if (o && x.value[0]) json_object_set_new(o, "value", json_string(x.value));
    lb_buf_free(&x.text);
    return o;
}

/* Text that came from outside may be no UTF-8, which JSON cannot hold: then its bad bytes become '?'. */
static void printable(char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
        bool ok = len > 0 && i + len <= n;
        for (size_t k = 1; ok && k < len; k++) ok = ((unsigned char)s[i + k] & 0xc0) == 0x80;
        json_t *probe = ok && len > 2 ? json_stringn(s + i, len) : NULL;       /* surrogates and overlong forms */
        if (ok && len > 2 && !probe) ok = false;
        json_decref(probe);
        if (!ok) s[i] = '?', len = 1;
        i += len;
    }
}

static const char *rule_text(const question *q, const graded *r)
{
    return q->words ? "the box, the \"Answer:\" or the last line" : lb_answer_rule_text(r->rule);
}

static json_t *grade_json(const question *q, graded *r)
{
    printable(r->g.why);                             /* may quote an answer, cut anywhere */
    if (r->answer) printable(r->answer);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "verdict", verdict_text(r->g.verdict), "strict",
                          verdict_text(r->g.strict), "lenient", verdict_text(r->g.lenient), "why", r->g.why);
    if (o && !q->answer) {
        json_object_set_new(o, "extracted", r->answer ? json_string(r->answer) : json_null());
        json_object_set_new(o, "rule", json_string(rule_text(q, r)));
        json_object_set_new(o, "thinking_closed", json_boolean(r->closed));
    }
    return o;
}

static bool print_json(json_t *o, size_t flags, lb_err *err)
{
    char *text = o ? json_dumps(o, flags) : NULL;
    if (text) puts(text);
    free(text);
    json_decref(o);
    return text || lb_fail_mem(err, 256, "the verdict as JSON");
}

/* A line for people. What came from outside may hold line breaks and terminal commands: they become spaces and '?'. */
static void print_line(const char *what, const char *before, const char *s)
{
    printf("%-9s%s", what, before);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        putchar(c == '\n' || c == '\t' || c == '\r' ? ' ' : c < 0x20 || c == 0x7f ? '?' : c);
    }
    putchar('\n');
}

static void print_understood(const char *what, const char *answer)
{
    explained x = explain(answer);
    print_line(what, "", answer);
    print_line("", x.ok ? "is " : "", x.is);
    if (x.value[0] && x.is[strspn(x.is, "0123456789.")]) print_line("", "about ", x.value);
    lb_buf_free(&x.text);
}

static void print_text(const question *q, const graded *r)
{
    bool letters = q->n_options > 0;
    if (!q->answer) {
        print_line("found", rule_text(q, r), r->closed ? "" : "; thinking was not finished, all of the text was read");
        if (q->completion.truncated) printf("%-9scut off at the limit of tokens\n", "");
    }
    if (letters) print_line("gold", "", q->gold);
    else print_understood("gold", q->gold);
    if (letters || !r->answer) print_line("answer", "", r->answer ? r->answer : "none");
    else print_understood("answer", r->answer);
    printf("verdict  %s", verdict_text(r->g.verdict));
    if (r->g.strict != r->g.verdict || r->g.lenient != r->g.verdict)
        printf(" (read strictly %s, leniently %s)", verdict_text(r->g.strict), verdict_text(r->g.lenient));
    printf("\n");
    if (r->g.why[0]) print_line(r->g.verdict == LB_RIGHT ? "how" : "reason", "", r->g.why);
}

/* ---- many pairs from a file ---- */

typedef struct pairs {
    const question *otherwise;   /* what rows do not say */
    bool time;
    long n, n_right;
} pairs;

static bool read_question(const json_t *row, question *q, const char *where, lb_err *err)
{
    const char *form = NULL;
    int64_t letters = q->n_options;
    if (!lb_json_get_str(row, "gold", &q->gold, where, err) ||
        !lb_json_opt_str(row, "answer", &q->answer, where, err) ||
        !lb_json_opt_str(row, "completion", &q->completion.text, where, err) ||
        !lb_json_opt_int(row, "letter", 2, 26, &letters, where, err) ||
        !lb_json_opt_str(row, "form", &form, where, err) || !lb_json_opt_bool(row, "text", &q->words, where, err) ||
        !lb_json_opt_bool(row, "in_thinking", &q->completion.in_thinking, where, err) ||
        !lb_json_opt_bool(row, "truncated", &q->completion.truncated, where, err)) return false;
    if (form && !form_of(form, &q->completion.form))
        return lb_fail(err, LB_EFORMAT, "%s: 'form' is \"%.40s\"; there are \"box\" and \"line\"", where, form);
    if (!q->answer == !q->completion.text)
        return lb_fail(err, LB_EFORMAT, "%s: wanted either 'answer' or 'completion'%s", where,
                       q->answer ? ", found both" : "");
    q->n_options = (int)letters;
    if (check(q, where, err)) return true;
    err->code = LB_EFORMAT;
    return false;
}

static bool one_pair(void *arg, json_t *row, const char *where, lb_err *err)
{
    pairs *p = arg;
    question q = *p->otherwise;
    graded r = {0};
    bool ok = !lb_cmd_stop || lb_fail(err, LB_ESTOPPED, "stopped after %ld answers", p->n);
    ok = ok && read_question(row, &q, where, err);
    ok = ok && grade(&q, &r, err);
    if (ok) {
        json_t *o = grade_json(&q, &r), *id = json_object_get(row, "id");
        if (o && id) json_object_set(o, "id", id);
        if (o && p->time) json_object_set_new(o, "us", json_real(r.us));
        ok = print_json(o, JSON_COMPACT, err);
        p->n++, p->n_right += r.g.verdict == LB_RIGHT;
    }
    free(r.answer);
    json_decref(row);
    return ok;
}

/* ---- the command ---- */

/* A file, or standard input for "-". NUL bytes become spaces, so that no text ends early. The caller frees it. */
static char *read_all(const char *path, size_t *size, lb_err *err)
{
    char *text;
    if (strcmp(path, "-") != 0) {
        text = lb_file_read(path, MAX_COMPLETION, size, err);
    } else {
        lb_buf b = {0};
        char piece[65536];
        size_t n;
        while ((n = fread(piece, 1, sizeof piece, stdin)) > 0 && b.n <= MAX_COMPLETION) lb_buf_add(&b, piece, n);
        if (ferror(stdin)) lb_fail(err, LB_EIO, "cannot read standard input");
        else if (b.n > MAX_COMPLETION)
            lb_fail(err, LB_EFORMAT, "standard input is longer than %d MB", MAX_COMPLETION >> 20);
        if (ferror(stdin) || b.n > MAX_COMPLETION) { lb_buf_free(&b); return NULL; }
        if (!b.p) lb_buf_str(&b, "");
        *size = b.n;
        text = lb_buf_take(&b, "standard input", err);
    }
    for (size_t i = 0; text && i < *size; i++)
        if (!text[i]) text[i] = ' ';
    return text;
}

typedef struct flags {
    bool json, quiet, help, words, in_thinking, truncated, time;
    const char *file, *completion, *form;
    int64_t letter;
    double gate;
} flags;

static bool grade_file(const flags *f, const question *otherwise, long *n, long *n_right, lb_err *err)
{
    size_t size;
    pairs p = {.otherwise = otherwise, .time = f->time};
    char *text = read_all(f->file, &size, err);
    const char *name = strcmp(f->file, "-") ? f->file : "standard input";
    bool ok = text && lb_jsonl_each(text, size, name, 0, one_pair, &p, NULL, err);
    if (ok && !p.n)
        ok = lb_fail(err, LB_EFORMAT, "%s holds no pairs: wanted lines as {\"gold\": \"1/2\", \"answer\": \"0.5\"}",
                     name);
    free(text);
    *n = p.n, *n_right = p.n_right;
    return ok;
}

static bool grade_one(const flags *f, question *q, long *n_right, lb_err *err)
{
    graded r = {0};
    bool ok = check(q, "lowbit grade", err) && grade(q, &r, err);
    if (ok && f->json) {
        char *gold = strdup(q->gold);
        json_t *o = gold ? grade_json(q, &r) : NULL;
        if (gold) printable(gold);
        if (o) json_object_set_new(o, "gold", understood(gold));
        if (o) json_object_set_new(o, "answer", r.answer ? understood(r.answer) : json_null());
        if (o && f->time) json_object_set_new(o, "us", json_real(r.us));
        free(gold);
        ok = print_json(o, JSON_INDENT(2), err);
    } else if (ok && f->quiet) {
        puts(verdict_text(r.g.verdict));
    } else if (ok) {
        print_text(q, &r);
        if (f->time) printf("time     %.0f us\n", r.us);
    }
    *n_right = r.g.verdict == LB_RIGHT;
    free(r.answer);
    return ok;
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    flags f = {0};
    lb_arg table[] = {
        {"completion", 'c', LB_ARG_STR, &f.completion, "FILE", "grade a completion instead of an ANSWER; - is stdin",
         0, 0, false},
        {"file", 'f', LB_ARG_STR, &f.file, "FILE", "JSON lines with gold and answer or completion; - is stdin",
         0, 0, false},
        {"letter", 0, LB_ARG_INT, &f.letter, "N", "the answer is a letter, one of N options", 2, 26, false},
        {"text", 0, LB_ARG_FLAG, &f.words, "", "the answer is words: a box, \"Answer:\" or the last line",
         0, 0, false},
        {"form", 0, LB_ARG_STR, &f.form, "FORM", "what the prompt asked for (strict reading): box, line",
         0, 0, false},
        {"in-thinking", 0, LB_ARG_FLAG, &f.in_thinking, "", "the prompt had opened <think> already", 0, 0, false},
        {"truncated", 0, LB_ARG_FLAG, &f.truncated, "", "the completion was cut off at its limit of tokens",
         0, 0, false},
        {"fail-under", 0, LB_ARG_REAL, &f.gate, "A", "exit with 6 if fewer than this share is right (0 to 1)",
         0, 1, false},
        {"time", 0, LB_ARG_FLAG, &f.time, "", "also tell how long each comparison took, in microseconds",
         0, 0, false},
        {"json", 0, LB_ARG_FLAG, &f.json, "", "print one JSON object to stdout", 0, 0, false},
        {"quiet", 'q', LB_ARG_FLAG, &f.quiet, "", "print nothing but the verdict", 0, 0, false},
        {"help", 'h', LB_ARG_FLAG, &f.help, "", "this text", 0, 0, false},
        {0},
    };
    const char *word[2] = {NULL, NULL};
    int n_word;
    if (!lb_args_parse(table, argc, argv, word, 2, &n_word, err)) return lb_wrap(err, "lowbit grade");
    if (f.help) {
        printf("%s\n\n    %s\n\n", lb_cmd_grade.summary, lb_cmd_grade.example);
        lb_args_help(table);
        return true;
    }
    question q = {.completion = {.in_thinking = f.in_thinking, .truncated = f.truncated}, .n_options = (int)f.letter,
                  .words = f.words};
    if (f.form && !form_of(f.form, &q.completion.form))
        return lb_fail(err, LB_EUSAGE, "lowbit grade: --form=%s is unknown; there are box and line", f.form);
    if (f.words && f.letter) return lb_fail(err, LB_EUSAGE, "lowbit grade: --letter and --text exclude each other");
    int want = f.file ? 0 : f.completion ? 1 : 2;
    if (f.file && f.completion)
        return lb_fail(err, LB_EUSAGE, "lowbit grade: --file and --completion exclude each other");
    if (n_word > want) return lb_fail(err, LB_EUSAGE, "lowbit grade: unexpected '%s'", word[want]);
    if (n_word < want)
        return lb_fail(err, LB_EUSAGE, "lowbit grade wants %s; see lowbit grade --help",
                       f.completion ? "GOLD beside --completion"
                       : n_word     ? "GOLD and ANSWER, or --completion FILE"
                                    : "GOLD and ANSWER, or --file FILE");
    long n = 1, n_right = 0;
    char *text = NULL;
    size_t size;
    bool ok = true;
    if (f.file) {
        ok = grade_file(&f, &q, &n, &n_right, err);
    } else {
        q.gold = word[0], q.answer = word[1];
        if (f.completion) ok = (q.completion.text = text = read_all(f.completion, &size, err)) != NULL;
        ok = ok && grade_one(&f, &q, &n_right, err);
    }
    free(text);
    lb_answer_cleanup();
    if (ok && (double)n_right < f.gate * (double)n)
        return fflush(stdout), lb_fail(err, LB_EGATE, "%ld of %ld right is below --fail-under %g", n_right, n, f.gate);
    return ok;
}

const lb_command lb_cmd_grade = {"grade", "whether an answer is the gold answer, and what was understood of both",
                                 "lowbit grade '\\frac{1}{2}' 'x = 0.5'\n"
                                 "    lowbit grade 408 --completion answer.txt\n"
                                 "    lowbit grade --file pairs.jsonl\n"
                                 "    lowbit grade -- -x+1 1-x", run};
