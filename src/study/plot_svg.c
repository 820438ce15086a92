/* study/plot_svg.c – plots as SVG text. Colours are classes (k: stroke, f: fill, then the ink), which the page defines
 * for light and dark (study/report_style.c); sizes are CSS pixels; every picture has a title and a description. */
#include "study/html.h"
#include "study/plot.h"
#include <math.h>

static const char *ink_name(int ink, char out[4])
{
    const char *named = ink == LB_INK_TEXT ? "t" : ink == LB_INK_MUTED ? "m" : "g";
    out[0] = ink >= 0 && ink < LB_INK_TEXT ? (char)('0' + ink % LB_PLOT_INKS) : named[0];
    out[1] = 0;
    return out;
}

static void tip_of(lb_buf *b, const char *tip)
{
    if (!*tip) return;
    lb_buf_str(b, "<title>");
    lb_html_text(b, tip);
    lb_buf_str(b, "</title>");
}

static void path(lb_canvas *c, const double *xy, int n, int ink, double width, bool dashed)
{
    char name[4];
    lb_buf_str(c->to, "<path d=\"");
    for (int i = 0; i < n; i++) lb_buf_fmt(c->to, "%s%.1f %.1f", i ? "L" : "M", xy[2 * i], xy[2 * i + 1]);
    lb_buf_fmt(c->to, "\" class=\"k%s\" stroke-width=\"%g\"%s/>\n", ink_name(ink, name), width,
               dashed ? " stroke-dasharray=\"5 4\"" : "");
}

static void area(lb_canvas *c, const double *xy, int n, int ink, double alpha, const char *tip)
{
    char name[4];
    lb_buf_str(c->to, "<path d=\"");
    for (int i = 0; i < n; i++) lb_buf_fmt(c->to, "%s%.1f %.1f", i ? "L" : "M", xy[2 * i], xy[2 * i + 1]);
    lb_buf_fmt(c->to, "Z\" class=\"f%s\" fill-opacity=\"%g\">", ink_name(ink, name), alpha);
    tip_of(c->to, tip);
    lb_buf_str(c->to, "</path>\n");
}

/* The shapes: circle, square, triangle, diamond, triangle down, cross, bar. */
static void mark(lb_canvas *c, double x, double y, int ink, const char *tip)
{
    char name[4];
    ink_name(ink, name);
    static const char *const shapes[LB_PLOT_INKS] = {"",
                                                     "m-4.2 -4.2h8.4v8.4h-8.4z",
                                                     "m0 -5.4l5.2 9h-10.4z",
                                                     "m0 -5.8l5.8 5.8l-5.8 5.8l-5.8 -5.8z",
                                                     "m0 5.4l5.2 -9h-10.4z",
                                                     "m-1.7 -5.2h3.4v3.5h3.5v3.4h-3.5v3.5h-3.4v-3.5h-3.5v-3.4h3.5z",
                                                     "m-5.4 -2h10.8v4h-10.8z"};
    int shape = lb_ink_shape(ink);
    if (shape == 0) lb_buf_fmt(c->to, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.4\" class=\"f%s\">", x, y, name);
    else lb_buf_fmt(c->to, "<path d=\"M%.1f %.1f%s\" class=\"f%s\">", x, y, shapes[shape], name);
    tip_of(c->to, tip);
    lb_buf_fmt(c->to, "</%s>\n", shape == 0 ? "circle" : "path");
}

static void text(lb_canvas *c, double x, double y, const char *s, lb_anchor a, int ink, double size, bool bold)
{
    static const char *const anchors[] = {"", " text-anchor=\"middle\"", " text-anchor=\"end\""};
    char name[4];
    if (!*s) return;
    lb_buf_fmt(c->to, "<text x=\"%.1f\" y=\"%.1f\"%s class=\"f%s\" font-size=\"%g\"%s>", x, y, anchors[a],
               ink_name(ink, name), size, bold ? " font-weight=\"600\"" : "");
    lb_html_text(c->to, s);
    lb_buf_str(c->to, "</text>\n");
}

bool lb_plot_svg(const lb_plot *p, double width, const char *id, const char *css_class, lb_buf *out, lb_err *err)
{
    static const lb_canvas_ops ops = {path, area, mark, text};
    lb_canvas c = {.ops = &ops, .to = out, .width = width, .height = lb_plot_height(p, width, false)};
    lb_buf_fmt(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" class=\"%s\" role=\"img\" "
               "aria-labelledby=\"%s-t %s-d\">\n<title id=\"%s-t\">",
               width, c.height, css_class, id, id, id);
    lb_html_text(out, p->title);
    lb_buf_fmt(out, "</title>\n<desc id=\"%s-d\">", id);
    lb_html_text(out, p->desc);
    lb_buf_str(out, "</desc>\n");
    lb_plot_draw(p, &c);
    lb_buf_str(out, "</svg>\n");
    return p->oom ? lb_fail_mem(err, 0, "a plot") : lb_buf_ok(out, "a plot", err);
}
