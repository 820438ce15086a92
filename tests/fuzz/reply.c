/* fuzz/reply.c – what a server may send: as a reply, in two splits that must give the same, and as an error body.
 *
 * The first byte chooses the split and how many bytes are too many. */
#include "eval/remote_error.h"
#include "eval/remote_fields.h"
#include "eval/remote_reply.h"
#include "text/utf8.h"
#include <stdlib.h>
#include <string.h>

/* In pieces of `step` bytes (0: all at once), each in memory of its own. */
static lb_remote_fault feed(const uint8_t *data, size_t size, size_t step, size_t max, lb_remote_reply *out, char why[400])
{
    lb_remote_parse p;
    lb_remote_parse_init(&p, max);
    for (size_t i = 0, k; i < size; i += k) {
        k = step && step < size - i ? step : size - i;
        char *piece = malloc(k);
        if (!piece) abort();
        memcpy(piece, data + i, k);
        bool more = lb_remote_parse_feed(&p, piece, k, NULL);
        free(piece);
        if (!more) break;
    }
    memset(out, 0, sizeof *out);
    lb_remote_fault f = lb_remote_parse_end(&p, out);
    memcpy(why, p.why, sizeof p.why);
    lb_remote_parse_free(&p);
    return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    lb_remote_reply a, b;
    char why_a[400], why_b[400], text[160];
    size_t max = data[0] & 0x80 ? 200 : 1 << 20, step = 1 + data[0] % 17;
    lb_remote_fault f = feed(data + 1, size - 1, 0, max, &a, why_a);
    if (f != feed(data + 1, size - 1, step, max, &b, why_b)) abort();
    if (strcmp(why_a, why_b) != 0 || (f != LB_REMOTE_OK) != (*why_a != 0) || (f == LB_REMOTE_OK) != (a.text != NULL)) abort();
    if (f == LB_REMOTE_OK && (strcmp(a.text, b.text) != 0 || a.n_tokens != b.n_tokens || a.n_tokens < 0 || a.truncated != b.truncated)) abort();
    if (a.text && !lb_utf8_valid(a.text, strlen(a.text))) abort();
    free(a.text);
    free(b.text);

    lb_remote_error_text((const char *)data + 1, size - 1, text, sizeof text);
    if (!lb_utf8_valid(text, strlen(text)) || strchr(text, '\n')) abort();
    lb_remote_error_kind(data[0] * 3, text);
    lb_remote_error_fatal(data[0] * 3, text);
    lb_remote_fields fields = {0};
    lb_remote_request q = {.user = "x", .sampling = {.top_k = data[0] & 1}};
    for (int i = 0; lb_remote_learn(&fields, &q, text, NULL) == LB_LESSON_CHANGED; i++)
        if (i > 8) abort(); /* each field is left out once */
    return 0;
}
#include "fuzz/replay.inc"
