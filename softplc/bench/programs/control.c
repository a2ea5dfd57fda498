/* 100 temperature loops: control.st and the library's PID in C. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct pid {
  float pv, sp, man, kp, n, out_min, out_max, cas_sp, out, sp_act, dev;
  bool automatic, direct, cascade, high, low, error, started, known;
  int16_t mode;
  int64_t ti, td, stamp;
  double y, i, p, d, e, before, slope;
};
struct state {
  int64_t now, header[7];
  float pv[100], out[100];
  int32_t tick;
  bool begun;
  struct pid loops[100];
};

static double lower(double a, double b) { return a < b ? a : b; }
static double upper(double a, double b) { return a > b ? a : b; }

static void run_pid(struct pid *c, int64_t now) {
  double elapsed = c->stamp >= 0 && now > c->stamp ? (double)(now - c->stamp) : 0.0;
  c->stamp = now;
  int16_t wanted = 0;
  if (c->automatic && c->cascade) {
    wanted = 2;
    c->sp_act = c->cas_sp;
  } else {
    c->sp_act = c->sp;
    if (c->automatic) wanted = 1;
  }
  c->error = !(isfinite(c->pv) && isfinite(c->kp) && isfinite(c->n) && isfinite(c->out_min) && isfinite(c->out_max)) ||
             c->kp < 0 || c->n <= 0 || c->ti < 0 || c->td < 0 || c->out_min >= c->out_max ||
             (c->automatic && !isfinite(c->sp_act)) || (!(c->automatic && c->started) && !isfinite(c->man));
  if (c->error) {
    c->mode = 0;
    c->known = false;
    return;
  }
  if (!c->started || !c->automatic) {
    c->y = c->man;
    c->started = true;
  }
  c->dev = c->sp_act - c->pv;
  double gain = c->kp;
  if (c->direct) gain = -gain;
  double gain_d = -gain * (double)c->td / 1e9;
  if (c->mode != 0) c->i += (c->p - gain * c->e) + (c->d - gain_d * c->slope);
  if (!c->known) {
    c->slope = 0;
    c->before = c->pv;
    c->known = true;
  } else if (elapsed > 0) {
    double share = 1;
    if (c->td > 0) share = 1.0 - exp(-elapsed * c->n / (double)c->td);
    c->slope += ((c->pv - c->before) * 1e9 / elapsed - c->slope) * share;
    c->before = c->pv;
  }
  c->e = (double)c->sp_act - c->pv;
  c->p = gain * c->e;
  c->d = gain_d * c->slope;
  c->y = lower(upper(c->y, c->out_min), c->out_max);
  if (wanted != 0 && wanted != c->mode) {
    c->i = c->y - c->p - c->d;
  } else if (wanted != 0) {
    if (c->ti > 0) {
      double part = c->p * elapsed / (double)c->ti, spare = c->p + c->i + c->d;
      if (part > 0)
        part = lower(part, upper(c->out_max - spare, 0));
      else
        part = upper(part, lower(c->out_min - spare, 0));
      c->i += part;
    }
    c->y = lower(upper(c->p + c->i + c->d, c->out_min), c->out_max);
  }
  c->mode = wanted;
  c->out = (float)c->y;
  c->high = c->out >= c->out_max;
  c->low = c->out <= c->out_min;
}

int32_t scan(uint8_t *memory) {
  struct state *s = (struct state *)memory;
  if (!s->begun) {
    for (int i = 0; i < 100; i++)
      s->loops[i] = (struct pid){.kp = 1, .n = 10, .out_max = 100, .stamp = -1};
    s->begun = true;
  }
  s->tick++;
  for (int i = 0; i < 100; i++) {
    struct pid *c = &s->loops[i];
    c->pv = s->pv[i];
    c->sp = 40.0f + (float)((i + 1) % 20);
    c->automatic = (s->tick + i + 1) % 1000 > 50;
    c->man = 30;
    c->kp = 2;
    c->ti = 8000000000;
    c->td = 500000000;
    run_pid(c, s->now);
    s->out[i] = c->out;
    s->pv[i] += (s->out[i] - s->pv[i]) * 0.01f;
  }
  return 0;
}
