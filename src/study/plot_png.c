/* study/plot_png.c – plots as PNG files, by cairo: the light palette on white, two pixels for each of CSS. */
#include "base/file.h"
#include "study/plot.h"
#include "text/utf8.h"
#include <cairo.h>
#include <math.h>
#include <string.h>

enum { ZOOM = 2 };

static void set_ink(cairo_t *cr, int ink, double alpha)
{
    const lb_palette *p = &lb_palette_light;
    uint32_t rgb = ink == LB_INK_TEXT    ? p->text
                   : ink == LB_INK_MUTED ? p->muted
                   : ink == LB_INK_GRID  ? p->grid
                                         : p->ink[ink % LB_PLOT_INKS];
    cairo_set_source_rgba(cr, (rgb >> 16) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0, alpha);
}

static void trace_points(cairo_t *cr, const double *xy, int n)
{
    for (int i = 0; i < n; i++) cairo_line_to(cr, xy[2 * i], xy[2 * i + 1]);
}

static void path(lb_canvas *c, const double *xy, int n, int ink, double width, bool dashed)
{
    static const double dash[] = {5, 4};
    set_ink(c->to, ink, 1);
    cairo_set_line_width(c->to, width);
    cairo_set_dash(c->to, dash, dashed ? 2 : 0, 0);
    trace_points(c->to, xy, n);
    cairo_stroke(c->to);
}

static void area(lb_canvas *c, const double *xy, int n, int ink, double alpha, const char *tip)
{
    (void)tip;
    set_ink(c->to, ink, alpha);
    trace_points(c->to, xy, n);
    cairo_close_path(c->to);
    cairo_fill(c->to);
}

/* The shapes of plot_svg.c. */
static void mark(lb_canvas *c, double x, double y, int ink, const char *tip)
{
    static const double square[] = {-4.2, -4.2, 4.2, -4.2, 4.2, 4.2, -4.2, 4.2}, up[] = {0, -5.4, 5.2, 3.6, -5.2, 3.6},
                        diamond[] = {0, -5.8, 5.8, 0, 0, 5.8, -5.8, 0}, down[] = {0, 5.4, 5.2, -3.6, -5.2, -3.6},
                        cross[] = {-1.7, -5.2, 1.7,  -5.2, 1.7,  -1.7, 5.2,  -1.7, 5.2,  1.7,  1.7,  1.7,
                                   1.7,  5.2,  -1.7, 5.2,  -1.7, 1.7,  -5.2, 1.7,  -5.2, -1.7, -1.7, -1.7},
                        bar[] = {-5.4, -2, 5.4, -2, 5.4, 2, -5.4, 2};
    static const struct { const double *xy; int n;
    } shapes[LB_PLOT_INKS] = {{0, 0}, {square, 4}, {up, 3}, {diamond, 4}, {down, 3}, {cross, 12}, {bar, 4}};
    (void)tip;
    set_ink(c->to, ink, 1);
    int k = lb_ink_shape(ink);
    if (k == 0) {
        cairo_arc(c->to, x, y, 4.4, 0, 2 * 3.14159265358979323846);
    } else {
        for (int i = 0; i < shapes[k].n; i++)
            cairo_line_to(c->to, x + shapes[k].xy[2 * i], y + shapes[k].xy[2 * i + 1]);
        cairo_close_path(c->to);
    }
    cairo_fill(c->to);
}

static void text(lb_canvas *c, double x, double y, const char *s, lb_anchor a, int ink, double size, bool bold)
{
    cairo_text_extents_t e;
    lb_buf clean = {0}; /* cairo gives up on broken UTF-8, which a text that was cut may have */
    lb_utf8_clean(&clean, s, strlen(s));
    cairo_select_font_face(c->to, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c->to, size);
    cairo_text_extents(c->to, lb_buf_cstr(&clean), &e);
    set_ink(c->to, ink, 1);
    cairo_move_to(c->to, a == LB_START ? x : a == LB_MIDDLE ? x - e.x_advance / 2 : x - e.x_advance, y);
    cairo_show_text(c->to, lb_buf_cstr(&clean));
    cairo_new_path(c->to);
    lb_buf_free(&clean);
}

static cairo_status_t write_some(void *to, const unsigned char *p, unsigned n)
{
    lb_buf_add(to, p, n);
    return ((lb_buf *)to)->oom ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

bool lb_plot_png(const lb_plot *p, double width, const char *path_, lb_err *err)
{
    static const lb_canvas_ops ops = {path, area, mark, text};
    double margin = 12, height = lb_plot_height(p, width, true);
    int w = (int)(ZOOM * (width + 2 * margin)), h = (int)(ZOOM * (height + 2 * margin));
    if (p->oom) return lb_fail_mem(err, 0, "a plot");
    if (h > 32767)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: the picture would be %d pixels high; 32767 is the most", path_, h);
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, w, h);
    cairo_t *cr = cairo_create(surface);
    lb_canvas c = {.ops = &ops, .to = cr, .width = width, .height = height, .with_title = true};
    lb_buf png = {0};
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    cairo_scale(cr, ZOOM, ZOOM);
    cairo_translate(cr, margin, margin);
    lb_plot_draw(p, &c);
    cairo_status_t status = cairo_status(cr);
    if (status == CAIRO_STATUS_SUCCESS) status = cairo_surface_write_to_png_stream(surface, write_some, &png);
    bool ok = status == CAIRO_STATUS_SUCCESS || lb_fail(err, status == CAIRO_STATUS_NO_MEMORY ? LB_ENOMEM : LB_EFAIL,
                                                        "%s: %s", path_, cairo_status_to_string(status));
    ok = ok && lb_write_file(path_, png.p, png.n, err);
    cairo_destroy(cr);
    cairo_surface_destroy(surface);
    lb_buf_free(&png);
    return ok;
}
