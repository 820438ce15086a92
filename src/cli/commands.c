/* cli/commands.c – the list of commands. */
#include "cli/cmd.h"

const lb_command *const lb_commands[] = {
    &lb_cmd_run,
    &lb_cmd_quantize,
    &lb_cmd_train,
    &lb_cmd_eval,
    &lb_cmd_grade,
    &lb_cmd_study,
    &lb_cmd_report,
    &lb_cmd_trace,
    &lb_cmd_sensitivity,
    &lb_cmd_doctor,
    &lb_cmd_verify,
    &lb_cmd_inspect,
    &lb_cmd_bench,
    &lb_cmd_data,
    NULL};
