/* cli/cmd_data.c – `lowbit data`: the benchmarks' files, there or missing, and where they come from. */
#include "cli/cmd.h"
#include "eval/data.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const states[] = {"missing", "broken", "found"};

/* What the hash says of a file. */
static void print_hash(const lb_data_file *f)
{
    const lb_known_file *k = f->source->known;
    const char *rows = f->n_row >= 0 ? "rows checked" : "--check reads the rows";
    if (f->known) printf("    SHA-256 known: %s\n", f->known);
    else if (!k || !k->sha256) printf("    SHA-256 %s, not known here; %s\n", f->sha256, rows);
    else printf("    SHA-256 %s, not that of %s; %s\n", f->sha256, k->what, rows);
}

/* "gsm8k", or with a separator "mr_ben/math". */
static void name_of(const lb_data_file *f, const char *between, char *out, size_t n)
{
    bool alone = strcmp(f->bench->name, f->source->name) == 0 || !f->bench->sources[1];
    snprintf(out, n, "%.100s%s%.100s", f->bench->name, alone ? "" : between, alone ? "" : f->source->name);
}

static void print_file(const lb_data_file *f, bool named)
{
    const lb_source *s = f->source;
    char rows[32] = "", name[128];
    name_of(f, "/", name, sizeof name);
    if (f->n_row >= 0) snprintf(rows, sizeof rows, "%d rows", f->n_row);
    if (f->path) printf("%-20s %-8s %-10s %s\n", name, states[f->state], rows, f->path);
    else printf("%-20s %s\n", name, states[f->state]);
    if (f->state == LB_DATA_FOUND) {
        print_hash(f);
        bool part = strchr(f->bench->name, ':') != NULL; /* of a file's rows, perhaps */
        if (f->n_row >= 0 && s->n_row > 0 && f->n_row != s->n_row && !part)
            printf("    published are %d rows\n", s->n_row);
        return;
    }
    if (f->state == LB_DATA_BROKEN) printf("    %s\n", f->why.msg);
    if (named && f->state == LB_DATA_MISSING) {
        printf("    looked for");
        for (int i = 0; s->files[i]; i++) printf("%s %s", i ? "," : "", s->files[i]);
        printf("\n");
    }
    printf("    from %s; %s\n", s->url, s->licence);
    if (named && s->convert) printf("    %s\n", s->convert);
}

typedef struct look {
    const char *data;
    bool check, named, json;
    json_t *files;               /* for --json */
    char bad[256];               /* the first named task that is missing, or any that is broken */
} look;

static bool look_at(look *l, const lb_bench *b, lb_err *err)
{
    for (int i = 0; b->sources[i]; i++) {
        lb_data_file f;
        if (!lb_data_look(b, i, l->data, l->check, &f, err)) return false;
        if (!*l->bad && (f.state == LB_DATA_BROKEN || (f.state == LB_DATA_MISSING && l->named))) {
            char name[220];
            name_of(&f, ": ", name, sizeof name);
            snprintf(l->bad, sizeof l->bad, "%s is %s", name, states[f.state]);
        }
        if (l->json) json_array_append_new(l->files, lb_data_json(&f));
        else print_file(&f, l->named);
        lb_data_file_free(&f);
    }
    return true;
}

/* Item number n of a task: what the model is asked, and what is wanted. */
static bool show_item(const lb_bench *b, const look *l, int64_t n, lb_err *err)
{
    lb_items items;
    if (!lb_items_load(b, l->data, &(lb_items_opt){.limit = (int)n}, &items, err)) return false;
    bool ok = items.n >= n || lb_fail(err, LB_EUSAGE, "--show %lld: %s has %d problem%s", (long long)n,
                                      b->name, items.n, items.n == 1 ? "" : "s");
    const lb_item *it = ok ? &items.p[n - 1] : NULL;
    if (ok && l->json) {
        char hash[33];
        lb_hash_hex(it->hash, hash);
        json_array_append_new(l->files, json_pack("{s:s, s:i, s:s, s:s, s:s, s:i, s:s}", "task", b->name, "number",
                                                  it->number, "id", it->id, "prompt", it->prompt, "gold", it->gold,
                                                  "level", it->level, "hash", hash));
    } else if (ok) {
        printf("---- %s %d%s%s, gold '%s'\n%s\n", b->name, it->number, *it->id ? ", " : "", it->id, it->gold,
               it->prompt);
    }
    lb_items_free(&items);
    return ok;
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    lb_common c = {0};
    look l = {.data = "data"};
    const char *tasks = NULL, *file = NULL;
    int64_t show = 0;
    bool done;
    lb_arg table[] = {
        {"tasks", 0, LB_ARG_STR, &tasks, "A,B", "benchmarks and suites (default: all, and none of them must be there)",
         0, 0, false},
        {"task-file", 0, LB_ARG_STR, &file, "FILE", "a benchmark that this JSON file describes (docs/benchmarks.md)", 0,
         0, false},
        {"data", 0, LB_ARG_STR, &l.data, "DIR", "folder of the benchmarks (default: data), or the file of one", 0, 0,
         false},
        {"check", 0, LB_ARG_FLAG, &l.check, "", "read every row, and the tests of programs", 0, 0, false},
        {"show", 0, LB_ARG_INT, &show, "N",
         "print problem N of each task as the model is asked it, with the gold answer", 1, 1 << 20, false},
        {"json", 0, LB_ARG_FLAG, &l.json, "", "print one JSON object to stdout", 0, 0, false},
        {"help", 'h', LB_ARG_FLAG, &c.help, "", "this text", 0, 0, false},
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_data, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    if (c.model)
        return lb_fail(err, LB_EUSAGE, "unexpected '%s'; --tasks names benchmarks, --data their folder", c.model);
    if (show && l.check) return lb_fail(err, LB_EUSAGE, "--check reads every row, --show one: ask for them one after the other");
    if (show && !tasks && !file) return lb_fail(err, LB_EUSAGE, "--show wants --tasks or --task-file");
    const lb_bench **list = NULL;
    lb_bench *own = NULL;
    int n = 0;
    bool ok = true;
    l.named = tasks || file;
    if (tasks) ok = lb_benches_of(tasks, &list, &n, err);
    if (ok && file) ok = (own = lb_bench_from_file(file, err)) != NULL;
    if (ok && l.json) ok = (l.files = json_array()) != NULL || lb_fail_mem(err, 0, "the list");
    for (int i = 0; ok && (tasks ? i < n : !file && lb_benches[i]); i++) {
        const lb_bench *b = tasks ? list[i] : lb_benches[i];
        ok = show ? show_item(b, &l, show, err) : look_at(&l, b, err);
    }
    if (ok && own) ok = show ? show_item(own, &l, show, err) : look_at(&l, own, err);
    if (ok && l.json)
        ok = lb_cmd_print_json(json_pack("{s:O}", show ? "items" : "files", l.files), err);
    if (ok && *l.bad) ok = lb_fail(err, LB_EIO, "%s", l.bad);
    json_decref(l.files);
    lb_bench_free(own);
    free(list);
    return ok;
}

const lb_command lb_cmd_data = {"data", "the benchmarks' files: there or missing, where they come from",
                                "lowbit data --tasks studies --data ../data --check", run};
