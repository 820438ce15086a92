/* text/detok.c – ids to text, whole and as a stream. */
#include "text/tokenizer_impl.h"
#include "text/utf8.h"
#include <string.h>

static const char *bytes_of(const lb_tokenizer *t, int id, bool skip_special, size_t *n)
{
    const char *p = lb_added_bytes(t->added, id, n);
    if (!p) return lb_bpe_bytes(t->bpe, id, n);
    return skip_special && lb_added_is_special(t->added, id) ? NULL : p;
}

bool lb_tokenizer_decode(const lb_tokenizer *t, const int *ids, size_t n, bool skip_special, lb_buf *out, lb_err *err)
{
    lb_buf bytes = {0};
    for (size_t i = 0; i < n; i++) {
        size_t k;
        const char *p = bytes_of(t, ids[i], skip_special, &k);
        if (p) lb_buf_add(&bytes, p, k);
    }
    if (!bytes.oom) lb_utf8_clean(out, lb_buf_cstr(&bytes), bytes.n);
    bool ok = lb_buf_ok(&bytes, "decoded text", err) && lb_buf_ok(out, "decoded text", err);
    lb_buf_free(&bytes);
    return ok;
}

void lb_detok_init(lb_detok *d, const lb_tokenizer *t, bool skip_special)
{
    *d = (lb_detok){.t = t, .skip_special = skip_special};
}

/* Adds one byte to what is held and gives out what is complete or can never be. */
static void push_byte(lb_detok *d, unsigned char b, lb_buf *out)
{
    d->held[d->n_held++] = b;
    while (d->n_held) {
        uint32_t c;
        size_t len = lb_utf8_step(d->held, (size_t)d->n_held, &c);
        if (!len) return; /* at most three bytes wait for the rest */
        if (c == LB_UTF8_BAD) lb_buf_utf8(out, 0xfffd);
        else lb_buf_add(out, d->held, len);
        d->n_held -= (int)len;
        memmove(d->held, d->held + len, (size_t)d->n_held);
    }
}

void lb_detok_push(lb_detok *d, int id, lb_buf *out)
{
    size_t n;
    const char *p = bytes_of(d->t, id, d->skip_special, &n);
    for (size_t i = 0; p && i < n; i++) push_byte(d, (unsigned char)p[i], out);
}

void lb_detok_end(lb_detok *d, lb_buf *out)
{
    if (d->n_held) lb_buf_utf8(out, 0xfffd);
    d->n_held = 0;
}
