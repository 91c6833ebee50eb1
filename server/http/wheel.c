#include "server/http/wheel.h"

#define LEVELS    4
#define SLOT_BITS 6
#define SLOTS     (1 << SLOT_BITS)
#define SLOT_MASK (SLOTS - 1)
#define TICK_US   (CM_WHEEL_TICK_MS * G_TIME_SPAN_MILLISECOND)
#define FARTHEST  (((guint64) 1 << (LEVELS * SLOT_BITS)) - SLOTS)
#define NO_TURN   CM_WHEEL_NEVER

typedef enum { TIMER_WAITING, TIMER_RUNNING, TIMER_OVER, TIMER_DROPPED } TimerState;

struct _CmTimer {
  CmTimer *next, **link; /* the pointer that points here, so that unlinking needs no slot */
  CmWheel *wheel;        /* a reference */
  guint64 due;           /* in ticks */
  guint delay_ms;
  GSourceFunc func;
  gpointer data;
  TimerState state;
  gboolean cancelled; /* while running */
  gint refs;          /* the holder's and, until it is over, the wheel's */
};

struct _CmWheel {
  gint refs;
  GMutex lock;
  gint64 origin_us;
  guint64 now; /* every tick before this one has been run */
  gint64 turn; /* when the wheel's thread means to come again */
  CmTimer *slots[LEVELS][SLOTS];
  guint64 used[LEVELS]; /* bit set: the slot may hold timers */
};

static void
wheel_unref (CmWheel *wheel)
{
  if (!g_atomic_int_dec_and_test (&wheel->refs))
    return;
  g_mutex_clear (&wheel->lock);
  g_free (wheel);
}

static void
timer_unref (CmTimer *timer)
{
  if (!g_atomic_int_dec_and_test (&timer->refs))
    return;
  wheel_unref (timer->wheel);
  g_free (timer);
}

static void
timer_link (CmTimer **slot, CmTimer *timer)
{
  timer->next = *slot;
  if (timer->next != NULL)
    timer->next->link = &timer->next;
  timer->link = slot;
  *slot = timer;
}

static void
timer_unlink (CmTimer *timer)
{
  *timer->link = timer->next;
  if (timer->next != NULL)
    timer->next->link = timer->link;
  timer->next = NULL;
  timer->link = NULL;
}

/* Level n holds what is due within 64^(n+1) ticks, in slots of 64^n ticks. */
static void
wheel_insert (CmWheel *wheel, CmTimer *timer)
{
  guint64 due = CLAMP (timer->due, wheel->now, wheel->now + FARTHEST);
  guint64 differ = due ^ wheel->now;
  guint level = 0;

  while (level + 1 < LEVELS && differ >> ((level + 1) * SLOT_BITS) != 0)
    level++;
  guint slot = (due >> (level * SLOT_BITS)) & SLOT_MASK;
  timer_link (&wheel->slots[level][slot], timer);
  wheel->used[level] |= (guint64) 1 << slot;
}

static CmTimer *
wheel_take_slot (CmWheel *wheel, guint level, guint slot)
{
  CmTimer *list = wheel->slots[level][slot];

  wheel->slots[level][slot] = NULL;
  wheel->used[level] &= ~((guint64) 1 << slot);
  return list;
}

/* On entering a new slot of a level, what it holds moves to the levels below. */
static void
wheel_cascade (CmWheel *wheel)
{
  for (guint level = LEVELS - 1; level > 0; level--) {
    if ((wheel->now & (((guint64) 1 << (level * SLOT_BITS)) - 1)) != 0)
      continue;
    CmTimer *timer =
        wheel_take_slot (wheel, level, (wheel->now >> (level * SLOT_BITS)) & SLOT_MASK);
    while (timer != NULL) {
      CmTimer *next = timer->next;
      wheel_insert (wheel, timer);
      timer = next;
    }
  }
}

/* The first tick at which there is something to run or to cascade. */
static guint64
wheel_next_tick (const CmWheel *wheel)
{
  guint64 best = G_MAXUINT64;

  for (guint level = 0; level < LEVELS; level++) {
    guint shift = level * SLOT_BITS;
    guint slot = (wheel->now >> shift) & SLOT_MASK;
    guint64 used = wheel->used[level];

    if (used == 0)
      continue;
    /* Rotated so that bit 0 is the current slot; of a higher level that one lies a whole turn
     * ahead. */
    guint64 ahead = slot == 0 ? used : used >> slot | used << (SLOTS - slot);
    guint distance = (guint) __builtin_ctzll (ahead);
    if (level > 0 && distance == 0)
      distance =
          (ahead & ~(guint64) 1) != 0 ? (guint) __builtin_ctzll (ahead & ~(guint64) 1) : SLOTS;
    guint64 tick = ((wheel->now >> shift) + distance) << shift;
    best = MIN (best, tick);
  }
  return best;
}

static gint64
tick_to_us (const CmWheel *wheel, guint64 tick)
{
  return wheel->origin_us + (gint64) tick * TICK_US;
}

/* The first whole tick after @delay_ms from @now_us: never early, and never in the slot that is
 * being run. */
static guint64
tick_after (const CmWheel *wheel, gint64 now_us, guint delay_ms)
{
  gint64 due_us = now_us + (gint64) delay_ms * G_TIME_SPAN_MILLISECOND - wheel->origin_us;

  return (guint64) MAX (due_us, 0) / TICK_US + 1;
}

CmWheel *
cm_wheel_new (gint64 now_us)
{
  CmWheel *wheel = g_new0 (CmWheel, 1);

  wheel->refs = 1;
  wheel->origin_us = now_us;
  wheel->turn = NO_TURN;
  g_mutex_init (&wheel->lock);
  return wheel;
}

static void
wheel_drop_all (CmWheel *wheel)
{
  for (guint level = 0; level < LEVELS; level++)
    for (guint slot = 0; slot < SLOTS; slot++)
      while (wheel->slots[level][slot] != NULL) {
        CmTimer *timer = wheel->slots[level][slot];
        timer_unlink (timer);
        timer->state = TIMER_DROPPED;
        timer_unref (timer);
      }
}

void
cm_wheel_close (CmWheel *wheel)
{
  g_mutex_lock (&wheel->lock);
  wheel_drop_all (wheel);
  g_mutex_unlock (&wheel->lock);
  wheel_unref (wheel);
}

CmTimer *
cm_wheel_add (CmWheel *wheel, gint64 now_us, guint delay_ms, GSourceFunc func, gpointer data,
              gboolean *sooner)
{
  CmTimer *timer = g_new0 (CmTimer, 1);

  timer->wheel = wheel;
  g_atomic_int_inc (&wheel->refs);
  timer->delay_ms = delay_ms;
  timer->func = func;
  timer->data = data;
  timer->refs = 2;

  g_mutex_lock (&wheel->lock);
  timer->due = tick_after (wheel, now_us, delay_ms);
  wheel_insert (wheel, timer);
  gint64 turn = tick_to_us (wheel, timer->due);
  *sooner = turn < wheel->turn;
  if (*sooner)
    wheel->turn = turn;
  g_mutex_unlock (&wheel->lock);
  return timer;
}

gboolean
cm_timer_cancel (CmTimer *timer)
{
  CmWheel *wheel = timer->wheel;

  g_mutex_lock (&wheel->lock);
  gboolean waiting = timer->state == TIMER_WAITING, dropped = timer->state == TIMER_DROPPED;
  timer->cancelled = TRUE;
  if (waiting) {
    timer_unlink (timer);
    timer->state = TIMER_OVER;
  }
  g_mutex_unlock (&wheel->lock);

  if (waiting)
    timer_unref (timer);
  timer_unref (timer);
  return waiting || dropped;
}

/* Runs what stands in the current slot of the lowest level; the lock is held on entry and on return
 * only. */
static void
wheel_run_slot (CmWheel *wheel, gint64 now_us)
{
  CmTimer **slot = &wheel->slots[0][wheel->now & SLOT_MASK];

  while (*slot != NULL) {
    CmTimer *timer = *slot;

    timer_unlink (timer);
    timer->state = TIMER_RUNNING;
    g_mutex_unlock (&wheel->lock);
    gboolean again = timer->func (timer->data) == G_SOURCE_CONTINUE;
    g_mutex_lock (&wheel->lock);

    if (again && !timer->cancelled) {
      timer->state = TIMER_WAITING;
      timer->due = tick_after (wheel, now_us, timer->delay_ms);
      wheel_insert (wheel, timer);
      continue;
    }
    timer->state = TIMER_OVER;
    timer_unref (timer);
  }
  wheel->used[0] &= ~((guint64) 1 << (wheel->now & SLOT_MASK));
}

gint64
cm_wheel_run (CmWheel *wheel, gint64 now_us)
{
  guint64 now = (guint64) MAX (now_us - wheel->origin_us, 0) / TICK_US;
  guint64 tick;

  g_mutex_lock (&wheel->lock);
  while ((tick = wheel_next_tick (wheel)) <= now) {
    wheel->now = tick;
    wheel_cascade (wheel);
    wheel_run_slot (wheel, now_us);
  }
  wheel->now = MAX (wheel->now, now);
  wheel->turn = tick == G_MAXUINT64 ? NO_TURN : tick_to_us (wheel, tick);
  gint64 turn = wheel->turn;
  g_mutex_unlock (&wheel->lock);
  return turn;
}

gint64
cm_wheel_turn (CmWheel *wheel)
{
  g_mutex_lock (&wheel->lock);
  gint64 turn = wheel->turn;
  g_mutex_unlock (&wheel->lock);
  return turn;
}
