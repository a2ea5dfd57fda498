/* 50 stations that take commands apart, in a switch, and write answers: commands.st in C.
   Strings know their length and are cut to their room, as those of ST. */
#include <stdint.h>
#include <string.h>

struct text { uint16_t length; char bytes[40]; };
struct state {
  int64_t now, header[7];
  int16_t step[50], speed[50];
  struct text line[50], answer[50];
  int32_t tick;
};

static void append(struct text *to, size_t room, const char *from, size_t count) {
  size_t free_bytes = room - to->length;
  if (count > free_bytes) count = free_bytes;
  memcpy(to->bytes + to->length, from, count);
  to->length += (uint16_t)count;
}

static void assign(struct text *to, size_t room, const char *from, size_t count) {
  to->length = 0;
  append(to, room, from, count);
}

static int same(const struct text *a, const char *b, size_t count) {
  return a->length == count && memcmp(a->bytes, b, count) == 0;
}

static int find(const struct text *in, char wanted) {
  const char *at = memchr(in->bytes, wanted, in->length);
  return at ? (int)(at - in->bytes) + 1 : 0;
}

static void replace(struct text *in, const char *with, size_t count, int length, int position) {
  struct text before = *in;
  size_t head = position > 1 ? (size_t)(position - 1) : 0;
  if (head > before.length) head = before.length;
  size_t tail = head + (length > 0 ? (size_t)length : 0);
  if (tail > before.length) tail = before.length;
  in->length = (uint16_t)head;
  append(in, 40, with, count);
  append(in, 40, before.bytes + tail, before.length - tail);
}

#define SET(to, constant) assign(to, 40, constant, sizeof constant - 1)
#define ADD(to, constant) append(to, 40, constant, sizeof constant - 1)
#define IS(text, constant) same(text, constant, sizeof constant - 1)

int32_t scan(uint8_t *memory) {
  struct state *s = (struct state *)memory;
  s->tick++;
  for (int i = 0; i < 50; i++) {
    struct text *line = &s->line[i], *answer = &s->answer[i], verb, noun;
    switch (s->step[i]) {
      case 0:
        if ((s->tick + i + 1) % 3 == 0)
          SET(line, "START conveyor");
        else if ((s->tick + i + 1) % 3 == 1)
          SET(line, "STOP conveyor");
        else
          SET(line, "FASTER mixer");
        s->step[i] = 1;
        break;
      case 1: {
        int gap = find(line, ' '), rest = line->length - gap;
        assign(&verb, 20, line->bytes, gap > 1 ? (size_t)(gap - 1) : 0);
        assign(&noun, 20, line->bytes + gap, rest < 20 ? (size_t)rest : 20);
        if (IS(&verb, "START")) {
          s->speed[i] = 100;
          s->step[i] = 2;
        } else if (IS(&verb, "STOP")) {
          s->speed[i] = 0;
          s->step[i] = 2;
        } else if (IS(&verb, "FASTER") && IS(&noun, "mixer")) {
          s->speed[i] += 5;
          s->step[i] = 3;
        } else {
          s->step[i] = 4;
        }
        break;
      }
      case 2:
        SET(answer, "OK ");
        append(answer, 40, line->bytes, line->length);
        ADD(answer, ".");
        s->step[i] = 0;
        break;
      case 3: {
        size_t last = line->length < 5 ? line->length : 5;
        SET(answer, "faster: ");
        append(answer, 40, line->bytes + line->length - last, last);
        ADD(answer, " ");
        replace(answer, "S", 1, 1, 4);
        s->step[i] = 0;
        break;
      }
      default:
        SET(answer, "what?");
        s->step[i] = 0;
    }
  }
  return 0;
}
