/* test_report.c – plots and the report: ticks, escaping, contrast, well-formed pages, data that are missing or wrong.
 */
#include "test.h"
#include "xml.h"
#include "base/file.h"
#include "base/json.h"
#include "study/html.h"
#include "study/plot.h"
#include "study/report.h"
#include "study/study.h"
#include "train/recipe.h"
#include <float.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/lowbit-report-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    return system(cmd);
}

static void write_in(const char *sub, const char *name, const char *text)
{
    char path[600];
    lb_err e = {0};
    snprintf(path, sizeof path, "%s/%s", dir, sub);
    assert_ok(lb_mkdirs(path, &e), e);
    snprintf(path, sizeof path, "%s/%s/%s", dir, sub, name);
    assert_ok(lb_write_file(path, text, strlen(text), &e), e);
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what)) n++;
    return n;
}

/* ---- ticks ---- */

static void ticks_are_nice(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252ull;
    for (int i = 0; i < 20000; i++) {
        double v[2], t[LB_PLOT_MAX_TICK], step;
        for (int k = 0; k < 2; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            v[k] = ((double)(x >> 11) / 9007199254740992.0 - 0.5) * pow(10, (double)(x % 13) - 6);
        }
        double lo = fmin(v[0], v[1]), hi = fmax(v[0], v[1]);
        int max = 2 + (int)(x % 9), n = lb_ticks(lo, hi, max, t, &step);
        double m = step / pow(10, floor(log10(step) + 1e-9));
        if (n < 1 || n > max) fail_msg("%d ticks of at most %d for %g … %g", n, max, lo, hi);
        if (fabs(m - 1) > 1e-6 && fabs(m - 2) > 1e-6 && fabs(m - 5) > 1e-6)
            fail_msg("step %g for %g … %g", step, lo, hi);
        if ((hi - lo) / step > 5.0 * max + 1) fail_msg("step %g is too small for %g … %g", step, lo, hi);
        for (int k = 0; k < n; k++) {
            if (t[k] < lo - 1e-6 * step || t[k] > hi + 1e-6 * step) fail_msg("tick %g outside %g … %g", t[k], lo, hi);
            if (fabs(t[k] / step - round(t[k] / step)) > 1e-6) fail_msg("tick %g is no multiple of %g", t[k], step);
            if (k && fabs(t[k] - t[k - 1] - step) > 1e-6 * step)
                fail_msg("ticks %g, %g are not %g apart", t[k - 1], t[k], step);
        }
        if (t[0] - step > lo + 1e-6 * step || t[n - 1] + step < hi - 1e-6 * step)
            fail_msg("a tick is missing in %g … %g", lo, hi);
    }
    double t[LB_PLOT_MAX_TICK], step;
    assert_int_equal(lb_ticks(0, 100, 6, t, &step), 6);
    assert_true(t[0] == 0 && t[1] == 20 && t[5] == 100);
    const double none[][2] = {{1, 1}, {2, 1}, {NAN, 1}, {0, INFINITY}, {1, 1 + 1e-15}, {-DBL_MAX, DBL_MAX}};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(lb_ticks(none[i][0], none[i][1], 6, t, &step), 0);
    assert_int_equal(lb_ticks(0, 1, 0, t, &step), 0);
    assert_true(lb_ticks(0, 1e6, 1000, t, &step) <= LB_PLOT_MAX_TICK);
    assert_int_equal(lb_ticks_log(0.5, 2000, 8, t), 4);
    assert_true(t[0] == 1 && t[3] == 1000);
    assert_int_equal(lb_ticks_log(1, 20, 8, t), 5); /* 1 2 5 10 20 */
    assert_int_equal(lb_ticks_log(0, 10, 8, t), 0);
    assert_int_equal(lb_ticks_log(10, 10, 8, t), 0);
    assert_true(lb_ticks_log(1e-30, 1e30, 6, t) <= 6);
}

static void tick_texts(void **state)
{
    (void)state;
    static const struct { double v, step; lb_unit unit; const char *text;
    } table[] = {{0.25, 0.05, 0, "0.25"},
                 {97, 1, 0, "97"},
                 {-3, 1, 0, "−3"},
                 {1234567, 1, 0, "1,234,567"},
                 {0, 0.5, 0, "0.0"},
                 {1e-5, 0, 0, "10⁻⁵"},
                 {2e-12, 0, 0, "2×10⁻¹²"},
                 {5, 0, 0, "5"},
                 {0.001, 0, 0, "0.001"},
                 {1e6, 0, 0, "10⁶"},
                 {NAN, 1, 0, "–"},
                 {10493952, 0, LB_UNIT_BYTES, "10.5 MB"},
                 {999, 0, LB_UNIT_BYTES, "999 B"},
                 {999600, 0, LB_UNIT_BYTES, "1 MB"},
                 {-1500, 0, LB_UNIT_BYTES, "−1.5 kB"},
                 {1e300, 1, LB_UNIT_BYTES, NULL},
                 {1.7e308, 1e300, 0, NULL}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[32];
        lb_tick_text(table[i].v, table[i].step, table[i].unit, text);
        assert_true(strlen(text) < 32);
        if (table[i].text) assert_string_equal(text, table[i].text);
    }
}

/* ---- escaping and colours ---- */

static void text_never_becomes_markup(void **state)
{
    (void)state;
    lb_buf b = {0};
    lb_html_text(&b, "<a href=\"x\">'&amp;'</a>\x01\x7f\xff\xc3 é€ \xf0\x9f\x98\x80\n");
    assert_string_equal(lb_buf_cstr(&b),
                        "&lt;a href=&quot;x&quot;&gt;&#39;&amp;amp;&#39;&lt;/a&gt;\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                        "\xef\xbf\xbd é€ \xf0\x9f\x98\x80\n");
    lb_buf_reset(&b);
    lb_html_element(&b, "td", "class=\"l\"", "a<b");
    assert_string_equal(lb_buf_cstr(&b), "<td class=\"l\">a&lt;b</td>");
    lb_buf_free(&b);
}

static double luminance(uint32_t rgb)
{
    double sum = 0;
    static const double weight[] = {0.2126, 0.7152, 0.0722};
    for (int i = 0; i < 3; i++) {
        double c = (rgb >> (16 - 8 * i) & 255) / 255.0;
        sum += weight[i] * (c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
    }
    return sum;
}

static double contrast(uint32_t a, uint32_t b)
{
    double x = luminance(a), y = luminance(b);
    return (fmax(x, y) + 0.05) / (fmin(x, y) + 0.05);
}

static void colours_can_be_read(void **state)
{
    (void)state;
    const lb_palette *p[] = {&lb_palette_light, &lb_palette_dark};
    for (int i = 0; i < 2; i++) {
        assert_true(contrast(p[i]->text, p[i]->page) >= 7);
        assert_true(contrast(p[i]->muted, p[i]->page) >= 4.5);
        for (int k = 0; k < LB_PLOT_INKS; k++)
            if (contrast(p[i]->ink[k], p[i]->page) < 4.5)
                fail_msg("palette %d ink %d: %.2f", i, k, contrast(p[i]->ink[k], p[i]->page));
    }
}

/* ---- plots ---- */

#define EVIL "<script>\"&'\xff"

static void hostile_plot(lb_plot *p, lb_plot_kind kind)
{
    lb_plot_init(p, kind);
    snprintf(p->title, sizeof p->title, "%s", EVIL);
    snprintf(p->desc, sizeof p->desc, "%s", EVIL);
    snprintf(p->x.label, sizeof p->x.label, "%s", EVIL);
    snprintf(p->y.label, sizeof p->y.label, "%s", EVIL);
    lb_plot_add_guide(p, 1, EVIL);
    lb_plot_add_guide(p, NAN, "nothing");
    for (int i = 1; i < 4; i++) lb_plot_add_upright(p, i, EVIL);
    for (int s = 0; s < 9; s++) {
        int k = lb_plot_add_series(
            p, s % 2 ? EVIL : "a name that is so long that it has no place beside the plot at all", s - 1);
        for (int i = 0; i < 5; i++) {
            lb_plot_point q = {.x = i, .y = s * i - 3.0, .lo = i % 2 ? NAN : s * i - 4.0, .hi = s * i - 2.0};
            snprintf(q.tip, sizeof q.tip, "%s", EVIL);
            snprintf(q.label, sizeof q.label, "%s", EVIL);
            lb_plot_add_point(p, k, &q);
        }
        lb_plot_add_point(p, k, &(lb_plot_point){.x = NAN, .y = 1});
        lb_plot_add_point(p, k, &(lb_plot_point){.x = 1, .y = INFINITY});
        lb_plot_row *r = lb_plot_add_row(p, s % 2 ? EVIL : "€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€");
        r->mid = s, r->lo = s - 1, r->hi = s + 1, r->ink = s - 1, r->heading = s == 4;
        if (s > 5) r->box_lo = s - 0.5, r->box_hi = s + 0.5, r->mean = s + 0.1;
        snprintf(r->value, sizeof r->value, "%s", EVIL);
        snprintf(r->tip, sizeof r->tip, "%s", EVIL);
    }
}

static void plots_are_clean(void **state)
{
    (void)state;
    static const double widths[] = {600, 356, 120};
    for (int kind = 0; kind < 2; kind++)
        for (int scale = 0; scale < 3; scale++)
            for (int w = 0; w < 3; w++) {
                lb_plot p;
                lb_buf b = {0};
                lb_err e = {0};
                char path[100];
                hostile_plot(&p, (lb_plot_kind)kind);
                p.x.scale = (lb_scale)scale, p.y.scale = (lb_scale)scale, p.x.reverse = w == 1;
                assert_ok(lb_plot_svg(&p, widths[w], "id", "wide", &b, &e), e);
                check_xml(lb_buf_cstr(&b));
                assert_null(strstr(lb_buf_cstr(&b), "<script"));
                assert_int_equal(count(lb_buf_cstr(&b), "<desc"), 1);
                assert_non_null(strstr(lb_buf_cstr(&b), "aria-labelledby=\"id-t id-d\""));
                if (scale != LB_LOG)
                    assert_null(strstr(lb_buf_cstr(&b), "nan")); /* what has no logarithm is the caller's */
                lb_buf_free(&b);
                snprintf(path, sizeof path, "%s/p.png", dir);
                if (w < 2) {
                    size_t n;
                    assert_ok(lb_plot_png(&p, widths[w], path, &e), e);
                    unsigned char *png = (unsigned char *)lb_file_read(path, 1 << 26, &n, &e);
                    assert_non_null(png);
                    assert_true(n > 2000 && memcmp(png, "\x89PNG\r\n\x1a\n", 8) == 0);
                    unsigned wide =
                        (unsigned)png[16] << 24 | (unsigned)png[17] << 16 | (unsigned)png[18] << 8 | png[19];
                    assert_int_equal(wide, 2 * (widths[w] + 24));
                    free(png);
                }
                lb_plot_free(&p);
            }
    lb_plot p; /* nothing in it */
    lb_buf b = {0};
    lb_err e = {0};
    lb_plot_init(&p, LB_PLOT_XY);
    assert_ok(lb_plot_svg(&p, 600, "x", "wide", &b, &e), e);
    check_xml(lb_buf_cstr(&b));
    lb_buf_free(&b);
    lb_plot_free(&p);
}

/* ---- a study ---- */

static const char recipe[] =
    "{\"name\": \"syn\", \"about\": \"a <b>bold</b> & \\\"quoted\\\" study\", \"model\": \"models/x\", \"tasks\": "
    "\"chain,code\","
    " \"seeds\": [1, 2], \"runs\": [{\"scheme\": \"w16\"}, {\"scheme\": \"w4\", \"method\": \"rtn\"},"
    " {\"scheme\": \"w3\", \"method\": \"rtn\", \"label\": \"</th><script>alert('1')</script> & \\\"x\\\"\"},"
    " {\"scheme\": \"w2\", \"method\": \"rtn\", \"group\": \"<i>odd\"}, {\"scheme\": \"w8\", \"method\": \"rtn\"}]}";

/* Results as an evaluation would give them: 10 problems of two a level, 2 seeds; `wrong` of each level's are wrong. */
static void fake_results(lb_study *s, lb_study_run *r, int wrong)
{
    enum { N = 10 };
    lb_eval_result *e = &r->result;
    *e = (lb_eval_result){.n_task = 2, .n_seed = 2, .n_sample = 1, .seeds = {1, 2}};
    snprintf(e->sampling, sizeof e->sampling, "T0.6");
    e->tasks = calloc(2, sizeof *e->tasks);
    double mean[2], se[2];
    for (int k = 0; k < 2; k++) {
        lb_task_result *t = &e->tasks[k];
        *t = (lb_task_result){.bench = s->tasks[k], .n = N, .n_samples = 2 * N, .think_closed = 1, .tokens_mean = 50};
        t->outcomes = calloc(2 * N, sizeof *t->outcomes);
        t->stats = calloc(2 * N, sizeof *t->stats);
        t->prompts = calloc(N, sizeof *t->prompts);
        for (int i = 0; i < N; i++) t->prompts[i] = (lb_hash){(uint64_t)k, (uint64_t)i};
        int right = 0;
        for (int i = 0; i < 2 * N; i++) {
            int level = 1 + i / 4;
            bool ok = i % 4 >= wrong;
            right += ok;
            t->outcomes[i] = (lb_outcome){.problem = i / 2, .seed = 1 + i % 2, .correct = ok};
            lb_verdict v = ok ? LB_RIGHT : LB_WRONG;
            t->stats[i] = (lb_sample_stat){.level = level, .cluster = i / 2, .n_tokens = 10 + i, .think_closed = true,
                                           .verdict = v, .strict = v, .lenient = LB_RIGHT};
            t->level_n[level - 1] = 2, t->by_level[level - 1] += ok / 4.0;
        }
        lb_accuracy a;
        lb_err err = {0};
        assert_ok(lb_stats_accuracy(t->outcomes, 2 * N, &a, &err), err);
        t->accuracy = mean[k] = a.mean, t->accuracy_stderr = se[k] = a.stderr_mean;
        t->strict = a.mean, t->strict_stderr = a.stderr_mean, t->lenient = 1, t->lenient_stderr = 0;
        assert_true(fabs(a.mean - right / 20.0) < 1e-12);
    }
    lb_stats_average(mean, se, 2, &e->average, &e->average_stderr);
    r->state = LB_STUDY_DONE;
    r->bits_per_weight = r->scheme.w_bits, r->size_bytes = 1e6 * r->scheme.w_bits;
    snprintf(r->dir, sizeof r->dir, "%s/study/models/%s", dir, r->id);
}

static void save_study(const lb_study *s, const char *sub)
{
    json_t *j = lb_study_json(s);
    char *text = json_dumps(j, JSON_INDENT(1));
    assert_non_null(text);
    write_in(sub, "results.json", text);
    free(text);
    json_decref(j);
    for (int i = 0; i < s->n_run; i++) {
        lb_buf b = {0};
        char runs[600];
        if (s->runs[i].state != LB_STUDY_DONE) continue;
        lb_study_samples(&s->runs[i], &b);
        snprintf(runs, sizeof runs, "%s/runs/%s", sub, s->runs[i].id);
        write_in(runs, "samples.jsonl", lb_buf_cstr(&b));
        lb_buf_free(&b);
    }
}

static lb_study *make_study(void)
{
    lb_err e = {0};
    lb_study *s = calloc(1, sizeof *s);
    char path[100];
    assert_non_null(s);
    snprintf(path, sizeof path, "%s/r.json", dir);
    assert_ok(lb_write_file(path, recipe, strlen(recipe), &e), e);
    assert_ok(lb_study_open(s, path, false, &e), e);
    for (int i = 0; i < 4; i++) fake_results(s, &s->runs[i], i == 3 ? 2 : i == 2 ? 1 : 0);
    for (int i = 1; i < 4; i++) assert_ok(lb_study_compare(&s->runs[i], &s->runs[0], &e), e);
    s->runs[4].state = LB_STUDY_FAILED, s->n_failed = 1;
    snprintf(s->runs[4].error, sizeof s->runs[4].error, "no <such> \"thing\", said 'it' & more");
    return s;
}

static void drops_are_paired(void **state)
{
    (void)state;
    lb_study *s = make_study();
    const lb_study_run *r = s->runs;
    assert_true(r[1].drop == 0 && r[1].drop_stderr == 0);
    assert_string_equal(r[1].class_name, "lossless");
    assert_true(fabs(r[2].drop - 0.25) < 1e-12); /* one sample of four */
    assert_true(fabs(r[3].drop - 0.5) < 1e-12);
    assert_string_equal(r[3].class_name, "risky");
    for (int l = 0; l < LB_N_LEVEL; l++) {
        assert_true(fabs(r[2].level_drop[l] - 0.25) < 1e-12);
        /* two problems a level with drops 1/2 and 0: se = sd/√2 = (√2/4)/√2 = 1/4; two tasks: √2/4/2 */
        assert_true(fabs(r[2].level_drop_stderr[l] - sqrt(2) / 8) < 1e-12);
    }
    lb_study_close(s);
    free(s);
}

/* Of every two items that share a question one is lost: five questions, each of which drops by exactly a half. */
static void drops_are_clustered_by_question(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_study *s = make_study();
    lb_study_run *r = &s->runs[3];
    assert_true(fabs(r->drop_stderr - 1 / (6 * sqrt(2))) < 1e-12); /* ten problems with 0 or 1, two tasks */
    for (int i = 0; i < 4; i += 3)
        for (int k = 0; k < 2; k++)
            for (int j = 0; j < 20; j++) s->runs[i].result.tasks[k].stats[j].cluster = j / 4;
    assert_ok(lb_study_compare(r, &s->runs[0], &e), e);
    assert_true(fabs(r->drop - 0.5) < 1e-12 && r->drop_stderr < 1e-12);
    lb_study_close(s);
    free(s);
}

static void csv_has_its_columns(void **state)
{
    (void)state;
    lb_study *s = make_study();
    lb_buf b = {0};
    lb_study_csv(s, &b);
    assert_ok(lb_buf_ok(&b, "csv", NULL), (lb_err){0});
    int columns = 0, lines = 0;
    for (const char *p = lb_buf_cstr(&b); *p;) {
        int n = 1;
        bool quoted = false;
        for (; *p && (quoted || *p != '\n'); p++) {
            if (*p == '"') quoted = !quoted;
            n += *p == ',' && !quoted;
        }
        assert_false(quoted);
        if (!columns) columns = n;
        assert_int_equal(n, columns);
        assert_int_equal(*p++, '\n');
        lines++;
    }
    assert_int_equal(columns, 21 + LB_N_LEVEL + 2);
    assert_int_equal(lines, 1 + 4 * 3 + 1); /* two tasks and the average; the failed run */
    assert_non_null(strstr(lb_buf_cstr(&b), "\"</th><script>alert('1')</script> & \"\"x\"\"\"")); /* quotes double */
    assert_non_null(strstr(lb_buf_cstr(&b), ",failed,"));
    lb_buf_reset(&b);
    lb_study_table(s, &b);
    assert_non_null(strstr(lb_buf_cstr(&b), "failed: no <such> \"thing\""));
    lb_buf_free(&b);
    lb_study_close(s);
    free(s);
}

static void samples_are_lines(void **state)
{
    (void)state;
    lb_study *s = make_study();
    lb_buf b = {0};
    lb_err e = {0};
    lb_study_samples(&s->runs[2], &b);
    assert_int_equal(count(lb_buf_cstr(&b), "\n"), 40);
    json_t *o = lb_json_parse(b.p, (size_t)(strchr(b.p, '\n') - b.p), "line", &e);
    static const char *const keys[] = {"task",    "problem", "level",   "seed",   "sample", "prompt_hash", "correct",
                                       "verdict", "strict",  "lenient", "tokens", "finish", "think_closed"};
    assert_non_null(o);
    assert_int_equal(json_object_size(o), sizeof keys / sizeof *keys);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) assert_non_null(json_object_get(o, keys[i]));
    assert_true(json_is_false(json_object_get(o, "correct")));
    assert_string_equal(json_string_value(json_object_get(o, "verdict")), "wrong");
    assert_string_equal(json_string_value(json_object_get(o, "strict")), "wrong");
    assert_string_equal(json_string_value(json_object_get(o, "lenient")), "right");
    assert_string_equal(json_string_value(json_object_get(o, "prompt_hash")), "00000000000000000000000000000000");
    json_decref(o);
    lb_buf_free(&b);
    lb_study_close(s);
    free(s);
}

static char *page_of(const char *sub, int *n_plot)
{
    char path[200];
    lb_buf b = {0};
    lb_err e = {0};
    snprintf(path, sizeof path, "%s/%s", dir, sub);
    assert_ok(lb_report_html(path, &b, n_plot, &e), e);
    check_xml(lb_buf_cstr(&b));
    char *text = lb_buf_take(&b, "page", &e);
    assert_non_null(text);
    assert_int_equal(count(text, "<figure>"), *n_plot);
    assert_int_equal(count(text, "<svg"), 2 * *n_plot);
    assert_int_equal(count(text, "http"), 1 + 2 * *n_plot); /* names of XML, no addresses */
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf<"));
    assert_null(strstr(text, "src="));
    assert_null(strstr(text, "url("));
    return text;
}

static void the_page_says_what_there_is(void **state)
{
    (void)state;
    lb_study *s = make_study();
    int bare, full;
    save_study(s, "study");
    char *text = page_of("study", &bare);
    assert_int_equal(count(text, "<script"), 1); /* ours */
    assert_non_null(strstr(text, "a &lt;b&gt;bold&lt;/b&gt; &amp; &quot;quoted&quot; study"));
    assert_non_null(strstr(text, "&lt;/th&gt;&lt;script&gt;alert(&#39;1&#39;)"));
    assert_non_null(strstr(text, "failed: no &lt;such&gt;"));
    assert_non_null(strstr(text, "lossless"));
    assert_non_null(strstr(text, "Length of outputs"));
    assert_non_null(strstr(text, "Points lost by level"));
    assert_int_equal(count(text, "<small class=\"o\">strict 75.0 <span class=\"pm\">± "), 2); /* of the run that differs */
    assert_int_equal(count(text, "<small class=\"o\">lenient 100.0 <span class=\"pm\">± 0.0</span></small>"), 4);
    static const char *const later[] = {"Error by block", "Error by kind", "Outliers of keys", "Divergence from",
                                        "Inside the models"};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) assert_null(strstr(text, later[i]));
    free(text);
    char runs[300];
    snprintf(runs, sizeof runs, "study/runs/%s", s->runs[1].id);
    write_in(runs, "layers.json",
             "{\"schema\": 1, \"layers\": [{\"name\": \"model.layers.0.<q>_proj\", \"bits\": 4.2, \"mse_rel\": 0.01, "
             "\"error_rel\": null},"
             " {\"name\": \"model.layers.1.<q>_proj\", \"bits\": 4.2, \"mse_rel\": 0.02}, {\"name\": \"lm_head\", "
             "\"mse_rel\": 0}]}");
    write_in(
        runs, "outliers.json",
        "{\"schema\": 1, \"transform\": \"<quarot>\", \"sites\": [{\"layer\": 0, \"kind\": \"keys\", \"site\": \"k\","
        " \"before\": {\"p50\": 1, \"p90\": 2, \"p99\": 3, \"max\": 40}, \"after\": {\"p50\": 1, \"p90\": 2, \"p99\": "
        "3, \"max\": 4}},"
        " {\"layer\": 1, \"kind\": \"keys\", \"site\": \"k\", \"before\": {\"max\": 30}, \"after\": null}]}");
    write_in(runs, "kl.json",
             "{\"schema\": 1, \"mean\": 0.1, \"buckets\": [{\"begin\": 0, \"end\": 16, \"mean\": 0.01, \"p99\": 1},"
             " {\"begin\": 16, \"end\": 32, \"mean\": 0.02}, {\"begin\": 32, \"end\": 48, \"mean\": 0}]}");
    text = page_of("study", &full);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (!strstr(text, later[i])) fail_msg("the page has no '%s'", later[i]);
    assert_non_null(strstr(text, "unquantized, block 0, k: 40, 40 times the median"));
    assert_non_null(strstr(text, "block 0, k: 4, 4 times the median"));
    assert_null(strstr(text, "block 1, k:")); /* no median */
    assert_int_equal(full, bare + 4);
    free(text);
    snprintf(runs, sizeof runs, "study/runs/%s", s->runs[2].id); /* the doctor's; nothing was moved */
    write_in(runs, "outliers.json",
             "{\"schema\": 1, \"transform\": \"\", \"sites\": [{\"layer\": 0, \"kind\": \"activations\", \"site\": \"<qkv>\","
             " \"before\": {\"p50\": 2, \"max\": 8}, \"after\": {\"p50\": 2, \"max\": 6}}, {\"layer\": 0, \"kind\": \"activations\","
             " \"site\": \"down\", \"before\": {\"p50\": 1, \"max\": 3}, \"after\": {\"p50\": 1, \"max\": 5}}]}");
    text = page_of("study", &full);
    assert_non_null(strstr(text, "&lt;qkv&gt;: 8, 4 times the median")); /* the worst place before, another one after */
    assert_non_null(strstr(text, "down: 5, 5 times the median"));
    assert_null(strstr(text, "Outliers of activations: "));
    assert_int_equal(full, bare + 5);
    free(text);
    char path[400];
    snprintf(path, sizeof path, "%s/%s/outliers.json", dir, runs);
    json_t *j = lb_json_load(path, NULL);
    json_object_set_new(j, "transform", json_string("<quarot>"));
    assert_true(lb_json_save(path, j, NULL));
    json_decref(j);
    text = page_of("study", &full);
    assert_null(strstr(text, "&lt;qkv&gt;:")); /* another run has this transform already */
    assert_int_equal(full, bare + 4);
    free(text);
    j = lb_json_load(path, NULL);
    json_object_set_new(j, "transform", json_string("<other>"));
    assert_true(lb_json_save(path, j, NULL));
    json_decref(j);
    text = page_of("study", &full);
    assert_non_null(strstr(text, "Outliers of activations: "));
    assert_non_null(strstr(text, "solid: after &lt;other&gt;"));
    assert_int_equal(full, bare + 6);
    free(text);
    write_in(runs, "doctor.json",
             "{\"verdict\": \"<impaired>\", \"traces\": {\"kl\": {\"mean\": 0.0123, \"stderr\": 0.001}, \"kl_p99\": "
             "0.5, \"top1\": {\"mean\": 0.97},"
             " \"ppl_base\": 1.1, \"ppl\": 1.2, \"kl_by_position\": [{\"from\": 0, \"n\": 9, \"kl\": 0.01}, {\"from\": "
             "128, \"n\": 9, \"kl\": 0.03}]},"
             " \"answers\": {\"model\": {\"loops\": {\"mean\": 0.25, \"stderr\": null}}, \"length\": {\"mean\": 1.5, "
             "\"stderr\": 0.1}}}");
    text = page_of("study", &full);
    assert_non_null(strstr(text, "&lt;impaired&gt;"));
    assert_non_null(strstr(text, "0.0123 <span class=\"pm\">± 0.0010"));
    assert_non_null(strstr(text, "positions 0 to 128: 1.00e-02 nats"));
    assert_int_equal(full, bare + 6); /* one more line in a plot that was there */
    free(text);
    snprintf(runs, sizeof runs, "%s/study", dir); /* as files */
    lb_err e = {0};
    lb_report_opt o = {.png = true};
    lb_report_written n;
    assert_ok(lb_report_write(runs, &o, &n, &e), e);
    assert_int_equal(n.n_plot, full);
    assert_int_equal(n.pages.n_page, 0); /* nothing was asked for */
    char cmd[800];
    snprintf(cmd, sizeof cmd, "[ $(ls %s/plots/*.png | wc -l) -eq %d ] && [ -s %s/report.html ]", runs, n.n_plot, runs);
    assert_int_equal(system(cmd), 0);
    lb_study_close(s);
    free(s);
}

/* n steps of a stage as training logs them, `rest` behind. */
static void add_steps(lb_buf *b, const char *stage, int n, const char *rest)
{
    for (int i = 1; i <= n; i++)
        lb_buf_fmt(b, "{\"stage\":\"%s\",\"step\":%d,\"loss\":%g,\"grad_norm\":%g,\"lr\":%g,\"entropy\":0.1,\"tokens\":1000.0%s}\n", stage, i,
                   1.0 / i, 2.0 / i, 1e-3 * (n - i), rest);
}

#define TRAINING                                                                                                       \
    "{\"name\": \"tr\", \"about\": \"x <y>\", \"scheme\": \"w2g128\", \"traces\": {\"prompts\": \"p.jsonl\"}, \"stages\": ["            \
    "{\"kind\": \"kd\", \"steps\": 90, \"tokens\": 4096, \"seq_tokens\": 4096, \"lr\": 3e-4, \"divergence\": \"cakld\"},"                    \
    "{\"kind\": \"grpo\", \"steps\": 20, \"n_prompt\": 16, \"train\": [\"norms\"], \"kl\": 0.5}]}"

#define POINT(stage, step, steps, average, chain, se)                                                                    \
    "{\"stage\":\"" stage "\",\"step\":" step ",\"steps\":" steps ",\"average\":" average ",\"average_stderr\":0.02,"                \
    "\"tasks\":{\"chain\":{\"accuracy\":" chain se "},\"code\":{\"accuracy\":0.5}}}\n"

/* Accuracy against steps, of a training alone and of all runs of a study. */
static void accuracy_has_its_curve(void **state)
{
    (void)state;
    static const char points[] = POINT("1-kd", "0", "0", "0.25", "0.1", ",\"accuracy_stderr\":0.03") POINT("1-kd", "90", "90", "0.75", "1", "")
        POINT("2-grpo", "10", "100", "0.875", "1", "") "{\"stage\":\"2-gr";
    lb_buf log = {0};
    int n, bare;
    add_steps(&log, "1-kd", 90, ",\"kl\":0.5,\"ce\":0.6");
    add_steps(&log, "2-grpo", 12, ",\"reward\":0.25,\"length\":50.0,\"truncated\":0.125");
    write_in("curve", "train.jsonl", lb_buf_cstr(&log));
    write_in("curve", "curve.jsonl", points);
    char *text = page_of("curve", &n);
    assert_int_equal(n, 7);
    static const char *const says[] = {"average, 1-kd, step 0: 25.0 ± 2.0", "chain, 1-kd, step 0: 10.0 ± 3.0", "code, 1-kd, step 90: 50.0",
                                       "average, 2-grpo, step 10: 87.5"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        if (!strstr(text, says[i])) fail_msg("the page does not say '%s'", says[i]);
    assert_null(strstr(text, "nan"));
    free(text);
    lb_study *s = make_study();
    save_study(s, "study3");
    for (int i = 1; i < 3; i++) {
        char models[300];
        snprintf(models, sizeof models, "study3/models/%s", s->runs[i].id);
        write_in(models, "train.jsonl", lb_buf_cstr(&log));
        if (i == 2) free(page_of("study3", &bare));
        write_in(models, "curve.jsonl", points);
    }
    text = page_of("study3", &n);
    assert_non_null(strstr(text, "Accuracy, all runs"));
    assert_int_equal(n, bare + 2); /* the second run's, and both in one */
    free(text);
    for (int i = 0; i < 4; i++) lb_eval_result_free(&s->runs[i].result);
    lb_study_close(s);
    free(s);
    lb_buf_free(&log);
}

/* Everything that the training of a folder says, alone and as part of a study. */
static void training_has_its_curves(void **state)
{
    (void)state;
    lb_buf kd = {0}, both = {0}, sft = {0};
    int n, bare;
    add_steps(&kd, "1-kd", 90, ",\"kl\":0.5,\"ce\":0.6");
    lb_buf_add(&both, kd.p, kd.n);
    add_steps(&both, "2-grpo", 12, ",\"reward\":0.25,\"length\":50.0,\"truncated\":0.125");
    lb_buf_str(&both, "{\"stage\":\"2-grpo\",\"st"); /* torn: it still runs */
    write_in("tr", "train.jsonl", lb_buf_cstr(&both));
    char *text = page_of("tr", &n); /* without its recipe */
    assert_int_equal(n, 6);
    assert_non_null(strstr(text, "<h1>tr</h1>"));
    free(text);
    write_in("tr", "recipe.json", TRAINING);
    text = page_of("tr", &n);
    assert_int_equal(n, 6); /* loss, gradient, rate, reward, length, entropy */
    static const char *const says[] = {
        "x &lt;y&gt;", "<b>102 of 110</b>", "<b>102,000</b>", "<b>gptq</b>", "<td>90</td><td>90,000</td><td>3×10⁻⁴</td>",
        "CAKLD; 4096 tokens a step", "<td>12 of 20</td>", "reward, clip 0.2/0.28, KL 0.5; 16 × 8 samples of ≤ 32768 tokens",
        "<td class=\"l\">norms, the start’s scales</td>", "<td>25.0 %</td><td>25.0 %</td><td class=\"l\">reward", "<td>0.5000</td><td>0.5000</td><td class=\"l\">KL</td>",
        "reward, 2-grpo, step 91: 25", "truncated, 2-grpo, step 102: 12.5", "1-kd, step 2: 1.222 (0.667 to 2, 3 steps)",
        "loss, 1-kd, step 2: 0.6111", "Bands: the range"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        if (!strstr(text, says[i])) fail_msg("the page does not say '%s'", says[i]);
    assert_null(strstr(text, "loss, 2-grpo")); /* says little */
    assert_null(strstr(text, "id=\"evaluation\""));
    free(text);
    write_in("tr", "evaluation.json",
             "{\"model\": {\"results\": {\"chain\": {\"accuracy\": 0.9, \"accuracy_stderr\": 0.02}}, \"average\": 0.9, "
             "\"average_stderr\": 0.02}, \"trained\": {\"results\": {\"chain\": {\"accuracy\": 0.875, "
             "\"accuracy_stderr\": null}}, \"average\": 0.875, \"average_stderr\": 0.03, \"against\": {\"mean\": {\"drop\": "
             "0.025, \"drop_stderr\": 0.011}, \"class\": \"fair\"}}}");
    text = page_of("tr", &n);
    static const char *const row = "<th scope=\"row\">trained</th>";
    const char *at = strstr(text, row);
    assert_non_null(at);
    assert_non_null(strstr(at, "87.5 <span class=\"pm\">± ?"));
    assert_non_null(strstr(at, "2.5 <span class=\"pm\">± 1.1"));
    assert_non_null(strstr(at, "fair"));
    assert_null(strstr(text, "the start</th>"));
    assert_null(strstr(text, "Points lost"));
    assert_null(strstr(text, "nan"));
    free(text);
    lb_study *s = make_study();
    char models[300];
    lb_err e = {0};
    save_study(s, "study2");
    text = page_of("study2", &bare);
    assert_null(strstr(text, "id=\"training\""));
    free(text);
    snprintf(models, sizeof models, "study2/models/%s", s->runs[1].id);
    write_in(models, "train.jsonl", lb_buf_cstr(&kd));
    write_in(models, "recipe.json", TRAINING);
    text = page_of("study2", &n);
    assert_int_equal(n, bare + 4);
    assert_non_null(strstr(text, "id=\"training\""));
    assert_non_null(strstr(text, "href=\"#training\""));
    assert_null(strstr(text, "all runs"));
    free(text);
    snprintf(models, sizeof models, "study2/models/%s", s->runs[2].id); /* of a hostile label; and a stage nobody knows */
    add_steps(&sft, "<b>", 3, ",\"ce\":0.6,\"kl\":0.5");
    write_in(models, "train.jsonl", lb_buf_cstr(&sft));
    text = page_of("study2", &n);
    assert_int_equal(n, bare + 2 * 4 + 2); /* and KL and cross-entropy of both */
    assert_int_equal(count(text, "<summary>Curves of"), 2);
    assert_non_null(strstr(text, "&lt;b&gt;, step 1: "));
    free(text);
    for (int i = 0; i <= LB_TRAIN_MAX_STAGES; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d-kd", i);
        lb_buf_fmt(&sft, "{\"stage\":\"%s\"}\n", name);
    }
    write_in("many", "train.jsonl", lb_buf_cstr(&sft));
    lb_buf b = {0};
    snprintf(models, sizeof models, "%s/many", dir);
    assert_false(lb_report_html(models, &b, NULL, &e));
    assert_non_null(strstr(e.msg, "is one too many"));
    lb_buf_free(&b);
    for (int i = 0; i < 4; i++) lb_eval_result_free(&s->runs[i].result);
    lb_study_close(s);
    free(s);
    lb_buf_free(&kd);
    lb_buf_free(&both);
    lb_buf_free(&sft);
}

static void a_study_that_has_not_begun_has_a_page(void **state)
{
    (void)state;
    lb_study *s = make_study();
    int n;
    for (int i = 0; i < s->n_run; i++) {
        if (i < 4) lb_eval_result_free(&s->runs[i].result);
        s->runs[i].state = LB_STUDY_PENDING, s->runs[i].compared = false, s->runs[i].error[0] = 0;
    }
    s->n_failed = 0;
    save_study(s, "pending");
    char *text = page_of("pending", &n);
    assert_int_equal(n, 0);
    assert_non_null(strstr(text, "not run yet"));
    free(text);
    lb_study_close(s);
    free(s);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
#define TOP "\"study\": \"s\", \"tasks\": [{\"name\": \"chain\"}], \"seeds\": [1]"
#define RUN "\"id\": \"a\", \"label\": \"a\", \"group\": \"g\", \"status\": \"done\", \"scheme\": \"w4\""
    static const struct { const char *text, *says;
    } bad[] = {
        {"[]", "results.json is an array, wanted an object"},
        {"{}", "'schema' is missing"},
        {"{\"schema\": 1}", "has schema 1, this lowbit reads 2; run the recipe again"},
        {"{\"schema\": 2}", "'study' is missing"},
        {"{\"schema\": 2, \"study\": \"s\"}", "'tasks' is missing, wanted an array"},
        {"{\"schema\": 2, \"study\": \"s\", \"tasks\": [], \"seeds\": []}", "0 tasks"},
        {"{\"schema\": 2, " TOP "}", "'runs' is missing"},
        {"{\"schema\": 2, " TOP ", \"runs\": [1]}", "runs[0] is an integer"},
        {"{\"schema\": 2, " TOP ", \"runs\": [{}]}", "runs[0]: 'id' is missing"},
        {"{\"schema\": 2, " TOP ", \"runs\": [{\"id\": \"../a\", \"label\": \"a\", \"group\": \"g\", \"status\": "
                                "\"done\", \"scheme\": \"w4\"}]}",
         "runs[0]: 'id' is '../a'"},
        {"{\"schema\": 2, " TOP ", \"runs\": [{" RUN ", \"results\": []}]}", "'results' is an array"},
        {"{\"schema\": 2, " TOP ", \"runs\": [{" RUN ", \"results\": {\"chain\": 4}}]}", "'chain' is an integer"},
        {"{\"schema\": 2, " TOP ", \"runs\": [{" RUN ", \"results\": {\"chain\": {\"accuracy\": \"x\"}}}]}",
         "runs[0]: chain: 'accuracy' is a string"},
        {"{\"schema\": 2, " TOP ", \"runs\": [{" RUN ", \"average\": true}]}", "'average' is a boolean"},
        {"{\"schema\": 2,", "not valid JSON"},
    };
    char path[100];
    snprintf(path, sizeof path, "%s/bad", dir);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_buf b = {0};
        lb_err e = {0};
        write_in("bad", "results.json", bad[i].text);
        if (lb_report_html(path, &b, NULL, &e)) fail_msg("taken: %s", bad[i].text);
        if (!strstr(e.msg, bad[i].says) || !strstr(e.msg, "results.json"))
            fail_msg("'%s', wanted '%s'", e.msg, bad[i].says);
        lb_buf_free(&b);
    }
    static const struct { const char *file, *text, *says;
    } extra[] = {
        {"samples.jsonl", "{\"tokens\": 3}\n{\"tokens\": -1}\n", "samples.jsonl: line 2: 'tokens' is -1"},
        {"samples.jsonl", "\n{\n", "samples.jsonl: line 2: not valid JSON"},
        {"layers.json", "{\"schema\": 2}", "layers.json has schema 2, this lowbit knows 1"},
        {"layers.json", "{\"schema\": 1, \"layers\": 3}", "'layers' is an integer"},
        {"layers.json", "{\"schema\": 1, \"layers\": [{\"name\": \"x\", \"bits\": \"y\"}]}",
         "layers[0]: 'bits' is a string"},
        {"outliers.json", "{\"schema\": 1, \"sites\": [{\"kind\": \"keys\"}]}", "sites[0]: 'site' is missing"},
        {"outliers.json", "{\"schema\": 1, \"sites\": [{\"kind\": \"keys\", \"site\": \"k\", \"layer\": -1}]}",
         "'layer' is -1"},
        {"kl.json", "{\"schema\": 1, \"buckets\": [{\"begin\": 0}]}", "buckets[0]: 'end' is missing"},
        {"doctor.json", "{\"verdict\": 1}", "'verdict' is an integer"},
        {"doctor.json", "{\"traces\": {\"kl_by_position\": [{\"kl\": 1}]}}", "kl_by_position[0]: 'from' is missing"},
        {"train.jsonl", "{\"stage\": \"1-kd\"}\n{}\n", "train.jsonl:2: 'stage' is missing"},
        {"train.jsonl", "{\"stage\": \"1-kd\", \"loss\": \"x\"}\n", "train.jsonl:1: 'loss' is a string"},
        {"train.jsonl", "{\n", "train.jsonl:1: "},
    };
    static const char *const curve[][2] = {{"{\"stage\": 1}\n", "curve.jsonl:1: 'stage' is an integer"},
                                           {"{\"stage\": \"1-kd\", \"average\": \"x\"}\n", "curve.jsonl:1: 'average' is a string"},
                                           {"{\"stage\": \"1-kd\", \"tasks\": {\"chain\": 1}}\n", "curve.jsonl:1: chain is an integer"}};
    write_in("bad", "results.json", "{\"schema\": 2, " TOP ", \"runs\": [{" RUN "}]}");
    for (size_t i = 0; i < sizeof extra / sizeof *extra; i++) {
        lb_buf b = {0};
        lb_err e = {0};
        char file[200];
        write_in("bad/runs/a", extra[i].file, extra[i].text);
        if (lb_report_html(path, &b, NULL, &e)) fail_msg("taken: %s", extra[i].text);
        if (!strstr(e.msg, extra[i].says)) fail_msg("'%s', wanted '%s'", e.msg, extra[i].says);
        snprintf(file, sizeof file, "%s/runs/a/%s", path, extra[i].file);
        unlink(file);
        lb_buf_free(&b);
    }
    write_in("bad/runs/a", "train.jsonl", "{\"stage\": \"1-kd\"}\n");
    for (size_t i = 0; i < sizeof curve / sizeof *curve; i++) {
        lb_buf page = {0};
        lb_err why = {0};
        write_in("bad/runs/a", "curve.jsonl", curve[i][0]);
        assert_false(lb_report_html(path, &page, NULL, &why));
        if (!strstr(why.msg, curve[i][1])) fail_msg("'%s', wanted '%s'", why.msg, curve[i][1]);
        lb_buf_free(&page);
    }
    char file[200];
    snprintf(file, sizeof file, "%s/runs/a/curve.jsonl", path);
    unlink(file);
    static const char *const evals[][2] = {{"{\"model\": 1}", "evaluation.json: 'model' is an integer"},
                                           {"{\"start\": {\"average\": \"x\"}}", "start: 'average' is a string"},
                                           {"{\"trained\": {\"results\": {\"chain\": 1}}}", "trained: 'chain' is no object"}};
    for (size_t i = 0; i < sizeof evals / sizeof *evals; i++) {
        lb_buf page = {0};
        lb_err why = {0};
        write_in("bad/runs/a", "evaluation.json", evals[i][0]);
        assert_false(lb_report_html(path, &page, NULL, &why));
        if (!strstr(why.msg, evals[i][1])) fail_msg("'%s', wanted '%s'", why.msg, evals[i][1]);
        lb_buf_free(&page);
    }
    lb_err e = {0};
    lb_buf b = {0};
    assert_false(lb_report_html("/no/such/folder", &b, NULL, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    assert_false(lb_report_html("recipes", &b, NULL, &e));
    assert_non_null(strstr(e.msg, "no results.json"));
    lb_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_are_nice),
        cmocka_unit_test(tick_texts),
        cmocka_unit_test(text_never_becomes_markup),
        cmocka_unit_test(colours_can_be_read),
        cmocka_unit_test(plots_are_clean),
        cmocka_unit_test(drops_are_paired),
        cmocka_unit_test(drops_are_clustered_by_question),
        cmocka_unit_test(csv_has_its_columns),
        cmocka_unit_test(samples_are_lines),
        cmocka_unit_test(the_page_says_what_there_is),
        cmocka_unit_test(training_has_its_curves),
        cmocka_unit_test(accuracy_has_its_curve),
        cmocka_unit_test(a_study_that_has_not_begun_has_a_page),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
