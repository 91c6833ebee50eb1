#include "server/router/lanes.h"

#define QUEUE_LENGTH 4096
#define CLOSING_US   (5 * G_TIME_SPAN_SECOND)

/* One key's share of a lane's threads, and what of it may wait. */
#define SHARE       4
#define MAX_WAITING 64

/* The work that is done for one key. */
typedef struct {
  char *key;
  guint running;  /* or in the lane's ring */
  GQueue waiting; /* of Item */
} Turn;

typedef struct {
  CmWork work;
  gpointer data;
  Turn *turn; /* NULL: nobody's in particular */
} Item;

typedef struct {
  GMutex lock;
  GCond filled; /* something is queued, or the lane closes */
  GCond ended;  /* a thread has */
  Item *items;  /* a ring */
  guint first, n_items;
  guint n_waiting;   /* items that wait for their turn */
  GHashTable *turns; /* key -> Turn; there while something of it runs */
  guint running;     /* threads that have not ended */
  guint asleep;      /* threads that wait and that nobody has woken yet */
  gboolean closing;
  GThread **threads;
  guint n_threads;
} Lane;

struct _CmLanes {
  Lane lanes[CM_LANE_LAST];
};

static const char *const lane_names[CM_LANE_LAST] = {
  [CM_LANE_EDGE] = "edge",
  [CM_LANE_CLIENT] = "client",
  [CM_LANE_FEDERATION] = "federation",
  [CM_LANE_INBOX] = "inbox",
  [CM_LANE_BACKGROUND] = "background",
  [CM_LANE_BLOCKING] = "blocking",
  [CM_LANE_REMOTE] = "remote",
  [CM_LANE_STRANGERS] = "strangers",
};

static void
turn_free (gpointer data)
{
  Turn *turn = data;

  g_free (turn->key);
  g_free (turn);
}

static Turn *
turn_of (Lane *lane, const char *key)
{
  Turn *turn = g_hash_table_lookup (lane->turns, key);

  if (turn != NULL)
    return turn;
  turn = g_new0 (Turn, 1);
  turn->key = g_strdup (key);
  g_hash_table_insert (lane->turns, turn->key, turn);
  return turn;
}

/* Those that wait have their place in the ring counted. */
static void
lane_append (Lane *lane, const Item *item)
{
  lane->items[(lane->first + lane->n_items) % QUEUE_LENGTH] = *item;
  lane->n_items++;
}

/* What @turn has waiting goes to the end of the ring, behind the work of others. */
static void
lane_pass_on (Lane *lane, Turn *turn)
{
  g_autofree Item *next = g_queue_pop_head (&turn->waiting);

  if (next != NULL) {
    lane->n_waiting--;
    lane_append (lane, next);
  } else if (--turn->running == 0) {
    g_hash_table_remove (lane->turns, turn->key);
  }
}

/* FALSE when the lane is closing and empty. */
static gboolean
lane_take (Lane *lane, Item *item)
{
  while (lane->n_items == 0 && !lane->closing) {
    lane->asleep = MIN (lane->asleep + 1, lane->n_threads);
    g_cond_wait (&lane->filled, &lane->lock);
  }
  if (lane->n_items == 0)
    return FALSE;
  *item = lane->items[lane->first];
  lane->first = (lane->first + 1) % QUEUE_LENGTH;
  lane->n_items--;
  return TRUE;
}

static gpointer
lane_thread (gpointer data)
{
  Lane *lane = data;
  Item item;

  g_mutex_lock (&lane->lock);
  while (lane_take (lane, &item)) {
    g_mutex_unlock (&lane->lock);
    item.work (item.data);
    g_mutex_lock (&lane->lock);
    if (item.turn != NULL)
      lane_pass_on (lane, item.turn);
  }
  lane->running--;
  g_cond_signal (&lane->ended);
  g_mutex_unlock (&lane->lock);
  return NULL;
}

static void
lane_start (Lane *lane, const char *name, guint n_threads)
{
  g_mutex_init (&lane->lock);
  g_cond_init (&lane->filled);
  g_cond_init (&lane->ended);
  lane->items = g_new (Item, QUEUE_LENGTH);
  lane->turns = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, turn_free);
  lane->threads = g_new (GThread *, n_threads);
  lane->n_threads = lane->running = n_threads;
  for (guint i = 0; i < n_threads; i++) {
    g_autofree char *label = g_strdup_printf ("%s-%u", name, i);
    lane->threads[i] = g_thread_new (label, lane_thread, lane);
  }
}

CmLanes *
cm_lanes_new (const guint threads[CM_LANE_LAST])
{
  CmLanes *lanes = g_new0 (CmLanes, 1);

  /* The edge's lane is the event loops: nothing is queued for it. */
  for (guint i = 0; i < CM_LANE_LAST; i++)
    lane_start (&lanes->lanes[i], lane_names[i], i == CM_LANE_EDGE ? 0 : MAX (threads[i], 1));
  return lanes;
}

/* FALSE when too much of @turn waits. *@waits: whether the item does. */
static gboolean
take_turn (Lane *lane, Turn *turn, Item *item, gboolean *waits)
{
  item->turn = turn;
  *waits = turn->running >= MAX (1, lane->n_threads / SHARE);
  if (!*waits)
    turn->running++;
  else if (turn->waiting.length >= MAX_WAITING)
    return FALSE;
  else
    g_queue_push_tail (&turn->waiting, g_memdup2 (item, sizeof *item));
  lane->n_waiting += *waits;
  return TRUE;
}

gboolean
cm_lanes_push_fair (CmLanes *lanes, CmLane which, const char *key, CmWork work, gpointer data)
{
  Lane *lane = &lanes->lanes[which];
  Item item = { work, data, NULL };
  gboolean room, waits = FALSE, wake = FALSE;

  g_return_val_if_fail (which != CM_LANE_EDGE, FALSE);

  g_mutex_lock (&lane->lock);
  room = lane->n_items + lane->n_waiting < QUEUE_LENGTH && !lane->closing &&
         (key == NULL || take_turn (lane, turn_of (lane, key), &item, &waits));
  if (room && !waits) {
    lane_append (lane, &item);
    /* A signal is a system call even when nobody waits. */
    wake = lane->asleep > 0;
    lane->asleep -= wake;
  }
  g_mutex_unlock (&lane->lock);
  if (wake)
    g_cond_signal (&lane->filled);
  return room;
}

gboolean
cm_lanes_push (CmLanes *lanes, CmLane lane, CmWork work, gpointer data)
{
  return cm_lanes_push_fair (lanes, lane, NULL, work, data);
}

static void
lane_close (Lane *lane)
{
  g_mutex_lock (&lane->lock);
  lane->closing = TRUE;
  g_cond_broadcast (&lane->filled);
  g_mutex_unlock (&lane->lock);
}

/* FALSE when a thread is still at work by then. */
static gboolean
lane_wait (Lane *lane, gint64 until_us)
{
  gboolean in_time = TRUE;

  g_mutex_lock (&lane->lock);
  while (lane->running > 0 && in_time)
    in_time = g_cond_wait_until (&lane->ended, &lane->lock, until_us);
  gboolean ended = lane->running == 0;
  g_mutex_unlock (&lane->lock);
  return ended;
}

static void
lane_clear (Lane *lane)
{
  for (guint i = 0; i < lane->n_threads; i++)
    g_thread_join (lane->threads[i]);
  g_hash_table_unref (lane->turns);
  g_free (lane->threads);
  g_free (lane->items);
  g_mutex_clear (&lane->lock);
  g_cond_clear (&lane->filled);
  g_cond_clear (&lane->ended);
}

gboolean
cm_lanes_free (CmLanes *lanes)
{
  gint64 until_us = g_get_monotonic_time () + CLOSING_US;
  gboolean ended = TRUE;

  if (lanes == NULL)
    return TRUE;
  for (guint i = 0; i < CM_LANE_LAST; i++)
    lane_close (&lanes->lanes[i]);
  for (guint i = 0; i < CM_LANE_LAST; i++)
    if (!lane_wait (&lanes->lanes[i], until_us)) {
      g_warning ("lane %s is still at work", lane_names[i]);
      ended = FALSE;
    }
  /* A thread that hangs in a system call cannot be ended. */
  if (!ended)
    return FALSE;
  for (guint i = 0; i < CM_LANE_LAST; i++)
    lane_clear (&lanes->lanes[i]);
  g_free (lanes);
  return TRUE;
}
