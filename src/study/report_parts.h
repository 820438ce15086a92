/* study/report_parts.h – the parts of the report that report.c puts together. */
#ifndef LB_STUDY_REPORT_PARTS_H
#define LB_STUDY_REPORT_PARTS_H
#include "study/page.h"
#include "study/report_data.h"

/* The style of all reports, and `rules` after it; the switch of colours, and `script` after it. */
void lb_report_style(lb_buf *b, const char *rules);
void lb_report_script(lb_buf *b, const char *script);

/* ---- tables: nothing is written where there is nothing to say ---- */

void lb_report_main_table(const lb_rep *r, const char *group, lb_buf *b);
void lb_report_level_table(const lb_rep *r, lb_buf *b);
void lb_report_output_table(const lb_rep *r, lb_buf *b);
void lb_report_layer_table(const lb_rep *r, lb_buf *b);
void lb_report_health_table(const lb_rep *r, lb_buf *b);
/* The stages of all runs that were trained. */
void lb_report_train_table(const lb_rep *r, lb_buf *b);
/* The evaluations of a training alone: its model, its start, and what came of it. */
void lb_report_trained_table(const json_t *doc, lb_buf *b);
void lb_report_failed(const lb_rep *r, lb_buf *b);
/* What the numbers say, in sentences. */
void lb_report_findings(const lb_rep *r, lb_buf *b);
/* True if run i is done and the first of its label and model: settings that several groups share are shown once. */
bool lb_report_shown_once(const lb_rep *r, int i);
/* True if run i knows its outliers and is the first of its model with this transform: rounding alone moves little. */
bool lb_report_moves_first(const lb_rep *r, int i);
bool lb_report_several_models(const lb_rep *r);
/* True if run i has steps of training and is the first of its label and model. */
bool lb_report_trained_first(const lb_rep *r, int i);

/* ---- plots: each makes *p (which the caller frees) and its caption, or returns false where data for it are missing
 * ---- */

bool lb_report_drop_plot(const lb_rep *r, const char *group, lb_figure *out);
bool lb_report_bits_plot(const lb_rep *r, const char *group, lb_figure *out);
bool lb_report_kv_plot(const lb_rep *r, const char *group, lb_figure *out);
/* Of the groups main and mixed. */
bool lb_report_size_plot(const lb_rep *r, lb_figure *out);
bool lb_report_calib_length_plot(const lb_rep *r, const char *group, lb_figure *out);
bool lb_report_think_plot(const lb_rep *r, const char *group, lb_figure *out);
bool lb_report_level_plot(const lb_rep *r, lb_figure *out);
bool lb_report_level_drop_plot(const lb_rep *r, lb_figure *out);
bool lb_report_length_plot(const lb_rep *r, lb_figure *out);
bool lb_report_layer_plot(const lb_rep *r, lb_figure *out);
bool lb_report_kl_plot(const lb_rep *r, lb_figure *out);
/* Layer error of run i, one line for each kind of layer. */
bool lb_report_layer_detail_plot(const lb_rep *r, int run, lb_figure *out);
/* Outliers of run i and of one kind, "weights", "activations" or "keys". */
bool lb_report_outlier_plot(const lb_rep *r, const char *kind, lb_figure *out);
bool lb_report_outlier_detail_plot(const lb_rep *r, int run, const char *kind, lb_figure *out);
/* How run i was trained: which curve, from 0 (loss, gradient, rate, reward, length, entropy). */
enum { LB_REPORT_CURVES = 6, LB_REPORT_SHARED_CURVES = 3 };
bool lb_report_train_plot(const lb_rep *r, int run, int which, lb_figure *out);
/* Accuracy of run i against steps, of each task and on average; the average of all runs where several have a curve. */
bool lb_report_train_curve_plot(const lb_rep *r, int run, lb_figure *out);
bool lb_report_train_curves_plot(const lb_rep *r, lb_figure *out);
/* The others of all runs where there are several: divergence, cross-entropy, reward. */
bool lb_report_train_all_plot(const lb_rep *r, int which, lb_figure *out);
#endif
