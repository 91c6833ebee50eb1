#include "federation/destination.h"

#include "federation/clock.h"

#define SEND_MS          60000
#define FIRST_PAUSE_MS   5000
#define LONGEST_PAUSE_MS (6 * 3600 * 1000)

/* Makes the transaction to send now: no batch when there is nothing to send. FALSE when that
 * failed. */
static gboolean
make_batch (CmDestination *destination, const CmDestinationWorld *world, GError **error)
{
  g_auto (CmDestinationWork) work = { 0 };
  guint pdus, edus;

  g_mutex_lock (world->lock);
  work = cm_destination_take_work (destination);
  g_mutex_unlock (world->lock);

  pdus = MIN (work.limit, CM_TRANSACTION_MAX_PDUS);
  if (work.behind) {
    GArray *found = cm_destination_find_events (
        world->pool, destination->server, cm_committer_position (world->committer), pdus, error);

    if (found == NULL)
      return FALSE;
    g_array_unref (work.events);
    work.events = found;
  }
  /* Short of a full transaction PDUs and EDUs go apart, to find the one that is refused. */
  edus = CM_TRANSACTION_MAX_EDUS - work.ephemeral->len;
  if (work.limit < CM_TRANSACTION_MAX_PDUS + CM_TRANSACTION_MAX_EDUS)
    edus = work.events->len > 0 ? 0 : MIN (work.limit, CM_TRANSACTION_MAX_EDUS);
  if (work.events->len > 0 || work.stored_edus || work.ephemeral->len > 0)
    destination->batch =
        cm_transaction_batch_make (world->pool, world->server_name, destination->server,
                                   work.events, work.stored_edus ? edus : 0, work.ephemeral, error);
  if (destination->batch == NULL && (work.events->len > 0 || work.stored_edus))
    return FALSE;

  g_mutex_lock (world->lock);
  destination->behind |= work.behind && work.events->len == pdus;
  destination->stored_edus |= work.stored_edus && (edus == 0 || destination->batch->more_edus);
  g_mutex_unlock (world->lock);
  return TRUE;
}

static gboolean
prepare (CmDestination *destination, const CmDestinationWorld *world, GError **error)
{
  if (destination->batch == NULL)
    return make_batch (destination, world, error);
  return cm_transaction_batch_refill (destination->batch, world->pool, world->server_name,
                                      destination->server, error);
}

/* Takes note in the database. A batch whose acknowledgement cannot be stored goes out again, as the
 * same transaction. */
static gboolean
acknowledge (CmDestination *destination, const CmDestinationWorld *world, GError **error)
{
  const CmTransactionBatch *batch = destination->batch;

  if ((batch->position > 0 || batch->edus->len > 0) &&
      cm_committer_commit (
          world->committer,
          cm_transaction_batch_acknowledge (batch, destination->server, destination->quick),
          error) < 0)
    return FALSE;
  g_mutex_lock (world->lock);
  cm_destination_acknowledged (destination);
  g_mutex_unlock (world->lock);
  return TRUE;
}

static void
log_refused_events (const CmDestination *destination, const CmJson *answer)
{
  const char *event_id;
  const CmJson *result;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_object (answer, "pdus"));
  while (cm_json_iter_next (&iter, &event_id, &result))
    if (cm_json_get_text (result, "error") != NULL)
      g_info ("%s does not take %s: %s", destination->server, event_id,
              cm_json_get_text (result, "error"));
}

/* TRUE when the server took it. @status: 0 when there was no answer. */
static gboolean
send_batch (CmDestination *destination, const CmDestinationWorld *world, unsigned *status,
            GError **error)
{
  const CmTransactionBatch *batch = destination->batch;
  g_autofree char *target = cm_fed_path ("/_matrix/federation/v1/send/%s", batch->id);
  gint64 began = g_get_monotonic_time ();
  g_autoptr (CmJsonDoc) answer =
      cm_fed_call (world->client, destination->server,
                   &(CmFedRequest){ .method = "PUT",
                                    .target = target,
                                    .content = cm_json_doc_root (batch->content),
                                    .timeout_ms = SEND_MS },
                   status, error);

  cm_destination_took (destination, g_get_monotonic_time () - began, *status != 0);
  if (answer == NULL)
    return FALSE;
  log_refused_events (destination, cm_json_doc_root (answer));
  return TRUE;
}

/* Ever longer; what the client's back-off says when that is longer still. Ms since 1970. */
static gint64
pause_after_failure (CmDestination *destination, const CmDestinationWorld *world)
{
  gint64 pause = MIN ((gint64) FIRST_PAUSE_MS << MIN (destination->failures, 20), LONGEST_PAUSE_MS);

  destination->failures++;
  return MAX (cm_clock_ms () + pause,
              cm_backoff_until (cm_fed_client_backoff (world->client), destination->server));
}

/* A transaction that can never succeed must not stand in the way for ever (CVE-2023-32323): what it
 * has in it is tried in halves until one item is left, and that is given up. Each that is given up
 * costs a pause, so that a server which refuses everything for a while does not lose all at once.
 * Returns how long to sleep, 0: not at all. */
static gint64
handle_refusal (CmDestination *destination, const CmDestinationWorld *world)
{
  gboolean smaller;
  guint failures = destination->failures;
  g_autoptr (GError) failure = NULL;

  g_mutex_lock (world->lock);
  smaller = cm_destination_refused (destination);
  g_mutex_unlock (world->lock);
  if (smaller)
    return 0;
  g_warning ("%s refuses transaction %s with one item; it is given up", destination->server,
             destination->batch->id);
  if (!acknowledge (destination, world, &failure))
    g_warning ("Giving it up could not be stored: %s", failure->message);
  destination->failures = failures;
  return pause_after_failure (destination, world);
}

static gint64
deliver (CmDestination *destination, const CmDestinationWorld *world)
{
  unsigned status = 0;
  g_autoptr (GError) failure = NULL;

  if (destination->batch->content != NULL && !send_batch (destination, world, &status, &failure)) {
    g_info ("Transaction %s to %s failed: %s", destination->batch->id, destination->server,
            failure->message);
    if (status == 400 || status == 413)
      return handle_refusal (destination, world);
    return pause_after_failure (destination, world);
  }
  if (!acknowledge (destination, world, &failure)) {
    g_warning ("What %s acknowledged could not be stored: %s", destination->server,
               failure->message);
    return pause_after_failure (destination, world);
  }
  return 0;
}

gint64
cm_destination_serve (CmDestination *destination, const CmDestinationWorld *world)
{
  gint64 until = cm_backoff_until (cm_fed_client_backoff (world->client), destination->server);
  g_autoptr (GError) failure = NULL;

  if (until != 0)
    return until;
  if (!prepare (destination, world, &failure)) {
    g_warning ("What %s is to be sent cannot be read: %s", destination->server, failure->message);
    g_mutex_lock (world->lock);
    destination->behind = destination->stored_edus = TRUE;
    g_mutex_unlock (world->lock);
    return pause_after_failure (destination, world);
  }
  if (destination->batch == NULL)
    return 0;
  until = deliver (destination, world);
  if (destination->batch != NULL)
    cm_transaction_batch_shed (destination->batch);
  return until;
}
