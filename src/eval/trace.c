/* eval/trace.c – generating, appending and ordering traces.
 *
 *   plan      every sample with its key, in the order of the finished file
 *   scan      which of them the file has already, under a lock
 *   generate  the others, each appended and synced when it is finished
 *   order     if the lines do not stand in order, a new file that replaces the old one */
#define _DEFAULT_SOURCE /* flock */
#include "eval/trace.h"
#include "base/file.h"
#include "base/mem.h"
#include "eval/generate.h"
#include "eval/grade.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct run;
typedef struct sample {
    lb_request r;
    struct run *run;
    int prompt, number;
    char key[33];
    bool done;
    size_t at, size;             /* its line in the file, newline included */
    int n_tokens;
    bool truncated, closed;
} sample;

typedef struct run {
    lb_target *t;
    const lb_trace_opt *o;
    const char *path;
    lb_progress *p;
    lb_buf *texts;               /* [n_prompt] rendered; owned */
    lb_ids *ids;                 /* [n_prompt]; owned */
    bool *in_thinking;           /* [n_prompt] */
    sample *samples;             /* [n], in order */
    size_t n;
    json_t *by_key;              /* key → index */
    int fd;                      /* of the file, locked */
    size_t end;                  /* its size */
    bool made;                   /* it was not there before */
    bool failed;
    double tokens;
    lb_err *err;
} run;

/* ---- plan ---- */

static int max_new_of(const run *x, int prompt)
{
    return x->o->max_new > 0 ? x->o->max_new : x->o->prompts->p[prompt].max_new;
}

static void key_of(const run *x, const sample *s, char out[33])
{
    char how[LB_SAMPLING_TEXT], text[LB_SAMPLING_TEXT + 96];
    const lb_prompt *p = &x->o->prompts->p[s->prompt];
    lb_sampling_text(&x->o->sampling, max_new_of(x, s->prompt), lb_target_kv(x->t, x->o->kv), how);
    int n = snprintf(text, sizeof text, "%s %s seed%llu sample%d%s", x->t->hash, how, (unsigned long long)x->o->seed,
                     s->number, x->o->want_ids ? " ids" : "");
    lb_hash h = lb_hash_of(text, (size_t)n + 1);
    h = lb_hash_bytes(p->id, strlen(p->id) + 1, h);
    lb_hash_hex(lb_hash_bytes(lb_buf_cstr(&x->texts[s->prompt]), x->texts[s->prompt].n, h), out);
}

static void on_done(lb_request *r);

static bool plan(run *x)
{
    const lb_trace_opt *o = x->o;
    size_t n_prompt = (size_t)o->prompts->n;
    if (!lb_size_mul(n_prompt, (size_t)o->n_sample, &x->n) || x->n > 1 << 30)
        return lb_fail(x->err, LB_EUSAGE, "prompts × samples are more than %d", 1 << 30);
    x->texts = lb_alloc(n_prompt, sizeof *x->texts, "the prompts", x->err);
    x->ids = lb_alloc(n_prompt, sizeof *x->ids, "the prompts", x->err);
    x->in_thinking = lb_alloc(n_prompt, sizeof *x->in_thinking, "the prompts", x->err);
    x->samples = lb_alloc(x->n, sizeof *x->samples, "the samples", x->err);
    x->by_key = json_object();
    if (!x->texts || !x->ids || !x->in_thinking || !x->samples) return false;
    for (int i = 0; i < o->prompts->n; i++)
        if (!lb_prompt_render(x->t, &o->prompts->p[i], o->template_kwargs, &x->texts[i], &x->in_thinking[i], x->err) ||
            !lb_target_encode(x->t, &x->texts[i], &x->ids[i], x->err))
            return lb_wrap(x->err, "prompt %s", o->prompts->p[i].id);
    for (size_t i = 0; i < x->n; i++) {
        sample *s = &x->samples[i];
        *s = (sample){.run = x, .prompt = (int)(i / (size_t)o->n_sample), .number = (int)(i % (size_t)o->n_sample)};
        const lb_buf *text = &x->texts[s->prompt];
        lb_rng_key key = lb_rng_key_of(o->seed, lb_hash_of(lb_buf_cstr(text), text->n).lo, (uint64_t)s->number);
        s->r = (lb_request){.prompt = x->ids[s->prompt].p, .n_prompt = (int)x->ids[s->prompt].n, .key = key,
                            .sampling = o->sampling, .max_new = max_new_of(x, s->prompt), .stop = x->t->gen.eos,
                            .n_stop = x->t->gen.n_eos, .user = s, .on_done = on_done};
        key_of(x, s, s->key);
        if (json_object_set_new(x->by_key, s->key, json_integer((json_int_t)i)) != 0)
            return lb_fail_mem(x->err, 0, "the samples");
    }
    return true;
}

/* ---- scan ---- */

/* A line that is one of ours, or what kill -9 left of one. */
static bool looks_torn(const char *line, size_t n)
{
    static const char begin[] = "{\"id\":";
    return memcmp(line, begin, n < sizeof begin - 1 ? n : sizeof begin - 1) == 0;
}

static bool take_line(run *x, const char *line, size_t n, size_t at, const char *where)
{
    json_t *row = lb_json_parse(line, n, where, x->err);
    if (!row) return false;
    const char *key = json_string_value(json_object_get(row, "key")),
               *text = json_string_value(json_object_get(row, "text")),
               *finish = json_string_value(json_object_get(row, "finish"));
    const json_t *index = key ? json_object_get(x->by_key, key) : NULL;
    int64_t n_tokens = 0;
    bool ok = true;
    if (!key || !text || !finish)
        ok = lb_fail(x->err, LB_EFORMAT, "%s is no line of `lowbit trace`; choose another -o", where);
    else if (!index)
        ok = lb_fail(x->err, LB_EFORMAT,
                     "%s is a trace of another run (another model, sampling, seed or list of prompts); remove the file "
                     "or choose another -o", where);
    ok = ok && lb_json_get_int(row, "n_tokens", 0, INT32_MAX, &n_tokens, where, x->err);
    if (ok) {
        sample *s = &x->samples[json_integer_value(index)];
        const char *answer;
        lb_answer_part(text, x->in_thinking[s->prompt], &answer, &s->closed);
        s->done = true, s->at = at, s->size = n + 1;
        s->n_tokens = (int)n_tokens, s->truncated = strcmp(finish, "length") == 0;
    }
    json_decref(row);
    return ok;
}

/* Finds the samples that the file has; what is torn at its end is cut off. */
static bool scan(run *x)
{
    lb_map m;
    if (!lb_map_open(&m, x->path, x->err)) return false;
    size_t line_no = 0;
    bool ok = true;
    while (ok && x->end < m.size) {
        const char *line = (const char *)m.p + x->end, *nl = memchr(line, '\n', m.size - x->end);
        size_t n = nl ? (size_t)(nl - line) : m.size - x->end;
        char where[640];
        snprintf(where, sizeof where, "%.600s:%zu", x->path, ++line_no);
        if (!nl && looks_torn(line, n)) break;
        ok = nl ? take_line(x, line, n, x->end, where)
                : lb_fail(x->err, LB_EFORMAT, "%s is no line of `lowbit trace`; choose another -o", where);
        if (ok) x->end += n + 1;
    }
    bool cut = ok && x->end < m.size;
    lb_map_close(&m);
    if (cut && ftruncate(x->fd, (off_t)x->end) != 0) ok = lb_fail_io(x->err, "cannot shorten %s", x->path);
    return ok;
}

static bool open_file(run *x)
{
    const char *slash = strrchr(x->path, '/');
    if (slash && slash != x->path) {
        char *dir = strndup(x->path, (size_t)(slash - x->path));
        bool ok = dir ? lb_mkdirs(dir, x->err) : lb_fail_mem(x->err, 0, "a path");
        free(dir);
        if (!ok) return false;
    }
    x->made = !lb_file_exists(x->path);
    x->fd = open(x->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (x->fd < 0) return lb_fail_io(x->err, "cannot write %s", x->path);
    if (flock(x->fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno == EWOULDBLOCK) return lb_fail(x->err, LB_EIO, "%s is being written by another run", x->path);
    return lb_fail_io(x->err, "cannot lock %s", x->path);
}

/* ---- generate ---- */

static json_t *line_of(const run *x, const sample *s, const lb_buf *text)
{
    const lb_request *r = &s->r;
    const lb_buf *prompt = &x->texts[s->prompt];
    json_t *j = json_pack("{s:s, s:i, s:s%, s:s%, s:i, s:s, s:s}", "id", x->o->prompts->p[s->prompt].id, "sample",
                          s->number, "prompt", lb_buf_cstr(prompt), prompt->n, "text", lb_buf_cstr(text), text->n,
                          "n_tokens", r->n_out, "finish", r->finish == LB_FINISH_LENGTH ? "length" : "stop", "key",
                          s->key);
    if (!j || !x->o->want_ids) return j;
    json_t *ids = json_array();
    for (int i = 0; i < r->n_out; i++) json_array_append_new(ids, json_integer(r->out[i]));
    json_object_set_new(j, "ids", ids);
    return j;
}

static bool append(run *x, sample *s, const char *line, size_t n)
{
    if (!lb_fd_write(x->fd, line, n) || fdatasync(x->fd) != 0) return lb_fail_io(x->err, "cannot write %s", x->path);
    s->at = x->end, s->size = n;
    x->end += n;
    return true;
}

static bool store(run *x, sample *s)
{
    const lb_request *r = &s->r;
    lb_buf text = {0}, line = {0};
    int n = r->n_out;
    if (r->finish == LB_FINISH_STOP && n > 0) n--; /* the stop token is not part of the answer */
    if (!lb_tokenizer_decode(x->t->tok, r->out, (size_t)n, false, &text, x->err)) return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == 0) text.p[i] = ' '; /* readers take C strings */
    const char *answer;
    lb_answer_part(lb_buf_cstr(&text), x->in_thinking[s->prompt], &answer, &s->closed);
    s->n_tokens = r->n_out, s->truncated = r->finish == LB_FINISH_LENGTH;
    json_t *j = line_of(x, s, &text);
    char *dump = j ? json_dumps(j, JSON_COMPACT) : NULL;
    lb_buf_str(&line, dump ? dump : "");
    lb_buf_byte(&line, '\n');
    bool ok = (dump || lb_fail_mem(x->err, text.n, "a trace")) && lb_buf_ok(&line, "a trace", x->err) &&
              append(x, s, line.p, line.n);
    s->done = ok;
    free(dump);
    json_decref(j);
    lb_buf_free(&line);
    lb_buf_free(&text);
    return ok;
}

static void on_done(lb_request *r)
{
    sample *s = r->user;
    run *x = s->run;
    if (x->failed) return;
    x->failed = !store(x, s);
    x->tokens += r->n_out;
    if (x->p) lb_progress_add(x->p, 1, r->n_out);
}

static bool generate(run *x)
{
    lb_request **list = lb_alloc(x->n, sizeof *list, "the samples", x->err);
    if (!list) return false;
    size_t n = 0, refused;
    for (size_t i = 0; i < x->n; i++)
        if (!x->samples[i].done) list[n++] = &x->samples[i].r;
    lb_generate_opt go = {.n_slot = x->o->n_slot, .kv = x->o->kv, .failed = &x->failed, .stop = x->o->stop};
    bool ok = lb_generate(x->t, list, n, &go, &refused, x->err);
    if (refused < n) lb_wrap(x->err, "prompt %s", x->o->prompts->p[((sample *)list[refused]->user)->prompt].id);
    free(list);
    return ok;
}

/* ---- order ---- */

static bool in_order(const run *x)
{
    size_t at = 0;
    for (size_t i = 0; i < x->n; at += x->samples[i++].size)
        if (x->samples[i].at != at) return false;
    return at == x->end;
}

static bool put_in_order(run *x)
{
    if (in_order(x)) return true;
    lb_map m;
    lb_out out;
    if (!lb_map_open(&m, x->path, x->err)) return false;
    bool ok = m.size == x->end || lb_fail(x->err, LB_EIO, "%s was changed by another program", x->path);
    ok = ok && lb_out_open(&out, x->path, x->err);
    if (ok) {
        for (size_t i = 0; ok && i < x->n; i++)
            ok = lb_out_write(&out, m.p + x->samples[i].at, x->samples[i].size, x->err);
        if (ok) ok = lb_out_commit(&out, x->err);
        else lb_out_abort(&out);
    }
    lb_map_close(&m);
    return ok;
}

static void count(const run *x, lb_trace_report *out)
{
    for (size_t i = 0; i < x->n; i++) {
        const sample *s = &x->samples[i];
        out->tokens_mean += s->n_tokens;
        out->truncated += s->truncated;
        out->think_closed += s->closed;
    }
    double n = (double)x->n;
    out->n = (int64_t)x->n;
    out->tokens_mean /= n, out->truncated /= n, out->think_closed /= n;
}

static void run_free(run *x)
{
    for (int i = 0; i < x->o->prompts->n; i++) {
        if (x->texts) lb_buf_free(&x->texts[i]);
        if (x->ids) lb_ids_free(&x->ids[i]);
    }
    free(x->texts);
    free(x->ids);
    free(x->in_thinking);
    free(x->samples);
    json_decref(x->by_key);
    if (x->fd >= 0 && x->made && x->end == 0) unlink(x->path); /* nothing came of it */
    if (x->fd >= 0) close(x->fd);
}

bool lb_trace_run(lb_target *t, const lb_trace_opt *o, const char *path, lb_progress *p, lb_trace_report *out,
                  lb_err *err)
{
    memset(out, 0, sizeof *out);
    run x = {.t = t, .o = o, .path = path, .p = p, .fd = -1, .err = err};
    double t0 = lb_now_s();
    bool ok = (t->hash[0] || lb_target_hash(t, err)) && plan(&x) && open_file(&x) && scan(&x);
    for (size_t i = 0; ok && i < x.n; i++) out->n_reused += x.samples[i].done;
    if (ok && p) lb_progress_reuse(p, out->n_reused);
    ok = ok && generate(&x) && put_in_order(&x);
    if (ok) count(&x, out);
    out->tokens_generated = x.tokens;
    out->seconds = lb_now_s() - t0;
    run_free(&x);
    return ok;
}
