/* test_remote_reply.c – replies of a server, whole and broken, in every split of their bytes. */
#include "test.h"
#include "base/rng.h"
#include "eval/remote_error.h"
#include "eval/remote_fields.h"
#include "eval/remote_reply.h"

#define EV(json) "data: " json "\n\n"
#define DELTA(fields) EV("{\"choices\":[{\"index\":0,\"delta\":{" fields "}}]}")
#define FINISH(reason) EV("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}")
#define USAGE(n) EV("{\"choices\":[],\"usage\":{\"completion_tokens\":" #n "}}")
#define DONE EV("[DONE]")
#define DOC(message, reason) "{\"choices\":[{\"index\":0,\"message\":" message ",\"finish_reason\":" reason "}],\"usage\":{\"completion_tokens\":9}}"

typedef struct reply_case {
    const char *name, *bytes;
    lb_remote_fault fault;
    const char *text;            /* of a fault: a part of why */
    int n_tokens;
    bool truncated, estimated;
} reply_case;

static const reply_case cases[] = {
    {"content", DELTA("\"role\":\"assistant\"") DELTA("\"content\":\"4\"") DELTA("\"content\":\"2\"") FINISH("stop") USAGE(7) DONE, 0, "42", 7, 0, 0},
    {"no usage: the pieces count", DELTA("\"content\":\"4\"") DELTA("\"content\":\"2\"") FINISH("stop") DONE, 0, "42", 2, 0, 1},
    {"its own tags stay", DELTA("\"content\":\"<think>a</think>b\"") FINISH("stop") DONE, 0, "<think>a</think>b", 1, 0, 1},
    {"reasoning_content", DELTA("\"reasoning_content\":\"hm\"") DELTA("\"content\":\"b\"") FINISH("stop") USAGE(3), 0, "<think>hm</think>b", 3, 0, 0},
    {"reasoning", DELTA("\"reasoning\":\"hm\"") DELTA("\"content\":\"b\"") FINISH("stop") USAGE(3), 0, "<think>hm</think>b", 3, 0, 0},
    {"both are one", DELTA("\"reasoning\":\"hm\",\"reasoning_content\":\"hm\"") DELTA("\"content\":\"b\"") FINISH("stop") USAGE(3), 0,
     "<think>hm</think>b", 3, 0, 0},
    {"an empty one does not hide the other", DELTA("\"reasoning_content\":\"\",\"reasoning\":\"hm\"") DELTA("\"content\":\"b\"") FINISH("stop") USAGE(3), 0,
     "<think>hm</think>b", 3, 0, 0},
    {"thinking cut by length is not closed", DELTA("\"reasoning_content\":\"so x = 4\"") FINISH("length") USAGE(5), 0, "<think>so x = 4", 5, 1, 0},
    {"tagged reasoning", DELTA("\"reasoning\":\"<think>hm\"") DELTA("\"content\":\"b\"") FINISH("stop") USAGE(3), 0, "<think>hm</think>b", 3, 0, 0},
    {"length", DELTA("\"content\":\"4\"") FINISH("length") USAGE(64) DONE, 0, "4", 64, 1, 0},
    {"other names of ends", DELTA("\"content\":\"4\"") FINISH("eos_token") USAGE(1), 0, "4", 1, 0, 0},
    {"usage with the last chunk, no [DONE]",
     DELTA("\"content\":\"4\"") EV("{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"completion_tokens\":4}}"), 0, "4", 4, 0, 0},
    {"CR LF", "data: {\"choices\":[{\"delta\":{\"content\":\"4\"},\r\ndata: \"finish_reason\":\"stop\"}]}\r\n\r\ndata:[DONE]\r\n\r\n", 0, "4", 1, 0, 1},
    {"CR", "data: {\"choices\":[{\"delta\":{\"content\":\"4\"},\rdata: \"finish_reason\":\"stop\"}]}\r\rdata:[DONE]\r\r", 0, "4", 1, 0, 1},
    {"a BOM, comments, ids, events, unknown fields",
     "\xef\xbb\xbf: hello\n\nevent: message\nid: 4\nretry: 10\nfoo\nfoo: bar\n" DELTA("\"content\":\"4\"") ":\n\n\n" FINISH("stop") DONE, 0, "4", 1, 0, 1},
    {"the last event lacks its blank line", DELTA("\"content\":\"4\"") FINISH("stop") "data: {\"choices\":[],\"usage\":{\"completion_tokens\":4}}", 0, "4", 4, 0, 0},
    {"a cut last event does not matter once the end is known", DELTA("\"content\":\"4\"") FINISH("stop") "data: {\"choices\":[],\"usa", 0, "4", 1, 0, 1},
    {"what comes after [DONE]", DELTA("\"content\":\"4\"") FINISH("stop") USAGE(4) DONE "data: {{{\n\n\xff", 0, "4", 4, 0, 0},
    {"usage all the time", EV("{\"choices\":[{\"delta\":{\"content\":\"4\"}}],\"usage\":{\"completion_tokens\":1}}") FINISH("stop") USAGE(2) DONE, 0, "4", 2, 0, 0},
    {"usage that is none", DELTA("\"content\":\"4\"") FINISH("stop") EV("{\"choices\":[],\"usage\":{\"completion_tokens\":-4}}"), 0, "4", 1, 0, 1},
    {"nulls", EV("{\"error\":null,\"choices\":[{\"index\":0,\"delta\":{\"content\":null,\"reasoning_content\":null},\"finish_reason\":null}],\"usage\":null}")
     DELTA("\"content\":\"4\"") FINISH("stop"), 0, "4", 1, 0, 1},
    {"other choices", EV("{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"},\"finish_reason\":\"length\"}]}") DELTA("\"content\":\"4\"") FINISH("stop"), 0, "4",
     1, 0, 1},
    {"U+0000 becomes a space", DELTA("\"content\":\"4\\u00002\"") FINISH("stop"), 0, "4 2", 1, 0, 1},
    {"an emoji, escaped and not", DELTA("\"content\":\"\\ud83d\\ude00\xf0\x9f\x98\x80\"") FINISH("stop"), 0, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 1, 0, 1},
    {"big integers", EV("{\"created\":123456789012345678901234567890,\"choices\":[{\"delta\":{\"content\":\"4\"},\"finish_reason\":\"stop\"}]}"), 0, "4", 1, 0, 1},
    {"parts", DELTA("\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"hm\"}]},{\"type\":\"text\",\"text\":\"b\"}]") FINISH("stop")
     USAGE(3), 0, "<think>hm</think>b", 3, 0, 0},
    {"a refusal is an answer", DELTA("\"refusal\":\"I will not\"") FINISH("stop") USAGE(3), 0, "I will not", 3, 0, 0},
    {"an empty answer", DELTA("\"content\":\"\"") FINISH("stop") USAGE(1), 0, "", 1, 0, 0},
    {"an answer that is only the stop token", DELTA("\"role\":\"assistant\"") FINISH("stop") USAGE(1), 0, "", 1, 0, 0},
    {"hidden thinking that took all", DELTA("\"role\":\"assistant\"") FINISH("length") USAGE(100), 0, "", 100, 1, 0},
    {"a document", DOC("{\"content\":\"4\"}", "\"stop\""), 0, "4", 9, 0, 0},
    {"a document, split", "\n\n " DOC("{\"content\":\"4\",\"reasoning\":\"hm\"}", "\"length\""), 0, "<think>hm</think>4", 9, 1, 0},
    {"a document of an unfinished thought", DOC("{\"content\":null,\"reasoning_content\":\"hm\"}", "\"length\""), 0, "<think>hm", 9, 1, 0},
    {"a document that does not count", "{\"choices\":[{\"message\":{\"content\":\"12345678\"},\"finish_reason\":\"stop\"}]}", 0, "12345678", 2, 0, 1},

    {"nothing", "", LB_REMOTE_DROPPED, "empty", 0, 0, 0},
    {"only signs of life", ": a\n\n: b\n\n", LB_REMOTE_BROKEN, "neither JSON nor an event stream", 0, 0, 0},
    {"a web page", "\n<!doctype html><h1>502</h1>", LB_REMOTE_BROKEN, "a web page", 0, 0, 0},
    {"plain text", "upstream connect error", LB_REMOTE_BROKEN, "'upstream connect error'", 0, 0, 0},
    {"an array", "[]", LB_REMOTE_BROKEN, "array", 0, 0, 0},
    {"no finish_reason", DELTA("\"content\":\"4\"") DONE, LB_REMOTE_DROPPED, "finish_reason", 0, 0, 0},
    {"cut between events", DELTA("\"content\":\"4\""), LB_REMOTE_DROPPED, "finish_reason", 0, 0, 0},
    {"cut in an event", DELTA("\"content\":\"4\"") "data: {\"choi", LB_REMOTE_DROPPED, "middle of an event", 0, 0, 0},
    {"a cut document", "{\"choices\":[{\"message\":{\"content\":\"4", LB_REMOTE_BROKEN, "not valid JSON", 0, 0, 0},
    {"an event that is not JSON", "data: hello\n\n" FINISH("stop"), LB_REMOTE_BROKEN, "not valid JSON", 0, 0, 0},
    {"bad UTF-8", DELTA("\"content\":\"\xff\"") FINISH("stop"), LB_REMOTE_BROKEN, "not valid JSON", 0, 0, 0},
    {"half of a surrogate pair", DELTA("\"content\":\"\\ud83d\"") FINISH("stop"), LB_REMOTE_BROKEN, "not valid JSON", 0, 0, 0},
    {"content of a wrong type", DELTA("\"content\":5") FINISH("stop"), LB_REMOTE_BROKEN, "'content' is an integer", 0, 0, 0},
    {"reasoning of a wrong type", DELTA("\"reasoning\":{}") FINISH("stop"), LB_REMOTE_BROKEN, "'reasoning' is an object", 0, 0, 0},
    {"choices of a wrong type", EV("{\"choices\":{}}"), LB_REMOTE_BROKEN, "'choices' is an object", 0, 0, 0},
    {"a choice of a wrong type", EV("{\"choices\":[4]}"), LB_REMOTE_BROKEN, "a choice is an integer", 0, 0, 0},
    {"a delta of a wrong type", EV("{\"choices\":[{\"delta\":[]}]}"), LB_REMOTE_BROKEN, "'delta' is an array", 0, 0, 0},
    {"a finish of a wrong type", EV("{\"choices\":[{\"delta\":{},\"finish_reason\":true}]}"), LB_REMOTE_BROKEN, "'finish_reason' is a boolean", 0, 0, 0},
    {"an unknown finish", DELTA("\"content\":\"4\"") FINISH("weary"), LB_REMOTE_BROKEN, "'weary'", 0, 0, 0},
    {"an event that is an array", EV("[]"), LB_REMOTE_BROKEN, "an array", 0, 0, 0},
    {"no choices", "{\"choices\":[]}", LB_REMOTE_BROKEN, "'choices' is empty", 0, 0, 0},
    {"no choices at all", "{\"id\":\"x\"}", LB_REMOTE_BROKEN, "'choices' is missing", 0, 0, 0},
    {"no message", "{\"choices\":[{\"finish_reason\":\"stop\"}]}", LB_REMOTE_BROKEN, "no 'message'", 0, 0, 0},
    {"null content", DOC("{\"content\":null}", "\"stop\""), LB_REMOTE_BROKEN, "neither content nor reasoning", 0, 0, 0},
    {"filtered", DELTA("\"content\":\"4\"") FINISH("content_filter") DONE, LB_REMOTE_FILTERED, "filter", 0, 0, 0},
    {"aborted", DELTA("\"content\":\"4\"") FINISH("abort") DONE, LB_REMOTE_SERVER, "'abort'", 0, 0, 0},
    {"an error in the stream", DELTA("\"content\":\"4\"") EV("{\"error\":{\"message\":\"CUDA out of memory\",\"code\":500}}"), LB_REMOTE_SERVER,
     "CUDA out of memory", 0, 0, 0},
    {"an error that is a string", EV("{\"error\":\"worker died\"}"), LB_REMOTE_SERVER, "worker died", 0, 0, 0},
    {"an error by its object", EV("{\"object\":\"error\",\"message\":\"no\",\"code\":400}"), LB_REMOTE_REFUSED, "no", 0, 0, 0},
    {"an error in its own field", "error: {\"message\":\"slot unavailable\"}\n\n", LB_REMOTE_SERVER, "slot unavailable", 0, 0, 0},
    {"an error document with 200", "{\"error\":{\"message\":\"context length exceeded\"}}", LB_REMOTE_CONTEXT, "context length", 0, 0, 0},
    {"busy in the stream", EV("{\"error\":{\"message\":\"wait\",\"code\":429}}"), LB_REMOTE_BUSY, "wait", 0, 0, 0},
};

/* Feeds in pieces; split 0: all at once, 1: byte by byte, else random lengths. */
static lb_remote_fault feed(const char *s, size_t n, uint64_t split, size_t max, lb_remote_reply *out, char why[400])
{
    lb_remote_parse p;
    lb_remote_parse_init(&p, max);
    lb_rng_key key = lb_rng_key_of(split, n, 0);
    for (size_t i = 0, k; i < n; i += k) {
        k = split == 0 ? n : split == 1 ? 1 : 1 + (size_t)(lb_rng_uniform(key, i) * 40);
        if (k > n - i) k = n - i;
        char *exact = malloc(k); /* so that a sanitizer sees a byte read too far */
        memcpy(exact, s + i, k);
        bool more = lb_remote_parse_feed(&p, exact, k, NULL);
        free(exact);
        if (!more) break;
    }
    memset(out, 0, sizeof *out);
    lb_remote_fault f = lb_remote_parse_end(&p, out);
    snprintf(why, 400, "%s", p.why);
    lb_remote_parse_free(&p);
    return f;
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const reply_case *c = &cases[i];
        char why0[400];
        for (uint64_t split = 0; split < 40; split++) {
            lb_remote_reply r;
            char why[400];
            lb_remote_fault f = feed(c->bytes, strlen(c->bytes), split, 1 << 20, &r, why);
            if (f != c->fault) fail_msg("%s, split %d: %s (%s), wanted %s", c->name, (int)split, lb_remote_fault_name(f), why, lb_remote_fault_name(c->fault));
            if (split == 0) memcpy(why0, why, sizeof why);
            if (strcmp(why, why0) != 0) fail_msg("%s, split %d: '%s', whole '%s'", c->name, (int)split, why, why0);
            if (f) {
                if (!strstr(why, c->text)) fail_msg("%s: '%s', wanted '%s'", c->name, why, c->text);
                assert_null(r.text);
                continue;
            }
            if (strcmp(r.text, c->text) != 0 || r.n_tokens != c->n_tokens || r.truncated != c->truncated || r.tokens_estimated != c->estimated)
                fail_msg("%s, split %d: '%s' %d %d %d", c->name, (int)split, r.text, r.n_tokens, r.truncated, r.tokens_estimated);
            free(r.text);
        }
    }
}

static void test_limits(void **state)
{
    (void)state;
    lb_remote_reply r;
    char why[400];
    lb_buf b = {0};
    while (b.n < 200000) lb_buf_str(&b, DELTA("\"content\":\"word \""));
    lb_buf_str(&b, FINISH("stop"));
    for (uint64_t split = 0; split < 5; split++) {
        assert_int_equal(feed(b.p, b.n, split, 100000, &r, why), LB_REMOTE_TOO_LARGE);
        assert_int_equal(feed(b.p, b.n, split, b.n - 1, &r, why), LB_REMOTE_TOO_LARGE);
        assert_int_equal(feed(b.p, b.n, split, b.n, &r, why), LB_REMOTE_OK);
        free(r.text);
    }
    lb_buf_reset(&b); /* one event that never ends */
    lb_buf_str(&b, "data: \"");
    while (b.n < 9 << 20) lb_buf_str(&b, "01234567890123456789012345678901234567890123456789");
    for (uint64_t split = 0; split < 4; split += 2) assert_int_equal(feed(b.p, b.n, split, (size_t)64 << 20, &r, why), LB_REMOTE_TOO_LARGE);
    b.p[0] = '{'; /* one document that never ends */
    assert_int_equal(feed(b.p, b.n, 0, (size_t)64 << 20, &r, why), LB_REMOTE_TOO_LARGE);
    lb_buf_reset(&b);
    for (int i = 0; i < 100000; i++) lb_buf_str(&b, "{\"a\":[");
    assert_int_equal(feed(b.p, b.n, 0, (size_t)64 << 20, &r, why), LB_REMOTE_BROKEN);
    lb_buf_free(&b);
}

/* Comments keep a connection, but are no progress. */
static void test_progress(void **state)
{
    (void)state;
    static const struct { const char *bytes; bool progress; } steps[] = {
        {": wait\n\n", false}, {"\n", false}, {"data: {\"choices\":[]}\n", false}, {"\n", true}, {"event: x\n\n", false}};
    lb_remote_parse p;
    lb_remote_parse_init(&p, 1 << 20);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        bool progress = false;
        assert_true(lb_remote_parse_feed(&p, steps[i].bytes, strlen(steps[i].bytes), &progress));
        if (progress != steps[i].progress) fail_msg("step %zu: %d", i, progress);
    }
    lb_remote_parse_free(&p);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct { int status; const char *body, *text; lb_remote_fault kind; bool fatal; } t[] = {
        {401, "{\"error\":{\"message\":\"Incorrect API key\",\"code\":\"invalid_api_key\"}}", "Incorrect API key [invalid_api_key]", LB_REMOTE_REFUSED, true},
        {404, "{\"detail\":\"Not Found\"}", "Not Found", LB_REMOTE_REFUSED, true},
        {400, "{\"object\":\"error\",\"message\":\"bad\\nline\"}", "bad line", LB_REMOTE_REFUSED, false},
        {422, "{\"detail\":[{\"loc\":[\"body\",\"top_k\"],\"msg\":\"too small\"},{\"loc\":[\"body\"],\"msg\":\"x\"}]}", "body.top_k: too small; body: x",
         LB_REMOTE_REFUSED, false},
        {400, "{\"error\":{\"message\":\"This model's maximum context length is 4096 tokens\"}}", "This model's maximum context length is 4096 tokens",
         LB_REMOTE_CONTEXT, false},
        {500, "the request exceeds the available context size", "the request exceeds the available context size", LB_REMOTE_CONTEXT, false},
        {502, "<html>\r\n<h1>Bad \xff Gateway</h1>", "<html> <h1>Bad \xef\xbf\xbd Gateway</h1>", LB_REMOTE_SERVER, false},
        {503, "", "", LB_REMOTE_BUSY, false},
        {429, "{\"error\":{\"message\":\"slow\",\"type\":\"insufficient_quota\"}}", "slow [insufficient_quota]", LB_REMOTE_BUSY, true},
        {429, "{\"message\":\"slow\"}", "slow", LB_REMOTE_BUSY, false},
        {307, "", "", LB_REMOTE_REFUSED, true},
        {400, "{\"error\":{\"message\":\"no\",\"param\":\"seed\"}}", "no (field seed)", LB_REMOTE_REFUSED, false},
        {418, "{\"error\":[1,2]}", ": refused; : refused", LB_REMOTE_REFUSED, false},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char text[200];
        lb_remote_error_text(t[i].body, strlen(t[i].body), text, sizeof text);
        assert_string_equal(text, t[i].text);
        assert_int_equal(lb_remote_error_kind(t[i].status, text), t[i].kind);
        assert_int_equal(lb_remote_error_fatal(t[i].status, text), t[i].fatal);
    }
    char tiny[8];
    lb_remote_error_text("abcdef\xc3\xa9", 8, tiny, sizeof tiny); /* never cut inside a character */
    assert_string_equal(tiny, "abcdef");
    assert_true(lb_remote_error_names("Unexpected: {'top_k'}", "top_k"));
    assert_true(lb_remote_error_names("body.top_k: no", "top_k"));
    assert_false(lb_remote_error_names("top_kk, stop_k", "top_k"));
    assert_false(lb_remote_error_names("stream_options", "stream"));
}

static lb_remote_request plain_request(void)
{
    return (lb_remote_request){.user = "2 \xc3\x97 2?\n", .sampling = {0.6f, 0, 0.95f, 0, 1}, .max_new = 100, .seed = 42};
}

static void assert_body(const lb_remote_fields *f, const lb_remote_request *q, const char *want)
{
    lb_err e = {0};
    size_t n;
    char *body = lb_remote_body(f, "m", q, &n, &e);
    if (!body) fail_msg("%s", e.msg);
    assert_string_equal(body, want);
    assert_int_equal(n, strlen(want));
    free(body);
}

static void test_body(void **state)
{
    (void)state;
    lb_remote_fields f = {0};
    lb_remote_request q = plain_request();
    lb_err e = {0};
    size_t n;
    assert_body(&f, &q, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"2 \xc3\x97 2?\\n\"}],\"temperature\":0.6,\"top_p\":0.95,\"top_k\":-1,"
                        "\"min_p\":0.0,\"repetition_penalty\":1.0,\"seed\":42,\"max_tokens\":100,\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    assert_int_equal(lb_remote_learn(&f, &q, "Unexpected fields: {'min_p', 'repetition_penalty', 'top_k'}", &e), LB_LESSON_CHANGED);
    assert_int_equal(lb_remote_learn(&f, &q, "body.top_k: wrong", &e), LB_LESSON_CHANGED);
    assert_int_equal(lb_remote_learn(&f, &q, "Use 'max_completion_tokens' instead of max_tokens", &e), LB_LESSON_CHANGED);
    assert_int_equal(lb_remote_learn(&f, &q, "unknown field stream_options; unknown field seed", &e), LB_LESSON_CHANGED);
    assert_body(&f, &q, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"2 \xc3\x97 2?\\n\"}],\"temperature\":0.6,\"top_p\":0.95,"
                        "\"max_completion_tokens\":100,\"stream\":true}");
    assert_int_equal(lb_remote_learn(&f, &q, "stream is not supported", &e), LB_LESSON_CHANGED);
    assert_body(&f, &q, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"2 \xc3\x97 2?\\n\"}],\"temperature\":0.6,\"top_p\":0.95,"
                        "\"max_completion_tokens\":100}");
    assert_int_equal(f.version, 8); /* one for each field, top_k twice */
    assert_non_null(strstr(f.remarks, "refused: seed"));
    assert_non_null(strstr(f.remarks, "defaults hold: top_k (off), min_p (off), repetition_penalty (1)"));
    assert_int_equal(lb_remote_learn(&f, &q, "stream, seed, top_k: still no", &e), LB_LESSON_NONE); /* no loop */
    q.user = "\xff";
    assert_null(lb_remote_body(&f, "m", &q, &n, &e));
    assert_int_equal(e.code, LB_EFORMAT);
}

/* What was asked for is never left out silently. */
static void test_cannot(void **state)
{
    (void)state;
    json_t *kw = json_pack("{s:b}", "enable_thinking", 0);
    const char *const fields[] = {"top_k", "min_p", "repetition_penalty", "chat_template_kwargs"};
    for (int i = 0; i < 4; i++) {
        lb_remote_fields f = {0};
        lb_err e = {0};
        lb_remote_request q = plain_request();
        q.sampling = (lb_sampling){0.6f, 20, 0.95f, 0.05f, 1.1f};
        q.template_kwargs = kw;
        assert_int_equal(lb_remote_learn(&f, &q, fields[i], &e), LB_LESSON_CANNOT);
        assert_int_equal(e.code, LB_EUNSUPPORTED);
        assert_non_null(strstr(e.msg, fields[i]));
        assert_int_equal(f.version, 0);
    }
    lb_remote_fields f = {0};
    lb_remote_request q = plain_request();
    q.template_kwargs = kw;
    q.sampling.top_k = 20;
    assert_body(&f, &q, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"2 \xc3\x97 2?\\n\"}],\"temperature\":0.6,\"top_p\":0.95,\"top_k\":20,"
                        "\"min_p\":0.0,\"repetition_penalty\":1.0,\"seed\":42,\"max_tokens\":100,\"chat_template_kwargs\":{\"enable_thinking\":false},"
                        "\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    json_decref(kw);
}

static void test_keys(void **state)
{
    (void)state;
    json_t *on = json_pack("{s:b}", "enable_thinking", 1), *off = json_pack("{s:b}", "enable_thinking", 0), *none = json_object();
    lb_hash a = lb_remote_prompt_hash("p", NULL), b = lb_remote_prompt_hash("p", on), c = lb_remote_prompt_hash("p", off), d = lb_remote_prompt_hash("p", none);
    assert_true(a.lo != b.lo && b.lo != c.lo && a.lo == d.lo && a.hi == d.hi);
    json_decref(on), json_decref(off), json_decref(none);
    assert_int_equal(lb_remote_seed(42, 0), 42);
    for (int s = 0; s < 100; s++)
        for (int t = 0; t < s; t++) assert_int_not_equal(lb_remote_seed(42, s), lb_remote_seed(42, t));
    for (int s = 1; s < 100; s++) {
        assert_in_range(lb_remote_seed(43, s), 0, 0x7fffffff);
        assert_int_not_equal(lb_remote_seed(42, s), lb_remote_seed(43, s));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases), cmocka_unit_test(test_limits), cmocka_unit_test(test_progress), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_body),  cmocka_unit_test(test_cannot), cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
