/* test_study.c – recipes: what they mean, and what is wrong with them by name. */
#include "test.h"
#include "base/file.h"
#include "study/work.h"
#include "train/recipe.h"
#include <dirent.h>
#include <unistd.h>

static char dir[64], path[80];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/lowbit-study-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/r.json", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static bool open_text(lb_study *s, const char *text, bool quick, lb_err *e)
{
    lb_err why = {0};
    assert_ok(lb_write_file(path, text, strlen(text), &why), why);
    return lb_study_open(s, path, quick, e);
}

#define HEAD "\"name\": \"n\", \"model\": \"m\""
#define RUNS "\"runs\": [{\"scheme\": \"w16\"}, {\"method\": \"rtn\", \"scheme\": \"w3g64\", \"clip\": \"mse\"}]"

static void recipes_mean_what_they_say(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    assert_ok(open_text(s, "{" HEAD ", " RUNS "}", false, &e), e);
    assert_string_equal(s->name, "n");
    assert_int_equal(s->n_model, 1);
    assert_string_equal(s->models[0].dir, "m");
    assert_string_equal(s->data, "data");
    assert_true(s->n_task == 5 && s->n_run == 2 && s->eval.n_seed == 3 && s->eval.seeds[0] == 42 &&
                s->eval.n_sample == 1);
    assert_true(s->eval.limit == 0 && s->eval.max_new == 0 && s->eval.tasks == s->tasks);
    assert_string_equal(s->runs[0].label, "w16");
    assert_true(!s->runs[0].makes_model && s->runs[0].scheme.w_bits == 16);
    assert_true(s->runs[1].makes_model && s->runs[1].scheme.w_bits == 3 && strcmp(s->runs[1].quant.clip, "mse") == 0);
    assert_non_null(strstr(s->runs[1].label, "rtn+clip"));
    assert_string_equal(s->runs[1].id, "main-w3g64-rtn+clip");
    assert_true(s->runs[0].baseline == 0 && s->runs[1].baseline == 0);
    lb_study_close(s);
    static const char all[] =
        "{" HEAD ", \"about\": \"a\", \"data\": \"d\", \"tasks\": \"code,chain\", \"limit\": 50, \"seeds\": [7],"
        " \"samples\": 4, \"max_new\": 99, " RUNS ", \"quick\": {\"limit\": 3, \"seeds\": [1, 2]}}";
    for (int quick = 0; quick < 2; quick++) {
        assert_ok(open_text(s, all, quick, &e), e);
        assert_string_equal(s->data, "d");
        assert_int_equal(s->n_task, 2);
        assert_string_equal(s->tasks[0]->name, "code");
        assert_true(s->eval.limit == (quick ? 3 : 50) && s->eval.n_seed == (quick ? 2 : 1) &&
                    s->eval.seeds[0] == (quick ? 1 : 7));
        assert_true(s->eval.n_sample == 4 && s->eval.max_new == 99); /* quick has not changed these */
        lb_study_close(s);
    }
    lb_study_close(s); /* once more does no harm */
    free(s);
}

static void calibration_of_the_recipe_fills_gaps(void **state)
{
    (void)state;
    static const char text[] =
        "{" HEAD ", \"calib\": {\"source\": \"chain\", \"nsamples\": 7, \"seqlen\": 32, \"seed\": 9},"
        " \"runs\": [{\"scheme\": \"w4\", \"method\": \"gptq\"}, {\"scheme\": \"w4\", \"method\": \"rtn\"},"
        " {\"scheme\": \"w4\", \"method\": \"gptq\", \"calib\": {\"source\": \"code\", \"seqlen\": 16}}]}";
    lb_err e = {0};
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    assert_ok(open_text(s, text, false, &e), e);
    const lb_calib_spec *a = &s->runs[0].quant.calib, *b = &s->runs[2].quant.calib;
    assert_true(s->runs[0].calibrates && a->n_seq == 7 && a->n_tok == 32 && a->seed == 9);
    assert_string_equal(a->source, "chain");
    assert_false(s->runs[1].calibrates);
    assert_true(b->n_seq == 7 && b->n_tok == 16 && b->seed == 9);
    assert_string_equal(b->source, "code");
    assert_string_equal(s->runs[0].label, "w4g128 gptq"); /* what it says itself */
    assert_string_equal(s->runs[2].label, "w4g128 gptq on code calib len16");
    lb_study_close(s);
    free(s);
}

static void the_recipes_in_the_tree_are_valid(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (int quick = 0; quick < 2; quick++) {
        assert_ok(lb_study_open(s, "recipes/abacus-rtn.json", quick, &e), e);
        assert_true(s->n_run >= 4 && s->runs[0].scheme.w_bits == 16);
        lb_study_close(s);
    }
    free(s);
}

/* Each says what it is: "runs" of a study, "stages" of training. */
static void every_recipe_in_the_tree_can_be_read(void **state)
{
    (void)state;
    DIR *d = opendir("recipes");
    int n = 0;
    lb_study *s = calloc(1, sizeof *s);
    lb_train_recipe *t = calloc(1, sizeof *t);
    assert_true(d && s && t);
    for (struct dirent *f; (f = readdir(d));) {
        char file[300];
        lb_err e = {0};
        if (!strstr(f->d_name, ".json")) continue;
        snprintf(file, sizeof file, "recipes/%s", f->d_name);
        json_t *o = lb_json_load(file, &e);
        if (!o) fail_msg("%s", e.msg);
        if (json_object_get(o, "stages")) {
            assert_ok(lb_train_recipe_load(t, file, &e), e);
            lb_train_recipe_free(t);
        } else {
            for (int quick = 0; quick < 2; quick++) {
                assert_ok(lb_study_open(s, file, quick, &e), e);
                lb_study_close(s);
            }
        }
        json_decref(o);
        n++;
    }
    assert_true(n >= 3);
    closedir(d);
    free(t);
    free(s);
}

/* A recipe of the tree, without the runs whose methods this build does not have: none once it has them all. */
static void open_ptq(lb_study *s, const char *recipe, bool quick)
{
    lb_err e = {0};
    json_t *all = lb_json_load(recipe, &e);
    if (!all) fail_msg("%s", e.msg);
    json_t *runs = json_object_get(all, "runs");
    size_t n = json_array_size(runs);
    for (size_t i = json_array_size(runs); i-- > 0;) {
        const char *method = json_string_value(json_object_get(json_array_get(runs, i), "method"));
        lb_chain c;
        lb_err unknown = {0};
        if (!method || lb_chain_parse(method, &c, &unknown)) continue;
        if (!strstr(unknown.msg, "is not known")) fail_msg("%s: %s", recipe, unknown.msg);
        json_array_remove(runs, i);
    }
    assert_true(json_array_size(runs) >= n * 3 / 4);
    assert_ok(lb_json_save(path, all, &e), e);
    json_decref(all);
    assert_ok(lb_study_open(s, path, quick, &e), e);
}

/* Together they have what the studies' tables have. */
static void the_ptq_studies_are_valid(void **state)
{
    (void)state;
    static const char *const recipes[] = {"recipes/ptq-study.json", "recipes/ptq-ablations.json"};
    static const char *const groups[] = {"main", "mixed", "calib-domain", "calib-length", "pre-bias", "test-time"};
    enum { N_GROUP = sizeof groups / sizeof *groups };
    int in[N_GROUP] = {0};
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (size_t k = 0; k < 2; k++)
        for (int quick = 0; quick < 2; quick++) {
            open_ptq(s, recipes[k], quick);
            assert_int_equal(s->n_task, 5);
            for (int i = 0; i < s->n_run; i++) /* each has a model as it is to be compared with, thinking alike */
                if (!lb_study_is_plain(&s->runs[s->runs[i].baseline]))
                    fail_msg("%s: %s is compared with %s", recipes[k], s->runs[i].label,
                             s->runs[s->runs[i].baseline].label);
            for (int g = 0; g < N_GROUP; g++)
                for (int i = 0; i < s->n_run; i++) in[g] += strcmp(s->runs[i].group, groups[g]) == 0;
            lb_study_close(s);
        }
    for (int g = 0; g < N_GROUP; g++)
        if (in[g] < 4) fail_msg("%d runs in %s", in[g], groups[g]);
    free(s);
}

static void runs_may_say_more(void **state)
{
    (void)state;
    static const char text[] =
        "{\"name\": \"n\", \"models\": [\"a/x\", \"b/y\"], \"tasks\": \"chain\","
        " \"trace\": {\"math\": {\"prompts\": \"p.jsonl\", \"where\": {\"family\": \"chain\"}, \"nprompts\": 9,"
        "   \"samples\": 2, \"max_new\": 77, \"seed\": 5}},"
        " \"runs\": [{\"scheme\": \"w16\"},"
        "  {\"scheme\": \"w3g64\", \"method\": \"gptq\", \"kv\": \"kv4-quarot\", \"tensor\": {\"down_proj\": \"w4\","
        "   \"o_proj$\": \"w8\"}, \"target_bpw\": 3.5, \"options\": {\"damp\": \"0.02\", \"act_order\": \"0\"},"
        "   \"calib\": {\"source\": \"self:math\", \"nsamples\": 8, \"seqlen\": 64, \"seed\": 3}},"
        "  {\"scheme\": \"w16\", \"eval\": {\"think_budget\": 32}, \"group\": \"test-time\"},"
        "  {\"scheme\": \"w4\", \"method\": \"rtn\", \"eval\": {\"think_budget\": 32, \"max_new\": 64}, \"group\": "
        "\"test-time\"},"
        "  {\"scheme\": \"w4\", \"method\": \"rtn\", \"eval\": {\"think_budget\": 32}, \"group\": \"test-time\"},"
        "  {\"scheme\": \"w2\", \"method\": \"rtn\", \"label\": \"A & B\", \"group\": \"mixed\", \"model\": \"c/z\"},"
        "  {\"scheme\": \"w16\", \"kv\": \"kv2\", \"group\": \"mixed\", \"model\": \"b/y\"}]}";
    lb_err e = {0};
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    assert_ok(open_text(s, text, false, &e), e);
    assert_true(s->n_model == 3 && s->n_run == 12 && s->n_trace == 1); /* five for both, two for one */
    assert_true(s->runs[0].model == 0 && s->runs[1].model == 1);
    const lb_study_run *r = &s->runs[3];
    assert_true(r->model == 1 && r->makes_model && r->calibrates && r->target_bpw == 3.5);
    assert_true(r->quant.n_tensor == 2 && r->quant.n_opt == 2);
    assert_string_equal(r->quant.tensor[0], "down_proj=w4");
    assert_string_equal(r->quant.opt[1], "act_order=0");
    assert_string_equal(r->kv, "kv4-quarot");
    assert_null(r->quant.kv); /* that format is not calibrated: the weights are shared with other caches */
    assert_true(r->quant.calib.n_seq == 8 && r->quant.calib.n_tok == 64 && r->own_seed && r->quant.calib.seed == 3);
    assert_string_equal(r->label, "w3g64 gptq kv4-quarot to 3.5 bits down_proj=w4 o_proj$=w8 damp=0.02 act_order=0 on "
                                  "self:math calib n8 len64 seed3");
    assert_string_equal(s->runs[2].method, "gptq");
    assert_true(r->baseline == 1); /* of the same model */
    assert_true(s->runs[6].think_budget == 32 && s->runs[6].max_new == 64 &&
                s->runs[6].baseline == 4); /* none is like it */
    assert_true(s->runs[8].baseline == 4 && s->runs[9].baseline == 5); /* w16 with the same budget */
    assert_string_equal(s->runs[10].label, "A & B");
    assert_string_equal(s->runs[10].id, "mixed-z-a-b");
    assert_true(s->runs[10].model == 2 && s->runs[10].baseline == 10);
    assert_true(s->runs[11].model == 1 && s->runs[11].baseline == 1); /* of another group */
    assert_true(lb_study_is_plain(&s->runs[0]) && !lb_study_is_plain(&s->runs[11]) && !lb_study_is_plain(&s->runs[3]));
    const lb_study_trace *t = &s->traces[0];
    assert_true(t->n_prompt == 9 && t->n_sample == 2 && t->max_new == 77 && t->seed == 5);
    assert_string_equal(t->name, "math");
    for (int i = 0; i < s->n_run; i++)
        for (int j = 0; j < i; j++) assert_string_not_equal(s->runs[i].id, s->runs[j].id);
    lb_study_close(s);
    free(s);
}

/* Wrong keys of a run; each names the run. */
#define R(text) "{" HEAD ", \"runs\": [{\"scheme\": \"w16\"}, {\"scheme\": \"w4\", \"method\": \"rtn\", " text "}]}"
#define RUN_MISTAKES                                                                                                   \
    {R("\"kv\": 4"), "runs[1]: 'kv' is an integer"}, {R("\"kv\": \"../x\""), "runs[1]: 'kv' is '../x'"},               \
        {R("\"kv\": \"kv5-magic\""), "runs[1]: kv: KV cache format 'kv5-magic'"},                                      \
        {R("\"target_bpw\": 3"), "runs[1]: target_bpw wants a 'calib'"},                                               \
        {R("\"group\": \"\""), "runs[1]: 'group' is no plain name"}, {R("\"label\": \"\""), "runs[1]: 'label' wants"}, \
        {R("\"label\": \"a\\nb\""), "runs[1]: 'label' has a control character"},                                       \
        {R("\"target_bpw\": 0.5"), "runs[1]: 'target_bpw' is 0.5"},                                                    \
        {R("\"tensor\": [1]"), "runs[1]: 'tensor' is an array"},                                                       \
        {R("\"tensor\": {\"a\": 4}"), "runs[1]: tensor: 'a' is an integer"},                                           \
        {R("\"tensor\": {\"(\": \"w4\"}"), "runs[1]: tensor: '(' is not a regular expression"},                        \
        {R("\"tensor\": {\"a\": \"w99\"}"), "runs[1]: --tensor: scheme 'w99'"},                                        \
        {R("\"options\": \"x\""), "runs[1]: 'options' is a string"},                                                   \
        {R("\"options\": {\"damp\": 0.1}"), "runs[1]: options: 'damp' is a real number"},                              \
        {R("\"options\": {\"a=b\": \"c\"}"), "runs[1]: options: 'a=b'"},                                               \
        {R("\"options\": {\"damp\": \"1\"}"), "runs[1]: "},                                                            \
        {R("\"calib\": {\"source\": \"chain\"}"), "runs[1]: 'calib' is given, but nothing there is calibrated"},       \
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w4\", \"method\": \"gptq\"}]}", "runs[0]: gptq wants a 'calib'"},       \
        {"{" HEAD ", \"calib\": {\"seqlen\": 0}, " RUNS "}", "calib: 'seqlen' is 0"},                                  \
        {R("\"calib\": \"chain\""), "runs[1]: calib is a string"},                                                     \
        {R("\"calib\": {\"sorce\": \"chain\"}"), "runs[1]: calib: 'sorce' is not a key"},                              \
        {R("\"calib\": {\"source\": \"no/such\"}"), "runs[1]: calib: source 'no/such' is neither"},                    \
        {R("\"calib\": {\"source\": \"self\"}"), "runs[1]: calib: source 'self' wants a part \"trace\""},              \
        {R("\"calib\": {\"source\": \"self:x\"}"), "source 'self:x' wants"},                                           \
        {R("\"calib\": {\"seqlen\": 0}"), "runs[1]: calib: 'seqlen' is 0"},                                            \
        {R("\"eval\": {\"think\": 1}"), "runs[1]: eval: 'think' is not a key"},                                        \
        {R("\"eval\": {\"think_budget\": 0}"), "runs[1]: eval: 'think_budget' is 0"},                                  \
        {R("\"tensor\": "                                                                                              \
           "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": \"w4\"}"),                                                       \
         "runs[1]: there is so much"},                                                                                 \
        {R("\"model\": 1"), "runs[1]: 'model' is an integer"},                                                         \
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w16\", \"calib\": {}}]}", "without calib"},                             \
        {"{" HEAD ", \"models\": [\"a\"], " RUNS "}", "both 'model' and 'models'"},                                    \
        {"{\"name\": \"n\", \"models\": [], " RUNS "}", "'models' wants"},                                             \
        {"{\"name\": \"n\", \"models\": [1], " RUNS "}", "models[0] is an integer"},                                   \
        {"{\"name\": \"n\", \"models\": [\"a\", \"a\"], " RUNS "}", "models has 'a' twice"},                           \
        {"{" HEAD ", \"doctor\": 1, " RUNS "}", "doctor is an integer"},                                               \
        {"{" HEAD ", \"doctor\": {}, " RUNS "}", "doctor: 'source' is missing"},                                       \
        {"{" HEAD ", \"doctor\": {\"source\": \"self\"}, " RUNS "}", "doctor: source 'self' wants"},                   \
        {"{" HEAD ", \"doctor\": {\"source\": \"chain\"}, " RUNS "}", "'chain' is neither a file of traces nor self"}, \
        {"{" HEAD ", \"trace\": 1, " RUNS "}", "trace is an integer"},                                                 \
        {"{" HEAD ", \"trace\": {\"n\": 1}, " RUNS "}", "trace: 'n' is not a key"},                                    \
        {"{" HEAD ", \"trace\": {\"a\": {}}, " RUNS "}", "trace 'a': 'prompts' is missing"},                           \
        {"{" HEAD ", \"trace\": {\"../a\": {\"prompts\": \"p\"}}, " RUNS "}", "has no plain name"},                    \
        {"{" HEAD ", \"trace\": {\"prompts\": \"p\", \"where\": {\"a\": 1}}, " RUNS "}", "where: 'a' is an integer"},

static const char *text_in(const json_t *o, const char *part, const char *key)
{
    const char *text = json_string_value(json_object_get(part ? json_object_get(o, part) : o, key));
    return text ? text : "";
}

static long long number_in(const json_t *o, const char *part, const char *key)
{
    return (long long)json_integer_value(json_object_get(part ? json_object_get(o, part) : o, key));
}

/* What the run says, then its file, then what the study says for all. */
static void training_is_put_together(void **state)
{
    (void)state;
    static const char text[] =
        "{" HEAD ", \"tasks\": \"chain\", \"trace\": {\"a\": {\"prompts\": \"p.jsonl\", \"nprompts\": 9, \"max_new\": 77,"
        "   \"where\": {\"family\": \"chain\"}}},"
        " \"train\": {\"seed\": 5, \"traces\": {\"file\": \"self:a\"}, \"start\": {\"nsamples\": 8, \"seqlen\": 64}},"
        " \"runs\": [{\"scheme\": \"w16\"},"
        "  {\"scheme\": \"w2g128\", \"train\": {\"stages\": [{\"kind\": \"kd\", \"steps\": 300}, {\"kind\": \"grpo\"}]}},"
        "  {\"scheme\": \"w2g128\", \"method\": \"rtn\", \"kv\": \"kv4\", \"train\": {\"seed\": 6, \"start\": {\"seqlen\": 32},"
        "    \"stages\": [{\"kind\": \"sft\", \"scheme\": \"w4g128\"}, {\"kind\": \"sft\", \"steps\": 3}]}},"
        "  {\"scheme\": \"w3g128\", \"method\": \"none\", \"train\": {\"traces\": {\"prompts\": \"q.jsonl\"},"
        "    \"stages\": [{\"kind\": \"grpo\"}]}},"
        "  {\"scheme\": \"w3g128\", \"train\": {\"traces\": {\"prompts\": \"q.jsonl\"}, \"stages\": [{\"kind\": \"kd\"}]}}],"
        " \"quick\": {\"steps\": 100}}";
    lb_err e = {0};
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (int quick = 0; quick < 2; quick++) {
        assert_ok(open_text(s, text, quick, &e), e);
        const lb_study_run *a = &s->runs[1], *b = &s->runs[2], *c = &s->runs[3], *d = &s->runs[4];
        assert_true(!s->runs[0].train && a->train && a->makes_model && !a->calibrates && a->baseline == 0);
        assert_string_equal(a->method, "gptq → kd → grpo");
        assert_string_equal(a->label, "w2g128 gptq → kd → grpo");
        assert_string_equal(a->id, "main-w2g128-gptq-kd-grpo");
        assert_string_equal(text_in(a->train, NULL, "name"), "w2g128-gptq-kd-grpo");
        assert_string_equal(text_in(a->train, "traces", "prompts"), "p.jsonl");
        assert_true(number_in(a->train, "traces", "nprompts") == 9 && number_in(a->train, "traces", "max_new") == 77);
        assert_true(number_in(a->train, "start", "nsamples") == 8 && number_in(a->train, NULL, "seed") == 5);
        const json_t *stages = json_object_get(a->train, "stages");
        assert_int_equal(number_in(json_array_get(stages, 0), NULL, "steps"), quick ? 100 : 300);
        assert_int_equal(number_in(json_array_get(stages, 1), NULL, "steps"), quick ? 100 : 0);
        assert_string_equal(a->learns.name, "a"); /* the study's own: one file for calibration and training */
        assert_string_equal(b->method, "rtn → sft w4g128 → sft");
        assert_string_equal(b->label, "w2g128 rtn → sft w4g128 → sft kv4");
        assert_string_equal(text_in(b->train, "start", "method"), "rtn");
        assert_true(number_in(b->train, "start", "nsamples") == 8 && number_in(b->train, "start", "seqlen") == 32);
        assert_int_equal(number_in(b->train, NULL, "seed"), 6);
        assert_int_equal(number_in(json_array_get(json_object_get(b->train, "stages"), 1), NULL, "steps"), 3);
        assert_null(c->learns.prompts); /* it writes, and reads nothing */
        assert_string_equal(d->learns.prompts, "q.jsonl");
        assert_true(d->learns.n_prompt == 4096 && d->learns.n_sample == 1 && d->learns.seed == 1);
        lb_study_close(s);
    }
    assert_null(s->trainings);
    free(s);
}

/* A start may be calibrated on another text than the stages learn from; what a curve does not say is the study's. */
static void domains_and_curves_are_put_together(void **state)
{
    (void)state;
    static const char text[] =
        "{" HEAD ", \"tasks\": \"chain,code\", \"limit\": 50, \"seeds\": [1, 2], \"trace\": {\"a\": {\"prompts\": \"p.jsonl\","
        "   \"nprompts\": 9}, \"b\": {\"prompts\": \"p.jsonl\", \"where\": {\"family\": \"code\"}}},"
        " \"train\": {\"traces\": {\"file\": \"self:a\"}, \"curve\": {\"every\": 20}},"
        " \"runs\": [{\"scheme\": \"w2g128\", \"label\": \"same\", \"train\": {\"start\": {\"calib\": \"self:a\"},"
        "    \"stages\": [{\"kind\": \"kd\"}]}},"
        "  {\"scheme\": \"w2g128\", \"label\": \"other\", \"train\": {\"start\": {\"calib\": \"self:b\"},"
        "    \"curve\": {\"every\": 5, \"limit\": 30, \"seeds\": [7], \"tasks\": \"code\"}, \"stages\": [{\"kind\": \"kd\"}]}},"
        "  {\"scheme\": \"w2g128\", \"label\": \"text\", \"train\": {\"start\": {\"calib\": \"README.md\"},"
        "    \"traces\": {\"file\": \"self:b\"}, \"stages\": [{\"kind\": \"kd\"}]}}],"
        " \"quick\": {\"limit\": 3, \"seeds\": [9], \"steps\": 4}}";
    lb_err e = {0};
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (int quick = 0; quick < 2; quick++) {
        assert_ok(open_text(s, text, quick, &e), e);
        const lb_study_run *same = &s->runs[0], *other = &s->runs[1], *file = &s->runs[2];
        assert_string_equal(text_in(same->train, "start", "calib"), "traces");
        assert_true(!same->starts_on.prompts && strcmp(same->learns.name, "a") == 0);
        assert_true(strcmp(other->starts_on.name, "b") == 0 && strcmp(other->learns.name, "a") == 0);
        const json_t *calib = json_object_get(json_object_get(other->train, "start"), "calib");
        assert_string_equal(text_in(calib, "where", "family"), "code");
        assert_string_equal(text_in(file->train, "start", "calib"), "README.md");
        assert_true(!file->starts_on.prompts && strcmp(file->learns.name, "b") == 0);
        const json_t *a = json_object_get(same->train, "curve"), *b = json_object_get(other->train, "curve");
        assert_true(number_in(a, NULL, "every") == 20 && number_in(a, NULL, "limit") == (quick ? 3 : 50));
        assert_int_equal(json_array_size(json_object_get(a, "seeds")), quick ? 1 : 2);
        assert_true(number_in(b, NULL, "every") == 5 && number_in(b, NULL, "limit") == (quick ? 3 : 30));
        assert_int_equal(json_integer_value(json_array_get(json_object_get(b, "seeds"), 0)), quick ? 9 : 7);
        assert_string_equal(text_in(a, NULL, "tasks"), "chain,code");
        assert_string_equal(text_in(b, NULL, "tasks"), "code");
        lb_study_close(s);
    }
    free(s);
}

/* A file's own name, scheme and evaluation are left aside; the run and then the file come before the study. Folders are
 * named after all that makes what is in them, and only that. */
static void training_comes_from_files_and_names_its_folder(void **state)
{
    (void)state;
    char file[100], traces[100], text[2000];
    lb_err e = {0};
    static const char recipe[] =
        "{\"name\": \"x\", \"about\": \"y\", \"scheme\": \"w3g128\", \"seed\": 1, \"traces\": {\"file\": \"%s\"},"
        " \"start\": {\"method\": \"rtn\"}, \"stages\": [{\"kind\": \"kd\", \"lr\": 1e-4}], \"eval\": {\"tasks\": \"abacus\"}}";
    snprintf(file, sizeof file, "%s/t.json", dir);
    snprintf(traces, sizeof traces, "%s/t.jsonl", dir);
    snprintf(text, sizeof text, recipe, traces);
    assert_ok(lb_write_file(file, text, strlen(text), &e) && lb_write_file(traces, "{}\n", 3, &e), e);
    snprintf(text, sizeof text,
             "{" HEAD ", \"tasks\": \"chain\", \"train\": {\"seed\": 3, \"keep_every\": 4}, \"runs\": ["
             "{\"scheme\": \"w2g128\", \"train\": {\"recipe\": \"%s\"}},"
             "{\"scheme\": \"w2g128\", \"group\": \"again\", \"train\": {\"recipe\": \"%s\"}},"
             "{\"scheme\": \"w2g128\", \"label\": \"other\", \"train\": {\"recipe\": \"%s\", \"seed\": 2}},"
             "{\"scheme\": \"w2g128\", \"method\": \"gptq\", \"train\": {\"recipe\": \"%s\"}}]}", file, file, file, file);
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    assert_ok(open_text(s, text, false, &e), e);
    const lb_study_run *a = &s->runs[0], *c = &s->runs[2];
    assert_true(number_in(a->train, NULL, "seed") == 1 && number_in(a->train, NULL, "keep_every") == 4);
    assert_string_equal(text_in(a->train, NULL, "scheme"), "w2g128");
    assert_true(!json_object_get(a->train, "eval") && !json_object_get(a->train, "about"));
    assert_int_equal(number_in(c->train, NULL, "seed"), 2);
    assert_string_equal(s->runs[3].method, "gptq → kd");
    lb_study_opt o = {.out_dir = "OUT"};
    lb_study_work w = {.s = s, .o = &o, .err = &e};
    char first[2][512];
    for (int turn = 0; turn < 2; turn++) {
        snprintf(s->models[0].hash, sizeof s->models[0].hash, "0123");
        for (int i = 0; i < 4; i++) assert_ok(lb_study_place(&w, &s->runs[i]), e);
        assert_true(strncmp(a->dir, "OUT/models/w2g128-rtn-kd-", 25) == 0 && strlen(a->dir) == 33);
        assert_true(strncmp(s->runs[3].dir, "OUT/models/w2g128-gptq-kd-", 26) == 0);
        assert_string_equal(a->dir, s->runs[1].dir);
        assert_string_not_equal(a->dir, c->dir);
        snprintf(first[turn], sizeof first[turn], "%s", a->dir);
        assert_ok(lb_write_file(traces, "{ }\n", 4, &e), e); /* other traces, another model */
    }
    assert_string_not_equal(first[0], first[1]);
    snprintf(s->models[0].hash, sizeof s->models[0].hash, "4567");
    assert_ok(lb_study_place(&w, &s->runs[0]), e);
    assert_string_not_equal(a->dir, first[1]);
    lb_study_close(s);
    free(s);
    unlink(traces);
    unlink(file);
}

/* Wrong keys of a run that is trained. */
#define KD "\"traces\": {\"prompts\": \"p\"}, \"stages\": [{\"kind\": \"kd\"}]"
#define T(run, train) "{" HEAD ", \"runs\": [{\"scheme\": \"w2g128\", " run "\"train\": {" train "}}]}"
#define TRAIN_MISTAKES                                                                                                 \
    {"{" HEAD ", \"runs\": [{\"scheme\": \"w2g128\", \"train\": 1}]}", "runs[0]: train is an integer"},                  \
        {T("", "\"stages\": []"), "runs[0]: train: 'stages' wants an array"},                                          \
        {T("", "\"scheme\": \"w2g128\", " KD), "runs[0]: train: 'scheme' is not a key"},                               \
        {T("", "\"eval\": {}, " KD), "runs[0]: train: 'eval' is not a key"},                                           \
        {T("", "\"name\": \"x\", " KD), "runs[0]: train: 'name' is not a key"},                                        \
        {T("", "\"stages\": [{\"kind\": \"kd\"}]"), "runs[0]: train: stages[0] learns from traces"},                   \
        {T("", "\"traces\": {\"prompts\": \"p\"}, \"stages\": [{\"kind\": \"kd\", \"lr\": \"1\"}]"),                     \
         "runs[0]: train: stages[0]: 'lr' is a string"},                                                               \
        {T("", "\"traces\": {\"file\": \"self:a\"}, \"stages\": [{\"kind\": \"kd\"}]"),                                \
         "runs[0]: train: traces: file: source 'self:a' wants a part \"trace\""},                                      \
        {T("", "\"traces\": {\"file\": \"no/such\"}, \"stages\": [{\"kind\": \"kd\"}]"),                               \
         "runs[0]: train: traces: file 'no/such' is neither there nor self"},                                          \
        {T("", "\"traces\": {\"prompts\": \"p\", \"where\": {\"a\": 1}}, \"stages\": [{\"kind\": \"kd\"}]"),           \
         "runs[0]: train: traces: where: 'a' is an integer"},                                                          \
        {T("", "\"teacher\": \"no/such\", " KD), "runs[0]: train: 'teacher' is 'no/such', which is no model folder"},    \
        {T("", "\"start\": {\"calib\": \"self\"}, " KD), "runs[0]: train: start: calib: source 'self' wants a part \"trace\""}, \
        {T("", "\"start\": {\"calib\": \"no/such\"}, " KD), "start: calib: source 'no/such' is neither"},                \
        {T("", "\"start\": {\"method\": \"magic\"}, " KD), "runs[0]: train: start: "},                                 \
        {T("", "\"start\": {\"options\": {\"damp\": 1}}, " KD), "start: options: 'damp' wants a text"},                \
        {T("", "\"start\": {\"options\": {\"dump\": \"1\"}}, " KD), "runs[0]: train: start: "},                        \
        {T("\"method\": \"rtn\", ", "\"start\": {\"method\": \"gptq\"}, " KD), "the run's 'method' is 'rtn', and start"}, \
        {T("\"clip\": \"mse\", ", KD), "runs[0]: 'clip' means nothing in a run that is trained"},                      \
        {T("\"calib\": {}, ", KD), "runs[0]: 'calib' means nothing in a run that is trained"},                         \
        {T("\"kv\": \"kv3-kvquant\", ", KD), "kv 'kv3-kvquant' is calibrated, which"},                                 \
        {T("", "\"recipe\": \"no/such.json\""), "runs[0]: train: recipe: cannot open no/such.json"},                               \
        {T("", "\"recipe\": \"recipes/abacus-rtn.json\""), "is no recipe of training"},                                \
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w16\", \"train\": {" KD "}}]}", "wants a scheme of 8 bits or less"},      \
        {T("", "\"curve\": 3, " KD), "runs[0]: train: curve is an integer"},                                           \
        {T("", "\"curve\": {\"tasks\": \"chess\", \"every\": 2}, " KD), "runs[0]: train: curve: "},                   \
        {"{" HEAD ", \"train\": {\"scheme\": \"w4\"}, " RUNS "}", "train: 'scheme' is not a key"},                       \
        {"{" HEAD ", " RUNS ", \"quick\": {\"steps\": 0}}", "quick: 'steps' is 0"},                                     \
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w2\", \"train\": {" KD "}}, {\"scheme\": \"w2\", \"group\": \"b\","        \
         " \"train\": {\"seed\": 7, " KD "}}]}",                                                                       \
         "runs[1] is w2g128 gptq → kd, as runs[0] is, but trained otherwise"},

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[]", "an array, wanted an object"},
        {"{}", "'name' is missing"},
        {"{\"name\": \"n\", " RUNS "}", "'model' is missing"},
        {"{" HEAD "}", "'runs' wants"},
        {"{" HEAD ", \"runs\": []}", "'runs' wants"},
        {"{" HEAD ", \"runs\": {}}", "'runs' wants"},
        {"{" HEAD ", \"runs\": [7]}", "runs[0] is an integer"},
        {"{" HEAD ", \"runs\": [{}]}", "runs[0]: 'scheme' is missing"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w4\"}]}", "runs[0]: 'method' is missing"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w16\"}, {\"scheme\": \"w99\", \"method\": \"rtn\"}]}", "runs[1]"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w4\", \"method\": \"magic\"}]}", "magic"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w4\", \"method\": \"rtn\", \"clip\": \"no\"}]}", "'clip' is 'no'"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w4\", \"method\": \"rtn\", \"bits\": 4}]}", "'bits' is not a key"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w16\", \"method\": \"rtn\"}]}", "w16 is the model as it is"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w16\", \"clip\": \"mse\"}]}", "w16 is the model as it is"},
        RUN_MISTAKES TRAIN_MISTAKES
        {"{" HEAD
         ", \"runs\": [{\"scheme\": \"w16\"}, {\"scheme\": \"w4\", \"method\": \"rtn\"}, {\"scheme\": \"w4g128\","
         " \"method\": \"rtn\"}]}",
         "as runs[1] is"},
        {"{\"name\": \"../n\", \"model\": \"m\", " RUNS "}", "'name' is no plain file name"},
        {"{\"name\": \"\", \"model\": \"m\", " RUNS "}", "'name' is no plain file name"},
        {"{\"name\": \"0123456789012345678901234567890123456789012345678901234567890123\", \"model\": \"m\", " RUNS "}",
         "less than 64 bytes"},
        {"{" HEAD ", " RUNS ", \"tpyo\": 1}", "'tpyo' is not a key"},
        {"{" HEAD ", " RUNS ", \"tasks\": \"chain,nosuch\"}", "'nosuch'"},
        {"{" HEAD ", " RUNS ", \"tasks\": \"\"}", "names no task"},
        {"{" HEAD ", " RUNS ", \"limit\": 0}", "'limit' is 0"},
        {"{" HEAD ", " RUNS ", \"samples\": 4097}", "'samples' is 4097"},
        {"{" HEAD ", " RUNS ", \"max_new\": \"many\"}", "'max_new' is a string"},
        {"{" HEAD ", " RUNS ", \"seeds\": 42}", "'seeds' wants an array"},
        {"{" HEAD ", " RUNS ", \"seeds\": []}", "'seeds' wants an array"},
        {"{" HEAD ", " RUNS ", \"seeds\": [1, -2]}", "seeds[1]"},
        {"{" HEAD ", " RUNS ", \"seeds\": [1, 1.5]}", "seeds[1] is a real number"},
        {"{" HEAD ", " RUNS ", \"seeds\": [5, 6, 5]}", "seeds has 5 twice"},
        {"{" HEAD ", " RUNS ", \"quick\": 1}", "quick is an integer"}, /* although it is not used here */
        {"{" HEAD ", " RUNS ", \"quick\": {\"tasks\": \"chain\"}}", "quick: 'tasks' is not a key"},
        {"{" HEAD ", " RUNS ", \"quick\": {\"limit\": -1}}", "quick: 'limit' is -1"},
        {"{" HEAD ", " RUNS, "JSON"},
    };
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err e = {0};
        if (open_text(s, bad[i].text, false, &e)) fail_msg("taken: %s", bad[i].text);
        if (!strstr(e.msg, bad[i].says) || !strstr(e.msg, "r.json"))
            fail_msg("%s\n gave '%s', wanted '%s'", bad[i].text, e.msg, bad[i].says);
        assert_true(s->recipe == NULL && s->tasks == NULL && s->n_run == 0);
    }
    lb_err e = {0};
    assert_false(open_text(s, "{" HEAD ", " RUNS "}", true, &e));
    assert_non_null(strstr(e.msg, "no 'quick' part"));
    unlink(path);
    assert_false(lb_study_open(s, path, false, &e));
    assert_int_equal(e.code, LB_EIO);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipes_mean_what_they_say),
        cmocka_unit_test(runs_may_say_more),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(training_is_put_together),
        cmocka_unit_test(domains_and_curves_are_put_together),
        cmocka_unit_test(training_comes_from_files_and_names_its_folder),
        cmocka_unit_test(every_recipe_in_the_tree_can_be_read),
        cmocka_unit_test(calibration_of_the_recipe_fills_gaps),
        cmocka_unit_test(the_recipes_in_the_tree_are_valid),
        cmocka_unit_test(the_ptq_studies_are_valid),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
