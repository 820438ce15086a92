/* cli/main.c – `lowbit COMMAND …`: finds the command, turns its error into one line and an exit status. */
#include "cli/cmd.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

volatile sig_atomic_t lb_cmd_stop, lb_cmd_signal;

static void on_signal(int sig)
{
    if (lb_cmd_stop) _exit(128 + sig);
    lb_cmd_stop = 1;
    lb_cmd_signal = sig;
}

bool lb_cmd_start(const lb_command *cmd, lb_arg *table, lb_common *c, int argc, char **argv, bool *done, lb_err *err)
{
    const char *rest[1];
    int n;
    *done = false;
    if (!lb_args_parse(table, argc, argv, rest, 1, &n, err)) return lb_wrap(err, "lowbit %s", cmd->name);
    if (n == 1 && c->model && c->model != getenv("LOWBIT_MODEL")) /* the command line wins over the environment */
        return lb_fail(err, LB_EUSAGE, "lowbit %s: unexpected '%s'", cmd->name, rest[0]);
    if (n == 1) c->model = rest[0];
    if (!c->help) return true;
    printf("%s\n\n    %s\n\n", cmd->summary, cmd->example);
    lb_args_help(table);
    *done = true;
    return true;
}

bool lb_cmd_need_model(const lb_common *c, lb_err *err)
{
    return (c->model && *c->model) ||
           lb_fail(err, LB_EUSAGE, "no model: -m DIR names a Hugging Face folder, such as -m models/abacus-5m");
}

lb_exec *lb_cmd_exec(const lb_common *c, lb_err *err)
{
    return lb_exec_open(&(lb_exec_opt){.device = c->device, .isa = c->isa, .n_thread = (int)c->threads, .no_mmap = c->no_mmap}, err);
}

bool lb_cmd_progress(const lb_common *c, lb_progress_mode *mode, lb_err *err)
{
    *mode = c->quiet ? LB_PROGRESS_NONE : LB_PROGRESS_AUTO;
    return !c->progress || lb_progress_parse(c->progress, mode, err);
}

bool lb_cmd_print_json(json_t *j, lb_err *err)
{
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    json_decref(j);
    if (!text) return lb_fail_mem(err, 0, "the result");
    puts(text);
    free(text);
    return true;
}

bool lb_cmd_thinking(const char *how, json_t **kwargs, lb_err *err)
{
    *kwargs = NULL;
    if (!how || strcmp(how, "auto") == 0) return true;
    bool on = strcmp(how, "on") == 0;
    if (!on && strcmp(how, "off") != 0)
        return lb_fail(err, LB_EUSAGE, "--thinking=%s is unknown; there are on, off and auto", how);
    *kwargs = json_pack("{s:b}", "enable_thinking", on);
    return *kwargs || lb_fail_mem(err, 64, "the template's arguments");
}

static void usage(FILE *f)
{
    fprintf(f, "lowbit makes reasoning language models small and keeps them reasoning.\n\n    lowbit COMMAND [flags]   "
               "   lowbit COMMAND --help\n\n");
    for (int i = 0; lb_commands[i]; i++) fprintf(f, "  %-12s %s\n", lb_commands[i]->name, lb_commands[i]->summary);
    fprintf(f, "\nTry:\n    lowbit run -m models/abacus-5m -p 'Compute $12 \\cdot 34$.'\n");
}

static const lb_command *find(const char *name)
{
    for (int i = 0; lb_commands[i]; i++)
        if (strcmp(lb_commands[i]->name, name) == 0) return lb_commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts(lb_version());
        return 0;
    }
    const lb_command *cmd = find(argv[1]);
    if (!cmd) {
        fprintf(stderr, "lowbit: there is no command '%s'; `lowbit --help` lists them\n", argv[1]);
        return 2;
    }
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file over the limit is an error of write(), not a death */
    lb_err err = {0};
    int status = 0;
    bool ok = cmd->run(argc - 1, argv + 1, &status, &err);
    if (ok && (fflush(stdout) != 0 || ferror(stdout))) ok = lb_fail(&err, LB_EIO, "cannot write to stdout");
    if (ok) return status;
    if (err.code == LB_OK) lb_fail(&err, LB_EFAIL, "%s failed without saying why: a bug", cmd->name);
    fprintf(stderr, "lowbit: %s\n", err.msg);
    if (err.code == LB_ESTOPPED && lb_cmd_signal) return 128 + lb_cmd_signal;
    return lb_exit_status(err.code);
}
