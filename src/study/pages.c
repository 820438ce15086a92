/* study/pages.c – which pages there are, and writing them. */
#include "study/pages.h"
#include "study/pages_parts.h"
#include "study/report_data.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- blocks ---- */

/* Problems go together on a page as long as it stays small: some bytes for each sample, and its text, of which only its
 * tokens are known here. */
static void make_blocks(const lb_pages *p, lb_pages_task *t, const lb_pages_opt *o)
{
    enum { PAGE_BYTES = 300 << 10, PROBLEM_BYTES = 2000, SAMPLE_BYTES = 500, TOKEN_BYTES = 4 };
    size_t size = 0, most = (size_t)o->text_kb << 10;
    t->n_page = 0;
    for (int i = 0; i < t->n_problem; i++) {
        size_t own = PROBLEM_BYTES + strlen(t->problems[i].problem);
        size_t first = t->at[(size_t)i * (size_t)p->n_col], end = t->at[(size_t)(i + 1) * (size_t)p->n_col];
        for (size_t j = first; j < end; j++) {
            size_t text = t->samples[j].n_tokens > 0 ? (size_t)t->samples[j].n_tokens * TOKEN_BYTES : 0;
            own += SAMPLE_BYTES + (text < most ? text : most);
        }
        if (t->n_page == 0 || size + own > PAGE_BYTES) t->n_page++, size = 0;
        size += own;
        t->problems[i].page = t->n_page;
    }
}

/* ---- writing ---- */

typedef struct writing {
    lb_pages *p;
    const lb_pages_opt *o;
    lb_pages_folder f;
    char png_dir[1100];
    lb_pages_written n;
    lb_err *err;
} writing;

/* One page: from its title to its end, by fn. */
typedef bool (*body)(writing *w, int task, int block, lb_page *page);

static bool page(writing *w, const char *name, const char *title, body fn, int task, int block)
{
    lb_buf b = {0};
    lb_page page = {.b = &b, .png_dir = *w->png_dir ? w->png_dir : NULL, .ok = true, .err = w->err};
    lb_page_start(&page, title, lb_pages_rules);
    bool ok = fn(w, task, block, &page) && page.ok;
    lb_page_end(&page, block == 0 ? lb_pages_sort_script : "");
    ok = ok && lb_buf_ok(&b, "a page", w->err) && lb_pages_folder_put(&w->f, name, b.p, b.n, w->err);
    w->n.n_page++, w->n.n_plot += page.n_plot;
    lb_buf_free(&b);
    return ok;
}

static bool index_body(writing *w, int task, int block, lb_page *page)
{
    (void)task, (void)block;
    lb_pages_index(w->p, page);
    return true;
}

static bool task_body(writing *w, int task, int block, lb_page *page)
{
    (void)block;
    lb_pages_task_page(w->p, task, page);
    return true;
}

static bool block_body(writing *w, int task, int block, lb_page *page)
{
    return lb_pages_block(w->p, task, block, w->o, &w->f, page, w->err);
}

static bool readings_body(writing *w, int task, int block, lb_page *page)
{
    (void)task, (void)block;
    return lb_pages_readings(w->p, page, w->err);
}

static bool write_task(writing *w, int k)
{
    lb_pages_task *t = &w->p->tasks[k];
    char name[100], title[400];
    make_blocks(w->p, t, w->o);
    snprintf(name, sizeof name, "%s.html", t->slug);
    snprintf(title, sizeof title, "%s – %s", t->label, w->p->title);
    bool ok = page(w, name, title, task_body, k, 0);
    for (int i = 1; ok && i <= t->n_page; i++) {
        snprintf(name, sizeof name, "%s.p%d.html", t->slug, i);
        snprintf(title, sizeof title, "%s, answers %d – %s", t->label, i, w->p->title);
        ok = page(w, name, title, block_body, k, i);
    }
    return ok;
}

bool lb_pages_write(lb_pages *p, const char *out_dir, const lb_pages_opt *o, lb_pages_written *n, lb_err *err)
{
    writing w = {.p = p, .o = o, .n = {.n_model = p->n_col, .n_task = p->n_task}, .err = err};
    char title[300];
    if (!lb_pages_folder_open(&w.f, out_dir, err)) return false;
    bool ok = true;
    if (o->png) {
        snprintf(w.png_dir, sizeof w.png_dir, "%.1000s/plots", w.f.dir.tmp);
        ok = lb_mkdirs(w.png_dir, err);
    }
    for (int k = 0; ok && k < p->n_task; k++) ok = write_task(&w, k);
    snprintf(title, sizeof title, "Strict and lenient – %s", p->title);
    ok = ok && page(&w, "readings.html", title, readings_body, 0, 0);
    snprintf(title, sizeof title, "Answers – %s", p->title);
    ok = ok && page(&w, "index.html", title, index_body, 0, 0);
    if (ok) ok = lb_pages_folder_commit(&w.f, err);
    else lb_pages_folder_abort(&w.f);
    if (n) *n = w.n;
    return ok;
}

/* ---- from a database ---- */

static const char *plain_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "out/results-report" of "out/results.sqlite". */
static char *folder_beside(const char *db_path, lb_err *err)
{
    size_t n = strlen(db_path);
    lb_buf b = {0};
    if (n > 7 && strcmp(db_path + n - 7, ".sqlite") == 0) n -= 7;
    lb_buf_add(&b, db_path, n);
    lb_buf_str(&b, "-report");
    return lb_buf_take(&b, "a path", err);
}

bool lb_pages_from_db(const char *db_path, const char *out_dir, const lb_pages_opt *o, char **path,
                      lb_pages_written *n, lb_err *err)
{
    lb_pages p = {0};
    char *own = out_dir ? NULL : folder_beside(db_path, err);
    const char *dir = out_dir ? out_dir : own;
    if (path) *path = NULL;
    bool ok = dir && (p.db = lb_db_open_existing(db_path, err)) != NULL;
    snprintf(p.db_name, sizeof p.db_name, "%.190s", plain_name(db_path));
    snprintf(p.title, sizeof p.title, "%.190s", p.db_name);
    ok = ok && lb_pages_pick(&p, o->models, o->tasks, err) && lb_pages_load(&p, err) &&
         lb_pages_write(&p, dir, o, n, err);
    lb_pages_free(&p);
    if (ok && path) ok = (*path = lb_path_join(dir, "index.html", err)) != NULL;
    free(own);
    return ok;
}
