/* value.c – fuzz target: JSON as Python reads it, as the text of a value. What Jansson takes is taken, equal values have
 * equal texts, and any text can be shown. */
#include "base/json.h"
#include "eval/judge_value.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    lb_err e = {0};
    lb_buf text = {0}, again = {0};
    char shown[64];
    const char *json = (const char *)data;
    lb_value_show(json, size, shown, sizeof shown);
    if (strlen(shown) >= sizeof shown) abort();
    bool ok = lb_value_text(json, size, &text, &e);
    if (!ok && e.code != LB_EFORMAT) abort();
    json_t *v = json_loadb(json, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (ok) {
        for (size_t i = 0; i < text.n; i++)
            if (!strchr("nids;[]{}?-0123456789abcdef", text.p[i])) abort();
        lb_value_show(text.p, text.n, shown, sizeof shown);
    }
    /* Deep values and floats out of range are where the two may differ. */
    char *plain = v && ok ? json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)) : NULL;
    if (plain && (!lb_value_text(plain, strlen(plain), &again, &e) || again.n != text.n ||
                  memcmp(again.p, text.p, text.n))) abort();
    free(plain);
    json_decref(v);
    lb_buf_free(&text);
    lb_buf_free(&again);
    return 0;
}
#include "fuzz/replay.inc"
