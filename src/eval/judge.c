/* judge.c – lines, decimals, and the loop over tests.
 *
 * White space is what Python's str.strip takes, and a decimal what its Decimal() takes of ASCII text: sign, digits, a
 * point, an exponent; or Infinity; '_' anywhere is ignored. Equality of decimals is exact, so they are compared as
 * sign, digits without zeros at the ends, and exponent; no number is ever converted. */
#include "eval/judge.h"
#include "eval/judge_value.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct span {
    const char *p;
    size_t n;
} span;

/* ---- white space ---- */

/* Bytes of the white-space character at p, 0 if there is none. */
static size_t space_at(const char *p, size_t n)
{
    const unsigned char *c = (const unsigned char *)p;
    if (n == 0) return 0;
    if (c[0] == ' ' || (c[0] >= 9 && c[0] <= 13) || (c[0] >= 0x1c && c[0] <= 0x1f)) return 1;
    if (n >= 2 && c[0] == 0xc2 && (c[1] == 0x85 || c[1] == 0xa0)) return 2;
    if (n < 3) return 0;
    if (c[0] == 0xe1 && c[1] == 0x9a && c[2] == 0x80) return 3;                                        /* U+1680 */
    if (c[0] == 0xe2 && c[1] == 0x80)                                                                  /* U+2000…202F */
        return (c[2] >= 0x80 && c[2] <= 0x8a) || c[2] == 0xa8 || c[2] == 0xa9 || c[2] == 0xaf ? 3 : 0;
    if (c[0] == 0xe2 && c[1] == 0x81 && c[2] == 0x9f) return 3;                                        /* U+205F */
    if (c[0] == 0xe3 && c[1] == 0x80 && c[2] == 0x80) return 3;                                        /* U+3000 */
    return 0;
}

static span strip(span s)
{
    for (size_t k; (k = space_at(s.p, s.n)) > 0; s.p += k, s.n -= k) {}
    for (;;) {
        size_t k = 1;
        while (k <= 3 && k <= s.n && space_at(s.p + s.n - k, k) != k) k++;
        if (k > 3 || k > s.n) return s;
        s.n -= k;
    }
}

/* The next line of *rest, without its '\n'; false after the last. A text always has at least one line. */
static bool next_line(span *rest, span *line)
{
    if (!rest->p) return false;
    const char *nl = memchr(rest->p, '\n', rest->n);
    line->p = rest->p;
    line->n = nl ? (size_t)(nl - rest->p) : rest->n;
    rest->n -= nl ? line->n + 1 : rest->n;
    rest->p = nl ? nl + 1 : NULL;
    *line = strip(*line);
    return true;
}

/* The next word of *rest; false at its end. */
static bool next_word(span *rest, span *word)
{
    *rest = strip(*rest);
    size_t n = 0;
    while (n < rest->n && !space_at(rest->p + n, rest->n - n)) n++;
    *word = (span){ rest->p, n };
    rest->p += n;
    rest->n -= n;
    return n > 0;
}

/* ---- decimals ---- */

typedef enum num_kind { NUM_NONE, NUM_FINITE, NUM_INF, NUM_NAN } num_kind;

typedef struct num {
    num_kind kind;
    bool minus;
    size_t begin, n;     /* significant digits in the caller's buffer; n = 0 is zero */
    int64_t exp;         /* value = digits · 10^exp */
} num;

static bool equals_fold(span s, const char *word)
{
    size_t n = strlen(word);
    if (s.n != n) return false;
    for (size_t i = 0; i < n; i++)
        if ((s.p[i] | 0x20) != word[i]) return false;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A signed exponent within Decimal's range. */
static bool parse_exponent(span s, int64_t *exp)
{
    bool minus = s.n && s.p[0] == '-', any = false;
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+');
    int64_t v = 0;
    for (; i < s.n; i++) {
        if (!is_digit(s.p[i])) return false;
        any = true;
        if (v > 100000000000000000) return false;
        v = v * 10 + (s.p[i] - '0');
    }
    *exp = minus ? -v : v;
    return any;
}

/* The word without underscores, which Decimal() ignores wherever they stand; copied only if there are any. */
static span drop_underscores(span s, lb_buf *copy)
{
    if (!memchr(s.p, '_', s.n)) return s;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '_') lb_buf_byte(copy, s.p[i]);
    return (span){ lb_buf_cstr(copy), copy->n };
}

static num parse_num(span s, lb_buf *digits)
{
    num x = { NUM_NONE, false, digits->n, 0, 0 };
    if (s.n && (s.p[0] == '+' || s.p[0] == '-')) {
        x.minus = s.p[0] == '-';
        s.p++;
        s.n--;
    }
    if (equals_fold(s, "inf") || equals_fold(s, "infinity")) return x.kind = NUM_INF, x;
    bool signalling = s.n && (s.p[0] | 0x20) == 's';
    if (s.n >= 3 + (size_t)signalling && equals_fold((span){ s.p + signalling, 3 }, "nan")) {
        for (size_t i = 3 + (size_t)signalling; i < s.n; i++)
            if (!is_digit(s.p[i])) return x;
        return x.kind = NUM_NAN, x;
    }
    size_t i = 0;
    bool any = false, point = false;
    for (; i < s.n && (s.p[i] | 0x20) != 'e'; i++) {
        if (s.p[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (!is_digit(s.p[i])) return x;
        any = true;
        x.exp -= point;
        if (s.p[i] != '0' || digits->n > x.begin) lb_buf_byte(digits, s.p[i]);
    }
    int64_t exp = 0;
    if (!any || (i < s.n && !parse_exponent((span){ s.p + i + 1, s.n - i - 1 }, &exp))) return x;
    x.exp += exp;
    x.n = digits->n - x.begin;
    while (x.n && digits->p[x.begin + x.n - 1] == '0') {
        x.n--;
        x.exp++;
    }
    x.kind = NUM_FINITE;
    return x;
}

static bool same_num(const num *a, const num *b, const lb_buf *digits)
{
    if (a->kind != b->kind || a->kind == NUM_NONE || a->kind == NUM_NAN) return false;
    if (a->kind == NUM_INF) return a->minus == b->minus;
    if (!a->n || !b->n) return a->n == b->n;
    return a->minus == b->minus && a->exp == b->exp && a->n == b->n &&
           !memcmp(digits->p + a->begin, digits->p + b->begin, a->n);
}

/* Lines equal as lists of decimals? */
static bool same_decimals(span a, span b, lb_buf *digits, lb_buf *copy)
{
    for (;;) {
        span x, y;
        bool more = next_word(&a, &x);
        if (next_word(&b, &y) != more) return false;
        if (!more) return true;
        lb_buf_reset(digits);
        lb_buf_reset(copy);
        num m = parse_num(drop_underscores(x, copy), digits);
        lb_buf_reset(copy);
        num n = parse_num(drop_underscores(y, copy), digits);
        if (digits->oom || copy->oom || !same_num(&m, &n, digits)) return false;
    }
}

/* ---- verdicts ---- */

/* A piece of text for a message: one line, cut at a character. */
static void show(span s, char out[72])
{
    size_t n = s.n < 64 ? s.n : 64;
    if (n < s.n)
        while (n && ((unsigned char)s.p[n] & 0xc0) == 0x80) n--;
    for (size_t i = 0; i < n; i++) out[i] = (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? '?' : s.p[i];
    memcpy(out + n, n < s.n ? "…" : "", n < s.n ? 4 : 1);
}

static size_t count_lines(span s)
{
    size_t n = 1;
    for (const char *p = s.p; s.n && (p = memchr(p, '\n', (size_t)(s.p + s.n - p))); p++) n++;
    return n;
}

bool lb_output_compare(const char *got, size_t n_got, const char *want, size_t n_want, bool *same, char why[256],
                       lb_err *err)
{
    char none[256], show_got[72], show_want[72];
    if (!why) why = none;
    why[0] = 0;
    *same = false;
    span a = strip((span){ got ? got : "", n_got }), b = strip((span){ want ? want : "", n_want }), x, y;
    size_t n_a = count_lines(a), n_b = count_lines(b);
    if (n_a != n_b) {
        show(a, show_got);
        snprintf(why, 256, "%zu lines, wanted %zu (got '%s')", n_a, n_b, show_got);
        return true;
    }
    lb_buf digits = { 0 }, copy = { 0 };
    bool ok = true;
    for (size_t i = 1; next_line(&a, &x) && next_line(&b, &y); i++) {
        if ((x.n == y.n && !memcmp(x.p, y.p, x.n)) || same_decimals(x, y, &digits, &copy)) continue;
        ok = lb_buf_ok(&digits, "a number in an output", err) && lb_buf_ok(&copy, "a number in an output", err);
        show(x, show_got);
        show(y, show_want);
        snprintf(why, 256, "line %zu is '%s', wanted '%s'", i, show_got, show_want);
        break;
    }
    *same = !*why;
    lb_buf_free(&digits);
    lb_buf_free(&copy);
    return ok;
}

static bool judge_one(const lb_sandbox *s, const char *program, size_t n_program, const lb_code_test *t,
                      lb_run_result *r, bool *pass, char why[256], lb_err *err)
{
    *pass = false;
    if (!lb_sandbox_run(s, program, n_program, t->input, strlen(t->input), r, err)) return false;
    if (r->status == LB_RUN_OK)
        return lb_output_compare(lb_buf_cstr(&r->out), r->out.n, t->output, strlen(t->output), pass, why, err);
    if (r->status == LB_RUN_EXIT) snprintf(why, 256, "exit status %d: %s", r->code, r->note);
    else snprintf(why, 256, "%s: %s", lb_run_status_name(r->status), r->note);
    return true;
}

bool lb_code_judge(const lb_sandbox *s, const char *program, const lb_code_test *tests, int n_test, bool *pass,
                   char why[256], lb_err *err)
{
    lb_run_result r = { 0 };
    char what[256] = "";
    bool ok = true;
    size_t n_program = strlen(program);
    why[0] = 0;
    *pass = n_test > 0;
    if (n_test <= 0) snprintf(why, 256, "no tests");
    for (int i = 0; i < n_test && ok && *pass; i++) {
        ok = judge_one(s, program, n_program, &tests[i], &r, pass, what, err);
        if (ok && !*pass) snprintf(why, 256, "test %d of %d: %.220s", i + 1, n_test, what);
    }
    lb_run_result_free(&r);
    return ok;
}

/* ---- LiveCodeBench's checker ---- */

enum { CHECK_S = 6 };                /* its limit on one test */

typedef struct checking {
    const lb_code_test *tests;
    int n_test, n_right;
    bool function, decided;
    size_t at;                       /* of the next record in the result */
    lb_buf gold;                     /* the value wanted */
    lb_code_result *out;
    lb_err *err;
    bool broken;                     /* err is set */
} checking;

static bool decide(checking *c, lb_code_end end, int test)
{
    c->decided = true;
    c->out->end = end;
    c->out->test = test;
    return false;
}

/* One value against the one wanted; both have the same text if they are equal. */
static bool same_value(checking *c, const char *got, size_t n_got, bool *same, char why[256])
{
    const char *want = c->tests[c->n_right].output;
    char show_got[100], show_want[100];
    lb_buf_reset(&c->gold);
    if (!lb_value_text(want, strlen(want), &c->gold, c->err)) return false;   /* only for want of memory: seen before */
    *same = c->gold.n == n_got && !memcmp(lb_buf_cstr(&c->gold), got, n_got);
    lb_value_show(got, n_got, show_got, sizeof show_got);
    lb_value_show(lb_buf_cstr(&c->gold), c->gold.n, show_want, sizeof show_want);
    if (!*same) snprintf(why, 256, "returned %s, wanted %s", show_got, show_want);
    return true;
}

/* One whole record; false once there is nothing more to see. */
static bool judge_record(checking *c, char kind, const char *p, size_t n)
{
    int test = c->n_right + 1;
    char said[160], what[256] = "";
    size_t k = n < sizeof said - 1 ? n : sizeof said - 1;
    if (k < n)
        while (k && ((unsigned char)p[k] & 0xc0) == 0x80) k--;
    for (size_t i = 0; i < k; i++) said[i] = (unsigned char)p[i] < 0x20 || p[i] == 0x7f ? '?' : p[i];
    said[k] = 0;
    if (kind == 'L') {
        snprintf(c->out->why, sizeof c->out->why, "it does not load: %s", said);
        return decide(c, LB_CODE_ERROR, 0);
    }
    if (kind == 'E' || kind == 'T') {
        snprintf(c->out->why, sizeof c->out->why, "test %d of %d: %s", test, c->n_test,
                 kind == 'E' ? said : "time limit");
        return decide(c, kind == 'E' ? LB_CODE_ERROR : LB_CODE_TIME, test);
    }
    const char *want = c->tests[c->n_right].output;
    bool same = false;
    if (kind != (c->function ? 'V' : 'O')) snprintf(what, sizeof what, "it wrote into its result");
    else if (c->function ? !same_value(c, p, n, &same, what)
                         : !lb_output_compare(p, n, want, strlen(want), &same, what, c->err)) {
        c->broken = true;
        return false;
    }
    if (!same) {
        snprintf(c->out->why, sizeof c->out->why, "test %d of %d: %.220s", test, c->n_test, what);
        return decide(c, LB_CODE_WRONG, test);
    }
    return ++c->n_right < c->n_test || decide(c, LB_CODE_PASS, 0);
}

/* lb_run_opt.more: judges what has come whole. */
static bool read_records(void *arg, const lb_buf *out)
{
    checking *c = arg;
    if (out->n == 0) {                                               /* the run begins, perhaps again */
        c->at = 0;
        c->n_right = 0;
        return true;
    }
    while (!c->decided && !c->broken) {
        const char *p = out->p + c->at, *nl = NULL;
        size_t n = out->n - c->at, len = 0;
        if (n > 1) nl = memchr(p + 1, '\n', n - 1 < 20 ? n - 1 : 20);
        for (const char *d = p + 1; nl && d < nl; d++) len = len * 10 + (size_t)(is_digit(*d) ? *d - '0' : 0);
        if (!nl && n > 20) {
            snprintf(c->out->why, sizeof c->out->why, "test %d of %d: it wrote into its result", c->n_right + 1,
                     c->n_test);
            return decide(c, LB_CODE_WRONG, c->n_right + 1);
        }
        if (!nl || len > n - (size_t)(nl + 1 - p)) return true;      /* the rest is still to come */
        c->at += (size_t)(nl + 1 - p) + len;
        if (!judge_record(c, *p, nl + 1, len)) return false;
    }
    return false;
}

/* The end of a process that left no verdict. */
static void explain_death(checking *c, const lb_run_result *r)
{
    bool flood = r->status == LB_RUN_OUTPUT;
    decide(c, flood ? LB_CODE_WRONG : LB_CODE_DIED, c->n_right + 1);
    const char *what = r->status == LB_RUN_OK || r->status == LB_RUN_EXIT ? "it ended its process" :
                       r->status == LB_RUN_TIME ? "limit on all tests together" : lb_run_status_name(r->status);
    snprintf(c->out->why, sizeof c->out->why, "test %d of %d: %s%s%s", c->n_right + 1, c->n_test, what,
             *r->note ? ": " : "", r->note);
}

/* The golds of functions have to be JSON, else the checker fails whatever is returned. */
static bool check_golds(checking *c, bool *ok, lb_err *err)
{
    *ok = true;
    for (int i = 0; i < c->n_test && c->function && *ok; i++) {
        lb_err e = { 0 };
        lb_buf_reset(&c->gold);
        *ok = lb_value_text(c->tests[i].output, strlen(c->tests[i].output), &c->gold, &e);
        if (*ok) continue;
        if (e.code == LB_ENOMEM) {
            if (err) *err = e;
            return false;
        }
        decide(c, LB_CODE_ERROR, 0);
        snprintf(c->out->why, sizeof c->out->why, "the output of test %d is not what json.loads takes: %.150s", i + 1,
                 e.msg);
    }
    return true;
}

/* What sandbox_guest.h calls the tests of C. */
static void pack_inputs(const checking *c, const char *name, int limit_s, lb_buf *b, size_t *n_want)
{
    *n_want = 0;
    lb_buf_fmt(b, "%d %s\n", limit_s, name ? name : "");
    for (int i = 0; i < c->n_test; i++) {
        size_t n = strlen(c->tests[i].input);
        lb_buf_fmt(b, "%zu\n", n);
        lb_buf_add(b, c->tests[i].input, n);
        *n_want += strlen(c->tests[i].output);
    }
}

bool lb_code_check(const lb_sandbox *s, const char *program, const lb_code_set *tests, lb_code_result *out,
                   lb_err *err)
{
    const char *name = tests->func_name;
    int limit_s = tests->limit_s > 0 ? tests->limit_s : CHECK_S;
    checking c = { .tests = tests->p, .n_test = tests->n, .function = name != NULL, .out = out, .err = err };
    lb_run_result r = { 0 };
    lb_buf inputs = { 0 };
    size_t n_want;
    bool valid, ok;
    memset(out, 0, sizeof *out);
    if (name && (!*name || strpbrk(name, " \n")))
        return lb_fail(err, LB_EUSAGE, "'%.80s' is not the name of a function", name);
    if (tests->n <= 0) {
        decide(&c, LB_CODE_ERROR, 0);
        snprintf(out->why, sizeof out->why, "no tests");
        return true;
    }
    ok = check_golds(&c, &valid, err);
    if (ok && valid) {
        pack_inputs(&c, name, limit_s, &inputs, &n_want);
        double all_s = (limit_s + 1.0) * tests->n + 5;
        lb_run_opt o = { .checked = true, .cpu_s = all_s, .wall_s = 3 * all_s, .mem_bytes = (size_t)4 << 30,
                         .out_bytes = ((size_t)16 << 20) + 8 * n_want, .more = read_records, .arg = &c };
        ok = lb_buf_ok(&inputs, "the inputs of a program", err) &&
             lb_sandbox_run_with(s, &o, program, strlen(program), inputs.p, inputs.n, &r, err) && !c.broken;
        if (ok && !c.decided) explain_death(&c, &r);
    }
    lb_run_result_free(&r);
    lb_buf_free(&inputs);
    lb_buf_free(&c.gold);
    return ok;
}
