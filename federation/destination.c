#include "federation/destination.h"

#define MAX_KNOWN_EVENTS 200
#define MAX_EPHEMERAL    60
#define FULL             (CM_TRANSACTION_MAX_PDUS + CM_TRANSACTION_MAX_EDUS)

/* Who takes longer is doubted for so many times as long, however quick in between: one that is slow
 * on purpose, and quick to be trusted again, has a thread of the others for a twentieth of the time
 * at most. */
#define SLOW_US       (5 * G_USEC_PER_SEC)
#define DOUBTED_TIMES 20

typedef struct {
  char *key;
  GBytes *edu;
} Ephemeral;

static void
ephemeral_free (gpointer data)
{
  Ephemeral *ephemeral = data;

  g_free (ephemeral->key);
  g_bytes_unref (ephemeral->edu);
  g_free (ephemeral);
}

CmDestination *
cm_destination_new (const char *server)
{
  CmDestination *destination = g_new0 (CmDestination, 1);

  destination->server = g_strdup (server);
  destination->events = g_array_new (FALSE, FALSE, sizeof (CmOutgoing));
  destination->ephemeral = g_ptr_array_new_with_free_func (ephemeral_free);
  destination->limit = FULL;
  return destination;
}

void
cm_destination_free (CmDestination *destination)
{
  g_free (destination->server);
  g_array_unref (destination->events);
  g_ptr_array_unref (destination->ephemeral);
  g_clear_pointer (&destination->batch, cm_transaction_batch_free);
  g_free (destination);
}

void
cm_destination_add_event (CmDestination *destination, gint64 position, gint64 event)
{
  CmOutgoing outgoing = { position, event };

  if (destination->events->len >= MAX_KNOWN_EVENTS) {
    g_array_set_size (destination->events, 0);
    destination->behind = TRUE;
  }
  g_array_append_val (destination->events, outgoing);
}

void
cm_destination_add_ephemeral (CmDestination *destination, const char *key, GBytes *edu)
{
  Ephemeral *ephemeral = g_new0 (Ephemeral, 1);

  for (guint i = 0; i < destination->ephemeral->len; i++) {
    const Ephemeral *each = destination->ephemeral->pdata[i];

    if (g_str_equal (each->key, key)) {
      g_ptr_array_remove_index (destination->ephemeral, i);
      break;
    }
  }
  if (destination->ephemeral->len >= MAX_EPHEMERAL)
    g_ptr_array_remove_index (destination->ephemeral, 0);
  ephemeral->key = g_strdup (key);
  ephemeral->edu = g_bytes_ref (edu);
  g_ptr_array_add (destination->ephemeral, ephemeral);
}

/* Events that the database told of before the committer did. */
static void
forget_sent (CmDestination *destination)
{
  guint count = 0;

  while (count < destination->events->len &&
         g_array_index (destination->events, CmOutgoing, count).position <= destination->sent)
    count++;
  g_array_remove_range (destination->events, 0, count);
}

gboolean
cm_destination_has_work (CmDestination *destination)
{
  forget_sent (destination);
  return destination->batch != NULL || destination->behind || destination->stored_edus ||
         destination->events->len > 0 || destination->ephemeral->len > 0;
}

CmStanding
cm_destination_standing (const CmDestination *destination)
{
  if (destination->doubted_until > g_get_monotonic_time ())
    return CM_STANDING_DOUBTFUL;
  return destination->quick ? CM_STANDING_QUICK : CM_STANDING_NEW;
}

void
cm_destination_took (CmDestination *destination, gint64 took_us, gboolean answered)
{
  destination->quick = answered && took_us <= SLOW_US;
  if (took_us > SLOW_US)
    destination->doubted_until = g_get_monotonic_time () + took_us * DOUBTED_TIMES;
}

CmDestinationWork
cm_destination_take_work (CmDestination *destination)
{
  CmDestinationWork work = { .behind = destination->behind,
                             .stored_edus = destination->stored_edus,
                             .limit = destination->limit,
                             .events = g_array_new (FALSE, FALSE, sizeof (CmOutgoing)) };

  work.ephemeral = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  forget_sent (destination);
  /* What comes while the database is read sets these anew. */
  destination->behind = FALSE;
  destination->stored_edus = FALSE;
  if (!work.behind)
    g_array_append_vals (work.events, destination->events->data,
                         MIN (destination->events->len, MIN (work.limit, CM_TRANSACTION_MAX_PDUS)));
  for (guint i = 0; i < destination->ephemeral->len; i++) {
    const Ephemeral *each = destination->ephemeral->pdata[i];

    g_ptr_array_add (work.ephemeral, g_bytes_ref (each->edu));
  }
  g_ptr_array_set_size (destination->ephemeral, 0);
  /* While the culprit of a refused transaction is looked for, what need not arrive does not. */
  if (work.limit < FULL)
    g_ptr_array_set_size (work.ephemeral, 0);
  return work;
}

void
cm_destination_work_clear (CmDestinationWork *work)
{
  g_array_unref (work->events);
  g_ptr_array_unref (work->ephemeral);
}

void
cm_destination_acknowledged (CmDestination *destination)
{
  destination->sent = MAX (destination->sent, destination->batch->position);
  destination->limit = MIN (destination->limit * 2, FULL);
  destination->failures = 0;
  g_clear_pointer (&destination->batch, cm_transaction_batch_free);
}

gboolean
cm_destination_refused (CmDestination *destination)
{
  guint items = destination->batch->items;

  if (items <= 1)
    return FALSE;
  destination->limit = items / 2;
  destination->behind = TRUE;
  destination->stored_edus = TRUE;
  g_clear_pointer (&destination->batch, cm_transaction_batch_free);
  return TRUE;
}
