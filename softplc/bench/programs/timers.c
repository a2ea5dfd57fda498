/* 200 rungs, each with an on-delay timer and an up counter: timers.st in C. */
#include <stdbool.h>
#include <stdint.h>

struct ton { int64_t preset, elapsed, start; bool in, q, running; };
struct ctu { int16_t preset, count; bool up, reset, q, last; };
struct state {
  int64_t now, header[7];
  int64_t elapsed[200];
  int16_t counted[200];
  bool lamp[200];
  int32_t tick;
  struct ton delay[200];
  struct ctu counter[200];
};

static void run_ton(struct ton *t, int64_t now) {
  if (!t->in) {
    t->q = false;
    t->elapsed = 0;
    t->running = false;
  } else if (!t->q) {
    if (!t->running) {
      t->running = true;
      t->start = now;
    }
    int64_t elapsed = now - t->start;
    if (elapsed >= t->preset) {
      t->elapsed = t->preset;
      t->q = true;
    } else {
      t->elapsed = elapsed;
    }
  }
}

static void run_ctu(struct ctu *c) {
  bool up = c->up && !c->last;
  c->last = c->up;
  if (c->reset)
    c->count = 0;
  else if (up && c->count < INT16_MAX)
    c->count++;
  c->q = c->count >= c->preset;
}

int32_t scan(uint8_t *memory) {
  struct state *s = (struct state *)memory;
  s->tick++;
  for (int i = 0; i < 200; i++) {
    struct ton *t = &s->delay[i];
    struct ctu *c = &s->counter[i];
    int32_t phase = (s->tick + 7 * (i + 1)) % 50;
    t->in = phase < 30 && !(s->lamp[i] && phase == 20);
    t->preset = 150000000;
    run_ton(t, s->now);
    c->up = t->q;
    c->reset = c->q && phase == 45;
    c->preset = 5;
    run_ctu(c);
    s->elapsed[i] = t->elapsed;
    s->counted[i] = c->count;
    s->lamp[i] = c->q || (t->q && !s->lamp[i]);
  }
  return 0;
}
