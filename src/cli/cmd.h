/* cli/cmd.h – the commands: parse, call, print, exit status. */
#ifndef LB_CLI_CMD_H
#define LB_CLI_CMD_H
#include "base/json.h"
#include "base/progress.h"
#include "cli/args.h"
#include "kern/exec.h"
#include <signal.h>

typedef struct lb_command {
    const char *name, *summary, *example;
    /* argv[0] is the command's name. Returns true or fills err; *status may be set for an orderly end that is not 0. */
    bool (*run)(int argc, char **argv, int *status, lb_err *err);
} lb_command;

extern const lb_command *const lb_commands[];     /* NULL-terminated */
extern const lb_command lb_cmd_run, lb_cmd_eval, lb_cmd_grade, lb_cmd_quantize, lb_cmd_study, lb_cmd_bench, lb_cmd_inspect,
    lb_cmd_trace, lb_cmd_train, lb_cmd_sensitivity, lb_cmd_doctor, lb_cmd_verify, lb_cmd_report, lb_cmd_data;

/* ---- what commands share ---- */

/* Flags that every command which computes has. Put LB_COMMON_ARGS(c) into the table. */
typedef struct lb_common {
    const char *model, *isa, *device, *progress;
    int64_t threads;
    bool json, quiet, help, no_mmap;
} lb_common;
#define LB_COMMON_ARGS(c)                                                                                              \
    {"isa", 0, LB_ARG_STR, &(c).isa, "LEVEL", "CPU level: ref, avx2, avx512, avx512bf16, amx (default: the best)",       \
     0,     0, false},                                                                                                 \
        {"device", 0, LB_ARG_STR, &(c).device, "DEVICE", "cpu (default), cuda, cuda:1", 0, 0, false},                  \
        {"threads", 't', LB_ARG_INT, &(c).threads, "N", "CPU threads (default: all processors)", 1, 1024, false},      \
        {"progress", 0, LB_ARG_STR, &(c).progress, "HOW", "auto, bar, plain, json, none", 0, 0, false},                \
        {"no-mmap", 0, LB_ARG_FLAG, &(c).no_mmap, "", "CPU: copy weights to huge pages at load; faster decode, slower start",  \
     0, 0, false},                                                                                                         \
    {"json", 0, LB_ARG_FLAG, &(c).json, "", "print one JSON object to stdout", 0, 0, false},                       \
        {"quiet", 'q', LB_ARG_FLAG, &(c).quiet, "", "no progress, no remarks", 0, 0, false},                           \
    {                                                                                                                  \
        "help", 'h', LB_ARG_FLAG, &(c).help, "", "this text", 0, 0, false                                              \
    }
#define LB_KV_HELP "KV cache: bf16, f32, kv8, kv4, kv3, kv2, or kv4-quarot, kv4-kvquant, kv4-kivi; -w64 …"
#define LB_MODEL_ARG(c) {"model", 'm', LB_ARG_STR, &(c).model, "DIR", "the model: a Hugging Face folder", 0, 0, false}

/* Parses, and prints help if asked: *done is then true. At most one word that is no flag, taken as the model where none
 * was given by -m. */
bool lb_cmd_start(const lb_command *cmd, lb_arg *table, lb_common *c, int argc, char **argv, bool *done, lb_err *err);
bool lb_cmd_need_model(const lb_common *c, lb_err *err);
lb_exec *lb_cmd_exec(const lb_common *c, lb_err *err);
/* --thinking on|off|auto as template arguments: a new {"enable_thinking": …}, or NULL for auto. */
bool lb_cmd_thinking(const char *how, json_t **kwargs, lb_err *err);
bool lb_cmd_progress(const lb_common *c, lb_progress_mode *mode, lb_err *err);
/* Prints a result for --json and releases it. NULL (memory ran out while it was made) is LB_ENOMEM. */
bool lb_cmd_print_json(json_t *j, lb_err *err);
/* Set by SIGINT and SIGTERM; the second SIGINT kills. */
extern volatile sig_atomic_t lb_cmd_stop;
extern volatile sig_atomic_t lb_cmd_signal;
#endif
