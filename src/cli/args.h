/* cli/args.h – flags: one table per command, read from the command line and from LOWBIT_* in the environment.
 *
 * --flag value, --flag=value, -f value; '_' and '-' are the same in long names; an unknown flag is an error that names
 * the nearest one. The command line wins over the environment. A flag given twice counts the last time, except lists. */
#ifndef LB_CLI_ARGS_H
#define LB_CLI_ARGS_H
#include "base/err.h"

typedef enum lb_arg_type { LB_ARG_FLAG, LB_ARG_STR, LB_ARG_INT, LB_ARG_REAL, LB_ARG_LIST } lb_arg_type;

enum { LB_MAX_LIST = 1024 };
typedef struct lb_list {         /* LB_ARG_LIST: a flag that may be repeated */
    const char *p[LB_MAX_LIST];
    int n;
} lb_list;

typedef struct lb_arg {
    const char *name;            /* without dashes; NULL ends the table */
    char letter;                 /* 0: none */
    lb_arg_type type;
    void *dst;                   /* bool*, const char**, int64_t*, double*, lb_list* */
    const char *meta, *help;     /* "DIR", "the model folder" */
    double min, max;             /* of LB_ARG_INT and LB_ARG_REAL */
    bool given;                  /* set when the flag or its variable was there */
} lb_arg;

/* Parses argv[1…]; words that are no flags go to rest (at most max_rest; LB_EUSAGE beyond). */
bool lb_args_parse(lb_arg *table, int argc, char **argv, const char **rest, int max_rest, int *n_rest, lb_err *err);
bool lb_args_given(const lb_arg *table, const char *name);
void lb_args_help(const lb_arg *table);          /* the table, to stdout */
#endif
