/* inflate.c – fuzz target: base64 and zlib never give more than they may; bombs are refused. */
#include "eval/inflate.h"
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 20 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void inflate_one(const void *p, size_t n)
{
    lb_err e = {0};
    lb_buf b = {0}, c = {0};
    bool ok = lb_inflate(p, n, MOST, &b, &e);
    if (b.n > MOST || (!ok && e.code != LB_EFORMAT)) abort();
    if (ok && (!lb_inflate(p, n, b.n, &c, &e) || c.n != b.n || memcmp(lb_buf_cstr(&b), lb_buf_cstr(&c), b.n))) abort();
    lb_buf_reset(&c);
    if (ok && b.n && lb_inflate(p, n, b.n - 1, &c, &e)) abort();
    lb_buf_free(&b);
    lb_buf_free(&c);
}

/* The first byte says whether the rest is packed once or twice. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (size == 0) return 0;
    if (data[0] & 1) {
        lb_err e = {0};
        lb_buf b = {0};
        bool ok = lb_base64_decode((const char *)data + 1, size - 1, &b, &e);
        if (b.n > size / 4 * 3 || (!ok && e.code != LB_EFORMAT)) abort();
        if (ok) inflate_one(lb_buf_cstr(&b), b.n);
        lb_buf_free(&b);
    } else {
        inflate_one(data + 1, size - 1);
    }
    return 0;
}
#include "fuzz/replay.inc"
