/* Arithmetic over arrays, and a bubble sort of 200 numbers: arrays.st in C. */
#include <stdbool.h>
#include <stdint.h>

struct state {
  int64_t now, header[7];
  double weights[200], smooth[200], total;
  int32_t numbers[200], grid[10][20];
  uint32_t seed;
  bool begun;
};

int32_t scan(uint8_t *memory) {
  struct state *s = (struct state *)memory;
  if (!s->begun) {
    s->seed = 1;
    s->begun = true;
  }
  for (int i = 0; i < 200; i++) {
    s->seed = s->seed * 1664525 + 1013904223;
    s->numbers[i] = (int32_t)(s->seed / 65536);
    s->weights[i] = s->numbers[i] % 1000 * 0.25;
  }
  s->smooth[0] = s->weights[0];
  for (int i = 1; i < 200; i++) s->smooth[i] = s->smooth[i - 1] + (s->weights[i] - s->smooth[i - 1]) * 0.125;
  s->total = 0;
  for (int i = 0; i < 200; i++) s->total += s->smooth[i] * s->weights[199 - i];
  for (int i = 0; i < 10; i++)
    for (int k = 0; k < 20; k++) s->grid[i][k] += s->numbers[20 * i + k] % 7;
  for (int i = 198; i >= 0; i--)
    for (int k = 0; k <= i; k++)
      if (s->numbers[k] > s->numbers[k + 1]) {
        int32_t swap = s->numbers[k];
        s->numbers[k] = s->numbers[k + 1];
        s->numbers[k + 1] = swap;
      }
  return 0;
}
