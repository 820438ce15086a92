/* template.c – fuzz target: any bytes as a chat template, rendered over a conversation with tools. */
#include "text/chat.h"
#include "text/template.h"
#include <string.h>

static const char vars_text[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"be <b>brief</b>\"},"
    " {\"role\": \"user\", \"content\": \"h\\u00e9llo\\n\\u65e5\"},"
    " {\"role\": \"assistant\", \"content\": \"<think>\\na\\n</think>\\n\\nb\","
    "  \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": {\"x\": 1, \"y\": [1.5, null, true]}}}]},"
    " {\"role\": \"tool\", \"content\": [{\"type\": \"text\", \"text\": \"t\"}]}],"
    " \"tools\": [{\"function\": {\"name\": \"f\", \"parameters\": {\"type\": \"object\"}}}],"
    " \"add_generation_prompt\": true, \"bos_token\": \"<s>\", \"s\": \"abc ABC\", \"l\": [3, 1, 2],"
    " \"d\": {\"k\": \"v\", \"n\": {\"m\": 1}}, \"i\": 7, \"f\": 2.5, \"n\": null}";

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static json_t *vars;
    lb_err e = {0};
    lb_buf out = {0};
    if (!vars) vars = lb_json_parse(vars_text, sizeof vars_text - 1, "vars", &e);
    if (!vars) __builtin_trap();
    lb_template *t = lb_template_parse((const char *)data, size, "fuzz", &e);
    if (t && !lb_template_render(t, vars, &out, &e) && (out.n || !e.code || !e.msg[0])) __builtin_trap();
    if (t && out.n) lb_chat_starts_in_thinking(out.p, out.n);
    if (!t && (!e.code || !e.msg[0])) __builtin_trap();
    lb_template_free(t);
    lb_buf_free(&out);
    return 0;
}

#include "fuzz/replay.inc"
