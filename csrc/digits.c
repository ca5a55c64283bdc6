/* digits.c: an endless series of drawn digits, 28 x 28 bytes, for tests and for machines without MNIST.
 *
 * A glyph is a few strokes; a stroke is a quadratic B-spline, so a control point that stands twice is a corner.  Every
 * image moves the control points, slants, bends, turns, scales and shifts the whole, and inks each pixel by its
 * distance to the nearest stroke.  Only + - * / sqrt on doubles, so the bytes are the same everywhere; the turn is
 * given by the tangent of half its angle because sin and cos differ between C libraries. */
#include <math.h>

#include "fnn.h"
#include "rng.h"

#define SIDE 28
#define N_GLYPHS 3
#define MAX_COORDINATES 44
#define PIECES 4 /* straight segments a spline piece */

/* Coordinates are percent of the digit's height from its middle, y downwards. */
#define UP 126  /* the pen leaves the paper */
#define END 127 /* of the glyph */

static const int8_t glyphs[10][N_GLYPHS][MAX_COORDINATES] = {
    /* 0: round, narrow and leaning, begun at the top right with a tail */
    {{2, -49, -26, -46, -34, -4, -28, 44, 2, 53, 30, 40, 33, -4, 26, -48, 2, -49, END},
     {6, -50, -18, -46, -24, 0, -18, 48, 2, 52, 22, 44, 24, 0, 18, -48, 4, -50, END},
     {20, -40, 4, -54, -24, -40, -34, 4, -20, 50, 8, 52, 32, 22, 30, -28, 10, -50, -8, -44, END}},
    /* 1: a bar, with a flag, with flag and foot */
    {{0, -50, 1, 0, 0, 50, END},
     {-16, -28, 3, -50, 3, -50, 2, 0, 2, 50, END},
     {-14, -32, 2, -50, 2, -50, 2, 0, 2, 48, UP, -20, 49, 0, 48, 22, 49, END}},
    /* 2: angular, looped, flat swan */
    {{-28, -26, -22, -50, 14, -56, 30, -26, 14, 6, -30, 48, -30, 48, 0, 46, 32, 47, END},
     {-26, -32, -10, -54, 24, -50, 24, -16, 4, 20, -26, 52, -36, 34, -14, 26, 6, 46, 34, 44, END},
     {-24, -38, 0, -54, 30, -44, 22, -8, -12, 26, -32, 46, -32, 46, -6, 38, 32, 46, END}},
    /* 3: round, flat top, wide below */
    {{-26, -38, -6, -56, 28, -48, 26, -12, -8, -3, -8, -3, 30, 0, 34, 40, 0, 58, -28, 38, END},
     {-26, -48, 24, -48, 24, -48, -4, -10, -4, -10, 28, -12, 36, 30, 6, 58, -28, 42, END},
     {-20, -42, 4, -56, 24, -40, 16, -12, -8, -6, 10, -4, 34, 4, 32, 46, -4, 54, -32, 44, END}},
    /* 4: open, closed, cursive */
    {{-22, -46, -28, 6, -28, 6, 0, 4, 30, 4, UP, 18, -46, 15, 0, 12, 50, END},
     {12, 50, 14, 0, 16, -50, 16, -50, -30, 14, -30, 14, 0, 15, 32, 14, END},
     {-18, -44, -30, 4, -14, 12, 14, 0, 24, -24, UP, 24, -42, 18, 4, 8, 50, END}},
    /* 5: with neck, slanted, with a bar drawn last */
    {{28, -48, -18, -48, -18, -48, -22, -6, -22, -6, 10, -20, 34, 4, 28, 46, -4, 56, -28, 40, END},
     {30, -46, -8, -44, -8, -44, -18, -8, 14, -6, 28, 20, 12, 50, -14, 50, -30, 42, END},
     {-16, -44, -22, -8, -22, -8, 8, -16, 30, 6, 26, 44, -6, 54, -26, 40, UP, -16, -44, 8, -46, 30, -46, END}},
    /* 6: straight back, curled, low loop */
    {{12, -50, -12, -22, -32, 22, -14, 54, 16, 52, 28, 26, 12, 2, -12, 6, -24, 28, END},
     {24, -42, 2, -54, -26, -24, -30, 26, -10, 54, 20, 48, 26, 14, 2, -2, -22, 18, END},
     {2, -50, -20, -10, -28, 30, -12, 54, 16, 52, 26, 34, 14, 18, -8, 20, -22, 36, END}},
    /* 7: plain, barred, with a serif */
    {{-28, -44, 0, -46, 28, -46, 28, -46, 8, 0, -8, 50, END},
     {-28, -44, 28, -46, 28, -46, 6, -6, -4, 50, UP, -16, 4, 4, 2, 24, 0, END},
     {-28, -30, -26, -46, -26, -46, 10, -42, 30, -46, 22, -20, 4, 4, 4, 50, END}},
    /* 8: one line, two loops, narrow */
    {{24, -36, 2, -60, -28, -42, -16, -12, 14, 6, 30, 34, 2, 60, -30, 36, -12, 6, 16, -12, 24, -36, 16, -46, END},
     {0, -4, -22, -10, -22, -44, 2, -56, 24, -44, 22, -10, 0, -4, -30, 6, -28, 48, 2, 54, 30, 46, 28, 6, 0, -4, END},
     {14, -44, -4, -56, -20, -34, 0, -6, 20, 26, 8, 54, -14, 50, -18, 24, 2, -4, 20, -34, 12, -48, END}},
    /* 9: straight tail, hooked, curved */
    {{24, -32, 8, -54, -20, -46, -28, -18, -8, 2, 16, -10, 24, -36, 24, -36, 20, 4, 14, 50, END},
     {24, -30, 6, -54, -24, -44, -26, -10, -2, 0, 20, -14, 26, -34, 28, 12, 12, 54, -12, 52, -22, 40, END},
     {20, -44, -6, -52, -28, -28, -14, -4, 10, -10, 26, -46, 22, -10, 6, 20, -4, 50, END}},
};

/* ---- chance ---- */

typedef struct dice {
    uint64_t seed;
    uint32_t counter[4], words[4];
    int used;
} dice;

static uint32_t next_word(dice *dice) {
    if (dice->used == 4) {
        fnn_philox_block(dice->words, dice->counter, dice->seed);
        dice->counter[0]++;
        dice->used = 0;
    }
    return dice->words[dice->used++];
}

static int pick(dice *dice, int n) { return (int)((uint64_t)next_word(dice) * (uint64_t)n >> 32); }

static double uniform(dice *dice, double low, double high) { return low + (high - low) * (next_word(dice) * 0x1p-32); }

/* Bell-shaped, mean 0, standard deviation s, within 3.5 s: a sum of four uniforms. */
static double bell(dice *dice, double s) {
    double sum = -2.0;
    for (int i = 0; i < 4; i++) sum += next_word(dice) * 0x1p-32;
    return sum * 1.7320508075688772 * s;
}

/* ---- a hand ---- */

typedef struct point {
    double x, y;
} point;

typedef struct hand {
    double xx, xy, yx, yy, x, y; /* pixels from glyph coordinates */
    double bend, taper, wobble;
    double radius, edge; /* of the pen, in pixels */
} hand;

static hand new_hand(dice *dice) {
    const double height = 18.5 + bell(dice, 1.3), width = height * (1.0 + bell(dice, 0.15));
    const double half = bell(dice, 0.1), slant = 0.12 + bell(dice, 0.17);
    const double c = (1.0 - half * half) / (1.0 + half * half), s = 2.0 * half / (1.0 + half * half);
    hand hand;
    hand.xx = width * c, hand.xy = -width * c * slant - height * s;
    hand.yx = width * s, hand.yy = -width * s * slant + height * c;
    hand.x = 13.5 + bell(dice, 0.85);
    hand.y = 13.5 + bell(dice, 0.85);
    hand.bend = bell(dice, 0.14);
    hand.taper = bell(dice, 0.16);
    hand.wobble = uniform(dice, 0.03, 0.08);
    hand.radius = uniform(dice, 0.3, 1.05);
    hand.edge = uniform(dice, 0.8, 1.3);
    return hand;
}

/* So far from the border that no ink reaches it: as in MNIST, the outermost pixels are always empty. */
static double on_paper(double pixel) { return pixel < 2.5 ? 2.5 : pixel > 24.5 ? 24.5 : pixel; }

static point place(const hand *hand, dice *dice, const int8_t *coordinates) {
    double x = coordinates[0] * 0.01 + bell(dice, hand->wobble);
    const double y = coordinates[1] * 0.01 + bell(dice, hand->wobble);
    x = x * (1.0 + hand->taper * y) + hand->bend * (y * y - 0.1);
    return (point){on_paper(hand->x + hand->xx * x + hand->xy * y), on_paper(hand->y + hand->yx * x + hand->yy * y)};
}

/* ---- drawing ---- */

static int clamp_pixel(double value) { return value < 0.0 ? 0 : value > SIDE - 1 ? SIDE - 1 : (int)value; }

/* nearest[pixel] = min(nearest[pixel], squared distance to the segment a b), for pixels within reach. */
static void draw_segment(double *nearest, point a, point b, double reach) {
    const double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    const double inverse = length2 > 0.0 ? 1.0 / length2 : 0.0;
    const int left = clamp_pixel((a.x < b.x ? a.x : b.x) - reach), right = clamp_pixel((a.x < b.x ? b.x : a.x) + reach);
    const int top = clamp_pixel((a.y < b.y ? a.y : b.y) - reach), bottom = clamp_pixel((a.y < b.y ? b.y : a.y) + reach);
    for (int row = top; row <= bottom; row++) {
        for (int column = left; column <= right; column++) {
            const double px = column - a.x, py = row - a.y;
            double t = (px * dx + py * dy) * inverse;
            t = t < 0.0 ? 0.0 : t > 1.0 ? 1.0 : t;
            const double ex = px - t * dx, ey = py - t * dy, distance2 = ex * ex + ey * ey;
            double *best = &nearest[row * SIDE + column];
            *best = distance2 < *best ? distance2 : *best;
        }
    }
}

static point middle(point a, point b) { return (point){0.5 * (a.x + b.x), 0.5 * (a.y + b.y)}; }

/* The quadratic Bezier curve from a to b with control point c. */
static void draw_curve(double *nearest, point a, point c, point b, double reach) {
    point last = a;
    for (int i = 1; i <= PIECES; i++) {
        const double t = (double)i / PIECES, u = 1.0 - t;
        const double wa = u * u, wc = 2.0 * u * t, wb = t * t;
        const point next = {wa * a.x + wc * c.x + wb * b.x, wa * a.y + wc * c.y + wb * b.y};
        draw_segment(nearest, last, next, reach);
        last = next;
    }
}

static void draw_glyph(double *nearest, const int8_t *glyph, const hand *hand, dice *dice) {
    const double reach = hand->radius + hand->edge;
    while (*glyph != END) {
        if (*glyph == UP) glyph++;
        point start = place(hand, dice, glyph), control = start;
        for (glyph += 2; *glyph != UP && *glyph != END; glyph += 2) {
            const point next = place(hand, dice, glyph), stop = middle(control, next);
            draw_curve(nearest, start, control, stop, reach);
            start = stop, control = next;
        }
        draw_segment(nearest, start, control, reach);
    }
}

/* Full ink within the pen's radius, fading to none over its edge, each inked pixel a little paler by chance. */
static void ink(uint8_t *image, const double *nearest, const hand *hand, dice *dice) {
    const double reach = hand->radius + hand->edge;
    for (int i = 0; i < SIDE * SIDE; i++) {
        image[i] = 0;
        if (nearest[i] >= reach * reach) continue;
        const double depth = (reach - sqrt(nearest[i])) / hand->edge;
        const double level = (depth < 1.0 ? depth : 1.0) * uniform(dice, 0.75, 1.05);
        image[i] = level < 1.0 ? (uint8_t)(255.0 * level + 0.5) : 255;
    }
}

/* The image index is one counter word: the series has 2^32 digits, then repeats. */
void fnn_digits(uint8_t *images, uint8_t *labels, int64_t first, int64_t n, uint64_t seed) {
    for (int64_t i = 0; i < n; i++) {
        dice dice = {seed, {0, (uint32_t)(first + i), 0, (uint32_t)FNN_STREAM_DIGITS << 16}, {0}, 4};
        double nearest[SIDE * SIDE];
        for (int pixel = 0; pixel < SIDE * SIDE; pixel++) nearest[pixel] = 1e9;

        const int digit = pick(&dice, 10), style = pick(&dice, N_GLYPHS);
        const hand hand = new_hand(&dice);
        draw_glyph(nearest, glyphs[digit][style], &hand, &dice);
        ink(images + i * SIDE * SIDE, nearest, &hand, &dice);
        labels[i] = (uint8_t)digit;
    }
}
